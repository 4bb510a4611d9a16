"""The temporal module of UniSTD (arXiv 2503.20748): a gate over channels, in which time lies folded.

Time was folded into channels by the stem, so a map from channels to channels mixes time steps. The module squeezes the
tokens to their mean, passes it through a small FFN with rank-adaptive experts, and adds a gate to every token:

    h ← h + 2 σ(W₂ φ(RA-MoE(mean_N h))) − 1

W₂ starts at zero. With the plain sigmoid of the paper's digests the gate would start at ½; 2σ(0) − 1 = 0 starts as the
identity, which a frozen trunk needs.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from .ra_moe import RankAdaptiveMoE


class TemporalModule(nn.Module):
    """Mean over tokens -> FFN with RA-MoE -> a gate that is added to every token.

    Args:
        width: D.
        ratio: D over the FFN's hidden width (the paper's 6).
        experts: of the RA-MoE on the FFN's first layer.
        max_rank: columns of each expert.
        rank: of each expert at the start.
        adaptive: do the ranks learn?
    """

    def __init__(
        self, width: int, ratio: int = 6, experts: int = 2, max_rank: int = 8, rank: float = 4.5, adaptive: bool = True
    ) -> None:
        super().__init__()
        hidden = max(width // ratio, 1)
        self.fc1 = RankAdaptiveMoE(nn.Linear(width, hidden), experts, max_rank, rank, adaptive)
        self.fc2 = nn.Linear(hidden, width)
        nn.init.zeros_(self.fc2.weight)
        nn.init.zeros_(self.fc2.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        gate = 2 * self.fc2(F.gelu(self.fc1(x.mean(1)))).sigmoid() - 1  # (B, D)
        return x + gate[:, None]
