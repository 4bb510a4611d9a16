"""Objects of random proportions and part counts: furniture and household things, vehicles. Metres, z up."""

from __future__ import annotations

import numpy as np

from .made_shapes import ball, boxes, inside, leaves, loft, revolve, rods, torus, turned

Rng = np.random.Generator


def join(*parts: np.ndarray) -> np.ndarray:
    """Parts as one surface."""
    return np.concatenate(parts)


def corners(x: float, y: float, z: float = 0.0) -> np.ndarray:
    """(4, 3) corners of a rectangle of half sides x and y at a height."""
    return np.array([[-x, -y, z], [x, -y, z], [x, y, z], [-x, y, z]])


def wheels(x: np.ndarray, half_width: float, radius: float, thick: float) -> np.ndarray:
    """Wheels on both sides at each x, axles along y."""
    one = revolve([(radius, -thick / 2), (radius, thick / 2)], sides=14)[..., [0, 2, 1]] + [0, 0, radius]
    return join(*(one + [px, side * half_width, 0] for px in x for side in (-1, 1)))


def _legs(x: float, y: float, height: float, number: int, splay: float, thick: float) -> np.ndarray:
    angle = np.arange(number) * 2 * np.pi / number + np.pi / number
    top = np.stack([np.cos(angle) * x, np.sin(angle) * y, np.full(number, height)], 1)
    return rods(top * [1 + splay, 1 + splay, 0], top, thick, thick * 1.2)


def stool(r: Rng) -> np.ndarray:
    """A round or square seat on three to five legs, or on a column with a foot."""
    height, wide, thick = r.uniform(0.35, 0.85), r.uniform(0.13, 0.24), r.uniform(0.02, 0.1)
    round_seat = revolve([(wide, height), (wide, height + thick)])
    seat = round_seat if r.random() < 0.6 else boxes((2 * wide, 2 * wide, thick), (0, 0, height))
    if r.random() < 0.3:
        return join(seat, rods((0, 0, 0), (0, 0, height), r.uniform(0.02, 0.04)), revolve([(wide, 0), (wide, 0.03)]))
    splay, parts = r.uniform(0, 0.5), [seat]
    parts.append(_legs(wide * 0.8, wide * 0.8, height, int(r.integers(3, 6)), splay, r.uniform(0.01, 0.03)))
    if r.random() < 0.6:
        parts.append(torus(wide * (0.8 + splay * 0.4), 0.012, (0, 0, height * r.uniform(0.25, 0.5))))
    return join(*parts)


def bench(r: Rng) -> np.ndarray:
    """A long seat of slats or one board, on rods or plates, with or without a back."""
    long, wide, height = r.uniform(1.0, 2.6), r.uniform(0.3, 0.5), r.uniform(0.38, 0.5)
    slats = int(r.integers(1, 6))
    y = (np.arange(slats) - (slats - 1) / 2) * wide / slats
    parts = [boxes((long, wide / slats * 0.8, 0.04), np.stack([0 * y, y, 0 * y + height], 1))]
    feet = np.linspace(-0.42, 0.42, int(r.integers(2, 4))) * long
    if r.random() < 0.5:
        parts.append(boxes((r.uniform(0.04, 0.12), wide * 0.9, height), np.stack([feet, 0 * feet, 0 * feet], 1)))
    else:
        feet = np.array([[x, s * wide * 0.4, 0] for x in feet for s in (-1, 1)])
        parts.append(rods(feet, feet + [0, 0, height], 0.025))
    if r.random() < 0.55:
        rails = np.arange(r.integers(2, 5))
        z = height + 0.12 + rails * 0.13
        parts.append(boxes((long, 0.025, 0.09), np.stack([0 * z, wide / 2 + rails * 0.03, z], 1)))
        ends = np.array([[-long * 0.42, wide / 2, height], [long * 0.42, wide / 2, height]])
        parts.append(rods(ends, ends + [0, 0.1, z[-1] - height], 0.02))
    return join(*parts)


