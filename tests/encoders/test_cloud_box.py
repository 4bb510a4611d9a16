"""A cloud in its own box: what the numbers are of clouds that can be worked out by hand, and what they do not know."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from allspark import modality
from allspark.encoders.cloud_box import CELLS, FAR_LEVELS, LEVELS, NUMBERS, PIXELS, box_numbers
from allspark.encoders.point_cloud import OWN, own_numbers, prepare
from allspark.items import PointCloud
from allspark.modality import stack
from allspark.model import own_numbers as read_by_heads

SIZES = (3, 3 * LEVELS, 3 * FAR_LEVELS, 3 * CELLS**2, 6 * PIXELS**2)


def parts(places: np.ndarray | torch.Tensor, valid: torch.Tensor | None = None) -> list[torch.Tensor]:
    """Of one cloud: sides, quantiles, distances from the mean, projections, views."""
    places = torch.as_tensor(places, dtype=torch.float32)[None]
    valid = torch.ones(places.shape[:2], dtype=torch.bool) if valid is None else valid
    sides, along, far, seen, near = box_numbers(places, valid)[0].split(SIZES)
    return [
        sides,
        along.view(3, LEVELS),
        far.view(3, FAR_LEVELS),
        seen.view(3, CELLS, CELLS),
        near.view(6, PIXELS, PIXELS),
    ]


def corners() -> np.ndarray:
    return np.array(list(itertools.product((0.0, 8.0), (0.0, 4.0), (0.0, 1.0))))


def chair(count: int = 700, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    seat, back = random.random((count, 3)) * [4, 5, 0.3] + [0, 0, 3], random.random((count // 2, 3)) * [0.3, 5, 7]
    return np.concatenate([seat, back]).round(3)


def test_the_corners_of_a_box():
    sides, along, far, seen, near = parts(corners())
    assert sum(SIZES) == NUMBERS
    assert sides.exp().tolist() == pytest.approx([1, 1 / 2, 1 / 8])
    assert along[:, :12].eq(-0.5)[:, :10].all()  # four of eight points are at the low end, four at the high one
    assert along[:, -10:].eq(0.5).all()
    assert (along.diff(dim=1) >= 0).all()
    assert far.eq(0.5).all()
    # 128 points each, of which the blur keeps 1/2 in their cell and 1/4 beyond, along each axis; two corners are seen
    # behind each other, and each keeps 3/4 of itself along the line of sight, as the rest is blurred out of the box
    corner, beside = 2 * 128 * 3 / 4 / 4, 2 * 128 * 3 / 4 / 8
    assert seen[:, 0, 0].expm1().tolist() == pytest.approx([corner] * 3)
    assert seen[:, -1, 1].expm1().tolist() == pytest.approx([beside] * 3)
    assert int((seen > 0).sum()) == 3 * 4 * 4
    assert near[:, 0, 0].tolist() == pytest.approx([1.1] * 6)
    assert int((near > 0).sum()) == 6 * 4


def test_which_side_is_seen_and_which_axis_is_which():
    # a floor, and one point a quarter of the way up over the far end of x and the near end of y; one at the very top
    floor = np.array(list(itertools.product(np.linspace(0, 1, 9), np.linspace(0, 1, 9), [0.0])))
    sides, along, _, seen, near = parts(np.r_[floor, [[1.0, 0.0, 0.25], [0.0, 1.0, 1.0]]])
    assert sides.tolist() == [0, 0, 0]
    assert along[2, :22].eq(-0.5).all()  # height is the third
    assert along[2, 23] == 0.5
    above, below = near[4], near[5]  # from the high end of z and from the low one; x runs down, y across
    assert above[-1, 0] == pytest.approx(0.6 - 0.25)
    assert above[0, -1] == pytest.approx(1.1)
    assert above[3, 3] == pytest.approx(0.1)
    assert torch.allclose(below, torch.full_like(below, 1.1))
    assert near[0][0, 2] == pytest.approx(1.1)  # along x: the quarter's height over the near end of y, from the far end
    assert near[1][0, 2] == pytest.approx(0.1)
    assert seen[2].expm1().sum() > seen[0].expm1().sum()  # the floor loses less over its two borders than end on
    assert seen[0, :, 4:8].eq(0).all()  # nothing stands between


def test_neither_place_nor_size_nor_stretching_counts_but_for_the_proportions():
    sides, *plain = parts(chair())
    for shift, stretch in (((64, -32, 8), (1, 1, 1)), ((0, 0, 0), (4, 4, 4)), ((8, 0, 0), (0.5, 2, 8))):
        moved, *other = parts(chair() * stretch + shift)
        want = np.log(np.array(stretch) * np.exp(sides.numpy()))
        assert moved.numpy() == pytest.approx(want - want.max(), abs=1e-4)
        for one, same in zip(plain, other, strict=True):
            assert (one - same).abs().mean() < 1e-3  # a point on a border may fall to either side
    upside = parts(chair() * [1, 1, -1])
    assert (upside[1][2] - plain[0][2]).abs().max() > 0.05  # upside down it is another thing
    assert (upside[4] - plain[3]).abs().mean() > 0.1


@pytest.mark.parametrize(
    "places", [np.ones((5, 3)), chair() * [1, 1, 0], chair() * [0, 1, 0] + 7, chair()[:1], chair() * [1, 1, 1e-9]]
)
def test_flat_and_single_points_give_numbers(places):
    sides, along, *rest = parts(places)
    assert all(part.isfinite().all() for part in (sides, along, *rest))
    assert sides.max() == 0
    assert along.abs().max() <= 0.5
    for axis in np.flatnonzero(np.ptp(places, axis=0) < 1e-6):  # not stretched to the whole box
        assert along[axis].abs().max() < 0.01


def test_a_cloud_alone_is_the_cloud_beside_larger_ones():
    record = modality.get("point_cloud")
    clouds = [chair(), chair()[:20], chair(3000, 1) * 5, np.ones((1, 3))]
    samples = [record.prepare(PointCloud(xyz)) for xyz in clouds]
    together = read_by_heads({"point_cloud": record.collate(samples)})["point_cloud"]
    assert together.shape == (4, OWN + NUMBERS)
    assert together.isfinite().all()
    for row, sample in zip(together, samples, strict=True):
        torch.testing.assert_close(read_by_heads({"point_cloud": record.collate([sample])})["point_cloud"][0], row)
    torch.testing.assert_close(together[:, :OWN], own_numbers(**record.collate(samples)))


def test_padding_does_not_count_whatever_it_holds():
    places = torch.from_numpy(chair()).float()
    padded = torch.cat([places, torch.full((300, 3), 99.0)])
    valid = torch.arange(len(padded))[None] < len(places)
    for one, other in zip(parts(places), parts(padded, valid), strict=True):
        torch.testing.assert_close(one, other)
    assert (parts(places)[1] - parts(padded)[1]).abs().max() > 0.1  # they would


def test_few_points_are_not_counted_by_the_groups_that_repeat_them():
    # ten points make ten groups; the other 54 are copies of some of them
    sample = prepare(PointCloud(chair()[::105]))
    batch = stack([sample])
    real = int(sample["valid"].sum())
    found = read_by_heads({"point_cloud": batch})["point_cloud"][:, OWN:]
    places = batch["centres"][:, :real, None] + batch["points"][:, :real, :, :3] / 8
    valid = torch.ones(1, real * places.shape[2], dtype=torch.bool)
    assert real < 64
    torch.testing.assert_close(found, box_numbers(places.flatten(1, 2), valid))
