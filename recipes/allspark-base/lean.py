"""Tensors in fewer bytes, so that what a stage reads fits through a narrow door.

Numbers come back bit for bit: deflate sees planes, masks and flags that say nothing, and values that stem from eight
bits. Pictures for display alone are kept as WebP, whose error (about 42 dB on AID's scenes, which come as WebP) is far
below what training changes them by.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

QUALITY = 95
LEVEL = 6


def deflate(value: Tensor) -> tuple[Tensor, dict[str, Any]]:
    """A tensor -> bytes, and what ``widen`` must be told. Bytes of one place in every number stand together."""
    array = value.contiguous().numpy()
    planes = array.reshape(-1).view(np.uint8).reshape(-1, array.itemsize).T
    blob = np.frombuffer(zlib.compress(planes.tobytes(), LEVEL), np.uint8)
    return torch.from_numpy(blob.copy()), {"type": array.dtype.str, "shape": list(array.shape)}


def widen(blob: Tensor, facts: Mapping[str, Any]) -> Tensor:
    """What ``deflate`` or ``to_webp`` was given."""
    if "mean" in facts:
        return from_webp(blob, facts)
    kind = np.dtype(facts["type"])
    planes = np.frombuffer(zlib.decompress(blob.numpy().tobytes()), np.uint8).reshape(kind.itemsize, -1)
    array = np.ascontiguousarray(planes.T).reshape(-1).view(kind)
    return torch.from_numpy(array.reshape(facts["shape"]).copy())


def to_webp(pixels: Tensor, mean: Sequence[float], std: Sequence[float]) -> tuple[Tensor, dict[str, Any]]:
    """(3, H, W) standardised display values -> bytes, and what ``widen`` must be told."""
    scale = lambda numbers: torch.tensor(numbers)[:, None, None]  # noqa: E731
    values = (pixels.float() * scale(std) + scale(mean)).round().clamp(0, 255).byte()
    out = io.BytesIO()
    Image.fromarray(values.permute(1, 2, 0).numpy()).save(out, "WEBP", quality=QUALITY)
    return torch.frombuffer(bytearray(out.getvalue()), dtype=torch.uint8), {"mean": list(mean), "std": list(std)}


def from_webp(blob: Tensor, facts: Mapping[str, Any]) -> Tensor:
    """(3, H, W) in float16."""
    picture = np.array(Image.open(io.BytesIO(blob.numpy().tobytes())).convert("RGB"), np.float32)
    values = (picture - np.array(facts["mean"], np.float32)) / np.array(facts["std"], np.float32)
    return torch.from_numpy(values.transpose(2, 0, 1).astype(np.float16))
