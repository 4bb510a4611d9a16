"""Opening rasters with GDAL, safely: known drivers only, errors in one sentence, sizes checked before decoding."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from . import UnreadableFileError
from .place import Place

# GDAL goes by content, not by name: without this list a ".tif" that holds a VRT could point at any file or address.
DRIVERS = ("GTiff", "JPEG", "PNG", "WEBP", "JP2OpenJPEG", "ENVI", "EHdr", "HFA", "BMP")
SETTINGS = {
    "GDAL_ERROR_ON_LIBJPEG_WARNING": "TRUE",  # a JPEG cut short is an error, not a picture with a grey half
    "GDAL_PNG_WHOLE_IMAGE_OPTIM": "NO",  # GDAL 3.10's quick way through a PNG cut short gives garbage and no error
    "RAW_CHECK_FILE_SIZE": "YES",  # the same for ENVI data
}
LARGEST = 400_000_000  # values decoded at once: 1.6 GB as float32

Window = tuple[int, int, int, int]  # row, column, height, width


@contextmanager
def opened(place: Place, page: str | None = None) -> Iterator[Any]:
    """An open rasterio dataset; what GDAL raises inside the block becomes UnreadableFileError.

    ``page`` is GDAL's name for one page of a file that has several.
    """
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning, RasterioError
    from rasterio.io import DatasetReader

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            # rasterio.open takes one driver; the class behind it takes a list
            with rasterio.Env(**SETTINGS), DatasetReader(page or place.gdal, driver=list(DRIVERS)) as dataset:
                yield dataset
        except RasterioError as error:
            detail = " ".join(str(error.__cause__ or error).split())
            raise UnreadableFileError(
                f"{place.shown} could not be read as a raster ({detail}); wanted a whole "
                f"{place.suffix.removeprefix('.') or 'raster'} file; fetch or write it again"
            ) from error


def checked_window(window: Sequence[int] | None, height: int, width: int, shown: str) -> Window:
    """The window, or the whole image.

    Raises:
        ValueError: it is not four whole numbers, or reaches beyond the image.
    """
    if window is None:
        return 0, 0, height, width
    part = tuple(int(edge) for edge in window)
    if len(part) != 4:
        raise ValueError(f"window={window!r} came; wanted (row, column, height, width) in pixels")
    row, column, high, wide = part
    if min(row, column) < 0 or min(high, wide) < 1 or row + high > height or column + wide > width:
        raise ValueError(
            f"window={part} came for {shown} of {height} rows and {width} columns; wanted (row, column, height, width) "
            "inside it"
        )
    return row, column, high, wide


def moved(transform: Any, window: Window) -> Any:
    """The geotransform of a window. (rasterio's own spells the product in a way that newer affine deprecates.)"""
    row, column, _, _ = window
    a, b, c, d, e, f = transform[:6]
    return type(transform)(a, b, c + a * column + b * row, d, e, f + d * column + e * row)


def check_size(window: Window, count: int, shown: str) -> None:
    """ValueError where a read would decode more than ``LARGEST`` values."""
    _, _, height, width = window
    if height * width * count > LARGEST:
        raise ValueError(
            f"{shown} is {height:,} x {width:,} pixels with {count} bands; wanted at most {LARGEST // 10**6} million "
            "values at once; read a part with window=(row, column, height, width) or fewer bands"
        )
