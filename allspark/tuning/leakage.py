"""Does the test know the answer already? The same content, group or place in two splits."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations

import numpy as np

from .facts import Facts

EARTH = 6_371_000.0  # metres
SHOWN = 3


def leaks(facts: Sequence[Facts], parts: Sequence[str], distance: float, lines: Sequence[int]) -> list[str]:
    """One sentence for every kind of leak that is found.

    Args:
        facts: of the examples.
        parts: the split of each.
        distance: metres; examples nearer than this are one place. 0 leaves places alone.
        lines: the manifest's line of each example.
    """
    found = []
    hashes: dict[str, list[int]] = defaultdict(list)
    groups: dict[str, list[int]] = defaultdict(list)
    for i, entry in enumerate(facts):
        hashes[entry.hash].append(i)
        if entry.group is not None:
            groups[entry.group].append(i)
    same = [(i, j) for members in hashes.values() if (pair := _across(members, parts)) for i, j in [pair]]
    if same:
        found.append(f"{len(same)} contents stand in two splits, as {_shown(same, parts, lines)}; drop the copies")
    shared = {key: pair for key, members in groups.items() if (pair := _across(members, parts))}
    if shared:
        named = ", ".join(repr(key) for key in list(shared)[:SHOWN])
        found.append(f"{len(shared)} groups stand in two splits ({named}); split by group")
    near = _near(facts, parts, distance)
    if near:
        found.append(
            f"{len(near)} pairs of examples in different splits lie within {distance:g} m of each other, as "
            f"{_shown(near, parts, lines)}; split by block"
        )
    return found


def _across(members: Sequence[int], parts: Sequence[str]) -> tuple[int, int] | None:
    """Two of these examples that stand in different splits."""
    first = members[0]
    return next(((first, other) for other in members[1:] if parts[other] != parts[first]), None)


def _shown(pairs: Sequence[tuple[int, int]], parts: Sequence[str], lines: Sequence[int]) -> str:
    named = [f"line {lines[i]} ({parts[i]}) and line {lines[j]} ({parts[j]})" for i, j in pairs[:SHOWN]]
    return "; ".join(named) + (" …" if len(pairs) > SHOWN else "")


def _near(facts: Sequence[Facts], parts: Sequence[str], distance: float) -> list[tuple[int, int]]:
    from scipy.spatial import cKDTree

    known = [i for i, entry in enumerate(facts) if entry.place is not None]
    if distance <= 0 or len(known) < 2:
        return []
    lon, lat = np.deg2rad(np.array([facts[i].place for i in known], dtype=np.float64)).T
    ball = EARTH * np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], 1)
    trees = {}
    for part in sorted(set(parts)):
        own = [k for k, i in enumerate(known) if parts[i] == part]
        if own:
            trees[part] = (own, cKDTree(ball[own]))
    found = []
    for (own, tree), (others, other) in combinations(trees.values(), 2):
        for k, hits in enumerate(tree.query_ball_tree(other, distance)):
            found += [(known[own[k]], known[others[h]]) for h in hits[:1]]
    return found
