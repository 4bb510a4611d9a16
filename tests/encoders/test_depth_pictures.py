"""Pictures of a cloud: what stands where in them, and that what reads them stands still."""

from __future__ import annotations

import numpy as np
import torch

from allspark.encoders.depth_pictures import FARTHEST, NUMBERS, SIDE, DepthPictures, pictures
from allspark.encoders.lite import LiteFeatures
from allspark.encoders.point_cloud import prepare
from allspark.items import PointCloud
from allspark.modality import stack


def groups(*clouds: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    batch = stack([prepare(PointCloud(xyz)) for xyz in clouds])
    return batch["points"], batch["centres"]


def posts() -> np.ndarray:
    """Two posts of 4 metres, 8 metres apart along x; the right one stands 4 metres further back along y."""
    random = np.random.default_rng(0)
    both = random.random((2, 1000, 3)) * [0.5, 0.5, 4]
    both[1] += [8, 4, 0]
    return both.reshape(-1, 3)


def test_what_is_near_is_bright_and_where_nothing_is_is_black():
    shown = pictures(*groups(posts()))
    assert shown.shape == (1, 2, 3, SIDE, SIDE)
    near, across, down = shown[0, 0]  # seen along y
    columns = near.amax(0).nonzero().flatten()
    assert columns.min() > 0
    assert columns.max() < SIDE - 1
    assert 48 <= columns.max() - columns.min() <= 58  # the longer extent fills 80 % of the picture, and a disc
    left, right = near[:, : SIDE // 2], near[:, SIDE // 2 :]
    assert not near[:, 20:44].any()
    assert right[right > 0].mean() < left[left > 0].mean() - 0.2
    lowest = [int((half > 0).any(1).nonzero().max()) for half in (left, right)]
    assert lowest[1] < lowest[0] - 5  # from above, what stands further back stands higher
    assert near[near > 0].min() >= FARTHEST - 1e-3
    assert near.max() <= 1 + 1e-3
    for slope in (across, down):
        assert not slope[near == 0].any()
        assert float(slope.min()) >= 0
        assert float(slope.max()) <= 1
    assert not torch.equal(shown[0, 0], shown[0, 1])


def test_a_cloud_of_one_place_and_a_flat_one_have_pictures():
    random = np.random.default_rng(1)
    flat = random.random((300, 3)) * [5, 5, 0]
    shown = pictures(*groups(np.ones((4, 3)), flat))
    assert shown.isfinite().all()
    assert shown.amax((2, 3, 4)).min() >= FARTHEST


def test_the_network_stands_still_and_reads_every_cloud_alone():
    torch.manual_seed(0)
    reader = DepthPictures()
    assert not list(reader.parameters())
    assert set(reader.net.state_dict()) == set(LiteFeatures(4).state_dict())
    before = {key: value.clone() for key, value in reader.state_dict().items()}
    points, centres = groups(posts(), posts()[:1000], posts() * [1, 1, 3])
    reader.train()
    together = reader(points, centres)
    assert together.shape == (3, NUMBERS)
    for i in range(3):
        torch.testing.assert_close(reader(points[i : i + 1], centres[i : i + 1])[0], together[i], atol=1e-5, rtol=1e-4)
    assert (together[0] - together[1]).abs().max() > 1e-3
    assert all(torch.equal(value, before[key]) for key, value in reader.state_dict().items())
    half = reader.to(torch.bfloat16)(points, centres)
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, together, atol=0.05, rtol=0.1)
