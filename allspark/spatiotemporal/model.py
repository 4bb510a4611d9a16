"""UniSTD (Tang et al., CVPR 2025, arXiv 2503.20748): one frozen trunk, adapted jointly to many forecasting tasks.

    frames (B, T_in, C_in, H, W)
      stem of the task        convolutions per frame, time folded into channels      (B, N, D)
      + positions, places, calendar
      trunk                   frozen ViT blocks, RA-MoE on q, k, v, o, temporal module after each
      decoder of the task     time unfolded, transposed convolutions, skip           (B, T_out, C_out, H, W)
      + linear path           a map from input frames and what is expected to output frames, alike for all places

No forecast frame is fed back. What is ours and not the paper's: the linear path (it starts as persistence, or as a
least squares fit on the training part), told the last frame carried along its flow and the usual values of a fixed
grid's places; the phase of the calendar; and features of places (all by record).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..encoders.vit import positions_2d
from .baselines import shared_linear_map
from .batches import Batch
from .config import UniSTDConfig
from .motion import carried
from .normalise import calendar_size
from .season import Season, turns
from .series import Series
from .stems import GraphDecoder, GraphStem, GridDecoder, GridStem
from .tasks import Task
from .trunk import adapt_trunk, fill_trunk, plain_trunk


class LinearPath(nn.Module):
    """Each output frame and channel as one linear function of what a place measured and of what is expected there.

    What is expected is, by record, the last frame carried along its flow (``motion``); and, for a calendar and a fixed
    grid, the place's harmonic climatology at all instants of the window (``season``), so that it can carry on how far a
    place is from its usual. Where the instant is not known, a second map without the climatology answers.
    """

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.task, self.targets = task, len(task.targets)
        inside, outside = task.frames_in * len(task.channels), task.frames_out * self.targets
        seasonal = bool(turns(task)) and task.places and task.anchor == "none"
        plain = inside + (outside if task.motion else 0)
        self.map = nn.Linear(plain, outside)
        self.season = Season(task) if seasonal else None
        self.seasonal = nn.Linear(plain + inside + outside, outside) if seasonal else None
        for layer in filter(None, (self.map, self.seasonal)):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
            with torch.no_grad():
                for target, name in enumerate(task.targets):
                    if name in task.channels:
                        last = inside - len(task.channels) + task.channels.index(name)
                        layer.weight[target :: self.targets, last] = 1.0  # persistence

    def moved(self, frames: Tensor) -> Tensor:
        """(B, T_in, C, H, W) -> (B, T_out · C, H, W), or (B, 0, H, W) where the record knows no motion."""
        steps = self.task.frames_out if self.task.motion else 0
        return carried(frames, steps).flatten(1, 2) if steps else frames[:, 0, :0]

    def usual(self, calendar: Tensor, size: tuple[int, int]) -> Tensor:
        """(B, F) -> (B, L, H, W): the climatology at the input's and the forecast's instants."""
        assert self.season is not None
        task, found = self.task, self.season(calendar, size)
        inputs, targets = found[:, : task.frames_in, : len(task.channels)], found[:, task.frames_in :]
        return torch.cat([inputs.flatten(1, 2), targets[:, :, task.target_index()].flatten(1, 2)], 1)

    def forward(self, frames: Tensor, calendar: Tensor) -> Tensor:
        """(B, T_in, C_in, H, W) and (B, F) -> (B, T_out, C_out, H, W)."""
        with torch.autocast(frames.device.type, enabled=False):  # it carries the field itself: eight bits are too few
            frames = frames.float()
            x = torch.cat([frames.flatten(1, 2), self.moved(frames)], 1)
            found = self.map(x.movedim(1, -1)).movedim(-1, 1)
            if self.seasonal is not None:
                told = torch.cat([x, self.usual(calendar, (frames.shape[-2], frames.shape[-1]))], 1)
                known = instant_known(calendar)[:, :, None, None]
                found = torch.where(known, self.seasonal(told.movedim(1, -1)).movedim(-1, 1), found)
        return found.unflatten(1, (self.task.frames_out, self.targets))

    @torch.no_grad()
    def start(self, series: Series) -> None:
        """Set both maps to their least squares fit on the training part."""
        size = series.task.size

        def moved(batch: Batch) -> Tensor:
            return self.moved(batch.prepared.frames)

        def expected(batch: Batch) -> Tensor:
            return torch.cat([moved(batch), self.usual(batch.prepared.calendar, size)], 1)

        weight, bias = shared_linear_map(series, more=moved)
        self.map.weight.copy_(weight)
        self.map.bias.copy_(bias)
        if self.season is not None and self.seasonal is not None:
            self.season.learn(series)
            weight, bias = shared_linear_map(series, more=expected)
            self.seasonal.weight.copy_(weight)
            self.seasonal.bias.copy_(bias)


def instant_known(calendar: Tensor) -> Tensor:
    """(B, F) -> (B, 1) bool: a calendar of zeros is that of an unknown instant."""
    return calendar.abs().sum(1, keepdim=True) > 0


class TaskParts(nn.Module):
    """What one task has of its own: stem, decoder, linear path, calendar, places.

    Args:
        task: its record.
        width: D of the trunk.
        linear: with a linear path?
    """

    def __init__(self, task: Task, width: int, linear: bool = True) -> None:
        super().__init__()
        self.task = task
        self.stem = GraphStem(task, width) if task.graph else GridStem(task, width)
        self.decoder = GraphDecoder(task, width) if task.graph else GridDecoder(task, width)
        self.linear = LinearPath(task) if linear else None
        self.register_buffer("share", torch.tensor(1.0))  # of the network beside the linear path (``weigh``)
        self.calendar = (
            nn.Sequential(nn.Linear(calendar_size(task), width), nn.SiLU(), nn.Linear(width, width))
            if task.periods
            else None
        )
        self.places = nn.Embedding(task.grid[0] * task.grid[1], width) if task.places else None
        if self.places is not None:
            nn.init.normal_(self.places.weight, std=0.02)

    def codes(self, grid: tuple[int, int], width: int, calendar: Tensor) -> Tensor:
        """What is added to the tokens: (B or 1, h · w, D) of position, place and calendar."""
        codes = (
            calendar.new_zeros(1, grid[0] * grid[1], width)
            if self.task.graph  # the order of sensors means nothing
            else positions_2d(*grid, width, calendar.device)[None]
        )
        if self.places is not None:
            table = self.places.weight
            if grid != self.task.grid:  # another extent than in training: the nearest that can be said of its places
                shaped = table.T.reshape(1, width, *self.task.grid)
                table = F.interpolate(shaped, grid, mode="bilinear", align_corners=False)[0].flatten(1).T
            codes = codes + table
        if self.calendar is not None:
            codes = codes + (self.calendar(calendar) * instant_known(calendar))[:, None]  # else it adds nothing
        return codes


class UniSTD(nn.Module):
    """One trunk, many tasks.

    Args:
        config: with its tasks' records.
        blocks: pretrained blocks of the trunk (``trunk.encoder_blocks``, ``trunk.vit_blocks``), else random ones.
        seed: of the random weights; torch's own random state is left as it was.
    """

    def __init__(self, config: UniSTDConfig, blocks: Sequence[dict[str, Tensor]] | None = None, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.config = config
            trunk = plain_trunk(config)
            if blocks:
                fill_trunk(trunk, list(blocks))
            self.trunk = adapt_trunk(trunk, config)
            self.parts = nn.ModuleDict(
                {name: TaskParts(task, config.width, config.linear) for name, task in config.tasks.items()}
            )

    def task_parts(self, name: str) -> TaskParts:
        """What belongs to one task; ValueError lists the known ones."""
        if name not in self.parts:
            raise ValueError(f"there is no task {name!r}; wanted one of {', '.join(self.parts)}; adapt() adds your own")
        parts: TaskParts = self.parts[name]  # type: ignore[assignment]
        return parts

    def forward(self, name: str, frames: Tensor, known: Tensor, calendar: Tensor) -> Tensor:
        """Forecast one batch of one task, normalised (``normalise.prepare`` and ``restore``).

        Args:
            name: of the task.
            frames: (B, T_in, C_in, H, W), finite.
            known: likewise, bool.
            calendar: (B, F); zeros where the instant is not known.

        Returns:
            (B, T_out, C_out, H, W).

        Raises:
            ValueError: an unknown task, or another number of frames or channels than its record says.
        """
        parts = self.task_parts(name)
        task = parts.task
        if frames.ndim != 5 or frames.shape[1:3] != (task.frames_in, len(task.channels)):
            raise ValueError(
                f"a batch of shape {tuple(frames.shape)} came for {name!r}; wanted (B, {task.frames_in}, "
                f"{len(task.channels)}, H, W): {task.frames_in} frames of {', '.join(task.channels)}"
            )
        tokens, grid, fine = parts.stem(frames, known)
        tokens = tokens + parts.codes(grid, tokens.shape[-1], calendar).to(tokens.dtype)
        for block in self.trunk:
            tokens = block(tokens)
        size = (frames.shape[-2], frames.shape[-1])
        output = parts.decoder(tokens, grid, fine, size)
        return output if parts.linear is None else parts.share * output + parts.linear(frames, calendar)

    def learning(self) -> list[tuple[str, nn.Parameter]]:
        """(name, parameter) of everything that learns."""
        return [(name, p) for name, p in self.named_parameters() if p.requires_grad]
