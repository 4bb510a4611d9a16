"""One source through everything: encoder, bridge and language features, cheap baselines, zero-shot; out comes a row."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from .baselines import cheap_features, score_baselines
from .draw import draw_episodes
from .episodes import Result, score_episodes
from .report import LEVELS, Cell, Line, Row
from .zeroshot import zero_shot

MOST_PER_CLASS = 300
QUERIES = 15


class Labelled(Protocol):
    """A labelled item: `sources.Record` is one."""

    @property
    def item(self) -> Any:
        """The item, or {modality: item}."""

    @property
    def label(self) -> str:
        """The class id; "" where there is none."""

    @property
    def group(self) -> Hashable:
        """What support and query must not share."""


class Embedder(Protocol):
    """What is judged: `allspark.AllSpark` is one."""

    def embed(self, inputs: Any, *, modality: str | None = None, at: str = "language") -> Any:
        """N items -> (N, D), NaN rows where an item could not be read."""

    def text(self, words: Sequence[str]) -> Tensor:
        """K short texts -> (K, H)."""


def subsample(labels: Sequence[str], most: int = MOST_PER_CLASS, seed: int = 0) -> list[int]:
    """The numbers of at most ``most`` items of each class, drawn with the seed, in their old order."""
    generator = np.random.default_rng(seed)
    counts: dict[str, int] = {}
    chosen = []
    for i in generator.permutation(len(labels)).tolist():
        counts[labels[i]] = counts.get(labels[i], 0) + 1
        if counts[labels[i]] <= most:
            chosen.append(i)
    return sorted(chosen)


def evaluate_source(
    spark: Embedder,
    records: Iterable[Labelled],
    labels_to_names: Mapping[str, str | Sequence[str]] | None,
    *,
    ways: int = 5,
    shots: Sequence[int] = (1, 5),
    episodes: int = 600,
    seed: int = 0,
    name: str = "source",
    modality: str | None = None,
    method: str = "auto",
    progress: Callable[[str], None] | None = None,
) -> Row:
    """Judge a model on one source beside the cheap baselines, all on the same episodes.

    Args:
        spark: a model with ``embed`` and ``text``.
        records: labelled items; those without a label are left out, and of each class at most 300 are taken.
        labels_to_names: class id -> its name or names, of which the first is used for zero-shot; classes that it lacks
            or has no name for take no part in zero-shot.
        ways: classes per episode.
        shots: support items per class, one line of the row for each.
        episodes: of every classifier but logistic regression, which gets fewer (`baselines.CLASSIFIERS`).
        seed: of the subsample and of the episodes.
        name: of the source, in the row.
        modality: of the items; recognised from the first where it is not given.
        method: of `FewShot` for the model's own features.
        progress: told in a few words what comes next.

    Raises:
        ValueError: no labelled items, or episodes that cannot be drawn.
    """
    say = progress or (lambda words: None)
    taken = [record for record in records if record.label]
    if not taken:
        raise ValueError(f"no labelled items came for {name}; wanted records with a label")
    kept = subsample([record.label for record in taken], seed=seed)
    notes = [] if len(kept) == len(taken) else [f"{len(kept)} of {len(taken)} items, {MOST_PER_CLASS} per class."]
    taken = [taken[i] for i in kept]
    paired = isinstance(taken[0].item, Mapping)
    if modality is None:
        modality = "+".join(sorted(taken[0].item)) if paired else _recognised(taken[0].item)

    features: dict[str, Tensor] = {}
    whole = torch.ones(len(taken), dtype=torch.bool)
    for level in LEVELS:
        if paired and level == "encoder":
            notes.append("Encoder is empty: the features of several encoders are not in one space.")
            continue
        start = time.perf_counter()
        items = [record.item for record in taken]
        vectors = spark.embed(items, modality=None if paired else modality, at=level)
        features[level] = torch.as_tensor(vectors).detach().float().cpu()
        whole &= features[level].isfinite().all(-1)
        say(f"{name}: {len(taken)} items at {level} in {time.perf_counter() - start:.0f} s")
    if not bool(whole.all()):
        notes.append(f"{int((~whole).sum())} items could not be embedded and were left out.")
        features = {level: vectors[whole] for level, vectors in features.items()}
        taken = [record for record, good in zip(taken, whole.tolist(), strict=True) if good]
    labels, groups = [record.label for record in taken], [record.group for record in taken]
    say(f"{name}: cheap features")
    cheap = cheap_features([record.item for record in taken], modality)

    lines = []
    for shot in shots:
        say(f"{name}: {shot}-shot episodes")
        drawn = draw_episodes(labels, groups, ways=ways, shots=shot, queries=QUERIES, episodes=episodes, seed=seed)
        notes += [f"{shot}-shot: {note}" for note in drawn.notes]
        cells = {level: _cell(score_episodes(part, drawn, method=method)) for level, part in features.items()}
        baselines = {title: _cell(result, episodes) for title, result in score_baselines(cheap, drawn).items()}
        lines.append(Line(drawn.ways, shot, len(drawn), cells, baselines))

    zero, classes = _zero_shot(spark, features["language"], labels, labels_to_names or {}, notes)
    return Row(name, modality, tuple(lines), zero, classes, len(taken), tuple(notes))


def _recognised(item: Any) -> str:
    from ..modality import recognise

    return recognise(item).name


def _cell(result: Result, asked: int | None = None) -> Cell:
    fewer = asked is not None and result.episodes < asked
    return Cell(result.mean, result.interval, f"{result.episodes} episodes" if fewer else "")


def _zero_shot(
    spark: Embedder,
    features: Tensor,
    labels: Sequence[str],
    labels_to_names: Mapping[str, str | Sequence[str]],
    notes: list[str],
) -> tuple[Cell | None, int]:
    """Accuracy over the classes that have a name and an item, and how many these are."""
    names: dict[str, str] = {}
    for label in sorted(set(labels)):
        given = labels_to_names.get(label, ())
        first = given if isinstance(given, str) else next(iter(given), "")
        if first:
            names[label] = first
    unnamed = len(set(labels)) - len(names)
    if len(names) < 2:
        return None, 0
    if unnamed:
        notes.append(f"Zero-shot leaves out {unnamed} classes without a name.")
    rows = [i for i, label in enumerate(labels) if label in names]
    text = torch.as_tensor(spark.text(list(names.values()))).detach().float().cpu()
    judged = zero_shot(features[rows], text, [labels[i] for i in rows], list(names))
    note = f"macro F1 {100 * judged.macro_f1:.1f}, balanced {100 * judged.balanced:.1f}, ECE {100 * judged.ece:.1f}"
    return Cell(judged.accuracy, judged.interval, note), judged.classes
