"""A user's own data as a task: its record from what the data say, its split, what it takes from the joint model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .frames import Frames, frames_of
from .model import UniSTD
from .normalise import with_statistics
from .series import Series
from .tasks import PERIODS, Task

TOKENS = 300  # at most so many per field: what a trunk step on a CPU takes without waiting
USUAL = 10  # frames in, where the user does not say


@dataclass(frozen=True)
class Own:
    """What a user says of a new task; None where the data decide."""

    name: str = "mine"
    frames_in: int | None = None
    horizon: int | None = None
    units: str | None = None
    record: dict[str, Any] = field(default_factory=dict)


def own_series(train: Any, own: Own, variables: Sequence[str] | None = None) -> Series:
    """A series with record, split and statistics from a user's data.

    Args:
        train: a ``Series``, or one or a list of what ``frames_of`` takes.
        own: what the user says.
        variables: which of a Dataset's fields are the channels.

    Raises:
        ValueError: stretches that differ, too few frames, or data that ``frames_of`` refuses.
    """
    if isinstance(train, Series):
        from dataclasses import replace

        series = replace(train, task=replace(train.task, name=own.name))
        return series if series.task.std else with_statistics(series)
    stretches = train if isinstance(train, (list, tuple)) else [train]
    frames = [frames_of(one, variables) for one in stretches]
    if not frames:
        raise ValueError("no data came; wanted at least one series of fields")
    first = frames[0]
    for other in frames[1:]:
        if other.values.shape[1:] != first.values.shape[1:] or other.units != first.units:
            raise ValueError(
                f"stretches of {first.values.shape[1:]} and {other.values.shape[1:]} (channels, rows, columns) came; "
                "wanted the same fields and units in all of them"
            )
    task = _record(frames, own)
    segments = [torch.from_numpy(one.values) for one in frames]
    known: list[Tensor | None] = [None if one.known.all() else torch.from_numpy(one.known) for one in frames]
    starts = [None if one.seconds is None else float(one.seconds[0]) for one in frames]
    return with_statistics(Series(task, segments, known, starts))


def _record(frames: list[Frames], own: Own) -> Task:
    first = frames[0]
    longest = max(len(one.values) for one in frames)
    frames_in = own.frames_in or max(1, min(USUAL, longest // 4))
    frames_out = own.horizon or max(1, frames_in // 2)
    size = (first.values.shape[-2], first.values.shape[-1])
    step = first.time.step if first.time is not None and first.time.step else 1.0
    units = own.units or (first.units or ("1",))[0]
    if units is None:
        raise ValueError(f"the fields {', '.join(first.channels or ())} name no units; say units=")
    channels = first.channels or tuple(f"channel_{i}" for i in range(first.values.shape[1]))
    lasting = step * longest
    periods = tuple(
        name for name, length in PERIODS.items() if first.time and 2 * step < length and 2 * length <= lasting
    )
    season = next((round(PERIODS[name] / step) for name in periods), None)
    wanted: dict[str, Any] = {
        "name": own.name, "discipline": "your own", "frames_in": frames_in, "frames_out": frames_out,
        "channels": channels, "units": units, "step": step, "size": size, "stride": _stride(size), "periods": periods,
        "season": season, "places": True, "peak": _peak(frames), "split": _split(frames, frames_in + frames_out),
    }  # fmt: skip
    return Task.from_json({**wanted, **own.record})


def _stride(size: tuple[int, int]) -> int:
    stride = 1
    while -(-size[0] // stride) * -(-size[1] // stride) > TOKENS:
        stride *= 2
    return stride


def _peak(frames: list[Frames]) -> float:
    values = [one.values[one.known] for one in frames]
    spread = float(max(v.max() for v in values) - min(v.min() for v in values))
    return spread or 1.0


def _split(frames: list[Frames], span: int) -> dict[str, tuple[tuple[int, int, int], ...]]:
    """The last fifth of the longest stretch, or a window of it, validates; everything before and beside it trains."""
    lengths = [len(one.values) for one in frames]
    longest = max(range(len(lengths)), key=lengths.__getitem__)
    held = max(span, round(lengths[longest] / 5))
    until = lengths[longest] - held
    train = [(i, 0, until if i == longest else length) for i, length in enumerate(lengths)]
    if not any(last - first >= span for _, first, last in train):
        raise ValueError(
            f"{sum(lengths)} frames came; wanted at least {2 * span} in a row, a window of {span} to learn from and "
            "one to validate on; bring more, or set fewer frames_in and a shorter horizon"
        )
    return {"train": tuple(train), "validation": ((longest, until, lengths[longest]),), "test": ()}


@torch.no_grad()
def shared_weights(joint: UniSTD, new: UniSTD) -> None:
    """Copy the trunk, its experts and temporal modules; ranks stay what the joint training settled on."""
    new.trunk.load_state_dict(joint.trunk.state_dict())
