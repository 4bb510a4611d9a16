"""Rasters: JPEG, PNG, WebP, TIFF, GeoTIFF, COG, JPEG 2000, ENVI, .mat, .npy, .npz, and folders of one-band files."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np

from ..items import Raster
from . import arrays, band_folder, envi, image
from .place import Place, find
from .raster_assembly import Wanted

# "" is ENVI data without a suffix, beside its header
_RAW = frozenset({"", ".dat", ".bsq", ".bil", ".bip"})
_IMAGES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".jp2", ".img", ".hdr"})
SUFFIXES = _IMAGES | _RAW | arrays.SUFFIXES


def claims(path: str | PathLike[str]) -> bool:
    """Is a file whose suffix is also other readers' a raster? By its header: an array of 3 or 4 axes, ENVI data."""
    with find(path) as place:
        if place.is_folder():
            return True
        if place.suffix in arrays.SUFFIXES:
            return arrays.claims(place)
        return place.suffix not in _RAW or envi.header_of(place) is not None


def read(
    path: str | PathLike[str],
    *,
    units: str | None = None,
    bands: Sequence[str] | None = None,
    wavelengths: Sequence[float] | np.ndarray | None = None,
    fwhm: Sequence[float] | np.ndarray | None = None,
    time: Any = None,
    window: Sequence[int] | None = None,
    variable: str | None = None,
) -> Raster:
    """Read a raster with all that its file says of it.

    Scaled integers come out as float32 in their unit; unscaled ones keep their type. Pixels without data are False in
    ``valid``, and NaN where values are floats.

    Args:
        path: a file, a folder with one band per file (resampled to the finest grid), or ``zip://inner::outer.zip``.
        units: what the numbers are, where the file does not say it or says it wrongly: one of
            ``allspark.items.UNITS``, or a phrase with a factor ("reflectance x 10000"). Nothing is converted by it.
        bands: where the file names its bands, those to read, in this order; else the names of all, in the file's order.
        wavelengths: (C,) centres in micrometres.
        fwhm: (C,) full widths at half maximum in micrometres.
        time: one date, or one per step of a (T, C, H, W) array.
        window: (row, column, height, width) in pixels: read only this part.
        variable: which array of a .mat or .npz file.

    Returns:
        The Raster: (C, H, W), or (T, C, H, W) from a four-axis array.

    Raises:
        FileNotFoundError: the file, or an ENVI header's data, is not there.
        UnreadableFileError: empty, truncated, or not of the kind its name says.
        ValueError: the file does not say units or bands (they are asked for by name), holds only nodata, or is too
            large to be decoded at once (read it by ``window``).
    """
    wanted = Wanted(units, bands, wavelengths, fwhm, time, window, variable)
    with find(path) as place:
        if place.is_folder():
            return band_folder.read(place, wanted)
        if place.suffix in arrays.SUFFIXES:
            return arrays.read(place, wanted)
        if variable is not None:
            raise ValueError(f"variable={variable!r} came for {place.shown}; only .mat and .npz files have variables")
        return image.read(_data_file(place), wanted)


def _data_file(place: Place) -> Place:
    if place.suffix == ".hdr":
        return envi.data_of(place)
    if place.suffix in _RAW and envi.header_of(place) is None:
        raise FileNotFoundError(
            f"{place.shown} has no header beside it; wanted {place.stem}.hdr, which says how the data lie; put it there"
        )
    return place
