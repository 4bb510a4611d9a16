"""What a forecast must beat: persistence, seasonal persistence, climatology, a linear regression for each place.

Each is a function (series, windows of a batch) -> forecast in physical units, fitted on the training part alone.
Seasonal persistence may look back further than the model's input, at frames of the past that a user would have.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .batches import Batch, batch_of
from .normalise import backward_transform, fill, forward_transform, restore
from .series import Series

Forecast = Callable[[Batch], Tensor]
RIDGE = 1e-3  # of the mean diagonal: keeps places that are always zero solvable
LINEAR_LIMIT = 4_000  # windows that a regression is fitted on


def persistence(series: Series) -> Forecast:
    """The last known value of every place, repeated; the training mean for targets that do not come in."""
    task = series.task

    def forecast(batch: Batch) -> Tensor:
        last = fill(batch.values, batch.known)[:, -1]
        columns = [
            last[:, task.channels.index(name)]
            if name in task.channels
            else torch.full_like(last[:, 0], _mean_of(series, name))
            for name in task.targets
        ]
        return torch.stack(columns, 1)[:, None].repeat(1, task.frames_out, 1, 1, 1)

    return forecast


def _mean_of(series: Series, name: str) -> float:
    task = series.task
    mean = torch.tensor([task.mean[task.variables.index(name)]])
    return float(backward_transform(task, mean))


def seasonal(series: Series) -> Forecast | None:
    """The values one season before each target; None where the record has no season.

    A frame before the beginning of its segment, or one that is missing, is replaced by persistence.
    """
    task = series.task
    if task.season is None or task.season < task.frames_out:
        return None
    season, plain = task.season, persistence(series)

    def forecast(batch: Batch) -> Tensor:
        found = plain(batch)
        index = task.target_index()
        for row, (segment, frame) in enumerate(batch.windows):
            first = frame + task.frames_in - season
            for t in range(max(-first, 0), task.frames_out):
                values = series.segments[segment][first + t].float()[index]
                known = torch.isfinite(values)
                mask = series.valid[segment]
                if mask is not None:
                    known = known & mask[first + t].expand_as(series.segments[segment][first + t])[index]
                found[row, t] = torch.where(known, values, found[row, t])
        return found

    return forecast


def climatology(series: Series) -> Forecast:
    """The training part's mean of each place, for each phase of the season where there is one (hour of day, month).

    Where places of several segments differ in the ground they show (radar windows), segments share one mean field all
    the same: it is what is known of a place without looking at today.
    """
    task = series.task
    phases = task.season or 1
    index = task.target_index()
    size = series.segments[0].shape[-2:]
    total = torch.zeros(phases, len(index), *size, dtype=torch.float64)
    count = torch.zeros_like(total)
    for (segment, first, _), (values, known) in zip(series.ranges()["train"], series.training_frames(), strict=True):
        known = known.expand_as(values)[:, index]
        rows = torch.tensor([_phase(series, segment, first + t, phases) for t in range(len(values))])
        total.index_add_(0, rows, torch.where(known, values[:, index], 0.0).double())
        count.index_add_(0, rows, known.double())
    everywhere = total.sum((0, 2, 3), keepdim=True) / count.sum((0, 2, 3), keepdim=True).clamp(min=1)
    field = torch.where(count > 0, total / count.clamp(min=1), everywhere).float()

    def forecast(batch: Batch) -> Tensor:
        rows = [
            [_phase(series, segment, frame + task.frames_in + t, phases) for t in range(task.frames_out)]
            for segment, frame in batch.windows
        ]
        return field[torch.tensor(rows)]

    return forecast


def _phase(series: Series, segment: int, frame: int, phases: int) -> int:
    start = series.start[segment]
    offset = 0 if start is None else round(start / series.task.step)
    return (offset + frame) % phases


def linear(series: Series) -> Forecast:
    """A ridge regression of every place's targets on that place's inputs, in transformed units.

    On grids whose segments show the same ground each place has weights of its own; where windows are turned in training
    (radar, digits) all places share them. The closed form is solved on the training part.
    """
    task = series.task
    windows = series.starts("train")
    if len(windows) > LINEAR_LIMIT:
        windows = windows[:: -(-len(windows) // LINEAR_LIMIT)]
    shared = task.augment == "dihedral" or not task.places
    gram = right = None
    for first in range(0, len(windows), 32):
        batch = batch_of(series, windows[first : first + 32])
        x, y = design(batch)  # (P, B, K), (P, B, M)
        known = batch.targets_known.flatten(1, 2).flatten(2).permute(2, 0, 1).all(-1, keepdim=True)
        x, y = (x * known).double(), (y * known).double()
        if shared:
            x, y = x.flatten(0, 1)[None], y.flatten(0, 1)[None]
        a, b = x.transpose(1, 2) @ x, x.transpose(1, 2) @ y
        gram, right = (a, b) if gram is None or right is None else (gram + a, right + b)
    assert gram is not None
    assert right is not None
    scale = gram.diagonal(dim1=1, dim2=2).mean(1)[:, None, None].clamp(min=1e-9)
    weights = torch.linalg.solve(gram + RIDGE * scale * torch.eye(gram.shape[-1], dtype=torch.float64), right).float()

    def forecast(batch: Batch) -> Tensor:
        x, _ = design(batch)
        y = x @ weights  # (P, B, M)
        shape = (len(batch), task.frames_out, len(task.targets), *batch.targets.shape[-2:])
        return restore(task, y.permute(1, 2, 0).reshape(shape), batch.prepared.level)

    return forecast


def design(batch: Batch) -> tuple[Tensor, Tensor]:
    """(P, B, K) inputs with a one in front and (P, B, M) targets of each of the P places, normalised."""
    x = batch.prepared.frames.flatten(1, 2).flatten(2).permute(2, 0, 1)
    y = batch.wanted.flatten(1, 2).flatten(2).permute(2, 0, 1)
    return torch.cat([torch.ones_like(x[..., :1]), x], -1), y


def shared_linear_map(
    series: Series, most: int = 300, more: Callable[[Batch], Tensor] | None = None
) -> tuple[Tensor, Tensor]:
    """Weight (M, K) and bias (M,) of one ridge regression for all places: where the model's linear path starts.

    Args:
        series: its training part is read.
        most: windows, evenly spaced.
        more: further inputs of a batch (B, L, H, W), normalised, behind the frames.
    """
    windows = series.starts("train")
    windows = windows[:: -(-len(windows) // most)]
    gram = right = None
    for first in range(0, len(windows), 16):
        batch = batch_of(series, windows[first : first + 16])
        x, y = design(batch)
        if more is not None:
            x = torch.cat([x, more(batch).flatten(2).permute(2, 0, 1)], -1)
        known = batch.targets_known.flatten(1, 2).flatten(2).permute(2, 0, 1).all(-1, keepdim=True)
        x, y = (x * known).flatten(0, 1).double(), (y * known).flatten(0, 1).double()
        a, b = x.T @ x, x.T @ y
        gram, right = (a, b) if gram is None or right is None else (gram + a, right + b)
    assert gram is not None
    assert right is not None
    scale = gram.diagonal().mean().clamp(min=1e-9)
    found = torch.linalg.solve(gram + RIDGE * scale * torch.eye(len(gram), dtype=torch.float64), right).float()
    return found[1:].T.contiguous(), found[0].contiguous()


def fields_for_flow(batch: Batch, series: Series) -> Tensor:
    """(B, T_in, H, W) of the first target, transformed, gaps filled: what optical flow looks at."""
    task = series.task
    name = task.targets[0]
    values = fill(batch.values, batch.known)[:, :, task.channels.index(name)]
    return forward_transform(task, values)
