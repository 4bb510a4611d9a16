"""The life of the ranks: learn under a budget, round, freeze, merge (UniSTD, arXiv 2503.20748; see ``ra_moe``)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from .ra_moe import RankAdaptiveMoE


def mixtures(model: nn.Module) -> Iterator[tuple[str, RankAdaptiveMoE]]:
    """(name, layer) of every RA-MoE layer of a model."""
    for name, module in model.named_modules():
        if isinstance(module, RankAdaptiveMoE):
            yield name, module


def total_rank(model: nn.Module) -> Tensor:
    """Σ r over every expert of every layer: a scalar that gradients flow through."""
    return torch.stack([layer.ranks.sum() for _, layer in mixtures(model)]).sum()


@torch.no_grad()
def budget_step(model: nn.Module, budget: float, most: float) -> None:
    """A proximal step of the budget term |C − Σ r|: all ranks move alike towards the budget, never beyond it.

    Apart from the optimiser's step, as AdamW keeps weight decay apart: the term's gradient is the same for every rank
    and, early on, ten thousand times that of the task's loss (seen: 1e-3 against 1e-8); through Adam, which divides by
    the gradient's size, nothing of the loss would be left to tell one rank from another.

    Args:
        model: with at least one RA-MoE layer.
        budget: C, the wanted sum of ranks.
        most: that any rank may move.
    """
    layers = [layer for _, layer in mixtures(model)]
    excess = float(total_rank(model)) - budget
    each = min(abs(excess) / sum(layer.experts for layer in layers), most)
    for layer in layers:
        layer.ranks.sub_(each if excess > 0 else -each)


def learning_ranks(model: nn.Module) -> list[nn.Parameter]:
    """The ranks that still learn: they want a learning rate of their own, for they must move by whole units."""
    return [layer.ranks for _, layer in mixtures(model) if layer.ranks.requires_grad]


@torch.no_grad()
def clamp_ranks(model: nn.Module) -> None:
    """Back into [0, R] after an optimiser's step: beyond R the mask, and with it the gradient, would be flat."""
    for _, layer in mixtures(model):
        layer.ranks.clamp_(0, layer.max_rank)


@torch.no_grad()
def freeze_ranks(model: nn.Module) -> None:
    """Round every rank to the nearest integer (halves upwards) and stop it from learning."""
    for _, layer in mixtures(model):
        layer.ranks.copy_((layer.ranks + 0.5).floor().clamp(0, layer.max_rank))
        layer.ranks.requires_grad_(False)
        layer.adaptive = False


def merge(model: nn.Module) -> int:
    """Fold every layer of one expert and a frozen rank into its linear layer, in place; how many were folded."""
    folded = [(name, layer) for name, layer in mixtures(model) if layer.experts == 1 and not layer.ranks.requires_grad]
    for name, layer in folded:
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, layer.merged())
    return len(folded)


def rank_table(model: nn.Module) -> dict[str, list[float]]:
    """Layer name -> the ranks of its experts, for reports and pictures."""
    return {name: layer.ranks.detach().tolist() for name, layer in mixtures(model)}
