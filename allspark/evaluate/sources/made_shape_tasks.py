"""Made few-shot tasks of point clouds: kinds of things that exist in one task alone.

The makers of ``made_clouds.py`` build a thing from random proportions and part counts. Here a class is a *kind*: one
maker with its own draws, from which every item of the kind departs a little. Two kinds of one task may be two sorts of
stool, or a stool and a crane, so what can be learned of all tasks together is how to describe a shape such that a few
examples tell *any* kinds apart (Bertinetto et al., ICLR 2019).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ...items import PointCloud
from .base import Entry, Source
from .made_clouds import FEWEST, MAKERS, MOST
from .made_series import ITEMS, classes_of, task_entries
from .made_shapes import VIEWS, sense

TASKS = 150
ALIKE = 0.75  # share of tasks whose kinds are of few makers

Array = np.ndarray


class Kin:
    """Stands in for a random generator: draws what the kind draws, and departs from it.

    Whatever decides on a branch or on a count (``integers``, ``choice``, a single ``random``) is the kind's own; what
    is measured (``uniform``, ``normal``, arrays) varies about it.

    Args:
        kind: seed of the kind.
        own: seed of the item.
        spread: how far an item departs, as a share of the range; 0 makes all items of a kind the same.
    """

    def __init__(self, kind: int, own: int, spread: float) -> None:
        self._kind, self._own = np.random.default_rng(kind), np.random.default_rng([own, 5])
        self._spread = spread

    def _share(self, size: Any) -> Any:
        """Numbers from 0 to 1, reflected at both ends."""
        moved = self._kind.random(size) + self._spread * self._own.normal(size=size)
        return 1 - np.abs(1 - np.abs(moved) % 2)

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any:
        """As of a generator."""
        size = np.broadcast(low, high).shape or None if size is None else size
        return low + (np.asarray(high) - low) * self._share(size)

    def random(self, size: Any = None) -> Any:
        """As of a generator."""
        return self._kind.random() if size is None else self._share(size)

    def normal(self, loc: Any = 0.0, scale: Any = 1.0, size: Any = None) -> Any:
        """As of a generator."""
        own = min(1.0, 2 * self._spread)
        return loc + scale * (
            (1 - own**2) ** 0.5 * self._kind.normal(size=size) + own * self._own.normal(size=size)
        )

    def integers(self, low: Any, high: Any = None, size: Any = None) -> Any:
        """As of a generator."""
        return self._kind.integers(low, high, size)

    def choice(self, values: Any, *args: Any, **more: Any) -> Any:
        """As of a generator."""
        return self._kind.choice(values, *args, **more)

    def dirichlet(self, alpha: Any, size: Any = None) -> Any:
        """As of a generator."""
        return self._kind.dirichlet(alpha, size)


def _item(number: int, place: int) -> PointCloud:
    rng = np.random.default_rng(41_000_007 + number)
    names = list(MAKERS)
    classes = classes_of(number)
    few = rng.choice(len(names), int(rng.integers(1, 3)) if rng.random() < ALIKE else classes, replace=False)
    makers = [names[int(few[k % len(few)])] for k in range(classes)]
    spread, views = rng.uniform(0.03, 0.2), list(VIEWS)
    view = "model" if rng.random() < 0.5 else views[int(rng.integers(1, len(views)))]
    k, seed = place // ITEMS, 43_000_003 + number * 1_009 + place
    kin: Any = Kin(47_000_009 + number * 31 + k, seed, spread)
    own = np.random.default_rng(seed)
    return sense(MAKERS[makers[k]](kin), view, int(own.integers(FEWEST, MOST + 1)), own)


def made(path: Path) -> Iterator[Entry]:
    """The same tasks on every machine. Nothing is read from the data folder."""
    yield from task_entries(TASKS, _item)


MADE = Source(
    name="made_shape_tasks", modality="point_cloud", files=(), scan=made, labels={}, role="train", task="episodes",
    licence="Apache-2.0", citation="made here from parametric surfaces",
)  # fmt: skip
SOURCES = (MADE,)
