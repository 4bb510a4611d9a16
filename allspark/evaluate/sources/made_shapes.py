"""Surfaces made of triangles, points drawn on them by area, and what a sensor does to such points.

Every function that builds something returns (T, 3, 3): T triangles of three corners in metres, z up.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from ...items import PointCloud

Vector = Sequence[float] | np.ndarray
VIEWS = {  # how a cloud was taken -> how a caption says so; "model" is a CAD model whose longest side is one
    "model": "",
    "whole": " in metres",
    "noisy": " measured with noise",
    "one side": " seen from one side",
    "falling": " scanned from nearby, dense in front and thin behind",
    "ground": " on a patch of ground",
}


def loft(rings: np.ndarray, caps: bool = True, loop: bool = False) -> np.ndarray:
    """(S, K, 3) rings of corners -> the skin that joins each ring to the next; ends closed by fans unless looped."""
    if loop:
        rings = np.concatenate([rings, rings[:1]])
    low, high = rings[:-1], rings[1:]
    low_next, high_next = np.roll(low, -1, 1), np.roll(high, -1, 1)
    skin = np.stack([np.stack([low, low_next, high], 2), np.stack([low_next, high_next, high], 2)]).reshape(-1, 3, 3)
    if not caps or loop:
        return skin
    ends = rings[[0, -1]]
    fans = np.stack([ends, np.roll(ends, -1, 1), np.broadcast_to(ends.mean(1, keepdims=True), ends.shape)], 2)
    return np.concatenate([skin, fans.reshape(-1, 3, 3)])


@cache
def _circle(sides: int) -> np.ndarray:
    angle = np.arange(sides) * (2 * np.pi / sides)
    return np.stack([np.cos(angle), np.sin(angle)], 1)


def revolve(
    profile: Sequence[Vector] | np.ndarray,
    at: Vector = (0, 0, 0),
    sides: int = 20,
    caps: bool = True,
    stretch: tuple[float, float] = (1, 1),
) -> np.ndarray:
    """A profile of (radius, height) turned about the z axis through ``at``."""
    steps = np.asarray(profile, dtype=np.float64)
    rings = np.empty((len(steps), sides, 3))
    rings[..., :2] = steps[:, None, :1] * _circle(sides) * stretch
    rings[..., 2] = steps[:, 1:]
    return loft(rings + np.asarray(at), caps)


def ball(radii: Vector, at: Vector = (0, 0, 0), part: tuple[float, float] = (0.0, 1.0)) -> np.ndarray:
    """An ellipsoid around ``at``; ``part`` of it from the lower (0) to the upper pole (1)."""
    angle = np.linspace(part[0], part[1], 10) * np.pi
    unit = revolve(np.stack([np.sin(angle), -np.cos(angle)], 1), sides=16, caps=False)
    return unit * np.asarray(radii) + np.asarray(at)


def torus(ring: float, tube: float, at: Vector = (0, 0, 0), upright: bool = False) -> np.ndarray:
    """A ring of radius ``ring`` of a tube of radius ``tube``, lying, or upright in the xz plane."""
    across, along = _circle(8), _circle(24)
    radius = ring + tube * across[:, 0]
    rings = np.empty((24, 8, 3))
    rings[..., :2] = along[:, None] * radius[None, :, None]
    rings[..., 2] = tube * across[:, 1]
    skin = loft(rings, loop=True)
    return (skin[..., [0, 2, 1]] if upright else skin) + np.asarray(at)


@cache
def _cube() -> np.ndarray:
    square = np.array([[-0.5, -0.5, 0], [0.5, -0.5, 0], [0.5, 0.5, 0], [-0.5, 0.5, 0]])
    return loft(np.stack([square, square + [0, 0, 1]]))


def boxes(size: Vector | Sequence[Vector], at: Vector | Sequence[Vector] = (0, 0, 0)) -> np.ndarray:
    """Boxes of (n, 3) or one size that stand with the middle of their bottom at (n, 3) or one place."""
    size, at = np.broadcast_arrays(
        np.atleast_2d(np.asarray(size, np.float64)), np.atleast_2d(np.asarray(at, np.float64))
    )
    return (_cube() * size[:, None, None] + at[:, None, None]).reshape(-1, 3, 3)


@cache
def _rod() -> np.ndarray:
    """(T, 3, 3) of a unit tube of six sides, last axis: two across, one along."""
    return revolve([(1, 0), (1, 1)], sides=6, caps=True)


def rods(
    start: Vector | Sequence[Vector], end: Vector | Sequence[Vector], radius: float, thin: float | None = None
) -> np.ndarray:
    """Tubes between (n, 3) places, ``radius`` thick at the start and ``thin`` (the same by default) at the end."""
    start, end = np.broadcast_arrays(
        np.atleast_2d(np.asarray(start, np.float64)), np.atleast_2d(np.asarray(end, np.float64))
    )
    along = end - start
    side = np.cross(along, np.where(np.abs(along[:, 2:]) > 0.9 * np.linalg.norm(along, axis=1)[:, None],
                                    [1.0, 0, 0], [0, 0, 1.0]))  # fmt: skip
    side /= np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-9)
    other = np.cross(along, side)
    other /= np.maximum(np.linalg.norm(other, axis=1, keepdims=True), 1e-9)
    unit = _rod()
    width = radius + ((radius if thin is None else thin) - radius) * unit[..., 2:]
    frame = np.stack([side, other, along], 1)  # (n, 3, 3)
    local = np.concatenate([unit[..., :2] * width, unit[..., 2:]], -1)
    return (np.einsum("tcj,njk->ntck", local, frame) + start[:, None, None]).reshape(-1, 3, 3)


def sections(stations: Sequence[Vector], roundness: float = 0.0) -> np.ndarray:
    """A body along x of (x, half width, bottom, top) each: from boxy (0) to elliptic (1)."""
    values = np.asarray(stations, np.float64)
    circle = _circle(12)
    square = circle / np.abs(circle).max(1, keepdims=True)
    shape = square + (circle - square) * roundness
    rings = np.empty((len(values), 12, 3))
    rings[..., 0] = values[:, :1]
    rings[..., 1] = values[:, 1:2] * shape[:, 0]
    rings[..., 2] = (values[:, 2:3] + values[:, 3:4]) / 2 + (values[:, 3:4] - values[:, 2:3]) / 2 * shape[:, 1]
    return loft(rings)


def gable(size: Vector, rise: float, at: Vector = (0, 0, 0), overhang: float = 0.0, hip: float = 0.0) -> np.ndarray:
    """A roof with its ridge along x over (length, width): the ends upright, or leaning in by ``hip`` metres."""
    half, wide = size[0] / 2 + overhang, size[1] / 2 + overhang
    eaves = np.array([[-half, -wide, 0], [half, -wide, 0], [half, wide, 0], [-half, wide, 0]])
    a, b, c, d = eaves
    left, right = np.array([-half + hip, 0, rise]), np.array([half - hip, 0, rise])
    roof = np.array([[a, b, right], [a, right, left], [c, d, left], [c, left, right], [d, a, left], [b, c, right]])
    return roof + np.asarray(at)


def leaves(centres: np.ndarray, size: float, rng: np.random.Generator) -> np.ndarray:
    """A small triangle of any direction at each of (n, 3) places: foliage, which a beam enters."""
    return centres[:, None] + rng.normal(0, size, (len(centres), 3, 3))


def inside(count: int, rng: np.random.Generator, outward: float = 5.0) -> np.ndarray:
    """(count, 3) places in the unit ball, the denser near its skin the larger ``outward`` (3 is even)."""
    places = rng.normal(size=(count, 3))
    return places * (rng.random((count, 1)) ** (1 / outward) / np.linalg.norm(places, axis=1, keepdims=True))


def turned(triangles: np.ndarray, angle: float, at: Vector = (0, 0, 0), axis: int = 2) -> np.ndarray:
    """Turned about an axis (z by default) by radians, then moved."""
    first, second = (axis + 1) % 3, (axis + 2) % 3
    result = triangles.copy()
    result[..., first] = triangles[..., first] * np.cos(angle) - triangles[..., second] * np.sin(angle)
    result[..., second] = triangles[..., first] * np.sin(angle) + triangles[..., second] * np.cos(angle)
    return result + np.asarray(at)


def sample(triangles: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """(count, 3) points drawn evenly by area (Osada et al., Shape distributions, 2002, equation 1)."""
    first, second = triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]
    total = np.linalg.norm(np.cross(first, second), axis=1).cumsum()
    chosen = np.minimum(np.searchsorted(total, rng.random(count) * total[-1]), len(total) - 1)
    root, part = np.sqrt(rng.random((count, 1))), rng.random((count, 1))
    return triangles[chosen, 0] + root * (1 - part) * first[chosen] + root * part * second[chosen]


def _front(xyz: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Points that a viewer at a random azimuth sees first: a coarse depth buffer."""
    azimuth, height = rng.uniform(0, 2 * np.pi), rng.uniform(0.0, 0.9)
    toward = np.array([np.cos(azimuth) * np.cos(height), np.sin(azimuth) * np.cos(height), np.sin(height)])
    across = np.array([-np.sin(azimuth), np.cos(azimuth), 0])
    extent = float(np.ptp(xyz, axis=0).max())
    cells = np.floor(np.stack([xyz @ across, xyz @ np.cross(toward, across)], 1) / (extent / 24)).astype(np.int64)
    cells -= cells.min(0)
    cell = cells[:, 0] * (int(cells[:, 1].max()) + 1) + cells[:, 1]
    depth = -(xyz @ toward)
    nearest = np.full(int(cell.max()) + 1, np.inf)
    np.minimum.at(nearest, cell, depth)
    return xyz[depth < nearest[cell] + extent * 0.06]


