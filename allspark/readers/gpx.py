"""GPX 1.0 and 1.1: the tracks and timed routes of GPS receivers.

Format: Topografix, "GPX 1.1 Schema Documentation" (2004): WGS 84 degrees, heights in metres, times in UTC.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from . import UnreadableFileError
from .fixes import Fixes, times, unused
from .safe_xml import local_name, parse_xml

POINTS = {"trkpt", "rtept"}


def read_gpx(path: Path, name: str) -> dict[str, Fixes]:
    """Track name -> fixes; the segments of one track are joined.

    Numbers that every point of a track carries (speed, heart rate and other extensions) become features.

    Raises:
        UnreadableFileError: truncated or malformed, or not GPX.
        ValueError: points without time, or no points.
    """
    root = parse_xml(path, name)
    if local_name(root) != "gpx":
        raise UnreadableFileError(f"{name} holds <{local_name(root)}>; wanted <gpx>; check its suffix")
    tracks: dict[str, Fixes] = {}
    for track in root:
        points = [point for point in track.iter() if local_name(point) in POINTS]
        if not points:
            continue
        label = next((part.text for part in track if local_name(part) == "name" and part.text), None)
        label = unused((label or f"track {len(tracks) + 1}").strip(), tracks)
        tracks[label] = _fixes(points, name)
    if not tracks:
        raise ValueError(f"{name} has no track points; wanted a track or a route with times; waypoints alone are none")
    return tracks


def _fixes(points: list[Element], name: str) -> Fixes:
    try:
        positions = np.array([(float(point.attrib["lon"]), float(point.attrib["lat"])) for point in points])
    except (KeyError, ValueError) as error:
        raise UnreadableFileError(f"{name} has points without lon and lat ({error}); wanted both as numbers") from error
    leaves = [{local_name(leaf): leaf.text for leaf in point.iter() if leaf.text and not len(leaf)} for point in points]
    stamps = [leaf.get("time") for leaf in leaves]
    if not any(stamps):
        raise ValueError(f"{name} has no times; wanted a <time> in every point; a drawn route is no trajectory")
    features = {}
    for key in sorted(set.intersection(*(set(leaf) for leaf in leaves)) - {"time"}):
        try:
            features[key] = np.array([float(leaf[key] or "") for leaf in leaves])
        except ValueError:
            continue  # words, such as the kind of fix
    heights = features.pop("ele", None)
    if heights is not None and np.isfinite(heights).all():
        positions = np.column_stack([positions, heights])
    return Fixes(positions, times(stamps), features)
