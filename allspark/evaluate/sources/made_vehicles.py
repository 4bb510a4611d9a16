"""Vehicles of random proportions and part counts, on wheels, rails, water and in the air. Metres, z up, bow to +x."""

from __future__ import annotations

import numpy as np

from .made_objects import Rng, join, wheels
from .made_shapes import ball, boxes, loft, revolve, rods, sections, torus, turned


def car(r: Rng) -> np.ndarray:
    """Saloon, estate, small car or pickup: a body, a cabin that may reach to the tail, four wheels."""
    long, wide, high, wheel = r.uniform(3.2, 5.2), r.uniform(1.6, 2.0), r.uniform(1.35, 1.9), r.uniform(0.28, 0.38)
    waist, h = high * r.uniform(0.52, 0.64), wide / 2
    front, back = r.uniform(0.05, 0.3) * long, r.uniform(0.15, 0.48) * long
    body = [(-long / 2, h * 0.9, 0.3, waist * 0.9), (-long * 0.3, h, 0.2, waist), (long * 0.3, h, 0.2, waist * 0.98),
            (long / 2, h * 0.85, 0.3, waist * r.uniform(0.65, 0.9))]  # fmt: skip
    cabin = [(-back, h * 0.9, waist, waist + 0.02), (-back + r.uniform(0.05, 0.6), h * 0.8, waist, high),
             (front - r.uniform(0.2, 0.7), h * 0.8, waist, high), (front, h * 0.9, waist, waist + 0.02)]  # fmt: skip
    axle = np.array([-0.3, 0.31]) * long
    return join(sections(body, 0.2), sections(cabin, 0.15), wheels(axle, h - 0.1, wheel, 0.2))


def lorry(r: Rng) -> np.ndarray:
    """A cab and a box, a flat bed of goods or a tank, on two to five axles."""
    load, wide, high = r.uniform(4, 13), r.uniform(2.2, 2.6), r.uniform(2.4, 3.9)
    cab, chassis = r.uniform(1.6, 2.6), 1.0
    parts = [boxes((cab, wide, r.uniform(1.8, 2.8)), (load / 2 + cab / 2 + r.uniform(0.1, 0.6), 0, 0.7))]
    kind = r.random()
    if kind < 0.5:
        parts.append(boxes((load, wide, high - chassis), (0, 0, chassis)))
    elif kind < 0.75:
        tank = sections([(-load / 2, wide * 0.45, chassis, high), (load / 2, wide * 0.45, chassis, high)], 1)
        parts.append(tank)
    else:
        parts.append(boxes([(load, wide, 0.2), (load, 0.06, 0.6), (load, 0.06, 0.6)],
                           [(0, 0, chassis), (0, wide / 2, chassis), (0, -wide / 2, chassis)]))  # fmt: skip
    parts.append(boxes((load + cab, wide * 0.4, 0.25), (cab / 2, 0, chassis - 0.25)))
    axle = np.r_[load / 2 + cab * 0.4, -load / 2 + 0.8 + np.arange(r.integers(1, 4)) * 1.3]
    return join(*parts, wheels(axle, wide / 2 - 0.15, 0.5, 0.3))


def bus(r: Rng) -> np.ndarray:
    """One long box with one or two decks, perhaps with a joint, on low wheels."""
    long, wide, high = r.uniform(8, 15), r.uniform(2.4, 2.6), r.choice([3.0, 3.3, 4.3])
    skin = [(-long / 2, wide / 2, 0.3, high), (long / 2 - 0.4, wide / 2, 0.3, high),
            (long / 2, wide * 0.47, 0.35, high * r.uniform(0.75, 1))]  # fmt: skip
    parts = [sections(skin, 0.12), wheels(np.array([-0.28, 0.32]) * long, wide / 2 - 0.12, 0.48, 0.28)]
    x = np.linspace(-0.45, 0.45, int(r.integers(5, 10))) * long
    frames = np.array([[px, s * (wide / 2 + 0.02), 1.1] for px in x for s in (-1, 1)])
    parts.append(boxes((0.1, 0.04, 1.0), frames))
    if r.random() < 0.25:
        rear = sections([(-long / 2 - 7, wide / 2, 0.3, high), (-long / 2 - 0.8, wide / 2, 0.3, high)], 0.12)
        parts += [rear, wheels(np.array([-long / 2 - 4.5]), wide / 2 - 0.12, 0.48, 0.28)]
        parts.append(boxes((0.8, wide * 0.9, high * 0.85), (-long / 2 - 0.4, 0, 0.4)))
    return join(*parts)


