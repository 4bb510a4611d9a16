"""What surrounds single points of a cloud, and a road that learnt to tell points apart by it: a module, not a modality.

An encoder's tokens are groups of points, some metres apart: what a point between them is, they can hardly say. Its own
surroundings can: eigenvalue features at several scales (Weinmann et al., ISPRS Journal 105, 2015; Thomas et al., 3DV
2018, whose larger scales take ever fewer points of the cloud, too), heights over what lies near, and echoes.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..items import PointCloud

NEAR = ((1, 8), (1, 32), (4, 32), (16, 32))  # of every n-th point, the k nearest
FLAT = ((1, 16), (4, 32), (32, 32))  # the same, nearest on the map
ECHOED = (1, 2)  # of NEAR: where intensities and echoes are looked at, too
COUNT = 12 + 11 * len(NEAR) + 4 * len(ECHOED) + 6 * len(FLAT)  # numbers of a point
STEP = 0.3  # metres: as high as something that stands on the ground
_BLOCK = 1 << 15  # points at a time: their neighbours are 32 times as many
_LARGEST = 5.0  # spreads


def _signed_log(metres: np.ndarray) -> np.ndarray:
    return np.sign(metres) * np.log1p(np.abs(metres))


class Neighbourhood:
    """A cloud whose points are looked at: its trees are made once.

    Args:
        cloud: P points.
    """

    def __init__(self, cloud: PointCloud) -> None:
        from scipy.spatial import cKDTree

        xyz = np.asarray(cloud.xyz, np.float64)
        self.xyz = xyz = xyz - xyz.mean(0)
        order = np.random.default_rng(0).permutation(len(xyz))  # every n-th of a file would be stripes along the flight
        self.kept = {n: np.sort(order[: max(len(xyz) // n, 1)]) for n, _ in (*NEAR, *FLAT)}
        self.trees = {n: cKDTree(xyz[self.kept[n]]) for n, _ in NEAR}
        self.flat = {n: cKDTree(xyz[self.kept[n], :2]) for n, _ in FLAT}
        self.echoes = _echoes(cloud)
        self.low, self.high = float(xyz[:, 2].min()), float(xyz[:, 2].max())

    def numbers(self, chosen: np.ndarray) -> np.ndarray:
        """What lies around points, the same however the cloud is turned about the vertical.

        Args:
            chosen: (M,) point numbers.

        Returns:
            (M, COUNT) float32: heights in the cloud; intensity against the cloud's own mean and spread and echoes, with
            flags that say whether they are known; at each scale of ``NEAR`` the eigenvalue features, how far the point
            lies from the plane, heights and distances; at those of ``FLAT`` heights. Metres as signed logarithms.
        """
        blocks = np.split(chosen, range(_BLOCK, len(chosen), _BLOCK))
        return np.concatenate([self._block(rows) for rows in blocks])

    def _block(self, rows: np.ndarray) -> np.ndarray:
        here, height = self.xyz[rows], self.xyz[rows, 2]
        below, above = height - self.low, self.high - height
        columns = [_signed_log(below), _signed_log(above), below / max(self.high - self.low, 1e-9)]
        columns += [*self.echoes[rows].T]
        for scale, (n, count) in enumerate(NEAR):
            distance, near = _nearest(self.trees[n], here, count)
            near = self.kept[n][near]
            columns += [*_shape(self.xyz[near], here), np.log10(distance[:, -1] + 1e-3)]
            if scale in ECHOED:
                around = self.echoes[near]  # (M, k, ·)
                columns += [around[..., 0].mean(1), around[..., 0].std(1), *around[..., [3, 6]].mean(1).T]
        for n, count in FLAT:
            heights = self.xyz[self.kept[n][_nearest(self.flat[n], here[:, :2], count)[1]], 2]
            over = heights - height[:, None]
            columns += [_signed_log(-over.min(1)), _signed_log(over.max(1)), np.log1p(heights.std(1))]
            columns += [(over < -STEP).mean(1), (over > STEP).mean(1), (np.abs(over) < STEP).mean(1)]
        return np.stack(columns, 1).astype(np.float32)


def _nearest(tree: object, places: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(M, ·) -> (M, k) distances and places in the tree; k is ``count``, or all that there are."""
    count = min(count, tree.n)  # type: ignore[attr-defined]
    distance, near = tree.query(places, count, workers=-1)  # type: ignore[attr-defined]
    return distance.reshape(len(places), count), near.reshape(len(places), count)


