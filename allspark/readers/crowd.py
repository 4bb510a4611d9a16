"""The tracks of one file together: one of them, all of it or a stretch of time, and where the others were meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ..items import Trajectory
from .fixes import Fixes, times, trajectory

SHOWN = 5  # track names listed in an error
OLDEST = 0.99  # typical steps: a fix as old as that belongs to the step before


class Crowd:
    """Tracks by their ids.

    Args:
        tracks: id -> fixes, in any order of time.
        crs: of all of them.
        name: what errors call the file.
        unit, form: how the file's times are told, as ``fixes.times`` takes them.
    """

    def __init__(
        self, tracks: Mapping[str, Fixes], crs: str, name: str, unit: str | None = None, form: str | None = None
    ) -> None:
        self.crs, self.name, self._unit, self._form = crs, name, unit, form
        self._tracks: dict[str, Fixes] = {}
        for label, fixes in tracks.items():
            order = np.argsort(fixes.time, kind="stable")
            features = {key: np.asarray(value)[order] for key, value in fixes.features.items()}
            self._tracks[label] = Fixes(np.asarray(fixes.positions)[order], fixes.time[order], features)
        seen = [fixes.time for fixes in self._tracks.values() if len(fixes.time)]
        self._seen = [label for label, fixes in self._tracks.items() if len(fixes.time)]
        self._begin = np.array([time[0] for time in seen])
        self._end = np.array([time[-1] for time in seen])

    def pick(self, label: str | None, start: Any = None, end: Any = None, others: bool = False) -> Trajectory:
        """One track.

        Args:
            label: its id; None where there is one track alone.
            start, end: its first and last time, as the file tells times; None for all of it.
            others: also say where the file's other tracks were at its fixes (``Trajectory.others``).

        Raises:
            ValueError: several tracks and no id, no such id, or fewer than two fixes between the times.
        """
        few = ", ".join(list(self._tracks)[:SHOWN]) + (" …" if len(self._tracks) > SHOWN else "")
        if label is None and len(self._tracks) > 1:
            raise ValueError(
                f"{self.name} holds {len(self._tracks)} tracks ({few}); wanted one; choose with id=, or take all with "
                "allspark.readers.trajectory.read_all"
            )
        if label is not None and label not in self._tracks:
            raise ValueError(f"{self.name} has no track {label!r}; it holds {len(self._tracks)} ({few}); choose one")
        label = next(iter(self._tracks)) if label is None else label
        fixes = self._tracks[label]
        lower = 0 if start is None else np.searchsorted(fixes.time, self._moment(start))
        upper = len(fixes.time) if end is None else np.searchsorted(fixes.time, self._moment(end), side="right")
        kept = slice(int(lower), int(upper))
        found = len(fixes.time[kept])
        if (start is not None or end is not None) and found < 2:
            raise ValueError(
                f"{self.name}: track {label!r} has {found} fixes from {start} to {end}; wanted at least 2; "
                f"its times are {fixes.time[0]} to {fixes.time[-1]}"
            )
        part = Fixes(fixes.positions[kept], fixes.time[kept], {k: v[kept] for k, v in fixes.features.items()})
        if not others:
            return trajectory(part, self.crs)
        # fixes that are repeated are left out of a trajectory, so others are told at the ones that stay
        numbers = np.arange(len(part.time), dtype=np.float64)
        item = trajectory(part._replace(features={**part.features, "": numbers}), self.crs)
        stayed = item.features[""].astype(np.int64)
        features = {key: value for key, value in item.features.items() if key}
        return replace(item, features=features, others=self._others(label, part.time[stayed]))

    def all(self) -> dict[str, Trajectory]:
        """Every track of at least two fixes."""
        return {label: trajectory(fixes, self.crs) for label, fixes in self._tracks.items() if len(fixes.time) > 1}

    def __len__(self) -> int:
        return len(self._tracks)

    def _moment(self, given: Any) -> Any:
        """A time as the file's times are kept."""
        dates = self._begin.dtype.kind == "M"
        if dates == isinstance(given, (int, float, np.number)):
            shown = "dates" if dates else "numbers"
            raise ValueError(f"start or end is {given!r}, but the times of {self.name} are {shown}; give one of these")
        return times([given], None if dates else self._unit, self._form)[0]

    def _others(self, label: str, when: np.ndarray) -> np.ndarray:
        """(M, N, 2): each other track's last fix at or before each time, NaN where that is too old.

        What comes later is never looked at: whoever predicts from the first fixes would else be told a little of what
        follows them.
        """
        dates = when.dtype.kind == "M"
        steps = np.diff(when).astype(np.int64 if dates else np.float64)
        oldest = OLDEST * float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0
        gap = np.timedelta64(int(oldest), "ns") if dates else oldest
        near = (self._begin <= when[-1]) & (self._end >= when[0] - gap)
        found = []
        for other, there in zip(self._seen, near, strict=True):
            if not there or other == label:
                continue
            fixes = self._tracks[other]
            last = np.searchsorted(fixes.time, when, side="right") - 1
            known = (last >= 0) & (when - fixes.time[last] <= gap)
            if known.any():
                found.append(np.where(known[:, None], fixes.positions[last, :2], np.nan))
        return np.stack(found) if found else np.zeros((0, len(when), 2))
