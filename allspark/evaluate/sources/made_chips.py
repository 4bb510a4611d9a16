"""Made radar chips: scenes of known content through a simple side-looking radar, with captions.

Half of the chips are amplitudes of unknown scale, as they come in pictures; the others are calibrated, with water at
about −20 dB and land between −14 and −6 dB in VV and VH 6 to 10 dB below. No class bears the name of a vehicle that
`radar.MSTAR` keeps out of training: vehicles here are boxes and bright points, and no model of any real one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from ...items import Raster
from .base import Entry, Source, split_of
from .made_radar import MARGIN, Scene, observed

PER_CLASS = 120
SMALLEST, LARGEST = 64, 128  # pixels
NEAR = (
    "small_vehicle",
    "tracked_vehicle",
    "long_vehicle",
    "vehicle_column",
)  # chips around one target, mostly amplitudes

LABELS = {
    "small_vehicle": ("small vehicle", "a car that shines on open ground and casts a short radar shadow"),
    "tracked_vehicle": ("tracked vehicle", "a compact metal vehicle with a raised turret and a radar shadow"),
    "long_vehicle": ("articulated lorry", "a long vehicle with a trailer and a long narrow shadow"),
    "vehicle_column": ("column of vehicles", "several vehicles in a row"),
    "ship": ("ship at sea", "a bright vessel on dark water, often with a wake"),
    "oil_slick": ("oil slick", "a very dark film on the sea that damps the waves"),
    "fields": ("field mosaic", "farm fields of different brightness side by side"),
    "forest": ("woodland in radar", "rough bright canopy with clearings"),
    "town": ("town in radar", "rows of houses with bright lines and corners"),
    "high_rise": ("high-rise buildings in radar", "tall buildings that lean towards the radar and cast long shadows"),
    "road": ("road in radar", "a dark smooth line through brighter land"),
    "river": ("river in radar", "a dark winding band of water through land"),
    "coast": ("coast in radar", "dark sea beside brighter land"),
    "railway": ("railway in radar", "a thin bright line with points at equal distances"),
    "hills": ("hilly terrain in radar", "slopes that are bright towards the radar and dark behind"),
    "corners": ("isolated bright corners", "single strong reflectors on quiet ground"),
}


def _ground(size: int, rng: np.random.Generator) -> Scene:
    scene = Scene(size, rng, str(rng.choice(["bare", "grass", "crop"])))
    scene.vv += scene.noise(rng.uniform(6, 40)) * rng.uniform(0.3, 1.5)
    return scene


def _vehicle(
    s: Scene, at: tuple[float, float], angle: float, long: float, wide: float, high: float, level: float
) -> None:
    s.block(at, angle, long, wide, high, "metal")
    s.vv[s.height > 0] += s.noise(2)[s.height > 0] * 3
    s.glints(at, angle, long * 1.05, wide * 1.05, int(s.rng.integers(6, 22)), level)


def small_vehicle(size: int, r: np.random.Generator) -> Scene:
    """A low box with a cabin."""
    s, angle, at = _ground(size, r), r.uniform(0, 2 * np.pi), (r.normal(0, 4), r.normal(0, 4))
    long, wide, high = r.uniform(13, 20), r.uniform(6, 9), r.uniform(3, 5)
    _vehicle(s, at, angle, long, wide, high * 0.6, 3.0)
    s.block(at, angle, long * r.uniform(0.4, 0.6), wide * 0.9, high, "metal")
    return s


def tracked_vehicle(size: int, r: np.random.Generator) -> Scene:
    """A hull with a turret, perhaps a barrel."""
    s, angle, at = _ground(size, r), r.uniform(0, 2 * np.pi), (r.normal(0, 4), r.normal(0, 4))
    long, wide, high = r.uniform(20, 30), r.uniform(9, 14), r.uniform(4, 7)
    _vehicle(s, at, angle, long, wide, high, 6.0)
    ahead, swing = r.uniform(-0.25, 0.25) * long, angle + r.normal(0, 0.5)
    turret = (at[0] + ahead * np.cos(angle), at[1] + ahead * np.sin(angle))
    s.block(turret, swing, wide * r.uniform(0.6, 1.1), wide * r.uniform(0.5, 0.8), high * r.uniform(1.3, 1.7), "metal")
    if r.random() < 0.6:
        reach = long * r.uniform(0.3, 0.7)
        tip = (turret[0] + reach * np.cos(swing), turret[1] + reach * np.sin(swing))
        s.block(tip, swing, reach, 1.6, high * 1.2, "metal")
    return s


def long_vehicle(size: int, r: np.random.Generator) -> Scene:
    """A tractor unit and one or two trailers."""
    s, angle, at = _ground(size, r), r.uniform(0, 2 * np.pi), (r.normal(0, 4), r.normal(0, 4))
    long, wide, high = r.uniform(26, 42), r.uniform(7, 10), r.uniform(8, 12)
    _vehicle(s, at, angle, long, wide, high, 5.0)
    ahead = long / 2 + 6
    _vehicle(
        s,
        (at[0] + ahead * np.cos(angle), at[1] + ahead * np.sin(angle)),
        angle + r.normal(0, 0.15),
        8,
        wide,
        high * 0.8,
        5.0,
    )
    return s


def vehicle_column(size: int, r: np.random.Generator) -> Scene:
    """Three to six vehicles behind one another."""
    s, angle, number, gap = _ground(size, r), r.uniform(0, 2 * np.pi), int(r.integers(3, 7)), r.uniform(18, 30)
    long, wide, high = r.uniform(8, 15), r.uniform(5, 8), r.uniform(3, 6)
    for k in np.arange(number) - (number - 1) / 2:
        at = (k * gap * np.cos(angle) + r.normal(0, 1.5), k * gap * np.sin(angle) + r.normal(0, 1.5))
        _vehicle(s, at, angle + r.normal(0, 0.1), long, wide, high, 4.0)
    return s


def _sea(size: int, r: np.random.Generator) -> Scene:
    s = Scene(size, r, "water")
    along, _ = s.frame((0, 0), r.uniform(0, np.pi))
    s.vv += np.sin(along * 2 * np.pi / r.uniform(5, 30) + s.noise(20)) * r.uniform(0, 1.2)
    s.vv += s.noise(r.uniform(10, 50)) * r.uniform(0.2, 1.5)
    return s


def ship(size: int, r: np.random.Generator) -> Scene:
    """One to three vessels, each perhaps with a wake."""
    s = _sea(size, r)
    for k in range(int(r.choice([1, 1, 1, 2, 3]))):
        at, angle = tuple(r.normal(0, 5 if k == 0 else size / 4, 2)), r.uniform(0, 2 * np.pi)
        long = r.uniform(6, 40)
        wide = max(long * r.uniform(0.14, 0.28), 2.0)
        if r.random() < 0.5:
            along, across = s.frame(at, angle)
            behind, spread = -along, r.uniform(0.12, 0.3)
            arms = (np.abs(np.abs(across) - behind * spread) < 1.2) & (behind > 0)
            s.vv[arms] += r.uniform(2, 5)
            s.vv[(np.abs(across) < wide * 0.4) & (behind > 0)] -= r.uniform(2, 6)
        s.block(at, angle, long, wide, r.uniform(1, 4), "metal")
        s.glints(at, angle, long, wide * 0.8, int(long * r.uniform(0.3, 1)), r.uniform(3, 9))
    return s


def oil_slick(size: int, r: np.random.Generator) -> Scene:
    """A film in a patch or along a line, with frayed edges."""
    s = _sea(size, r)
    s.vv += 2.5
    along, across = s.frame(tuple(r.normal(0, size / 10, 2)), r.uniform(0, np.pi))
    wide, long = (size * r.uniform(0.03, 0.1), size) if r.random() < 0.5 else size * r.uniform(0.12, 0.35, 2)
    film = (across + s.noise(18) * wide * 0.6) ** 2 / wide**2 + along**2 / long**2 + s.noise(6) * 0.15 < 1
    s.spread("oil", film)
    return s


def fields(size: int, r: np.random.Generator) -> Scene:
    """Rectangles or polygons, each with its own crop and rows."""
    s, angle = _ground(size, r), r.uniform(0, np.pi)
    along, across = s.frame((0, 0), angle)
    if r.random() < 0.6:
        gaps = r.uniform(10, 40, 2)
        column = np.floor((along + 300) / gaps[0]).astype(int)
        cell = column * 97 + np.floor((across + 300 + r.uniform(0, 40, 400)[column % 400]) / gaps[1]).astype(int)
    else:
        seeds = r.uniform(-1, 1, (int(r.integers(6, 40)), 2)) * [s.x.shape[1] / 2, size / 2]
        cell = ((s.x[..., None] - seeds[:, 0]) ** 2 + (s.y[..., None] - seeds[:, 1]) ** 2).argmin(-1)
    for key in np.unique(cell):
        s.spread(str(r.choice(["bare", "grass", "crop", "crop"])), cell == key, r.normal(0, 2.5))
    s.vv += s.noise(3) * 0.5
    return s


def forest(size: int, r: np.random.Generator) -> Scene:
    """Crowns of random heights; some chips with clearings or an edge."""
    s = Scene(size, r, "forest")
    crowns = np.maximum(s.noise(r.uniform(2, 5)) + 1.5, 0)
    s.height = crowns * r.uniform(0.7, 2.5)
    s.vv += s.noise(2.5) * r.uniform(0.8, 2)
    if r.random() < 0.6:
        open_ = s.noise(r.uniform(25, 60)) > r.uniform(0.7, 1.6)
        s.height[open_] = 0
        s.spread("grass", open_)
    return s


def town(size: int, r: np.random.Generator) -> Scene:
    """Houses along streets, in one direction or two."""
    s, angle = _ground(size, r), r.uniform(0, np.pi)
    gap, street, long = r.uniform(9, 18), int(r.integers(2, 5)), r.uniform(5, 12)
    reach = np.arange(-size, size, gap)
    for i, a in enumerate(reach):
        for b in reach:
            if i % street == 0 or r.random() < 0.25:
                continue
            x, y = a * np.cos(angle) - b * np.sin(angle), a * np.sin(angle) + b * np.cos(angle)
            if abs(x) < size / 2 + MARGIN and abs(y) < size / 2:
                turn = angle + np.pi / 2 * r.integers(2)
                s.block((x, y), turn, long * r.uniform(0.7, 1.2), gap * r.uniform(0.3, 0.6), r.uniform(1, 3.5), "roof")
    s.glints((0, 0), 0, size * 1.2, size, int(size * r.uniform(0.5, 1.5)), r.uniform(8, 14))
    return s


def high_rise(size: int, r: np.random.Generator) -> Scene:
    """One to six tall blocks over low ones."""
    s, angle = _ground(size, r), r.uniform(0, np.pi)
    for _ in range(int(r.integers(1, 7))):
        at = tuple(r.uniform(-0.4, 0.4, 2) * size)
        long, wide = r.uniform(8, 26), r.uniform(7, 13)
        s.block(at, angle + np.pi / 2 * r.integers(2), long, wide, r.uniform(10, 30), "roof")
        s.glints(at, angle, long, wide, int(r.integers(3, 15)), 8.0)
    return s


def _path(s: Scene, bend: float) -> np.ndarray:
    """Distance across a winding line through the chip."""
    along, across = s.frame(tuple(s.rng.normal(0, s.size / 8, 2)), s.rng.uniform(0, np.pi))
    phase = s.rng.uniform(0, 2 * np.pi, 2)
    waves = s.rng.uniform(0.6, 1.2) * s.size, s.rng.uniform(0.25, 0.5) * s.size
    return across + bend * (
        np.sin(along * 2 * np.pi / waves[0] + phase[0]) + 0.3 * np.sin(along * 2 * np.pi / waves[1] + phase[1])
    )


def road(size: int, r: np.random.Generator) -> Scene:
    """One or two smooth strips, with verges and vehicles at times."""
    s = _ground(size, r)
    for _ in range(int(r.choice([1, 1, 2]))):
        across, wide = _path(s, r.uniform(0, 5)), r.uniform(1.2, 5)
        s.spread("asphalt", np.abs(across) < wide)
        if r.random() < 0.4:
            s.vv[np.abs(np.abs(across) - wide - 1) < 0.8] += r.uniform(1, 4)
        line = np.argwhere(np.abs(across) < wide / 2)
        for y, x in line[r.permutation(len(line))[: int(r.integers(0, 5))]]:
            s.points.append((s.x[y, x : x + 1], s.y[y, x : x + 1], np.array([r.normal(4, 3)])))
    return s


def river(size: int, r: np.random.Generator) -> Scene:
    """A band of water with bends and banks."""
    s = _ground(size, r)
    across = _path(s, size * r.uniform(0.05, 0.16)) + s.noise(14) * r.uniform(0.3, 2)
    wide = r.uniform(3, 13)
    s.spread("water", np.abs(across) < wide)
    if r.random() < 0.5:
        trees = (np.abs(np.abs(across) - wide - 3) < 2) & (s.noise(3) > -0.3)
        s.height[trees] = r.uniform(1, 3)
        s.spread("forest", trees)
    return s


def coast(size: int, r: np.random.Generator) -> Scene:
    """Sea on one side of a ragged line, surf at times."""
    s, sea = _ground(size, r), _sea(size, r)
    _, across = s.frame(tuple(r.normal(0, size / 8, 2)), r.uniform(0, 2 * np.pi))
    line = across + s.noise(size / 3) * size * r.uniform(0.02, 0.12) + s.noise(8) * r.uniform(0.5, 3)
    s.vv, s.ratio = np.where(line > 0, sea.vv, s.vv), np.where(line > 0, sea.ratio, s.ratio)
    if r.random() < 0.5:
        s.vv[(line > 0) & (line < r.uniform(1, 4))] += r.uniform(3, 9)
    return s


def railway(size: int, r: np.random.Generator) -> Scene:
    """Tracks on gravel with masts at equal distances."""
    s = _ground(size, r)
    angle, at, tracks = r.uniform(0, np.pi), tuple(r.normal(0, size / 8, 2)), int(r.integers(1, 5))
    along, across = s.frame(at, angle)
    s.spread("gravel", np.abs(across) < tracks * 1.5 + 1)
    for k in np.arange(tracks) - (tracks - 1) / 2:
        s.vv[np.abs(across - k * 3) < 0.6] += r.uniform(3, 7)
    gap = r.uniform(7, 16)
    k = np.arange(-size, size, gap)
    side = tracks * 1.5 + 1.5
    s.points.append((at[0] + k * np.cos(angle) - side * np.sin(angle), at[1] + k * np.sin(angle) + side * np.cos(angle),
                     np.full(len(k), r.uniform(4, 9))))  # fmt: skip
    return s


def hills(size: int, r: np.random.Generator) -> Scene:
    """Ridges and valleys: foreshortened in front, dark behind."""
    s = Scene(size, r, str(r.choice(["grass", "forest", "bare"])))
    s.height = s.noise(r.uniform(18, 45)) * r.uniform(3, 8) + s.noise(9) * r.uniform(1, 3)
    along, _ = s.frame((0, 0), r.uniform(0, np.pi))
    if r.random() < 0.5:
        s.height += np.abs(np.sin(along / r.uniform(8, 16) + s.noise(25))) * r.uniform(4, 10)
    s.height -= s.height.min()
    s.vv += s.noise(6) * 0.6 - np.diff(-s.height, axis=1, append=-s.height[:, -1:]) * r.uniform(3, 6)
    return s


def corners(size: int, r: np.random.Generator) -> Scene:
    """One to twelve reflectors, alone, in a line or in a grid."""
    s = _ground(size, r)
    number, angle = int(r.integers(1, 13)), r.uniform(0, np.pi)
    place = r.uniform(-0.4, 0.4, (2, number)) * size
    if r.random() < 0.4:
        k = (np.arange(number) - (number - 1) / 2) * r.uniform(7, 20)
        place = np.stack([k * np.cos(angle), k * np.sin(angle)])
    s.points.append((place[0], place[1], np.full(number, r.uniform(10, 22)) + r.normal(0, 1.5, number)))
    return s


MAKERS: dict[str, Callable[[int, np.random.Generator], Scene]] = {
    f.__name__: f
    for f in (
        small_vehicle, tracked_vehicle, long_vehicle, vehicle_column, ship, oil_slick, fields, forest, town, high_rise,
        road, river, coast, railway, hills, corners,
    )
}  # fmt: skip


def _make(label: str, seed: int) -> Raster:
    rng = np.random.default_rng(seed)
    scene = MAKERS[label](int(rng.integers(SMALLEST, LARGEST + 1)), rng)
    power = scene.power(np.deg2rad(rng.uniform(25, 75 if label in NEAR else 50)))
    looks = int(rng.choice([1, 1, 2, 3, 4, 5, 8]))
    power = observed(power, looks, rng.uniform(0.4, 0.9), rng.uniform(-34, -26), rng)
    power = np.rot90(power, int(rng.integers(4)), (1, 2))[:, :, :: 1 if rng.random() < 0.5 else -1]
    if rng.random() < (0.8 if label in NEAR else 0.4):
        amplitude = np.sqrt(power[:1])
        white = np.percentile(amplitude, rng.uniform(97, 99.9))
        pixels = np.clip(amplitude / white * rng.uniform(180, 255), 0, 255).astype(np.uint8)
        return Raster(pixels, units="amplitude", bands=("HH",) if rng.random() < 0.5 else None)
    both = rng.random() < 0.6
    values = np.ascontiguousarray(power if both else power[:1]).astype(np.float32)
    bands = ("VV", "VH") if both else ("VV",)
    if rng.random() < 0.6:
        return Raster(10 * np.log10(values), units="db", bands=bands)
    return Raster(values, units="linear", bands=bands)


def made(path: Path) -> Iterator[Entry]:
    """The same chips on every machine; nothing is read from the data folder."""
    for kind, label in enumerate(LABELS):
        for number in range(PER_CLASS):
            group = f"chip-{label}-{number}"
            words = (f"a radar picture of this: {LABELS[label][0]}", f"in radar: {LABELS[label][1]}")
            make = partial(_make, label, 11_000_003 + kind * 100_003 + number)
            yield Entry(make, label, group, split_of(group), words)


MADE = Source(
    name="made_chips", modality="sar", files=(), scan=made, labels=LABELS, role="train", licence="Apache-2.0",
    citation="made here with a simple side-looking radar",
)  # fmt: skip
SOURCES = (MADE,)
