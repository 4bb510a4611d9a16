"""A folder with one band per file (Sentinel-2, Landsat, Sentinel-1, or B02.tif, red.tif …) as one Raster.

Bands are known by the ends of the files' names; all are brought to the grid of the finest one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..items import Raster
from . import products, sensors, stac
from .gdal import check_size, checked_window, moved, opened
from .image import part_of
from .place import Place
from .raster_assembly import Wanted, assemble, chosen
from .raster_metadata import Band, Description, describe, last_words

IMAGES = (".tif", ".tiff", ".jp2", ".img", ".png")
SHOWN = 5  # files listed in an error
_RESOLUTION = re.compile(r"_(\d{2})m$")


def read(place: Place, wanted: Wanted) -> Raster:
    """The Raster of a folder; see ``raster.read``.

    Raises:
        ValueError: no file is named after a band, two files hold one band, a file holds several bands, or grids that
            cannot be brought together because a file has no place.
    """
    listed = place.files()
    found = _bands(listed, place.shown)
    if not found:  # products keep their bands some folders down
        listed = place.files(deep=True)
        found = _bands(listed, place.shown)
    if not found:
        some = ", ".join(file.name for file in listed[:SHOWN]) or "nothing"
        raise ValueError(
            f"{place.shown} is a folder of {len(listed)} files ({some}), none named after a band; wanted one band per "
            "file, as B02.tif or scene_red.tif; name a file instead"
        )
    names = list(found)
    index, _ = chosen(Description(tuple(Band(name) for name in names)), wanted.names, place.shown)
    files = [found[names[i]] for i in index]
    given = wanted.names or tuple(names)
    item = stac.beside(place)
    parts, grids = [], []
    for file, name in zip(files, (names[i] for i in index)):
        with opened(file) as dataset:
            if dataset.count != 1:
                raise ValueError(f"{file.shown} holds {dataset.count} bands; wanted one band per file; name it alone")
            own = describe(dataset)
            own = replace(own, bands=(replace(own.bands[0], name=name),))
            own = own.filled(stac.describe(item, file.name, 1)).filled(products.describe(listed, [name]))
            parts.append(own.filled(last_words(dataset, file.name)))
            grids.append((dataset.transform, dataset.crs, dataset.height, dataset.width))
    finest = min(range(len(grids)), key=lambda i: abs(grids[i][0].determinant))
    _check_grids(files, grids, finest)
    transform, _, height, width = grids[finest]
    window = checked_window(wanted.window, height, width, place.shown)
    check_size(window, len(files), place.shown)
    values, valid = _read_on(files, grids, finest, window)
    first = parts[finest]
    description = replace(
        first,
        bands=tuple(replace(part.bands[0], name=name) for part, name in zip(parts, given)),
        sensor=next((part.sensor for part in parts if part.sensor), None),
        time=next((part.time for part in parts if part.time is not None), None),
    )
    if wanted.window is not None and first.transform is not None:
        description = replace(description, transform=moved(transform, window))
    return assemble(values, description, wanted, place.shown, valid)


def _bands(files: Sequence[Place], shown: str) -> dict[str, Place]:
    """Band name -> its file, in the bands' natural order (B2 before B10)."""
    found: dict[str, Place] = {}
    for file in files:
        name = sensors.band_in_file_name(file.stem) if file.suffix in IMAGES else None
        if name is None or file.name.startswith("MSK_"):  # Sentinel-2's quality masks carry band names too
            continue
        if name in found:
            old, new = _RESOLUTION.search(found[name].stem), _RESOLUTION.search(file.stem)
            if not (old and new) or old[1] == new[1]:
                raise ValueError(
                    f"{shown} holds two files of band {name} ({found[name].name} and {file.name}); wanted one per "
                    "band; give each date its own folder"
                )
            if int(old[1]) < int(new[1]):
                continue  # the same band at a coarser grid
        found[name] = file
    return {name: found[name] for name in sorted(found, key=_natural)}


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _check_grids(files: Sequence[Place], grids: Sequence[tuple[Any, ...]], finest: int) -> None:
    for file, grid in zip(files, grids):
        if grid != grids[finest] and (grid[1] is None or grids[finest][1] is None):
            raise ValueError(
                f"{file.shown} has {grid[2]} x {grid[3]} pixels and {files[finest].shown} {grids[finest][2]} x "
                f"{grids[finest][3]}, and not both say where they lie; wanted one grid; resample them first"
            )


def _read_on(
    files: Sequence[Place], grids: Sequence[tuple[Any, ...]], finest: int, window: tuple[int, int, int, int]
) -> tuple[np.ndarray, np.ndarray | None]:
    """(C, H, W) on the finest grid, and where files without a nodata number have pixels."""
    from rasterio.enums import Resampling
    from rasterio.vrt import WarpedVRT

    transform, crs, height, width = grids[finest]
    part = part_of(window)
    layers: list[np.ndarray] = []
    valid = None
    for file, grid in zip(files, grids):
        with opened(file) as dataset:
            if grid == grids[finest]:
                layers.append(dataset.read(1, window=part))
                continue
            bare = dataset.nodata is None  # then only an alpha band tells the image's edge from a zero
            with WarpedVRT(
                dataset, crs=crs, transform=transform, height=height, width=width,
                resampling=Resampling.bilinear, add_alpha=bare,
            ) as warped:  # fmt: skip
                layers.append(warped.read(1, window=part))
                if bare:
                    inside = warped.read(2, window=part) > 0
                    valid = inside if valid is None else valid & inside
    return np.stack([layer.astype(np.result_type(*layers), copy=False) for layer in layers]), valid
