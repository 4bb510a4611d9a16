"""Point clouds: farthest-point groups, a mini-PointNet per group, a transformer over the groups.

The shape is Point-BERT's (Yu et al., CVPR 2022); the mini-PointNet is PointNet's (Qi et al., CVPR 2017) with layer
instead of batch normalisation, so that nothing depends on the rest of the batch. Clouds keep their size in metres,
because a chair and a church differ in little else once both are scaled to the unit sphere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..items import PointCloud
from ..modality import Modality, register
from . import cloud_moments, cloud_numbers
from ._augment import cloud
from .base import Encoder, Tokens
from .cloud_numbers import head_numbers, own_numbers
from .depth_pictures import NUMBERS, DepthPictures
from .road import Road
from .surroundings import Neighbourhood, Surroundings
from .vit import Transformer

# "classification" is left out on purpose: it is what people ask for, and files often carry the answer.
FEATURES = ("height", "intensity", "red", "green", "blue", "nir", "returns")
FLAGS = ("intensity", "red", "nir", "returns")  # red stands for all three colours
POINT = 3 + len(FEATURES) + len(FLAGS)  # numbers per point
SCALARS = 4  # numbers per cloud: log10 of scale, height range and horizontal area per point in metres, and of P
_FULL = 65_536  # above this the voxel size is found on the survivors of a first, fine pass
OWN = cloud_numbers.count(len(FEATURES) + len(FLAGS), SCALARS)  # how many numbers `own_numbers` has


class _Geometry(NamedTuple):
    """Which points stand for the cloud, and the frame they are seen in."""

    kept: np.ndarray  # (T,) indices into the item's points
    xyz: np.ndarray  # (T, 3) float32: kept points, centred, in units of ``scale``
    centres: np.ndarray  # (min(G, T),) indices into ``kept``
    origin: np.ndarray  # (3,) metres: centroid, and the lowest z
    scale: float  # metres


def _voxel_keys(xyz: np.ndarray, size: float) -> np.ndarray:
    """(P, 3) non-negative metres -> (P,) the number of the voxel each point lies in."""
    cells = (xyz / size).astype(np.int64)
    extent = cells.max(0) + 1
    return (cells[:, 0] * extent[1] + cells[:, 1]) * extent[2] + cells[:, 2]


def thin(xyz: np.ndarray, target: int) -> np.ndarray:
    """Voxel thinning: (P, 3) metres -> sorted indices of at most ``target`` points, one per voxel.

    The voxel's edge is searched for by bisection, so that at least half of ``target`` remain wherever the points
    allow it. The first point of a voxel, in the order of the file, stands for it: nothing is random.
    """
    count = len(xyz)
    if count <= target:
        return np.arange(count)
    xyz = xyz - xyz.min(0)
    longest = float(xyz.max())
    if longest == 0:
        return np.arange(target)
    survivors = np.arange(count)
    if count > _FULL:
        fine = np.unique(_voxel_keys(xyz, longest / 512), return_index=True)[1]
        survivors = np.sort(fine) if len(fine) > 4 * target else survivors
    low, high = longest / 1e5, longest  # `high` leaves a handful of points, `low` nearly all
    best: np.ndarray | None = None
    size = longest / target ** (1 / 2.5)  # between a surface (2) and a solid (3)
    for _ in range(16):
        first = np.unique(_voxel_keys(xyz[survivors], size), return_index=True)[1]
        if len(first) > target:
            low = size
            survivors = survivors[np.sort(first)] if len(first) > 8 * target else survivors
        else:
            high = size
            if best is None or len(first) > len(best):
                best = survivors[np.sort(first)]
            if len(first) >= target // 2:
                break
        size = float(np.sqrt(low * high))
    if best is None or len(best) < target // 2:  # many points on few places: top up evenly in the file's order
        extra = np.linspace(0, count - 1, target - (0 if best is None else len(best))).astype(np.int64)
        best = np.unique(extra if best is None else np.concatenate([best, extra]))
    return best


def farthest_points(xyz: np.ndarray, count: int) -> np.ndarray:
    """Farthest-point sampling: (T, 3) -> indices of min(count, T) points, from the one farthest from the centroid."""
    chosen = np.empty(min(count, len(xyz)), np.int64)
    chosen[0] = int(((xyz - xyz.mean(0)) ** 2).sum(1).argmax())
    nearest = np.full(len(xyz), np.inf, xyz.dtype)
    for i in range(1, len(chosen)):
        np.minimum(nearest, ((xyz - xyz[chosen[i - 1]]) ** 2).sum(1), out=nearest)
        nearest[chosen[i - 1]] = -1.0  # duplicates of a chosen point come last, but are never chosen twice
        chosen[i] = int(nearest.argmax())
    return chosen


def _geometry(item: PointCloud, points: int, groups: int) -> _Geometry:
    xyz = np.asarray(item.xyz, np.float64)
    kept = thin(xyz, points)
    near = xyz[kept]
    origin = near.mean(0)
    # The 99th percentile, not the maximum: one bird or one echo from below the ground must not shrink the rest.
    scale = max(float(np.percentile(np.linalg.norm(near - origin, axis=1), 99)), 1e-3)
    origin[2] = near[:, 2].min()
    local = np.clip((near - origin) / scale, -4, 4).astype(np.float32)  # an outlier stays one, but of bounded reach
    return _Geometry(kept, local, farthest_points(local, groups), origin, scale)


def _standard(values: np.ndarray, real: np.ndarray) -> tuple[float, float]:
    """Mean and spread of the finite values (0 and 1 where there is none or no spread)."""
    if not real.any():
        return 0.0, 1.0
    finite = values[real]
    return float(finite.mean()), float(finite.std()) or 1.0


def _full_scale(features: Mapping[str, np.ndarray], names: tuple[str, ...]) -> float:
    """The white of a colour: 1, 255 or 65,535, by the largest value of the cloud (LAS stores 8 bits in 16)."""
    present = [np.asarray(features[n], np.float64) for n in names if n in features]
    largest = max((float(v[np.isfinite(v)].max(initial=0.0)) for v in present), default=0.0)
    return 1.0 if largest <= 1.0 else 255.0 if largest <= 255.0 else 65535.0


def _point_features(item: PointCloud, geometry: _Geometry) -> np.ndarray:
    """(T, F) features of the kept points, then a flag per feature that says where it is known."""
    kept, features = geometry.kept, item.features
    height = np.log1p(geometry.xyz[:, 2] * geometry.scale)  # metres above the lowest point
    columns: dict[str, np.ndarray] = {"height": height}
    flags: dict[str, np.ndarray] = {}
    white = _full_scale(features, ("red", "green", "blue"))
    scales = {"red": white, "green": white, "blue": white, "nir": _full_scale(features, ("nir",)), "returns": 4.0}
    for name in FEATURES[1:]:
        source = "number_of_returns" if name == "returns" else name
        values = np.full(len(kept), np.nan)
        if source in features:
            values = np.asarray(features[source], np.float64)[kept]
        real = np.isfinite(values)
        flags[name] = real
        if name == "intensity":  # digital numbers of no common unit: only their order within a cloud means something
            known = np.asarray(features[name], np.float64) if name in features else values
            centre, spread = _standard(known, np.isfinite(known))
            columns[name] = np.where(real, np.clip((np.where(real, values, 0) - centre) / spread, -4, 4), 0)
        else:
            columns[name] = np.where(real, values, 0) / scales[name]
    return np.stack([columns[n] for n in FEATURES] + [flags[n] for n in FLAGS], 1).astype(np.float32)


def prepare(item: PointCloud, *, points: int = 2048, groups: int = 64, neighbours: int = 32) -> dict[str, Tensor]:
    """A cloud of any size -> G groups of K neighbours around farthest-point centres.

    Clouds of more than ``points`` points are thinned on voxels first. Clouds of fewer than ``groups`` points fill the
    missing groups with copies that ``valid`` masks; fewer than ``neighbours`` points are repeated within a group,
    which a maximum over the group does not see.

    Returns:
        "points" (G, K, 3 + F): offsets from the group's centre, in units of a typical group's radius, and features;
        "centres" (G, 3): unit-sphere coordinates, z from the lowest point; "valid" (G,) bool; "scale" (S,): what the
        scaling took away (log10 of metres and of P).
    """
    geometry = _geometry(item, points, groups)
    centres = geometry.xyz[geometry.centres]
    real = len(centres)
    distance = ((centres[:, None] - geometry.xyz[None]) ** 2).sum(-1)
    if len(geometry.kept) > neighbours:
        near = np.argpartition(distance, neighbours - 1, axis=1)[:, :neighbours]
    else:
        near = np.tile(np.arange(neighbours) % len(geometry.kept), (real, 1))
    # G groups tile a surface of the unit sphere, so a group's radius is about 1 / sqrt(G).
    offsets = (geometry.xyz[near] - centres[:, None]) * np.sqrt(groups)
    local = np.concatenate([offsets, _point_features(item, geometry)[near]], -1).astype(np.float32)
    fill = np.arange(groups) % real
    spans = np.ptp(geometry.xyz, axis=0).astype(np.float64) * geometry.scale
    area = max(spans[0] * spans[1], 1e-6) / len(item.xyz)
    scalars = np.log10([geometry.scale, max(spans[2], 1e-3), area, len(item.xyz)])
    return {
        "points": torch.from_numpy(local[fill]),
        "centres": torch.from_numpy(centres[fill]),
        "valid": torch.arange(groups) < real,
        "scale": torch.tensor(scalars / 3.0, dtype=torch.float32),
    }


def spread(
    values: Tensor, item: PointCloud, *, points: int = 2048, groups: int = 64, neighbours: int = 32, near: int = 3
) -> Tensor:
    """Values at the groups' centres -> values at every point, by inverse squared distance to the ``near`` nearest.

    It is PointNet++'s feature propagation (Qi et al., NeurIPS 2017). Spread K similarities rather than D features
    where that will do: a million points of 192 numbers are 768 MB.

    Args:
        values: (1 + G, D) as the encoder emits its tokens, the cloud's own first; masked ones may be cut off.
        item: the cloud that ``prepare`` was given, with the same ``points`` and ``groups``.

    Returns:
        (P, D).
    """
    return _spread(values, _geometry(item, points, groups), np.asarray(item.xyz), near)


def _spread(values: Tensor, geometry: _Geometry, xyz: np.ndarray, near: int = 3) -> Tensor:
    """`spread` in a frame that is known, to any places (M, 3)."""
    values = values[1 : 1 + len(geometry.centres)]
    centres = torch.from_numpy(geometry.xyz[geometry.centres])
    near = min(near, len(centres))
    rows = []
    for block in np.array_split(xyz, max(1, len(xyz) // _FULL)):
        local = torch.from_numpy(((block - geometry.origin) / geometry.scale).astype(np.float32))
        distance, index = torch.cdist(local, centres).topk(near, dim=1, largest=False)
        weight = 1 / (distance.square() + 1e-8)
        weight = (weight / weight.sum(1, keepdim=True)).to(values)
        rows.append((values[index.to(values.device)] * weight[..., None]).sum(1))
    return torch.cat(rows)


class PointCloudEncoder(Encoder):
    """Mini-PointNet per group + position MLP + transformer.

    Args:
        width: D.  depth, heads: of the transformer.  hidden: width of the mini-PointNet's two halves.
        drop_path: stochastic depth at the last block.
        moments: is there a linear road past the transformer (``road.py``)?
        pictures: does that road read `own_numbers` and pictures of the cloud (``depth_pictures.py``), turned to its own
            axes? Without, it reads its groups (``cloud_moments.py``), as that of models saved before.
        surroundings: how long the vectors are that tell single points apart (``surroundings.py``); 0: none.
        language_width: of the language space, in which they have names.
    """

    def __init__(
        self,
        width: int = 192,
        depth: int = 6,
        heads: int = 6,
        hidden: int = 128,
        drop_path: float = 0.0,
        moments: bool = False,
        pictures: bool = False,
        surroundings: int = 0,
        language_width: int = 384,
    ) -> None:
        super().__init__()
        self.width = width
        self.first = nn.Sequential(
            nn.Linear(POINT, hidden // 2), nn.LayerNorm(hidden // 2), nn.ReLU(), nn.Linear(hidden // 2, hidden)
        )
        # Linear(concat(group maximum, point)) as two maps: the maximum is one row per group, not one per point.
        self.of_point = nn.Linear(hidden, 2 * hidden)
        self.of_group = nn.Linear(hidden, 2 * hidden, bias=False)
        # After the maximum, as in PointNet: K times cheaper than before it.
        self.out = nn.Sequential(nn.LayerNorm(2 * hidden), nn.Linear(2 * hidden, width))
        self.position = nn.Sequential(nn.Linear(3, hidden), nn.GELU(), nn.Linear(hidden, width))
        self.cloud = nn.Sequential(nn.Linear(SCALARS, hidden), nn.GELU(), nn.Linear(hidden, width))
        self.blocks = Transformer(width, depth, heads, drop_path=drop_path)
        self.pictures = DepthPictures() if moments and pictures else None
        count = OWN + NUMBERS if self.pictures is not None else cloud_moments.count(POINT - 3, SCALARS)
        self.moments = Road(count, width) if moments else None
        self.finer = 0  # of the numbers that a road reads, all are as loud
        self.surroundings = Surroundings(surroundings, language_width) if surroundings else None

    def forward(self, points: Tensor, centres: Tensor, valid: Tensor, scale: Tensor) -> Tokens:  # type: ignore[override]
        """(B, G, K, 3 + F), (B, G, 3), (B, G), (B, S) -> Tokens (B, 1 + G, D); the cloud's own token comes first."""
        local = self.first(points)  # (B, G, K, hidden)
        group = self.of_group(local.max(2).values)  # (B, G, 2 hidden)
        tokens = self.out(F.relu(self.of_point(local) + group[:, :, None]).max(2).values)  # (B, G, D)
        tokens = tokens + self.position(centres)
        tokens = torch.cat([self.cloud(scale)[:, None].to(tokens.dtype), tokens], 1)
        mask = F.pad(valid, (1, 0), value=True)
        features = self.blocks(tokens, mask)
        if self.moments is not None:
            # all of it goes to the cloud's own token, so the mean over the tokens has it and single groups stay as told
            # apart as they are: what holds of a whole cloud says nothing of its points
            road = self.moments(self.road_numbers(points, centres, valid, scale)[0]) * mask.sum(1)[:, None, None]
            features = torch.cat([features[:, :1] + road, features[:, 1:]], 1)
        return Tokens(features, mask)

    def road_numbers(self, points: Tensor, centres: Tensor, valid: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        """What ``moments`` reads of one collated batch: (B, 1, ·) of the whole cloud, and a mask of ones."""
        if self.pictures is not None:
            points, centres = cloud_moments.turned(points, centres, valid)
            with torch.autocast(points.device.type, enabled=False):
                own = own_numbers(points, centres, scale.float())
            mean = torch.cat([own, self.pictures(points, centres)], 1)[:, None]
        else:
            groups = cloud_moments.group_numbers(points, centres, valid, scale)
            mean = groups.sum(1, keepdim=True) / valid.sum(1).clamp(min=1)[:, None, None]
        return mean, torch.ones(mean.shape[:2], dtype=torch.bool, device=mean.device)


def places(
    encoder: Encoder,
    item: PointCloud,
    values: Tensor,
    in_words: bool = False,
    *,
    points: int = 2048,
    groups: int = 64,
    neighbours: int = 32,
) -> Callable[[np.ndarray], Tensor] | None:
    """What tells the cloud's points apart: its tokens' vectors spread to them, and what surrounds each.

    Args:
        encoder: of the tokens.
        item: the cloud.
        values: (1 + G, D) of its tokens.
        in_words: are they vectors of the language space?

    Returns:
        Point numbers (M,) -> (M, D + X), or in the language space their sum (M, D); tokens are half as loud as what was
        learnt of surroundings. None of an encoder without ``surroundings``.
    """
    surroundings = getattr(encoder, "surroundings", None)
    if surroundings is None:
        return None
    geometry, near = _geometry(item, points, groups), Neighbourhood(item)

    def of(chosen: np.ndarray) -> Tensor:
        own = F.normalize(_spread(values, geometry, np.asarray(item.xyz)[chosen]).float(), dim=-1) / 2
        numbers = torch.from_numpy(near.numbers(chosen)).to(own.device)
        if in_words:
            return F.normalize(own + surroundings.learnt(numbers)[1], dim=-1)
        return torch.cat([own, surroundings(numbers)], -1)

    return of


def recognises(item: Any) -> bool:
    """Every point cloud."""
    return isinstance(item, PointCloud)


register(
    Modality(
        name="point_cloud",
        item=PointCloud,
        prepare=prepare,
        encoder=PointCloudEncoder,
        prompt="A point cloud of this place, in metres:",
        recognises=recognises,
        spread=spread,
        input={"points": 2048, "groups": 64, "neighbours": 32},
        config={
            "width": 192,
            "depth": 6,
            "heads": 6,
            "hidden": 128,
            "drop_path": 0.0,
            "moments": True,
            "pictures": True,
            "surroundings": 64,
            "language_width": 384,
        },
        augment=cloud,
        numbers=head_numbers,
        places=places,
    )
)
