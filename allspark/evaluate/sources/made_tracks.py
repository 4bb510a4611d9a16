"""Made trajectories by mover: paths with plausible speeds, stops and turns, through a receiver with noise and gaps.

A path is simulated finely and then read out at an interval that is drawn without regard to the class, within what the
mover's own time scale allows: fast and slow movers share most intervals, so that the interval tells little and speed
must be read from distances. Places are anywhere between 65° south and north, or metres.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np

from ...items import Trajectory
from .base import Entry, Source, split_of

PER_CLASS = 120
FEWEST, MOST = 24, 160  # fixes
METRES_PER_DEGREE = 111_195.0

Rng = np.random.Generator
Path2 = tuple[np.ndarray, np.ndarray]  # (N, 2 or 3) metres, (N,) seconds

LABELS = {
    "walker": ("pedestrian", "a person who walks through streets"),
    "runner": ("runner", "a person who jogs at an even pace"),
    "cyclist": ("cyclist", "a person who rides a bicycle at changing speed"),
    "town_car": ("car in town", "a car that turns and waits at corners"),
    "motorway_car": ("car on a motorway", "a car that drives fast without stops"),
    "stopping_bus": ("city bus", "a bus that halts at regular stops"),
    "delivery_van": ("delivery van", "a van that halts at many doors"),
    "tram": ("tram", "a light railway vehicle with many stations"),
    "long_train": ("intercity train", "a train that runs fast on smooth curves between far stations"),
    "airliner": ("aeroplane en route", "an aircraft in cruise on a straight course"),
    "landing": ("landing aircraft", "an aircraft that descends through turns to a runway"),
    "cargo_ship": ("cargo ship", "a vessel that holds its course at an even speed"),
    "trawler": ("fishing boat", "a boat that trawls to and fro at low speed"),
    "buoy": ("drifting buoy", "a float that drifts with tides and eddies"),
    "storm": ("storm track", "the centre of a cyclone over days"),
    "bird": ("migrating bird", "a bird that flies far between rests"),
    "grazer": ("grazing animal", "an animal that wanders about and rests"),
    "survey_drone": ("survey drone", "a drone that flies parallel lines"),
}


def _walk(heading: np.ndarray, speed: np.ndarray, step: float) -> Path2:
    """Headings and speeds at equal steps of time -> a path."""
    moves = np.stack([np.cos(heading), np.sin(heading)], 1) * (speed * step)[:, None]
    return np.concatenate([np.zeros((1, 2)), np.cumsum(moves, 0)]), np.arange(len(moves) + 1) * step


def _smooth(count: int, scale: float, r: Rng) -> np.ndarray:
    """Smooth noise of spread 1 over ``count`` steps, ``scale`` steps wide."""
    knots = r.normal(size=int(count / scale) + 4)
    return np.interp(np.arange(count) / scale + r.random(), np.arange(len(knots)), knots)


def _streets(length: float, block: tuple[float, float], r: Rng, turn: float = 0.35) -> np.ndarray:
    """(K, 2) corners of a way through blocks that lie along a grid, or through crooked lanes."""
    corner, heading, total = [np.zeros(2)], 0.0, 0.0
    crooked = r.uniform(0, 0.25)
    while total < length:
        step = r.uniform(*block)
        total += step
        corner.append(corner[-1] + step * np.array([np.cos(heading), np.sin(heading)]))
        heading += np.pi / 2 * float(r.choice([-1, 1])) * (r.random() < turn) + r.normal(0, crooked)
    return np.array(corner)


def _drive(
    corner: np.ndarray, cruise: float, accelerate: float, halts: np.ndarray, r: Rng, slow: float = 0.35
) -> Path2:
    """Along corners at most at ``cruise`` m/s: slower at turns, halted for ``halts`` seconds (K,) at each corner."""
    points, times, now = [corner[0]], [0.0], 0.0
    for k, (a, b) in enumerate(pairwise(corner)):
        long = float(np.linalg.norm(b - a))
        if halts[k] > 0:
            now += halts[k]
            points.append(a)
            times.append(now)
        top = min(cruise * r.uniform(0.8, 1.15), np.sqrt(max(accelerate * long, 0.1)) + slow * cruise)
        u = np.linspace(0, 1, 12)[1:]
        low = 0.15 if halts[k] > 0 or halts[k + 1] > 0 else slow
        share = np.minimum(
            1, low + (1 - low) * np.minimum(u, 1 - u + 1 / 11) * long * accelerate / max(top**2, 0.1) * 2
        )
        points += list(a + u[:, None] * (b - a))
        pace = now + np.cumsum(long / 11 / np.maximum(top * share, 0.3))
        times += list(pace)
        now = float(pace[-1])
    return np.array(points), np.array(times)


def _halts(count: int, share: float, low: float, high: float, r: Rng) -> np.ndarray:
    return np.where(r.random(count) < share, r.uniform(low, high, count), 0.0)


def walker(r: Rng, span: float) -> Path2:
    """Streets, or to and fro in a building, with pauses."""
    speed = r.uniform(0.9, 1.7)
    corner = _streets(speed * span, (4, 18) if r.random() < 0.3 else (25, 120), r, 0.5)
    return _drive(corner, speed, 1.0, _halts(len(corner), r.uniform(0, 0.35), 5, 90, r), r, 0.8)


def runner(r: Rng, span: float) -> Path2:
    """An even pace along a bending path or round a track."""
    step, speed = 2.0, r.uniform(2.3, 4.8)
    count = int(span / step)
    lap = r.uniform(300, 1500)
    turning = speed * step / lap * 2 * np.pi * (r.random() < 0.4)
    heading = np.cumsum(_smooth(count, 15, r) * 0.06 + turning)
    return _walk(heading, speed * (1 + 0.07 * _smooth(count, 20, r)), step)


def cyclist(r: Rng, span: float) -> Path2:
    """Faster than on foot, gentle turns, short halts."""
    speed = r.uniform(3.5, 8.0)
    corner = _streets(speed * span, (40, 350), r, 0.35)
    return _drive(corner, speed, 0.6, _halts(len(corner), r.uniform(0, 0.2), 5, 40, r), r, 0.6)


def town_car(r: Rng, span: float) -> Path2:
    """Blocks, corners, lights."""
    speed = r.uniform(8, 16)
    corner = _streets(speed * 0.6 * span, (80, 450), r, 0.35)
    return _drive(corner, speed, 1.8, _halts(len(corner), r.uniform(0.15, 0.45), 3, 60, r), r)


def motorway_car(r: Rng, span: float) -> Path2:
    """Fast, wide curves, now and then slower."""
    step, speed = 2.0, r.uniform(23, 38)
    count = int(span / step)
    jam = 1 - 0.8 * (_smooth(count, 90, r) > 1.4) * (r.random() < 0.4)
    return _walk(np.cumsum(_smooth(count, 25, r) * 0.012), speed * (1 + 0.08 * _smooth(count, 30, r)) * jam, step)


def stopping_bus(r: Rng, span: float) -> Path2:
    """A stop every few hundred metres, lights between."""
    speed = r.uniform(7, 13)
    corner = _streets(speed * 0.5 * span, (200, 500), r, 0.25)
    halts = _halts(len(corner), r.uniform(0.75, 1.0), 12, 45, r)
    return _drive(corner, speed, 0.9, halts, r)


def delivery_van(r: Rng, span: float) -> Path2:
    """Short hops with halts of minutes."""
    speed = r.uniform(6, 13)
    corner = _streets(speed * 0.2 * span, (30, 600), r, 0.5)
    return _drive(corner, speed, 1.6, _halts(len(corner), r.uniform(0.4, 0.8), 40, 400, r), r)


def _rail(span: float, speed: float, gap: tuple[float, float], wait: tuple[float, float], bend: float, r: Rng) -> Path2:
    """Smooth curves with stations; braking at a comfortable 0.6 m/s²."""
    step = 2.0
    speeds: list[np.ndarray] = []
    total = 0.0
    while total < span:
        long, top = r.uniform(*gap), speed * r.uniform(0.85, 1.05)
        ramp = min(top / 0.6, np.sqrt(long / 0.6))
        count = max(int((long / (ramp * 0.6) + ramp) / step), 4)
        time = (np.arange(count) + 0.5) * step
        run = np.minimum(np.minimum(time, count * step - time) * 0.6, top)
        speeds += [np.maximum(run, 0.0), np.zeros(int(r.uniform(*wait) / step))]
        total += (count + len(speeds[-1])) * step
    pace = np.concatenate(speeds)
    heading = np.cumsum(_smooth(len(pace), 20, r) * bend * pace / max(speed, 1) * step)
    return _walk(heading, pace, step)


def tram(r: Rng, span: float) -> Path2:
    """Stations every half kilometre."""
    return _rail(span, r.uniform(10, 17), (300, 900), (12, 35), r.uniform(0.005, 0.02), r)


def long_train(r: Rng, span: float) -> Path2:
    """Stations far apart."""
    return _rail(span, r.uniform(28, 75), (6_000, 60_000), (60, 240), r.uniform(0.0004, 0.002), r)


def airliner(r: Rng, span: float) -> Path2:
    """Cruise at one level, a waypoint now and then."""
    step = 5.0
    count = int(span / step)
    turns = np.where(r.random(count) < step / 900, r.normal(0, 0.35, count), 0)
    path, time = _walk(np.cumsum(turns), r.uniform(180, 260) + 4 * _smooth(count, 40, r), step)
    level = r.uniform(7_000, 12_500) + 600 * np.round(_smooth(len(path), 400, r))
    return np.column_stack([path, level]), time


def landing(r: Rng, span: float) -> Path2:
    """A descent with one to four turns of ninety degrees, slowing down to the runway."""
    step = 2.0
    count = int(span / step)
    left = np.arange(count)[::-1] / count
    turns = np.zeros(count)
    for at in r.uniform(0.15, 0.9, int(r.integers(1, 5))):
        wide = int(max(min(45 / step, count / 8), 1))
        start = int(at * (count - wide))
        turns[start : start + wide] += np.pi / 2 * r.choice([-1, 1, 1]) / wide
    speed = r.uniform(55, 80) + left * r.uniform(20, 110)
    path, time = _walk(np.cumsum(turns), speed, step)
    slope = np.append(speed * step * np.tan(np.deg2rad(r.uniform(2.2, 3.5))), 0.0)
    height = np.cumsum(slope[::-1])[::-1] + r.uniform(0, 800)
    return np.column_stack([path, height]), time


def cargo_ship(r: Rng, span: float) -> Path2:
    """Even speed, rare changes of course."""
    step = 20.0
    count = int(span / step)
    turns = np.where(r.random(count) < step / 5_000, r.normal(0, 0.4, count), 0)
    heading = np.cumsum(turns + 0.0015 * _smooth(count, 30, r))
    return _walk(heading, r.uniform(5, 11) * (1 + 0.03 * _smooth(count, 60, r)), step)


def trawler(r: Rng, span: float) -> Path2:
    """Legs at towing speed with turns about, faster between the grounds."""
    step = 20.0
    count = int(span / step)
    leg = r.uniform(900, 6_000)
    about = np.where(r.random(count) < step / leg, r.normal(np.pi, 0.6, count) * r.choice([-1, 1], count), 0)
    steaming = _smooth(count, 120, r) > 1.0
    heading = np.cumsum(np.where(steaming, 0, about) + 0.02 * _smooth(count, 10, r))
    return _walk(
        heading, np.where(steaming, r.uniform(4, 6), r.uniform(1.2, 2.4)) * (1 + 0.1 * _smooth(count, 10, r)), step
    )


def buoy(r: Rng, span: float) -> Path2:
    """A mean current, tidal or inertial loops, eddies."""
    step = max(span / 2_000, 20.0)
    time = np.arange(int(span / step)) * step
    period, phase = r.uniform(11, 25) * 3_600, r.uniform(0, 2 * np.pi)
    loop = r.uniform(0.05, 0.4) * np.stack(
        [np.cos(2 * np.pi * time / period + phase), np.sin(2 * np.pi * time / period + phase)], 1
    )
    eddy = np.stack([_smooth(len(time), 50_000 / step + 1, r), _smooth(len(time), 50_000 / step + 1, r)], 1)
    speed = loop + eddy * r.uniform(0.03, 0.25) + r.normal(0, 0.15, 2)
    return np.concatenate([np.zeros((1, 2)), np.cumsum(speed * step, 0)]), np.append(time, len(time) * step)


def storm(r: Rng, span: float) -> Path2:
    """Westward, then bending poleward and eastward, ever faster, with small loops."""
    step = max(span / 1_000, 600.0)
    count = int(span / step)
    u = np.linspace(0, 1, count)
    bend = r.uniform(-0.4, 2.4) * r.choice([-1, 1])
    heading = np.pi + bend * u ** r.uniform(1, 3) + 0.25 * _smooth(count, max(21_600 / step, 1) * 3, r)
    speed = r.uniform(2.5, 7) * (1 + u**2 * r.uniform(0, 2.5)) * np.clip(1 + 0.25 * _smooth(count, 40, r), 0.2, None)
    return _walk(heading, speed, step)


def bird(r: Rng, span: float) -> Path2:
    """Flights of hours at 8 to 22 m/s, rests with small movements."""
    step = max(span / 3_000, 20.0)
    count = int(span / step)
    phase = np.cumsum(np.full(count, step)) + r.uniform(0, 86_400)
    flying = np.sin(2 * np.pi * phase / 86_400) > r.uniform(-0.6, 0.6)
    if span < 40_000:
        flying = np.full(count, True)
    course = r.uniform(0.1, 0.5) * _smooth(count, max(3_600 / step, 1), r)
    rest = r.uniform(0, 2 * np.pi, count)
    speed = np.where(flying, r.uniform(8, 22) * (1 + 0.12 * _smooth(count, 20, r)), 0.3 * r.random(count))
    return _walk(np.where(flying, course, rest), speed, step)


def grazer(r: Rng, span: float) -> Path2:
    """A correlated random walk that comes back, with rests."""
    step = max(span / 3_000, 10.0)
    count = int(span / step)
    heading = np.cumsum(r.normal(0, r.uniform(0.25, 0.8), count))
    resting = _smooth(count, max(1_800 / step, 1), r) > r.uniform(0.2, 1.2)
    speed = np.where(resting, 0.0, r.gamma(1.5, r.uniform(0.1, 0.35), count))
    return _walk(heading, speed, step)


def survey_drone(r: Rng, span: float) -> Path2:
    """Parallel lines with turns at their ends."""
    speed, long, gap = r.uniform(3, 16), r.uniform(60, 600), r.uniform(10, 60)
    lines = int(min(max(speed * span / (long + gap), 3), 400))
    k = np.arange(lines)
    y = np.repeat(k * gap, 2)
    x = np.where((np.arange(2 * lines) // 2 + np.arange(2 * lines)) % 2 == 0, 0.0, long)
    path, time = _drive(np.stack([x, y], 1), speed, 2.0, np.zeros(2 * lines), r, 0.5)
    height = r.uniform(30, 120) + np.zeros(len(path))
    return np.column_stack([path, height]), time


# seconds between fixes that the mover's own time scale allows; neighbours overlap widely
MAKERS: dict[str, tuple[Callable[[Rng, float], Path2], float, float]] = {
    "walker": (walker, 1, 60), "runner": (runner, 1, 60), "cyclist": (cyclist, 1, 60), "town_car": (town_car, 1, 60),
    "motorway_car": (motorway_car, 1, 60), "stopping_bus": (stopping_bus, 1, 60),
    "delivery_van": (delivery_van, 2, 120), "tram": (tram, 1, 60), "long_train": (long_train, 2, 120),
    "airliner": (airliner, 2, 300), "landing": (landing, 1, 20), "cargo_ship": (cargo_ship, 10, 1_800),
    "trawler": (trawler, 10, 1_800), "buoy": (buoy, 120, 10_800), "storm": (storm, 1_800, 21_600),
    "bird": (bird, 30, 10_800), "grazer": (grazer, 10, 3_600), "survey_drone": (survey_drone, 1, 20),
}  # fmt: skip


def _make(label: str, seed: int) -> Trajectory:
    rng = np.random.default_rng(seed)
    maker, low, high = MAKERS[label]
    interval = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    fixes = int(rng.integers(FEWEST, MOST + 1))
    path, time = maker(rng, interval * fixes)
    wanted = np.arange(fixes) * interval
    if rng.random() < 0.5:  # irregular
        wanted = np.sort(wanted + rng.uniform(-0.4, 0.4, fixes) * interval)
    kept = rng.random(fixes) > rng.uniform(0, 0.15) * rng.integers(2)
    if rng.random() < 0.25:  # a gap
        start = int(rng.integers(fixes))
        kept[start : start + fixes // 8] = False
    wanted = wanted[kept & (wanted >= 0) & (wanted <= time[-1])]
    if len(wanted) < 8:
        wanted = np.linspace(0, time[-1], FEWEST)
    places = np.stack([np.interp(wanted, time, column) for column in path.T], 1)
    angle = rng.uniform(0, 2 * np.pi) if label != "storm" else rng.normal(0, 0.4)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    places[:, :2] = places[:, :2] @ turn + rng.normal(0, np.exp(rng.uniform(np.log(0.3), np.log(8))), (len(places), 2))
    if places.shape[1] == 3 and rng.random() < 0.6:
        places = places[:, :2]
    seconds = np.round(wanted - wanted[0], int(rng.integers(0, 3)))
    if rng.random() < 0.25:
        return Trajectory(places, seconds, crs="metres")
    latitude = float(np.rad2deg(np.arcsin(rng.uniform(-0.9, 0.9))))
    north = latitude + places[:, 1] / METRES_PER_DEGREE
    if np.abs(north).max() > 85:  # a long way to the pole: mirrored at the start
        north = 2 * latitude - north
    north = np.clip(north, -85, 85)
    east = rng.uniform(-180, 180) + places[:, 0] / (METRES_PER_DEGREE * np.cos(np.deg2rad((north + latitude) / 2)))
    places[:, 0], places[:, 1] = (east + 180) % 360 - 180, north
    return Trajectory(places, seconds)


def made(path: Path) -> Iterator[Entry]:
    """The same tracks on every machine; nothing is read from the data folder."""
    for kind, label in enumerate(LABELS):
        for number in range(PER_CLASS):
            group = f"track-{label}-{number}"
            words = (f"the track of this: {LABELS[label][0]}", f"the way of {LABELS[label][1]}")
            make = partial(_make, label, 13_000_003 + kind * 100_003 + number)
            yield Entry(make, label, group, split_of(group), words)


MADE = Source(
    name="made_tracks", modality="trajectory", files=(), scan=made, labels=LABELS, role="train", licence="Apache-2.0",
    citation="made here by movers with plausible speeds, stops and turns",
)  # fmt: skip
SOURCES = (MADE,)
