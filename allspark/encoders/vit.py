"""The patch transformer that the raster encoders and UniSTD share: a module, not a modality.

Pre-norm blocks (Dosovitskiy et al., arXiv 2010.11929) over any number of tokens. Query, key, value and output are four
separate linear layers, so that a low-rank adapter can be hung on each. Positions are sines and cosines of a token's row
and column, computed for the grid at hand: nothing is cached, no picture size is built in.

A masked token is set to zero before the first block, is never attended to, and comes out as zero: whatever stood in it,
NaN included, reaches no other token. A row of the batch without one real token comes out as zeros.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def init_weights(module: nn.Module) -> None:
    """Truncated normal of 0.02 for linear layers and embeddings, zero for biases; for ``Module.apply``."""
    if isinstance(module, (nn.Linear, nn.Embedding)):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)


def positions_1d(places: Tensor, width: int, longest: float = 10_000.0) -> Tensor:
    """Sines and cosines of places on a line (Vaswani et al., arXiv 1706.03762).

    Args:
        places: (N,) numbers, in tokens.
        width: an even number of features.
        longest: wavelength of the slowest wave, in tokens, over 2π.

    Returns:
        (N, width) float32.
    """
    if width % 2:
        raise ValueError(f"positions of width {width} were asked for; wanted an even width")
    rates = torch.exp(torch.arange(width // 2, device=places.device) * (-math.log(longest) / (width // 2)))
    angles = places.float()[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def positions_2d(h: int, w: int, width: int, device: torch.device | None = None) -> Tensor:
    """Sines and cosines of rows and columns: (h · w, width) float32 in row-major order; ``width`` a multiple of 4.

    A token's code depends on its own row and column alone, so padding the grid below and to the right moves nothing.
    """
    if width % 4:
        raise ValueError(f"2-D positions of width {width} were asked for; wanted a multiple of 4")
    rows = positions_1d(torch.arange(h, device=device), width // 2, 1_000.0)
    columns = positions_1d(torch.arange(w, device=device), width // 2, 1_000.0)
    return torch.cat([rows.repeat_interleave(w, 0), columns.repeat(h, 1)], dim=1)


def token_mask(valid: Tensor, grid: tuple[int, int], share: float = 0.25) -> Tensor:
    """Which tokens of a grid are real: those with at least ``share`` of their pixels valid.

    Where no token reaches that share, the best ones count, so a picture with any valid pixel keeps a token.

    Args:
        valid: (B, H, W) bool.
        grid: (h, w), tokens per side.

    Returns:
        (B, h · w) bool.
    """
    part = F.adaptive_avg_pool2d(valid[:, None].float(), grid).flatten(1)
    return (part > 0) & (part >= part.amax(1, keepdim=True).clamp(max=share))


def drop_path(x: Tensor, rate: float, training: bool) -> Tensor:
    """Stochastic depth (Huang et al., arXiv 1603.09382): drop a whole sample's branch, keep the expectation."""
    if rate == 0.0 or not training:
        return x
    keep = x.new_empty(x.shape[0], *[1] * (x.ndim - 1)).bernoulli_(1 - rate)
    return x * keep / (1 - rate)


class Attention(nn.Module):
    """Multi-head self-attention with a mask of real keys."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} does not divide into {heads} heads; choose a divisor")
        self.heads = heads
        self.q, self.k, self.v, self.proj = (nn.Linear(width, width) for _ in range(4))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, N, D) -> (B, N, D); ``mask`` (B, 1, 1, N) bool, True where a key may be read."""
        B, N, D = x.shape
        q, k, v = (layer(x).view(B, N, self.heads, -1).transpose(1, 2) for layer in (self.q, self.k, self.v))
        if q.dtype == torch.bfloat16 and q.device.type == "cpu" and q.requires_grad:
            # on the way back torch's bf16 attention is two to five times slower than float32's (2.14, AVX512-BF16)
            with torch.autocast("cpu", enabled=False):
                y = F.scaled_dot_product_attention(q.float(), k.float(), v.float(), attn_mask=mask).to(q.dtype)
        else:
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)  # (B, heads, N, D / heads)
        return self.proj(y.transpose(1, 2).reshape(B, N, D))


