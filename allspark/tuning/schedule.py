"""The optimiser's groups, the learning rate of each step, and the moving average of the weights."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

LEAST = 0.01  # of the highest rate, at the end


def rate(step: int, total: int, warmup: float) -> float:
    """The share of the highest rate at a step: linear warm-up, then half a cosine (Loshchilov and Hutter, ICLR 2017).

    Example:
        >>> [round(rate(step, 100, 0.1), 2) for step in (0, 9, 10, 55, 99)]
        [0.1, 1.0, 1.0, 0.5, 0.01]
    """
    rising = max(1, round(total * warmup)) if warmup else 0
    if step < rising:
        return (step + 1) / rising
    gone = (step - rising) / max(1, total - rising)
    return LEAST + (1 - LEAST) * 0.5 * (1 + math.cos(math.pi * min(gone, 1.0)))


def groups(model: nn.Module, lr: float, encoder_lr: float, decay: float) -> list[dict]:
    """AdamW's groups: weight decay on matrices alone, encoders that train as a whole at their own rate."""
    found: dict[tuple[bool, bool], list[nn.Parameter]] = defaultdict(list)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            whole_encoder = ".encoders." in name and "lora_" not in name
            found[whole_encoder, parameter.ndim > 1].append(parameter)
    return [
        {
            "params": parameters,
            "highest": encoder_lr if encoder else lr,
            "lr": encoder_lr if encoder else lr,
            "weight_decay": decay if matrix else 0.0,
        }
        for (encoder, matrix), parameters in found.items()
    ]


def set_rate(optimiser: torch.optim.Optimizer, share: float) -> None:
    """Every group at this share of its highest rate."""
    for group in optimiser.param_groups:
        group["lr"] = group["highest"] * share


class Average:
    """An exponential moving average of the weights that train (Polyak and Juditsky, 1992); off where ``decay`` is 0.

    The first steps are averaged over fewer, so that the start does not linger: d_t = min(decay, (1 + t) / (10 + t)).
    """

    def __init__(self, parameters: Sequence[nn.Parameter], decay: float) -> None:
        self.parameters, self.decay = list(parameters), decay
        self.tensors = [p.detach().clone() for p in self.parameters] if decay else []

    @torch.no_grad()
    def update(self, step: int) -> None:
        """After the optimiser's step number ``step`` (from 1)."""
        kept = min(self.decay, (1 + step) / (10 + step))
        for mean, parameter in zip(self.tensors, self.parameters):
            mean.lerp_(parameter.detach(), 1 - kept)

    @contextmanager
    @torch.no_grad()
    def applied(self) -> Iterator[None]:
        """The averaged weights in the model's place, for measuring and saving."""
        kept: list[Tensor] = [p.detach().clone() for p in self.parameters] if self.decay else []
        for mean, parameter in zip(self.tensors, self.parameters):
            parameter.copy_(mean)
        try:
            yield
        finally:
            for old, parameter in zip(kept, self.parameters):
                parameter.copy_(old)
