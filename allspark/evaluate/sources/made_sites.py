"""Buildings, works and plain bodies of random proportions and part counts. Metres, z up."""

from __future__ import annotations

import numpy as np

from .made_objects import Rng, corners, join
from .made_shapes import ball, boxes, gable, loft, revolve, rods, torus, turned


def gabled_house(r: Rng) -> np.ndarray:
    """Walls under a gable or hip roof, with a chimney, a wing or dormers at times."""
    long, wide, wall = r.uniform(7, 18), r.uniform(5, 11), r.uniform(2.4, 7)
    rise = wide / 2 * r.uniform(0.45, 1.3)
    parts = [boxes((long, wide, wall))]
    parts.append(gable((long, wide), rise, (0, 0, wall), r.uniform(0, 0.6), r.uniform(0.2, 0.5) * wide * r.integers(2)))
    if r.random() < 0.5:
        parts.append(boxes((0.7, 0.7, rise + 0.8), (r.uniform(-0.3, 0.3) * long, 0.1 * wide, wall)))
    if r.random() < 0.35:
        size = (wide * r.uniform(0.6, 1), wide * r.uniform(0.5, 0.8))
        wing = join(boxes((*size, wall)), gable(size, rise * 0.7, (0, 0, wall)))
        parts.append(turned(wing, np.pi / 2, (r.uniform(-0.3, 0.3) * long, wide * 0.7, 0)))
    if r.random() < 0.3:
        x = np.linspace(-0.3, 0.3, int(r.integers(1, 4))) * long
        parts.append(boxes((1.2, wide * 0.3, rise * 0.5), np.stack([x, 0 * x - wide * 0.25, 0 * x + wall], 1)))
    return join(*parts)


def flat_block(r: Rng) -> np.ndarray:
    """A slab or an angle of flats under a flat roof, with balconies and roof housings at times."""
    long, wide, floors = r.uniform(14, 60), r.uniform(9, 16), int(r.integers(2, 9))
    high = floors * 3.0
    parts = [boxes((long, wide, high))]
    if r.random() < 0.4:
        parts.append(boxes((wide, long * r.uniform(0.3, 0.8), high), (-long / 2 + wide / 2, long * 0.25, 0)))
    if r.random() < 0.5:
        x = np.linspace(-0.4, 0.4, int(r.integers(2, 7))) * long
        at = np.array([[px, -wide / 2 - 0.7, f * 3.0] for px in x for f in range(1, floors)])
        parts.append(boxes((long / len(x) * 0.4, 1.4, 1.1), at))
    place = r.uniform(-0.4, 0.4, (int(r.integers(1, 4)), 2)) * [long, wide * 0.6]
    parts.append(boxes((3, 3, 2.4), np.column_stack([place, np.full(len(place), high)])))
    return join(*parts)


def tower_block(r: Rng) -> np.ndarray:
    """A high-rise, straight, in steps, twisted or tapering, at times with a mast."""
    wide, high = r.uniform(12, 40), r.uniform(60, 260)
    steps, twist, taper = int(r.integers(1, 5)), r.uniform(0, 0.5) * r.integers(2), r.uniform(0.5, 1)
    parts, z = [], 0.0
    square = corners(wide / 2, wide / 2 * r.uniform(0.5, 1))
    for k, share in enumerate(r.dirichlet(np.full(steps, 4.0))):
        scale = taper ** (k / max(steps - 1, 1))
        top = turned(square * scale * (taper if steps == 1 else 1), twist * (k + 1)) + [0, 0, z + share * high]
        parts.append(loft(np.stack([turned(square * scale, twist * k) + [0, 0, z], top])))
        z += share * high
    if r.random() < 0.4:
        parts.append(rods((0, 0, z), (0, 0, z * r.uniform(1.1, 1.3)), wide * 0.03))
    return join(*parts)


