"""Trajectories: a transformer over displacement, time step, speed and turning, ragged in a batch.

Each step is described twice: in the mover's own frame (length, turning, place along and across the whole way), which
does not know where north is, and absolutely (heading, longitude, latitude, time of day), where the item says so.
A long trajectory is not cut: its steps are gathered into segments that keep mean, extreme and spread. The token of the
whole way holds the rates of change of heading, speed and stops of Zheng et al. (Ubicomp 2008), among other statistics.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..items import Trajectory
from ..modality import Modality, pad, register
from ._augment import track
from ._frame import others_in, own_frame
from .base import Encoder, Tokens
from .road import Road
from .vit import Transformer, positions_1d

OCTAVES = 4  # of longitude and latitude: periods of 360° to 45°
STEP = 20 + 4 * OCTAVES + 1 + 6  # numbers per step
SUMMARY = 38  # numbers per trajectory
_FLOOR = 1e-2  # of logarithms
_PLACES = 8  # of a way's own numbers
_LEVELS = 9  # quantiles of its steps
_SPEEDS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0, 9.0, 12.0, 15.0, 20.0, 30.0)  # m/s: on foot, by bicycle, car, train
_TIMED = 19  # of a step: are there times?
_BENT = (3, 4, 5, 8, 9, 10, 11)  # of a step: speed, its maximum and spread, turns, accelerations, straightness
_WAVES = 6  # cosines of each of these
_LOW, _HIGH = -1.0, 1.5  # between which they lie, mostly
ROAD = STEP + len(_BENT) * _WAVES + SUMMARY  # numbers per token that the road reads
_STOPPED = 0.5  # m/s: slower than this a person or a vehicle stands
_TURN = np.deg2rad(20.0)  # a change of heading worth counting
_QUANTILES = (5, 25, 50, 75, 95)


class _Steps(NamedTuple):
    """The N − 1 steps between N fixes, in metres, seconds and radians."""

    east: np.ndarray
    north: np.ndarray
    length: np.ndarray
    duration: np.ndarray
    speed: np.ndarray  # m/s
    acceleration: np.ndarray  # m/s², 0 at the first step
    turn: np.ndarray  # change of heading in (−π, π], NaN where the mover stood still before or after
    climb: np.ndarray  # metres, 0 where no height is known
    timed: bool  # False where all fixes have one time


def _log(values: Any, floor: float = _FLOOR) -> np.ndarray:
    """log10 with a floor, halved: metres, seconds and m/s all land within a few units of zero."""
    return np.log10(np.asarray(values) + floor) / 2


def displacements(item: Trajectory) -> tuple[np.ndarray, np.ndarray]:
    """(N − 1,) metres east and metres north between consecutive fixes; geodesics of WGS 84 where positions are degrees.

    Steps are taken one by one, so the antimeridian and the poles need no care.
    """
    metres = metres_between(item, item.positions[:-1, :2], item.positions[1:, :2])
    return metres[:, 0], metres[:, 1]


def metres_between(item: Trajectory, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """(…, 2) metres east and north from each place to another: (…, 2) each, in the trajectory's coordinates."""
    if item.geographic:
        from pyproj import Geod

        start, end = np.broadcast_arrays(start, end)
        azimuth, _, metres = Geod(ellps="WGS84").inv(start[..., 0], start[..., 1], end[..., 0], end[..., 1])
        angle = np.deg2rad(azimuth)
        return np.stack([metres * np.sin(angle), metres * np.cos(angle)], -1)
    factor = 1.0
    if item.crs != "metres":
        from pyproj import CRS

        factor = float(CRS(item.crs).axis_info[0].unit_conversion_factor)  # feet, kilometres -> metres
    return (end - start) * factor


def _steps(item: Trajectory) -> _Steps:
    east, north = displacements(item)
    length = np.hypot(east, north)
    duration = np.diff(item.time)
    timed = bool((duration > 0).any())
    # Two fixes of one instant happen (rounded clocks): a typical step's time keeps the speed finite.
    typical = float(np.median(duration[duration > 0])) if timed else 1.0
    seconds = np.where(duration > 0, duration, typical)
    speed = length / seconds
    acceleration = np.r_[0.0, np.diff(speed) / ((seconds[1:] + seconds[:-1]) / 2)]
    moved = length > 1e-3
    heading = np.where(moved, np.arctan2(north, east), np.nan)
    change = np.diff(heading)
    turn = np.r_[np.nan, np.arctan2(np.sin(change), np.cos(change))]
    climb = np.diff(item.positions[:, 2]) if item.positions.shape[1] == 3 else np.zeros(len(east))
    return _Steps(east, north, length, duration, speed, acceleration, turn, climb, timed)