def bookshelf(r: Rng) -> np.ndarray:
    """Two to seven shelves between sides, some with books on them."""
    wide, deep, high = r.uniform(0.5, 1.8), r.uniform(0.2, 0.4), r.uniform(0.8, 2.2)
    z = np.linspace(0.05, high, int(r.integers(3, 8)))
    parts = [boxes((wide, deep, 0.025), np.stack([0 * z, 0 * z, z], 1))]
    uprights = np.linspace(-wide / 2, wide / 2, int(r.integers(2, 4)))
    parts.append(boxes((0.025, deep, high), np.stack([uprights, 0 * uprights, 0 * uprights], 1)))
    if r.random() < 0.5:
        parts.append(boxes((wide, 0.01, high), (0, deep / 2, 0)))
    if r.random() < 0.6:
        number = int(r.integers(5, 60))
        x, shelf = r.uniform(-0.45, 0.45, number) * wide, r.integers(0, len(z) - 1, number)
        size = np.stack([r.uniform(0.02, 0.06, number), r.uniform(0.5, 0.8, number) * deep,
                         r.uniform(0.5, 0.85, number) * (z[1] - z[0])], 1)  # fmt: skip
        parts.append(boxes(size, np.stack([x, 0 * x, z[shelf]], 1)))
    return join(*parts)


def wardrobe(r: Rng) -> np.ndarray:
    """A tall closed box with doors, handles, a plinth or feet, and perhaps a cornice."""
    wide, deep, high, foot = r.uniform(0.7, 2.4), r.uniform(0.45, 0.7), r.uniform(1.6, 2.4), r.uniform(0.03, 0.15)
    parts = [boxes((wide, deep, high - foot), (0, 0, foot))]
    doors = int(r.integers(1, 5))
    x = (np.arange(doors) - (doors - 1) / 2) * wide / doors
    door = (wide / doors * 0.94, 0.02, (high - foot) * r.uniform(0.8, 0.96))
    parts.append(boxes(door, np.stack([x, 0 * x - deep / 2 - 0.015, 0 * x + foot * 1.3], 1)))
    parts.append(boxes((0.02, 0.04, 0.15), np.stack([x + door[0] * 0.4, 0 * x - deep / 2 - 0.05, 0 * x + high / 2], 1)))
    if r.random() < 0.5:
        parts.append(boxes((0.06, 0.06, foot), corners(wide / 2 - 0.05, deep / 2 - 0.05)))
    else:
        parts.append(boxes((wide * 0.96, deep * 0.94, foot)))
    if r.random() < 0.5:
        parts.append(boxes((wide * 1.06, deep * 1.1, 0.06), (0, 0, high)))
    return join(*parts)


def floor_lamp(r: Rng) -> np.ndarray:
    """A foot, a pole or an arc, and a shade."""
    high, shade, drop = r.uniform(0.5, 2.0), r.uniform(0.1, 0.3), r.uniform(0.12, 0.4)
    foot = r.uniform(0.1, 0.25)
    parts = [revolve([(foot, 0), (foot, 0.03)])]
    reach = r.uniform(0.3, 0.9) if r.random() < 0.3 else 0.0
    bend = np.linspace(0, 1, 8)[:, None]
    pole = bend * [0, 0, high] + bend**3 * [reach, 0, 0]
    parts.append(rods(pole[:-1], pole[1:], r.uniform(0.008, 0.025)))
    parts.append(revolve([(shade, high - drop / 2), (shade * r.uniform(0.3, 1), high + drop / 2)], (reach, 0, 0),
                         caps=bool(r.random() < 0.3)))  # fmt: skip
    return join(*parts)


