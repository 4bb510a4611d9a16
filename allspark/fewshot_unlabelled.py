"""Few-shot answers that look at all asked items at once: unlabelled items show where the classes lie.

Soft k-means from the examples (Ren et al., "Meta-learning for semi-supervised few-shot classification", ICLR 2018):
each round, every item counts towards the classes by its probabilities, and each class's centre moves to the items that
are likely its own. Four things keep it from running away from the examples: the centre that is subtracted is that of
the examples alone, which does not move with how frequent the classes are; an item counts by the square of its
probability, so that unsure ones move little, which matters where a class does not occur; a sure one counts half of an
example, and all items of a class at most ``MOST`` times its examples; and what the classifier said of each item stays
in the sum. How sure a difference of cosines makes depends on how far they differ at all: those of words, in thousands
of numbers, lie within hundredths of each other, those of an encoder's features within tenths.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from .fewshot_methods import normalise

ROUNDS = 5
SHARE = 0.5  # of an example, that a sure item counts
MOST = 4.0  # times a class's examples, that its unlabelled items count together
WIDTH = 0.3  # temperature of cosines while centres move, over how much an item's cosines to the classes differ
HOTTEST = 0.6  # of those temperatures
PRIOR = 1.0  # weight of the classifier's own logarithms, where held-back examples told how sure it may be
SINGLE_PRIOR = 0.3  # the same from single examples, of which none can be held back
SOFTER = 2.5  # the answer's temperature over that of the rounds: those are surer than they are right


@dataclass(frozen=True)
class Examples:
    """What is kept of the examples of E episodes of K classes.

    Attributes:
        centre: (E, D) mean of the examples' unit vectors.
        sums: (E, K, D) of unit vectors about it.
        counts: (E, K) examples.
    """

    centre: Tensor
    sums: Tensor
    counts: Tensor

    @classmethod
    def of(cls, support: Tensor, mask: Tensor) -> Examples:
        """From (E, K, S, D) examples, padded to the longest class, and (E, K, S) which of them are real."""
        real = mask[..., None]
        unit = normalise(support.double())
        if not bool(mask.all()):
            unit = unit * real
        counts = mask.sum(-1).double()
        # the mean of the classes' means: classes with more examples do not pull it
        centre = (unit.sum(2) / counts[..., None].clamp_min(1)).mean(1)
        return cls(centre, (normalise(unit - centre[:, None, None]) * real).sum(2), counts)

    def tensors(self) -> dict[str, Tensor]:
        """By name, of the only episode."""
        return {"centre": self.centre[0], "sums": self.sums[0], "counts": self.counts[0]}

    @classmethod
    def read(cls, tensors: Mapping[str, Tensor]) -> Examples:
        """From what `tensors` gave.

        Raises:
            ValueError: they are not there: the classifier was saved by an older version.
        """
        if not {"centre", "sums", "counts"} <= set(tensors):
            raise ValueError("this classifier was saved without its examples' sums; fit it again")
        return cls(*(tensors[name].double()[None] for name in ("centre", "sums", "counts")))

    def refined(self, queries: Tensor, probabilities: Tensor, real: Tensor | None = None) -> Tensor:
        """Probabilities of items that were asked together.

        Args:
            queries: (E, N, D) features.
            probabilities: (E, N, K) by the classifier, each item alone.
            real: (E, N) bool, False where a row is padding; None where none is.

        Returns:
            (E, N, K).
        """
        unit = normalise(normalise(queries.double()) - self.centre[:, None])
        if real is not None:
            unit = unit * real[..., None]
        weight = torch.where(self.counts.amax(-1) > 1, PRIOR, SINGLE_PRIOR)[:, None, None]
        known = weight * probabilities.double().clamp_min(1e-12).log()
        # spread of an item's cosines over the classes, root mean square over the items
        first = (unit @ normalise(self.sums).transpose(1, 2)).var(-1, correction=0)  # (E, N)
        mean = first.mean(1) if real is None else (first * real).sum(1) / real.sum(1).clamp(min=1)
        heat = (WIDTH * mean.sqrt()).clamp(1e-6, HOTTEST)[:, None, None]
        likely, scores = probabilities.double(), known
        for _ in range(ROUNDS):
            sure = likely.square() if real is None else likely.square() * real[..., None]
            share = (MOST * self.counts / sure.sum(1).clamp_min(1e-9)).clamp_max(SHARE)  # (E, K)
            centres = normalise(self.sums + share[..., None] * (sure.transpose(1, 2) @ unit))
            scores = unit @ centres.transpose(1, 2) / heat + known
            likely = scores.softmax(-1)
        return (scores / SOFTER).softmax(-1)