def _daily(item: Trajectory, name: str, period: float, first: np.ndarray) -> np.ndarray:
    """(M, 3): sine, cosine and presence of a cyclic feature at the segments' first fixes."""
    if name not in item.features:
        return np.zeros((len(first), 3))
    values = np.asarray(item.features[name], np.float64)[first]
    real = np.isfinite(values)
    angle = np.where(real, values, 0) * (2 * np.pi / period)
    return np.stack([np.sin(angle) * real, np.cos(angle) * real, real], 1)


def _firsts(count: int, fixes: int) -> np.ndarray:
    """(M,) the first step of each of at most ``fixes`` segments of ``count`` steps."""
    return np.linspace(0, count, min(count, fixes), endpoint=False).astype(np.int64)


def _segments(item: Trajectory, steps: _Steps, fixes: int) -> np.ndarray:
    """(M, STEP): the steps, or where there are more than ``fixes``, as many runs of steps with their statistics."""
    count = len(steps.length)
    first = _firsts(count, fixes)
    parts = len(first)
    size = np.diff(np.r_[first, count])
    total = lambda values: np.add.reduceat(values, first)  # noqa: E731
    largest = lambda values: np.maximum.reduceat(values, first)  # noqa: E731
    east, north, length = total(steps.east), total(steps.north), total(steps.length)
    net = np.hypot(east, north)
    logs = _log(steps.speed)
    spread = np.sqrt(np.maximum(total(logs**2) / size - (total(logs) / size) ** 2, 0))
    known = np.isfinite(steps.turn)
    turn = np.where(known, steps.turn, 0.0)
    turns = np.maximum(total(known.astype(np.float64)), 1)
    moved = net > 1e-3
    safe = np.where(moved, net, 1.0)
    # The frame of the whole way: along the line from start to end, in units of its largest extent.
    x, y = np.r_[0.0, np.cumsum(steps.east)], np.r_[0.0, np.cumsum(steps.north)]
    reach = float(np.hypot(x, y).max()) or 1.0
    span = float(np.hypot(x[-1], y[-1]))
    ahead = (x[-1] / span, y[-1] / span) if span > 1e-3 else (1.0, 0.0)
    middle = first + size // 2
    along = (x[middle] * ahead[0] + y[middle] * ahead[1]) / reach
    across = (y[middle] * ahead[0] - x[middle] * ahead[1]) / reach
    height = item.positions.shape[1] == 3
    duration = total(steps.duration)
    speed = np.where(duration > 0, length / np.where(duration > 0, duration, 1.0), total(steps.speed) / size)
    columns = [
        _log(length),
        _log(net),
        _log(duration) * steps.timed,
        _log(speed) * steps.timed,
        _log(largest(steps.speed)) * steps.timed,
        spread,
        total(np.sin(turn) * known) / turns,
        total(np.cos(turn) * known) / turns,
        total(np.abs(turn)) / turns / np.pi,
        np.arcsinh(total(steps.acceleration) / size) * steps.timed,
        np.arcsinh(largest(np.abs(steps.acceleration))) * steps.timed,
        net / np.maximum(length, 1e-3),
        np.log10(size),
        np.where(moved, east / safe, 0.0),
        np.where(moved, north / safe, 0.0),
        along,
        across,
        np.arcsinh(total(steps.climb)) / 2,
        np.full(parts, float(height)),
        np.full(parts, float(steps.timed)),
    ]
    place = np.zeros((parts, 4 * OCTAVES + 1))
    if item.geographic:
        angles = np.deg2rad(item.positions[first, :2])[:, None] * 2.0 ** np.arange(OCTAVES)[:, None]  # (M, octave, 2)
        place[:, :-1] = np.concatenate([np.sin(angles), np.cos(angles)], -1).reshape(parts, -1)
        place[:, -1] = 1.0
    clock = [_daily(item, "time_of_day", 86_400.0, first), _daily(item, "day_of_year", 365.25, first)]
    return np.concatenate([np.stack(columns, 1), place, *clock], 1).astype(np.float32)


