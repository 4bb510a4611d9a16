"""Changes that leave a label true, for training; each works on one prepared sample and leaves the given one as it was.

A sample of a raster may carry "target", a map of classes (h, w), which turns and flips with it. ``turn=False`` is for
data in which a heading matters: nothing is then flipped or turned.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

Sample = dict[str, Any]
MAPS = ("pixels", "valid", "target")  # what lies on the raster's grid
MISSING = 3  # the kind of a table's cell without a value


def _uniform(random: torch.Generator) -> float:
    return float(torch.rand((), generator=random))


def _whole(below: int, random: torch.Generator) -> int:
    return int(torch.randint(below, (), generator=random))


def dihedral(sample: Sample, random: torch.Generator) -> Sample:
    """One of the eight flips and quarter turns of a square: a nadir view has no upright."""
    turns, flip = _whole(4, random), bool(_whole(2, random))
    out = dict(sample)
    for key in MAPS:
        if key in out:
            value = out[key]
            if value.shape[-1] == value.shape[-2]:
                value = torch.rot90(value, turns, (-2, -1))
            out[key] = value.flip(-1) if flip else value
    return out


def picture(sample: Sample, random: torch.Generator, turn: bool = True) -> Sample:
    """Brightness and contrast, a dihedral turn, and a zoomed-in crop where no map of classes goes with the picture."""
    out = dihedral(sample, random) if turn else dict(sample)
    gain, offset = 1 + 0.2 * torch.randn((), generator=random), 0.1 * torch.randn((), generator=random)
    pixels = (out["pixels"].float() * gain.clamp(0.5, 1.5) + offset) * out["valid"]
    size = pixels.shape[-1]
    side = int(size * (0.7 + 0.3 * _uniform(random)))
    if "target" not in out and side < size and bool(out["valid"].all()):
        row, column = _whole(size - side + 1, random), _whole(size - side + 1, random)
        crop = pixels[None, :, row : row + side, column : column + side]
        pixels = torch.nn.functional.interpolate(crop, size=(size, size), mode="bilinear", align_corners=False)[0]
    out["pixels"] = pixels
    return out


def radar(sample: Sample, random: torch.Generator, turn: bool = True) -> Sample:
    """A chip moved by up to a tenth of its side, flipped across the look direction, with a little more speckle.

    It is never turned: the shadow falls where the radar looks. Speckle is multiplicative in power, so it is additive
    in the decibels that the sample holds.
    """
    out = dict(sample)
    reach = max(1, sample["pixels"].shape[-1] // 10)
    shift = (_whole(2 * reach + 1, random) - reach, _whole(2 * reach + 1, random) - reach)
    flip = turn and bool(_whole(2, random))
    for key in MAPS:
        if key in out:
            value = torch.roll(out[key], shift, (-2, -1))
            out[key] = value.flip(-2) if flip else value
    noise = 0.15 * torch.randn(out["pixels"].shape, generator=random)
    out["pixels"] = (out["pixels"].float() + noise) * (out["pixels"] != 0)
    return out


def spectrum(sample: Sample, random: torch.Generator, turn: bool = True) -> Sample:
    """A dihedral turn, a gain (illumination), a little noise per band, now and then a tenth of the bands missing."""
    out = dihedral(sample, random) if turn else dict(sample)
    pixels = out["pixels"].float()
    gain = 1 + 0.05 * torch.randn((), generator=random)
    noise = 0.02 * torch.randn((*pixels.shape[:-2], 1, 1), generator=random)
    out["pixels"] = (pixels * gain + noise) * (pixels != 0)
    mask: Tensor = out["band_mask"]
    gone = torch.rand(mask.shape[-1], generator=random) < 0.1
    kept = mask & ~gone
    if _uniform(random) < 0.5 and bool(kept.any(-1).all()):
        out["band_mask"] = kept
        out["pixels"] = out["pixels"] * kept[..., None, None]
    return out


def cloud(sample: Sample, random: torch.Generator, turn: bool = True) -> Sample:
    """Turned about the vertical and scaled by up to a tenth, points jittered, a tenth of a group's points left out."""
    angle = 2 * math.pi * _uniform(random) if turn else 0.0
    c, s, scale = math.cos(angle), math.sin(angle), 0.9 + 0.2 * _uniform(random)
    frame = scale * torch.tensor([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    out = dict(sample)
    points = sample["points"].float().clone()  # (G, K, 3 + F)
    points[..., :3] = points[..., :3] @ frame.T
    points[..., :3] += 0.01 * torch.randn(points[..., :3].shape, generator=random)
    # a point that is left out becomes its group's first: a maximum over the group does not count
    gone = torch.rand(points.shape[:2], generator=random) < 0.1
    out["points"] = torch.where(gone[..., None], points[:, :1], points)
    out["centres"] = sample["centres"].float() @ frame.T
    return out


def track(sample: Sample, random: torch.Generator, turn: bool = True) -> Sample:
    """Noise on what each step measures, and a tenth of the steps left out; three always stay."""
    out = dict(sample)
    steps: Tensor = sample["steps"].float()
    kept = torch.rand(len(steps), generator=random) >= 0.1
    if int(kept.sum()) >= 3:
        steps = steps[kept]
    out["steps"] = steps + 0.01 * torch.randn(steps.shape, generator=random) * (steps != 0)
    out["summary"] = sample["summary"].float() + 0.01 * torch.randn(sample["summary"].shape, generator=random)
    return out


def network(sample: Sample, random: torch.Generator, turn: bool = True) -> Sample:
    """A tenth of the links and of the nodes' features left out (as DropEdge, Rong et al., ICLR 2020)."""
    out = dict(sample)
    edges: Tensor = sample["edges"]
    # both directions of a link go together: the draw depends on the pair, not on its order
    pair = torch.stack([edges.min(0).values, edges.max(0).values])
    different, link = torch.unique(pair, dim=1, return_inverse=True)
    kept = (torch.rand(different.shape[1], generator=random) >= 0.1)[link]
    out["edges"], out["edge_features"] = edges[:, kept], sample["edge_features"][kept]
    nodes: Tensor = sample["nodes"].float()
    out["nodes"] = nodes * (torch.rand(nodes.shape, generator=random) >= 0.1)
    return out


def cells(sample: Sample, random: torch.Generator, turn: bool = True) -> Sample:
    """A twentieth of a row's cells missing, and a little noise on its standardised numbers."""
    out = dict(sample)
    kinds: Tensor = sample["kinds"].clone()
    gone = torch.rand(kinds.shape, generator=random) < 0.05
    if bool((~gone).any()):
        kinds[gone] = MISSING
    out["kinds"] = kinds
    numbers: Tensor = sample["numbers"].float().clone()
    noise = 0.02 * torch.randn(len(numbers), 2, generator=random)
    numbers[:, 1:3] += noise * (numbers[:, :1] > 0)
    out["numbers"] = numbers
    return out
