"""Made few-shot tasks of multispectral items: a random sensor over a random site, and classes that lie near each other.

Every task has its own sensor, dates, weather and classes, so what can be learned of all of them together is how to
describe an item such that a few examples tell *any* classes apart (Bertinetto et al., ICLR 2019). Four of five tasks
are pixels (or small patches) at one to sixty dates: mixtures of canopy, soil, roofs and water (``made_cover.py``) whose
class means differ in one to three groups of properties (timing, vigour, pigments, soil, moisture, cover …) or in all,
with items that vary about them, haze, clouds and sensor noise. One of five is of pictures whose classes differ in
texture (``made_textures.py``).

No number here was fitted to a data set: ranges are what textbooks give, and the distances of classes were chosen so
that ridge regression on the raw spectra of five examples finds about 40 to 95 % of the others, over tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from ...items import Item, Raster
from . import made_textures
from .base import Entry, Source, split_of
from .made_cover import YEAR, browning, built, canopy, leaf, open_water, responses, season, snow, soil
from .made_sensors import Sensor, sensor

TASKS = 560
ITEMS = 10  # of a class
TEXTURES = 0.2  # share of tasks
LONGEST = 60  # dates
COST = 96  # most patches of 4 x 4 pixels times dates: longer series have fewer pixels

Array = np.ndarray

# property -> (lowest, highest); the logarithm is uniform where both are above zero and far apart
RANGES: dict[str, tuple[float, float]] = {
    "length": (55, 190), "growth": (4, 16), "decline": (4, 16), "peak": (0.8, 6.5), "base": (0.02, 1.2),
    "second": (0.0, 1.0), "chlorophyll": (0.35, 1.8), "leaf_water": (0.005, 0.03), "brown": (0.1, 1.0),
    "shade": (0.55, 0.98), "extinction": (0.4, 0.9), "soil": (0.12, 0.55), "soil_rise": (0.25, 0.9),
    "iron": (0.0, 1.0), "moisture": (0.0, 0.8), "drying": (0.0, 0.6), "roof": (0.08, 0.55), "roof_rise": (0.08, 0.6),
    "tile": (-0.03, 0.25), "sediment": (0.005, 1.5), "algae": (0.0, 1.0), "grain": (0.5, 1.8),
}  # fmt: skip
COVERS = ("canopy", "bare", "roofs", "lake")
GROUPS: dict[str, tuple[str, ...]] = {
    "timing": ("start", "length"), "rates": ("growth", "decline", "length"), "vigour": ("peak", "base"),
    "cycles": ("second", "length"), "pigments": ("chlorophyll", "brown"), "water": ("leaf_water", "moisture"),
    "structure": ("shade", "extinction", "peak"), "ground": ("soil", "soil_rise", "iron"),
    "moisture": ("moisture", "drying"), "cover": COVERS, "town": ("roof", "roof_rise", "tile", "roofs"),
    "lakes": ("sediment", "algae", "lake"),
}  # fmt: skip
NAMES = ("start", *RANGES, *COVERS)
SITES = {"crops": (3.0, 0.0, -3.0, -3.0), "mixed": (1.0, 0.6, 0.0, -1.0), "barren": (-1.5, 2.0, -1.0, -2.0),
         "urban": (0.3, 0.0, 1.5, -2.0), "wet": (1.0, -0.5, -2.0, 1.5)}  # fmt: skip
USUAL = {"crops": ("timing", "rates", "vigour", "cycles", "pigments", "structure", "water"),
         "mixed": tuple(GROUPS)[:-2], "barren": ("ground", "moisture", "water", "vigour", "cover"),
         "urban": ("town", "cover", "vigour", "ground"), "wet": ("lakes", "cover", "water", "timing")}  # fmt: skip


def _physical(z: dict[str, Array]) -> dict[str, Array]:
    """Normal numbers -> properties within their ranges."""
    found = {}
    for name, (low, high) in RANGES.items():
        share = 1 / (1 + np.exp(-1.5 * z[name]))
        found[name] = low * (high / low) ** share if low > 0 and high > 3 * low else low + (high - low) * share
    return found


def _draw(rng: np.random.Generator, which: Array, site: str) -> dict[str, Array]:
    """Properties of every item (N,) as normal numbers: site + class + item; ``which`` (N,) is its class."""
    groups = rng.choice(USUAL[site], int(rng.integers(1, 4)), replace=False)
    varied = {name for group in groups for name in GROUPS[group]}
    if rng.random() < 0.25:  # quite different land covers
        varied = set(NAMES)
    apart, within = rng.uniform(0.6, 1.7), rng.uniform(0.1, 0.4)
    z = {}
    for name in NAMES:
        spread = apart if name in varied else rng.choice([0.0, 0.1])
        centre = rng.normal(0, 0.8) + spread * rng.normal(0, 1, which.max() + 1)
        z[name] = centre[which] + within * rng.normal(0, 1, len(which))
    return z


def _dates(rng: np.random.Generator) -> Array:
    """(T,) days since the first of January of the first year, rising: one, two, or a season or two of them."""
    kind = rng.random()
    if kind < 0.12:
        return rng.uniform(60, 300, 1)
    count = int(rng.integers(2, 5)) if kind < 0.27 else int(np.exp(rng.uniform(np.log(5), np.log(LONGEST + 1))))
    span = rng.uniform(60, 330) if rng.random() < 0.8 or count < 12 else rng.uniform(330, 730)
    begin = rng.uniform(0, 365)
    if rng.random() < 0.5:  # revisits at even steps
        return begin + np.linspace(0, span, count)
    return np.sort(begin + rng.uniform(0, span, count))


def _covers(z: dict[str, Array], days: Array, site: str, rng: np.random.Generator) -> tuple[Array, Array]:
    """Spectra of the four covers (N, T, 4, L) and their logits (N, 4)."""
    p, count = _physical(z), len(z["start"])
    column = {name: value[:, None] for name, value in p.items()}
    spring = rng.choice([105.0, 290.0, rng.uniform(0, 365)], p=[0.5, 0.25, 0.25])  # north, south, tropics
    start = (spring + 30 * z["start"])[:, None]
    green = season(days, start, column["growth"], column["length"], column["decline"])
    if rng.random() < 0.3:  # a second crop after the first
        after = start + column["length"] + 25
        short = 0.55 * column["length"]
        again = season(days, after, column["growth"], short, column["decline"])
        green = np.maximum(green, column["second"] * again)
    area = column["base"] + np.maximum(column["peak"] - column["base"], 0) * green
    # the weather is the site's, how much of it a class shows is its own
    rain = np.interp(days, np.linspace(days[0] - 1, days[-1] + 1, 24), rng.uniform(-1, 1, 24))
    moisture = np.clip(column["moisture"] + column["drying"] * rain, 0, 1)
    brown = column["brown"] * browning(days, start, column["length"], column["decline"])
    whole = np.zeros((count, len(days)))
    ground = soil(column["soil"] + whole, column["soil_rise"], column["iron"], moisture)
    leaves = leaf(column["chlorophyll"] * (1 - 0.8 * np.minimum(brown, 1)), column["leaf_water"], brown)
    crowns = canopy(leaves, area, ground, column["extinction"], column["shade"])
    roofs = built(column["roof"] + whole, column["roof_rise"], column["tile"])
    lake = open_water(column["sediment"] * np.exp(0.4 * rain), column["algae"])
    spectra = np.stack([crowns, ground, roofs, lake], 2)  # (N, T, 4, L)
    if rng.random() < 0.15:  # winters with snow
        cold = -np.cos(2 * np.pi * (days - spring + 15) / YEAR) - rng.uniform(0.3, 0.8)
        cover = 1 / (1 + np.exp(-8 * (-cold - 1 + 0.15 * z["grain"][:, None])))
        cover = cover[..., None, None] * np.array([0.7, 1.0, 0.8, 0.3])[:, None]
        spectra = spectra * (1 - cover) + cover * snow(column["grain"])[..., None, :]
    logits = np.stack([z[name] for name in COVERS], 1) * 0.8 + np.array(SITES[site])
    return spectra, logits


def _smooth(shape: tuple[int, ...], side: int, rng: np.random.Generator) -> Array:
    """Normal noise over pictures of ``side`` pixels, smooth at about half of it."""
    coarse = rng.normal(0, 1, (*shape, 3, 3))
    weights = np.stack([np.interp(np.linspace(0, 2, side), [0, 1, 2], row) for row in np.eye(3)], 1)  # (side, 3)
    return np.einsum("yi,...ij,xj->...yx", weights, coarse, weights)


def _weather(values: Array, eye: Sensor, rng: np.random.Generator) -> tuple[Array, Array]:
    """Light, haze and noise over (N, T, C, H, W) -> the same, and (N, T) bool: which are clouded."""
    count, dates = values.shape[:2]
    date, item = rng.uniform(0, 0.06), rng.uniform(0.02, 0.12)
    light = 1 + date * rng.normal(0, 1, (1, dates)) + item * rng.normal(0, 1, (count, 1))
    values = values * np.clip(light, 0.4, 1.6)[..., None, None, None]
    haze = np.abs(rng.normal(0, rng.uniform(0, 0.03), (1, dates)) + rng.normal(0, 0.004, (count, dates)))
    values = values + haze[..., None, None, None] * ((0.5 / eye.centres) ** 2)[:, None, None]
    values = values * (1 + 0.03 * rng.normal(0, 1, len(eye.centres)))[:, None, None]  # calibration
    values = values + rng.uniform(0.002, 0.02) * rng.normal(0, 1, values.shape)
    share = rng.choice([0.0, 0.0, rng.uniform(0.05, 0.4)]) if dates > 3 else 0.0
    # clouds come over the whole site, or over an item alone
    clouded = (rng.random((1, dates)) < share / 2) | (rng.random((count, dates)) < share / 2)
    clouded[:, [0, -1]] = False
    return np.clip(values, 0.001, 1.5), clouded


def draw_series(
    rng: np.random.Generator, which: Array, eye: Sensor | None = None, days: Array | None = None
) -> list[Raster]:
    """One task of pixels or small patches at one or many dates.

    Args:
        rng: of everything that is drawn.
        which: (N,) the class of each item, from 0.
        eye: the sensor; a multispectral one is drawn where None.
        days: (T,) since the first of January; drawn where None.
    """
    site = str(rng.choice(list(SITES), p=[0.45, 0.2, 0.15, 0.1, 0.1]))
    z = _draw(rng, which, site)
    eye = sensor(rng) if eye is None else eye
    days = _dates(rng) if days is None else days
    side = int(rng.choice([1, 1, 1, 1, 1, 1, 3, 4, 5, 6, 7, 8]))
    while side > 1 and len(days) * ((side + 3) // 4) ** 2 > COST:
        side -= 1
    spectra, logits = _covers(z, days, site, rng)
    seen = np.einsum("ntkl,lc->ntkc", spectra, responses(eye.centres, eye.fwhm))
    field = rng.uniform(0.1, 0.8) * _smooth(logits.shape, side, rng) if side > 1 else np.zeros((*logits.shape, 1, 1))
    share = np.exp(logits[..., None, None] + field)
    share /= share.sum(1, keepdims=True)  # (N, 4, H, W)
    values, clouded = _weather(np.einsum("ntkc,nkyx->ntcyx", seen, share), eye, rng)
    cloud = rng.uniform(0.3, 0.8, clouded.shape) * clouded
    how = str(rng.choice(["missing", "bright", "filled"]))
    if how == "bright":
        part = rng.uniform(0.2, 1.0, clouded.shape) * clouded
        values = values * (1 - part)[..., None, None, None] + (part * cloud)[..., None, None, None]
    elif how == "filled":
        values = _filled(values, clouded, days)
    timed = how != "filled" and rng.random() < 0.8
    time = np.datetime64(f"{int(rng.integers(2001, 2025))}-01-01", "ns") + (days * 86_400e9).astype("timedelta64[ns]")
    finish = finish_of(eye, rng)
    items = []
    for one, gone in zip(values, clouded, strict=True):
        kept = ~gone if how == "missing" else np.ones(len(days), bool)
        series = one[kept] if len(days) > 1 else one[0]
        items.append(finish(series, time[kept] if timed else None))
    return items


def _filled(values: Array, clouded: Array, days: Array) -> Array:
    """Clouded dates from those before and after, on a line."""
    out = values.copy()
    for one, gone in zip(out, clouded, strict=True):
        if gone.any():
            known = np.flatnonzero(~gone)
            after = known[np.searchsorted(known, np.flatnonzero(gone))]
            before = known[np.searchsorted(known, np.flatnonzero(gone)) - 1]
            share = ((days[gone] - days[before]) / np.maximum(days[after] - days[before], 1e-9))[:, None, None, None]
            one[gone] = one[before] * (1 - share) + one[after] * share
    return out


def finish_of(eye: Sensor, rng: np.random.Generator) -> partial[Raster]:
    """What makes rasters of a task's reflectances, in the units that its reader would give."""
    kind = rng.random()
    picture = len(eye.centres) < 4 or eye.bands is not None  # three bands of eight bits are one for the eye
    units = "reflectance" if kind < 0.7 else "dn" if kind < 0.85 or picture else "uint8"
    scale = {"reflectance": 1.0, "dn": float(rng.choice([10_000, 4_000, 1_000])), "uint8": rng.uniform(280, 480)}
    return partial(_raster, eye=eye, units=units, scale=scale[units])


