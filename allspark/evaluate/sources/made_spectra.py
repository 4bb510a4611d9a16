"""Made few-shot tasks of hyperspectral items: a random spectrometer, and classes that lie near each other.

Half of the tasks are the land covers of ``made_series.py`` at one date: canopies, soils, roofs and water whose class
means differ in one to three groups of properties. The others are of materials (roofs, pavings, rocks, paints): smooth
random curves that rise to the infrared, with absorption bands that a class shares with none, some or most of the other
classes; items are mixed with a background that they share, lie in more or less light, and are small patches or single
pixels. What can be learned of all of them together is how to describe a spectrum such that a few examples tell *any*
classes apart (Bertinetto et al., ICLR 2019).

No number here was fitted to a data set.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np

from ...items import Raster
from .base import Entry, Source
from .made_cover import GRID, built, responses, soil
from .made_sensors import spectrometer
from .made_series import ITEMS, classes_of, draw_series, finish_of, task_entries

TASKS = 300
MATERIALS = 0.5  # share of tasks
SIDES = (1, 1, 2, 3, 4, 6)  # pixels of an item's side

Array = np.ndarray


def _smooth(rng: np.random.Generator, count: int, length: float) -> Array:
    """(count, L) normal noise over the grid, smooth below ``length`` micrometres, of unit variance."""
    knots = np.arange(GRID[0] - 2 * length, GRID[-1] + 3 * length, length)
    weights = np.exp(-(((GRID[:, None] - knots) / length) ** 2))
    weights /= np.sqrt(np.square(weights).sum(1, keepdims=True))
    return rng.normal(0, 1, (count, len(knots))) @ weights.T


def _bands(rng: np.random.Generator, classes: int) -> Array:
    """(K, L) absorption at a few wavelengths, each missing in some classes and of another depth in the others."""
    places = rng.uniform(GRID[0], GRID[-1], int(rng.integers(2, 7)))
    widths = np.exp(rng.uniform(np.log(0.012), np.log(0.1), len(places)))
    shapes = np.exp(-(((GRID - places[:, None]) / widths[:, None]) ** 2) / 2)
    depths = rng.exponential(rng.uniform(0.02, 0.25), (classes, len(places)))
    depths = depths * (rng.random(depths.shape) < 0.6)
    return depths @ shapes


def _materials(rng: np.random.Generator, which: Array) -> list[Raster]:
    """One task of materials; ``which`` (N,) is the class of each item."""
    eye, classes, count = spectrometer(rng), int(which.max()) + 1, len(which)
    length, apart = np.exp(rng.uniform(np.log(0.04), np.log([0.6, 0.4])))
    base = built(rng.uniform(0.1, 0.5, 1), rng.uniform(0.1, 0.6, 1), rng.uniform(-0.02, 0.2, 1))
    curves = np.log(base) + apart * _smooth(rng, classes, float(length)) - _bands(rng, classes)  # (K, L)
    within = apart * rng.uniform(0.2, 0.9)
    own = within * _smooth(rng, count, float(rng.uniform(0.1, 0.8)))
    spectra = np.clip(np.exp(curves[which] + own), 0.005, 0.95)
    ground = soil(*(rng.uniform(low, high, 1) for low, high in ((0.12, 0.5), (0.3, 0.8), (0.0, 1.0), (0.0, 0.6))))
    seen = responses(eye.centres, eye.fwhm)
    spectra, ground = spectra @ seen, (ground @ seen)[0]
    side = int(rng.choice(SIDES))
    pure = rng.beta(8, rng.uniform(0.3, 3), (count, 1, side, side))  # share of the material in each pixel
    light = np.exp(rng.uniform(0.03, 0.3) * rng.normal(0, 1, (count, 1, 1, 1)))
    light = light * np.exp(rng.uniform(0, 0.2) * rng.normal(0, 1, (count, 1, side, side)))
    values = (spectra[:, :, None, None] * pure + ground[:, None, None] * (1 - pure)) * light
    values = values * (1 + 0.02 * rng.normal(0, 1, len(eye.centres)))[:, None, None]  # calibration
    values = values + rng.uniform(0.001, 0.012) * rng.normal(0, 1, values.shape)
    finish = finish_of(eye, rng)
    return [finish(one) for one in np.clip(values, 0.001, 1.5)]


@lru_cache(maxsize=4)
def _task(number: int) -> list[Raster]:
    """A task's items, class by class. The last few tasks are kept, as entries come task by task."""
    rng, which = np.random.default_rng(37_000_003 + number), np.repeat(np.arange(classes_of(number)), ITEMS)
    if rng.random() < MATERIALS:
        return _materials(rng, which)
    return draw_series(rng, which, spectrometer(rng), rng.uniform(60, 300, 1))


def _item(number: int, place: int) -> Raster:
    return _task(number)[place]


def made(path: Path) -> Iterator[Entry]:
    """The same tasks on every machine. Nothing is read from the data folder."""
    yield from task_entries(TASKS, _item)


MADE = Source(
    name="made_spectra", modality="hyperspectral", files=(), scan=made, labels={}, role="train", task="episodes",
    licence="Apache-2.0", citation="made here from curves of leaves, canopies, soils, waters, roofs and materials",
)  # fmt: skip
SOURCES = (MADE,)
