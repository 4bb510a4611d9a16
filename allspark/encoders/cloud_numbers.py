"""A prepared cloud's own numbers, in a fixed order: what the encoder's road and heads read of it; not a modality."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from . import cloud_moments
from .cloud_box import box_numbers

_LEVELS = 12  # quantiles
_CELLS = 8  # of height and of distance from the axis
_BOXES = 4  # along every axis


def count(features: int, scalars: int) -> int:
    """How many numbers `own_numbers` has, of F features of each point and S scalars."""
    return 6 * _LEVELS + _CELLS**2 + _BOXES**3 + 2 * (features + cloud_moments.SHAPES) + scalars


def own_numbers(points: Tensor, centres: Tensor, scale: Tensor, **_: Tensor) -> Tensor:
    """(B, S): how points are spread.

    Whichever way the cloud is turned about the vertical: quantiles of height, of distance from the axis and from the
    middle, and of the distances between centres (the D2 shape distribution, Osada et al., ACM TOG 2002); shares of
    points by height and distance from the axis; mean and spread over the groups of their eigenvalue features (Weinmann
    et al., ISPRS 2015); mean and spread of the points' features; what the scaling took away. As the cloud stands:
    quantiles along both axes, and shares of points in 4 x 4 x 4 boxes.
    """
    places = _places(points, centres)
    height, across = places[..., 2], places[..., :2].norm(dim=-1)
    pairs = (centres[:, :, None] - centres[:, None]).norm(dim=-1).flatten(1)
    levels = torch.linspace(0, 1, _LEVELS, device=points.device)
    spread_of = (height, across, places.norm(dim=-1), pairs, places[..., 0], places[..., 1])
    quantiles = [v.quantile(levels, 1).T for v in spread_of]
    rings = _shares([height / 2, across], _CELLS)
    boxes = _shares([places[..., 0] / 2 + 0.5, places[..., 1] / 2 + 0.5, height / 2], _BOXES)
    features, shapes = points[..., 3:].flatten(1, 2), cloud_moments.shapes(points[..., :3])
    of_items = [part for each in (features, shapes) for part in (each.mean(1), each.std(1))]
    return torch.cat([*quantiles, rings, boxes, *of_items, scale], 1)


def head_numbers(points: Tensor, centres: Tensor, valid: Tensor, scale: Tensor, **_: Tensor) -> Tensor:
    """(B, S + cloud_box.NUMBERS): what heads read past the encoder, `own_numbers` and where points are in their box.

    The encoder's own road reads the first alone: its weights are those of so many numbers.
    """
    own = own_numbers(points, centres, scale)
    return torch.cat([own, box_numbers(_places(points, centres), valid.repeat_interleave(points.shape[2], 1))], 1)


def _places(points: Tensor, centres: Tensor) -> Tensor:
    """Prepared groups -> (B, G K, 3) where their points are, in units of the cloud's radius."""
    return (centres[:, :, None] + points[..., :3] / centres.shape[1] ** 0.5).flatten(1, 2)


def _shares(places: Sequence[Tensor], cells: int) -> Tensor:
    """Some (B, P) places from 0 to 1 -> (B, cells^n) shares of the points in each cell."""
    index = torch.zeros_like(places[0], dtype=torch.long)
    for place in places:
        index = index * cells + (place * cells).long().clamp(0, cells - 1)
    shares = places[0].new_zeros(len(index), cells ** len(places))
    return shares.scatter_add_(1, index, torch.full_like(places[0], 1 / index.shape[1]))
