"""The frame of a moving thing: metres from its last seen fix, the first axis where it is heading."""

from __future__ import annotations

import numpy as np

from ..items import Trajectory

NEAREST = 8  # others that are looked at
_SHUFFLE = 0.1  # mean steps: a shorter one says little of a heading


def own_frame(item: Trajectory, seen: int, step: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """A trajectory without its place and heading.

    Args:
        item: N fixes.
        seen: how many of them, from the first, give the frame.
        step: the last seen step tells the heading, where it is one; else, and otherwise, the way from the first fix.

    Returns:
        (N, 2) metres in which the last seen fix is the origin and the heading the first axis, and the (2, 2) matrix
        that turns such metres into east and north: ``frame @ matrix.T``.
    """
    from .trajectory import displacements

    east, north = displacements(item)
    metres = np.concatenate([[[0.0, 0.0]], np.cumsum(np.stack([east, north], 1), 0)])
    metres = metres - metres[seen - 1]
    way = -metres[0]
    last = -metres[max(seen - 2, 0)]
    if step and seen > 1 and np.hypot(*last) > _SHUFFLE * np.hypot(*np.diff(metres[:seen], axis=0).T).mean():
        way = last
    length = float(np.hypot(*way))
    c, s = (way / length) if length > 1e-3 else (1.0, 0.0)
    matrix = np.array([[c, -s], [s, c]])
    return metres @ matrix, matrix


def walking_on(metres: np.ndarray, seen: int, steps: int) -> np.ndarray:
    """Where the last seen step leads if it is repeated: (N, 2) metres of ``own_frame`` -> (steps, 2).

    Constant velocity is hard to beat for people on foot (Schöller et al., RA-L 2020).
    """
    step = metres[seen - 1] - metres[max(seen - 2, 0)]
    return metres[seen - 1] + step * np.arange(1, steps + 1)[:, None]


def others_in(item: Trajectory, seen: int, matrix: np.ndarray) -> np.ndarray | None:
    """Where the nearest others were at the seen fixes: (M, seen, 2) metres of ``own_frame``, nearest first.

    Args:
        item: N fixes.
        seen: how many of them, from the first.
        matrix: of the frame.

    Returns:
        At most ``NEAREST``, of those who are known at the last seen fix; None where nothing is known of others.
    """
    if item.others is None:
        return None
    from .trajectory import metres_between

    there = item.others[:, :seen]
    there = there[np.isfinite(there[:, -1]).all(-1)]
    metres = metres_between(item, item.positions[seen - 1, :2], there) @ matrix
    return metres[np.argsort(np.linalg.norm(metres[:, -1], axis=-1), kind="stable")[:NEAREST]]


def observed(item: Trajectory, seen: int, step: bool = True) -> Trajectory:
    """The first ``seen`` fixes in their own frame, in metres, time from the first fix, and the nearest others."""
    metres, matrix = own_frame(item, seen, step)
    time = item.time[:seen] - item.time[0]
    return Trajectory(metres[:seen], time, crs="metres", others=others_in(item, seen, matrix))