def sense(triangles: np.ndarray, view: str, count: int, rng: np.random.Generator) -> PointCloud:
    """About ``count`` points of a surface in one of ``VIEWS``, turned about z, of any scale from 0.75 to 1.3."""
    xyz = sample(triangles, count * (3 if view in ("one side", "falling") else 1), rng)
    quarters = np.pi / 2 * rng.integers(4)
    xyz = turned(xyz, quarters if rng.random() < 0.5 else rng.uniform(0, 2 * np.pi)) * rng.uniform(0.75, 1.3)
    extent = float(np.ptp(xyz, axis=0).max())
    if view == "noisy":
        xyz = xyz + rng.normal(0, extent * rng.uniform(0.003, 0.02), xyz.shape)
    elif view == "one side":
        xyz = _front(xyz, rng)
    elif view == "falling":
        azimuth = rng.uniform(0, 2 * np.pi)
        sensor = extent * rng.uniform(0.8, 1.5) * np.array([np.cos(azimuth), np.sin(azimuth), 0.4])
        distance = np.linalg.norm(xyz - sensor, axis=1)
        xyz = xyz[rng.random(len(xyz)) < (distance.min() / distance) ** 2]
    elif view == "ground":
        number = int(count * rng.uniform(0.1, 0.3))
        reach = np.ptp(xyz[:, :2], axis=0).max() * rng.uniform(0.6, 0.9) * np.sqrt(rng.random((number, 1)))
        angle = rng.uniform(0, 2 * np.pi, number)
        ground = np.concatenate([np.stack([np.cos(angle), np.sin(angle)], 1) * reach, np.zeros((number, 1))], 1)
        ground += np.append((xyz.max(0) + xyz.min(0))[:2] / 2, xyz[:, 2].min())
        ground[:, 2] += ground[:, :2] @ rng.normal(0, 0.03, 2) + rng.normal(0, extent * 0.004, number)
        xyz = np.concatenate([xyz, ground])
    if len(xyz) > count:
        xyz = xyz[rng.permutation(len(xyz))[:count]]
    xyz = xyz - (xyz.max(0) + xyz.min(0)) / 2
    if view == "model":  # a CAD model's own unit is arbitrary
        xyz = xyz / np.ptp(xyz, axis=0).max()
    else:
        xyz = xyz - [0, 0, xyz[:, 2].min()]
    return PointCloud(xyz.astype(np.float32), crs=None)