def office_chair(r: Rng) -> np.ndarray:
    """A seat and a back on a column over a star of castors."""
    seat, wide = r.uniform(0.4, 0.55), r.uniform(0.4, 0.55)
    angle = np.arange(5) * 2 * np.pi / 5
    tips = np.stack([np.cos(angle), np.sin(angle), 0 * angle], 1) * r.uniform(0.25, 0.35) + [0, 0, 0.06]
    parts = [rods((0, 0, 0.1), tips, 0.025), boxes((0.04, 0.04, 0.06), tips - [0, 0, 0.06])]
    parts.append(rods((0, 0, 0.08), (0, 0, seat), 0.03))
    parts.append(boxes((wide, wide, 0.08), (0, 0, seat)))
    high = r.uniform(0.35, 0.8)
    parts.append(turned(boxes((wide * 0.9, 0.06, high)), r.uniform(-0.25, 0), (0, wide / 2, seat + 0.12), axis=0))
    parts.append(rods((0, wide * 0.3, seat), (0, wide / 2, seat + 0.3), 0.025))
    if r.random() < 0.6:
        arms = np.array([[-wide / 2, 0, seat], [wide / 2, 0, seat]])
        parts += [rods(arms, arms + [0, 0, 0.2], 0.018), boxes((0.05, wide * 0.6, 0.03), arms + [0, 0, 0.2])]
    return join(*parts)


def ladder(r: Rng) -> np.ndarray:
    """Rungs between two rails, leaning, or two of these against each other."""
    high, wide, lean = r.uniform(1.5, 6), r.uniform(0.3, 0.5), r.uniform(0.05, 0.4)
    z = np.arange(0.25, high, r.uniform(0.22, 0.35))[:, None]
    rail = np.array([[-wide / 2, 0, 0], [wide / 2, 0, 0]])
    one = join(rods(rail, rail + [0, lean * high, high], 0.025),
               rods(rail[0] + z * [0, lean, 1], rail[1] + z * [0, lean, 1], 0.015))  # fmt: skip
    return join(one, one * [1, -1, 1] + [0, 2 * lean * high, 0]) if r.random() < 0.4 else one


def _pot(r: Rng, knots: int, low: float, high: float, height: float) -> np.ndarray:
    """(12, 2) a smooth profile through random radii."""
    z = np.linspace(0, 1, 12)
    return np.stack([np.interp(z, np.linspace(0, 1, knots), r.uniform(low, high, knots)), z * height], 1)


def vase(r: Rng) -> np.ndarray:
    """An open vessel of any profile."""
    height = r.uniform(0.15, 0.9)
    body = revolve(_pot(r, int(r.integers(3, 6)), 0.12 * height, 0.4 * height, height), caps=False)
    return join(body, revolve([(0, 0), (0.15 * height, 0)], caps=False))


def bottle(r: Rng) -> np.ndarray:
    """A body, a shoulder and a neck."""
    wide, body, neck = r.uniform(0.03, 0.08), r.uniform(0.12, 0.3), r.uniform(0.25, 0.5)
    high = body + r.uniform(0.08, 0.16)
    profile = [(wide, 0), (wide, body), (wide * (1 + neck) / 2, body + 0.03), (wide * neck, body + 0.06)]
    return revolve([*profile, (wide * neck, high), (wide * neck * 1.2, high), (wide * neck * 1.2, high + 0.02)])


def bowl(r: Rng) -> np.ndarray:
    """The lower part of an ellipsoid, open above, with or without a foot."""
    wide, deep = r.uniform(0.07, 0.25), r.uniform(0.04, 0.16)
    shell = ball((wide, wide, deep), part=(0, r.uniform(0.35, 0.5)))
    return join(shell, revolve([(wide * 0.4, -deep * 1.1), (wide * 0.35, -deep * 0.9)], caps=False))


def cup(r: Rng) -> np.ndarray:
    """A small open cylinder or cone with a handle."""
    wide, high = r.uniform(0.03, 0.06), r.uniform(0.06, 0.14)
    wall = revolve([(0, 0), (wide * r.uniform(0.6, 1), 0), (wide, high)], caps=False)
    handle = torus(high * r.uniform(0.25, 0.35), 0.006, (wide * 1.05, 0, high * 0.5), upright=True)
    return join(wall, handle[handle[..., 0].mean(1) > wide * 0.8])


