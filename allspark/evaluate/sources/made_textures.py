"""Made pictures whose classes differ in texture: settlements, fields, tree crowns. A module, not a source.

A class is a pattern: how large its parts are, how regularly they lie, how far they stand out, what they are made of.
No direction and no position is kept from item to item. Pictures are drawn at twice their resolution and averaged, so
parts smaller than a pixel mix as they do for a sensor. Spectra come from ``made_cover.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .made_cover import built, canopy, leaf, open_water, responses, soil
from .made_sensors import Sensor

Array = np.ndarray
SMALLEST, LARGEST = 16, 32  # pixels
FINER = 2  # drawn pixels per pixel
LATTICE = 61  # cells after which a pattern's random numbers repeat

# what a pattern is made of: property -> (lowest, highest)
RANGES: dict[str, tuple[float, float]] = {
    "cell": (1.5, 9.0),  # pixels from part to part
    "long": (1.0, 2.2),  # a part's length over its width
    "jitter": (0.0, 0.8),  # how far parts lie from their places
    "bend": (0.0, 1.0),  # how far rows are bent
    "filled": (0.35, 0.95),  # share of places with a part
    "size": (0.35, 0.9),  # of a part, as a share of its cell
    "contrast": (0.05, 0.5),  # spread of the parts' brightness
    "streets": (0.0, 1.0),  # share of rows that are streets
    "green": (0.05, 0.9),  # share of the rest that plants cover
    "patch": (3.0, 14.0),  # pixels: how large green patches are
    "lush": (0.0, 1.0),  # how dense the plants are
    "mix": (0.0, 1.0),  # share of the second roof
}
KINDS = ("settlement", "fields", "crowns")


@dataclass(frozen=True)
class _Materials:
    """Spectra (C,) of a task's site, seen by its sensor."""

    roofs: Array  # (2, C)
    street: Array
    bare: Array
    plants: Array  # (2, C): sparse, dense
    dark: Array  # shadow or water


def _materials(eye: Sensor, rng: np.random.Generator) -> _Materials:
    u = rng.uniform
    ground = soil(*(np.array(u(*r)) for r in ((0.15, 0.5), (0.3, 0.8), (0, 1), (0, 0.5))))
    leaves = leaf(np.array(u(0.5, 1.6)), np.array(u(0.008, 0.025)), np.array(u(0, 0.3)))
    area = np.array([u(0.4, 1.5), u(2, 5)])
    plants = canopy(leaves, area, ground, np.full(2, 0.6), np.full(2, u(0.6, 0.9)))
    roofs = built(u(0.12, 0.5, 2), u(0.1, 0.5, 2), u(-0.02, 0.2, 2))
    street = built(np.array(u(0.08, 0.25)), np.array(u(0.1, 0.4)), np.array(0.0))
    lake = open_water(np.array(u(0.02, 0.6)), np.array(u(0, 0.6)))
    sees = responses(eye.centres, eye.fwhm)
    return _Materials(roofs @ sees, street @ sees, ground @ sees, plants @ sees, lake @ sees)


def _noise(side: int, scale: float, rng: np.random.Generator) -> Array:
    """(side, side) normal noise, smooth below ``scale`` pixels, by its spectrum."""
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    spectrum = np.fft.rfft2(rng.normal(0, 1, (side, side))) * np.exp(-((frequency * scale * 2.0) ** 2))
    field = np.fft.irfft2(spectrum, s=(side, side))
    return (field - field.mean()) / max(float(field.std()), 1e-9)


