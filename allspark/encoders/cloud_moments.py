"""What the road of point clouds (``road.py``) reads of every group: a module, not a modality.

Numbers whose mean over the groups is a distribution over the cloud: cosines of where a group lies, of its distances to
the others, of what its points' covariance says, and its features. The eigenvalue features are those of Weinmann et al.
(ISPRS Journal 105, 2015), the distances those of the shape distribution D2 (Osada et al., ACM TOG 2002). Horizontal
places are told along the cloud's own longer and shorter axis: nothing depends on how it is turned about the vertical.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

WAVES = 8  # cosines of height and of distance from the axis, the constant among them
SIDES = 6  # cosines along the longer and the shorter horizontal axis, times as many of height
PAIRS = 12  # cosines of the distances to other groups
SHAPES = 7  # linearity, planarity, sphericity, curvature, verticality, lift and size of a group
_SHAPE_WAVES = 5


def count(features: int, scalars: int) -> int:
    """How many numbers a group has, of F features and S scalars."""
    return WAVES**2 + 2 * SIDES**2 + PAIRS + SHAPES * (1 + _SHAPE_WAVES) + 2 * features + scalars


def group_numbers(points: Tensor, centres: Tensor, valid: Tensor, scale: Tensor) -> Tensor:
    """Prepared groups -> their numbers, of order one; gradients do not pass.

    Args:
        points: (B, G, K, 3 + F): offsets in units of a usual group's radius, features.
        centres: (B, G, 3) in units of the cloud's radius, z from the lowest point.
        valid: (B, G) bool.
        scale: (B, S).

    Returns:
        (B, G, N) float32, 0 where a group is not valid.
    """
    points, centres, scale = points.detach().float(), centres.detach().float(), scale.detach().float()
    with torch.autocast(points.device.type, enabled=False):
        numbers = _numbers(points, centres, valid, scale)
    return numbers * valid[..., None]


def _numbers(points: Tensor, centres: Tensor, valid: Tensor, scale: Tensor) -> Tensor:
    offsets, features = points[..., :3], points[..., 3:]
    spread = features.std(2, correction=0)
    numbers = [_places(centres, valid), _distances(centres, valid), _shapes(offsets), features.mean(2), spread]
    return torch.cat([*numbers, scale[:, None].expand(*centres.shape[:2], -1)], -1)


def _cosines(values: Tensor, count: int, first: int = 0) -> Tensor:
    """(…) from 0 to 1 -> (…, count) half waves."""
    order = torch.arange(first, first + count, device=values.device)
    return torch.cos(math.pi * order * values.clamp(0, 1)[..., None])


def _axes(centres: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """(B, G, 3), (B, G) -> (B, 1, 2) the middle on the ground, and (B, 2, 2) its shorter and its longer axis."""
    flat, weight = centres[..., :2], valid[..., None] / valid.sum(1).clamp(min=1)[:, None, None]
    middle = (flat * weight).sum(1, keepdim=True)
    about = flat - middle
    return middle, torch.linalg.eigh((about * weight).transpose(1, 2) @ about).eigenvectors


def turned(points: Tensor, centres: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Prepared groups turned about the vertical until x is the cloud's longer axis and y the shorter one.

    Each points to where the cloud is more drawn out: clouds that differ in how they lie alone then lie alike. Groups
    that are not valid become copies of those that are, in turn.

    Args:
        points: (B, G, K, 3 + F).
        centres: (B, G, 3).
        valid: (B, G) bool.

    Returns:
        The same in float32, the middle at 0.
    """
    points, centres = points.detach().float(), centres.detach().float()
    turns, count = torch.arange(valid.shape[1], device=valid.device), valid.sum(1, keepdim=True).clamp(min=1)
    chosen = (~valid).long().argsort(dim=1, stable=True).gather(1, turns % count)
    rows = torch.arange(len(valid), device=valid.device)[:, None]
    with torch.autocast(points.device.type, enabled=False):
        middle, axes = _axes(centres, valid)
        points, centres, axes = points[rows, chosen], centres[rows, chosen], axes.flip(-1)
        flat, offsets = (centres[..., :2] - middle) @ axes, points[..., :2] @ axes[:, None]
        places = flat[:, :, None] + offsets / centres.shape[1] ** 0.5
        lean = places.flatten(1, 2).pow(3).sum(1, keepdim=True)
        sign = torch.where(lean < 0, -1.0, 1.0)  # (B, 1, 2): an axis has no sign of its own
        points = torch.cat([offsets * sign[:, None], points[..., 2:]], -1)
        return points, torch.cat([flat * sign, centres[..., 2:]], -1)


def _places(centres: Tensor, valid: Tensor) -> Tensor:
    """(B, G, 3), (B, G) -> (B, G, WAVES² + 2 SIDES²): products of cosines of height and of horizontal places."""
    flat, height = centres[..., :2], centres[..., 2] / 2
    middle, axes = _axes(centres, valid)
    along = ((flat - middle) @ axes).abs()
    waves = _cosines(height, WAVES)
    parts = [waves[..., None] * _cosines(flat.norm(dim=-1), WAVES)[..., None, :]]
    parts += [waves[..., :SIDES, None] * _cosines(along[..., k], SIDES)[..., None, :] for k in (0, 1)]
    return torch.cat([part.flatten(2) for part in parts], -1)


def _distances(centres: Tensor, valid: Tensor) -> Tensor:
    """(B, G, 3), (B, G) -> (B, G, PAIRS): the mean over the other groups of the distances' cosines."""
    waves = _cosines(torch.cdist(centres, centres) / 2, PAIRS, 1)  # (B, G, G, PAIRS)
    weight = valid / valid.sum(1, keepdim=True).clamp(min=1)
    return torch.einsum("bghp,bh->bgp", waves, weight.to(waves.dtype))


def _shapes(offsets: Tensor) -> Tensor:
    """(B, G, K, 3) -> (B, G, ·): eigenvalue features of a group's points, and their cosines."""
    found = shapes(offsets)
    return torch.cat([found, _cosines(found, _SHAPE_WAVES, 1).flatten(2)], -1)


def shapes(offsets: Tensor) -> Tensor:
    """(B, G, K, 3) offsets in a group -> (B, G, 7) from 0 to 1: linearity, planarity, sphericity, change of curvature
    (Weinmann et al., ISPRS 2015), how upright the normal is, how high and how large the group is.
    """
    centred = offsets - offsets.mean(2, keepdim=True)
    covariance = centred.transpose(2, 3) @ centred / offsets.shape[2]
    values, axes = torch.linalg.eigh(covariance + 1e-6 * torch.eye(3, device=offsets.device))
    low, middle, high = values.clamp(min=1e-6).unbind(-1)
    total = low + middle + high
    lift = (offsets[..., 2].amax(2) - offsets[..., 2].amin(2)) / 4
    each = [(high - middle) / high, (middle - low) / high, low / high, 3 * low / total, axes[..., 2, 0].abs(), lift]
    return torch.stack([*each, total.sqrt() / 2], -1).clamp(0, 1)