def _wing(
    root: np.ndarray, tip: np.ndarray, chord: float, taper: float, thick: float, upright: bool = False
) -> np.ndarray:
    """A tapered plate from root to tip, its chord along x."""
    rows = []
    for at, c, t in ((root, chord, thick), (tip, chord * taper, thick * taper)):
        high = np.array([0, t, 0]) if upright else np.array([0, 0, t])
        rows.append(
            [at - [c / 2, 0, 0] - high, at + [c / 2, 0, 0] - high, at + [c / 2, 0, 0] + high, at - [c / 2, 0, 0] + high]
        )
    return loft(np.array(rows))


def aeroplane(r: Rng) -> np.ndarray:
    """A fuselage, wings of any sweep, engines, a tail; airliner, small aircraft or fighter."""
    kind = r.integers(3)
    long = float(r.uniform(*((25, 65), (6, 12), (12, 20))[kind]))
    body = long * r.uniform(0.05, 0.075) * (1.2 if kind == 1 else 1.0)
    span, sweep = (
        long * float(r.uniform(*((0.4, 0.55), (0.5, 0.75), (0.25, 0.4))[kind])),
        r.uniform(0.0, 0.5) * (kind != 1),
    )
    nose = [
        (-long / 2, body * 0.15, body * 0.7, body * 1.2), (-long * 0.25, body, -body, body),
        (long * 0.36, body, -body, body), (long * 0.45, body * 0.7, -body * 0.8, body * 0.5),
        (long / 2, body * 0.1, -body * 0.4, 0),
    ]  # fmt: skip
    parts = [sections(nose, 1.0)]
    z, x, chord = body * r.choice([-0.6, 0.0, 0.9]), long * r.uniform(-0.02, 0.12), long * r.uniform(0.12, 0.22)
    for side in (-1, 1):
        root, tip = np.array([x, 0, z]), np.array([x - sweep * span, side * span, z + span * r.uniform(0, 0.12)])
        parts.append(_wing(root, tip, chord, r.uniform(0.25, 0.7), chord * 0.05))
        tail, height = np.array([-long * 0.45, 0, body * 0.8]), body * 0.8 + r.choice([0, long * 0.13])
        end = np.array([-long * 0.48, side * span * 0.36, height])
        parts.append(_wing(tail + [0, 0, height - body * 0.8], end, chord * 0.55, 0.6, chord * 0.03))
        if kind == 0:
            for at in ((0.35,), (0.3, 0.6))[r.integers(2)]:
                place = root + (tip - root) * at + [chord * 0.3, 0, -body * 0.5]
                low, top = place[2] - body * 0.4, place[2] + body * 0.4
                engine = [(place[0] - body, body * 0.4, low, top), (place[0] + body, body * 0.4, low, top)]
                parts.append(sections(engine, 1) + [0, place[1], 0])
    fin = _wing(
        np.array([-long * 0.42, 0, body * 0.7]),
        np.array([-long * 0.49, 0, body + long * 0.14]),
        chord * 0.7,
        0.5,
        chord * 0.03,
        True,
    )
    if kind == 1:
        parts.append(boxes((0.05, body * 2.4, 0.15), (long / 2, 0, -body * 0.2)))
    return join(*parts, fin)


