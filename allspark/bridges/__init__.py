"""Bridges from an encoder's tokens to the language model's embedding space.

A bridge is any module ``(features (B, N, D), mask (B, N)) -> (B, Q, H)``. Its kind is data, in the model's config.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from .linear import LinearBridge, masked_mean
from .resampler import Resampler

KINDS: dict[str, type[nn.Module]] = {"resampler": Resampler, "linear": LinearBridge}


def make_bridge(width: int, language_width: int, *, kind: str = "resampler", **config: Any) -> nn.Module:
    """A bridge of this kind; ``config`` goes to its constructor."""
    if kind not in KINDS:
        raise ValueError(f"bridge kind {kind!r} is not known; wanted one of {', '.join(KINDS)}")
    return KINDS[kind](width, language_width, **config)


__all__ = ["KINDS", "LinearBridge", "Resampler", "make_bridge", "masked_mean"]
