"""Point clouds: objects of ModelNet10 (split by class) and crops of airborne LiDAR (split by tile)."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np

from ...items import PointCloud
from .archives import members
from .base import Entry, Source, split_of

MODELNET_KEPT_OUT = ("bed", "desk", "monitor", "table", "toilet")
MODELNET_LABELS = {
    "bathtub": ("bathtub", "an open tub to bathe in"),
    "bed": ("bed", "furniture to sleep on with a mattress"),
    "chair": ("chair", "a seat with legs and a back"),
    "desk": ("desk", "a table with drawers to work at"),
    "dresser": ("dresser", "a wide chest of drawers"),
    "monitor": ("monitor", "a flat computer screen on a stand"),
    "night_stand": ("night stand", "a small cabinet beside a bed"),
    "sofa": ("sofa", "a long soft seat with arms and a back"),
    "table": ("table", "a flat top on legs"),
    "toilet": ("toilet", "a toilet bowl with a cistern"),
}

LIDAR_CLASSES = {2: "ground", 3: "vegetation", 4: "vegetation", 5: "vegetation", 6: "building"}
FINE_CLASSES = {2: "ground", 3: "low vegetation", 4: "medium vegetation", 5: "high vegetation", 6: "building"}
LIDAR_TEST = ("77060_627755", "77060_627760")  # the eastern column of the six neighbouring tiles
LIDAR_CELL = 25.0  # metres; a cell of a dense tile is a group
POINT_CELL = 10.0  # metres; the same where single points are asked for: an encoder's tokens lie close enough
LIDAR_PURITY = 0.7
LIDAR_MOST, LIDAR_FEWEST = 2_000, 64
LIDAR_PER_CLASS = 25  # crops of a class in a cell
SPARSE = 1.0  # points per square metre; below it, tiles are decimated and crops must be wider
LIDAR_LABELS = {
    "ground": ("ground", "bare ground, street or lawn"),
    "vegetation": ("vegetation", "trees and bushes"),
    "building": ("building", "roofs and walls of a building"),
}


def _pcd(archive: zipfile.ZipFile, name: str) -> PointCloud:
    """A binary PCD of three float32 fields, scaled to a longest side of one: a CAD model's own unit is arbitrary."""
    raw = archive.read(name)
    start = raw.index(b"DATA binary\n") + len(b"DATA binary\n")
    xyz = np.frombuffer(raw, "<f4", offset=start).reshape(-1, 3).astype(np.float64)
    xyz = xyz - (xyz.max(0) + xyz.min(0)) / 2
    return PointCloud((xyz / np.ptp(xyz, axis=0).max()).astype(np.float32), crs=None)


def modelnet(path: Path) -> Iterator[Entry]:
    """ModelNet10: the official parts; training on five classes, "test" on the five others, "seen" on the first five."""
    archive = zipfile.ZipFile(path / MODELNET.files[0])
    for name in members(archive, ".pcd"):
        label, part, _ = name.split("/")
        if part == "train":
            split = split_of(name)
        else:
            split = "test" if label in MODELNET_KEPT_OUT else "seen"
        yield Entry(partial(_pcd, archive, name), label, name, split)


