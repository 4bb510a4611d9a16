"""One linear layer over the pooled vector, as AllSpark's heads are (TGRS 2025)."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from ..encoders.base import Tokens


class ClassificationHead(nn.Module):
    """(B, H) -> (B, K) logits.

    Args:
        language_width: H.
        labels: the K class names, kept in ``config.heads[name]["labels"]``.
        norm: bring the pooled vector to mean 0 and variance 1 first. A bridge's vectors are as quiet as the embeddings
            of words, some hundredths, from which a linear layer would learn slowly.
    """

    def __init__(self, language_width: int, *, labels: Sequence[str], norm: bool = False) -> None:
        super().__init__()
        if len(labels) < 2:
            raise ValueError(f"a classification head came with {len(labels)} labels; wanted at least 2")
        self.norm = norm
        self.linear = nn.Linear(language_width, len(labels))

    def forward(self, pooled: Tensor, tokens: Tokens | None = None) -> Tensor:
        """(B, H) -> (B, K) logits."""
        return self.linear(F.layer_norm(pooled, pooled.shape[-1:], eps=1e-8) if self.norm else pooled)

    def loss(self, output: Tensor, target: Tensor, *, weight: Tensor | None = None, smoothing: float = 0.0) -> Tensor:
        """Cross-entropy of (B, K) logits against (B,) class numbers; -100 is left out.

        ``weight`` (K,) makes it a weighted mean over the rows; ``smoothing`` is shared among all classes.
        """
        return F.cross_entropy(output, target, weight=weight, label_smoothing=smoothing)
