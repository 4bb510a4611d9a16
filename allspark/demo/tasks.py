"""What is shown of each modality: a sample, words to choose among, and pieces of samples to learn two classes from.

The pieces are cut from the samples themselves, so they are few and alike: they show how few-shot classification is
called, not how good it is. How the classes were made is said in each task's ``pieces_of``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import allspark

WATER, DRY = "open water", "dry land"


@dataclass(frozen=True)
class Task:
    """One modality's part of the demonstration.

    Attributes:
        modality: its name.
        file: the sample's file name.
        item: what is classified zero-shot and asked about.
        truth: the right one of ``labels``.
        labels: words to choose among.
        pieces: class -> items, for few-shot.
        pieces_of: how they were made, in words.
    """

    modality: str
    file: str
    item: Any
    truth: str
    labels: tuple[str, ...]
    pieces: Mapping[str, Sequence[Any]]
    pieces_of: str


def _read(name: str, **options: Any) -> Any:
    return allspark.read(allspark.sample(name), **options)


def _crop(raster: Any, row: int, column: int, size: int) -> Any:
    square = np.s_[row : row + size, column : column + size]
    valid = None if raster.valid is None else raster.valid[square]
    return replace(raster, values=raster.values[(..., *square)], valid=valid, transform=None)


def _tiles(raster: Any, size: int) -> Iterator[tuple[Any, int, int]]:
    height, width = raster.values.shape[-2:]
    for row in range(0, height - size + 1, size):
        for column in range(0, width - size + 1, size):
            yield _crop(raster, row, column, size), row, column


def rgb() -> Task:
    """A prairie lake against fields."""
    lake, fields = (_read(name) for name in ("rgb_lake", "rgb_fields"))
    inside = {(0, 0), (0, 1), (1, 2), (1, 3), (2, 2), (2, 3), (2, 4), (3, 2), (3, 3)}  # 32-pixel tiles all of water
    pieces = {
        WATER: [tile for tile, row, column in _tiles(lake, 32) if (row // 32, column // 32) in inside],
        "fields": [tile for tile, _, column in _tiles(fields, 32) if column >= 64],
    }
    labels = ("lake", "airport", "forest", "parking lot")
    return Task("rgb", "rgb_lake.tif", lake, "lake", labels, pieces, "32-pixel tiles of the lake and of rgb_fields.tif")


def _flood(modality: str, name: str) -> Task:
    scene = _read(name)
    water = flood_labels()
    pieces: dict[str, list[Any]] = {WATER: [], DRY: []}
    for tile, row, column in _tiles(scene, 16):
        share = (water[row : row + 16, column : column + 16] == 1).mean()
        if share > 0.9 or share < 0.1:
            pieces[WATER if share > 0.9 else DRY].append(tile)
    labels = ("flood", "forest", "city", "desert")
    how = "16-pixel tiles, over 90 % or under 10 % water in flood_labels.tif"
    return Task(modality, allspark.sample(name).name, scene, "flood", labels, pieces, how)


def flood_labels() -> np.ndarray:
    """(128, 128): −1 no data, 0 dry, 1 water, of the flood scene."""
    raster = _read("flood_labels", units="dn", bands=["water"])
    return np.where(raster.mask, raster.values[0], -1)


def multispectral() -> Task:
    """A flooded plain as Sentinel-2 saw it."""
    return _flood("multispectral", "multispectral_flood")


def sar() -> Task:
    """The same plain as Sentinel-1 saw it."""
    return _flood("sar", "sar_flood")


def hyperspectral() -> Task:
    """A lake's shore in 198 bands."""
    scene = _read("hyperspectral_jasper")
    pieces: dict[str, list[Any]] = {"water": [], "vegetation": []}
    for tile, _, _ in _tiles(scene, 4):
        red, nir = (tile.values[np.abs(tile.wavelengths - at).argmin()].astype(float) for at in (0.66, 0.86))
        index = (nir - red) / (nir + red)  # NDVI: water absorbs the near infrared, leaves reflect it
        if index.max() < -0.2 or index.min() > 0.4:
            pieces["water" if index.max() < 0 else "vegetation"].append(tile)
    labels = ("lake shore with trees", "airport", "desert", "snow")
    how = "4-pixel tiles, parted by the vegetation index"
    return Task("hyperspectral", "hyperspectral_jasper.img", scene, labels[0], labels, pieces, how)


