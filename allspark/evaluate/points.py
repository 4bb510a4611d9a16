"""A row of the league per point: what is a single point of an airborne cloud, known only from what lies around it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import modality as modalities
from ..dense import point_vectors
from ..items import PointCloud
from ..segmentation import to_points
from ..vectors import LEVELS, token_vectors
from .cheap_images import standardise
from .cheap_shapes import point_statistics
from .quick import first_names, judge
from .report import Row
from .sources import SOURCES
from .sources.clouds import labelled_cells

CELLS = 60  # cells of the test tiles that are looked at, drawn with the seed
EACH = 8  # points of a class in a cell
MODALITY = "point_cloud"


def point_row(
    spark: Any,
    data: Path | str,
    *,
    name: str,
    limit: int,
    episodes: int,
    seed: int,
    progress: Callable[[str], None] | None = None,
) -> Row:
    """Few-shot episodes over points: a cell's tokens are spread to its points; a cell is a group.

    Args:
        spark: an ``AllSpark``.
        data: the folder of the sources.
        name: of the row.
        limit: eight times as many points of a class at most, since a cell gives eight.
        episodes: per protocol.
        seed: of cells, points and episodes.
        progress: told what comes next.
    """
    say = progress or (lambda words: None)
    source = SOURCES["ign_lidarhd"]
    generator = np.random.default_rng(seed)
    cells = list(labelled_cells(Path(data), "test"))
    cells = [cells[i] for i in np.sort(generator.permutation(len(cells))[:CELLS])]
    vectors: dict[str, list[np.ndarray]] = {level: [] for level in LEVELS}
    cheap, labels, groups = [], [], []
    counts: dict[str, int] = {}
    for cloud, names, group in cells:
        chosen: list[int] = []
        for label in sorted(set(names) - {""}):
            free = max(0, limit * EACH - counts.get(label, 0))
            picked = generator.permutation(np.flatnonzero(names == label))[: min(EACH, free)]
            counts[label] = counts.get(label, 0) + len(picked)
            chosen += picked.tolist()
        if not chosen:
            continue
        for level, values in _at_points(spark, cloud, np.array(chosen)).items():
            vectors[level].append(values)
        cheap.append(point_statistics(cloud, np.array(chosen)))
        labels += [str(names[i]) for i in chosen]
        groups += [group] * len(chosen)
    say(f"{name}: {len(labels)} points of {len(cheap)} cells")
    features = {level: torch.from_numpy(np.concatenate(parts)) for level, parts in vectors.items()}
    named = first_names(labels, source.labels)
    lines, zero, notes = judge(
        features, {"point neighbourhood statistics": standardise(np.concatenate(cheap))}, labels, groups, named,
        spark.text(list(named.values())).float().cpu(), ways=5, shots=(1, 5), episodes=episodes, seed=seed,
        method="auto", probe=True, progress=lambda words: say(f"{name}: {words}"),
    )  # fmt: skip
    return Row(name, MODALITY, lines, zero, len(named) if zero else 0, len(labels), tuple(notes))


@torch.inference_mode()
def _at_points(spark: Any, cloud: PointCloud, chosen: np.ndarray) -> dict[str, np.ndarray]:
    """Level -> (M, ·): the tokens' vectors, spread to the chosen points, as ``segment`` learns from them."""
    batch = spark._batch([spark.processor.prepare({MODALITY: cloud})])
    tokens = spark.model.encode(MODALITY, batch["inputs"][MODALITY])
    record, settings = modalities.get(MODALITY), spark.processor.inputs[MODALITY]
    found = {}
    for level in LEVELS:
        values = token_vectors(spark.model, spark.processor, MODALITY, tokens.features, level)[0].float().cpu()
        of = None if level == "bridge" else point_vectors(spark, MODALITY, cloud, values, level)
        if of is not None:
            found[level] = of(chosen).cpu().numpy()
            continue
        found[level] = to_points(values, record, cloud, settings).T[torch.from_numpy(chosen)].numpy()
    return found
