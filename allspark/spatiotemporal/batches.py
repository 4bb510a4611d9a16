"""Windows of a series as batches: for training drawn at random, for measuring one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .normalise import Prepared, prepare, prepare_targets
from .series import Series


@dataclass(frozen=True)
class Batch:
    """Windows of one task.

    Attributes:
        windows: (segment, first frame) of each.
        prepared: what the model sees.
        values: (B, T_in, C_in, H, W) inputs in physical units, 0 where missing.
        known: likewise, bool.
        targets: (B, T_out, C_out, H, W) in physical units, 0 where missing.
        targets_known: likewise, bool.
        wanted: targets normalised.
    """

    windows: list[tuple[int, int]]
    prepared: Prepared
    values: Tensor
    known: Tensor
    targets: Tensor
    targets_known: Tensor
    wanted: Tensor

    def __len__(self) -> int:
        return len(self.windows)


def instant_of(series: Series, segment: int, frame: int) -> float | None:
    """Seconds since 1970 of a frame, None where the series does not know."""
    start = series.start[segment]
    return None if start is None else start + frame * series.task.step


def batch_of(series: Series, windows: Sequence[tuple[int, int]], turns: Sequence[int] | None = None) -> Batch:
    """The windows that begin at these (segment, frame).

    Args:
        series: of one task.
        windows: whose fields are of one size.
        turns: 0 to 7 for each window, one of the eight symmetries of a square (4 and above mirror first); a field that
            is not square is only mirrored and turned by half.
    """
    task = series.task
    pairs = [series.window(segment, frame) for segment, frame in windows]
    values = torch.stack([pair[0] for pair in pairs])
    known = torch.stack([pair[1].expand_as(pair[0]) for pair in pairs])
    if turns is not None:
        values = torch.stack([turned(field, turn) for field, turn in zip(values, turns, strict=True)])
        known = torch.stack([turned(field, turn) for field, turn in zip(known, turns, strict=True)])
    count, index = len(task.channels), task.target_index()
    inputs, inputs_known = values[:, : task.frames_in, :count], known[:, : task.frames_in, :count]
    targets, targets_known = values[:, task.frames_in :, index], known[:, task.frames_in :, index]
    instants = [instant_of(series, segment, frame + task.frames_in) for segment, frame in windows]
    prepared = prepare(task, inputs, inputs_known, instants)
    wanted = prepare_targets(task, targets, prepared.level)
    return Batch(list(windows), prepared, inputs, inputs_known, targets, targets_known, wanted)


def turned(field: Tensor, turn: int) -> Tensor:
    """One of the eight symmetries of (…, H, W)."""
    if turn >= 4:
        field = field.flip(-1)
    quarter = turn % 4
    if field.shape[-1] != field.shape[-2]:
        quarter = 2 * (quarter % 2)
    return torch.rot90(field, quarter, (-2, -1)) if quarter else field


def random_batch(series: Series, windows: Sequence[tuple[int, int]], size: int, random: torch.Generator) -> Batch:
    """``size`` windows drawn with replacement, turned where the record says so; the calendar is hidden from a tenth.

    A forecaster that never met an unknown instant could not take an array without a time axis.
    """
    picks = torch.randint(len(windows), (size,), generator=random).tolist()
    turns = torch.randint(8, (size,), generator=random).tolist() if series.task.augment == "dihedral" else None
    hidden = torch.rand(size, 1, generator=random) < 0.1
    batch = batch_of(series, [windows[i] for i in picks], turns)
    told = Prepared(
        batch.prepared.frames,
        batch.prepared.known,
        torch.where(hidden, 0.0, batch.prepared.calendar),
        batch.prepared.level,
    )
    return Batch(batch.windows, told, batch.values, batch.known, batch.targets, batch.targets_known, batch.wanted)


def in_order(series: Series, part: str, size: int, most: int | None = None) -> Iterator[Batch]:
    """Every window of a part once, ``size`` at a time; ``most`` takes that many, evenly spaced over the part."""
    windows = series.starts(part)
    if most is not None and len(windows) > most:
        windows = (
            [windows[round(i * (len(windows) - 1) / (most - 1))] for i in range(most)] if most > 1 else windows[:1]
        )
    for first in range(0, len(windows), size):
        yield batch_of(series, windows[first : first + size])
