"""Soft prompts: a few learned vectors per modality that stand before its bridge tokens."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..bridges.resampler import EMBEDDING_RMS


class SoftPrompts(nn.Module):
    """S learned vectors of the language model's width for every modality (Lester et al., EMNLP 2021).

    Args:
        modalities: names.
        length: S, 0 for none.
        language_width: H.
    """

    def __init__(self, modalities: Sequence[str], length: int, language_width: int) -> None:
        super().__init__()
        self.length = length
        self.vectors = nn.ModuleDict({name: nn.Embedding(length, language_width) for name in modalities if length})
        self.set_loudness(EMBEDDING_RMS)

    def set_loudness(self, rms: float) -> None:
        """Draw the vectors anew with the root mean square of the language model's embeddings."""
        for vectors in self.vectors.values():
            nn.init.normal_(vectors.get_parameter("weight"), std=rms)

    def forward(self, modality: str, tokens: Tensor) -> Tensor:
        """The modality's vectors before its bridge tokens: (B, Q, H) -> (B, S + Q, H)."""
        if not self.length:
            return tokens
        vectors = self.vectors.get_submodule(modality).get_parameter("weight").to(tokens.dtype)
        return torch.cat([vectors.expand(len(tokens), -1, -1), tokens], dim=1)
