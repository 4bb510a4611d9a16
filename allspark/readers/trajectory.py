"""Trajectories: GPX, tables of fixes (CSV, Parquet, GeoParquet), GeoLife's .plt and GeoJSON."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np

from ..items import Trajectory
from . import UnreadableFileError, suffix_of
from .archive import local, naming
from .crowd import Crowd
from .delimited import columns as column_names
from .delimited import read_delimited
from .fixes import Fixes, times

SUFFIXES = frozenset({".gpx", ".plt", ".csv", ".tsv", ".txt", ".json", ".geojson", ".parquet", ".geoparquet"})
FOOT = 0.3048  # metres
NO_HEIGHT = -777.0  # feet; how GeoLife marks an unknown height
PLT_HEADER = 6  # lines


def claims(path: str | PathLike[str]) -> bool:
    """Whether an ambiguous file looks like fixes: a place and a time among a table's columns, or GeoJSON."""
    suffix = suffix_of(fspath(path))
    with local(path) as file:
        if suffix in (".csv", ".tsv", ".txt"):
            from .track_table import looks_like

            return looks_like(column_names(file, fspath(path)))
        if suffix in (".parquet", ".geoparquet"):
            return _parquet_claims(file)
        if suffix in (".json", ".geojson"):
            with open(file, "rb") as opened:
                head = opened.read(1 << 16)
            return b'"type"' in head and (b'"Feature' in head or b'"LineString"' in head)
    return suffix in SUFFIXES


def _parquet_claims(file: Path) -> bool:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from .track_table import looks_like

    try:
        schema = pq.read_schema(file)
    except (pa.ArrowException, OSError, ValueError):  # ValueError: names that are no UTF-8
        return False
    names = [str(column).lower() for column in schema.names]
    return looks_like([*names, "x", "y"] if b"geo" in (schema.metadata or {}) else names)


def read(
    path: str | PathLike[str],
    *,
    id: str | None = None,
    columns: Mapping[str, Any] | None = None,
    crs: str | None = None,
    time_unit: str | None = None,
    time_format: str | None = None,
    start: str | float | None = None,
    end: str | float | None = None,
    others: bool = False,
) -> Trajectory:
    """The one trajectory of a file, or the one of this ``id``.

    Fixes are put in order of time, and one that repeats another's time and place is left out. Other columns of
    numbers become features.

    Args:
        path: .gpx .plt .csv .tsv .geojson .json .parquet .geoparquet, and .txt with
            column names; also inside a zip.
        id: which track of several.
        columns: role -> column, for "x", "y", "z", "time" and "id", where the names are not usual ones such as lon,
            lat and time; "id" may be a list of columns, such as a storm's name and year.
        crs: "metres" or, say, "EPSG:2154", where the file does not say what x and y are.
        time_unit: what numeric times count ("s", "ms", "min", "h", "d"); seconds where it is None.
        time_format: strptime's format of times that are not ISO 8601.
        start, end: only the fixes from the one time to the other, told as the file tells times.
        others: also say where the file's other tracks were at these fixes: each one's last fix at or before the time,
            where that is younger than a step.

    Returns:
        (N, 2 or 3) positions; a third column, in metres, where every fix has a height.

    Raises:
        UnreadableFileError: empty, truncated or of another kind than its name says.
        ValueError: several tracks and no id, no such id, no times, no CRS for x and y, or fewer than two fixes.
    """
    crowd = read_crowd(path, columns=columns, crs=crs, time_unit=time_unit, time_format=time_format)
    with naming(path):
        return crowd.pick(None if id is None else str(id), start, end, others)


def read_crowd(
    path: str | PathLike[str],
    *,
    columns: Mapping[str, Any] | None = None,
    crs: str | None = None,
    time_unit: str | None = None,
    time_format: str | None = None,
) -> Crowd:
    """Every track of a file, to pick from; args and errors are those of ``read``."""
    tracks, found = _tracks(path, columns or {}, crs, time_unit, time_format)
    return Crowd(tracks, found, fspath(path), time_unit, time_format)


def read_all(
    path: str | PathLike[str],
    *,
    columns: Mapping[str, Any] | None = None,
    crs: str | None = None,
    time_unit: str | None = None,
    time_format: str | None = None,
) -> dict[str, Trajectory]:
    """Every trajectory of a file by its id; a track of fewer than two fixes is left out, with a warning.

    Args and errors are those of ``read``.
    """
    crowd = read_crowd(path, columns=columns, crs=crs, time_unit=time_unit, time_format=time_format)
    with naming(path):
        read_tracks = crowd.all()
    if not read_tracks:
        raise ValueError(f"{fspath(path)} holds no track of two fixes or more; wanted one; check the id column")
    if len(read_tracks) < len(crowd):
        gone = len(crowd) - len(read_tracks)
        warnings.warn(f"{gone} of {len(crowd)} tracks of {fspath(path)} have one fix only; left out", stacklevel=2)
    return read_tracks


def _tracks(
    path: str | PathLike[str], columns: Mapping[str, Any], crs: str | None, unit: str | None, form: str | None
) -> tuple[dict[str, Fixes], str]:
    name, suffix = fspath(path), suffix_of(fspath(path))
    with local(path) as file, naming(path):
        if suffix == ".gpx":
            from .gpx import read_gpx

            return read_gpx(file, name), "EPSG:4326"
        if suffix == ".plt":
            return _plt(file, name), "EPSG:4326"
        if suffix in (".json", ".geojson"):
            from .geojson import read_geojson

            tracks, found = read_geojson(file, name, unit, form, columns)
            return tracks, crs or found
        from .track_table import read_parquet_points, tracks_of

        if suffix in (".parquet", ".geoparquet"):
            frame, known = read_parquet_points(file, name)
        elif suffix in SUFFIXES:
            frame, known = read_delimited(file, name), None
        else:
            raise ValueError(f"a {suffix or 'nameless'} file came; wanted {', '.join(sorted(SUFFIXES))}; convert it")
        if len(frame) == 0:
            raise ValueError(f"{name} has no rows; wanted at least two fixes; check the query that wrote it")
        return tracks_of(frame, name, columns, crs or known, unit, form)


def _plt(file: Path, name: str) -> dict[str, Fixes]:
    """GeoLife 1.3: six lines of header; latitude, longitude, 0, feet, days since 1899-12-30, date, time (GMT)."""
    lines = file.read_text("latin-1").splitlines()[PLT_HEADER:]
    rows = [line.split(",") for line in lines if line.strip()]
    try:
        numbers = np.array([[float(row[1]), float(row[0]), float(row[3])] for row in rows]).reshape(-1, 3)
        stamps = [f"{row[5].strip()}T{row[6].strip()}" for row in rows]
    except (ValueError, IndexError) as error:
        raise UnreadableFileError(f"{name} is truncated or no GeoLife .plt ({error}); wanted 7 columns") from error
    if not rows:
        raise ValueError(f"{name} has no fixes after its {PLT_HEADER} lines of header; wanted at least two")
    heights = numbers[:, 2:] * FOOT
    known = bool((numbers[:, 2] != NO_HEIGHT).all())
    return {"": Fixes(np.hstack([numbers[:, :2], heights]) if known else numbers[:, :2], times(stamps), {})}