def _cells(p: dict[str, float], side: int, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """A turned, bent lattice -> (rows, columns) of the cell of every pixel, and (2, side, side) places within it."""
    angle, cell = rng.uniform(0, 2 * np.pi), p["cell"] * FINER
    y, x = np.mgrid[:side, :side] - side / 2.0
    bend = p["bend"] * cell * 0.8
    x = x + bend * _noise(side, 3 * cell, rng)
    y = y + bend * _noise(side, 3 * cell, rng)
    u = (x * np.cos(angle) + y * np.sin(angle)) / (cell * p["long"]) + rng.uniform(0, LATTICE)
    v = (y * np.cos(angle) - x * np.sin(angle)) / cell + rng.uniform(0, LATTICE)
    row, column = np.floor(v).astype(int), np.floor(u).astype(int)
    return row % LATTICE, column % LATTICE, np.stack([v - np.floor(v), u - np.floor(u)]) - 0.5


def _settlement(p: dict[str, float], of: _Materials, side: int, rng: np.random.Generator) -> Array:
    row, column, place = _cells(p, side, rng)
    chance = rng.random((6, LATTICE, LATTICE))[:, row, column]
    shift = p["jitter"] * (chance[:2] - 0.5) * 0.8
    half = p["size"] / 2 * (1 + p["jitter"] * (chance[2] - 0.5))
    roof = (np.abs(place - shift) < half).all(0) & (chance[3] < p["filled"])
    every = int(rng.integers(2, 5))
    street = (row % every == 0) & (rng.random(LATTICE)[row] < p["streets"])
    which = (chance[4] < p["mix"]).astype(int)
    tone = np.exp(p["contrast"] * (chance[5] * 3.4 - 1.7))
    green = _noise(side, p["patch"] * FINER, rng) < np.quantile(_noise(side, 4.0, rng), p["green"])
    picture = np.where(
        green, (of.plants[0] * (1 - p["lush"]) + of.plants[1] * p["lush"])[:, None, None], of.bare[:, None, None]
    )
    picture = np.where(street, of.street[:, None, None], picture)
    return np.where(roof & ~street, (of.roofs[which] * tone[..., None]).transpose(2, 0, 1), picture)


def _fields(p: dict[str, float], of: _Materials, side: int, rng: np.random.Generator) -> Array:
    row, column, place = _cells({**p, "cell": p["cell"] * 2}, side, rng)
    chance = rng.random((3, LATTICE, LATTICE))[:, row, column]
    cover = np.clip(p["green"] + 1.5 * p["contrast"] * (chance[0] * 2 - 1), 0, 1)
    dense = np.clip(p["mix"] + p["contrast"] * (chance[1] * 2 - 1), 0, 1)
    plants = of.plants[0][:, None, None] * (1 - dense) + of.plants[1][:, None, None] * dense
    picture = of.bare[:, None, None] * (1 - cover) + plants * cover
    picture = picture * np.exp(0.5 * p["contrast"] * (chance[2] * 2 - 1))
    border = (np.abs(place) > 0.5 - 0.12 * p["streets"]).any(0)
    return np.where(border, of.street[:, None, None], picture)


def _crowns(p: dict[str, float], of: _Materials, side: int, rng: np.random.Generator) -> Array:
    relief = _noise(side, p["cell"] * FINER * 0.5, rng)
    if p["jitter"] < 0.35:  # planted: crowns in rows
        _, _, place = _cells(p, side, rng)
        relief = 0.4 * relief + 2.5 * (0.35 - np.hypot(*place)) / 0.35
    light = np.exp(1.2 * p["contrast"] * np.clip(relief, -2, 2))
    open_ = _noise(side, p["patch"] * FINER, rng) > np.quantile(_noise(side, 4.0, rng), p["filled"])
    plants = of.plants[1] * (1 - 0.5 * p["mix"]) + of.dark * 0.5 * p["mix"]
    under = of.bare * (1 - p["green"]) + of.plants[0] * p["green"]
    return np.where(open_, under[:, None, None], plants[:, None, None] * light)


DRAW = {"settlement": _settlement, "fields": _fields, "crowns": _crowns}


def task(eye: Sensor, which: Array, rng: np.random.Generator) -> list[Array]:
    """One task.

    Args:
        eye: the sensor.
        which: (N,) class of each item, from 0.
        rng: of everything drawn.

    Returns:
        N pictures (C, S, S) of reflectance.
    """
    of, size = _materials(eye, rng), int(rng.integers(SMALLEST, LARGEST + 1))
    varied = set(rng.choice(list(RANGES), int(rng.integers(3, 7)), replace=False))
    apart, within = rng.uniform(0.8, 2.0), rng.uniform(0.1, 0.4)
    classes = int(which.max()) + 1
    names = [str(k) for k in (rng.choice(KINDS, classes) if rng.random() < 0.2 else [rng.choice(KINDS)] * classes)]
    site = {name: rng.normal(0, 0.8) for name in RANGES}
    centres = [{n: site[n] + (apart if n in varied else 0.1) * rng.normal() for n in RANGES} for _ in names]
    spread, blur, noise = rng.uniform(0.02, 0.12), rng.uniform(0, 1), rng.uniform(0.003, 0.02)
    pictures = []
    for k in which:
        z = {n: centres[k][n] + within * rng.normal() for n in RANGES}
        p = {n: low + (high - low) / (1 + np.exp(-1.5 * z[n])) for n, (low, high) in RANGES.items()}
        fine = DRAW[names[k]](p, of, size * FINER, rng)
        picture = fine.reshape(-1, size, FINER, size, FINER).mean((2, 4))
        # the optics mix a pixel with its neighbours
        sides = np.pad(picture, ((0, 0), (1, 1), (1, 1)), mode="edge")
        around = (sides[:, :-2, 1:-1] + sides[:, 2:, 1:-1] + sides[:, 1:-1, :-2] + sides[:, 1:-1, 2:]) / 4
        picture = picture + 0.5 * blur * (around - picture)
        picture = picture * (1 + spread * rng.normal()) + noise * rng.normal(0, 1, picture.shape)
        pictures.append(np.clip(picture, 0.001, 1.5))
    return pictures