def stairs(r: Rng) -> np.ndarray:
    """Three to twenty steps, solid or open, straight or winding, perhaps with a rail."""
    steps, wide, tread, rise = int(r.integers(3, 21)), r.uniform(0.7, 2.5), r.uniform(0.24, 0.36), r.uniform(0.14, 0.2)
    k = np.arange(steps)
    if r.random() < 0.25:
        angle, inner = k * r.uniform(0.25, 0.5), r.uniform(0.1, 0.5)
        one = boxes((wide, tread, 0.05), (inner + wide / 2, 0, 0))
        turns = [turned(one, a, (0, 0, z)) for a, z in zip(angle, k * rise)]
        return join(rods((0, 0, 0), (0, 0, steps * rise), 0.08), *turns)
    solid = r.random() < 0.6
    tall = (k + 1) * rise if solid else np.full(steps, 0.05)
    at = np.stack([0 * k, k * tread, 0 * k if solid else (k + 1) * rise - 0.05], 1)
    parts = [boxes(np.stack([0 * k + wide, 0 * k + tread, tall], 1), at)]
    if r.random() < 0.5:
        foot = np.array([wide / 2, 0, 0]) + k[:, None] * [0, tread, rise]
        parts += [rods(foot, foot + [0, 0, 0.95], 0.015), rods(foot[0] + [0, 0, 0.95], foot[-1] + [0, 0, 0.95], 0.025)]
    return join(*parts)


def door(r: Rng) -> np.ndarray:
    """A leaf in a frame, open by any angle, with panels and a handle."""
    wide, high = r.uniform(0.7, 1.4), r.uniform(1.9, 2.6)
    posts = boxes((0.08, 0.12, high), [(-wide / 2, 0, 0), (wide / 2, 0, 0)])
    leaf = [boxes((wide - 0.08, 0.04, high - 0.04), (wide / 2, 0, 0)), boxes((0.12, 0.1, 0.03), (wide * 0.9, 0, 1))]
    number = int(r.integers(0, 5))
    z = np.linspace(0.15, high - 0.2, number + 1)[:-1]
    if number:
        leaf.append(boxes((wide * 0.7, 0.07, high / number * 0.6), np.stack([0 * z + wide / 2, 0 * z, z], 1)))
    swing = turned(join(*leaf), r.uniform(0, 1.9) * r.integers(2), (-wide / 2, 0, 0))
    return join(posts, boxes((wide + 0.08, 0.12, 0.08), (0, 0, high)), swing)


def piano(r: Rng) -> np.ndarray:
    """An upright piano: a case, a keyboard on brackets and pedals; or a grand: a curved lid on three legs."""
    wide = r.uniform(1.35, 1.6)
    if r.random() < 0.5:
        deep, high = r.uniform(0.3, 0.45), r.uniform(1.0, 1.35)
        keys = boxes((wide, 0.35, 0.12), (0, -deep / 2 - 0.17, 0.6))
        return join(
            boxes((wide, deep, high)), keys, boxes((0.06, 0.06, 0.6), [(-wide / 2.1, -deep, 0), (wide / 2.1, -deep, 0)])
        )
    long = r.uniform(1.4, 2.7)
    angle = np.linspace(0, np.pi, 14)
    edge = np.stack([np.cos(angle) * wide / 2, np.sin(angle) ** r.uniform(0.5, 1.0) * long, 0 * angle], 1)
    case = loft(np.stack([edge + [0, 0, 0.65], edge + [0, 0, 0.95]]))
    lid = turned(loft(np.stack([edge, edge + [0, 0, 0.02]])), -r.uniform(0.3, 0.9) * r.integers(2), (0, 0, 1), axis=1)
    legs = np.array([[-wide * 0.4, 0.1, 0], [wide * 0.4, 0.1, 0], [0, long * 0.8, 0]])
    return join(case, lid, rods(legs, legs + [0, 0, 0.65], 0.05), boxes((wide, 0.25, 0.1), (0, -0.1, 0.62)))