def hall(r: Rng) -> np.ndarray:
    """A wide low warehouse: flat, vaulted, saw-tooth or shallow gable roof, with gates."""
    long, wide, wall = r.uniform(25, 120), r.uniform(15, 50), r.uniform(5, 12)
    parts, kind = [boxes((long, wide, wall))], r.integers(4)
    if kind == 1:
        angle = np.linspace(0, np.pi, 12)
        arc = np.stack([0 * angle, np.cos(angle) * wide / 2, wall + np.sin(angle) * wide * r.uniform(0.1, 0.3)], 1)
        parts.append(loft(np.stack([arc - [long / 2, 0, 0], arc + [long / 2, 0, 0]])))
    elif kind == 2:
        teeth = int(r.integers(3, 9))
        x, step = (np.arange(teeth) - (teeth - 1) / 2) * long / teeth, long / teeth
        edge = np.array([[-step / 2, 0, 0], [step / 2, 0, 0], [step / 2, 0, step * 0.4]])
        tooth = loft(np.stack([edge - [0, wide / 2, 0], edge + [0, wide / 2, 0]]))
        parts += [tooth + [px, 0, wall] for px in x]
    elif kind == 3:
        parts.append(gable((long, wide), wide * r.uniform(0.06, 0.15), (0, 0, wall)))
    x = np.linspace(-0.4, 0.4, int(r.integers(2, 8))) * long
    parts.append(boxes((long * 0.06, 0.5, wall * 0.6), np.stack([x, 0 * x - wide / 2 - 0.25, 0 * x], 1)))
    return join(*parts)


def domed_building(r: Rng) -> np.ndarray:
    """A dome on a drum or on walls; small domes or slender towers at its corners at times."""
    wide, wall = r.uniform(8, 40), r.uniform(0.2, 0.7)
    parts = [
        boxes((wide, wide, wide * wall)) if r.random() < 0.6 else revolve([(wide / 2, 0), (wide / 2, wide * wall)])
    ]
    dome, drum = wide * r.uniform(0.3, 0.5), wide * r.uniform(0, 0.25)
    parts.append(revolve([(dome, wide * wall), (dome, wide * wall + drum)]))
    parts.append(ball((dome, dome, dome * r.uniform(0.7, 1.4)), (0, 0, wide * wall + drum), part=(0.5, 1)))
    if r.random() < 0.5:
        thin, tall = wide * 0.06, wide * r.uniform(0.6, 1.6)
        parts += [revolve([(thin, 0), (thin, tall), (0, tall * 1.15)], at) for at in corners(wide * 0.55, wide * 0.55)]
    return join(*parts)


def lighthouse(r: Rng) -> np.ndarray:
    """A tapering tower with a gallery and a lantern, perhaps beside a hut."""
    wide, high = r.uniform(2.5, 6), r.uniform(10, 50)
    top = wide * r.uniform(0.45, 0.8)
    profile = [(wide, 0), (top, high), (top * 1.4, high), (top * 1.4, high + 0.8), (top * 0.7, high + 0.8)]
    parts = [revolve([*profile, (top * 0.7, high + 3), (0, high + 4.5)])]
    if r.random() < 0.5:
        parts.append(join(boxes((8, 5, 3)), gable((8, 5), 2, (0, 0, 3))) + [wide + 5, 0, 0])
    return join(*parts)


def greenhouse(r: Rng) -> np.ndarray:
    """One or several tunnels or glass gables side by side, low and long."""
    long, wide, number = r.uniform(8, 60), r.uniform(3, 8), int(r.integers(1, 6))
    if r.random() < 0.5:
        angle = np.linspace(0, np.pi, 12)
        arc = np.stack([0 * angle, np.cos(angle) * wide / 2, np.sin(angle) * wide * r.uniform(0.4, 0.6)], 1)
        one = loft(np.stack([arc - [long / 2, 0, 0], arc + [long / 2, 0, 0]]))
    else:
        one = join(boxes((long, wide, 2.2)), gable((long, wide), wide * 0.25, (0, 0, 2.2)))
    gap = r.choice([1.0, 1.15])
    return join(*(one + [0, k * wide * gap, 0] for k in range(number)))