def _echoes(cloud: PointCloud) -> np.ndarray:
    """(P, 9): intensity in spreads from the mean, its flag; flags of known and of several echoes, how many, which of
    them, flags of the last and of the first, and which as a share of how many.
    """
    count = len(cloud.xyz)
    found = np.zeros((count, 9))
    if "intensity" in cloud.features:
        values = np.asarray(cloud.features["intensity"], np.float64)
        known = np.isfinite(values)
        if known.any():
            spread = float(values[known].std()) or 1.0
            found[known, 0] = np.clip((values[known] - values[known].mean()) / spread, -4, 4)
            found[:, 1] = known
    echoes = (cloud.features.get("number_of_returns"), cloud.features.get("return_number"))
    if echoes[0] is not None and echoes[1] is not None:
        several, which = (np.nan_to_num(np.asarray(one, np.float64)) for one in echoes)
        found[:, 2], found[:, 3], found[:, 4], found[:, 5] = 1.0, several > 1, several / 4, which / 4
        found[:, 6], found[:, 7], found[:, 8] = which >= several, which == 1, which / np.maximum(several, 1)
    return found


def _shape(groups: np.ndarray, here: np.ndarray) -> list[np.ndarray]:
    """(M, k, 3) points near (M, 3) -> ten columns (M,)."""
    middle = groups.mean(1)
    about = groups - middle[:, None]
    values, axes = np.linalg.eigh(about.transpose(0, 2, 1) @ about / groups.shape[1])
    low, between, high = np.moveaxis(np.clip(values, 0, None), -1, 0)
    largest, total = np.maximum(high, 1e-9), np.maximum(low + between + high, 1e-9)
    normal = axes[:, :, 0]
    off = np.abs(((here - middle) * normal).sum(1))
    columns = [(high - between) / largest, (between - low) / largest, low / largest, np.cbrt(low / total)]
    columns += [1 - np.abs(normal[:, 2]), np.log10(total + 1e-6), _signed_log(off)]
    heights = groups[..., 2] - here[:, None, 2]
    return [*columns, _signed_log(-heights.min(1)), _signed_log(heights.max(1)), _signed_log(heights.mean(1))]


class Surroundings(nn.Module):
    """Points' numbers -> the same of length one half, and a vector of length one by which classes are told apart.

    All of it is buffers: tasks that read tokens never come past here, and whatever trains an encoder leaves it alone.

    Args:
        width: X, of the vectors that were learnt.
        language_width: H, of the language space.
        hidden: units in between.
    """

    def __init__(self, width: int = 64, language_width: int = 384, hidden: int = 128) -> None:
        super().__init__()
        shapes = {"first": (hidden, COUNT), "bias": (hidden,), "second": (width, hidden)}
        shapes["words"] = (language_width, hidden)
        for name, shape in shapes.items():
            self.register_buffer(name, torch.randn(shape) * shape[-1] ** -0.5)
        self.register_buffer("centre", torch.zeros(COUNT))
        self.register_buffer("spread", torch.ones(COUNT))
        self.first: Tensor
        self.bias: Tensor
        self.second: Tensor
        self.words: Tensor
        self.centre: Tensor
        self.spread: Tensor

    @torch.no_grad()
    def fit(self, numbers: Tensor) -> None:
        """Standardise by what training points have: (M, COUNT)."""
        self.centre.copy_(numbers.mean(0))
        self.spread.copy_(numbers.std(0).clamp(min=1e-3))

    def standard(self, numbers: Tensor) -> Tensor:
        """(M, COUNT) -> the same in spreads from the mean."""
        return ((numbers - self.centre.float()) / self.spread.float()).clamp(-_LARGEST, _LARGEST)

    def learnt(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """(M, COUNT) -> (M, X) and, in the language space, (M, H), both of length one."""
        hidden = F.gelu(F.linear(self.standard(numbers), self.first.float(), self.bias.float()))
        learnt, said = (F.linear(hidden, weight.float()) for weight in (self.second, self.words))
        return F.normalize(learnt, dim=-1), F.normalize(said, dim=-1)

    def forward(self, numbers: Tensor) -> Tensor:
        """(M, COUNT) -> (M, COUNT + X): classes that were never learnt are found by the numbers themselves."""
        return torch.cat([F.normalize(self.standard(numbers), dim=-1) / 2, self.learnt(numbers)[0]], -1)