def potted_plant(r: Rng) -> np.ndarray:
    """A pot with a stem and leaves, or with a tuft of blades."""
    wide, deep, tall = r.uniform(0.08, 0.3), r.uniform(0.12, 0.4), r.uniform(0.2, 1.4)
    parts = [revolve([(0, 0), (wide * r.uniform(0.5, 1), 0), (wide, deep)], caps=False)]
    if r.random() < 0.5:
        number = int(r.integers(6, 30))
        angle = r.uniform(0, 2 * np.pi, number)
        tips = np.stack([np.cos(angle), np.sin(angle)], 1) * (tall * r.uniform(0.2, 0.8, number))[:, None]
        tips = np.column_stack([tips, deep + tall * r.uniform(0.4, 1, number)])
        parts.append(rods((0, 0, deep), tips, 0.02, 0.005))
    else:
        parts.append(rods((0, 0, deep), (0, 0, deep + tall), 0.015))
        crown = inside(int(r.integers(40, 120)), r) * [tall * 0.4, tall * 0.4, tall * 0.5] + [0, 0, deep + tall * 0.6]
        parts.append(leaves(crown, tall * 0.05, r))
    return join(*parts)


def washbasin(r: Rng) -> np.ndarray:
    """A basin on a column or on a cabinet, with a tap."""
    wide, deep, high = r.uniform(0.4, 0.8), r.uniform(0.35, 0.5), r.uniform(0.75, 0.9)
    basin = ball((wide / 2, deep / 2, 0.18), (0, 0, high), part=(0, 0.5))
    rim = revolve([(1.0, 0), (1.1, 0.0), (1.1, 0.03)], (0, 0, high), caps=False, stretch=(wide / 2, deep / 2))
    foot = boxes((wide, deep, high - 0.15)) if r.random() < 0.4 else revolve([(0.12, 0), (0.08, high - 0.15)])
    tap = rods(
        [(0, deep / 2, high), (0, deep / 2, high + 0.15)],
        [(0, deep / 2, high + 0.15), (0, deep / 4, high + 0.14)],
        0.015,
    )
    return join(basin, rim, foot, tap)


def umbrella(r: Rng) -> np.ndarray:
    """A shallow dome on a stick with a crook or a foot."""
    wide, high = r.uniform(0.4, 2.0), r.uniform(0.7, 2.6)
    canopy = ball((wide, wide, wide * r.uniform(0.25, 0.6)), (0, 0, high * 0.85), part=(0.5, 1))
    foot = torus(0.07, 0.012, (0.07, 0, 0.05), upright=True) if r.random() < 0.5 else revolve([(0.3, 0), (0.3, 0.08)])
    return join(canopy, rods((0, 0, 0), (0, 0, high), 0.015), foot)


def armchair(r: Rng) -> np.ndarray:
    """A padded seat for one with thick arms and a back."""
    wide, deep, seat = r.uniform(0.5, 0.75), r.uniform(0.5, 0.75), r.uniform(0.3, 0.45)
    arm, back = r.uniform(0.08, 0.22), r.uniform(0.35, 0.75)
    foot = r.uniform(0, 0.2) * r.integers(2)
    parts = [boxes((wide, deep, seat - foot), (0, 0, foot))]
    parts.append(
        boxes((arm, deep, seat - foot + r.uniform(0.12, 0.3)), [(s * (wide + arm) / 2, 0, foot) for s in (-1, 1)])
    )
    lean = turned(
        boxes((wide + 2 * arm, r.uniform(0.1, 0.25), seat + back - foot)),
        -r.uniform(0, 0.3),
        (0, deep / 2, foot),
        axis=0,
    )
    parts.append(lean)
    if foot:
        parts.append(rods(corners(wide / 2, deep / 2.2), corners(wide / 2, deep / 2.2, foot), 0.025))
    return join(*parts)


FURNITURE = {
    f.__name__: f
    for f in (
        stool, bench, bookshelf, wardrobe, floor_lamp, office_chair, ladder, vase, bottle, bowl, cup, stairs, door,
        piano, potted_plant, washbasin, umbrella, armchair,
    )
}  # fmt: skip
