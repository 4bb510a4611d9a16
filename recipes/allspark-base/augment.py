"""Changes that leave a label true, modality by modality; each works on one prepared sample."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Sample = dict[str, Any]


def dihedral(sample: Sample, random: torch.Generator) -> Sample:
    """One of the eight flips and quarter turns of a square: nothing in a nadir view has an upright."""
    turns, flip = int(torch.randint(4, (), generator=random)), bool(torch.randint(2, (), generator=random))
    out = dict(sample)
    for key in ("pixels", "valid"):
        value = sample[key]
        if value.shape[-1] == value.shape[-2]:
            value = torch.rot90(value, turns, (-2, -1))
        out[key] = value.flip(-1) if flip else value
    return out


def photometric(sample: Sample, random: torch.Generator) -> Sample:
    """Brightness and contrast of a picture, a dihedral turn, and a zoomed-in crop (sensors differ in resolution)."""
    out = dihedral(sample, random)
    gain, offset = 1 + 0.25 * torch.randn((), generator=random), 0.15 * torch.randn((), generator=random)
    pixels = (out["pixels"].float() * gain.clamp(0.5, 1.5) + offset) * out["valid"]
    size = pixels.shape[-1]
    side = int(size * (0.55 + 0.45 * torch.rand((), generator=random)))
    row, column = (int(torch.randint(size - side + 1, (), generator=random)) for _ in range(2))
    crop = pixels[None, :, row : row + side, column : column + side]
    if out["valid"].all() and side < size:
        pixels = torch.nn.functional.interpolate(crop, size=(size, size), mode="bilinear", align_corners=False)[0]
    out["pixels"] = pixels
    return out


def fewer_pixels(sample: Sample, random: torch.Generator) -> Sample:
    """A picture resampled to 96 pixels a side: 1.7 times as many pictures a second as at 128."""
    pixels = torch.nn.functional.interpolate(sample["pixels"].float()[None], size=(96, 96), mode="area")[0]
    valid = torch.nn.functional.interpolate(sample["valid"][None, None].float(), size=(96, 96), mode="area")
    return {**sample, "pixels": pixels, "valid": valid[0, 0] > 0.5}


def fewer_groups(sample: Sample, random: torch.Generator) -> Sample:
    """Five of eight of a cloud's groups and three of four of their points: half the work, and a part is hidden."""
    groups, points = sample["points"].shape[:2]
    kept = torch.randperm(groups, generator=random)[: groups * 5 // 8]
    near = torch.randperm(points, generator=random)[: points * 3 // 4]
    if not sample["valid"][kept].any():  # a cloud of few points: the other groups are copies
        kept[0] = int(sample["valid"].nonzero()[0])
    out = {key: sample[key][kept] for key in ("points", "centres", "valid")}
    return {**sample, **out, "points": out["points"][:, near]}


def speckle(sample: Sample, random: torch.Generator) -> Sample:
    """A chip shifted by a few pixels, with a little more speckle; never turned: the radar's look direction stays."""
    shift = [int(torch.randint(-10, 11, (), generator=random)) for _ in range(2)]
    out = dict(sample)
    for key in ("pixels", "valid"):
        out[key] = torch.roll(sample[key], shift, (-2, -1))
    if torch.rand((), generator=random) < 0.5:
        out["pixels"] = out["pixels"].flip(-2)
    noise = 0.15 * torch.randn(out["pixels"].shape, generator=random)
    out["pixels"] = (out["pixels"].float() + noise) * (sample["pixels"] != 0).any(0)
    return out


def spectral(sample: Sample, random: torch.Generator) -> Sample:
    """Dihedral turn, a gain (illumination) and a little noise per band."""
    out = dihedral(sample, random)
    pixels = out["pixels"].float()
    gain = 1 + 0.08 * torch.randn((), generator=random)
    noise = 0.03 * torch.randn((*pixels.shape[:-2], 1, 1), generator=random)
    out["pixels"] = pixels * gain + noise
    return out


def upright_turn(sample: Sample, random: torch.Generator) -> Sample:
    """A cloud turned about the vertical and jittered by 1 % of its size."""
    angle = 2 * math.pi * float(torch.rand((), generator=random))
    c, s = math.cos(angle), math.sin(angle)
    turn = torch.tensor([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    out = dict(sample)
    points = sample["points"].float().clone()
    points[..., :3] = points[..., :3] @ turn.T
    points[..., :3] += 0.005 * torch.randn(points[..., :3].shape, generator=random)
    out["points"] = points
    out["centres"] = sample["centres"].float() @ turn.T
    return out


def noise_on(key: str, scale: float) -> Callable[[Sample, torch.Generator], Sample]:
    """Gaussian noise on one tensor of numbers."""

    def change(sample: Sample, random: torch.Generator) -> Sample:
        value: Tensor = sample[key].float()
        return {**sample, key: value + scale * torch.randn(value.shape, generator=random)}

    return change


AUGMENT: dict[str, Callable[[Sample, torch.Generator], Sample]] = {
    "rgb": photometric,
    "sar": speckle,
    "multispectral": spectral,
    "hyperspectral": spectral,
    "point_cloud": upright_turn,
}

# modality -> what makes its samples cheaper, and for which first part of a training
CHEAPER: dict[str, tuple[Callable[[Sample, torch.Generator], Sample], float]] = {
    "rgb": (fewer_pixels, 0.6),
    "point_cloud": (fewer_groups, 0.8),
}