def _summary(item: Trajectory, steps: _Steps) -> np.ndarray:
    """(SUMMARY,) statistics of the whole way, none of which one wild fix can move far."""
    length, duration = float(steps.length.sum()), float(steps.duration.sum())
    x, y = np.r_[0.0, np.cumsum(steps.east)], np.r_[0.0, np.cumsum(steps.north)]
    known = np.isfinite(steps.turn)
    turns = np.abs(steps.turn[known]) if known.any() else np.zeros(1)
    change = np.abs(np.diff(steps.speed)) / np.maximum(steps.speed[:-1], 0.1) if len(steps.speed) > 1 else np.zeros(1)
    height = item.positions.shape[1] == 3
    per = max(length / 1000, 1e-2)  # kilometres: Zheng's rates are counts over distance
    timed = float(steps.timed)
    return np.r_[
        np.percentile(_log(steps.speed), _QUANTILES) * timed,
        np.percentile(np.arcsinh(steps.acceleration), _QUANTILES) * timed,
        np.percentile(turns, _QUANTILES) / np.pi,
        np.percentile(_log(steps.duration), _QUANTILES) * timed,
        np.percentile(_log(steps.length), _QUANTILES),
        _log(length),
        _log(duration) * timed,
        _log(length / duration) if timed else 0.0,
        np.hypot(x[-1], y[-1]) / max(length, 1e-3),  # straightness
        _log(np.hypot(x - x.mean(), y - y.mean()).mean()),  # about the radius of gyration
        np.log10(len(x)) / 2,
        (steps.speed < _STOPPED).mean() * timed,
        _log((turns > _TURN).sum() / per),  # heading change rate
        _log((steps.speed < _STOPPED).sum() / per) * timed,  # stop rate
        _log((change > 0.3).sum() / per) * timed,  # velocity change rate
        np.arcsinh(np.ptp(item.positions[:, 2])) / 2 if height else 0.0,
        float(height),
        timed,
    ].astype(np.float32)


def prepare(item: Trajectory, *, fixes: int = 256) -> dict[str, Tensor]:
    """A trajectory of any length -> at most ``fixes`` steps and a summary.

    An item's features "time_of_day" (seconds since midnight) and "day_of_year" (1 to 366) are used where present;
    ``Trajectory.time`` counts from the first fix and does not hold them.

    Returns:
        "steps" (M, F), M = min(N − 1, fixes); "summary" (S,); "others" (K, 6), which heads alone read: the nearest
        others' places at the last fix, velocities and velocities against the item's own, in metres and seconds of the
        item's own frame, NaN where a velocity is not known; K = 0 where nothing is known of others.
    """
    steps = _steps(item)
    return {
        "steps": torch.from_numpy(_segments(item, steps, fixes)),
        "summary": torch.from_numpy(_summary(item, steps)),
        "others": torch.from_numpy(_others(item)),
    }


def _others(item: Trajectory) -> np.ndarray:
    """(K, 6) float32, see ``prepare``."""
    count = len(item.positions)
    if item.others is None or not len(item.others):
        return np.zeros((0, 6), np.float32)
    metres, matrix = own_frame(item, count)
    there = others_in(item, count, matrix)
    assert there is not None
    seconds = float(item.time[-1] - item.time[-2]) or 1.0
    velocity, own = (there[:, -1] - there[:, -2]) / seconds, (metres[-1] - metres[-2]) / seconds
    return np.concatenate([there[:, -1], velocity, velocity - own], 1).astype(np.float32)


def spread(values: Tensor, item: Trajectory, *, fixes: int = 256) -> Tensor:
    """Values (1 + M, X) at the tokens, the whole way's first -> (N, X) at the fixes; the last step holds two."""
    count = len(item.positions) - 1
    segment = np.searchsorted(_firsts(count, fixes), np.r_[np.arange(count), count - 1], side="right")
    return values[torch.from_numpy(segment).to(values.device)]


