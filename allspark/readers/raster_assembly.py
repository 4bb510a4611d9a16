"""From stored numbers and what is known of them to a Raster: bands chosen, units settled, scaled, nodata masked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..items import UNITS, Raster
from . import units as units_module
from .raster_metadata import Band, Description, instant
from .units import Unit

SELF_EXPLAINING = ("metres", "kelvin")  # heights and temperatures: their bands need no names
HIGHEST_REFLECTANCE = 2.0  # of the median: snow and glint pass 1, nothing natural passes 2 everywhere


@dataclass(frozen=True)
class Wanted:
    """What the user said by name: the options of ``raster.read``."""

    units: str | None = None
    bands: Sequence[str] | None = None
    wavelengths: Any = None
    fwhm: Any = None
    time: Any = None
    window: Sequence[int] | None = None
    variable: str | None = None

    @property
    def names(self) -> tuple[str, ...] | None:
        """``bands`` as a tuple, also where one name came alone."""
        return (self.bands,) if isinstance(self.bands, str) else None if self.bands is None else tuple(self.bands)

    @property
    def count(self) -> int | None:
        """How many bands the user speaks of."""
        for given in (self.names, self.wavelengths, self.fwhm):
            if given is not None:
                return len(given)
        return None


def chosen(description: Description, names: tuple[str, ...] | None, shown: str) -> tuple[list[int], Description]:
    """The bands to read, from 0, and their description.

    Where the file names its bands, ``names`` chooses among them; else they are the names, in the file's order.

    Raises:
        ValueError: a band that is not there, or another number of names than of bands.
    """
    count = len(description.bands)
    if names is None:
        return list(range(count)), description
    own = [band.name for band in description.bands]
    folded = [(name or "").casefold() for name in own]
    index = [folded.index(name.casefold()) if name.casefold() in folded else -1 for name in names]
    if min(index, default=-1) >= 0:
        picked = description.take(index)
        return index, replace(picked, bands=_named(picked.bands, names))
    known = any(name is not None for name in own)
    if known and (max(index, default=-1) >= 0 or len(names) != count):
        missing = [name for name, place in zip(names, index) if place < 0]
        raise ValueError(f"bands {missing} are not in {shown}, which has {own}; choose among these")
    if len(names) != count:
        raise ValueError(f"{len(names)} band names came for the {count} bands of {shown}; give one name per band")
    return list(range(count)), replace(description, bands=_named(description.bands, names))


def _named(bands: Sequence[Band], names: Sequence[str]) -> tuple[Band, ...]:
    return tuple(replace(band, name=name) for band, name in zip(bands, names))


def assemble(
    values: np.ndarray,
    description: Description,
    wanted: Wanted,
    shown: str,
    valid: np.ndarray | None = None,
) -> Raster:
    """A Raster of stored numbers.

    Args:
        values: (C, H, W) or (T, C, H, W) as stored.
        description: of these C bands.
        wanted: the user's words, which go before the file's.
        shown: the file's name, for errors.
        valid: (H, W) from an alpha or mask band.

    Raises:
        ValueError: the file does not say units or bands, holds only nodata, or its numbers cannot be what it says.
    """
    if wanted.wavelengths is not None:
        bare = tuple(replace(band, wavelength=None, fwhm=None) for band in description.bands)
        description = replace(description, bands=bare)
    unit = _unit(description, wanted, shown)
    if unit is not None and unit.name != "uint8":  # a picture's colours are a display's, not a sensor's
        description = description.with_wavelengths()
    bands = description.bands
    known = [band.name for band in bands if band.name]
    names = tuple(known) if len(set(known)) == len(bands) else None  # names that repeat name nothing
    wavelengths = wanted.wavelengths if wanted.wavelengths is not None else _all(band.wavelength for band in bands)
    fwhm = wanted.fwhm if wanted.fwhm is not None else _all(band.fwhm for band in bands)
    _ask(unit, names, wavelengths, len(bands), shown)
    assert unit is not None
    if values.dtype.kind == "c":
        if unit.name != "amplitude":
            raise ValueError(f"{shown} holds complex numbers; wanted real; units='amplitude' takes their magnitude")
        values = np.abs(values)
    values, valid = _decoded(values, bands, unit, bool(wanted.units), valid)
    if valid is not None and not valid.any():
        raise ValueError(f"{shown} holds only nodata; wanted at least one valid pixel; check the file or the window")
    if unit.name == "uint8":
        values = _as_bytes(values, valid, shown)
    if unit.name == "reflectance":
        _check_reflectance(values, valid, shown)
    return Raster(
        values,
        units=unit.name,
        bands=names,
        wavelengths=wavelengths,
        fwhm=fwhm,
        valid=valid,
        gsd=description.gsd,
        crs=description.crs,
        transform=description.transform,
        time=_time(description, wanted),
    )


def _all(numbers: Any) -> np.ndarray | None:
    found = list(numbers)
    return None if None in found else np.array(found, np.float64)


def _time(description: Description, wanted: Wanted) -> np.ndarray | None:
    if wanted.time is None:
        return None if description.time is None else np.array([description.time], "datetime64[ns]")
    given = np.atleast_1d(np.asarray(wanted.time))
    if given.dtype.kind != "M":
        parsed = [instant(entry) for entry in given.tolist()]
        if None in parsed:
            raise ValueError(
                f"time={wanted.time!r} came; wanted dates as ISO 8601 ('2019-09-17T10:50:31') or datetime64"
            )
        return np.array(parsed, "datetime64[ns]")
    return given.astype("datetime64[ns]")


def _unit(description: Description, wanted: Wanted, shown: str) -> Unit | None:
    if wanted.units is not None:
        return units_module.asked(wanted.units)
    found = {band.unit.name for band in description.bands if band.unit is not None}
    if len(found) > 1:
        listed = ", ".join(f"{band.name or i + 1} {band.unit.name if band.unit else '?'}"
                           for i, band in enumerate(description.bands))  # fmt: skip
        raise ValueError(f"the bands of {shown} have several units ({listed}); choose bands of one unit with bands=")
    if any(band.unit is None for band in description.bands):
        return None
    return description.bands[0].unit


def _ask(unit: Unit | None, names: Any, wavelengths: Any, count: int, shown: str) -> None:
    """ValueError that asks for what the file does not say."""
    lacks, gives = [], []
    if unit is None:
        lacks.append("its units")
        gives.append(f"units= (one of {', '.join(UNITS)}; 'reflectance x 10000' where the numbers are scaled)")
    if names is None and wavelengths is None and (unit is None or unit.name not in SELF_EXPLAINING):
        lacks.append("its band names" if count > 1 else "its band's name")
        plural = "s" if count > 1 else ""
        gives.append(f"bands= ({count} name{plural}, such as 'red', 'B04' or 'VV') or wavelengths= (micrometres)")
    if lacks:
        raise ValueError(f"{shown} does not say {' and '.join(lacks)}; give {' and '.join(gives)}")


def _law(band: Band, unit: Unit, said: bool) -> tuple[float, float]:
    """(a, b): stored * a + b is the value in ``unit.name``. ``said``: the user named the unit."""
    if unit.name in ("dn", "uint8"):
        return 1.0, 0.0
    own = unit if said or band.unit is None else band.unit
    if said and unit.factor is not None:
        a, b = 1 / unit.factor, 0.0
    elif said and band.unit is not None and band.unit.name != unit.name:
        a, b = 1.0, 0.0  # the user corrects the file: its scale belongs to another unit
    elif band.scale is not None:
        a, b = band.scale, band.offset or 0.0
    else:
        factor = own.factor or (band.unit.factor if band.unit is not None else None)
        a, b = (1 / factor if factor else 1.0), 0.0
    slope, shift = own.law
    return a * slope, b * slope + shift


def _decoded(
    values: np.ndarray, bands: Sequence[Band], unit: Unit, said: bool, valid: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Values in ``unit``, and where they are valid.

    0, and any number in 8-bit images, is also an honest value: such a nodata makes a pixel invalid only where all its
    bands have it. Other nodata numbers cannot be values: one band that has them makes the pixel invalid.
    """
    everywhere, anywhere = np.ones(values.shape[-2:], bool), np.zeros(values.shape[-2:], bool)
    shared = declared = False
    for index, band in enumerate(bands):
        layer = values[..., index, :, :]
        if layer.dtype.kind == "f":
            bad = ~np.isfinite(layer)
            anywhere |= bad.reshape(-1, *anywhere.shape).any(0)
        if band.nodata is None or np.isnan(band.nodata):
            everywhere[:] = False
            declared |= band.nodata is not None
            continue
        declared = True
        hit = (layer == np.asarray(band.nodata).astype(layer.dtype)) if _fits(band.nodata, layer.dtype) else None
        hit = np.zeros_like(anywhere) if hit is None else hit.reshape(-1, *anywhere.shape).all(0)
        everywhere &= hit
        if band.nodata == 0 or layer.dtype == np.uint8:
            shared = True
        else:
            anywhere |= hit
    invalid = anywhere | everywhere if shared else anywhere
    if valid is not None:
        invalid |= ~valid
    mask = ~invalid if declared or valid is not None or invalid.any() else None
    laws = [_law(band, unit, said) for band in bands]
    if all(law == (1.0, 0.0) for law in laws):
        if values.dtype.kind != "f":
            return values, mask
        laws = []
    with np.errstate(over="ignore", invalid="ignore"):  # nodata such as 1.8e308 leaves float32; it is masked below
        out = values.astype(np.float32)
    for index, (a, b) in enumerate(laws):
        layer = out[..., index, :, :]
        layer *= np.float32(a)
        layer += np.float32(b)
    if invalid.any():
        out[..., invalid] = np.nan  # never a number that could be taken for a value
    return out, mask


