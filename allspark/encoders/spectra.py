"""From a raster of any sensor to standardised spectra: what multispectral and hyperspectral prepare alike.

A module, not a modality.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..items import Raster
from .pixels import SAR_UNITS, need_valid, pad_to_largest, resize

# The common band names of STAC's electro-optical extension v1: nominal centre and width in micrometres.
COMMON_NAMES = {
    "coastal": (0.443, 0.027),
    "blue": (0.490, 0.098),
    "green": (0.560, 0.045),
    "yellow": (0.600, 0.040),
    "red": (0.665, 0.038),
    "rededge071": (0.704, 0.019),
    "rededge075": (0.740, 0.018),
    "rededge078": (0.783, 0.028),
    "nir": (0.842, 0.145),
    "nir08": (0.865, 0.033),
    "nir09": (0.945, 0.026),
    "cirrus": (1.373, 0.075),
    "swir16": (1.610, 0.143),
    "swir22": (2.190, 0.242),
    "lwir11": (10.900, 0.590),
    "lwir12": (12.000, 1.010),
}
_RESOLUTION = 0.08  # width over centre where neither the file nor the bands' spacing tells it: a multispectral band's


def has_wavelengths(item: Raster) -> bool:
    """Does every band say, itself or by a common name, where in the spectrum it lies?"""
    return item.wavelengths is not None or (
        item.bands is not None and all(band.lower() in COMMON_NAMES for band in item.bands)
    )


def wavelengths_of(item: Raster) -> tuple[np.ndarray, np.ndarray]:
    """Centres and widths of the bands, (C,) micrometres each.

    A width that is not given is the distance to the neighbouring bands where there are 32 or more (a spectrometer
    samples at about its own resolution), else 8 % of the centre.

    Raises:
        ValueError: bands that neither have wavelengths nor common names.
    """
    if item.wavelengths is not None:
        centres, widths = item.wavelengths, item.fwhm
    elif has_wavelengths(item):
        centres, widths = np.array([COMMON_NAMES[band.lower()] for band in item.bands or ()]).T
    else:
        found = f"bands {', '.join(item.bands[:4])}" if item.bands else "bands without names"
        raise ValueError(f"{found} came without wavelengths; give wavelengths= in micrometres, one per band")
    if widths is None:
        widths = _RESOLUTION * centres
        if len(centres) >= 32:
            order = np.argsort(centres, kind="stable")
            spacing = np.maximum(np.abs(np.gradient(centres[order])), 1e-4)
            widths = np.empty_like(centres)
            widths[order] = np.minimum(spacing, _RESOLUTION * centres[order])
    return np.asarray(centres, np.float64), np.asarray(widths, np.float64)


def scale_of(
    item: Raster,
    valid: np.ndarray,
    *,
    mean: float,
    std: float,
    kelvin: Sequence[float],
    dn_scale: float | None,
) -> tuple[float, float]:
    """The offset and the divisor that standardise a raster's values by its units; units are never mixed.

    - "reflectance": (x − mean) / std.
    - "kelvin": (x − kelvin[0]) / kelvin[1].
    - "uint8": a share of 255, then as reflectance.
    - "dn" and "radiance": x / dn_scale as reflectance where a scale is given. Otherwise the item's own 98th percentile
      over all bands, dates and valid pixels is taken for a bright surface (mean + 2 · std): colour and contrast are
      kept, the absolute brightness is not.

    Args:
        item: the raster.
        valid: bool that broadcasts against its values.
        mean: of reflectance.
        std: of reflectance.
        kelvin: mean and standard deviation of temperatures.
        dn_scale: digital numbers at a reflectance of 1, where they are known.

    Raises:
        ValueError: radar units, heights, or digital numbers of which none is above zero.
    """
    if item.units == "reflectance":
        return mean, std
    if item.units == "kelvin":
        return float(kelvin[0]), float(kelvin[1])
    if item.units == "uint8":
        return 255 * mean, 255 * std
    if item.units in ("dn", "radiance"):
        full = dn_scale
        if full is None:
            seen = item.values[np.broadcast_to(valid, item.values.shape)]
            bright = float(np.percentile(seen, 98))
            if bright <= 0:
                raise ValueError(
                    f"the raster's {item.units} reach only {bright:g}; wanted values above 0; check nodata or its scale"
                )
            full = bright / (mean + 2 * std)
        return full * mean, full * std
    wanted = "reflectance, radiance, dn, uint8 or kelvin"
    raise ValueError(f"a raster in {item.units} came; wanted {wanted}; name its units, or another modality")


def sample_of(
    item: Raster, *, longest: int, scale: dict[str, Any], keep: np.ndarray | None = None
) -> tuple[Tensor, Tensor, np.ndarray]:
    """Standardise a raster, and reduce it where it is larger than it may be.

    A raster of at most ``longest`` pixels per side keeps its own grid; a larger one is resampled so that its longer
    side is ``longest``. A band that is NaN all over a date is missing there; a pixel is valid at a date where all bands
    that are not missing are finite.

    Args:
        item: a Raster (T, C, H, W) or (C, H, W).
        longest: pixels.
        scale: the numbers of ``scale_of``.
        keep: (T, C) bool, bands known to be good; all where None.

    Returns:
        "pixels" (T, C, h, w) float32, 0 where invalid; valid (T, h, w) bool; the (T, C) bool of bands present.

    Raises:
        ValueError: no valid pixel, or units that are no spectrum.
    """
    values = item.values if item.values.ndim == 4 else item.values[None]
    T, C, H, W = values.shape
    there = np.ones((H, W), bool) if item.valid is None else item.valid
    finite = np.isfinite(values) if values.dtype.kind == "f" else np.ones(values.shape, bool)
    present = (finite & there).any((2, 3))
    if keep is not None:
        present &= keep
    valid = (finite | ~present[:, :, None, None]).all(1) & there & present.any(1)[:, None, None]  # (T, H, W)
    need_valid(valid)
    read = valid[:, None] & present[:, :, None, None]
    offset, divisor = scale_of(item, read if item.values.ndim == 4 else read[0], **scale)
    factor = min(1.0, longest / max(H, W))
    size = (max(1, round(H * factor)), max(1, round(W * factor)))
    pixels, masks = zip(*(resize(picture, mask, size) for picture, mask in zip(values, valid)))
    stacked, mask = torch.stack(pixels), torch.stack(masks)
    read_now = mask[:, None] & torch.from_numpy(present)[:, :, None, None]
    return torch.where(read_now, (stacked - offset) / divisor, 0.0), mask, present


def is_spectrum(item: Raster) -> bool:
    """Optical or thermal bands of known wavelengths."""
    return item.units not in SAR_UNITS and item.units != "metres" and has_wavelengths(item)


def collate(samples: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Pad dates, bands, rows and columns to the batch's largest; masks are False there, wavelengths 1 µm."""
    return pad_to_largest(samples, fill={"wavelengths": 1.0, "fwhm": 1.0})
