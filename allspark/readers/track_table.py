"""Trajectories as tables: one row per fix, columns for place, time and the moving thing's name."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import UnreadableFileError
from .fixes import Fixes, times

if TYPE_CHECKING:
    import pandas as pd

LON = ("lon", "longitude", "long", "lng", "location-long", "location_long")
LAT = ("lat", "latitude", "location-lat", "location_lat")
X, Y = ("x", "easting"), ("y", "northing")
HEIGHT = ("alt", "altitude", "ele", "elevation", "height", "z")
TIME = ("time", "timestamp", "datetime", "date_time", "iso_time", "basedatetime", "utc", "t", "date")
ID = ("track_id", "track", "tid", "trajectory_id", "traj_id", "trajectory", "trip_id", "vehicle_id", "mmsi", "sid") + (
    ("storm_id", "individual-local-identifier", "user_id", "id")  # "id" last: it may number the rows
)
PARTS = ("year", "month", "day", "hour", "minute", "second")
ROLES = ("x", "y", "z", "time", "id")


def looks_like(names: Sequence[str]) -> bool:
    """Whether lower-case column names are those of fixes: a place and a time. "date" alone is any table's."""
    found = set(names)
    place = (found & set(LON) and found & set(LAT)) or (found & set(X) and found & set(Y))
    return bool(place and found & (set(TIME) - {"date"}))


def tracks_of(
    frame: pd.DataFrame, name: str, columns: Mapping[str, Any], crs: str | None, unit: str | None, form: str | None
) -> tuple[dict[str, Fixes], str]:
    """Track -> fixes, and the CRS.

    Args:
        frame: one row per fix.
        name: what errors call the file.
        columns: role ("x", "y", "z", "time", "id") -> column where its name is not a usual one; "id" may be a list of
            columns that name a track together.
        crs: of x and y; longitude and latitude are EPSG:4326 where it is None.
        unit: what numeric times count; None means seconds.
        form: strptime's format of times that are not ISO 8601.

    Raises:
        ValueError: a role without a column, or coordinates without a CRS.
    """
    strange = [role for role in columns if role not in ROLES]
    if strange:
        raise ValueError(f"columns names {strange}; wanted roles among {', '.join(ROLES)}")
    lower = {str(column).lower(): str(column) for column in frame.columns}

    def find(role: str, usual: Sequence[str]) -> str | None:
        given = columns.get(role)
        if given is not None and given not in frame.columns:
            raise ValueError(f"{name} has no column {given!r}; it has {', '.join(map(str, frame.columns))}")
        return given or next((lower[key] for key in usual if key in lower), None)

    x, y = find("x", LON + X), find("y", LAT + Y)
    if x is None or y is None:
        raise ValueError(
            f"{name} has columns {', '.join(lower.values())}; wanted longitude and latitude; "
            'name them: columns={"x": …, "y": …}'
        )
    if crs is None:
        if x.lower() not in LON or y.lower() not in LAT:
            raise ValueError(f'{name} does not say what {x} and {y} are; give crs="metres" or, say, crs="EPSG:4326"')
        crs = "EPSG:4326"
    z = find("z", HEIGHT)
    labels, id_columns = _labels(frame, name, columns.get("id"), lower)
    moments, time_columns = _moments(frame, name, find("time", TIME), lower, unit, form)
    positions = np.column_stack([_numbers(frame, column, name) for column in (x, y, z) if column is not None])
    if z is not None and not np.isfinite(positions[:, 2]).all():
        positions = positions[:, :2]  # heights are known for some fixes only
    used = {x, y, z, *time_columns, *id_columns}
    numbers = [column for column in frame.columns if column not in used and frame[column].dtype.kind in "iuf"]
    tracks = {}
    for label, index in labels.items():
        features = {str(column): frame[column].to_numpy()[index] for column in numbers}
        tracks[label] = Fixes(positions[index], moments[index], features)
    return tracks, crs


def _numbers(frame: pd.DataFrame, column: str, name: str) -> np.ndarray:
    if frame[column].dtype.kind not in "iuf":
        raise ValueError(f"column {column!r} of {name} holds words; wanted numbers; mend it or name another: columns=")
    return frame[column].to_numpy(np.float64)


