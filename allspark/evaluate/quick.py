"""One source through everything: features of every level, cheap baselines, zero-shot, linear probe; out comes a row."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ..classifying import beside
from .baselines import cheap_features, score_baselines
from .draw import Episodes, draw_episodes
from .episodes import Result, score_episodes
from .probe import linear_probe
from .report import AT_ONCE, CHEAP_AT_ONCE, LEVELS, NAMED, PROBE, TOGETHER, Cell, Line, Row
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

    def embed_levels(self, inputs: Any, *, modality: str | None = None) -> Mapping[str, Any]:
        """N items -> (N, D) at each of `LEVELS`, NaN rows where an item could not be read."""

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
    probe: bool = True,
    progress: Callable[[str], None] | None = None,
) -> Row:
    """Judge a model on one source beside the cheap baselines, all on the same episodes.

    Args:
        spark: a model with ``embed_levels`` and ``text``.
        records: labelled items; those without a label are left out, and of each class at most 300 are taken.
        labels_to_names: class id -> its name or names, of which the first is used for zero-shot; classes that it lacks
            or has no name for take no part in zero-shot.
        ways: classes per episode.
        shots: support items per class, one line of the row for each.
        episodes: per protocol.
        seed: of the subsample and of the episodes.
        name: of the source, in the row.
        modality: of the items; recognised from the first where it is not given.
        method: of `FewShot` for the model's own features.
        probe: a linear probe as well, where the groups allow two halves.
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

    start = time.perf_counter()
    found = spark.embed_levels([record.item for record in taken], modality=None if paired else modality)
    features = {level: torch.as_tensor(found[level]).detach().float().cpu() for level in LEVELS}
    say(f"{name}: {len(taken)} items at every level in {time.perf_counter() - start:.0f} s")
    whole = torch.stack([vectors.isfinite().all(-1) for vectors in features.values()]).all(0)
    if not bool(whole.all()):
        notes.append(f"{int((~whole).sum())} items could not be embedded and were left out.")
        features = {level: vectors[whole] for level, vectors in features.items()}
        taken = [record for record, good in zip(taken, whole.tolist(), strict=True) if good]
    labels, groups = [record.label for record in taken], [record.group for record in taken]
    say(f"{name}: cheap features")
    cheap = cheap_features([record.item for record in taken], modality)
    names = first_names(labels, labels_to_names or {})
    text = torch.as_tensor(spark.text(list(names.values()))).detach().float().cpu() if len(names) > 1 else None
    lines, zero, said = judge(
        features, cheap, labels, groups, names, text, ways=ways, shots=shots, episodes=episodes, seed=seed,
        method=method, probe=probe, progress=lambda words: say(f"{name}: {words}"),
    )  # fmt: skip
    return Row(name, modality, lines, zero, len(names) if zero else 0, len(taken), (*notes, *said))


def judge(
    features: Mapping[str, Tensor],
    cheap: Mapping[str, np.ndarray],
    labels: Sequence[str],
    groups: Sequence[Hashable],
    names: Mapping[str, str],
    text: Tensor | None,
    *,
    ways: int,
    shots: Sequence[int],
    episodes: int,
    seed: int,
    method: str,
    probe: bool,
    progress: Callable[[str], None],
) -> tuple[tuple[Line, ...], Cell | None, list[str]]:
    """Features that are there already -> the lines of a row, zero-shot, and notes.

    Args:
        features: level of `LEVELS` -> (N, D).
        cheap: baseline name -> (N, D).
        labels: N class ids.  groups: N.
        names: class id -> its name, of the classes that have one.
        text: (len(names), H) their text vectors; None for none.
    """
    features = {**features, TOGETHER: _together(features)}
    lines, notes = [], []
    for shot in shots:
        progress(f"{shot}-shot episodes")
        drawn = draw_episodes(labels, groups, ways=ways, shots=shot, queries=QUERIES, episodes=episodes, seed=seed)
        notes += [f"{shot}-shot: {note}" for note in drawn.notes]
        cells = {level: _cell(score_episodes(part, drawn, method=method)) for level, part in features.items()}
        if text is not None and set(drawn.labels) <= set(names):
            rows = beside(_in_order(text, names, drawn), ("encoder", "language"), features[TOGETHER].shape[1])
            cells[NAMED] = _cell(score_episodes(features[TOGETHER], drawn, method=method, text=rows))
        cells |= _at_once(features["encoder"], cheap, drawn, method)
        baselines = {title: _cell(result) for title, result in score_baselines(cheap, drawn).items()}
        lines.append(Line(drawn.ways, shot, len(drawn), cells, baselines))
    if probe:
        progress(PROBE)
        line, said = _probe_line(features, cheap, labels, groups, seed)
        lines += [line] if line else []
        notes += said
    zero = None
    if text is not None:
        unnamed = len(set(labels)) - len(names)
        if unnamed:
            notes.append(f"Zero-shot leaves out {unnamed} classes without a name.")
        rows_named = [i for i, label in enumerate(labels) if label in names]
        judged = zero_shot(features["language"][rows_named], text, [labels[i] for i in rows_named], list(names))
        shares = (100 * value for value in (judged.macro_f1, judged.balanced, judged.ece))
        words = "macro F1 {:.1f}, balanced {:.1f}, ECE {:.1f}".format(*shares)
        zero = Cell(judged.accuracy, judged.interval, words)
    return tuple(lines), zero, notes


