"""Made point clouds of parametric things: what a point encoder can learn parts and proportions from without any data.

Every item is built anew from random proportions and part counts, as triangles, and points are drawn on these by area.
One in three is like a CAD model (its longest side is one), the others are in metres as a scanner sees them. No class
is one of those that `clouds.MODELNET` keeps out of training, nor a thing that goes by another name for one of them:
otherwise "unseen" would be untrue. No class has the name of any other source's kept-out class either.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from ...items import PointCloud
from .base import Entry, Source, split_of
from .made_objects import FURNITURE
from .made_shapes import VIEWS, sense
from .made_sites import SITES
from .made_trees import TREES
from .made_vehicles import VEHICLES

PER_CLASS = 60
FEWEST, MOST = 512, 1400  # points

MAKERS = {**FURNITURE, **VEHICLES, **TREES, **SITES}
LABELS = {
    "stool": ("stool", "a seat without a back for one person"),
    "bench": ("bench", "a long seat for several people"),
    "bookshelf": ("bookshelf", "open shelves for books", "bookcase"),
    "wardrobe": ("wardrobe", "a tall closet with doors for clothes", "armoire"),
    "floor_lamp": ("floor lamp", "a lamp shade on a tall pole", "standing lamp"),
    "office_chair": ("office chair", "a swivel chair on castors"),
    "ladder": ("ladder", "rungs between two rails to climb on"),
    "vase": ("vase", "an open vessel for flowers"),
    "bottle": ("bottle", "a vessel with a narrow neck"),
    "bowl": ("bowl", "a round open dish"),
    "cup": ("cup", "a mug with a handle"),
    "stairs": ("stairs", "steps that lead upwards", "staircase"),
    "door": ("door", "a door leaf in its frame"),
    "piano": ("piano", "a large keyboard instrument"),
    "potted_plant": ("potted plant", "a plant in a flower pot"),
    "washbasin": ("washbasin", "a sink with a tap to wash hands in"),
    "umbrella": ("umbrella", "a parasol on a stick"),
    "armchair": ("armchair", "a padded seat for one with arms"),
    "car": ("car", "a passenger car with four wheels", "automobile"),
    "lorry": ("lorry", "a truck that carries goods"),
    "bus": ("bus", "a long vehicle for many passengers"),
    "aeroplane": ("aeroplane", "an aircraft with wings and a tail", "airplane"),
    "helicopter": ("helicopter", "an aircraft with a rotor"),
    "ship": ("ship", "a large vessel at sea with a deckhouse"),
    "sailing_boat": ("sailing boat", "a boat with a mast and sails"),
    "train": ("train", "railway coaches in a row"),
    "bicycle": ("bicycle", "two wheels, a frame, a saddle and handlebars"),
    "tractor": ("tractor", "a farm vehicle with large rear wheels"),
    "balloon": ("hot-air balloon", "a large balloon with a basket"),
    "submarine": ("submarine", "a long round hull with a small tower"),
    "gabled_house": ("gabled house", "a house under a pitched roof"),
    "flat_block": ("block of flats", "a long building of several floors with a flat roof"),
    "tower_block": ("high-rise", "a skyscraper of many floors"),
    "hall": ("warehouse", "a wide low industrial hall"),
    "domed_building": ("domed building", "a building with a round dome on top"),
    "lighthouse": ("lighthouse", "a round tower with a lantern"),
    "greenhouse": ("greenhouse", "a long low house of glass for plants"),
    "tent": ("tent", "a shelter of cloth with a peak"),
    "conifer": ("conifer", "a needle tree with a pointed crown", "spruce"),
    "broadleaf": ("broadleaf tree", "a deciduous tree with a round crown"),
    "palm": ("palm tree", "a bare stem with a tuft of fronds"),
    "bush": ("bush", "a low shrub"),
    "bare_tree": ("leafless tree", "a tree in winter with bare branches"),
    "hedge": ("hedge", "a clipped row of shrubs"),
    "pylon": ("power pylon", "a lattice mast that carries wires", "transmission tower"),
    "wind_turbine": ("wind turbine", "a tall tower with rotor blades"),
    "chimney": ("chimney", "a slender smokestack"),
    "fence": ("fence", "posts joined by rails or mesh"),
    "street_lamp": ("street lamp", "a lamp post beside a road"),
    "crane": ("tower crane", "a construction crane with a long jib"),
    "cooling_tower": ("cooling tower", "a wide waisted tower of a power plant"),
    "dish_antenna": ("dish antenna", "a parabolic reflector on a pedestal"),
    "silo": ("silo", "upright cylinders that store grain"),
    "any_box": ("box", "a cuboid"),
    "sphere": ("sphere", "a round ball"),
    "cylinder": ("cylinder", "a tube or a drum"),
    "cone": ("cone", "a shape that narrows from a circle to a point"),
    "ring": ("torus", "a ring like a doughnut"),
    "pyramid": ("pyramid", "flat sides that meet in a point"),
    "plane": ("flat surface", "a plane sheet"),
    "helix": ("helix", "a spiral spring"),
}


def _make(label: str, view: str, count: int, seed: int) -> PointCloud:
    rng = np.random.default_rng(seed)
    return sense(MAKERS[label](rng), view, count, rng)


def made(path: Path) -> Iterator[Entry]:
    """The same clouds on every machine; nothing is read from the data folder."""
    views = list(VIEWS)
    for kind, label in enumerate(LABELS):
        for number in range(PER_CLASS):
            seed = 7_000_003 + kind * 100_003 + number
            draw = np.random.default_rng([seed, 1])
            view = "model" if draw.random() < 1 / 3 else views[int(draw.integers(1, len(views)))]
            group = f"cloud-{label}-{number}"
            words = (f"{LABELS[label][0]}{VIEWS[view]}", f"a point cloud of this: {LABELS[label][1]}")
            count = int(draw.integers(FEWEST, MOST + 1))
            yield Entry(partial(_make, label, view, count, seed), label, group, split_of(group), words)


MADE = Source(
    name="made_clouds", modality="point_cloud", files=(), scan=made, labels=LABELS, role="train", licence="Apache-2.0",
    citation="made here from parametric surfaces",
)  # fmt: skip
SOURCES = (MADE,)
