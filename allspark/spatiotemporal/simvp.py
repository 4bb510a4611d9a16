"""A convolutional forecaster of SimVP's shape (Gao et al., CVPR 2022, arXiv 2206.05099), one per task: the learned
baseline.

Encoder: convolutions per frame with GroupNorm and SiLU; translator: time folded into channels, blocks of inception-like
grouped convolutions (kernels 3, 5, 7, 11 side by side); decoder: transposed convolutions with a skip from the first
layer. Sensor networks take diffusion over the adjacency in place of convolutions, since there is no grid to convolve.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .stems import ConvUnit, Diffusion, diffusion_steps
from .tasks import Task

KERNELS = (3, 5, 7, 11)


class Inception(nn.Module):
    """1 × 1 down, grouped convolutions of several kernels summed, and a residual."""

    def __init__(self, channels: int, hidden: int, groups: int = 4) -> None:
        super().__init__()
        self.down = nn.Conv2d(channels, hidden, 1)
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(hidden, channels, k, padding=k // 2, groups=groups), nn.GroupNorm(groups, channels), nn.SiLU()
            )
            for k in KERNELS
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same."""
        y = self.down(x)
        return x + torch.stack([branch(y) for branch in self.branches]).sum(0)


class SimVP(nn.Module):
    """The forecaster; its input and output are those of ``UniSTD`` for one task.

    Args:
        task: its record.
        hidden: channels of a frame's features.
        translator: channels of the middle.
        depth: translator blocks.
        adjacency: of a sensor network.
    """

    def __init__(
        self, task: Task, hidden: int = 16, translator: int = 128, depth: int = 4, adjacency: Tensor | None = None
    ) -> None:
        super().__init__()
        self.task = task
        count, targets = len(task.channels), len(task.targets)
        if task.graph:
            if adjacency is None:
                raise ValueError(f"task {task.name!r} is a sensor network; give its adjacency")
            self.register_buffer("steps", diffusion_steps(adjacency))
            self.into = Diffusion(2 * task.frames_in * count, translator)
            self.middle = nn.ModuleList(Diffusion(translator, translator) for _ in range(depth))
            self.out_map = nn.Linear(translator, task.frames_out * targets)
            return
        levels = min(task.stride.bit_length() - 1, 2)
        self.stride = 2**levels
        self.first = ConvUnit(2 * count, hidden)
        self.down = nn.ModuleList(ConvUnit(hidden, hidden, stride=2) for _ in range(levels))
        self.fold = nn.Conv2d(task.frames_in * hidden, translator, 1)
        self.middle = nn.ModuleList(Inception(translator, translator // 2) for _ in range(depth))
        self.unfold = nn.Conv2d(translator, task.frames_out * hidden, 1)
        self.up = nn.ModuleList(ConvUnit(hidden, hidden, up=True) for _ in range(levels))
        self.skip = nn.Conv2d(task.frames_in * hidden, hidden, 1)
        self.mix = ConvUnit(2 * hidden, hidden)
        self.out = nn.Conv2d(hidden, targets, 1)

    def forward(self, name: str, frames: Tensor, known: Tensor, calendar: Tensor) -> Tensor:
        """As ``UniSTD.forward``; the calendar is not used."""
        x = torch.cat([frames, known.to(frames.dtype)], 2)
        B, size = len(x), x.shape[-2:]
        if self.task.graph:
            y = F.silu(self.into(x[..., 0].flatten(1, 2).transpose(1, 2), self.steps))
            for layer in self.middle:
                y = y + F.silu(layer(y, self.steps))
            return self.out_map(y).transpose(1, 2).reshape(B, self.task.frames_out, -1, *size)
        x = F.pad(x.flatten(0, 1), (0, -size[1] % self.stride, 0, -size[0] % self.stride))
        fine = x = self.first(x)
        for layer in self.down:
            x = layer(x)
        x = self.fold(x.reshape(B, -1, *x.shape[-2:]))
        for layer in self.middle:
            x = layer(x)
        x = self.unfold(x).reshape(B * self.task.frames_out, -1, *x.shape[-2:])
        for layer in self.up:
            x = layer(x)
        skip = self.skip(fine.reshape(B, -1, *fine.shape[-2:])).repeat_interleave(self.task.frames_out, 0)
        x = self.out(self.mix(torch.cat([x, skip], 1)))[..., : size[0], : size[1]]
        return x.reshape(B, self.task.frames_out, -1, *size)
