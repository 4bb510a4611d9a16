"""Learning from what has no label: a model that is sure of an item should say the same of it however it is augmented.

The loss is that of GRAND (Feng et al., NeurIPS 2020), with the sharpening of MixMatch (Berthelot et al., NeurIPS 2019):
the probabilities of an item's augmented views are drawn to their mean, made surer.
"""

from __future__ import annotations

from torch import Tensor

VIEWS = 2  # of an item in a batch
SURER = 2  # power of the mean probabilities: a temperature of a half


def disagreement(logits: Tensor) -> Tensor:
    """Mean squared distance of the views' probabilities from what all views together are surest of.

    Args:
        logits: (VIEWS · B, K), or (VIEWS · B, K, 2) where head and road learn apart; all items, then all again.

    Returns:
        A scalar; no gradient goes through the mean.
    """
    chances = logits.softmax(1).unflatten(0, (VIEWS, -1))  # (VIEWS, B, K, …)
    surest = chances.mean(0).detach() ** SURER
    surest = surest / surest.sum(1, keepdim=True)
    return (chances - surest).square().sum(2).mean()