def lidar(path: Path) -> Iterator[Entry]:
    """Cylinders of airborne LiDAR, labelled by what most of their points are, cut off at their cell's edge."""
    from ...readers.point_cloud import read

    for file in sorted((path / LIDAR.files[0]).glob("*.laz")):
        cloud = read(file)
        held_out = any(name in file.name for name in LIDAR_TEST)
        xy = cloud.xyz[:, :2] - cloud.xyz[:, :2].min(0)
        density = len(xy) / max(float(np.prod(xy.max(0))), 1.0)
        # a decimated tile of a square kilometre has 0.06 to 0.3 points per square metre
        cell, radius = (LIDAR_CELL, 4.0) if density > SPARSE else (LIDAR_CELL * 10, 15.0)
        cells = (xy // cell).astype(int)
        classes = np.asarray(cloud.features["classification"]).astype(int)
        for key in sorted({tuple(pair) for pair in cells.tolist()}):
            inside = np.flatnonzero((cells == key).all(1))
            group = f"{file.stem}-{key[0]}-{key[1]}"
            split = "test" if held_out else split_of(group, val=0.15)
            for rows, label in _cylinders(xy[inside], classes[inside], radius, seed=len(inside)):
                yield Entry(partial(_crop, cloud, inside[rows]), label, group, split)


def labelled_cells(
    path: Path, split: str, classes: Mapping[int, str] = MappingProxyType(LIDAR_CLASSES), side: float = 1.0
) -> Iterator[tuple[PointCloud, np.ndarray, str]]:
    """Whole cells of the tiles of a split: the cloud without its classes, each point's label ("" where it has none of
    ``classes``), and the cell's name. Cells of fewer than 64 points, and of a single class, are left out. A cell is
    ``side`` times as wide as usual.
    """
    from ...readers.point_cloud import read

    for file in sorted((path / LIDAR.files[0]).glob("*.laz")):
        if (split == "test") != any(name in file.name for name in LIDAR_TEST):
            continue
        cloud = read(file)
        xy = cloud.xyz[:, :2] - cloud.xyz[:, :2].min(0)
        density = len(xy) / max(float(np.prod(xy.max(0))), 1.0)
        cells = (xy // (side * (POINT_CELL if density > SPARSE else POINT_CELL * 10))).astype(int)
        names = np.array([classes.get(int(c), "") for c in np.asarray(cloud.features["classification"])])
        for key in sorted({tuple(pair) for pair in cells.tolist()}):
            inside = np.flatnonzero((cells == key).all(1))
            if len(inside) >= LIDAR_FEWEST and len(set(names[inside]) - {""}) > 1:
                yield _crop(cloud, inside), names[inside], f"{file.stem}-{key[0]}-{key[1]}"


def _cylinders(xy: np.ndarray, classes: np.ndarray, radius: float, seed: int) -> Iterator[tuple[np.ndarray, str]]:
    """The point numbers and the label of crops around random points of each class, at least a radius apart."""
    from scipy.spatial import cKDTree

    generator = np.random.default_rng(seed)
    tree = cKDTree(xy)
    names = np.array([LIDAR_CLASSES.get(int(c), "") for c in classes])
    for label in LIDAR_LABELS:
        centres: list[np.ndarray] = []
        for i in generator.permutation(np.flatnonzero(names == label))[: LIDAR_PER_CLASS * 8]:
            if len(centres) == LIDAR_PER_CLASS:
                break
            if centres and np.hypot(*(np.array(centres) - xy[i]).T).min() < radius / 2:
                continue
            rows = np.array(tree.query_ball_point(xy[i], radius))
            if len(rows) < LIDAR_FEWEST or (names[rows] == label).mean() < LIDAR_PURITY:
                continue
            centres.append(xy[i])
            if len(rows) > LIDAR_MOST:
                rows = generator.choice(rows, LIDAR_MOST, replace=False)
            yield np.sort(rows), label


def _crop(cloud: PointCloud, rows: np.ndarray) -> PointCloud:
    # the point's class is the answer: it may not be among the features
    features = {name: value[rows] for name, value in cloud.features.items() if name != "classification"}
    return PointCloud(cloud.xyz[rows], features=features, crs=cloud.crs)


MODELNET = Source(
    name="modelnet10", modality="point_cloud", files=("points/modelnet10_1024.zip",), scan=modelnet,
    labels=MODELNET_LABELS, role="both", kept_out=MODELNET_KEPT_OUT, licence="academic use (ModelNet)",
    citation="Wu et al., 3D ShapeNets, CVPR 2015",
)  # fmt: skip
LIDAR = Source(
    name="ign_lidarhd", modality="point_cloud", files=("points/ign_lidarhd",), scan=lidar, labels=LIDAR_LABELS,
    role="both", licence="Licence Ouverte / Etalab 2.0 (LiDAR HD); not stated for the sample tiles",
    citation="IGN, LiDAR HD",
)  # fmt: skip
SOURCES = (MODELNET, LIDAR)
