"""Several sensors over one tree: IDTReeS crowns in RGB, hyperspectral and LiDAR, on plots that training leaves out."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from ...items import Item, PointCloud, Raster
from .archives import geotiff, members
from .base import Entry, Source
from .cubes import CROWNS, TREES, crown_boxes, crown_raster, crown_split

FEWEST = 16  # LiDAR points in a crown
MARGIN = 0.5  # metres around a crown's rectangle: the sensors' grids do not meet exactly


def trees(path: Path, parts: Sequence[str] = ("test",)) -> Iterator[Entry]:
    """Crowns of known species that all three sensors see, in the plots of these parts; a plot is a group."""
    archive = zipfile.ZipFile(path / IDTREES.files[0])
    species, shapes = crown_boxes(path)
    for name in members(archive, ".tif", "RemoteSensing/HSI/"):
        plot = Path(name).stem
        split = crown_split(plot)
        if split not in parts:
            continue
        cube, about = geotiff(archive, name)
        colours, seen = geotiff(archive, f"RemoteSensing/RGB/{plot}.tif")
        points = _points(archive, f"RemoteSensing/LAS/{plot}.las")
        for tree, box in zip(*shapes[plot.split("_")[0]], strict=True):
            label = species.get(tree, "")
            spectra, picture = cut(cube, about["transform"], box), cut(colours, seen["transform"], box)
            west, south, east, north = box + MARGIN * np.array([-1, -1, 1, 1])
            x, y = points.xyz[:, 0], points.xyz[:, 1]
            inside = np.flatnonzero((x >= west) & (x <= east) & (y >= south) & (y <= north))
            if label not in TREES or min(spectra.shape[1:]) < 2 or min(picture.shape[1:]) < 8 or len(inside) < FEWEST:
                continue
            yield Entry(partial(_tree, spectra, picture, points, inside, about["crs"]), label, plot, split)


def cut(pixels: np.ndarray, grid: object, box: np.ndarray) -> np.ndarray:
    """The (C, h, w) pixels of a north-up grid that a rectangle (west, south, east, north) touches."""
    west, south, east, north = box
    a, c, e, f = (getattr(grid, key) for key in "acef")
    left, right = max(int((west - c) // a), 0), max(int(-((c - east) // a)), 0)
    top, bottom = max(int((north - f) // e), 0), max(int(-((f - south) // e)), 0)
    return pixels[:, top:bottom, left:right]


def _points(archive: zipfile.ZipFile, name: str) -> PointCloud:
    import io

    import laspy

    cloud = laspy.read(io.BytesIO(archive.read(name)))
    return PointCloud(np.asarray(cloud.xyz), features={"intensity": np.asarray(cloud.intensity, np.float32)}, crs=None)


def _tree(
    spectra: np.ndarray, picture: np.ndarray, points: PointCloud, inside: np.ndarray, crs: str | None
) -> dict[str, Item]:
    intensity = points.features["intensity"][inside]
    return {
        "rgb": Raster(np.clip(picture[:3], 0, 255).astype(np.uint8), units="uint8", bands=("red", "green", "blue")),
        "hyperspectral": crown_raster(spectra, crs),
        "point_cloud": PointCloud(points.xyz[inside], features={"intensity": intensity}, crs=None),
    }


IDTREES = Source(
    name="idtrees_paired", modality="hyperspectral+point_cloud+rgb", files=CROWNS.files, scan=trees, role="test",
    labels=CROWNS.labels, licence=CROWNS.licence, citation=CROWNS.citation,
)  # fmt: skip
SOURCES = (IDTREES,)
