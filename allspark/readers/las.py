"""LAS, LAZ and COPC by laspy and lazrs: scaled coordinates in metres, the CRS of the header, and the points' fields.

Format: ASPRS, "LAS Specification 1.4 - R15" (2019). COPC is a LAZ 1.4 file whose chunks are ordered as an octree, so
it is read as one.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import UnreadableFileError

if TYPE_CHECKING:
    from pyproj import CRS

CHUNK = 1_000_000  # points: 20 of lazrs' usual chunks, enough to keep every core decompressing
FIELDS = ("intensity", "return_number", "number_of_returns", "classification", "red", "green", "blue", "nir")
RECORDED = (("intensity",), ("red", "green", "blue"), ("nir",))  # 0 throughout: not recorded


def read_las(
    path: Path, features: Sequence[str] | None, pick: Any, name: str
) -> tuple[np.ndarray, dict[str, np.ndarray], str | None]:
    """The points of a LAS, LAZ or COPC file.

    Args:
        path: a real file.
        features: names to read, of ``FIELDS`` and of the file's extra bytes; None reads all that there are.
        pick: a function P -> sorted point numbers to keep, or None for all.
        name: what errors call the file.

    Returns:
        xyz (P, 3) float64 in metres, features name -> (P,), and the CRS as a string or None. Colours are as stored,
        which the specification wants scaled to 16 bits; some programs store 0 to 255 there all the same. Where all
        features are read, intensity and colours that are 0 throughout are left out: the format has their room
        whether or not they were recorded.

    Raises:
        UnreadableFileError: truncated, or no LAS at all.
        ValueError: 0 points, coordinates in degrees, or features that the file lacks.
    """
    import laspy

    with _whole(name):
        _check_counts(path)
    with _whole(name), laspy.open(path) as reader:
        header = reader.header
        total = header.point_count
        # a damaged count must not allocate all memory: even equal points cost LAZ a byte in a thousand
        least = total // 1000 if header.are_points_compressed else total * header.point_format.size
        size = path.stat().st_size
        if size < header.offset_to_point_data + least:
            raise EOFError(f"{size} bytes came for {total} points")
    if total == 0:
        raise ValueError(f"{name} has 0 points; wanted at least one; check the crop that wrote it")
    wanted = _wanted(header, features, name)
    crs, factors = _metres(header, name)
    with _whole(name), laspy.open(path, decompression_selection=_selection(header, wanted)) as reader:
        xyz, values = _points(reader, wanted, None if pick is None else pick(total))
    xyz *= factors
    if features is None:
        for group in RECORDED:
            if not any(values[field].any() for field in group if field in values):
                values = {field: value for field, value in values.items() if field not in group}
    return xyz, values, crs


@contextmanager
def _whole(name: str) -> Iterator[None]:
    """Whatever laspy and lazrs raise over damaged bytes becomes one sentence."""
    import laspy
    import lazrs

    try:
        yield
    except (laspy.errors.LaspyException, lazrs.LazrsError, struct.error, ValueError, TypeError, RuntimeError) as error:
        raise _unreadable(name, error) from error
    except (EOFError, IndexError, OverflowError, MemoryError) as error:
        raise _unreadable(name, error) from error


def _check_counts(path: Path) -> None:
    """Refuses a header that counts more records than the file holds: laspy would read on for hours.

    The places are those of the specification's public header block; a record's own header takes 54 or 60 bytes.
    """
    size = path.stat().st_size
    with open(path, "rb") as opened:
        block = opened.read(247)
    if block[:4] != b"LASF":
        raise EOFError("it does not start with LASF")
    header_size, points, records = struct.unpack_from("<HII", block, 94)
    extended, extended_records = struct.unpack_from("<QI", block, 235) if block[25] >= 4 else (0, 0)
    if header_size + 54 * records > min(points, size) or (extended_records and extended + 60 * extended_records > size):
        raise EOFError(f"{size} bytes cannot hold {records + extended_records} records before and after the points")


def _unreadable(name: str, error: BaseException) -> UnreadableFileError:
    return UnreadableFileError(
        f"{name} is truncated or not a LAS file ({error}); wanted a whole LAS, LAZ or COPC file; fetch it again"
    )


def _wanted(header: Any, features: Sequence[str] | None, name: str) -> list[str]:
    there = [field for field in FIELDS if field in set(header.point_format.standard_dimension_names)]
    # an extra dimension of several numbers per point becomes one feature per number, in _points
    there += [field for field in header.point_format.extra_dimension_names if field not in there]
    if features is None:
        return there
    missing = [field for field in features if field not in there]
    if missing:
        raise ValueError(f"{name} has no fields {missing}; it holds {', '.join(there)}; choose among these")
    return list(features)


def _selection(header: Any, wanted: Sequence[str]) -> Any:
    """Only the layers that are asked for: in point formats from 6 on, LAZ keeps each field in a layer of its own."""
    from laspy import DecompressionSelection as Layer

    layers = {"intensity": Layer.INTENSITY, "classification": Layer.CLASSIFICATION, "nir": Layer.NIR}
    layers |= dict.fromkeys(("red", "green", "blue"), Layer.RGB)
    layers |= dict.fromkeys(header.point_format.extra_dimension_names, Layer.ALL_EXTRA_BYTES)
    chosen = Layer.XY_RETURNS_CHANNEL | Layer.Z
    for field in wanted:
        chosen |= layers.get(field, Layer.XY_RETURNS_CHANNEL)
    return chosen


def _points(reader: Any, wanted: Sequence[str], keep: np.ndarray | None) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    header = reader.header
    total = header.point_count
    count = total if keep is None else len(keep)
    xyz = np.empty((count, 3))
    values: dict[str, np.ndarray] = {}
    start = filled = 0
    for chunk in reader.chunk_iterator(CHUNK):
        if keep is None:
            take: Any = slice(None)
            stop = filled + len(chunk)
        else:
            first, last = np.searchsorted(keep, (start, start + len(chunk)))
            take = keep[first:last] - start
            stop = filled + last - first
        for axis, field in enumerate("XYZ"):
            column = xyz[filled:stop, axis]
            np.multiply(chunk.array[field][take], header.scales[axis], out=column)
            column += header.offsets[axis]
        for field in wanted:
            part = np.asarray(chunk[field])[take]
            for key, column in _columns(field, part):
                if key not in values:
                    values[key] = np.empty(count, column.dtype)
                values[key][filled:stop] = column
        start += len(chunk)
        filled = stop
    if start != total:
        raise EOFError(f"{start} of {total} points are there")
    return xyz, values


def _columns(field: str, part: np.ndarray) -> list[tuple[str, np.ndarray]]:
    return [(field, part)] if part.ndim == 1 else [(f"{field}_{i}", part[:, i]) for i in range(part.shape[1])]


def _metres(header: Any, name: str) -> tuple[str | None, np.ndarray]:
    """The CRS as a string, and the factors (3,) that make metres of the file's x, y and z."""
    with warnings.catch_warnings():  # a CRS that PROJ cannot read is one that the file does not say
        warnings.simplefilter("ignore")
        try:
            crs = header.parse_crs()
        except Exception:  # laspy passes on whatever pyproj and malformed VLRs raise
            crs = None
        if crs is None:
            return None, np.ones(3)
        return in_metres(crs, name)


