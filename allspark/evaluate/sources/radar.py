"""Radar: vehicles of MSTAR (split by class), water in Sentinel-1 chips, Sentinel-1 beside Sentinel-2."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from ...items import Raster
from .archives import geotiff, members, picture
from .base import Entry, Items, Source, split_of

CROP = 128  # the chips' sizes differ by class and would give it away: centre-crop, never resize
TILE, STEP = 32, 16  # at 64 pixels no tile of these chips is mostly water
WATER, DRY = 0.7, 0.98  # share of the tile's labelled pixels
PAIR_TILE = 128

MSTAR_KEPT_OUT = ("BMP2", "BTR70", "D7", "T72", "ZIL131")
MSTAR_LABELS = {
    "2S1": ("2S1 self-propelled howitzer", "a tracked amphibious artillery vehicle"),
    "BMP2": ("BMP-2 infantry fighting vehicle", "a tracked armoured troop carrier with a small turret"),
    "BRDM_2": ("BRDM-2 scout car", "a light four-wheeled armoured reconnaissance car"),
    "BTR60": ("BTR-60 armoured personnel carrier", "an eight-wheeled armoured troop carrier"),
    "BTR70": ("BTR-70 armoured personnel carrier", "a later eight-wheeled armoured troop carrier"),
    "D7": ("D7 bulldozer", "a tracked bulldozer with a blade"),
    "T62": ("T-62 battle tank", "a main battle tank with a long gun"),
    "T72": ("T-72 battle tank", "a low main battle tank with a long gun"),
    "ZIL131": ("ZIL-131 truck", "a six-wheeled military cargo truck"),
    "ZSU_23_4": ("ZSU-23-4 anti-aircraft vehicle", "a tracked vehicle with four anti-aircraft guns and a radar"),
}


def _chip(archive: zipfile.ZipFile, name: str) -> Raster:
    pixels = picture(archive, name, "L")
    _, height, width = pixels.shape
    h, w = min(CROP, height), min(CROP, width)
    top, left = (height - h) // 2, (width - w) // 2
    return Raster(pixels[:, top : top + h, left : left + w], units="amplitude", bands=("HH",))


def mstar(path: Path) -> Iterator[Entry]:
    """MSTAR: the official parts; training on five classes, "test" on the five others, "seen" on the first five."""
    archive = zipfile.ZipFile(path / MSTAR.files[0])
    for name in members(archive, ".jpeg"):
        part, label, _ = name.split("/")
        if part == "train":
            split = split_of(name)
        else:
            split = "test" if label in MSTAR_KEPT_OUT else "seen"
        yield Entry(partial(_chip, archive, name), label, name, split)


FLOOD_CHIPS = {  # chip -> (radar, labels)
    "Spain": ("S1/Spain_7370579_S1Hand.tif", "Labels/Spain_7370579_LabelHand.tif"),
    "Bolivia": ("Bolivia_S1_only/Bolivia_312675_S1Hand.tif", "Bolivia_S1_only/Bolivia_312675_LabelHand.tif"),
}

FLOOD_VAL = ("Spain-00",)  # a quadrant with both classes


def flood(path: Path) -> Iterator[Entry]:
    """Tiles of Sentinel-1 chips that are nearly all water or all dry; a quadrant of a chip is a group, and no tile
    reaches over a quadrant's edge. For training only: too few places to test on.
    """
    archive = zipfile.ZipFile(path / FLOOD.files[0])
    for chip, (radar, hand) in FLOOD_CHIPS.items():
        values, about = geotiff(archive, radar)
        classes = geotiff(archive, hand)[0][0]
        half = classes.shape[0] // 2
        for top in range(0, classes.shape[0] - TILE + 1, STEP):
            for left in range(0, classes.shape[1] - TILE + 1, STEP):
                quadrant = (top // half, left // half)
                if ((top + TILE - 1) // half, (left + TILE - 1) // half) != quadrant:
                    continue
                window = np.s_[top : top + TILE, left : left + TILE]
                labelled = classes[window] >= 0
                pixels = values[(slice(None), *window)]
                if labelled.mean() < 0.9 or np.isfinite(pixels).mean() < 0.9:
                    continue
                water = float((classes[window] == 1).sum() / labelled.sum())
                if 1 - DRY < water < WATER:
                    continue
                group = f"{chip}-{quadrant[0]}{quadrant[1]}"
                item = Raster(pixels, units="db", bands=about["descriptions"], crs=about["crs"], gsd=10.0)
                split = "val" if group in FLOOD_VAL else "train"
                yield Entry(partial(_same, item), "water" if water >= WATER else "dry", group, split)


def _same(item: Raster) -> Raster:
    return item


def pairs(path: Path) -> Iterator[Entry]:
    """Tiles of the same places seen by Sentinel-1 (VH) and by Sentinel-2 (RGB); a 512-pixel quadrant is a group."""
    archive = zipfile.ZipFile(path / PAIRS.files[0])
    for name in members(archive, ".png", "opt/"):
        other = name.replace("opt/", "sar/", 1)
        optical, radar = picture(archive, name), picture(archive, other, "L")
        for top in range(0, optical.shape[1] - PAIR_TILE + 1, PAIR_TILE):
            for left in range(0, optical.shape[2] - PAIR_TILE + 1, PAIR_TILE):
                window = np.s_[:, top : top + PAIR_TILE, left : left + PAIR_TILE]
                group = f"{Path(name).stem}-{top // 512}{left // 512}"
                yield Entry(partial(_pair, optical[window], radar[window]), "", group, split_of(group, val=0.2))


def _pair(optical: np.ndarray, radar: np.ndarray) -> Items:
    return {
        "rgb": Raster(optical, units="uint8", bands=("red", "green", "blue"), gsd=10.0),
        "sar": Raster(radar, units="amplitude", bands=("VH",), gsd=10.0),
    }


MSTAR = Source(
    name="mstar10", modality="sar", files=("sar/mstar10.zip",), scan=mstar, labels=MSTAR_LABELS, role="both",
    kept_out=MSTAR_KEPT_OUT, licence="not stated; MSTAR public release (AFRL/DARPA)",
    citation="MSTAR public targets, AFRL and DARPA; the usual ten-class 17/15 degree parts",
)  # fmt: skip
FLOOD = Source(
    name="sen1floods11", modality="sar", files=("paired/sen1floods11_chips.zip",), scan=flood, role="train",
    labels={
        "water": ("water", "flooded land or open water, dark in radar"),
        "dry": ("dry land", "land that is not under water"),
    },
    licence="not stated; open access", citation="Bonafilia et al., Sen1Floods11, CVPR workshops 2020",
)  # fmt: skip
PAIRS = Source(
    name="s1s2_pairs", modality="rgb+sar", files=("paired/s1s2_aligned_pairs.zip",), scan=pairs, labels={},
    role="train", task="contrast", licence="public Copernicus imagery, redistribution allowed by its publisher",
    citation="Volkov, Optical-SAR-dataset, 2021; modified Copernicus Sentinel data 2020",
)  # fmt: skip
SOURCES = (MSTAR, FLOOD, PAIRS)
