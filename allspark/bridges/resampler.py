"""The modal bridge: learned queries read a modality's tokens and leave as language-model embeddings.

A Perceiver resampler (Alayrac et al., Flamingo, NeurIPS 2022, §3.1.1; Jaegle et al., Perceiver, ICML 2021) with keys
and values from the modality's tokens alone, as the bridge of Lynx, on which AllSpark (TGRS 2025) builds.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

EMBEDDING_RMS = 0.05  # of a fresh embedding table; `set_loudness` takes that of the language model at hand


class CrossAttention(nn.Module):
    """Queries attend to tokens; masked tokens are never seen.

    Args:
        width: D of queries and tokens.
        heads: attention heads; must divide ``width``.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm_queries = nn.LayerNorm(width)
        self.norm_tokens = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, queries: Tensor, tokens: Tensor, mask: Tensor | None) -> Tensor:
        """(B, Q, D), (B, N, D), (B, N) -> (B, Q, D)."""
        split = lambda x: x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # noqa: E731  (B, heads, N, D / heads)
        tokens = self.norm_tokens(tokens)
        read = F.scaled_dot_product_attention(
            split(self.query(self.norm_queries(queries))),
            split(self.key(tokens)),
            split(self.value(tokens)),
            attn_mask=None if mask is None else mask[:, None, None, :],
        )
        return self.out(read.transpose(1, 2).flatten(-2))


class Resampler(nn.Module):
    """Q learned queries read N tokens through ``depth`` cross-attention blocks: (B, N, D) -> (B, Q, H).

    Args:
        width: D, the encoder's width.
        language_width: H, the language model's width.
        queries: Q.
        depth: blocks of cross-attention and feed-forward (× 4), pre-norm, with a final norm.
        heads: attention heads; by default one per 64 channels.
    """

    def __init__(
        self, width: int, language_width: int, *, queries: int = 8, depth: int = 1, heads: int | None = None
    ) -> None:
        super().__init__()
        self.queries = nn.Embedding(queries, width)
        heads = heads or max(1, width // 64)
        self.attention = nn.ModuleList(CrossAttention(width, heads) for _ in range(depth))
        self.feed_forward = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
            for _ in range(depth)
        )
        self.project = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, language_width))
        self.norm = nn.LayerNorm(language_width)
        nn.init.trunc_normal_(self.queries.weight, std=1.0)
        self.set_loudness(EMBEDDING_RMS)

    def set_loudness(self, rms: float) -> None:
        """Make the outputs' root mean square that of the language model's embeddings, so that it hears them."""
        nn.init.constant_(self.norm.weight, rms)

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, N, D) and (B, N) bool -> (B, Q, H)."""
        queries = self.queries.weight.expand(len(features), -1, -1)  # (B, Q, D)
        for attention, feed_forward in zip(self.attention, self.feed_forward):
            queries = queries + attention(queries, features, mask)
            queries = queries + feed_forward(queries)
        return self.norm(self.project(queries))
