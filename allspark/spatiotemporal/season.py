"""What a place usually is at an instant: its mean and the sines and cosines of the record's calendar periods.

A place's harmonic climatology, fitted by least squares on the training part. Harmonics instead of a mean for each
phase, because a few weeks give every phase a handful of values and the sines borrow from their neighbours; and since an
angle can be turned, one instant says the calendar of every frame of a window.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .baselines import RIDGE
from .batches import instant_of
from .normalise import HARMONICS, calendar, normalised
from .series import Series
from .tasks import PERIODS, Task

# of each period, so that a rush hour of three hours shows: the week's 35th has a period of 4.8 hours
MOST = {"day": 8, "week": 35, "year": 3}

PIECE = 20_000_000  # numbers that the fit holds at once


def turns(task: Task) -> list[tuple[int, int, float]]:
    """(which period, harmonic, radians per frame) of every sine and cosine; none quicker than two frames show."""
    return [
        (number, k, 2 * math.pi * k * task.step / PERIODS[name])
        for number, name in enumerate(task.periods)
        for k in range(1, MOST[name] + 1)
        if 2 * k * task.step < PERIODS[name]
    ]


def waves(task: Task, told: Tensor, frames: Tensor) -> Tensor:
    """Features of instants around one.

    Args:
        task: with its periods.
        told: (B, F) calendar of one instant (``normalise.calendar``).
        frames: (T,) frames from that instant on; negative ones lie before it.

    Returns:
        (B, T, K): a one, then a sine and a cosine for each of ``turns``.
    """
    angles = []
    for number, k, each in turns(task):
        first = 2 * HARMONICS * number  # the sine of the period's first harmonic, its cosine behind it
        start = torch.atan2(told[:, first], told[:, first + 1])
        angles.append(k * start[:, None] + each * frames)
    found = torch.stack(angles, -1)  # (B, T, K)
    return torch.cat([torch.ones_like(found[..., :1]), found.sin(), found.cos()], -1)


class Season(nn.Module):
    """A harmonic climatology of every place, normalised; zeros until ``learn`` was called.

    Args:
        task: with periods, on a fixed grid.
    """

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task = task
        count = 1 + 2 * len(turns(task))
        self.register_buffer("season", torch.zeros(count, len(task.variables), *task.size))

    def forward(self, told: Tensor, size: tuple[int, int]) -> Tensor:
        """(B, F) calendar of the first forecast frame -> (B, T_in + T_out, C, H, W) usual values."""
        task = self.task
        table: Tensor = self.season  # type: ignore[assignment]
        if size != task.size:
            table = F.interpolate(table, size, mode="bilinear", align_corners=False)
        frames = torch.arange(-task.frames_in, task.frames_out, device=told.device)
        return torch.einsum("btk,kchw->btchw", waves(task, told, frames), table)

    @torch.no_grad()
    def learn(self, series: Series) -> None:
        """Least squares over the training part; a place without a known value keeps zeros, the training mean."""
        table: Tensor = self.season  # type: ignore[assignment]
        count, flat = len(table), table.flatten(1)
        longest = max(last - first for _, first, last in series.ranges()["train"])
        each = max(1, PIECE // (longest * count))
        for place in range(0, flat.shape[1], each):
            flat[:, place : place + each] = self._solved(series, slice(place, place + each)).T
        table.copy_(flat.view_as(table))

    def _solved(self, series: Series, part: slice) -> Tensor:
        """(P, K) coefficients of some places."""
        task, gram, right = series.task, None, None
        for (segment, first, _), (values, known) in zip(
            series.ranges()["train"], series.training_frames(), strict=True
        ):
            instant = instant_of(series, segment, first)
            if instant is None:
                continue
            x = waves(task, calendar(task, [instant]), torch.arange(len(values)))[0].double()  # (T, K)
            weight = known.expand_as(values).flatten(1)[:, part].double()  # (T, P)
            y = torch.where(known, normalised(task, values), 0.0).flatten(1)[:, part].double() * weight
            a, b = torch.einsum("tk,tp,tl->pkl", x, weight, x), (x.T @ y).T
            gram, right = (a, b) if gram is None or right is None else (gram + a, right + b)
        if gram is None or right is None:
            return torch.zeros(len(range(*part.indices(self.season[0].numel()))), len(self.season))  # type: ignore[arg-type,index]
        scale = gram.diagonal(dim1=1, dim2=2).mean(1).clamp(min=1e-9)[:, None, None]
        eye = torch.eye(gram.shape[-1], dtype=torch.float64)
        return torch.linalg.solve(gram + RIDGE * scale * eye, right[..., None])[..., 0].float()