def _at_once(encoder: Tensor, cheap: Mapping[str, np.ndarray], drawn: Episodes, method: str) -> dict[str, Cell]:
    """The encoder and the best cheap baseline, all questions of an episode answered together."""
    cells = {AT_ONCE: _cell(score_episodes(encoder, drawn, method=method, transductive=True))}
    found = score_baselines(cheap, drawn, transductive=True)
    if found:
        title, best = max(found.items(), key=lambda pair: pair[1].mean)
        cells[CHEAP_AT_ONCE] = Cell(best.mean, best.interval, title)
    return cells


def _together(features: Mapping[str, Tensor]) -> Tensor:
    """Unit vectors of encoder and language side by side: (N, D + H)."""
    parts = (torch.nn.functional.normalize(features[level], dim=-1) for level in ("encoder", "language"))
    return torch.cat(list(parts), dim=-1)


def _in_order(text: Tensor, names: Mapping[str, str], drawn: Episodes) -> Tensor:
    """The text vectors in the order of the episodes' labels."""
    order = list(names)
    return text[[order.index(label) for label in drawn.labels]]


def half_split(labels: Sequence[str], groups: Sequence[Hashable], seed: int) -> tuple[np.ndarray, np.ndarray] | None:
    """The numbers of a training and a test half that share no group, of classes that stand on both sides.

    None where fewer than two classes do.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    number = {key: i for i, key in enumerate(dict.fromkeys(groups))}
    keys, names = np.array([number[key] for key in groups]), np.array(labels)
    if len(number) < 4:
        return None
    folds = StratifiedGroupKFold(2, shuffle=True, random_state=seed).split(np.zeros((len(names), 1)), names, keys)
    train, test = next(iter(folds))
    both = set(names[train]) & set(names[test])
    train, test = (part[np.isin(names[part], list(both))] for part in (train, test))
    return (train, test) if len(both) > 1 else None


def _probe_line(
    features: Mapping[str, Tensor],
    cheap: Mapping[str, np.ndarray],
    labels: Sequence[str],
    groups: Sequence[Hashable],
    seed: int,
) -> tuple[Line | None, list[str]]:
    split = half_split(labels, groups, seed)
    if split is None:
        return None, ["Linear probe left out: the groups do not make two halves with two classes in each."]
    train, test = split
    names = np.array(labels)

    def cell(values: Any) -> Cell:
        table = np.asarray(values)
        kept = [groups[i] for i in train]
        found = linear_probe(table[train], names[train], table[test], names[test], groups=kept, seed=seed)
        words = f"macro F1 {100 * found.macro_f1:.1f}, balanced {100 * found.balanced:.1f}, C {found.strength:g}"
        return Cell(found.accuracy, found.interval, words)

    cells = {level: cell(values) for level, values in features.items()}
    baselines = {f"{title}, linear probe": cell(values) for title, values in cheap.items()}
    line = Line(len(set(names[train])), 0, 0, cells, baselines, task=PROBE)
    return line, [f"Linear probe: {len(train)} items train, {len(test)} are tested."]


def _recognised(item: Any) -> str:
    from ..modality import recognise

    return recognise(item).name


def _cell(result: Result) -> Cell:
    words = f"ECE {100 * result.ece:.1f}, surer half {100 * result.half:.1f}"
    return Cell(result.mean, result.interval, words)


def first_names(labels: Sequence[str], labels_to_names: Mapping[str, str | Sequence[str]]) -> dict[str, str]:
    """Class id -> the first of its names, of the classes that occur and have one."""
    names: dict[str, str] = {}
    for label in sorted(set(labels)):
        given = labels_to_names.get(label, ())
        first = given if isinstance(given, str) else next(iter(given), "")
        if first:
            names[label] = first
    return names