def tent(r: Rng) -> np.ndarray:
    """A ridge tent, a tipi or a marquee with a peaked roof."""
    kind, wide = r.integers(3), r.uniform(1.5, 8)
    if kind == 0:
        return join(
            gable((wide * r.uniform(1, 2), wide), wide * r.uniform(0.5, 0.9)),
            rods((0, wide, 0), (0, 0, wide * 0.5), 0.02),
        )
    sides = int(r.integers(4, 9))
    if kind == 1:
        return revolve([(wide / 2, 0), (wide * 0.04, wide * r.uniform(0.7, 1.2))], sides=sides)
    wall = r.uniform(0.25, 0.5) * wide
    return revolve([(wide / 2, 0), (wide / 2, wall), (wide * 0.15, wall * 1.3), (0, wall * 1.8)], sides=sides)


def _lattice(low: np.ndarray, high: np.ndarray, parts: int, thick: float) -> np.ndarray:
    """Four legs from the low to the high corners with rings and diagonals."""
    u = np.linspace(0, 1, parts + 1)[:, None, None]
    levels = low + (high - low) * u
    after = np.roll(levels, -1, 1)
    ends = [(levels[:-1], levels[1:]), (levels, after), (levels[:-1], after[1:])]
    return join(*(rods(a.reshape(-1, 3), b.reshape(-1, 3), thick) for a, b in ends))


def pylon(r: Rng) -> np.ndarray:
    """A lattice mast with one to three arms, perhaps with wires."""
    wide, high = r.uniform(2, 5), r.uniform(18, 60)
    top = corners(wide * 0.15, wide * 0.15, high)
    parts = [_lattice(corners(wide, wide), top, int(r.integers(4, 9)), 0.12)]
    for z in np.linspace(0.65, 0.95, int(r.integers(1, 4))) * high:
        reach = high * r.uniform(0.12, 0.28)
        tips = np.array([[0, -reach, z], [0, reach, z]])
        parts += [rods((0, 0, z), tips, 0.12), rods((0, 0, z + reach * 0.25), tips, 0.1)]
        if r.random() < 0.5:
            parts.append(rods(tips - [high / 2, 0, 0], tips + [high / 2, 0, 0], 0.05))
    return join(*parts)


def wind_turbine(r: Rng) -> np.ndarray:
    """A tapering tower, a nacelle and two or three blades at any angle."""
    high = r.uniform(30, 130)
    reach, thick = high * r.uniform(0.35, 0.65), high * r.uniform(0.015, 0.03)
    parts = [revolve([(thick, 0), (thick * 0.55, high)]), boxes((high * 0.1, high * 0.035, high * 0.035), (0, 0, high))]
    number, start, hub = int(r.choice([2, 3, 3, 3])), r.uniform(0, 3), np.array([high * 0.06, 0, high * 1.017])
    for k in range(number):
        angle = start + k * 2 * np.pi / number
        way = np.array([0, np.cos(angle), np.sin(angle)])
        parts.append(rods(hub, hub + way * reach, thick * 0.8, thick * 0.15))
    return join(*parts)


def chimney(r: Rng) -> np.ndarray:
    """A slender stack, straight or tapering, round or square, on a plinth at times, at times with rings."""
    wide, high = r.uniform(0.8, 6), r.uniform(15, 180)
    sides = int(r.choice([4, 8, 20]))
    parts = [revolve([(wide, 0), (wide * r.uniform(0.5, 1), high)], sides=sides, caps=False)]
    if r.random() < 0.5:
        parts.append(boxes((wide * 3, wide * 3, high * r.uniform(0.03, 0.15))))
    if r.random() < 0.5:
        parts += [torus(wide, wide * 0.1, (0, 0, z)) for z in np.linspace(0.4, 1, int(r.integers(2, 5))) * high]
    return join(*parts)


def fence(r: Rng) -> np.ndarray:
    """Posts with rails, pales, boards or mesh, straight or round a corner."""
    long, high, gap = r.uniform(4, 25), r.uniform(0.8, 2.5), r.uniform(1.2, 3)
    x = np.arange(0, long, gap)
    posts = np.stack([x, 0 * x, 0 * x], 1)
    parts = [boxes((0.1, 0.1, high), posts)]
    rails = np.linspace(0.15, 0.92, int(r.integers(2, 6))) * high
    rail = np.stack([0 * rails, 0 * rails, rails], 1)
    parts.append(rods(rail, rail + [x[-1], 0, 0], 0.03))
    if r.random() < 0.6:
        pale = np.arange(0, x[-1], r.uniform(0.12, 0.4))
        parts.append(boxes((0.08 * r.uniform(0.4, 1.2), 0.02, high), np.stack([pale, 0 * pale, 0 * pale], 1)))
    one = join(*parts)
    return join(one, turned(one, r.uniform(1.2, 1.9))) if r.random() < 0.35 else one


