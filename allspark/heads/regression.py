"""One linear layer over the pooled vector, with the targets' scale kept beside the weights."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ..encoders.base import Tokens


class RegressionHead(nn.Module):
    """(B, H) -> (B, K) numbers in the targets' own units.

    Args:
        language_width: H.
        targets: K.
        mean: the targets' mean on the training part.
        std: their standard deviation; training works on (target - mean) / std.
    """

    def __init__(self, language_width: int, *, targets: int = 1, mean: float = 0.0, std: float = 1.0) -> None:
        super().__init__()
        if std <= 0:
            raise ValueError(f"a regression head came with std={std}; wanted a positive number")
        self.linear = nn.Linear(language_width, targets)
        self.mean, self.std = float(mean), float(std)

    def forward(self, pooled: Tensor, tokens: Tokens | None = None) -> Tensor:
        """(B, H) -> (B, K)."""
        return self.linear(pooled) * self.std + self.mean

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Mean squared error in units of the targets' standard deviation; NaN targets are left out."""
        known = target.isfinite()
        return F.mse_loss((output / self.std)[known], (target / self.std)[known])
