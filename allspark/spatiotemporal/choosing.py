"""Which task a user's frames belong to, and the checks before they are forecast. Each refusal is one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from .field_units import law
from .frames import Frames
from .tasks import Task

STEP = 0.05  # of the task's step, which calendar months and years stay within
MOST_TOKENS = 16_384  # what attention takes at once: 1024 x 1024 pixels at a stride of 8
SMALLEST = 8  # pixels of the longer side of a grid


def fits(task: Task, frames: Frames) -> str | None:
    """None where frames could be of this task, else what speaks against it."""
    if frames.values.shape[1] != len(task.channels):
        return f"{frames.values.shape[1]} channels came, {name_of(task)} has {len(task.channels)}"
    for unit in frames.units or ():
        if unit is not None:
            try:
                law(unit, task.units)
            except ValueError:
                return f"values in {unit!r} came, {name_of(task)} is in {task.units!r}"
    if frames.time is not None and frames.time.step and abs(frames.time.step / task.step - 1) > STEP:
        return f"frames every {frames.time.step:g} s came, {name_of(task)} has one every {task.step:g} s"
    size = frames.values.shape[-2:]
    if task.graph and size != task.size:
        return f"a field of {size[0]} x {size[1]} came, {name_of(task)} is a network of {task.size[0]} sensors"
    return None


def name_of(task: Task) -> str:
    """How errors call a task."""
    return f"task {task.name!r}"


def choose(tasks: Mapping[str, Task], frames: Frames, name: str | None) -> Task:
    """The task that frames belong to.

    Args:
        tasks: name -> record.
        frames: a user's.
        name: the one the user asks for, else the one that alone fits: by channels, units, time step and, among several,
            by the grid's size and the channels' names.

    Raises:
        ValueError: an unknown name, frames that contradict the task, or none or several that fit.
    """
    if name is not None:
        if name not in tasks:
            raise ValueError(f"there is no task {name!r}; wanted one of {', '.join(tasks)}; adapt() adds your own")
        against = fits(tasks[name], frames)
        if against is not None:
            raise ValueError(f"{against}; convert the data, or choose another task")
        return tasks[name]
    good = [task for task in tasks.values() if fits(task, frames) is None]
    size = frames.values.shape[-2:]
    for wanted in (
        lambda task: frames.channels is not None and task.channels == frames.channels and task.size == size,
        lambda task: task.size == size,
        lambda task: frames.channels is not None and task.channels == frames.channels,
    ):
        close = [task for task in good if wanted(task)]
        if len(close) == 1:
            return close[0]
    if len(good) == 1:
        return good[0]
    if good:
        raise ValueError(
            f"the data could be of {', '.join(task.name for task in good)}; say which with task=, or adapt() to "
            "your own"
        )
    reasons = "; ".join(filter(None, (fits(task, frames) for task in list(tasks.values())[:3])))
    raise ValueError(f"no task fits the data ({reasons}); convert the data, say task=, or adapt() to your own")


def in_units_of(task: Task, frames: Frames, units: str | None) -> tuple[Frames, tuple[float, float]]:
    """Frames in the task's units, and the law (a, b) that brings the task's units back to the input's.

    Args:
        task: the chosen one.
        frames: a user's.
        units: what the user says; overrides the file's.

    Raises:
        ValueError: a file without units and none given, units that contradict the task, or channels of several units.
    """
    told = {units} if units is not None else set(frames.units or ())
    if frames.units is not None and None in told:
        raise ValueError(
            f"the fields {', '.join(frames.channels or ())} name no units; {name_of(task)} is in {task.units!r}; say "
            "units="
        )
    if not told:
        return frames, (1.0, 0.0)  # a bare array is taken to be in the task's units, as forecast() says
    if len(told) > 1:
        raise ValueError(f"the channels are in {' and '.join(sorted(map(str, told)))}; wanted one unit for all")
    found = str(told.pop())
    a, b = law(found, task.units)
    c, d = law(task.units, found)
    values = np.where(frames.known, frames.values * np.float32(a) + np.float32(b), np.float32(0))
    return replace(frames, values=values), (c, d)


def last_frames(task: Task, frames: Frames) -> tuple[np.ndarray, np.ndarray]:
    """The last T_in frames and where they are known.

    Raises:
        ValueError: too few frames, one without any known value, or a field too small or too large.
    """
    count, (high, wide) = len(frames.values), frames.values.shape[-2:]
    if count < task.frames_in:
        raise ValueError(
            f"{count} frames came; {name_of(task)} forecasts from {task.frames_in}; bring earlier ones too"
        )
    tokens = -(-high // task.stride) * -(-wide // task.stride)
    if not task.graph and (max(high, wide) < SMALLEST or tokens > MOST_TOKENS):
        raise ValueError(
            f"a field of {high} x {wide} came; wanted from {SMALLEST} pixels a side to {MOST_TOKENS} patches of "
            f"{task.stride} x {task.stride}; cut it into windows"
        )
    values, known = frames.values[-task.frames_in :], frames.known[-task.frames_in :]
    empty = np.flatnonzero(~known.any((1, 2, 3)))
    if len(empty):
        at = count - task.frames_in + int(empty[0])
        when = "" if frames.time is None else f" ({frames.time.instants[at]})"
        raise ValueError(
            f"frame {at}{when} has no known value; wanted data in each of the last {task.frames_in} frames"
        )
    return values, known


def check_horizon(task: Task, horizon: int | None, rollout: bool) -> int:
    """How many frames to forecast.

    Raises:
        ValueError: no positive number, or more than was trained without ``rollout``.
    """
    if horizon is None:
        return task.frames_out
    if isinstance(horizon, bool) or not isinstance(horizon, int) or horizon < 1:
        raise ValueError(f"horizon is {horizon!r}; wanted a positive number of frames")
    if horizon > task.frames_out and not rollout:
        raise ValueError(
            f"a horizon of {horizon} frames came; {name_of(task)} was trained for {task.frames_out}; ask for at most "
            "that, or for rollout=True, which feeds forecasts back and is less sure"
        )
    if horizon > task.frames_out and task.targets != task.channels:
        raise ValueError(
            f"a horizon of {horizon} frames came; {name_of(task)} forecasts other channels than it reads, so "
            "nothing can "
            f"be fed back; ask for at most {task.frames_out}"
        )
    return horizon
