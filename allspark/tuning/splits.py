"""Which part an example belongs to, where the manifest does not say it: by chance, group, block in space or time."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from .facts import Facts

PARTS = ("train", "val", "test")
DEGREE = 111_320.0  # metres of a degree of latitude, and of longitude at the equator


def split(facts: Sequence[Facts], by: str, *, val: float, test: float, seed: int, block: float = 1000.0) -> list[str]:
    """ "train", "val" or "test" for every example.

    - "random": each row by chance; the windows of one scene stay together.
    - "group": whole groups, so that no group stands in two parts.
    - "block": whole squares of ``block`` metres, by the examples' places.
    - "time": the latest to test, those before them to val.

    Args:
        facts: of the examples.
        by: one of these.
        val, test: shares.
        seed: of the draw; the same keys always go to the same part.
        block: side of a block in metres.

    Raises:
        ValueError: examples without the group, place or time that the split goes by, or a part that stays empty.
    """
    if by == "time":
        parts = _by_time(facts, val, test)
    else:
        keys = [_key(entry, by, block) for entry in facts]
        of_key = _drawn(sorted(set(keys)), val, test, seed)
        parts = [of_key[key] for key in keys]
    for part, share in (("train", 1.0), ("val", val), ("test", test)):
        if share > 0 and part not in parts:
            raise ValueError(
                f"the split by {by} leaves {part} empty ({len(facts)} examples, --val {val:g} --test {test:g}); bring "
                "more data, other shares, or a column split"
            )
    return parts


def _key(entry: Facts, by: str, block: float) -> str:
    if by == "random":
        return f"row {entry.row}"
    if by == "group":
        if entry.group is None:
            raise ValueError("a row has no group; --split-by group wants a column group with a value in every row")
        return entry.group
    if entry.place is None:
        raise ValueError(
            "an example has no place; --split-by block wants georeferenced rasters or clouds, or columns lon and lat"
        )
    lon, lat = entry.place
    row = int(np.floor(lat * DEGREE / block))
    # one width for all blocks of a row of blocks, so that they do not overlap
    across = DEGREE * max(np.cos(np.deg2rad((row + 0.5) * block / DEGREE)), 1e-6)
    return f"{row} {int(np.floor(lon * across / block))}"


def _drawn(keys: Sequence[str], val: float, test: float, seed: int) -> dict[str, str]:
    """Keys in an order that depends on each key and the seed alone; the first are test, the next val."""
    order = sorted(keys, key=lambda key: hashlib.blake2b(f"{seed}|{key}".encode(), digest_size=8).digest())
    ends = _ends(len(order), val, test)
    return {key: part for part, first, last in ends for key in order[first:last]}


def _ends(count: int, val: float, test: float) -> list[tuple[str, int, int]]:
    tests = round(count * test) or int(test > 0)
    vals = round(count * val) or int(val > 0)
    return [("test", 0, tests), ("val", tests, tests + vals), ("train", tests + vals, count)]


def _by_time(facts: Sequence[Facts], val: float, test: float) -> list[str]:
    if any(entry.time is None for entry in facts):
        raise ValueError("an example has no time; --split-by time wants a column time or date, or rasters with times")
    moments = sorted({float(entry.time or 0) for entry in facts}, reverse=True)
    of_moment = {moment: part for part, first, last in _ends(len(moments), val, test) for moment in moments[first:last]}
    return [of_moment[float(entry.time or 0)] for entry in facts]
