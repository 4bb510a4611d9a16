"""Hyperspectral data: windows of the Houston 2018 crop and of Jasper Ridge, tree crowns of IDTReeS.

Windows of one block never show a pixel of another: what reaches over the block's edge is marked as not valid.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from ...items import Raster
from .archives import geotiff, mat, members, rows
from .base import Entry, Source, split_of

WINDOW = 9
HOUSTON_BLOCK = 16  # pixels: classes lie in patches, so larger blocks would leave some class without a test block
HOUSTON_BANDS = (0.38, 1.05, 48)
PURITY = 0.75  # share of the label pixels under one hyperspectral pixel
HOUSTON_TINY = (4, 8)  # classes of fewer than ten windows: nothing can be split
HOUSTON_SCALE = 10_000  # not stated by the file
JASPER_BLOCK = 20
JASPER_SCALE = 5_000
JASPER_PURE = 0.8
AVIRIS = (0.38, 2.5, 224)  # nominal centres; the file says which of the 224 channels it kept
# NEON's channels of 5 nm in three runs between the water bands; the runs' lengths show as jumps in the mean spectrum
NEON = np.concatenate([start + 0.005 * np.arange(count) for start, count in ((0.38, 192), (1.43, 73), (1.955, 104))])
TREES = {
    "ACPE": ("striped maple",), "ACRU": ("red maple",), "ACSA3": ("sugar maple",), "AMLA": ("serviceberry",),
    "BETUL": ("birch",), "CAGL8": ("pignut hickory",), "CATO6": ("mockernut hickory",), "FAGR": ("American beech",),
    "GOLA": ("loblolly bay",), "LITU": ("tulip tree",), "LYLU3": ("fetterbush",), "MAGNO": ("magnolia",),
    "NYBI": ("swamp tupelo",), "NYSY": ("black gum",), "OXYDE": ("sourwood",), "PEPA37": ("swamp bay",),
    "PIEL": ("slash pine",), "PIPA2": ("longleaf pine",), "PINUS": ("pine",), "PITA": ("loblolly pine",),
    "PRSE2": ("black cherry",), "QUAL": ("white oak",), "QUCO2": ("scarlet oak",), "QUGE2": ("sand live oak",),
    "QUHE2": ("Darlington oak",), "QULA2": ("turkey oak",), "QULA3": ("laurel oak",), "QUMO4": ("chestnut oak",),
    "QUNI": ("water oak",), "QURU": ("northern red oak",), "QUERC": ("oak",), "ROPS": ("black locust",),
    "TSCA": ("eastern hemlock",),
}  # fmt: skip


def window(cube: np.ndarray, row: int, column: int, block: int, size: int = WINDOW) -> tuple[np.ndarray, np.ndarray]:
    """The (C, size, size) window around a pixel and its (size, size) mask: True inside the pixel's own block."""
    half = size // 2
    top, left = row - half, column - half
    low = np.array([row // block * block, column // block * block])
    high = np.minimum(low + block, cube.shape[1:])
    y0, x0 = np.maximum((top, left), low)
    y1, x1 = np.minimum((top + size, left + size), high)
    pixels = np.zeros((cube.shape[0], size, size), cube.dtype)
    valid = np.zeros((size, size), bool)
    inside = np.s_[y0 - top : y1 - top, x0 - left : x1 - left]
    pixels[(slice(None), *inside)] = cube[:, y0:y1, x0:x1]
    valid[inside] = True
    return pixels, valid


def _window(cube: np.ndarray, wavelengths: np.ndarray, scale: float, row: int, column: int, block: int) -> Raster:
    pixels, valid = window(cube, row, column, block)
    return Raster(pixels.astype(np.float32) / scale, units="reflectance", wavelengths=wavelengths, valid=valid)


def houston(path: Path) -> Iterator[Entry]:
    """Houston 2018: windows around pixels of one class, split by 16-pixel blocks (a third to test).

    The file states no units. Its numbers become relative reflectance by one constant for the whole scene, so that a
    dark roof stays darker than a bright one.
    """
    arrays = mat(zipfile.ZipFile(path / HOUSTON.files[0]), "houston_dataset.mat")
    cube = np.ascontiguousarray(arrays["hyprImg"].transpose(2, 0, 1))
    finer = arrays["clasLabs"].shape[0] // cube.shape[1]  # labels lie on a grid four times as fine
    classes = arrays["clasLabs"].reshape(cube.shape[1], finer, cube.shape[2], finer).transpose(0, 2, 1, 3)
    classes = classes.reshape(*cube.shape[1:], finer * finer)
    wavelengths = np.linspace(*HOUSTON_BANDS[:2], cube.shape[0])
    for row, column in np.argwhere(classes.any(-1)):
        counts = np.bincount(classes[row, column])
        label = int(counts.argmax())
        if label in (0, *HOUSTON_TINY) or counts[label] < PURITY * finer * finer:
            continue
        group = f"{row // HOUSTON_BLOCK}-{column // HOUSTON_BLOCK}"
        make = partial(_window, cube, wavelengths, HOUSTON_SCALE, int(row), int(column), HOUSTON_BLOCK)
        yield Entry(make, f"class {label}", group, split_of(group, test=0.35, salt="0"))


def jasper(path: Path) -> Iterator[Entry]:
    """Jasper Ridge: windows around pixels that are more than four fifths of one material."""
    arrays = mat(zipfile.ZipFile(path / JASPER.files[0]), "jasperRidge2_R198.mat")
    height, width = int(arrays["nRow"].item()), int(arrays["nCol"].item())
    # MATLAB stores columns first
    cube = arrays["Y"].reshape(-1, width, height).transpose(0, 2, 1)
    shares = arrays["A"].reshape(-1, width, height).transpose(0, 2, 1)
    names = [str(cell[0]).split("-")[-1] for cell in arrays["cood"].reshape(-1)]
    kept = arrays["SlectBands"].reshape(-1).astype(int) - 1
    wavelengths = np.linspace(*AVIRIS)[kept]
    for row, column in np.argwhere(shares.max(0) > JASPER_PURE):
        group = f"{row // JASPER_BLOCK}-{column // JASPER_BLOCK}"
        make = partial(_window, cube, wavelengths, JASPER_SCALE, int(row), int(column), JASPER_BLOCK)
        yield Entry(make, names[int(shares[:, row, column].argmax())], group, split_of(group, val=0.2))


def crown_boxes(path: Path) -> tuple[dict[str, str], dict[str, tuple[np.ndarray, np.ndarray]]]:
    """IDTReeS: tree -> species code, and site -> (trees, (M, 4) west, south, east, north of their crowns)."""
    from pyogrio import read_bounds
    from pyogrio.raw import read

    archive = zipfile.ZipFile(path / CROWNS.files[0])
    table = rows(archive, "Field/train_data.csv")
    header = next(table)
    species = {row[header.index("indvdID")]: row[header.index("taxonID")] for row in table}
    shapes = {}
    for name in members(archive, ".shp", "ITC/"):
        virtual = f"/vsizip/{path / CROWNS.files[0]}/{name}"
        fields = read(virtual, columns=["indvdID"], read_geometry=False, encoding="latin-1")[3]
        shapes[Path(name).stem.split("_")[1]] = (fields[0], read_bounds(virtual)[1].T)
    return species, shapes


def crown_split(plot: str) -> str:
    """The part of a plot of IDTReeS: thirteen of the twenty are tested on, with all three sensors (`paired.py`)."""
    return split_of(plot, test=0.4, val=0.15, salt="11")


def crowns(path: Path) -> Iterator[Entry]:
    """IDTReeS: the rectangle around each tree crown of known species that lies in a plot; a plot is a group."""
    archive = zipfile.ZipFile(path / CROWNS.files[0])
    species, shapes = crown_boxes(path)
    for name in members(archive, ".tif", "RemoteSensing/HSI/"):
        plot = Path(name).stem
        cube, about = geotiff(archive, name)
        grid = about["transform"]
        for tree, (west, south, east, north) in zip(*shapes[plot.split("_")[0]], strict=True):
            label = species.get(tree, "")
            left, right = int((west - grid.c) // grid.a), int(-((grid.c - east) // grid.a))
            top, bottom = int((north - grid.f) // grid.e), int(-((grid.f - south) // grid.e))
            left, top = max(left, 0), max(top, 0)
            crown = cube[:, top : max(bottom, 0), left : max(right, 0)]
            if label in TREES and min(crown.shape[1:]) >= 2:
                yield Entry(partial(crown_raster, crown, about["crs"]), label, plot, crown_split(plot))


def crown_raster(pixels: np.ndarray, crs: str | None) -> Raster:
    """A crown's (369, h, w) reflectance times 10,000, as an item."""
    return Raster(
        np.clip(pixels, 0, None).astype(np.float32) / 10_000, units="reflectance", wavelengths=NEON, gsd=1.0, crs=crs
    )


HOUSTON = Source(
    name="houston2018", modality="hyperspectral", files=("hsi/houston2018_crop_hsi_rgb.zip",), scan=houston,
    role="both", labels={f"class {i}": () for i in range(1, 13) if i not in HOUSTON_TINY},
    licence="not stated; contest terms: research, cite",
    citation="2018 IEEE GRSS Data Fusion Contest, Hyperspectral Image Analysis Lab, University of Houston",
)  # fmt: skip
JASPER = Source(
    name="jasper_ridge", modality="hyperspectral", files=("hsi/jasperridge.zip",), scan=jasper, role="train",
    labels={
        "tree": ("trees", "green tree crowns"),
        "water": ("water", "a lake or a pond"),
        "dirt": ("dirt", "bare soil", "bare ground without plants"),
        "road": ("road", "an asphalt or concrete road"),
    },
    licence="not stated; NASA/JPL AVIRIS, openly distributed", citation="AVIRIS, Jasper Ridge, NASA/JPL",
)  # fmt: skip
CROWNS = Source(
    name="idtrees_crowns", modality="hyperspectral", files=("paired/idtrees2020.zip",), scan=crowns, role="both",
    labels={code: (f"{names[0]} tree", *names) for code, names in TREES.items()},
    licence="not stated in its repository; the IDTReeS data are listed as CC BY 4.0 (not checked)",
    citation="Graves et al., IDTReeS 2020 competition; National Ecological Observatory Network",
)  # fmt: skip
SOURCES = (HOUSTON, JASPER, CROWNS)
