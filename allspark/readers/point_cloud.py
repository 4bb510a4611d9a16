"""Point clouds: LAS, LAZ and COPC (las.py), PCD (pcd.py), PLY (ply.py), arrays and columns of text."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike, fspath
from pathlib import Path

import numpy as np

from ..items import PointCloud
from . import UnreadableFileError, suffix_of
from .archive import local, naming
from .numpy_file import header, load_arrays, names

SUFFIXES = frozenset({".las", ".laz", ".pcd", ".ply", ".npy", ".npz", ".xyz", ".pts", ".txt"})
COORDINATES = ("xyz", "points", "pos")  # names of the coordinates in an .npz
COLOURS = {"r": "red", "g": "green", "b": "blue", "i": "intensity"}  # short names in a header line
WIDEST = 64  # columns of one point; a wider array is a matrix of something else
HEAD = 8192  # bytes looked at


def claims(path: str | PathLike[str]) -> bool:
    """Whether an ambiguous file (.npy, .npz, .txt) looks like points: (P, 3 or more) numbers.

    In a .txt the first three columns must have decimal points: numbers without are ids or frames.
    """
    suffix = suffix_of(fspath(path))
    if suffix not in (".npy", ".npz", ".txt"):
        return suffix in SUFFIXES
    with local(path) as file:
        if suffix == ".txt":
            lines = _sample(file)
            return bool(lines) and all(len(words) >= 3 and all("." in word for word in words[:3]) for words in lines)
        if suffix == ".npz":
            return any(name in COORDINATES for name in names(file))
        found = header(file)
        return found is not None and ({"x", "y", "z"} <= set(found[1].names or ()) or _is_points(*found))


def read(
    path: str | PathLike[str],
    *,
    max_points: int | None = None,
    features: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    crs: str | None = None,
) -> PointCloud:
    """The point cloud of a file.

    LAS, LAZ and COPC say their CRS: coordinates in feet are brought to metres, in degrees refused. Files of the other
    kinds say nothing of units; theirs are taken to be metres. Features are as stored: LAS colours are 16 bits by its
    specification, though some programs write 0 to 255 there; PCD and PLY colours run from 0 to 255.

    Args:
        path: .las .laz .pcd .ply .npy .npz .xyz .pts .txt, also inside a zip.
        max_points: keep this many, drawn without replacement and always the same ones; None keeps all.
        features: names to keep; None keeps all that the file has. Fewer are faster to decompress.
        columns: for .npy and text, the names of the columns ("x", "y", "z", "intensity", …); without them the first
            three are x, y, z and the others are called "column_3" and so on, where no header line names them.
        crs: the coordinates' CRS, where the file does not say it.

    Returns:
        (P, 3) float64 metres and features name -> (P,).

    Raises:
        UnreadableFileError: empty, truncated or of another kind than its name says.
        ValueError: 0 points, degrees, NaN, or features that are not there.
    """
    from .las import read_las
    from .pcd import read_pcd
    from .ply import read_ply

    if max_points is not None and max_points < 1:
        raise ValueError(f"max_points is {max_points}; wanted at least 1, or None for all")
    name, suffix = fspath(path), suffix_of(fspath(path))
    found: str | None = None

    def pick(total: int) -> np.ndarray | None:
        if max_points is None or total <= max_points:
            return None
        return np.sort(np.random.default_rng(0).choice(total, max_points, replace=False, shuffle=False))

    with local(path) as file, naming(path):
        if suffix in (".las", ".laz"):
            xyz, values, found = read_las(file, features, pick if max_points else None, name)
        else:
            if suffix == ".pcd":
                xyz, values = read_pcd(file, name)
            elif suffix == ".ply":
                xyz, values = read_ply(file, name)
            elif suffix in (".npy", ".npz"):
                xyz, values = _arrays(file, columns, name)
            elif suffix in SUFFIXES:
                xyz, values = _text(file, columns, name)
            else:
                wanted = ", ".join(sorted(SUFFIXES))
                raise ValueError(f"a {suffix or 'nameless'} file came; wanted {wanted}; convert it")
            values = _chosen(values, features)
            keep = pick(len(xyz))
            if keep is not None:
                xyz, values = xyz[keep], {key: value[keep] for key, value in values.items()}
            if crs is not None:
                from pyproj import CRS

                from .las import in_metres

                found, factors = in_metres(CRS(crs), name)
                xyz = xyz * factors
        return PointCloud(xyz, values, found or crs)


def _chosen(values: dict[str, np.ndarray], features: Sequence[str] | None) -> dict[str, np.ndarray]:
    if features is None:
        return values
    missing = [name for name in features if name not in values]
    if missing:
        raise ValueError(f"no fields {missing} came; it holds {', '.join(values) or 'none'}; choose among these")
    return {name: values[name] for name in features}


def _is_points(shape: tuple[int, ...], dtype: np.dtype) -> bool:
    return len(shape) == 2 and 3 <= shape[1] <= WIDEST and dtype.kind == "f"


def _arrays(file: Path, columns: Sequence[str] | None, name: str) -> tuple[np.ndarray, dict]:
    arrays = load_arrays(file, name)
    key = next((key for key in COORDINATES if key in arrays), None) if len(arrays) > 1 else next(iter(arrays), None)
    if key is None:
        raise ValueError(f"the arrays are {', '.join(arrays) or 'none'}; wanted the points as 'xyz', (P, 3) metres")
    points = arrays.pop(key)
    if points.dtype.names:
        table = {field: points[field] for field in points.dtype.names}
        xyz, values = _split(table)
    elif points.ndim == 2 and points.shape[1] >= 3 and points.dtype.kind in "iuf":
        xyz, values = _split(dict(zip(_names(points.shape[1], columns), points.T)))
    else:
        raise ValueError(f"the array has shape {points.shape} of {points.dtype}; wanted (P, 3 or more) numbers")
    return xyz, values | arrays


def _names(width: int, columns: Sequence[str] | None) -> list[str]:
    if columns is None:
        return ["x", "y", "z", *(f"column_{i}" for i in range(3, width))]
    if len(columns) != width:
        raise ValueError(f"{len(columns)} column names came for {width} columns; give one name per column")
    return list(columns)


def _split(table: dict[str, np.ndarray]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    missing = [axis for axis in "xyz" if axis not in table]
    if missing:
        raise ValueError(f"no {', '.join(missing)} among the columns {', '.join(table)}; name them with columns=")
    xyz = np.stack([np.asarray(table.pop(axis), np.float64) for axis in "xyz"], axis=1)
    return xyz, {name: np.ascontiguousarray(value) for name, value in table.items()}


def _sample(file: Path) -> list[list[str]]:
    """The words of the first whole lines that hold numbers, if all of these do; else nothing."""
    with open(file, "rb") as opened:
        head = opened.read(HEAD)
    lines = head.decode("latin-1").splitlines()
    if len(head) == HEAD:
        lines = lines[:-1]  # cut off
    rows = [words for line in lines if len(words := _words(line)) > 1 and _numbers(words)]
    return rows if len(rows) >= len([line for line in lines if _words(line)]) - 2 else []  # a header and a count


def _words(line: str) -> list[str]:
    return line.replace(",", " ").replace(";", " ").split("#")[0].split("//")[0].split()


def _numbers(words: Sequence[str]) -> bool:
    try:
        return bool([float(word) for word in words])
    except ValueError:
        return False


def _text(file: Path, columns: Sequence[str] | None, name: str) -> tuple[np.ndarray, dict]:
    import pandas as pd

    skip, titles = 0, None
    with open(file, encoding="latin-1") as opened:
        for line in opened:
            words = _words(line)
            if len(words) >= 3 and _numbers(words):
                break
            skip += 1
            # a line that names the columns ("//X Y Z Intensity"); one lone number is a count, as in .pts
            bare = line.strip().lstrip("#/").replace(",", " ").replace(";", " ").lower().split()
            titles = bare if {"x", "y", "z"} <= set(bare) else titles
        else:
            raise UnreadableFileError(f"{name} has no line of three numbers; wanted x y z in columns; check the file")
    separator = "," if "," in line else ";" if ";" in line else r"\s+"
    try:
        frame = pd.read_csv(file, sep=separator, header=None, skiprows=skip, comment="#", encoding="latin-1")
    except (pd.errors.ParserError, ValueError) as error:
        raise UnreadableFileError(f"{name} is not one table of numbers ({error}); wanted x y z in columns") from error
    frame = frame.dropna(axis=1, how="all")  # a separator at the ends of lines
    words = [str(column) for column in frame.columns if frame[column].dtype.kind not in "iuf"]
    if words:
        raise ValueError(f"columns {', '.join(words)} (from 0) hold words; wanted numbers only; remove them")
    if columns is None and titles is not None and len(titles) == frame.shape[1]:
        columns = [COLOURS.get(column, column) for column in titles]
    return _split(dict(zip(_names(frame.shape[1], columns), (frame[column].to_numpy() for column in frame))))