def helicopter(r: Rng) -> np.ndarray:
    """A cabin, a tail boom, a rotor of two to six blades and skids or wheels."""
    long, wide = r.uniform(4, 9), r.uniform(0.8, 1.3)
    cabin = sections(
        [
            (-long * 0.3, wide * 0.5, 1.0, 2.2),
            (0, wide, 0.6, 2.4),
            (long * 0.25, wide, 0.6, 2.2),
            (long * 0.38, wide * 0.4, 0.8, 1.4),
        ],
        0.8,
    )
    boom = rods((-long * 0.25, 0, 1.8), (-long * 0.95, 0, 2.1), wide * 0.3, wide * 0.12)
    number, reach, start = int(r.integers(2, 7)), long * r.uniform(0.65, 0.9), r.uniform(0, 3)
    blade = boxes((reach, r.uniform(0.15, 0.4), 0.05), (reach / 2, 0, 2.9))
    rotor = [turned(blade, start + k * 2 * np.pi / number) for k in range(number)]
    parts = [cabin, boom, *rotor, rods((0, 0, 2.3), (0, 0, 2.95), 0.12)]
    parts.append(boxes((long * 0.1, 0.08, long * 0.16), (-long * 0.95, 0, 2.0)))
    parts.append(torus(long * 0.09, 0.05, (-long * 0.97, 0.15, 2.2), upright=True))
    if r.random() < 0.6:
        skid = np.array([[-long * 0.25, s * wide, 0.0] for s in (-1, 1)])
        parts.append(rods(skid, skid + [long * 0.5, 0, 0], 0.05))
        posts = np.array([[x * long, s * wide, 0] for x in (-0.15, 0.15) for s in (-1, 1)])
        parts.append(rods(posts, posts * [1, 0.5, 0] + [0, 0, 0.8], 0.04))
    else:
        parts.append(wheels(np.array([-0.1, 0.2]) * long, wide * 0.8, 0.3, 0.15))
    return join(*parts)


def _hull(long: float, wide: float, deep: float, flare: float) -> np.ndarray:
    stations = [
        (-long / 2, wide * 0.4, -deep * 0.6, 0), (-long * 0.35, wide / 2, -deep, 0), (long * 0.25, wide / 2, -deep, 0),
        (long * 0.42, wide * 0.22, -deep * 0.8, flare), (long / 2, wide * 0.02, -deep * 0.1, flare * 1.6),
    ]  # fmt: skip
    return sections(stations, 0.35)


def ship(r: Rng) -> np.ndarray:
    """A cargo, container or passenger ship: a long hull, a deckhouse and what it carries."""
    long = r.uniform(40, 300)
    wide, deep = long * r.uniform(0.11, 0.2), long * r.uniform(0.05, 0.1)
    kind, parts = r.integers(3), [_hull(long, wide, deep, deep * 0.25)]
    if kind == 2:
        decks = int(r.integers(3, 8))
        k = np.arange(decks)
        size = np.stack([long * (0.75 - 0.06 * k), wide * (0.95 - 0.03 * k), 0 * k + long * 0.014], 1)
        parts.append(boxes(size, np.stack([-long * 0.02 - k * 0.5, 0 * k, k * long * 0.014], 1)))
        funnel = [(wide * 0.13, 0), (wide * 0.1, long * 0.05)]
        parts.append(revolve(funnel, (-long * 0.2, 0, decks * long * 0.014)))
        return join(*parts)
    house = long * r.uniform(0.08, 0.14)
    stern = -long * r.uniform(0.3, 0.4)
    parts.append(boxes((house * 0.7, wide * 0.85, house), (stern, 0, 0)))
    parts.append(revolve([(wide * 0.09, house), (wide * 0.08, house * 1.5)], (stern - house * 0.2, 0, 0)))
    if kind == 0:
        columns, rows = int(r.integers(4, 12)), int(r.integers(2, 6))
        x = np.linspace(stern + house, long * 0.36, columns)
        tall = r.integers(0, 6, (columns, rows)) * long * 0.012
        at = np.array([[px, (j - (rows - 1) / 2) * wide * 0.85 / rows, 0] for px in x for j in range(rows)])
        size = np.stack(
            [
                np.full(columns * rows, (x[1] - x[0]) * 0.9),
                np.full(columns * rows, wide * 0.8 / rows),
                tall.ravel() + 0.01,
            ],
            1,
        )
        parts.append(boxes(size, at))
    else:
        x = np.linspace(stern + house, long * 0.34, int(r.integers(2, 6)))
        parts.append(boxes((long * 0.07, wide * 0.6, deep * 0.2), np.stack([x, 0 * x, 0 * x], 1)))
        masts = np.stack([x + long * 0.05, 0 * x, 0 * x], 1)
        parts.append(rods(masts, masts + [0, 0, long * r.uniform(0.05, 0.12)], wide * 0.03))
    return join(*parts)