def in_metres(crs: CRS, name: str) -> tuple[str, np.ndarray]:
    """The same system in metres, and the factors (3,) that bring x, y and z there.

    A file in feet gets its CRS with metres as unit, so that coordinates and CRS still belong together. Where the CRS
    says nothing of heights they are taken to be in the unit of x and y, as the LAS specification has it.

    Raises:
        ValueError: a geographic CRS: degrees are no metres.
    """
    if crs.is_geographic:
        raise ValueError(
            f"{name} is in {crs.name}, in degrees; wanted metres; reproject it to a projected system such as UTM first"
        )
    units = [(axis.direction in ("up", "down"), axis.unit_conversion_factor or 1.0) for axis in crs.axis_info]
    flat = [factor for vertical, factor in units if not vertical] or [1.0]
    high = [factor for vertical, factor in units if vertical] or flat
    factors = np.array([flat[0], flat[0], high[0]])
    if (factors == 1).all():
        return crs.to_string(), factors
    from pyproj import CRS as Crs

    return Crs.from_json_dict(_with_metres(crs.to_json_dict())).to_string(), factors


def _with_metres(part: Any) -> Any:
    """PROJJSON with every axis of length in metres, and without the identifiers that no longer fit."""
    if isinstance(part, list):
        return [_with_metres(item) for item in part]
    if not isinstance(part, dict):
        return part
    if "direction" in part:
        linear = isinstance(part["unit"], dict) and part["unit"].get("type") == "LinearUnit"
        return part | {"unit": "metre"} if linear else part
    keep = "conversion", "base_crs", "datum", "datum_ensemble"  # parameters carry their own units
    return {key: value if key in keep else _with_metres(value) for key, value in part.items() if key != "id"}
