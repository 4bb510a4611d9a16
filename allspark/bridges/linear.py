"""The baseline bridge: the mean of the real tokens, projected."""

from __future__ import annotations

from torch import Tensor, nn

from .resampler import EMBEDDING_RMS


def masked_mean(features: Tensor, mask: Tensor | None) -> Tensor:
    """The mean of the real tokens: (B, N, D), (B, N) bool or None -> (B, D)."""
    if mask is None:
        return features.mean(1)
    weights = mask.to(features.dtype)[..., None]
    return (features * weights).sum(1) / weights.sum(1).clamp_min(1.0)


class LinearBridge(nn.Module):
    """Pool and project: (B, N, D) -> (B, Q, H), every query from its own linear map of the mean.

    Args:
        width: D, the encoder's width.
        language_width: H, the language model's width.
        queries: Q.
    """

    def __init__(self, width: int, language_width: int, *, queries: int = 1) -> None:
        super().__init__()
        self.queries = queries
        self.project = nn.Linear(width, queries * language_width)
        self.norm = nn.LayerNorm(language_width)
        self.set_loudness(EMBEDDING_RMS)

    def set_loudness(self, rms: float) -> None:
        """Make the outputs' root mean square that of the language model's embeddings, so that it hears them."""
        nn.init.constant_(self.norm.weight, rms)

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, N, D) and (B, N) bool -> (B, Q, H)."""
        return self.norm(self.project(masked_mean(features, mask)).unflatten(-1, (self.queries, -1)))
