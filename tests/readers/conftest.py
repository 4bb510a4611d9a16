"""Files that the readers' tests write for themselves."""

import warnings

import numpy as np
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning


def write(
    path, values, names=(), units=(), tags=None, colours=None, scales=None, offsets=None, band_tags=(), **profile
):
    """A raster file of (C, H, W) values, by rasterio."""
    count, height, width = values.shape
    profile = {"driver": "GTiff", **profile}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", count=count, height=height, width=width, dtype=values.dtype, **profile) as file:
            file.write(values)
            if names:
                file.descriptions = names
            if units:
                file.units = units
            if tags:
                file.update_tags(**tags)
            if colours:
                file.colorinterp = colours
            if scales:
                file.scales = scales
            if offsets:
                file.offsets = offsets
            for index, entry in enumerate(band_tags):
                file.update_tags(index + 1, **entry)
    return path


@pytest.fixture(name="write")
def write_fixture():
    return write


@pytest.fixture
def numbers():
    return lambda *shape, dtype="uint16", high=5000: np.random.default_rng(0).integers(1, high, shape).astype(dtype)
