"""Task heads: modules with ``forward(pooled (B, H), tokens)`` and ``loss(output, target)``; their kinds are data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from .classification import ClassificationHead
from .regression import RegressionHead
from .segmentation import SegmentationHead
from .trajectory import TrajectoryHead
from .wide import WideHead

KINDS: dict[str, type[nn.Module]] = {
    "classification": ClassificationHead,
    "regression": RegressionHead,
    "segmentation": SegmentationHead,
    "trajectory": TrajectoryHead,
}


def make_head(
    language_width: int,
    *,
    kind: str,
    at: str = "language",
    pooled_width: int | None = None,
    wide: Mapping[str, Any] | None = None,
    **config: Any,
) -> nn.Module:
    """A head of this kind; ``config`` goes to its constructor.

    Args:
        language_width: H.
        kind: one of ``KINDS``.
        at: where the pooled vector comes from ("encoder", "bridge" or "language"); the model acts on it.
        pooled_width: the pooled vector's width where it is not H.
        wide: of the road past the encoder (``heads/wide.py``); None: there is none.
        config: of the head itself.
    """
    if kind not in KINDS:
        raise ValueError(f"head kind {kind!r} is not known; wanted one of {', '.join(KINDS)}")
    width = pooled_width or language_width
    head = KINDS[kind](width, **config)
    return head if wide is None else WideHead(head, wide)


__all__ = [
    "KINDS",
    "ClassificationHead",
    "RegressionHead",
    "SegmentationHead",
    "TrajectoryHead",
    "WideHead",
    "make_head",
]
