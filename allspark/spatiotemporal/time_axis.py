"""The time axis of a series: even, forwards, without gaps; and how it goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

UNEVEN = 0.01  # of a step
DAY = 86_400.0
# seconds that a calendar month and year last, over all calendars (360 days to 31-day months and leap years)
MONTHS = (28 * DAY, 31 * DAY + 1)
YEARS = (360 * DAY, 366 * DAY + 1)


@dataclass(frozen=True)
class TimeAxis:
    """Instants at even steps, where calendar months and years count as even.

    Attributes:
        instants: (T,) datetime64[ns], or cftime objects of a model's calendar.
        seconds: (T,) since 1970.
        step: seconds between frames; the mean for months and years.
        months: months between frames where steps are calendar months or years, else 0.
    """

    instants: np.ndarray
    seconds: np.ndarray
    step: float
    months: int = 0

    def after(self, count: int) -> np.ndarray:
        """The next ``count`` instants, of the axis' own kind."""
        last = self.instants[-1]
        if self.months:
            return np.array([_months_later(last, self.months * k) for k in range(1, count + 1)])
        if self.instants.dtype.kind == "M":
            return last + (np.arange(1, count + 1) * round(self.step * 1e9)).astype("timedelta64[ns]")
        from datetime import timedelta

        return np.array([last + timedelta(seconds=self.step * k) for k in range(1, count + 1)])


def _months_later(instant: Any, months: int) -> Any:
    if isinstance(instant, np.datetime64):
        whole = instant.astype("datetime64[M]")
        inside = instant - whole.astype("datetime64[ns]")
        start = (whole + months).astype("datetime64[ns]")
        end = (whole + months + 1).astype("datetime64[ns]")
        return min(start + inside, end - np.timedelta64(1, "D"))  # the 31st becomes the last of a shorter month
    year, month = divmod(instant.year * 12 + instant.month - 1 + months, 12)
    return instant.replace(year=year, month=month + 1, day=min(instant.day, 28) if instant.day > 28 else instant.day)


def _seconds(instants: np.ndarray) -> np.ndarray:
    if instants.dtype.kind == "M":
        return instants.astype("datetime64[ns]").astype(np.int64) / 1e9
    import cftime

    return np.asarray(
        cftime.date2num(instants, "seconds since 1970-01-01", calendar=instants[0].calendar), dtype=np.float64
    )


def time_axis(instants: np.ndarray) -> TimeAxis | None:
    """The axis of a file's time coordinate; None where the coordinate holds no instants (plain numbers).

    Raises:
        ValueError: it is out of order, repeats itself, or has a gap; the error names the first such place.
    """
    if instants.dtype.kind == "O" and not hasattr(instants[0], "calendar"):
        return None
    if instants.dtype.kind not in "MO":
        return None
    if instants.dtype.kind == "M":
        instants = instants.astype("datetime64[ns]")
    seconds = _seconds(instants)
    if len(seconds) < 2:
        return TimeAxis(instants, seconds, 0.0)
    steps = np.diff(seconds)
    if not np.isfinite(seconds).all() or (instants.dtype.kind == "M" and np.isnat(instants).any()):
        raise ValueError("the time axis holds instants that are not known; wanted one for each frame")
    if (steps <= 0).any():
        at = int(np.argmax(steps <= 0))
        raise ValueError(
            f"the time axis is out of order: {instants[at + 1]} comes after {instants[at]}; wanted each frame once, in "
            "order; sort the frames (xarray's sortby) and drop those that repeat"
        )
    step = float(np.median(steps))
    for (least, most), months in ((MONTHS, 1), (YEARS, 12)):
        if least <= step <= most and ((steps >= least) & (steps <= most)).all():
            return TimeAxis(instants, seconds, float(steps.mean()), months)
    wrong = np.abs(steps - step) > UNEVEN * step
    if wrong.any():
        at = int(np.argmax(wrong))
        raise ValueError(
            f"the time axis has a gap: from {instants[at]} to {instants[at + 1]}, where steps are {step:g} s; wanted "
            "even steps; put missing frames in as NaN (xarray's reindex) or forecast from the part after the gap"
        )
    return TimeAxis(instants, seconds, step)