def _labels(
    frame: pd.DataFrame, name: str, given: Any, lower: Mapping[str, str]
) -> tuple[dict[str, np.ndarray], list[str]]:
    if given is not None:
        chosen = [given] if isinstance(given, str) else list(given)
        missing = [column for column in chosen if column not in frame.columns]
        if missing:
            raise ValueError(f"{name} has no columns {missing}; it has {', '.join(map(str, frame.columns))}")
    else:
        found = next((lower[key] for key in ID if key in lower), None)
        # a number of every row is no name of a track
        chosen = [found] if found is not None and (len(frame) < 2 or not frame[found].is_unique) else []
    if not chosen:
        return {"": np.arange(len(frame))}, []
    words = frame[chosen[0]].astype(str)
    for column in chosen[1:]:
        words = words + " " + frame[column].astype(str)
    groups = words.groupby(words, sort=False).indices
    return {str(label): np.sort(index) for label, index in groups.items()}, chosen


def _moments(
    frame: pd.DataFrame, name: str, column: str | None, lower: Mapping[str, str], unit: str | None, form: str | None
) -> tuple[np.ndarray, list[str]]:
    if column is None:
        import pandas as pd

        parts = {part: lower[part] for part in PARTS if part in lower}
        if not {"year", "month", "day"} <= set(parts):
            found = ", ".join(lower.values())
            raise ValueError(f'{name} has no times; its columns are {found}; name one: columns={{"time": …}}')
        dates = pd.to_datetime(frame[list(parts.values())].rename(columns={v: k for k, v in parts.items()}))
        return dates.to_numpy("datetime64[ns]"), list(parts.values())
    values = frame[column]
    date = lower.get("date")
    if date is not None and date != column and len(values) and re.match(r"\d{1,2}:\d\d", str(values.iloc[0])):
        return times((frame[date].astype(str) + "T" + values.astype(str)).to_numpy(), unit, form), [column, date]
    try:
        return times(values.to_numpy() if values.dtype.kind != "M" else values, unit, form), [column]
    except ValueError as error:
        raise ValueError(f"column {column!r} of {name}: {error}") from error


def read_parquet_points(path: Path, name: str) -> tuple[pd.DataFrame, str | None]:
    """A Parquet table; the points of a GeoParquet file become columns "x" and "y" (and "z"), with their CRS.

    Format: OGC, "GeoParquet 1.1": WKB in x, y order whatever the CRS says, OGC:CRS84 where none is named.

    Raises:
        UnreadableFileError: truncated, or no Parquet.
        ValueError: geometries that are not points.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise UnreadableFileError(f"{name} is truncated or no Parquet ({error}); wanted a whole file") from error
    meta = json.loads((table.schema.metadata or {}).get(b"geo", b"{}"))
    column = meta.get("primary_column")
    if column is None or column not in table.column_names:
        return table.to_pandas(), None
    about = meta["columns"][column]
    if about.get("encoding", "WKB") not in ("WKB", "point"):
        raise ValueError(f"{name} holds geometries as {about['encoding']!r}; wanted a point per fix")
    values = table[column].combine_chunks()
    if about.get("encoding", "WKB") == "WKB":
        points = _wkb_points(values.to_pylist(), name)
    else:
        points = np.array([[value[axis] for axis in ("x", "y")] for value in values.to_pylist()])
    frame = table.drop_columns([column]).to_pandas()
    for axis, numbers in zip("xyz", points.T):
        frame[axis] = numbers
    if "crs" not in about:
        return frame, "EPSG:4326"
    if about["crs"] is None:
        return frame, None
    from pyproj import CRS

    text = CRS.from_json_dict(about["crs"]).to_string()
    return frame, "EPSG:4326" if text == "OGC:CRS84" else text


def _wkb_points(values: Sequence[bytes | None], name: str) -> np.ndarray:
    """(N, 2 or 3) coordinates of WKB points; a missing one is NaN."""
    rows = []
    for value in values:
        if value is None:
            rows.append((np.nan, np.nan))
            continue
        order = "<" if value[0] == 1 else ">"
        (kind,) = struct.unpack_from(f"{order}I", value, 1)
        if (kind & 0x0FFFFFFF) % 1000 != 1:
            raise ValueError(f"{name} holds geometries of WKB type {kind}; wanted a point per fix")
        has_height = kind & 0x80000000 or (kind & 0x0FFFFFFF) // 1000 in (1, 3)  # EWKB's flag, ISO's thousands
        start = 9 if kind & 0x20000000 else 5  # EWKB's reference number comes first
        rows.append(struct.unpack_from(f"{order}{3 if has_height else 2}d", value, start))
    width = min((len(row) for row in rows), default=2)
    return np.array([row[:width] for row in rows], np.float64).reshape(-1, width)
