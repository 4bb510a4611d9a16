"""Pictures of a cloud from two sides, read by the first stages of an image network: a module, not a modality.

A network that has seen ImageNet tells shapes apart that no training cloud resembles (PointCLIP, Zhang et al., CVPR
2022, reads depth pictures with CLIP). Here it is small and stands still: four stages of EfficientNet-Lite0 look at
64 × 64 pixels, once along the y axis and once along the x axis, from half a radian above.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .lite import STAGES, LiteFeatures

SIDE = 64  # pixels
SIDES = (0.0, math.pi / 2)  # azimuths of the views
ABOVE = 0.5  # radians of elevation
DISC = 5  # pixels across of a point
FILL = 0.8  # of a picture that the cloud takes up
FARTHEST = 0.35  # brightness of the farthest point; the nearest is 1, where nothing is 0
RELIEF = 8.0  # steepness of the surface, in the second and third band
READ = 4  # stages of the network
SCALE = 0.1  # of what it says: numbers of the size of shares and cosines, which stand beside them
NUMBERS = 2 * STAGES[READ - 1][-1]  # mean and maximum over the views


def pictures(points: Tensor, centres: Tensor) -> Tensor:
    """Prepared groups -> (B, V, 3, S, S) from 0 to 1: nearness, and its slope to the right and downwards.

    Args:
        points: (B, G, K, 3 + F): offsets in units of a usual group's radius, features.
        centres: (B, G, 3) in units of the cloud's radius.
    """
    with torch.autocast(points.device.type, enabled=False):
        xyz = (centres.float()[:, :, None] + points[..., :3].float() / centres.shape[1] ** 0.5).flatten(1, 2)
        xyz = xyz - (xyz.amax(1, keepdim=True) + xyz.amin(1, keepdim=True)) / 2
        near = torch.stack([_nearness(xyz, azimuth) for azimuth in SIDES], 1).flatten(0, 1)
        near = F.max_pool2d(near, DISC, 1, DISC // 2)
        there = (near > 0).float()
        row = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0], device=near.device) / 16
        kernel = (row[:, None] * row)[None, None]
        share = F.conv2d(there, kernel, padding=2).clamp_min(1e-6)
        near = F.conv2d(near, kernel, padding=2) / share * there
        across = F.pad(near[..., 1:] - near[..., :-1], (0, 1))
        down = F.pad(near[..., 1:, :] - near[..., :-1, :], (0, 0, 0, 1))
        slopes = [(0.5 + RELIEF * slope).clamp(0, 1) * there for slope in (across, down)]
        return torch.cat([near, *slopes], 1).unflatten(0, (len(points), len(SIDES)))


def _nearness(xyz: Tensor, azimuth: float) -> Tensor:
    """(B, P, 3) about their middle -> (B, 1, S, S): how near the nearest point of each pixel is, 0 where there is none.

    An orthographic view; every cloud fills its picture.
    """
    cos, sin, rise, level = math.cos(azimuth), math.sin(azimuth), math.sin(ABOVE), math.cos(ABOVE)
    right, back = cos * xyz[..., 0] + sin * xyz[..., 1], cos * xyz[..., 1] - sin * xyz[..., 0]
    up, near = rise * back + level * xyz[..., 2], rise * xyz[..., 2] - level * back
    widest = torch.maximum(right.abs().amax(1), up.abs().amax(1)).clamp_min(1e-6)[:, None]
    column, row = (
        ((1 + FILL * place / widest) / 2 * (SIDE - 1)).round().long().clamp(0, SIDE - 1) for place in (right, -up)
    )
    low, high = near.amin(1, keepdim=True), near.amax(1, keepdim=True)
    near = FARTHEST + (1 - FARTHEST) * (near - low) / (high - low).clamp_min(1e-6)
    empty = xyz.new_zeros(len(xyz), SIDE * SIDE)
    return empty.scatter_reduce(1, row * SIDE + column, near, "amax").view(-1, 1, SIDE, SIDE)


class DepthPictures(nn.Module):
    """What the network says of a cloud's pictures. All of it is buffers: whatever trains an encoder leaves it alone."""

    def __init__(self) -> None:
        super().__init__()
        self.net = LiteFeatures(READ)
        for module in self.net.modules():
            for name, value in list(module.named_parameters(recurse=False)):
                delattr(module, name)
                module.register_buffer(name, value.detach())
        self.eval()

    def train(self, mode: bool = True) -> DepthPictures:
        """Stays in evaluation mode: what a cloud's pictures say must not depend on the rest of the batch."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, points: Tensor, centres: Tensor) -> Tensor:
        """(B, G, K, 3 + F), (B, G, 3) as `pictures` takes them -> (B, NUMBERS) float32."""
        shown = (pictures(points, centres) * 255 - 127) / 128
        shown = shown.flatten(0, 1).to(self.net.conv_stem.weight.dtype)
        last = self.net(shown.contiguous(memory_format=torch.channels_last))[-1]
        said = SCALE * last.float().mean((2, 3))
        said = said.unflatten(0, (len(points), len(SIDES)))
        return torch.cat([said.mean(1), said.amax(1)], 1)