def _fits(number: float, dtype: np.dtype) -> bool:
    """Can a band of this type hold the number at all? (-9999 in a band of bytes cannot match.)"""
    if dtype.kind == "f":
        return True
    limits = np.iinfo(dtype)
    return float(number).is_integer() and limits.min <= number <= limits.max


def _as_bytes(values: np.ndarray, valid: np.ndarray | None, shown: str) -> np.ndarray:
    """Display values as bytes, also where a file stores them as other numbers."""
    if values.dtype == np.uint8:
        return values
    real = values if valid is None else values[..., valid]
    low, high = float(real.min()), float(real.max())
    if low < 0 or high > 255:
        raise ValueError(
            f"{shown} holds values from {low:g} to {high:g}; wanted 0 to 255 for units 'uint8'; give the true units="
        )
    return np.rint(np.nan_to_num(values)).astype(np.uint8)


def _check_reflectance(values: np.ndarray, valid: np.ndarray | None, shown: str) -> None:
    pixels = values.reshape(-1, values.shape[-2] * values.shape[-1])
    pixels = pixels if valid is None else pixels[:, valid.reshape(-1)]
    sample = pixels[:, :: max(1, pixels.size // 200_000)]
    middle = float(np.median(sample))
    if middle > HIGHEST_REFLECTANCE:
        raise ValueError(
            f"{shown} has a median reflectance of {middle:g}; wanted 0 to 1; say how it is scaled, as in "
            "units='reflectance x 10000'"
        )
