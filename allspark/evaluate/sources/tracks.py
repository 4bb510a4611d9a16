"""Trajectories: GeoLife trips by mode (split by user), Atlantic cyclones by strength, vehicles of Athens."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from ...items import Trajectory
from .archives import members, rows
from .base import Entry, Source, fold, split_of

MODES = {
    "walk": "walk", "bike": "bike", "bus": "bus", "car": "car", "taxi": "car", "subway": "train", "train": "train",
}  # fmt: skip
FEWEST = 10  # fixes of a trip
DAY = 86_400.0
PLT_EPOCH = np.datetime64("1899-12-30T00:00:00", "ms")  # day 0 of GeoLife's day numbers


def _track(positions: np.ndarray, time: np.ndarray, crs: str) -> Trajectory:
    return Trajectory(positions, time, crs=crs)


def _intervals(text: str) -> list[tuple[float, float, str]]:
    """(start, end, mode) of a user's labels.txt, in days since 1899-12-30 as in the .plt files."""
    found = []
    for line in text.splitlines()[1:]:
        cells = line.split("\t")
        if len(cells) == 3 and cells[2].strip() in MODES:
            times = (np.datetime64(cell.replace("/", "-").replace(" ", "T"), "ms") for cell in cells[:2])
            start, end = (float((time - PLT_EPOCH) / np.timedelta64(1, "D")) for time in times)
            found.append((start, end, MODES[cells[2].strip()]))
    return found


def geolife(path: Path) -> Iterator[Entry]:
    """GeoLife: the fixes inside each labelled interval, positions alone, split by user (a third to test).

    A trip is cut at a file's end; times are GMT in both files. A .plt is parsed here, as the label needs the absolute
    time, which a ``Trajectory`` does not keep.
    """
    import pandas as pd

    archive = zipfile.ZipFile(path / GEOLIFE.files[0])
    labels = {PurePosixPath(n).parts[1]: archive.read(n).decode() for n in members(archive, "labels.txt")}
    intervals = {user: _intervals(text) for user, text in labels.items()}
    for name in members(archive, ".plt"):
        user = PurePosixPath(name).parts[1]
        columns = pd.read_csv(io.BytesIO(archive.read(name)), header=None, skiprows=6, usecols=[0, 1, 4]).to_numpy()
        columns = columns[(np.abs(columns[:, 0]) <= 90) & (np.abs(columns[:, 1]) <= 180)]
        columns = columns[np.argsort(columns[:, 2], kind="stable")]
        days = columns[:, 2]
        for first, last, mode in intervals.get(user, []):
            low, high = np.searchsorted(days, [first - 0.5 / DAY, last + 0.5 / DAY])
            if high - low >= FEWEST:
                trip = columns[low:high]
                seconds = np.round((trip[:, 2] - trip[0, 2]) * DAY, 3)
                split = split_of(user, test=0.3, salt="2165")
                yield Entry(partial(_track, trip[:, [1, 0]], seconds, "EPSG:4326"), mode, user, split)


def _tables(archive: zipfile.ZipFile, name: str) -> Iterator[tuple[str, str, np.ndarray]]:
    """(track id, label, (N, 3) time, lat, lon) of every track of a table in order of time."""
    table = rows(archive, name)
    header = next(table)
    column = {key: header.index(key) for key in ("time", "lat", "lon", "tid", "label")}
    tracks: dict[str, tuple[str, list[list[float]]]] = {}
    for row in table:
        fixes = tracks.setdefault(row[column["tid"]], (row[column["label"]], []))[1]
        fixes.append([float(row[column[key]]) for key in ("time", "lat", "lon")])
    for track, (label, fixes) in tracks.items():
        values = np.array(fixes)
        yield track, label, values[np.argsort(values[:, 0], kind="stable")]


def hurricanes(path: Path) -> Iterator[Entry]:
    """Cyclones of the Atlantic by their greatest strength, from time and place alone (wind speed would tell)."""
    archive = zipfile.ZipFile(path / HURRICANES.files[0])
    for part in ("train", "test"):
        for track, label, fixes in _tables(archive, f"run1/raw_{part}.csv"):
            seconds = (fixes[:, 0] - fixes[0, 0]) * 3600.0  # the table counts hours
            split = "test" if part == "test" else split_of(track)
            yield Entry(partial(_track, fixes[:, [2, 1]], seconds, "EPSG:4326"), label, track, split)


def athens(path: Path) -> Iterator[Entry]:
    """Trucks and school buses in metres. For training only: the buses are two, so no split separates vehicles."""
    archive = zipfile.ZipFile(path / ATHENS.files[0])
    for part in ("train", "test"):
        for track, label, fixes in _tables(archive, f"specific_{part}.csv"):
            split = "val" if fold(track) < 0.1 else "train"
            # the column "lat" is the northing and "lon" the easting of a metric grid that the data do not name
            yield Entry(partial(_track, fixes[:, [2, 1]], fixes[:, 0] - fixes[0, 0], "metres"), label, track, split)


GEOLIFE = Source(
    name="geolife", modality="trajectory", files=("trajectory/geolife_labelled.zip",), scan=geolife, role="both",
    labels={
        "walk": ("walking", "a person on foot"),
        "bike": ("bicycle", "a person riding a bicycle"),
        "bus": ("bus", "a bus that stops often along its route"),
        "car": ("car", "a car or a taxi in traffic"),
        "train": ("train", "a train or an underground railway"),
    },
    licence="Microsoft Research licence: research, non-commercial",
    citation="Zheng et al., GeoLife: a collaborative social networking service, IEEE Data Eng. Bull. 2010",
)  # fmt: skip
HURRICANES = Source(
    name="hurricanes", modality="trajectory", files=("trajectory/hurricanes_labelled.zip",), scan=hurricanes,
    role="both",
    labels={
        "TS": ("tropical storm", "a weak tropical cyclone below hurricane strength"),
        "L1": ("category 1 hurricane", "a weak hurricane"),
        "L2": ("category 2 hurricane", "a moderate hurricane"),
        "L3": ("category 3 hurricane", "a major hurricane"),
        "L4": ("category 4 hurricane", "a very strong hurricane"),
        "L5": ("category 5 hurricane", "one of the strongest hurricanes"),
    },
    licence="public domain (NOAA); repository not stated", citation="NOAA HURDAT2 Atlantic best tracks",
)  # fmt: skip
ATHENS = Source(
    name="athens_vehicles", modality="trajectory", files=("trajectory/athens_vehicles.zip",), scan=athens,
    role="train",
    labels={
        "T": ("truck", "a truck that delivers goods in a city"),
        "B": ("school bus", "a bus that collects pupils along a route"),
    },
    licence="not stated", citation="chorochronos.org, Athens trucks and school buses",
)  # fmt: skip
SOURCES = (GEOLIFE, HURRICANES, ATHENS)
