"""K possible futures of a moving thing, each with its probability (as TUTR, Shi et al., ICCV 2023, predicts them)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..encoders.base import Tokens

CHOICE = 0.1  # weight of the cross-entropy


class TrajectoryHead(nn.Module):
    """(B, H) -> K futures of T steps in metres from the last fix, and their logits: (B, K, 2 T + 1).

    Args:
        language_width: H.
        steps: T.
        modes: K.
        scale: metres that one unit of the network's output means.
        observe: fixes that are seen before; kept here because answers must be read as they were learnt.
        onward: futures are deviations from walking on as in the last seen step, which whoever reads them adds.
        step: this step is the first axis of the frame that futures are told in, not the way from the first fix.
    """

    def __init__(
        self, language_width: int, *, steps: int = 12, modes: int = 20, scale: float = 1.0, observe: int = 8,
        onward: bool = False, step: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.observe, self.onward, self.step = observe, onward, step
        self.steps, self.modes, self.scale = steps, modes, scale
        self.size = modes * (2 * steps + 1)  # numbers of an answer
        self.mode = nn.Embedding(modes, language_width)
        self.futures = nn.Sequential(
            nn.LayerNorm(language_width),
            nn.Linear(language_width, language_width),
            nn.GELU(),
            nn.Linear(language_width, 2 * steps + 1),
        )

    def forward(self, pooled: Tensor, tokens: Tokens | None = None) -> Tensor:
        """(B, H) -> (B, K, 2 T + 1): T displacements in metres, flattened, then the future's logit."""
        return self.in_metres(self.futures(pooled[:, None] + self.mode.weight))

    def in_metres(self, out: Tensor) -> Tensor:
        """(B, K, 2 T + 1) of a network, or that flattened, -> the same as ``forward`` gives."""
        out = out.unflatten(-1, (self.modes, 2 * self.steps + 1)) if out.ndim == 2 else out
        return torch.cat([out[..., :-1] * self.scale, out[..., -1:]], dim=-1)

    def loss(self, output: Tensor, target: Tensor) -> Tensor:
        """Mean distance of the nearest future to (B, T, 2) metres, in units of ``scale``, and a little cross-entropy.

        The distance is the one that is measured (ADE); its square would serve the few who turn round at once. Choosing
        the future weighs little, because it moves the same layers.
        """
        futures = output[..., :-1].unflatten(-1, (self.steps, 2))  # (B, K, T, 2)
        distance = (futures - target[:, None]).norm(dim=-1).mean(-1)  # (B, K)
        nearest, best = distance.min(1)
        return nearest.mean() / self.scale + CHOICE * F.cross_entropy(output[..., -1], best)
