"""Rasters kept as bare arrays: NumPy's .npy and .npz, MATLAB's .mat (version 5). Nothing is unpickled.

An array says nothing of itself, so units and bands are asked for, unless an .npz or .mat holds them beside the array
under their own names (``units``, ``bands``, ``wavelengths``, ``fwhm``, ``time``, ``gsd``, ``crs``).
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..items import Raster
from . import UnreadableFileError, units
from .archive import local
from .gdal import check_size, checked_window
from .place import Place
from .raster_assembly import Wanted, assemble, chosen
from .raster_metadata import Band, Description, instant, number

SUFFIXES = frozenset({".npy", ".npz", ".mat"})
LONGEST_LIST = 10_000  # entries of a list of bands
Shapes = dict[str, tuple[tuple[int, ...], bool]]  # variable -> shape, and whether it holds numbers

_WAVELENGTH_NAMES = ("wavelengths", "wavelength", "lambda", "wl", "bandcenters")
_NUMERIC = {"int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "single", "double"}


def claims(place: Place) -> bool:
    """Does the file hold an array of three or four axes? Only headers are read."""
    with local(place.shown) as path:
        return any(len(shape) in (3, 4) and numeric for shape, numeric in _shapes(path, place).values())


def read(place: Place, wanted: Wanted) -> Raster:
    """The Raster of an array file; see ``raster.read``."""
    with local(place.shown) as path:
        shapes = _shapes(path, place)
        name = _variable(shapes, wanted, place)
        shape = shapes[name][0] if len(shapes[name][0]) > 2 else (1, *shapes[name][0])
        axes = _axes(shape, wanted, place)
        count, height, width = (shape[axis] for axis in axes[-3:])
        window = checked_window(wanted.window, height, width, place.shown)
        check_size((0, 0, height, width) if place.suffix == ".mat" else window, int(np.prod(shape)) // (height * width),
                   place.shown)  # fmt: skip
        values, beside = _load(path, place, name, shapes)
    row, column, high, wide = window
    values = values.reshape(shape).transpose(axes)[..., row : row + high, column : column + wide]
    index, description = chosen(_described(beside, count), wanted.names, place.shown)
    if description.time is None and "time" in beside and wanted.time is None:
        wanted = replace(wanted, time=beside["time"])
    return assemble(np.ascontiguousarray(values[..., index, :, :]), description, wanted, place.shown)


def _shapes(path: Path, place: Place) -> Shapes:
    """Shapes from headers alone, so that nothing large is decoded before its size is known."""
    if path.suffix.lower() == ".mat":
        return _mat_shapes(path, place)
    try:
        if path.suffix.lower() == ".npy":
            with open(path, "rb") as file:
                return {"": _npy_header(file)}
        with zipfile.ZipFile(path) as archive:
            found = {}
            for info in archive.infolist():
                with archive.open(info) as file:
                    found[info.filename.removesuffix(".npy")] = _npy_header(file)
            return found
    except (ValueError, EOFError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise _unreadable(place, error) from error


def _npy_header(file: Any) -> tuple[tuple[int, ...], bool]:
    version = np.lib.format.read_magic(file)
    reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = reader(file)
    return tuple(shape), dtype.kind in "uifc"


def _mat_shapes(path: Path, place: Place) -> Shapes:
    from scipy.io import whosmat

    try:
        return {name: (tuple(shape), kind in _NUMERIC) for name, shape, kind in whosmat(str(path))}
    except NotImplementedError as error:
        raise ValueError(
            f"{place.shown} is a MATLAB 7.3 file (HDF5); wanted version 5 to 7; save it with save(..., '-v7')"
        ) from error
    except Exception as error:  # scipy lets through whatever a broken header causes: TypeError, zlib.error …
        raise _unreadable(place, error) from error


def _variable(shapes: Shapes, wanted: Wanted, place: Place) -> str:
    cubes = [name for name, (shape, numeric) in shapes.items() if numeric and len(shape) in (3, 4)]
    if wanted.variable is not None:
        if wanted.variable not in shapes or place.suffix == ".npy":
            held = ", ".join(name for name in shapes if name) or "one array without a name"
            raise ValueError(
                f"variable={wanted.variable!r} is not in {place.shown}, which holds {held}; choose among these"
            )
        if wanted.variable not in cubes and not _is_single(shapes[wanted.variable], wanted):
            raise _no_raster(shapes, [wanted.variable], place)
        return wanted.variable
    if not cubes:
        flat = [name for name, entry in shapes.items() if _is_single(entry, wanted)]
        if len(flat) == 1:
            return flat[0]
        raise _no_raster(shapes, shapes, place)
    if len(cubes) > 1:
        listed = ", ".join(f"{name} {shapes[name][0]}" for name in cubes)
        raise ValueError(f"{place.shown} holds several rasters ({listed}); wanted one; choose it with variable=")
    return cubes[0]


def _is_single(entry: tuple[tuple[int, ...], bool], wanted: Wanted) -> bool:
    """(H, W) numbers of which the user says that they are one band."""
    shape, numeric = entry
    return numeric and len(shape) == 2 and wanted.count == 1 and min(shape) > 1


def _no_raster(shapes: Shapes, names: Iterable[str], place: Place) -> ValueError:
    listed = ", ".join(f"{name} {shapes[name][0]}".strip() for name in names) or "nothing"
    return ValueError(
        f"{place.shown} holds no array of bands, rows and columns ({listed}); wanted three or four axes; a matrix of "
        "bands x pixels must be reshaped to (bands, rows, columns) and saved so"
    )


def _axes(shape: tuple[int, ...], wanted: Wanted, place: Place) -> tuple[int, ...]:
    """The order of axes that makes (C, H, W) or (T, C, H, W).

    The axis whose length is the number of bands the user names is that of the bands. Where nobody names it, two equal
    axes are rows and columns, and else each format keeps its custom: bands first in NumPy, last in MATLAB.
    """
    lead = tuple(range(len(shape) - 3))
    first, last = len(lead), len(shape) - 1
    channels_first, channels_last = (*lead, first, first + 1, last), (*lead, last, first, first + 1)
    customary, other = (channels_last, channels_first) if place.suffix == ".mat" else (channels_first, channels_last)
    count = wanted.count
    if count is not None:
        for order in (customary, other):
            if shape[order[-3]] == count:
                return order
        return customary
    a, b, c = shape[-3:]
    if a == b != c:
        return channels_last
    return channels_first if b == c != a else customary


def _load(path: Path, place: Place, name: str, shapes: Shapes) -> tuple[np.ndarray, Mapping[str, Any]]:
    """The array, and the small variables beside it."""
    small = [
        other
        for other, (shape, _) in shapes.items()
        if other != name and other.lower() in _KNOWN and len(shape) <= 2 and np.prod(shape) < LONGEST_LIST
    ]
    try:
        if path.suffix.lower() == ".npy":
            array = np.load(path, allow_pickle=False, mmap_mode="r" if place.inner is None else None)
            return array, {}
        if path.suffix.lower() == ".npz":
            with np.load(path, allow_pickle=False) as arrays:
                return arrays[name], {other.lower(): arrays[other] for other in small}
        from scipy.io import loadmat

        found = loadmat(str(path), variable_names=[name, *small])
        return found[name], {other.lower(): value for other, value in found.items() if other != name}
    except Exception as error:  # scipy and zlib again
        raise _unreadable(place, error) from error


def _described(beside: Mapping[str, Any], count: int) -> Description:
    wavelengths = next((beside[name] for name in _WAVELENGTH_NAMES if name in beside), None)
    unit = units.parse(_word(beside.get("units")))
    bands = [
        Band(name=None if name is None else str(name).strip(), unit=unit, wavelength=number(centre), fwhm=number(width))
        for name, centre, width in zip(
            _column(beside.get("bands"), count), _column(wavelengths, count), _column(beside.get("fwhm"), count)
        )
    ]
    if all(band.wavelength and band.wavelength >= 200 for band in bands):  # nanometres: no optical band is that long
        thousandth = lambda length: None if length is None else length / 1000  # noqa: E731
        bands = [replace(b, wavelength=thousandth(b.wavelength), fwhm=thousandth(b.fwhm)) for b in bands]
    gsd = np.asarray(beside.get("gsd", ())).ravel()
    return Description(
        tuple(bands),
        time=instant(_word(beside.get("time"))),
        gsd=number(gsd[0]) if len(gsd) == 1 else None,
        crs=_word(beside.get("crs")),
    )


def _column(value: Any, count: int) -> list[Any]:
    """One entry per band; Nones where the variable is missing or of another length."""
    entries = np.asarray(value).ravel().tolist() if value is not None else []
    return entries if len(entries) == count else [None] * count


def _word(value: Any) -> str | None:
    array = np.asarray(value).ravel() if value is not None else np.empty(0)
    return str(array[0]) if array.size == 1 and array.dtype.kind in "UO" else None


def _unreadable(place: Place, error: Exception) -> UnreadableFileError:
    return UnreadableFileError(
        f"{place.shown} could not be read as {place.suffix.removeprefix('.')} ({' '.join(str(error).split())}); wanted "
        "a whole file without pickled objects; fetch or write it again"
    )


_KNOWN = {"units", "bands", "fwhm", "time", "gsd", "crs", *_WAVELENGTH_NAMES}
