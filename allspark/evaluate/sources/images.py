"""Aerial scenes in red, green and blue: AID (split by class) and RSSCN7 (never trained on)."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ...items import Raster
from .archives import members, picture
from .base import Entry, Source, split_of

RUN = 10  # images that follow one another in AID's numbering may show neighbouring ground: they share a group

AID_KEPT_OUT = (
    "Airport", "BaseballField", "Beach", "Bridge", "Church", "Mountain", "Port", "School", "StorageTanks", "Viaduct",
)  # fmt: skip
AID_LABELS = {
    "Airport": ("airport", "an airport with runways, terminals and parked aircraft"),
    "BareLand": ("bare land", "barren ground without vegetation"),
    "BaseballField": ("baseball field", "a diamond-shaped baseball field of grass and sand"),
    "Beach": ("beach", "a sandy shore between land and sea"),
    "Bridge": ("bridge", "a bridge that carries a road over water"),
    "Center": ("city centre", "a large round public building in the middle of a city"),
    "Church": ("church", "a church with a cross-shaped roof or a dome among other buildings"),
    "Commercial": ("commercial area", "tall office buildings and shops close together"),
    "DenseResidential": ("dense residential area", "many small houses packed close together"),
    "Desert": ("desert", "sand and dunes without plants"),
    "Farmland": ("farmland", "cultivated fields in regular parcels"),
    "Forest": ("forest", "ground covered by dense trees"),
    "Industrial": ("industrial area", "factory halls with large flat roofs"),
    "Meadow": ("meadow", "open grassland without trees or buildings"),
    "MediumResidential": ("medium residential area", "rows of houses with gardens between them"),
    "Mountain": ("mountain", "ridges and valleys of rocky high ground"),
    "Park": ("park", "a public garden with lawns, paths, trees and ponds"),
    "Parking": ("parking lot", "many cars parked in rows"),
    "Playground": ("sports ground", "a running track around a playing field"),
    "Pond": ("pond", "a small body of still water"),
    "Port": ("port", "boats and ships at piers in a harbour"),
    "RailwayStation": ("railway station", "a long station roof over many railway tracks"),
    "Resort": ("resort", "hotel buildings with swimming pools and gardens"),
    "River": ("river", "flowing water that winds through the land"),
    "School": ("school", "school buildings around yards and sports fields"),
    "SparseResidential": ("sparse residential area", "single houses far apart among trees"),
    "Square": ("square", "an open paved public place in a city"),
    "Stadium": ("stadium", "an oval arena with stands around a field"),
    "StorageTanks": ("storage tanks", "round white tanks for oil or gas"),
    "Viaduct": ("viaduct", "crossing elevated roads of a motorway junction"),
}
RSSCN7_LABELS = {
    "Grass": ("grass", "grassland", "meadow"),
    "Field": ("field", "farmland", "cultivated fields"),
    "Industry": ("industry", "industrial area", "factory halls with large flat roofs"),
    "RiverLake": ("river and lake", "a river or a lake", "open water"),
    "Forest": ("forest", "ground covered by dense trees"),
    "Resident": ("residential area", "houses and streets where people live"),
    "Parking": ("parking lot", "many cars parked in rows"),
}


def _raster(archive: zipfile.ZipFile, name: str) -> Raster:
    return Raster(picture(archive, name), units="uint8", bands=("red", "green", "blue"))


def aid(path: Path) -> Iterator[Entry]:
    """AID: twenty classes to train on (a tenth of them "val"), ten others to test on."""
    archive = zipfile.ZipFile(path / AID.files[0])
    for name in members(archive, ".webp"):
        label, stem = name.removesuffix(".webp").split("/")
        number = int(re.sub(r"\D", "", stem) or 0)
        group = f"{label}/{number // RUN}"
        split = "test" if label in AID_KEPT_OUT else split_of(group)
        yield Entry(partial(_raster, archive, name), label, group, split)


def rsscn7(path: Path) -> Iterator[Entry]:
    """RSSCN7: a test alone; every image is its own group."""
    archive = zipfile.ZipFile(path / RSSCN7.files[0])
    for name in members(archive, ".webp"):
        yield Entry(partial(_raster, archive, name), name.split("/")[0], name, "test")


AID = Source(
    name="aid", modality="rgb", files=("rgb/aid_128px_webp.zip",), scan=aid, labels=AID_LABELS, role="both",
    kept_out=AID_KEPT_OUT, licence="not stated; imagery Google Earth, research use",
    citation="Xia et al., AID: a benchmark data set for aerial scene classification, IEEE TGRS 2017",
)  # fmt: skip
RSSCN7 = Source(
    name="rsscn7", modality="rgb", files=("rgb/rsscn7_128px_webp.zip",), scan=rsscn7, labels=RSSCN7_LABELS, role="test",
    licence="not stated; imagery Google Earth, research use",
    citation="Zou et al., Deep learning based feature selection for remote sensing scenes, IEEE GRSL 2015",
)  # fmt: skip
SOURCES = (AID, RSSCN7)
