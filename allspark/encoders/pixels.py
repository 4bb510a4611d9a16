"""Shared preparation of rasters: which pixels count, crops, and resampling that never mixes in missing data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..items import Raster

SAR_UNITS = ("db", "linear", "amplitude")
_CHUNK = 1 << 24  # values resampled at once: 64 MB of float32


def is_display(item: Any) -> bool:
    """Is this a colour picture for the eye: uint8 with three bands, or with red, green and blue among them?"""
    if not isinstance(item, Raster) or item.units != "uint8":
        return False
    names = {band.lower() for band in item.bands or ()}
    return {"red", "green", "blue"} <= names or item.values.shape[-3] == 3


def one_date(item: Raster, modality: str) -> np.ndarray:
    """The raster's (C, H, W) values; ValueError where it holds several dates."""
    if item.values.ndim == 3:
        return item.values
    if item.values.shape[0] > 1:
        raise ValueError(
            f"a series of {item.values.shape[0]} dates came; {modality} wants one date; hand the dates in one by one"
        )
    return item.values[0]


def need_valid(valid: np.ndarray) -> np.ndarray:
    """The mask itself; ValueError where it holds no valid pixel."""
    if not valid.any():
        size = " × ".join(map(str, valid.shape[-2:]))
        raise ValueError(f"the raster has no valid pixel among its {size}; check its nodata value, mask or window")
    return valid


def crop_around_valid(valid: np.ndarray, height: int, width: int) -> tuple[slice, slice]:
    """The window of at most height × width around the middle of what is valid.

    That is the centre crop of a raster that is valid all over. A window that would hold no valid pixel at all (a ring
    of data around a hole) is moved to the valid pixel nearest to the middle.

    Args:
        valid: (H, W) bool with at least one True.
        height: of the window in pixels; the raster's own where that is less.
        width: likewise.

    Returns:
        The slices of rows and columns.
    """
    H, W = valid.shape
    height, width = min(height, H), min(width, W)

    def window(row: float, column: float) -> tuple[slice, slice]:
        top = min(max(round(row - (height - 1) / 2), 0), H - height)
        left = min(max(round(column - (width - 1) / 2), 0), W - width)
        return slice(top, top + height), slice(left, left + width)

    if valid.all():
        return window((H - 1) / 2, (W - 1) / 2)
    rows, columns = np.nonzero(valid)
    middle = window(rows.mean(), columns.mean())
    if valid[middle].any():
        return middle
    nearest = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
    return window(rows[nearest], columns[nearest])


def resize(
    values: np.ndarray, valid: np.ndarray, size: tuple[int, int], mode: str = "bilinear"
) -> tuple[Tensor, Tensor]:
    """Resample to ``size``, each new pixel from valid pixels alone.

    Args:
        values: (C, H, W), any numbers; what stands in invalid pixels does not matter.
        valid: (H, W) bool, or (C, H, W) bool where bands differ.
        size: (h, w).
        mode: "bilinear" (antialiased) or "area" (the mean of the pixels inside).

    Returns:
        (C, h, w) float32, 0 where nothing valid was near, and a mask (h, w) or (C, h, w): at least half the weight of a
        new pixel came from valid ones. Where that leaves no pixel at all, those of the largest weight count.
    """
    if values.shape[-2:] == tuple(size):
        mask = torch.from_numpy(np.ascontiguousarray(valid))
        return torch.where(mask, torch.from_numpy(values.astype(np.float32)), 0.0), mask
    if valid.all():
        return _sample(values, size, mode), torch.ones((*valid.shape[:-2], *size), dtype=torch.bool)
    weight = _sample(valid.reshape(-1, *valid.shape[-2:]), size, mode).clamp(0, 1)
    mixed = _sample(np.where(valid, values, 0), size, mode)
    mask = (weight > 0) & (weight >= weight.amax((-2, -1), keepdim=True).clamp(max=0.5))
    mixed = torch.where(mask, mixed / weight.clamp(min=1e-6), 0.0)
    return mixed, mask.reshape(*valid.shape[:-2], *size)


def _sample(values: np.ndarray, size: tuple[int, int], mode: str) -> Tensor:
    def run(part: np.ndarray) -> Tensor:
        x = torch.from_numpy(part.astype(np.float32))[None]
        if mode == "area":
            return F.adaptive_avg_pool2d(x, size)[0]
        return F.interpolate(x, size, mode="bilinear", antialias=True, align_corners=False)[0]

    step = max(1, _CHUNK // (values.shape[-2] * values.shape[-1]))
    return torch.cat([run(values[i : i + step]) for i in range(0, len(values), step)])


def pad_to_largest(
    samples: Sequence[Mapping[str, Tensor]], fill: Mapping[str, float] | None = None
) -> dict[str, Tensor]:
    """Collate for samples whose tensors differ in size: each axis is padded at its end to the batch's longest.

    Args:
        samples: name -> tensor; one name has the same number of axes in every sample.
        fill: name -> what to pad with; 0 (False for masks) where it is not named.

    Returns:
        name -> (B, …).
    """
    batch = {}
    for name in samples[0]:
        tensors = [sample[name] for sample in samples]
        if all(tensor.shape == tensors[0].shape for tensor in tensors):
            batch[name] = torch.stack(tensors)
            continue
        shape = [max(sizes) for sizes in zip(*(tensor.shape for tensor in tensors))]
        padded = tensors[0].new_full((len(tensors), *shape), (fill or {}).get(name, 0))
        for row, tensor in zip(padded, tensors):
            row[tuple(slice(n) for n in tensor.shape)] = tensor
        batch[name] = padded
    return batch


def on_grid(pixels: Tensor, valid: Tensor, most: int) -> Tensor:
    """Pictures as a few numbers: the means of the valid pixels in the cells of a grid, (B, C, H, W) -> (B, C · h · w).

    Args:
        pixels: (B, C, H, W).
        valid: likewise, bool.
        most: numbers per picture; a picture of no more keeps its own pixels.

    Returns:
        NaN in cells without a valid pixel.
    """
    C, H, W = pixels.shape[1:]
    side = max(1, math.isqrt(max(1, most // C)))
    size = (min(side, H), min(side, W))
    there = valid.to(pixels.dtype)
    share = F.adaptive_avg_pool2d(there, size)
    total = F.adaptive_avg_pool2d(pixels * there, size)
    return torch.where(share > 0, total / share.clamp(min=1e-6), torch.nan).flatten(1)