def street_lamp(r: Rng) -> np.ndarray:
    """A post with one or two arms and lamp heads, or a globe on top."""
    high, arms = r.uniform(3, 12), int(r.integers(0, 3))
    parts = [revolve([(0.15, 0), (0.12, high * 0.1), (0.06, high)], sides=10)]
    if arms == 0:
        parts.append(ball(np.full(3, r.uniform(0.15, 0.35)), (0, 0, high)))
    for side in (-1, 1)[:arms]:
        reach = side * r.uniform(0.6, 2.5)
        tip = np.array([reach, 0, high + r.uniform(0, 0.8)])
        parts += [rods((0, 0, high), tip, 0.05), boxes((0.7, 0.25, 0.12), tip)]
    return join(*parts)


def crane(r: Rng) -> np.ndarray:
    """A tower crane: a lattice mast, a long jib, a short counter-jib with a weight, a hook."""
    high, reach, wide = r.uniform(20, 80), r.uniform(20, 60), r.uniform(0.8, 1.3)
    mast = _lattice(corners(wide, wide), corners(wide, wide, high), int(high / 3), 0.1)
    jib = _lattice(corners(0.6, 0.7), corners(0.4, 0.4, reach), int(reach / 3), 0.07)[..., [2, 1, 0]] + [0, 0, high]
    back = -reach * r.uniform(0.2, 0.4)
    ties = rods((0, 0, high + 7), [(reach * 0.7, 0, high + 0.6), (back, 0, high)], 0.08)
    hook = np.array([reach * r.uniform(0.2, 0.95), 0, high])
    parts = [mast, jib, ties, rods((0, 0, high), (0, 0, high + 7), 0.3), rods((0, 0, high), (back, 0, high), 0.5)]
    return join(
        *parts, boxes((3, 2, 2.5), (back, 0, high - 2.5)), rods(hook, hook - [0, 0, high * r.uniform(0.1, 0.8)], 0.06)
    )


def cooling_tower(r: Rng) -> np.ndarray:
    """A hyperbolic shell, open above."""
    wide, high, waist = r.uniform(25, 60), r.uniform(60, 170), r.uniform(0.5, 0.75)
    u = np.linspace(0, 1, 12)
    radius = wide * waist * np.sqrt(1 + (1 / waist**2 - 1) * ((u - 0.75) / 0.75) ** 2)
    return revolve(np.stack([radius, u * high], 1), caps=False)


def dish_antenna(r: Rng) -> np.ndarray:
    """A parabolic dish that looks anywhere, a feed on struts, a pedestal."""
    wide = r.uniform(0.4, 15)
    u = np.linspace(0, 1, 8)
    deep = wide * r.uniform(0.15, 0.3)
    dish = revolve(np.stack([u * wide, u**2 * deep], 1), caps=False)
    feed = rods(
        np.array([[wide, 0, deep], [-wide / 2, wide * 0.87, deep], [-wide / 2, -wide * 0.87, deep]]),
        (0, 0, wide * 0.8),
        wide * 0.02,
    )
    tilted = turned(join(dish, feed), r.uniform(0, 1.3), (0, 0, wide * 1.2), axis=1)
    return join(tilted, revolve([(wide * r.uniform(0.15, 0.5), 0), (wide * 0.15, wide * 1.2)]))


