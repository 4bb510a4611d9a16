"""Which examples a step sees: one set of modalities on every rank, known from the seed and the step's number alone.

Nothing is kept between steps, so a resumed run draws what the uninterrupted one would have drawn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Kind = tuple[str, ...]


@dataclass(frozen=True)
class Step:
    """What one process sees in one step: the numbers of its examples, and the modalities that are kept of them."""

    rows: tuple[int, ...]
    modalities: Kind


class Plan:
    """The steps of every epoch.

    A step's examples all have the same modalities; each rank takes its own part of them. The last step of a kind is
    filled up with examples from its beginning, and one of fewer examples than ranks with copies, so that no rank is
    without; a step's examples are the same whatever the number of ranks among which a global batch is shared.

    Args:
        kinds: the modalities of each example.
        batch: examples per rank and step.
        world: ranks.
        rank: this one.
        seed: of the order.
        dropout: chance that a modality is left out of a step, where there are several; one always stays.
        weights: of drawing each example, with replacement; None takes each once per epoch.
        rows: the examples' numbers where they are not 0, 1, 2 and so on.

    Example:
        >>> plan = Plan([("rgb",)] * 5, batch=2)
        >>> len(plan), len(plan.epoch(0)[0].rows)
        (3, 2)
    """

    def __init__(
        self,
        kinds: Sequence[Kind],
        batch: int,
        *,
        world: int = 1,
        rank: int = 0,
        seed: int = 0,
        dropout: float = 0.0,
        weights: Sequence[float] | None = None,
        rows: Sequence[int] | None = None,
    ) -> None:
        self.batch, self.world, self.rank, self.seed, self.dropout = batch, world, rank, seed, dropout
        self.weights = None if weights is None else np.asarray(weights, dtype=np.float64)
        self.rows = list(range(len(kinds))) if rows is None else list(rows)
        self.members: dict[Kind, np.ndarray] = {
            kind: np.array([i for i, other in enumerate(kinds) if other == kind]) for kind in sorted(set(kinds))
        }
        self._size = sum(-(-len(rows) // (batch * world)) for rows in self.members.values())

    def __len__(self) -> int:
        return self._size

    @property
    def mixed(self) -> bool:
        """Whether steps differ in their modalities."""
        return len(self.members) > 1 or (self.dropout > 0 and any(len(kind) > 1 for kind in self.members))

    def epoch(self, number: int) -> list[Step]:
        """The steps of one epoch for this rank."""
        random = np.random.default_rng([self.seed, number])
        steps: list[Step] = []
        for kind, rows in self.members.items():
            order = self._order(rows, random)
            full = self.batch * self.world
            for first in range(0, len(order), full):
                chosen = order[first : first + full]
                wanted = full if len(order) >= full else self.world
                if len(chosen) < wanted:
                    chosen = np.concatenate([chosen, np.resize(order, wanted - len(chosen))])
                kept = self._kept(kind, random)
                steps.append(Step(tuple(self.rows[i] for i in chosen[self.rank :: self.world]), kept))
        return [steps[i] for i in random.permutation(len(steps))]

    def _order(self, rows: np.ndarray, random: np.random.Generator) -> np.ndarray:
        if self.weights is None:
            return random.permutation(rows)
        shares = self.weights[rows]
        return random.choice(rows, len(rows), p=shares / shares.sum())

    def _kept(self, kind: Kind, random: np.random.Generator) -> Kind:
        if len(kind) < 2 or self.dropout == 0:
            return kind
        stays = random.random(len(kind)) >= self.dropout
        if not stays.any():
            stays[random.integers(len(kind))] = True
        return tuple(name for name, stay in zip(kind, stays) if stay)


def class_shares(labels: Sequence[str]) -> list[float]:
    """Weights of drawing that make all classes equally frequent."""
    counts = Counter(labels)
    return [1.0 / counts[label] for label in labels]


def evenly(apart: Sequence[bool]) -> list[float]:
    """Weights of drawing that make two parts, the one and the other, equally frequent."""
    return class_shares([str(one) for one in apart])


def class_weights(counts: Sequence[float]) -> list[float]:
    """Weights of the loss by class: n / (K · n_k), so that their mean over the examples is 1."""
    total, classes = float(sum(counts)), len(counts)
    return [total / (classes * count) if count else 0.0 for count in counts]
