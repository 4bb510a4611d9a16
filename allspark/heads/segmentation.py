"""Dense classes: a linear layer over every token, joined with the pooled vector's view of the whole."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from ..encoders.base import Tokens


class SegmentationHead(nn.Module):
    """Tokens (B, N, D) and pooled (B, H) -> (B, K, N) logits, or (B, K, h, w) where tokens lie on a grid.

    Args:
        language_width: H.
        labels: the K class names.
        width: D, the encoder's width.
        window: metres of the squares that clouds are cut into; 0 for whole ones. Kept here because answers must be
            read as they were learnt.
    """

    def __init__(self, language_width: int, *, labels: Sequence[str], width: int, window: float = 0.0) -> None:
        super().__init__()
        self.window = window
        if len(labels) < 2:
            raise ValueError(f"a segmentation head came with {len(labels)} labels; wanted at least 2")
        self.tokens = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, len(labels)))
        self.whole = nn.Linear(language_width, len(labels))

    def forward(self, pooled: Tensor, tokens: Tokens) -> Tensor:
        """(B, H) and Tokens -> (B, K, N) or (B, K, h, w) logits."""
        logits = (self.tokens(tokens.features) + self.whole(pooled)[:, None]).transpose(1, 2)  # (B, K, N)
        return logits if tokens.grid is None else logits.unflatten(-1, tokens.grid)

    def loss(self, output: Tensor, target: Tensor, *, weight: Tensor | None = None, smoothing: float = 0.0) -> Tensor:
        """Cross-entropy against (B, N) classes, or (B, H', W') pixels to which a grid is enlarged; -100 is left out.

        ``weight`` (K,) makes it a weighted mean over the places; ``smoothing`` is shared among all classes.
        """
        if output.ndim == 4 and output.shape[-2:] != target.shape[-2:]:
            output = F.interpolate(output, size=target.shape[-2:], mode="bilinear", align_corners=False)
        return F.cross_entropy(output, target, weight=weight, label_smoothing=smoothing)