def sailing_boat(r: Rng) -> np.ndarray:
    """A hull with a mast, one or two sails that belly, and a keel."""
    long = r.uniform(4, 18)
    wide, mast = long * r.uniform(0.25, 0.38), long * r.uniform(1.0, 1.5)
    parts = [
        _hull(long, wide, long * 0.08, long * 0.03),
        rods((long * 0.08, 0, 0), (long * 0.08, 0, mast), long * 0.008),
    ]
    u = np.linspace(0, 1, 6)
    belly = long * r.uniform(0.02, 0.12)
    for foot, back, top in ((long * 0.07, -long * 0.4, mast * 0.97), (long * 0.45, long * 0.1, mast * 0.8))[
        : r.integers(1, 3)
    ]:
        luff = np.stack([foot + (long * 0.08 - foot) * u, 0 * u, 0.06 * mast + (top - 0.06 * mast) * u], 1)
        leech = np.stack(
            [back + (long * 0.08 - back) * u, belly * np.sin(np.pi * u), 0.06 * mast + (top - 0.06 * mast) * u], 1
        )
        parts += [np.stack([luff[:-1], leech[:-1], leech[1:]], 1), np.stack([luff[:-1], leech[1:], luff[1:]], 1)]
    if r.random() < 0.6:
        parts.append(boxes((long * 0.2, long * 0.02, long * 0.15), (0, 0, -long * 0.2)))
    if r.random() < 0.5:
        parts.append(boxes((long * 0.3, wide * 0.5, long * 0.05)))
    return join(*parts)


def train(r: Rng) -> np.ndarray:
    """Two to five coaches or goods wagons in a row behind one another, on bogies, on rails or not."""
    number, long, wide, high = int(r.integers(2, 6)), r.uniform(9, 26), r.uniform(2.6, 3.1), r.uniform(3.3, 4.2)
    parts, goods = [], r.random() < 0.4
    for k in range(number):
        x = k * (long + 0.9)
        tall = r.uniform(1.4, high) if goods and k else high
        nose = r.uniform(0, 3.5) * (not goods) * (k == number - 1)
        skin = [
            (x - long / 2, wide / 2, 0.95, tall),
            (x + long / 2 - nose, wide / 2, 0.95, tall),
            (x + long / 2, wide / 2, 0.95, tall - nose * 0.5),
        ]
        parts.append(sections(skin, r.uniform(0.05, 0.25)))
        parts.append(wheels(x + np.array([-0.4, -0.3, 0.3, 0.4]) * long, 0.75, 0.45, 0.13))
    if r.random() < 0.5:
        total = number * (long + 0.9)
        parts.append(boxes((total, 0.07, 0.15), [(total / 2 - long / 2, s * 0.75, -0.15) for s in (-1, 1)]))
    return join(*parts)


def bicycle(r: Rng) -> np.ndarray:
    """Two thin wheels, a frame of tubes, a saddle and handlebars."""
    wheel, base = r.uniform(0.25, 0.36), r.uniform(0.9, 1.15)
    saddle, bar = np.array([-0.18 * base, 0, r.uniform(0.8, 1.0)]), np.array([0.36 * base, 0, r.uniform(0.85, 1.1)])
    crank, rear, front = (
        np.array([-0.05, 0, wheel * 0.85]),
        np.array([-base / 2, 0, wheel]),
        np.array([base / 2, 0, wheel]),
    )
    head = bar + [0.02, 0, -0.25]
    tubes = rods(
        [crank, crank, saddle, rear, head, bar, saddle * 0.93], [saddle, head, head, crank, front, head, rear], 0.016
    )
    grip = rods(bar - [0, r.uniform(0.2, 0.32), 0], bar + [0, r.uniform(0.2, 0.32), 0], 0.015)
    spokes = [rods(hub, hub + np.stack([np.cos(a), 0 * a, np.sin(a)], 1) * wheel, 0.003) for hub in (rear, front)
              for a in [np.arange(12) * np.pi / 6]]  # fmt: skip
    rims = [torus(wheel, r.uniform(0.012, 0.03), hub, upright=True) for hub in (rear, front)]
    return join(tubes, grip, *spokes, *rims, boxes((0.26, 0.14, 0.05), saddle))