class Mlp(nn.Module):
    """Linear, GELU, linear."""

    def __init__(self, width: int, hidden: int, out: int | None = None) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, out or width)

    def forward(self, x: Tensor) -> Tensor:
        """(…, width) -> (…, out)."""
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    """Pre-norm attention and MLP, each with a residual."""

    def __init__(self, width: int, heads: int, mlp_ratio: float = 4.0, drop_path: float = 0.0) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width, int(width * mlp_ratio))
        self.drop_path = drop_path

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, N, D) -> (B, N, D); ``mask`` as in ``Attention``."""
        x = x + drop_path(self.attn(self.norm1(x), mask), self.drop_path, self.training)
        return x + drop_path(self.mlp(self.norm2(x)), self.drop_path, self.training)


class Transformer(nn.Module):
    """A stack of blocks and a final norm.

    Args:
        width: D.
        depth: number of blocks; 0 leaves the final norm alone.
        heads: attention heads; must divide ``width``.
        mlp_ratio: hidden width of the MLP over ``width``.
        drop_path: rate at the last block; it grows linearly from 0 at the first.
    """

    def __init__(self, width: int, depth: int, heads: int, mlp_ratio: float = 4.0, drop_path: float = 0.0) -> None:
        super().__init__()
        self.width = width
        self.checkpointing = False  # keep only the blocks' inputs for the way back
        self.blocks = nn.ModuleList(
            Block(width, heads, mlp_ratio, drop_path * i / max(depth - 1, 1)) for i in range(depth)
        )
        self.norm = nn.LayerNorm(width)
        self.apply(init_weights)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, N, D) and (B, N) bool, True = real -> (B, N, D), zero where masked."""
        keys = None
        if mask is not None:
            x = torch.where(mask[..., None], x, 0)  # not a product: 0 · NaN is NaN
            # A row of masked tokens alone would softmax over nothing; let it read its own zeros instead.
            keys = (mask | ~mask.any(1, keepdim=True))[:, None, None]
        for block in self.blocks:
            if self.checkpointing and torch.is_grad_enabled():
                x = checkpoint(block, x, keys, use_reentrant=False)
            else:
                x = block(x, keys)
        x = self.norm(x)
        return x if mask is None else x * mask[..., None].to(x.dtype)


class PatchTransformer(nn.Module):
    """Patches of a map, their positions, and a transformer over them.

    Args:
        channels: C of the map: bands of a picture (``patch`` 16, say) or features of a stem (``patch`` 1).
        patch: side of a patch in cells of the map.
        width, depth, heads, mlp_ratio, drop_path: see ``Transformer``.
    """

    def __init__(
        self,
        channels: int,
        width: int,
        depth: int,
        heads: int,
        patch: int = 1,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        self.width = width
        self.embed = nn.Conv2d(channels, width, patch, stride=patch)
        self.norm = nn.LayerNorm(width)  # brings any map to the scale of the positions
        self.transformer = Transformer(width, depth, heads, mlp_ratio, drop_path)

    def forward(self, x: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor | None, tuple[int, int]]:
        """One batch of maps -> its tokens.

        Args:
            x: (B, C, H, W), H and W multiples of the patch.
            valid: (B, H', W') bool at any resolution over the same ground; see ``token_mask``.

        Returns:
            (B, h · w, D) features, (B, h · w) mask or None, and the grid (h, w).
        """
        x = self.embed(x)
        grid = (x.shape[2], x.shape[3])
        mask = None if valid is None else token_mask(valid, grid)
        x = self.norm(x.flatten(2).transpose(1, 2))  # (B, N, D)
        x = x + positions_2d(*grid, self.width, x.device).to(x.dtype)
        return self.transformer(x, mask), mask, grid