def silo(r: Rng) -> np.ndarray:
    """One to six upright cylinders with cones or domes, on legs at times, joined by a catwalk."""
    wide, number = r.uniform(1.5, 6), int(r.integers(1, 7))
    high, foot = wide * r.uniform(2.5, 6), wide * r.uniform(0.5, 1.2) * r.integers(2)
    peak = wide * r.uniform(0.2, 0.8)
    hopper = [(0.1 * wide, foot * 0.4)] if foot else []
    one = revolve([*hopper, (wide, foot), (wide, high), (wide * 0.7, high + peak * 0.6), (0, high + peak)])
    if foot:
        one = join(one, rods(corners(wide * 0.7, wide * 0.7), corners(wide * 0.7, wide * 0.7, foot * 1.2), 0.12))
    row = [one + [(k % 3) * wide * 2.1, (k // 3) * wide * 2.1, 0] for k in range(number)]
    walk = boxes(
        (wide * 2.1 * (min(number, 3) - 1) + 0.5, 1, 0.3), (wide * 1.05 * (min(number, 3) - 1), 0, high + peak)
    )
    return join(*row, walk)


def any_box(r: Rng) -> np.ndarray:
    """A box of any three sides."""
    return boxes(r.uniform(0.3, 1, 3) * r.uniform(0.5, 10))


def sphere(r: Rng) -> np.ndarray:
    """A whole ball."""
    return ball(np.full(3, r.uniform(0.2, 10)))


def cylinder(r: Rng) -> np.ndarray:
    """A cylinder that stands or lies, closed or open."""
    wide, long = r.uniform(0.2, 5), r.uniform(0.5, 6)
    return turned(
        revolve([(wide, 0), (wide, wide * long)], caps=bool(r.random() < 0.7)), np.pi / 2 * r.integers(2), axis=0
    )


def cone(r: Rng) -> np.ndarray:
    """A cone, pointed up or down, its point whole or cut off."""
    wide, cut = r.uniform(0.2, 5), r.uniform(0, 0.4) * r.integers(2)
    return turned(revolve([(wide, 0), (wide * cut, wide * r.uniform(1, 4))]), np.pi * (r.random() < 0.3), axis=0)


def ring(r: Rng) -> np.ndarray:
    """A torus, thin or thick, lying or upright."""
    wide = r.uniform(0.3, 5)
    return torus(wide, wide * r.uniform(0.08, 0.45), upright=bool(r.integers(2)))


def pyramid(r: Rng) -> np.ndarray:
    """A pyramid over three to six sides, smooth or in steps."""
    wide, high, sides = r.uniform(0.5, 60), r.uniform(0.6, 1.8), int(r.choice([3, 4, 4, 4, 5, 6]))
    if r.random() < 0.7:
        return revolve([(wide, 0), (0, wide * high)], sides=sides)
    steps = np.arange(r.integers(3, 8))
    u = steps / len(steps)
    size = np.stack([2 * wide * (1 - u), 2 * wide * (1 - u), 0 * u + wide * high / len(steps)], 1)
    return boxes(size, np.stack([0 * u, 0 * u, u * wide * high], 1))


def plane(r: Rng) -> np.ndarray:
    """A flat sheet, level, tilted or upright, smooth or slightly wavy."""
    long, wide = r.uniform(0.5, 20), r.uniform(0.3, 1)
    x = np.linspace(-1, 1, 12)
    wave = np.sin(x * r.uniform(1, 6)) * r.uniform(0, 0.05)
    edge = np.stack([x, 0 * x, wave], 1)
    skin = loft(np.stack([edge + [0, wide, 0], edge - [0, wide, 0]]), caps=False)
    return turned(skin * long, r.choice([0, r.uniform(0, np.pi / 2), np.pi / 2]), axis=int(r.integers(2)))


def helix(r: Rng) -> np.ndarray:
    """A spring of two to eight turns."""
    turns, wide, pitch = r.uniform(2, 8), r.uniform(0.1, 3), r.uniform(0.25, 1.2)
    angle = np.linspace(0, turns, int(turns * 14)) * 2 * np.pi
    path = np.stack([np.cos(angle) * wide, np.sin(angle) * wide, angle / (2 * np.pi) * wide * pitch], 1)
    return rods(path[:-1], path[1:], wide * r.uniform(0.03, 0.12))


SITES = {
    f.__name__: f
    for f in (
        gabled_house, flat_block, tower_block, hall, domed_building, lighthouse, greenhouse, tent, pylon, wind_turbine,
        chimney, fence, street_lamp, crane, cooling_tower,
        dish_antenna, silo, any_box, sphere, cylinder, cone, ring, pyramid, plane, helix,
    )
}  # fmt: skip
