"""What every trajectory format is read into: fixes with times, and the sorting that makes a ``Trajectory`` of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..items import Trajectory

UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}  # seconds
LARGEST = 1e11  # seconds: the year 5138; larger numbers count something smaller


class Fixes(NamedTuple):
    """N fixes as a file holds them."""

    positions: np.ndarray  # (N, 2 or 3)
    time: np.ndarray  # (N,) seconds or datetime64[ns]
    features: Mapping[str, np.ndarray]  # name -> (N,)


def times(values: Sequence[Any], unit: str | None = None, form: str | None = None) -> np.ndarray:
    """(N,) datetime64[ns] of dates, or seconds of numbers.

    Args:
        values: ISO 8601 words (UTC where they name no zone), dates, or numbers.
        unit: what the numbers count, one of ``UNITS``; None means seconds.
        form: strptime's format of the words, where they are not ISO 8601.

    Raises:
        ValueError: a missing time, words that are no dates, or numbers too large for seconds.
    """
    import pandas as pd

    if unit is not None and unit not in UNITS:
        raise ValueError(f"time_unit is {unit!r}; wanted one of {', '.join(UNITS)}")
    column = pd.Series(values)
    if column.dtype == object and all(isinstance(value, (int, float)) for value in column):
        column = column.astype(float)
    missing = int(column.isna().sum())
    if missing:
        raise ValueError(f"{missing} of {len(column)} fixes have no time; wanted one for each; drop these fixes first")
    if column.dtype.kind in "iuf":
        seconds = column.to_numpy(np.float64)
        if unit is None and len(seconds) and np.abs(seconds).max() > LARGEST:
            raise ValueError(f'times reach {seconds.max():g}, too many for seconds; say what they are: time_unit="ms"')
        return seconds * UNITS[unit or "s"]
    if column.dtype.kind != "M":
        try:
            column = pd.to_datetime(column, format=form or "ISO8601", utc=True)
        except (ValueError, TypeError) as error:
            shown = next(iter(values))
            raise ValueError(
                f"times such as {shown!r} are not ISO 8601 (2024-05-31T12:00); give their time_format, as strptime's"
            ) from error
    if getattr(column.dtype, "tz", None) is not None:
        column = column.dt.tz_convert("UTC").dt.tz_localize(None)
    return column.to_numpy("datetime64[ns]")


def trajectory(fixes: Fixes, crs: str) -> Trajectory:
    """The fixes in order of time; one that repeats another's time and place is left out."""
    order = np.argsort(fixes.time, kind="stable")
    positions, time = np.asarray(fixes.positions, np.float64)[order], fixes.time[order]
    new = np.ones(len(order), bool)
    new[1:] = (np.diff(time) != np.zeros(1, np.diff(time).dtype)) | (np.diff(positions, axis=0) != 0).any(1)
    features = {name: np.asarray(value)[order][new] for name, value in fixes.features.items()}
    return Trajectory(positions[new], time[new], features, crs)


def unused(name: str, taken: Mapping[str, Any]) -> str:
    """The name, or "name (2)" and so on where it is taken."""
    count, free = 1, name
    while free in taken:
        count += 1
        free = f"{name} ({count})"
    return free
