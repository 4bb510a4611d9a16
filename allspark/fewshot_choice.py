"""Which few-shot classifier to use, how much of the class names to mix in, and how sure it is: for E episodes at once.

`fit` solves several methods, weighs them by what each says of examples that it did not see, adds the class names' text
vectors where the same evidence asks for it, and keeps the held-out scores: they are what a threshold is chosen on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .fewshot_methods import METHODS, Solution, calibrate, choose, normalise
from .fewshot_span import Axes, spanned
from .fewshot_unlabelled import Examples

TEXT_SHARES = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0)  # the text scores' weight beside the examples' scores
ONE_SHOT_SHARE = 3  # of TEXT_SHARES, where the names say something of single examples


@dataclass(frozen=True)
class Fitted:
    """Classifiers of E episodes.

    Attributes:
        tried: names of the methods that were solved.
        solutions: one for each of them.
        index: (E,) which one each episode uses.
        temperature: (E,) what scores are divided by before the softmax.
        examples: what is kept of them for questions that are asked together.
        text: (E, K, D) text vectors times their weight; None without text.
        held_out: (E, K·S, K) scores of each support example without it, text included.
        usable: (E, K·S) bool, where ``held_out`` means something.
    """

    tried: tuple[str, ...]
    solutions: tuple[Solution, ...]
    index: Tensor
    temperature: Tensor
    examples: Examples
    text: Tensor | None
    held_out: Tensor
    usable: Tensor

    def probabilities(self, queries: Tensor) -> Tensor:
        """(E, N, D) -> (E, N, K), each query alone."""
        found = [
            METHODS[name].scores(queries, *solution[:3])
            for name, solution in zip(self.tried, self.solutions, strict=True)
        ]
        scores = torch.stack(found)[self.index, torch.arange(len(self.index))]
        if self.text is not None:
            scores = scores + text_scores(queries, self.text)
        return (scores / self.temperature[:, None, None]).softmax(-1)


def centred_text(text: Tensor) -> Tensor:
    """(..., K, D) text vectors -> unit vectors without their mean: what all class names share says nothing."""
    unit = normalise(text.double())
    return normalise(unit - unit.mean(-2, keepdim=True))


def text_scores(features: Tensor, vectors: Tensor) -> Tensor:
    """(..., N, D), (..., K, D) -> (..., N, K) cosines to prepared text vectors, times their weight."""
    return normalise(features.double()) @ vectors.double().transpose(-1, -2)


def turned_back(solution: Solution, axes: Axes | None) -> Solution:
    """A solution in the span of the examples -> in all D numbers."""
    if axes is None:
        return solution
    return solution._replace(shift=axes.back(solution.shift[:, None])[:, 0], weights=axes.back(solution.weights))


def fit(support: Tensor, mask: Tensor, tried: Sequence[str], text: Tensor | None = None) -> Fitted:
    """Solve, choose, mix and calibrate.

    Args:
        support: (E, K, S, D), padded to the longest class.
        mask: (E, K, S), True where there is an example.
        tried: names of `METHODS`; the first is the favourite.
        text: (E, K, D) text vectors of the classes in the features' space.
    """
    powers = {METHODS[name].power: METHODS[name].lift(support) for name in tried}
    spans = {power: spanned(x, mask) for power, x in powers.items()}
    solutions = tuple(
        turned_back(METHODS[name].solve(short, mask, support.shape[-1]), axes)
        for name in tried
        for short, axes in [spans[METHODS[name].power]]
    )
    calibrations = [
        calibrate(solution.held_out, solution.usable, METHODS[name].temperature)
        for name, solution in zip(tried, solutions, strict=True)
    ]
    index, episodes = choose(calibrations), torch.arange(len(support))
    temperature = torch.stack([one.temperature for one in calibrations])[index, episodes]
    held_out = torch.stack([solution.held_out for solution in solutions])[index, episodes]
    usable = torch.stack([solution.usable for solution in solutions])[index, episodes]
    weighted = None
    if text is not None:
        vectors = centred_text(text)
        prior = torch.tensor([METHODS[name].temperature for name in tried], dtype=torch.float64)[index]
        unit = prior / METHODS["centred"].temperature  # cosines, on each method's own scale
        known = text_scores(support.flatten(1, 2), vectors)
        mixed = [calibrate(held_out + (share * unit)[:, None, None] * known, usable, prior) for share in TEXT_SHARES]
        best = choose(mixed)
        # One shot leaves nothing out, but the names never saw the examples: do they know them better than chance?
        alone = calibrate(known * unit[:, None, None], mask.flatten(1), prior)
        single = torch.where(alone.loss < torch.log(torch.tensor(float(text.shape[1]))), ONE_SHOT_SHARE, 0)
        best = torch.where(usable.any(-1), best, single)
        temperature = torch.stack([one.temperature for one in mixed])[best, episodes]
        share = torch.tensor(TEXT_SHARES, dtype=torch.float64)[best] * unit
        weighted = vectors * share[:, None, None]
        held_out = held_out + share[:, None, None] * known
    examples = Examples.of(support, mask)
    return Fitted(tuple(tried), solutions, index, temperature, examples, weighted, held_out, usable)