def collate(samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Steps are padded to the longest, with a ``mask`` (B, M); summaries are stacked; others, where there are any,
    are padded with NaN.
    """
    batch = pad([{"steps": sample["steps"]} for sample in samples])
    others = [sample["others"] for sample in samples]
    most = max(map(len, others))
    if most:
        batch["others"] = torch.stack([F.pad(one, (0, 0, 0, most - len(one)), value=torch.nan) for one in others])
    return {**batch, "summary": torch.stack([sample["summary"] for sample in samples])}


def own_numbers(steps: Tensor, summary: Tensor, mask: Tensor, **_: Tensor) -> Tensor:
    """(B, S + 121): the statistics of the whole way, what its steps are like, and its places and steps.

    Nine quantiles of speed, turning, acceleration and straightness over the steps (or segments of steps), and the
    shares of the time and of the length that are gone at 14 ranges of speed: NaN for a way of fewer than nine steps,
    the shares also for one without times. Eight places evenly along the fixes, in metres from the last one, and the way
    from each to the next, as they are: of eight fixes they are all there is to know.
    """
    net = 10.0 ** (2 * steps[..., 1]) - _FLOOR
    step = (steps[..., 13:15] * net.clamp(min=0)[..., None]).masked_fill(~mask[..., None], 0.0)  # (B, M, 2) metres
    way = F.pad(step.cumsum(1), (0, 0, 1, 0))  # (B, 1 + M, 2); padding stays at the last fix
    where = mask.sum(1, keepdim=True) * torch.linspace(0, 1, _PLACES, device=steps.device)  # (B, 8) in fixes
    before = where.floor().long().clamp(max=steps.shape[1])
    after = where.ceil().long().clamp(max=steps.shape[1])
    row = torch.arange(len(steps), device=steps.device)[:, None]
    places = torch.lerp(way[row, before], way[row, after], (where - before)[..., None])
    places = places - places[:, -1:]
    long = (mask & (mask.sum(1, keepdim=True) >= _LEVELS))[..., None]
    levels = torch.linspace(0, 1, _LEVELS, device=steps.device)
    like = steps[..., _BENT].masked_fill(~long, torch.nan).nanquantile(levels, dim=1).movedim(0, -1)  # (B, 7, 9)
    shares = _by_speed(steps, long[..., 0] & (steps[..., _TIMED] > 0))
    return torch.cat([summary, like.flatten(1), shares, places.flatten(1), places.diff(dim=1).flatten(1)], 1)


def _by_speed(steps: Tensor, real: Tensor) -> Tensor:
    """(B, M, F) steps, (B, M) bool which count -> (B, 28) shares of time, then of length, by speed; NaN where none."""
    length, duration, speed = (10.0 ** (2 * steps[..., place]) - _FLOOR for place in (0, 2, 3))
    index = torch.bucketize(speed, torch.tensor(_SPEEDS, device=steps.device), right=True)
    shares = []
    for amount in (duration, length):
        weight = amount.clamp(min=0) * real
        total = weight.new_zeros(len(steps), len(_SPEEDS) + 1).scatter_add_(1, index, weight)
        shares.append(total / total.sum(1, keepdim=True))  # 0 / 0 is NaN: nothing is known
    return torch.cat(shares, 1)


class TrajectoryEncoder(Encoder):
    """Input MLP + sinusoidal places + transformer, with a token of the whole way first.

    Args:
        width: D, even.  depth, heads: of the transformer.  drop_path: stochastic depth at the last block.
        moments: is there a linear road past the transformer (``road.py``)?
    """

    def __init__(
        self, width: int = 128, depth: int = 4, heads: int = 4, drop_path: float = 0.0, moments: bool = False
    ) -> None:
        super().__init__()
        self.width = width
        self.step = nn.Sequential(nn.Linear(STEP, width), nn.GELU(), nn.Linear(width, width))
        self.whole = nn.Sequential(nn.Linear(SUMMARY, width), nn.GELU(), nn.Linear(width, width))
        self.blocks = Transformer(width, depth, heads, drop_path=drop_path)
        self.moments = Road(ROAD, width) if moments else None

    def forward(  # type: ignore[override]
        self, steps: Tensor, summary: Tensor, mask: Tensor, others: Tensor | None = None
    ) -> Tokens:
        """(B, M, F), (B, S), (B, M) -> Tokens (B, 1 + M, D); ``others`` is for heads, which attend to them."""
        road = None if self.moments is None else self.moments(self.road_numbers(steps, summary, mask)[0])
        tokens = self.step(steps)
        places = torch.arange(steps.shape[1], device=steps.device)
        tokens = tokens + positions_1d(places, self.width).to(tokens.dtype)
        tokens = torch.cat([self.whole(summary)[:, None].to(tokens.dtype), tokens], 1)
        mask = F.pad(mask, (1, 0), value=True)
        features = self.blocks(tokens, mask)
        return Tokens(features if road is None else features + road, mask)

    @staticmethod
    def road_numbers(steps: Tensor, summary: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """What ``moments`` reads of one collated batch: (B, 1 + M, ROAD), and the tokens' mask.

        Each step's numbers, cosines whose mean over the steps is a distribution, and the statistics of the whole way;
        the token of the whole way has the steps' means.
        """
        steps, summary = steps.detach().float(), summary.detach().float()
        place = ((steps[..., _BENT] - _LOW) / (_HIGH - _LOW)).clamp(0, 1)
        order = torch.arange(1, _WAVES + 1, device=steps.device)
        waves = torch.cos(torch.pi * order * place[..., None]).flatten(2)
        each = torch.cat([steps, waves], -1) * mask[..., None]
        mean = each.sum(1, keepdim=True) / mask.sum(1).clamp(min=1)[:, None, None]
        each = torch.cat([mean, each], 1)
        numbers = torch.cat([each, summary[:, None].expand(-1, each.shape[1], -1)], -1)
        return numbers, F.pad(mask, (1, 0), value=True)


def recognises(item: Any) -> bool:
    """Every trajectory."""
    return isinstance(item, Trajectory)


register(
    Modality(
        name="trajectory",
        item=Trajectory,
        prepare=prepare,
        encoder=TrajectoryEncoder,
        prompt="The path of something that moves, step by step:",
        recognises=recognises,
        collate=collate,
        spread=spread,
        input={"fixes": 256},
        config={"width": 128, "depth": 4, "heads": 4, "drop_path": 0.0, "moments": True},
        augment=track,
        numbers=own_numbers,
    )
)
