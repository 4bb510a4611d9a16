"""From physical units to what the model sees, and back; every statistic comes from the training part alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .series import Series
from .tasks import PERIODS, Task

HARMONICS = 4  # of each calendar cycle: the fourth of a day has a period of six hours, enough for two rush hours


@dataclass(frozen=True)
class Prepared:
    """One batch as the model sees it, normalised.

    Attributes:
        frames: (B, T_in, C_in, H, W), 0 where nothing is known.
        known: of the same shape, bool.
        calendar: (B, F) sines and cosines of the forecast's first instant; zeros where it is not known.
        level: (B, 1, C, H, W), what the anchor took off, in transformed units; zeros without an anchor.
    """

    frames: Tensor
    known: Tensor
    calendar: Tensor
    level: Tensor


def forward_transform(task: Task, values: Tensor) -> Tensor:
    """Physical units -> the scale on which errors count alike."""
    if task.transform == "log1p":
        return torch.log1p(values.clamp(min=0) / task.scale)
    return values / task.scale


def backward_transform(task: Task, values: Tensor) -> Tensor:
    """The inverse, clipped to what exists."""
    values = torch.expm1(values.clamp(max=30)) * task.scale if task.transform == "log1p" else values * task.scale
    return values if task.lower is None else values.clamp(min=task.lower)


def calendar_size(task: Task) -> int:
    """F: numbers that describe an instant."""
    return 2 * HARMONICS * len(task.periods)


def calendar(task: Task, instants: list[float | None]) -> Tensor:
    """(B, F): sines and cosines of where instants (seconds since 1970) lie in each of the task's periods."""
    rows = []
    for instant in instants:
        row: list[float] = []
        for name in task.periods:
            for k in range(1, HARMONICS + 1):
                angle = 2 * math.pi * k * ((instant or 0.0) / PERIODS[name] % 1.0)
                row += [0.0, 0.0] if instant is None else [math.sin(angle), math.cos(angle)]
        rows.append(row)
    return torch.tensor(rows, dtype=torch.float32).reshape(len(instants), calendar_size(task))


def fill(frames: Tensor, known: Tensor) -> Tensor:
    """Missing pixels of (B, T, C, H, W) take the place's last known value, else its next one, else 0."""
    filled, seen = frames.clone(), known.clone()
    steps = frames.shape[1]
    for order in (range(1, steps), range(steps - 2, -1, -1)):
        back = -1 if order.step > 0 else 1
        for t in order:
            take = ~seen[:, t] & seen[:, t + back]
            filled[:, t] = torch.where(take, filled[:, t + back], filled[:, t])
            seen[:, t] |= take
    return torch.where(seen, filled, 0.0)


def anchor_level(task: Task, values: Tensor, known: Tensor) -> Tensor:
    """(B, 1, C, H, W): the mean of a place's known input values where the record's anchor says so, else 0."""
    if task.anchor == "none":
        return values.new_zeros(values.shape[0], 1, *values.shape[2:])
    count = known.sum(1, keepdim=True)
    return (values * known).sum(1, keepdim=True) / count.clamp(min=1)


def _per_variable(task: Task, numbers: tuple[float, ...], like: Tensor) -> Tensor:
    return like.new_tensor(numbers)[:, None, None]


def normalised(task: Task, values: Tensor) -> Tensor:
    """(…, C, H, W) of every variable in physical units -> around 0, spread 1; for records without an anchor."""
    values = forward_transform(task, values) - _per_variable(task, task.mean, values)
    return values / _per_variable(task, task.std, values)


def prepare(task: Task, values: Tensor, known: Tensor, instants: list[float | None]) -> Prepared:
    """Input frames in physical units -> what the model sees.

    Args:
        task: with its statistics.
        values: (B, T_in, C_in, H, W), 0 where missing.
        known: likewise, bool.
        instants: of the first *forecast* frame, seconds since 1970.
    """
    count = len(task.channels)
    values = forward_transform(task, values)
    level = anchor_level(task, values, known)
    # with an anchor the mean belongs to the level: what is left is centred already
    mean = values.new_zeros(count, 1, 1) if task.anchor == "mean" else _per_variable(task, task.mean[:count], values)
    frames = (values - level - mean) / _per_variable(task, task.std[:count], values)
    frames = fill(torch.where(known, frames, 0.0), known)
    return Prepared(frames, known, calendar(task, instants), level)


def prepare_targets(task: Task, values: Tensor, level: Tensor) -> Tensor:
    """(B, T_out, C_out, H, W) targets in physical units -> normalised, on the level of their inputs."""
    index = task.target_index()
    mean = tuple(0.0 if task.anchor == "mean" else task.mean[i] for i in index)
    std = tuple(task.std[i] for i in index)
    values = forward_transform(task, values)
    if task.anchor == "mean":
        values = values - level[:, :, index]
    return (values - _per_variable(task, mean, values)) / _per_variable(task, std, values)


def restore(task: Task, output: Tensor, level: Tensor) -> Tensor:
    """(B, T_out, C_out, H, W) as the model gives it -> physical units."""
    index = task.target_index()
    mean = tuple(0.0 if task.anchor == "mean" else task.mean[i] for i in index)
    values = output * _per_variable(task, tuple(task.std[i] for i in index), output)
    values = values + _per_variable(task, mean, output)
    if task.anchor == "mean":
        values = values + level[:, :, index]
    return backward_transform(task, values)


def with_statistics(series: Series) -> Series:
    """The series with mean and std of its training part in its record.

    With an anchor, std is that of values around the mean of their window's input frames.

    Raises:
        ValueError: a channel without one known training value.
    """
    task = series.task
    count = len(task.variables)
    total, squares, number = (torch.zeros(count, dtype=torch.float64) for _ in range(3))
    if task.anchor == "mean":
        for segment, frame in series.starts("train"):
            values, known = series.window(segment, frame)
            values = forward_transform(task, values)
            level = anchor_level(task, values[None, : task.frames_in], known[None, : task.frames_in])[0]
            _add(total, squares, number, values - level, known)
    else:
        for values, known in series.training_frames():
            _add(total, squares, number, forward_transform(task, values), known)
    if bool((number == 0).any()):
        empty = task.variables[int((number == 0).nonzero()[0])]
        raise ValueError(f"channel {empty!r} of {task.name!r} has no known value in its training part; leave it out")
    mean = total / number
    std = (squares / number - mean**2).clamp(min=0).sqrt()
    std = torch.where(std > 1e-9, std, 1.0)  # a constant channel is left at zero instead of divided by zero
    record = task.with_statistics(tuple(mean.tolist()), tuple(std.tolist()))
    return Series(record, series.segments, series.valid, series.start, series.adjacency)


def _add(total: Tensor, squares: Tensor, number: Tensor, values: Tensor, known: Tensor) -> None:
    known = known.expand_as(values)
    values = torch.where(known, values, 0.0).double()
    total += values.sum((0, 2, 3))
    squares += (values**2).sum((0, 2, 3))
    number += known.sum((0, 2, 3))
