"""A cloud in its own box, every axis stretched to one: numbers for heads with a road past the encoder, not a modality.

Objects of one kind differ in their proportions more than in how their parts are arranged: the seat of a low sofa and of
a high one lie at the same share of the height. So the axis-aligned box around the points becomes the unit cube, and
the box's proportions are told apart from what stands in it. The axes are the cloud's own: it must stand as others do.
The outermost points make the box, so a stray one shrinks the rest.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

LEVELS = 24  # quantiles along each axis
FAR_LEVELS = 12  # quantiles of the distance from the mean, along each axis
CELLS = 10  # of the volume, along each axis
POINTS = 1024  # to which counts in cells are scaled
PIXELS = 8  # of a view, along both sides
NEAREST = 0.6  # nearness of the middle of the box; from 0.1 at its far face to 1.1 at its near one, 0 where empty
THINNEST = 1e-3  # of the longest side: a thinner box is not stretched further, as its points would be noise
NUMBERS = 3 + 3 * (LEVELS + FAR_LEVELS) + 3 * CELLS**2 + 6 * PIXELS**2
_AXES = (0, 1, 2)


def box_numbers(places: Tensor, valid: Tensor) -> Tensor:
    """Points -> what their box is like and where they are in it, the same wherever it lies and however large it is.

    Stretching the cloud along an axis changes the first three numbers alone, and so does nothing but units: places may
    be in metres or in units of the cloud's radius.

    Args:
        places: (B, P, 3).
        valid: (B, P) bool, at least one of each cloud; the others do not count, whatever they hold.

    Returns:
        (B, NUMBERS) float32, one after the other:

        - 3: the logarithm of the box's sides as shares of its longest;
        - 3 × 24: quantiles of the points along x, y and z, from -1/2 to 1/2;
        - 3 × 12: quantiles of their distance from their mean along x, y and z;
        - 3 × 10 × 10: the logarithm of 1 and how many of 1,024 points lie there, seen along x, y and z; the cells of
          the volume are blurred with their neighbours (1/4, 1/2, 1/4), so a point near a border counts on both sides;
        - 6 × 8 × 8: how near the nearest point of each pixel is, seen against and along x, y and z.
    """
    with torch.autocast(places.device.type, enabled=False):
        inside, sides = _stretched(places.float(), valid)
        mean = torch.where(valid[..., None], inside, 0).sum(1, keepdim=True) / valid.sum(1)[:, None, None]
        parts = [
            sides.log(),
            _quantiles(inside, valid, LEVELS).flatten(1),
            _quantiles((inside - mean).abs(), valid, FAR_LEVELS).flatten(1),
            _projections(inside, valid).flatten(1),
            _views(inside, valid).flatten(1),
        ]
        return torch.cat(parts, 1)


def _stretched(places: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """(B, P, 3), (B, P) -> places from -1/2 to 1/2, 0 where not valid, and (B, 3) sides as shares of the longest."""
    there, far = valid[..., None], torch.finfo(places.dtype).max
    low = torch.where(there, places, far).amin(1, keepdim=True)
    high = torch.where(there, places, -far).amax(1, keepdim=True)
    sides = high - low
    longest = sides.amax(2, keepdim=True)
    # of points all in one place no side says anything: as of a cube, with all of them in its middle
    sides = torch.where(longest > 0, torch.maximum(sides, THINNEST * longest), 1.0)
    inside = torch.where(there, (places - (low + high) / 2) / sides, 0)
    return inside, (sides / sides.amax(2, keepdim=True))[:, 0]


def _quantiles(values: Tensor, valid: Tensor, count: int) -> Tensor:
    """(B, P, 3), (B, P) -> (B, 3, count) of the valid ones, straight between neighbours in order."""
    ordered = torch.where(valid[..., None], values, torch.inf).transpose(1, 2).sort(-1).values
    last = (valid.sum(1) - 1)[:, None]
    at = torch.linspace(0, 1, count, device=values.device) * last
    below = at.long().clamp(max=last)
    rank = torch.stack([below, torch.minimum(below + 1, last)])[:, :, None].expand(-1, -1, 3, -1)
    return torch.lerp(ordered.gather(2, rank[0]), ordered.gather(2, rank[1]), (at - below)[:, None])


def _cell(inside: Tensor, axes: Sequence[int], cells: int) -> Tensor:
    """(B, P, 3) -> (B, P) the number of the cell along these axes, the last one running fastest."""
    index = ((inside + 0.5) * cells).long().clamp(0, cells - 1)
    number = torch.zeros_like(index[..., 0])
    for axis in axes:
        number = number * cells + index[..., axis]
    return number


def _projections(inside: Tensor, valid: Tensor) -> Tensor:
    """(B, P, 3), (B, P) -> (B, 3, CELLS, CELLS): the blurred volume seen along each axis."""
    share = valid * (POINTS / valid.sum(1, keepdim=True))
    counts = inside.new_zeros(len(inside), CELLS**3).scatter_add_(1, _cell(inside, _AXES, CELLS), share)
    near = torch.eye(CELLS, device=inside.device)
    blur = near / 2 + (near.roll(1, 0).tril() + near.roll(-1, 0).triu()) / 4
    volume = torch.einsum("nabc,ai,bj,ck->nijk", counts.view(-1, CELLS, CELLS, CELLS), blur, blur, blur)
    return torch.stack([volume.sum(axis + 1) for axis in _AXES], 1).log1p()


def _views(inside: Tensor, valid: Tensor) -> Tensor:
    """(B, P, 3), (B, P) -> (B, 6, PIXELS, PIXELS): nearness seen from the high and the low end of each axis."""
    found = []
    for axis in _AXES:
        pixel = _cell(inside, [other for other in _AXES if other != axis], PIXELS)
        for sign in (1, -1):
            near = torch.where(valid, NEAREST + sign * inside[..., axis], 0)
            found.append(near.new_zeros(len(near), PIXELS**2).scatter_reduce_(1, pixel, near, "amax"))
    return torch.stack(found, 1).view(-1, 6, PIXELS, PIXELS)
