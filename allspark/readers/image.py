"""One image file, opened by GDAL, to a Raster: bands, masks, colour tables and pages."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..items import Raster
from . import products, sensors, stac
from .gdal import Window, check_size, checked_window, moved, opened
from .place import Place
from .raster_assembly import Wanted, assemble, chosen
from .raster_metadata import Band, Description, describe, last_words
from .units import Unit

_PICTURES = ("PNG", "BMP")  # where a colour table is a way to store a picture; in a TIFF it colours classes


def read(place: Place, wanted: Wanted) -> Raster:
    """The Raster of one image file; see ``raster.read``."""
    with opened(place) as dataset:
        pages = _pages(dataset, place)
        if pages:
            return _read_pages(dataset, pages, place, wanted)
        window = checked_window(wanted.window, dataset.height, dataset.width, place.shown)
        palette = _palette(dataset, wanted)
        alphas = [index for index, colour in enumerate(dataset.colorinterp) if colour.name == "alpha"]
        colours = [index for index in range(dataset.count) if index not in alphas]
        if not colours:
            raise ValueError(f"{place.shown} holds only a transparency band; wanted values; check the file")
        description = described(dataset, place).take(colours)
        grey = _one_as_three(description, wanted)
        if grey:
            index, description = [0, 1, 2], replace(description, bands=(Band(grey),))
        elif palette is not None:
            index = [0]
        else:
            index, description = chosen(description, wanted.names, place.shown)
        check_size(window, len(index) if palette is None else 3, place.shown)
        part = part_of(window)
        values = dataset.read([colours[i] + 1 for i in index], window=part)
        if grey:
            values = _one_of_three(values, place.shown)
        valid = _mask(dataset, alphas, part)
        if palette is not None:
            values, valid = palette[:, values[0]][:3], palette[3][values[0]] > 0
            names = ("red", "green", "blue")
            description = replace(description, bands=tuple(Band(name, Unit("uint8")) for name in names))
            index, description = chosen(description, wanted.names, place.shown)
            values = values[index]
        if wanted.window is not None and description.transform is not None:
            description = replace(description, transform=moved(description.transform, window))
    return assemble(values, description, wanted, place.shown, valid)


def described(dataset: Any, place: Place) -> Description:
    """The file's own words, then a STAC item's, then those of the product it belongs to."""
    own = describe(dataset)
    count = dataset.count
    own = own.filled(stac.describe(stac.beside(place), place.name, count))
    if count == 1:
        own = own.filled(Description((Band(sensors.band_in_file_name(place.stem)),)))
    if sensors.product(place.name)[0] is not None:
        own = own.filled(products.describe(place.neighbours(), [band.name for band in own.bands]))
    return own.filled(last_words(dataset, place.name))


def part_of(window: Window) -> Any:
    """rasterio's Window, which counts columns first."""
    from rasterio.windows import Window as RasterioWindow

    row, column, height, width = window
    return RasterioWindow(column, row, width, height)


def _mask(dataset: Any, alphas: list[int], part: Any) -> np.ndarray | None:
    """(H, W) from an alpha band or a mask of the whole dataset; nodata numbers are looked at later, band by band."""
    from rasterio.enums import MaskFlags

    if alphas:
        return dataset.read(alphas[0] + 1, window=part) > 0
    if MaskFlags.per_dataset in dataset.mask_flag_enums[0]:
        return dataset.read_masks(1, window=part) > 0
    return None


def _palette(dataset: Any, wanted: Wanted) -> np.ndarray | None:
    """(4, 256) red, green, blue, alpha of a picture stored by a colour table, or None."""
    if dataset.colorinterp[0].name != "palette" or (dataset.driver not in _PICTURES and wanted.units != "uint8"):
        return None
    table = np.zeros((4, 256), np.uint8)
    for number, colour in dataset.colormap(1).items():
        if number < 256:
            table[:, number] = colour
    return table


def _one_as_three(description: Description, wanted: Wanted) -> str | None:
    """The one name given for a picture of three bands: radar chips are often stored as grey RGB."""
    colours = ["red", "green", "blue"]
    names = wanted.names or ()
    if len(names) == 1 and [band.name for band in description.bands] == colours and names[0].lower() not in colours:
        return names[0]
    return None


def _one_of_three(values: np.ndarray, shown: str) -> np.ndarray:
    if not ((values[0] == values[1]).all() and (values[0] == values[2]).all()):
        raise ValueError(f"1 band name came for {shown}, whose 3 bands differ; give one name per band")
    return values[:1]


def _pages(dataset: Any, place: Place) -> list[str]:
    """GDAL's names for the pages of a TIFF that keeps each band on a page of its own, or []."""
    if dataset.driver != "GTiff" or dataset.count > 1 or len(dataset.subdatasets) < 2:
        return []
    alike = []
    for name in dataset.subdatasets:
        with opened(place, name) as page:
            if (page.shape, page.dtypes) == (dataset.shape, dataset.dtypes):
                alike.append(name)  # thumbnails and masks are of another size or type
    return alike if len(alike) > 1 else []


def _read_pages(dataset: Any, pages: list[str], place: Place, wanted: Wanted) -> Raster:
    """The pages as bands: how scientific writers keep an array (C, H, W)."""
    own = described(dataset, place)
    whole = replace(own.bands[0], name=None, wavelength=None, fwhm=None)
    description = replace(own, bands=(whole,) * len(pages))
    description = description.filled(stac.describe(stac.beside(place), place.name, len(pages)))
    index, description = chosen(description, wanted.names, place.shown)
    window = checked_window(wanted.window, dataset.height, dataset.width, place.shown)
    check_size(window, len(index), place.shown)
    layers = []
    for i in index:
        with opened(place, pages[i]) as page:
            layers.append(page.read(1, window=part_of(window)))
    if wanted.window is not None and description.transform is not None:
        description = replace(description, transform=moved(description.transform, window))
    return assemble(np.stack(layers), description, wanted, place.shown)
