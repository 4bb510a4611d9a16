"""Dense answers: a scene cut into the windows that an encoder reads, its tokens brought back to pixels or points."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .items import Item, PointCloud, Raster
from .modality import Modality

NO_DATA = -1


@dataclass(frozen=True, eq=False)
class Segmentation:
    """A class for every pixel or point.

    Attributes:
        classes: (H, W) or (P,) int16, positions in ``labels``; -1 where there is no data.
        labels: the K class names.
        scores: (K, H, W) or (K, P) float32, summing to 1 over K.
        item: what was segmented; its place on the earth goes into the file that ``write`` makes.
    """

    classes: np.ndarray
    labels: tuple[str, ...]
    scores: np.ndarray
    item: Item

    def write(self, path: str | os.PathLike) -> Path:
        """Write the classes: GeoTIFF (.tif, with CRS and transform), LAS or LAZ (.las, .laz), or .npz.

        The file appears under its name only when it is whole.

        Raises:
            ValueError: the suffix is none of these, or does not fit the item.
        """
        path = Path(path)
        writers = {".tif": self._write_tiff, ".las": self._write_las, ".laz": self._write_las, ".npz": self._write_npz}
        if path.suffix.lower() not in writers:
            raise ValueError(f"{path.name} ends in {path.suffix!r}; wanted one of {', '.join(writers)}")
        partial = path.with_name(f".{path.stem}.partial{path.suffix}")
        try:
            writers[path.suffix.lower()](partial)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
        return path

    def _write_tiff(self, path: Path) -> None:
        import warnings

        import rasterio
        from rasterio.errors import NotGeoreferencedWarning

        if not isinstance(self.item, Raster):
            raise ValueError(f"a {type(self.item).__name__} cannot be written as GeoTIFF; use .laz or .npz")
        height, width = self.classes.shape
        place = {"crs": self.item.crs, "transform": self.item.transform} if self.item.transform is not None else {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)  # the scene itself had no place
            with rasterio.open(
                path, "w", driver="GTiff", height=height, width=width, count=1, dtype="int16", nodata=NO_DATA,
                compress="deflate", **place,
            ) as file:  # fmt: skip
                file.write(self.classes.astype(np.int16), 1)
                file.set_band_description(1, "class")
                file.update_tags(**{f"CLASS_{i}": label for i, label in enumerate(self.labels)})

    def _write_las(self, path: Path) -> None:
        import laspy

        if not isinstance(self.item, PointCloud):
            raise ValueError(f"a {type(self.item).__name__} cannot be written as LAS; use .tif or .npz")
        header = laspy.LasHeader(version="1.4", point_format=6)
        header.offsets, header.scales = np.floor(self.item.xyz.min(0)), np.full(3, 0.001)
        if self.item.crs is not None:
            from pyproj import CRS

            header.add_crs(CRS(self.item.crs))
        las = laspy.LasData(header)
        las.x, las.y, las.z = self.item.xyz.T
        # LAS keeps 0 to 63 for its own meanings; 64 and up are the user's: label k is written as 64 + k, no data as 0
        las.classification = np.where(self.classes == NO_DATA, 0, self.classes + 64).astype(np.uint8)
        las.write(str(path))

    def _write_npz(self, path: Path) -> None:
        np.savez_compressed(path, classes=self.classes, scores=self.scores, labels=np.array(self.labels))


def windows(raster: Raster, size: int) -> Iterator[tuple[int, int, Raster]]:
    """Square windows that cover the raster: row, column and the window, all of one size.

    The last window of a row or column is moved inwards rather than padded; a scene smaller than ``size`` is cut into
    squares of its shorter side. Windows without a valid pixel are left out.
    """
    height, width = raster.values.shape[-2:]
    side = min(size, height, width)
    starts = lambda length: sorted({*range(0, length - side + 1, side), length - side})  # noqa: E731
    mask = raster.mask
    for row in starts(height):
        for column in starts(width):
            square = np.s_[row : row + side, column : column + side]
            if mask[square].any():
                yield row, column, replace(raster, values=raster.values[(..., *square)], valid=mask[square])


def squares(cloud: PointCloud, side: float) -> Iterator[np.ndarray]:
    """The points of each square of ``side`` metres, as numbers in the cloud's order; all of them where it is 0."""
    if side <= 0:
        yield np.arange(len(cloud.xyz))
        return
    cells = ((cloud.xyz[:, :2] - cloud.xyz[:, :2].min(0)) // side).astype(np.int64)
    _, square = np.unique(cells, axis=0, return_inverse=True)
    order = np.argsort(square.ravel(), kind="stable")
    yield from np.split(order, np.flatnonzero(np.diff(square.ravel()[order])) + 1)


def to_pixels(values: Tensor, grid: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Token values on a grid -> pixels, bilinear: (N, X) -> (X, H, W)."""
    image = values.T.unflatten(-1, grid)[None]
    return F.interpolate(image, size=size, mode="bilinear", align_corners=False)[0]


def to_points(values: Tensor, record: Modality, item: Item, settings: dict[str, Any]) -> Tensor:
    """Token values -> points: (N, X) -> (X, P); ValueError for a modality without dense answers."""
    if record.spread is None:
        raise ValueError(f"{record.name} has no dense answers; segment reads rasters and point clouds")
    return record.spread(values, item, **settings).T


class Canvas:
    """The mean of overlapping windows' values, gathered window by window: (X, H, W)."""

    def __init__(self, height: int, width: int) -> None:
        self.total: Tensor | None = None
        self.count = torch.zeros(height, width)

    def add(self, row: int, column: int, values: Tensor) -> None:
        """Add one window's (X, h, w)."""
        if self.total is None:
            self.total = values.new_zeros(len(values), *self.count.shape)
        height, width = values.shape[-2:]
        self.total[:, row : row + height, column : column + width] += values
        self.count[row : row + height, column : column + width] += 1

    def mean(self) -> Tensor:
        """(X, H, W); zero where no window came."""
        if self.total is None:
            raise ValueError("the raster has no valid pixel; wanted at least one")
        return self.total / self.count.clamp_min(1)
