"""What stands around the trunk for each task: a stem that makes tokens of frames, a decoder that makes frames of
tokens.

Grids: convolutions on each frame (Conv2d, GroupNorm, SiLU), then time folds into channels and becomes the trunk's
width by one linear map; the decoder unfolds it again and goes up by transposed convolutions, with the stem's finest
features as a skip (UniSTD, arXiv 2503.20748; SimVP, arXiv 2206.05099). Sensor networks: the same with diffusion over
the adjacency instead of convolutions (DCRNN, arXiv 1707.01926, equation 2). No layer keeps statistics over a batch.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .tasks import Task


def _groups(channels: int) -> int:
    return next(g for g in (4, 2, 1) if channels % g == 0)


class ConvUnit(nn.Sequential):
    """Convolution, group norm, SiLU; ``up`` makes it a transposed convolution of stride 2."""

    def __init__(self, inside: int, outside: int, stride: int = 1, up: bool = False) -> None:
        conv = (
            nn.ConvTranspose2d(inside, outside, 4, stride=2, padding=1)
            if up
            else nn.Conv2d(inside, outside, 3, stride=stride, padding=1)
        )
        super().__init__(conv, nn.GroupNorm(_groups(outside), outside), nn.SiLU())


class GridStem(nn.Module):
    """Frames of a grid -> tokens.

    Args:
        task: its frames, channels, stride and hidden channels.
        width: D.
    """

    def __init__(self, task: Task, width: int) -> None:
        super().__init__()
        hidden, levels = task.hidden, task.stride.bit_length() - 1
        self.stride = task.stride
        self.first = ConvUnit(2 * len(task.channels), hidden)  # values and where they are known
        self.down = nn.ModuleList(ConvUnit(hidden, hidden, stride=2) for _ in range(levels))
        self.fold = nn.Conv2d(task.frames_in * hidden, width, 1)
        self.norm = nn.LayerNorm(width)

    def forward(self, frames: Tensor, known: Tensor) -> tuple[Tensor, tuple[int, int], Tensor]:
        """(B, T, C, H, W) and bool alike -> (B, h · w, D), (h, w), and the finest features (B, T · hidden, H', W').

        H and W of any size: they are padded on the right and below to a multiple of the stride, with known = False.
        """
        B, T = frames.shape[:2]
        x = torch.cat([frames, known.to(frames.dtype)], 2).flatten(0, 1)
        x = F.pad(x, (0, -x.shape[-1] % self.stride, 0, -x.shape[-2] % self.stride))
        fine = x = self.first(x)
        for layer in self.down:
            x = layer(x)
        x = self.fold(x.reshape(B, -1, *x.shape[-2:]))
        grid = (x.shape[2], x.shape[3])
        return self.norm(x.flatten(2).transpose(1, 2)), grid, fine.reshape(B, -1, *fine.shape[-2:])


class GridDecoder(nn.Module):
    """Tokens -> frames of a grid; T_out and C_out are the record's.

    Args:
        task: its frames, targets, stride and hidden channels.
        width: D.
    """

    def __init__(self, task: Task, width: int) -> None:
        super().__init__()
        hidden, levels = task.hidden, task.stride.bit_length() - 1
        self.frames, self.targets = task.frames_out, len(task.targets)
        self.norm = nn.LayerNorm(width)
        self.unfold = nn.Conv2d(width, task.frames_out * hidden, 1)
        self.up = nn.ModuleList(ConvUnit(hidden, hidden, up=True) for _ in range(levels))
        self.skip = nn.Conv2d(task.frames_in * hidden, hidden, 1)
        self.mix = ConvUnit(2 * hidden, hidden)
        self.out = nn.Conv2d(hidden, self.targets, 3, padding=1)
        nn.init.zeros_(self.out.weight)  # the model starts as its linear path
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, tokens: Tensor, grid: tuple[int, int], fine: Tensor, size: tuple[int, int]) -> Tensor:
        """(B, h · w, D) and the stem's finest features -> (B, T_out, C_out, H, W)."""
        B = tokens.shape[0]
        x = self.norm(tokens).transpose(1, 2).unflatten(2, grid)
        x = self.unfold(x).reshape(B * self.frames, -1, *grid)
        for layer in self.up:
            x = layer(x)
        skip = self.skip(fine).repeat_interleave(self.frames, 0)
        x = self.out(self.mix(torch.cat([x, skip], 1)))
        return x[..., : size[0], : size[1]].reshape(B, self.frames, self.targets, *size)


def diffusion_steps(adjacency: Tensor) -> Tensor:
    """(V, V) weights -> (3, V, V): each sensor itself, and one step of diffusion along and against the edges."""
    forward = adjacency / adjacency.sum(1, keepdim=True).clamp(min=1e-9)
    backward = adjacency.T / adjacency.T.sum(1, keepdim=True).clamp(min=1e-9)
    return torch.stack([torch.eye(len(adjacency), device=adjacency.device), forward, backward])


class Diffusion(nn.Module):
    """One linear map per diffusion step, summed: (B, V, inside) -> (B, V, outside)."""

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.map = nn.Linear(3 * inside, outside)

    def forward(self, x: Tensor, steps: Tensor) -> Tensor:
        """``steps`` (3, V, V) from ``diffusion_steps``."""
        mixed = torch.einsum("kvu,buc->bvkc", steps.to(x.dtype), x)
        return self.map(mixed.flatten(2))


class GraphStem(nn.Module):
    """Frames of a sensor network -> one token per sensor; the network's adjacency is part of the weights."""

    def __init__(self, task: Task, width: int) -> None:
        super().__init__()
        sensors = task.size[0]
        inside = 2 * task.frames_in * len(task.channels)
        self.register_buffer("adjacency", torch.eye(sensors))
        self.first = Diffusion(inside, width)
        self.second = Diffusion(width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, frames: Tensor, known: Tensor) -> tuple[Tensor, tuple[int, int], Tensor]:
        """(B, T, C, V, 1) and bool alike -> (B, V, D), (V, 1), and what the decoder skips to (B, V, D).

        Raises:
            ValueError: another number of sensors than the network has.
        """
        sensors = len(self.adjacency)  # type: ignore[arg-type]
        if frames.shape[-2:] != (sensors, 1):
            raise ValueError(
                f"frames of {tuple(frames.shape[-2:])} places came; this task is a network of {sensors} sensors; give "
                f"(T, C, {sensors}, 1), in the network's order"
            )
        steps = diffusion_steps(self.adjacency)  # type: ignore[arg-type]
        x = torch.cat([frames, known.to(frames.dtype)], 2)[..., 0].flatten(1, 2).transpose(1, 2)  # (B, V, 2TC)
        fine = F.silu(self.first(x, steps))
        return self.norm(fine + self.second(fine, steps)), (sensors, 1), fine


class GraphDecoder(nn.Module):
    """Tokens of sensors -> frames (B, T_out, C_out, V, 1)."""

    def __init__(self, task: Task, width: int) -> None:
        super().__init__()
        self.frames, self.targets = task.frames_out, len(task.targets)
        self.norm = nn.LayerNorm(width)
        self.mix = nn.Linear(2 * width, width)
        self.out = nn.Linear(width, self.frames * self.targets)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, tokens: Tensor, grid: tuple[int, int], fine: Tensor, size: tuple[int, int]) -> Tensor:
        """(B, V, D) and the stem's features -> (B, T_out, C_out, V, 1)."""
        x = self.out(F.silu(self.mix(torch.cat([self.norm(tokens), fine], 2))))  # (B, V, T_out · C_out)
        return x.transpose(1, 2).reshape(tokens.shape[0], self.frames, self.targets, *size)
