"""What every encoder is: a module that turns one modality's tensors into tokens."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor, nn


class Tokens(NamedTuple):
    """What an encoder emits.

    Attributes:
        features: (B, N, D).
        mask: (B, N) bool, True where a token is real; None where all are.
        grid: (h, w) with h · w = N where tokens lie on a grid in row-major order; dense heads need it.
    """

    features: Tensor
    mask: Tensor | None = None
    grid: tuple[int, int] | None = None


class Encoder(nn.Module, ABC):
    """The only abstract class of the package. ``width`` is D; no weights are loaded in ``__init__``."""

    width: int

    @abstractmethod
    def forward(self, **inputs: Tensor) -> Tokens:
        """One collated batch of this modality -> its tokens."""