def point_cloud() -> Task:
    """A town's roofs and trees."""
    cloud = _read("point_cloud_town")
    corner = cloud.xyz[:, :2].min(0)
    cell = ((cloud.xyz[:, :2] - corner) // 5).astype(int)  # 5 m
    kinds = np.asarray(cloud.features["classification"])
    pieces: dict[str, list[Any]] = {"building": [], "ground": []}
    codes = {6: "building", 2: "ground"}  # ASPRS class numbers
    for place in np.unique(cell, axis=0):
        inside = np.flatnonzero((cell == place).all(1))
        if len(inside) < 64:
            continue
        found, counts = np.unique(kinds[inside], return_counts=True)
        best = int(found[counts.argmax()])
        if best in codes and counts.max() > 0.8 * len(inside):
            features = {name: value[inside] for name, value in cloud.features.items() if name != "classification"}
            pieces[codes[best]].append(replace(cloud, xyz=cloud.xyz[inside], features=features))
    bare = replace(cloud, features={n: v for n, v in cloud.features.items() if n != "classification"})
    labels = ("town with buildings", "forest", "lake", "bare mountain")
    how = "5-metre squares, over 80 % of one class of the file"
    return Task("point_cloud", "point_cloud_town.laz", bare, labels[0], labels, pieces, how)


def trajectory() -> Task:
    """A hurricane's track."""
    track = _read("trajectory_katrina")
    pieces: dict[str, list[Any]] = {"heading west": [], "heading north": []}
    for start in range(0, len(track.positions) - 3, 4):
        part = slice(start, start + 4)
        east, north = track.positions[part][-1, :2] - track.positions[part][0, :2]
        heading = "heading west" if -east > north else "heading north"
        pieces[heading].append(replace(track, positions=track.positions[part], time=track.time[part], features={}))
    labels = ("hurricane", "bus", "pedestrian", "ship")
    return Task("trajectory", "trajectory_katrina.csv", track, "hurricane", labels, pieces, "one day of the track each")


def graph() -> Task:
    """Flights among airports."""
    whole = _read("graph_airports")
    degree = np.bincount(whole.edges.ravel(), minlength=whole.count)
    order = np.argsort(-degree, kind="stable")

    def around(node: int) -> Any:
        """A node, its neighbours, and the links among them."""
        edges = whole.edges
        near = np.union1d([node], np.union1d(edges[1, edges[0] == node], edges[0, edges[1] == node]))
        kept = edges[:, np.isin(edges, near).all(0)]
        return allspark.Graph(np.searchsorted(near, kept), count=len(near))

    pieces = {"hub": [around(node) for node in order[:16]], "spoke": [around(node) for node in order[-16:]]}
    labels = ("air transport network", "citation network", "protein", "road network")
    how = "the links around the 16 busiest and the 16 least busy airports"
    return Task("graph", "graph_airports.csv", whole, labels[0], labels, pieces, how)


def table() -> Task:
    """A day's weather as numbers; its type is the label and is taken out."""
    whole = _read("table_weather", modality="table")
    kinds = whole.frame["weather"].tolist()
    days = replace(whole, frame=whole.frame.drop(columns=["weather"]), scales=whole.scales)
    pieces = {kind: [days[i] for i, found in enumerate(kinds) if found == kind] for kind in ("rain", "sun")}
    first = kinds.index("rain")
    labels = ("rain", "sun", "snow", "fog")
    return Task(
        "table", "table_weather.csv", days[first], "rain", labels, pieces, "rows, one a day, without their type"
    )


def _sentences(name: str) -> list[Any]:
    words = _read(name).words
    return [allspark.Text(sentence) for sentence in re.split(r"(?<=\.)\s+", words.strip())]


def language() -> Task:
    """A paragraph about a flood."""
    pieces = {"flood": _sentences("language_flood"), "farming": _sentences("language_harvest")}
    item = replace(_read("language_flood"), truncate=True)  # small models read little at once
    labels = ("flood", "football", "music", "medicine")
    return Task("language", "language_flood.txt", item, "flood", labels, pieces, "sentences of the two texts")


def _functions(name: str) -> list[Any]:
    script = _read(name)
    parts = [part for part in script.source.split("\n\n") if part.strip()]
    return [replace(script, source=part) for part in parts]


def code() -> Task:
    """A script about water in images."""
    pieces = {"image processing": _functions("code_water_mask"), "graph search": _functions("code_shortest_path")}
    item = replace(_read("code_water_mask"), truncate=True)
    labels = ("JavaScript", "Python", "C", "HTML")
    return Task("code", "code_water_mask.js", item, "JavaScript", labels, pieces, "functions of the two scripts")


TASKS = (rgb, multispectral, sar, hyperspectral, point_cloud, trajectory, graph, table, language, code)
