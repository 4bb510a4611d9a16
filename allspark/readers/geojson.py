"""GeoJSON trajectories: lines with a time per vertex, or points with a time each.

Formats: RFC 7946 (WGS 84 longitude and latitude); ``coordTimes`` as togeojson writes it, also within
``coordinateProperties``; a fourth coordinate of seconds as in kepler.gl's trips.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import UnreadableFileError
from .fixes import Fixes, times, unused

LISTS = ("coordTimes", "times", "timestamps", "time", "datetimes")
STAMPS = ("time", "timestamp", "datetime", "date", "t")
IDS = ("id", "track_id", "tid", "trajectory_id", "track", "name")


def read_geojson(
    path: Path, name: str, unit: str | None, form: str | None, columns: Mapping[str, Any]
) -> tuple[dict[str, Fixes], str]:
    """Track -> fixes, and the CRS: EPSG:4326, or the one that a file from before RFC 7946 names.

    Args:
        path: a real file.
        name: what errors call it.
        unit: what numeric times count; None means seconds.
        form: strptime's format of times that are not ISO 8601.
        columns: {"time": property, "id": property} where their names are others.

    Raises:
        UnreadableFileError: truncated JSON, or no GeoJSON.
        ValueError: no times, or another number of times than of vertices.
    """
    try:
        root = json.loads(path.read_text("utf-8-sig"))
        features = root["features"] if root["type"] == "FeatureCollection" else [root]
        features = [part if part["type"] == "Feature" else {"geometry": part, "properties": {}} for part in features]
        named = root.get("crs") or {}
        crs = (named.get("properties") or {}).get("name", "EPSG:4326") if isinstance(named, dict) else "EPSG:4326"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UnreadableFileError(f"{name} is truncated or no GeoJSON ({error!r}); wanted features") from error
    try:
        tracks = _lines(features, name, unit, form, columns)
        points = _points(features, name, unit, form, columns)
    except (KeyError, TypeError, IndexError, AttributeError) as error:
        raise UnreadableFileError(f"{name} has malformed features ({error!r}); wanted RFC 7946") from error
    for label, fixes in points.items():
        tracks[unused(label, tracks)] = fixes
    if not tracks:
        raise ValueError(f"{name} has no lines and no points; wanted LineStrings or Points with times")
    return tracks, "EPSG:4326" if crs.endswith(("CRS84", "EPSG::4326")) else crs


def _lines(features: list[dict], name: str, unit: str | None, form: str | None, columns: Mapping[str, Any]) -> dict:
    tracks: dict[str, Fixes] = {}
    for feature in features:
        geometry, properties = feature.get("geometry") or {}, feature.get("properties") or {}
        kind = geometry.get("type")
        if kind not in ("LineString", "MultiLineString"):
            continue
        parts = [geometry["coordinates"]] if kind == "LineString" else geometry["coordinates"]
        vertices = [vertex for part in parts for vertex in part]
        inner = properties.get("coordinateProperties") or {}
        wanted = (columns["time"],) if "time" in columns else LISTS
        stamps = next((holder[key] for holder in (properties, inner) for key in wanted if key in holder), None)
        if isinstance(stamps, list) and stamps and isinstance(stamps[0], list):
            stamps = [stamp for part in stamps for stamp in part]
        if stamps is None and vertices and all(len(vertex) == 4 for vertex in vertices):
            stamps = [vertex[3] for vertex in vertices]
        if not isinstance(stamps, list):
            raise ValueError(f"{name} has a line without times; wanted one per vertex, as coordTimes")
        if len(stamps) != len(vertices):
            raise ValueError(f"{name} has {len(stamps)} times for a line of {len(vertices)} vertices; give one each")
        label = _label(feature, properties, columns) or f"track {len(tracks) + 1}"
        tracks[unused(label, tracks)] = Fixes(_positions(vertices), times(stamps, unit, form), {})
    return tracks


def _points(features: list[dict], name: str, unit: str | None, form: str | None, columns: Mapping[str, Any]) -> dict:
    rows = [part for part in features if (part.get("geometry") or {}).get("type") == "Point"]
    if not rows:
        return {}
    wanted = (columns["time"],) if "time" in columns else STAMPS
    holders = [row.get("properties") or {} for row in rows]
    key = next((key for key in wanted if key in holders[0]), None)
    if key is None:
        found = ", ".join(holders[0]) or "none"
        raise ValueError(f'{name} has points without times but {found}; name one: columns={{"time": …}}')
    moments = times([holder.get(key) for holder in holders], unit, form)
    labels = [_label({}, holder, columns) or "track 1" for holder in holders]
    if len(set(labels)) == len(labels):  # an id of every point is no id of a track
        labels = ["track 1"] * len(labels)
    places = [row["geometry"]["coordinates"] for row in rows]
    tracks = {}
    for label in dict.fromkeys(labels):
        index = [i for i, other in enumerate(labels) if other == label]
        numbers = {
            field: np.array([holders[i][field] for i in index], np.float64)
            for field in sorted(holders[index[0]])
            if field != key and all(_is_number(holders[i].get(field)) for i in index)
        }
        tracks[label] = Fixes(_positions([places[i] for i in index]), moments[index], numbers)
    return tracks


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _label(feature: Mapping, properties: Mapping, columns: Mapping[str, Any]) -> str | None:
    wanted = (columns["id"],) if "id" in columns else IDS
    found = next((properties[key] for key in wanted if properties.get(key) is not None), feature.get("id"))
    return None if found is None else str(found)


def _positions(vertices: Sequence[Sequence[float]]) -> np.ndarray:
    width = min(3, min((len(vertex) for vertex in vertices), default=2))
    return np.array([vertex[:width] for vertex in vertices], np.float64).reshape(-1, width)
