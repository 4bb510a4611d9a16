"""Cheap features of rasters: image statistics, random convolutions, the mean spectrum. No model, no label.

What every image baseline must beat: if a network's features are worse than per-band histograms, it has learned nothing
that its training set did not hold already.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..items import Raster

SIDE = 128  # pixels of the chip that statistics are taken of
MOST_BANDS = 16  # neighbouring bands are averaged down to this many before statistics
PERCENTILES = (5, 25, 50, 75, 95)
DECIBELS = {"linear": 10.0, "amplitude": 20.0}  # units of radar backscatter that are skewed: taken in dB


def standardise(features: np.ndarray) -> np.ndarray:
    """(N, D) -> (N, D') float32 of zero mean and unit variance over the pool of items, constant columns dropped.

    The pool is all items without their labels, queries among them: it favours the baselines if anybody.
    """
    features = np.asarray(features, dtype=np.float64)
    spread = features.std(0)
    kept = spread > 1e-9 * np.maximum(1.0, np.abs(features).max(0, initial=0.0))
    if not kept.any():
        return np.zeros((len(features), 1), np.float32)
    return ((features[:, kept] - features[:, kept].mean(0)) / spread[kept]).astype(np.float32)


def _layers(raster: Raster) -> np.ndarray:
    """(C', H, W) float32: radar in dB; a time series as its mean and its spread over time; invalid pixels NaN."""
    values: np.ndarray = raster.values.astype(np.float32)
    if raster.units in DECIBELS:
        positive = values[np.isfinite(values) & (values > 0)]
        floor = float(np.percentile(positive, 1)) if len(positive) else 1.0
        values = np.float32(DECIBELS[raster.units]) * np.log10(np.maximum(values, np.float32(floor)))
    if values.ndim == 4:
        values = np.concatenate([values.mean(0), values.std(0)]) if len(values) > 1 else values[0]
    mask = raster.mask
    return values if mask.all() else np.where(mask, values, np.float32(np.nan))


def _chip(layers: np.ndarray, side: int, exact: bool = False) -> np.ndarray:
    """Area-average to at most ``side`` pixels (exactly ``side`` where asked), invalid pixels filled by their mean."""
    known = np.isfinite(layers)
    counts = known.sum((1, 2))
    level = np.where(known, layers, 0).sum((1, 2)) / np.maximum(counts, 1)
    filled = np.where(known, layers, level[:, None, None].astype(np.float32))
    height, width = filled.shape[1:]
    size = (side, side) if exact else (min(side, height), min(side, width))
    if size == (height, width):
        return filled
    tensor = torch.from_numpy(np.ascontiguousarray(filled))[None]
    if size[0] <= height and size[1] <= width:
        return F.interpolate(tensor, size, mode="area")[0].numpy()
    return F.interpolate(tensor, size, mode="bilinear", align_corners=False)[0].numpy()


def _grouped(layers: np.ndarray, most: int = MOST_BANDS) -> np.ndarray:
    """Neighbouring bands averaged so that at most ``most`` remain."""
    if len(layers) <= most:
        return layers
    return np.stack([part.mean(0) for part in np.array_split(layers, most)])


def _texture(gray: np.ndarray) -> np.ndarray:
    """(10,) histogram of uniform rotation-invariant local binary patterns (Ojala et al. 2002; 8 at radius 1)."""
    if min(gray.shape) < 3:
        return np.zeros(10)
    height, width = gray.shape
    ring = ((0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0))
    inner = gray[1:-1, 1:-1]
    bits = np.stack([gray[y : y + height - 2, x : x + width - 2] >= inner for y, x in ring])
    changes = (bits != np.roll(bits, 1, 0)).sum(0)
    pattern = np.where(changes <= 2, bits.sum(0), 9)
    return np.bincount(pattern.ravel(), minlength=10) / pattern.size


def _colour(chip: np.ndarray) -> np.ndarray:
    """(14,) of three bands: hue histogram weighted by saturation, mean and spread of the saturation."""
    high, low = chip.max(0), chip.min(0)
    span = high - low
    saturation = span / np.maximum(np.abs(high), 1e-6)
    safe = np.where(span > 0, span, 1)
    red, green, blue = chip
    hue = np.where(high == red, (green - blue) / safe % 6, np.where(high == green, (blue - red) / safe + 2, 4))
    hue = np.where((high == blue) & (high != red) & (high != green), (red - green) / safe + 4, hue)
    bins = np.minimum((hue * 2).astype(np.int64), 11).clip(0)
    weights = np.bincount(bins.ravel(), weights=saturation.ravel(), minlength=12)
    return np.concatenate([weights / max(weights.sum(), 1e-9), [saturation.mean(), saturation.std()]])


def same_bands(items: Sequence[Raster]) -> list[Raster]:
    """The items with the bands that all have, in one order; by names where there are any.

    Raises:
        ValueError: they have no bands in common, or other numbers of bands without names.
    """
    orders = {item.bands for item in items}
    named = [bands for bands in orders if bands is not None]
    if len(orders) > 1 and len(named) == len(orders):
        first = items[0].bands or ()
        common = [band for band in first if all(band in bands for bands in named)]
        if common:
            return [item.select(common) for item in items]
    counts = {item.values.shape[-3] for item in items}
    if len(counts) > 1:
        raise ValueError(f"the items have {sorted(counts)} bands and no names in common; wanted items of one sensor")
    return list(items)


def image_statistics(items: Sequence[Raster]) -> np.ndarray:
    """Per band mean, spread, percentiles and gradients; correlations of neighbouring bands; texture; colour.

    Args:
        items: N rasters; only bands that all have are used.

    Returns:
        (N, D) float32, standardised over the items.
    """
    items = same_bands(items)
    rows = []
    for item in items:
        chip = _chip(_grouped(_layers(item)), SIDE)
        flat = chip.reshape(len(chip), -1)
        across = np.abs(np.diff(chip, axis=2)).mean((1, 2)) if chip.shape[2] > 1 else np.zeros(len(chip))
        down = np.abs(np.diff(chip, axis=1)).mean((1, 2)) if chip.shape[1] > 1 else np.zeros(len(chip))
        centred = flat - flat.mean(1, keepdims=True)
        spread = flat.std(1)
        together = (centred[1:] * centred[:-1]).mean(1) / np.maximum(spread[1:] * spread[:-1], 1e-9)
        parts = [flat.mean(1), spread, np.percentile(flat, PERCENTILES, axis=1).ravel(), across, down, together]
        parts.append(_texture(chip.mean(0)))
        if len(chip) == 3:
            parts.append(_colour(chip))
        rows.append(np.concatenate(parts))
    return standardise(np.stack(rows))


def random_convolutions(items: Sequence[Raster], filters: int = 256, side: int = 48, seed: int = 0) -> np.ndarray:
    """Responses to random convolutions, never trained (ROCKET of Dempster et al. 2020, in two dimensions).

    Each 5 × 5 filter over all bands has mean zero and unit norm, a random dilation and a random bias, and gives two
    numbers: its share of positive responses and their mean.

    Args:
        items: N rasters; only bands that all have are used; resized to ``side`` pixels.
        filters: how many.
        side: pixels.
        seed: of the filters.

    Returns:
        (N, 2 · filters) float32, standardised over the items.
    """
    items = same_bands(items)
    chips = torch.from_numpy(np.stack([_chip(_grouped(_layers(item)), side, exact=True) for item in items]))
    chips -= chips.mean((0, 2, 3), keepdim=True)
    chips /= chips.std((0, 2, 3), keepdim=True, correction=0).clamp_min(1e-9)
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randn(filters, chips.shape[1], 5, 5, generator=generator)
    weights -= weights.mean((1, 2, 3), keepdim=True)
    weights /= weights.flatten(1).norm(dim=1)[:, None, None, None]
    biases = torch.rand(filters, generator=generator) * 2 - 1

    def respond(batch: Tensor) -> Tensor:
        parts = []
        for dilation, kernel, bias in zip((1, 2, 4), weights.chunk(3), biases.chunk(3), strict=True):
            out = F.conv2d(batch, kernel, bias, dilation=dilation, padding=2 * dilation)
            parts += [(out > 0).float().mean((2, 3)), out.relu().mean((2, 3))]
        return torch.cat(parts, 1)

    with torch.inference_mode():
        return standardise(torch.cat([respond(batch) for batch in chips.split(64)]).numpy())


def raw_spectrum(items: Sequence[Raster]) -> np.ndarray:
    """The mean spectrum of the valid pixels, and the same at unit length; dates one after the other.

    Args:
        items: N rasters; only bands that all have are used; a series of another number of dates is resampled to the
            median number.

    Returns:
        (N, 2 · T · C) float32, standardised over the items.
    """
    items = same_bands(items)
    series = []
    for item in items:
        values = item.values if item.values.ndim == 4 else item.values[None]  # (T, C, H, W)
        pixels = values[:, :, item.mask]
        series.append(pixels.mean(-1, dtype=np.float64) if pixels.shape[-1] else np.zeros(values.shape[:2]))
    steps = int(np.median([len(one) for one in series]))
    rows = []
    for one in series:
        if len(one) != steps:
            old, new = np.linspace(0, 1, len(one)), np.linspace(0, 1, steps)
            one = np.stack([np.interp(new, old, band) for band in one.T], 1)
        rows.append(one.ravel())
    return _and_unit(np.stack(rows))


def middle_spectrum(items: Sequence[Raster]) -> np.ndarray:
    """The spectrum of the pixel in the middle, and the same at unit length: of a window about a pixel, that pixel.

    Args:
        items: N rasters of one date; only bands that all have are used. Where the middle is not valid, the mean of the
            valid pixels stands for it; zeros where there are none.

    Returns:
        (N, 2 · C) float32, standardised over the items.
    """
    items = same_bands(items)
    rows = []
    for item in items:
        valid = item.mask
        middle = np.zeros_like(valid)
        middle[tuple(side // 2 for side in valid.shape)] = True
        pixels = item.values[:, middle & valid if (middle & valid).any() else valid]
        rows.append(pixels.mean(-1, dtype=np.float64) if pixels.shape[-1] else np.zeros(len(pixels)))
    return _and_unit(np.stack(rows))


def _and_unit(rows: np.ndarray) -> np.ndarray:
    """(N, D) -> (N, 2 · D) standardised, beside the rows the same at unit length."""
    length = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return standardise(np.concatenate([rows, rows / length], 1))