def tractor(r: Rng) -> np.ndarray:
    """Large wheels behind, small ones in front, a bonnet, a cabin, perhaps a trailer or a shovel."""
    large, small, long = r.uniform(0.65, 1.0), r.uniform(0.35, 0.6), r.uniform(2.4, 3.6)
    parts = [wheels(np.array([-long * 0.3]), 0.85, large, 0.45), wheels(np.array([long * 0.4]), 0.75, small, 0.3)]
    parts.append(boxes((long * 0.6, 0.7, 0.7), (long * 0.2, 0, small * 1.2)))
    parts.append(boxes((1.2, 1.3, 1.5), (-long * 0.28, 0, large)))
    parts.append(rods((long * 0.25, 0.2, 1.2), (long * 0.25, 0.2, 2.2), 0.05))
    if r.random() < 0.4:
        x = -long * 0.5 - 2.2
        parts += [boxes((3.4, 2, r.uniform(0.5, 1.4)), (x, 0, 0.8)), wheels(np.array([x - 0.5]), 0.9, 0.4, 0.3)]
    elif r.random() < 0.6:
        parts += [
            boxes((0.5, 1.8, 0.6), (long * 0.85, 0, 0.2)),
            rods((long * 0.1, 0.5, 1.3), (long * 0.8, 0.5, 0.5), 0.06),
        ]
    return join(*parts)


def balloon(r: Rng) -> np.ndarray:
    """A hot-air balloon: an envelope that narrows below, ropes and a basket."""
    wide, long = r.uniform(6, 10), r.uniform(1.0, 1.35)
    basket = r.uniform(1, 1.6)
    envelope = revolve(
        [
            (0.12 * wide, -1.2 * wide * long),
            (0.6 * wide, -0.7 * wide),
            (wide, 0),
            (0.75 * wide, 0.6 * wide),
            (0, 0.9 * wide),
        ],
        caps=False,
    )
    low = np.array([[s * basket / 2, t * basket / 2, -1.2 * wide * long - 3] for s in (-1, 1) for t in (-1, 1)])
    ropes = rods(low, low * [1, 1, 0] + [0, 0, -1.2 * wide * long], 0.05)
    return join(envelope, ropes, boxes((basket, basket, 1.2), (0, 0, low[0, 2] - 1.2)))


def submarine(r: Rng) -> np.ndarray:
    """A long round hull with a tower, fins and a screw."""
    long = r.uniform(40, 160)
    h = long * r.uniform(0.04, 0.065)
    hull = sections(
        [
            (-long / 2, h * 0.1, -h * 0.1, h * 0.1),
            (-long * 0.3, h, -h, h),
            (long * 0.38, h, -h, h),
            (long * 0.47, h * 0.6, -h * 0.6, h * 0.6),
            (long / 2, h * 0.1, -h * 0.1, h * 0.1),
        ],
        1,
    )
    x = long * r.uniform(0, 0.2)
    fins = [
        boxes((long * 0.04, h * 3, h * 0.1), (-long * 0.44, 0, 0)),
        boxes((long * 0.04, h * 0.1, h * 2.4), (-long * 0.44, 0, -h * 1.2)),
    ]
    screw = ball((0.2, h * 0.6, h * 0.6), (-long / 2, 0, 0))
    return join(hull, boxes((long * 0.1, h * 0.5, h * r.uniform(0.7, 1.3)), (x, 0, h * 0.9)), *fins, screw)


VEHICLES = {
    f.__name__: f
    for f in (
        car, lorry, bus, aeroplane, helicopter, ship, sailing_boat, train, bicycle, tractor, balloon, submarine,
    )
}  # fmt: skip
