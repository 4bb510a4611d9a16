"""Where a field would be if it went on moving as it did: dense optical flow and semi-Lagrangian carrying, in torch.

The flow is that of Lucas and Kanade (IJCAI 1981), coarse to fine and iterated, with Gaussian windows and all of the
last pairs of frames at once. Where a window has no texture of its own, the solution leans on the whole picture's: the
normal equations of every place get a share of their mean.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

PAIRS = 3  # of frames that the flow is found from
SIGMA = 8.0  # pixels of the window, on each level
FINEST = 64  # pixels of the shorter side on the finest level, about
ROUNDS = (6, 4)  # of the coarse and of the finest level
LEAN = 0.1  # share of the whole picture's equations
STEP = 2.0  # pixels that one round may move


def _places(high: int, wide: int, like: Tensor) -> Tensor:
    """(2, H, W): rows and columns."""
    rows, columns = torch.arange(high, device=like.device), torch.arange(wide, device=like.device)
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij")).to(like.dtype)


def sampled(field: Tensor, places: Tensor) -> Tensor:
    """(B, C, H, W) at (B, 2, H', W') rows and columns, bilinear; the edge goes on outside."""
    high, wide = field.shape[-2:]
    scale = places.new_tensor([2 / max(high - 1, 1), 2 / max(wide - 1, 1)]).view(1, 2, 1, 1)
    grid = (places * scale - 1).flip(1).permute(0, 2, 3, 1)  # grid_sample wants (x, y) in [-1, 1]
    return F.grid_sample(field, grid, mode="bilinear", padding_mode="border", align_corners=True)


def _blurred(x: Tensor) -> Tensor:
    radius = min(int(2 * SIGMA), min(x.shape[-2:]) - 1)
    line = torch.exp(-0.5 * (torch.arange(-radius, radius + 1, device=x.device, dtype=x.dtype) / SIGMA) ** 2)
    line = (line / line.sum()).expand(x.shape[1], 1, -1)
    x = F.conv2d(F.pad(x, (radius, radius, 0, 0), mode="reflect"), line[:, :, None], groups=x.shape[1])
    return F.conv2d(F.pad(x, (0, 0, radius, radius), mode="reflect"), line[..., None], groups=x.shape[1])


def _round(first: Tensor, second: Tensor, flow: Tensor, places: Tensor) -> Tensor:
    """One step of Lucas-Kanade: (B, P, H, W) pairs and (B, 2, H, W) -> the flow, better."""
    moved = sampled(first, places - flow)
    down = (moved.roll(-1, -2) - moved.roll(1, -2)) / 2
    right = (moved.roll(-1, -1) - moved.roll(1, -1)) / 2
    down[..., [0, -1], :] = 0  # nothing to the other side of the edge
    right[..., [0, -1]] = 0
    lack = moved - second
    parts = [down * down, down * right, right * right, down * lack, right * lack]
    sums = torch.stack([part.sum(1) for part in parts], 1)  # over the pairs: (B, 5, H, W)
    whole = sums.mean((-2, -1), keepdim=True)
    a, b, c, p, q = (_blurred(sums) + LEAN * whole).unbind(1)
    ridge = 1e-4 * (whole[:, 0] + whole[:, 2]) + 1e-9
    a, c = a + ridge, c + ridge
    det = a * c - b * b
    step = torch.stack([c * p - b * q, a * q - b * p], 1) / det[:, None]
    return flow + step.clamp(-STEP, STEP)


@torch.no_grad()
def flow_of(frames: Tensor) -> Tensor:
    """The motion of the last frames.

    Args:
        frames: (B, T, H, W), T at least 2.

    Returns:
        (B, 2, H, W) rows and columns a frame: what is at a place came from that place minus the flow.
    """
    high, wide = frames.shape[-2:]
    frames = frames[:, -(PAIRS + 1) :].float()
    finest = max(1, round(min(high, wide) / FINEST))
    flow: Tensor | None = None
    for factor, rounds in zip((2 * finest, finest), ROUNDS, strict=True):
        size = (max(-(-high // factor), 2), max(-(-wide // factor), 2))
        small = F.adaptive_avg_pool2d(frames, size) if factor > 1 else frames
        places = _places(small.shape[-2], small.shape[-1], small)
        if flow is None:
            flow = small.new_zeros(len(small), 2, *small.shape[-2:])
        else:
            flow = 2 * F.interpolate(flow, small.shape[-2:], mode="bilinear", align_corners=False)
        for _ in range(rounds):
            flow = _round(small[:, :-1], small[:, 1:], flow, places)
    assert flow is not None
    return finest * F.interpolate(flow, (high, wide), mode="bilinear", align_corners=False) if finest > 1 else flow


@torch.no_grad()
def carried(frames: Tensor, steps: int) -> Tensor:
    """The last of (B, T, C, H, W) frames moved on: (B, steps, C, H, W). The first channel says how things move."""
    last = frames[:, -1].float()
    if frames.shape[1] < 2:
        return last[:, None].repeat(1, steps, 1, 1, 1)
    flow = flow_of(frames[:, :, 0])
    place = _places(last.shape[-2], last.shape[-1], last).expand(len(last), -1, -1, -1)
    found = []
    for _ in range(steps):
        place = place - sampled(flow, place)  # backwards along the flow at the place reached: turning stays turning
        found.append(sampled(last, place))
    return torch.stack(found, 1)
