"""Trees and bushes of random proportions: stems of tubes, foliage of small triangles of any direction. Metres, z up."""

from __future__ import annotations

import numpy as np

from .made_objects import Rng, join
from .made_shapes import inside, leaves, rods


def _trunk(r: Rng, height: float, wide: float) -> tuple[np.ndarray, np.ndarray]:
    lean = np.array([*r.normal(0, 0.04, 2) * height, height])
    return rods((0, 0, 0), lean, wide, wide * 0.6), lean


def conifer(r: Rng) -> np.ndarray:
    """A trunk in a crown that narrows to a point, its branches in whorls."""
    high, wide, bare = r.uniform(4, 35), r.uniform(0.1, 0.24), r.uniform(0.02, 0.4)
    trunk, _ = _trunk(r, high * 0.9, high * 0.012)
    number = int(r.integers(250, 700))
    u = 1 - np.sqrt(r.random(number))
    if r.random() < 0.5:
        whorls = int(r.integers(6, 14))
        u = (np.floor(u * whorls) + r.uniform(0, 0.45, number)) / whorls
    angle, out = r.uniform(0, 2 * np.pi, number), (1 - u) * high * wide * r.random(number) ** 0.35
    z = high * (bare + (1 - bare) * u) - out * r.uniform(0.1, 0.5)
    return join(trunk, leaves(np.stack([np.cos(angle) * out, np.sin(angle) * out, z], 1), high * 0.012, r))


def broadleaf(r: Rng) -> np.ndarray:
    """A trunk, some boughs and a round crown of several masses of leaves."""
    high = r.uniform(4, 28)
    bare, wide = high * r.uniform(0.15, 0.45), high * r.uniform(0.2, 0.45)
    trunk, top = _trunk(r, bare * 1.3, high * 0.02)
    masses = int(r.integers(1, 8))
    radii = np.array([wide, wide, (high - bare) / 2])
    middle = np.array([0, 0, (high + bare) / 2])
    centres = middle + inside(masses, r) * radii * 0.6
    share = 1.0 if masses == 1 else r.uniform(0.45, 0.65)
    crown = [leaves(c + inside(int(450 / masses) + 20, r) * radii * share, high * 0.014, r) for c in centres]
    return join(trunk, rods(top * 0.7, centres, high * 0.012, high * 0.004), *crown)


def palm(r: Rng) -> np.ndarray:
    """A bare curved stem and a tuft of arching fronds."""
    high, reach, number = r.uniform(3, 18), r.uniform(1.2, 3.5), int(r.integers(8, 24))
    u = np.linspace(0, 1, 7)[:, None]
    stem = u * [0, 0, high] + u**2 * [r.uniform(0, 0.3) * high, 0, 0]
    parts = [rods(stem[:-1], stem[1:], high * 0.015 + 0.05)]
    droop, rise = r.uniform(0.5, 1.4), r.uniform(0.3, 1.0)
    for angle in np.arange(number) * 2.4:
        v = np.linspace(0, 1, 5)[:, None]
        length = reach * r.uniform(0.7, 1.1)
        path = (
            stem[-1]
            + v * length * [np.cos(angle), np.sin(angle), rise]
            - v**2 * length * [0, 0, droop * r.uniform(0.7, 1.5)]
        )
        parts.append(rods(path[:-1], path[1:], 0.06))
    return join(*parts)


def bush(r: Rng) -> np.ndarray:
    """One or several low masses of leaves that reach to the ground."""
    wide, high, masses = r.uniform(0.5, 2.5), r.uniform(0.5, 2.5), int(r.integers(1, 6))
    parts = []
    for _ in range(masses):
        radii = np.array([wide, wide, high / 2]) * r.uniform(0.5, 1)
        places = (
            r.uniform(-0.6, 0.6, 3) * [wide, wide, 0] * (masses > 1)
            + [0, 0, radii[2]]
            + inside(400 // masses, r) * radii
        )
        parts.append(leaves(places, high * 0.03, r))
    return join(*parts)


def bare_tree(r: Rng) -> np.ndarray:
    """A trunk that forks four or five times, without leaves."""
    high = r.uniform(4, 22)
    start, end = np.zeros((1, 3)), np.array([[0, 0, high * r.uniform(0.2, 0.4)]])
    thick, parts, spread = high * 0.025, [], r.uniform(0.35, 0.8)
    for level in range(int(r.integers(4, 6))):
        parts.append(rods(start, end, thick, thick * 0.65))
        along = np.repeat(end - start, 3 if level == 0 else 2, 0)
        start = np.repeat(end, 3 if level == 0 else 2, 0)
        length = np.linalg.norm(along, axis=1, keepdims=True) * r.uniform(0.6, 0.9, (len(along), 1))
        way = along / np.linalg.norm(along, axis=1, keepdims=True) + r.normal(0, spread, along.shape)
        end, thick = start + way / np.linalg.norm(way, axis=1, keepdims=True) * length, thick * 0.6
    return join(*parts)


def hedge(r: Rng) -> np.ndarray:
    """A long clipped wall of leaves."""
    long, wide, high = r.uniform(3, 25), r.uniform(0.5, 1.5), r.uniform(0.8, 3)
    u = r.uniform(-1, 1, (900, 3))
    side = r.choice(3, 900, p=[0.1, 0.5, 0.4])
    u[np.arange(900), side] = np.where(side == 2, 1, np.sign(u[np.arange(900), side])) * r.uniform(0.85, 1, 900)
    places = u * [long / 2, wide / 2, high / 2] + [0, 0, high / 2]
    places[:, 1] += np.sin(places[:, 0] * r.uniform(0, 0.2)) * wide
    return leaves(places, 0.06, r)


TREES = {f.__name__: f for f in (conifer, broadleaf, palm, bush, bare_tree, hedge)}
