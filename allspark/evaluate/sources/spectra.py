"""Multispectral data: Sentinel-2 patches and crop pixels, Landsat MSS neighbourhoods, a Formosat-2 time series."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from ...items import Raster
from .archives import geotiff, matrix, members, rows
from .base import Entry, Source, split_of

# centres in micrometres of Sentinel-2A's bands, ESA's spectral response functions (rounded to a nanometre)
SENTINEL2 = {
    "B01": 0.443, "B02": 0.493, "B03": 0.560, "B04": 0.665, "B05": 0.704, "B06": 0.741, "B07": 0.783,
    "B08": 0.833, "B8A": 0.865, "B09": 0.945, "B11": 1.614, "B12": 2.202,
}  # fmt: skip
SCALE = 10_000  # Sentinel-2 level 2: digital number of reflectance 1
CELL = 5_000.0  # metres; patches of one cell share a group

SLUM_BANDS = ("B02", "B03", "B04", "B8A")
CROP_BANDS = ("B06", "B07", "B08", "B8A", "B11", "B12")
CROP_FILE = "Random_Pixels/Merged_Sets/Multipixels/420SamplesPrClassBandset_Multipixels_Random_0805_1104_1509_1903.csv"
CROP_DATES = ("2016-04-11", "2016-05-08")
MSS_WAVELENGTHS = (0.55, 0.65, 0.75, 0.95)
FORMOSAT2_SCALE = 1_000  # not stated; it makes the mean near infrared 0.23 and the mean red 0.08
FORMOSAT2 = {"nir": 0.83, "red": 0.66, "green": 0.56}
NEIGHBOURS = 10  # dates of the 2-day grid that are averaged into one: 149 -> 15


def _patch(archive: zipfile.ZipFile, name: str) -> Raster:
    values, about = geotiff(archive, name)
    there = [i for i in range(len(SLUM_BANDS)) if values[i].any()]
    # in half of the files B8A is zero throughout: a missing band is absent, never zeros
    bands = tuple(SLUM_BANDS[i] for i in there)
    pixels = values[there]
    return Raster(
        pixels.astype(np.float32) / SCALE, units="reflectance", bands=bands, valid=np.all(pixels > 0, axis=0),
        wavelengths=np.array([SENTINEL2[b] for b in bands]), gsd=10.0, crs=about["crs"], transform=about["transform"],
    )  # fmt: skip


def slum(path: Path) -> Iterator[Entry]:
    """Slum or not, split by 5 km cells (a third of them to test). A patch of only zeros is left out."""
    from rasterio.io import MemoryFile

    archive = zipfile.ZipFile(path / SLUM.files[0])
    table = rows(archive, "gold_labels.csv")
    next(table)
    for number, label in table:
        name = f"images/image{number}.tif"
        with MemoryFile(archive.read(name)) as memory, memory.open() as opened:
            if not opened.read(1).any():
                continue
            east, north = opened.transform.c, opened.transform.f
        group = f"{int(east // CELL)}_{int(north // CELL)}"
        yield Entry(partial(_patch, archive, name), label, group, split_of(group, test=0.3))


def statlog(path: Path) -> Iterator[Entry]:
    """Landsat MSS, 3 x 3 pixels, the official parts. The rows are in random order and name no place."""
    archive = zipfile.ZipFile(path / STATLOG.files[0])
    for name, part in (("sat.trn", "train"), ("sat.tst", "test")):
        for number, row in enumerate(matrix(archive, name, skip=1, sep=r"\s+")):
            pixels = row[:36].reshape(3, 3, 4).transpose(2, 0, 1)  # nine pixels row by row, four bands each
            group = f"{part}-{number}"
            split = split_of(group) if part == "train" else "test"
            yield Entry(partial(_mss, pixels), str(int(row[36])), group, split)


def _mss(pixels: np.ndarray) -> Raster:
    # counts of eight bits, alike in all rows: as "dn" each patch would be scaled by itself, and wet soil told from dry
    # by colour alone
    return Raster(pixels.astype(np.uint8), units="uint8", wavelengths=np.array(MSS_WAVELENGTHS), gsd=80.0)


def crops(path: Path) -> Iterator[Entry]:
    """Danish crop pixels on two dates, split by parcel (a third to test).

    The header has one name too many, so columns are counted: 0-5 are 8 May, 6-11 are 11 April, then two dates of four
    bands (left out: a time series has the same bands on every date), then class and parcel.
    """
    archive = zipfile.ZipFile(path / CROPS.files[0])
    table = rows(archive, CROP_FILE)
    next(table)
    for row in table:
        label, parcel = row[-2], row[-1]
        series = np.array([row[6:12], row[0:6]], dtype=np.float32)[:, :, None, None]
        yield Entry(partial(_crop, series), label, parcel, split_of(parcel, test=0.3))


def _crop(series: np.ndarray) -> Raster:
    return Raster(
        series / SCALE, units="reflectance", bands=CROP_BANDS, time=np.array(CROP_DATES, dtype="datetime64[ns]"),
        wavelengths=np.array([SENTINEL2[b] for b in CROP_BANDS]), gsd=10.0,
    )  # fmt: skip


def tempcnn(path: Path) -> Iterator[Entry]:
    """Formosat-2 pixel series by polygon; both parts are test data, as there are 20 samples of a class in each."""
    archive = zipfile.ZipFile(path / TEMPCNN.files[0])
    for name in ("train_dataset.csv", "test_dataset.csv"):
        for row in matrix(archive, name):
            series = row[2:].astype(np.float32).reshape(-1, len(FORMOSAT2))  # (149, 3): NIR, red, green by date
            yield Entry(partial(_series, series), str(int(row[0])), str(int(row[1])), "test")


def _series(series: np.ndarray) -> Raster:
    starts = np.arange(0, len(series), NEIGHBOURS)
    sizes = np.diff(np.append(starts, len(series)))
    means = np.add.reduceat(series, starts) / sizes[:, None]
    # the data do not say in which year or on which day the grid starts: no time is given rather than a guessed one
    return Raster(
        means[:, :, None, None] / FORMOSAT2_SCALE, units="reflectance", bands=tuple(FORMOSAT2),
        wavelengths=np.array(list(FORMOSAT2.values())),
    )  # fmt: skip


def eurosat(path: Path) -> Iterator[Entry]:
    """Sentinel-2 level 2A patches without labels."""
    archive = zipfile.ZipFile(path / EUROSAT.files[0])
    for name in members(archive, ".npy"):
        yield Entry(partial(_level2, archive, name), "", name, split_of(name))


def _level2(archive: zipfile.ZipFile, name: str) -> Raster:
    pixels = np.load(io.BytesIO(archive.read(name)), allow_pickle=False).transpose(2, 0, 1)
    return Raster(
        pixels.astype(np.float32) / SCALE, units="reflectance", bands=tuple(SENTINEL2), gsd=10.0,
        wavelengths=np.array(list(SENTINEL2.values())),
    )  # fmt: skip


SLUM = Source(
    name="satlab_slum", modality="multispectral", files=("msi/satlab_slum_s2.zip",), scan=slum, role="both",
    labels={
        "1": ("slum", "informal settlement", "small roofs packed irregularly without streets or green"),
        "0": ("no slum", "formal town or open land", "planned housing, fields or vegetation"),
    },
    licence="not stated; Copernicus Sentinel data are free and open", citation="SatLab, slum labelling in Argentina",
)  # fmt: skip
STATLOG = Source(
    name="statlog_landsat", modality="multispectral", files=("msi/statlog_landsat_mss.zip",), scan=statlog, role="both",
    labels={
        "1": ("red soil", "bare reddish ground"),
        "2": ("cotton crop", "a field of green cotton plants"),
        "3": ("grey soil", "bare dry grey ground"),
        "4": ("damp grey soil", "moist grey ground"),
        "5": ("vegetation stubble", "a harvested field with stubble"),
        "7": ("very damp grey soil", "wet dark ground"),
    },
    licence="CC BY 4.0 as listed by UCI (not checked)", citation="Statlog (Landsat Satellite), UCI repository",
)  # fmt: skip
CROPS = Source(
    name="denmark_crops", modality="multispectral", files=("msi/denmark_s2_crops.zip",), scan=crops, role="both",
    labels={
        "1": ("spring barley", "a cereal sown in spring, bare soil in April"),
        "10": ("winter barley", "a cereal sown in autumn that is green early"),
        "11": ("winter wheat", "a cereal sown in autumn, green through spring"),
        "22": ("winter rape", "oilseed rape that flowers yellow in May"),
        "216": ("silage maize", "maize for fodder, bare soil until May"),
    },
    licence="MIT as stated by its repository; modified Copernicus Sentinel data 2016",
    citation="Evaluation of satellite imagery based crop classification, Denmark, 2017",
)  # fmt: skip
TEMPCNN = Source(
    name="tempcnn_formosat2", modality="multispectral", files=("msi/tempcnn_formosat2_sits.zip",), scan=tempcnn,
    role="test", labels={str(i): () for i in range(13)},
    licence="not stated apart from its repository's GPL-3.0",
    citation="Pelletier et al., Temporal convolutional neural network, Remote Sensing 2019",
)  # fmt: skip
EUROSAT = Source(
    name="eurosat_l2a", modality="multispectral", files=("msi/eurosat_l2a_unlabelled.zip",), scan=eurosat, labels={},
    role="train", task="unlabelled", licence="not stated; Copernicus Sentinel data are free and open",
    citation="Helber et al., EuroSAT, IEEE JSTARS 2019; modified Copernicus Sentinel data",
)  # fmt: skip
SOURCES = (SLUM, STATLOG, CROPS, TEMPCNN, EUROSAT)