def _raster(values: Array, time: Array | None = None, *, eye: Sensor, units: str, scale: float) -> Raster:
    kinds = {"reflectance": np.float32, "dn": np.uint16, "uint8": np.uint8}
    low, high = {"reflectance": (0, np.inf), "dn": (1, 65_535), "uint8": (1, 255)}[units]
    scaled = np.clip(values * scale, low, high)
    return Raster(
        scaled.astype(kinds[units]), units=units, bands=eye.bands, wavelengths=eye.centres,
        fwhm=eye.fwhm if eye.told else None, time=time,
    )  # fmt: skip


def classes_of(number: int) -> int:
    """How many classes a task has: 2 to 6, mostly 5."""
    return int(np.random.default_rng(31_000_003 + number).choice([2, 3, 4, 5, 6], p=[0.05, 0.1, 0.15, 0.55, 0.15]))


def task_entries(tasks: int, item: Callable[[int, int], Item]) -> Iterator[Entry]:
    """``ITEMS`` entries of every class of so many tasks; a task is a group, and ``item`` makes (task, place) of it."""
    for number in range(tasks):
        group = f"task-{number}"
        for place in range(classes_of(number) * ITEMS):
            yield Entry(partial(item, number, place), f"{group}/{place // ITEMS}", group, split_of(group))


@lru_cache(maxsize=4)
def _task(number: int) -> list[Raster]:
    """A task's items, class by class. The last few tasks are kept, as entries come task by task."""
    rng, which = np.random.default_rng(29_000_017 + number), np.repeat(np.arange(classes_of(number)), ITEMS)
    if rng.random() >= TEXTURES:
        return draw_series(rng, which)
    eye = sensor(rng, most=6)
    finish = finish_of(eye, rng)
    return [finish(picture) for picture in made_textures.task(eye, which, rng)]


def _item(number: int, place: int) -> Raster:
    return _task(number)[place]


def made(path: Path) -> Iterator[Entry]:
    """The same tasks on every machine. Nothing is read from the data folder."""
    yield from task_entries(TASKS, _item)


MADE = Source(
    name="made_series", modality="multispectral", files=(), scan=made, labels={}, role="train", task="episodes",
    licence="Apache-2.0", citation="made here from curves of leaves, canopies, soils, waters and roofs",
)  # fmt: skip
SOURCES = (MADE,)
