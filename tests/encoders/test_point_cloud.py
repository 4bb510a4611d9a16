from __future__ import annotations

import numpy as np
import pytest
import torch

from allspark.encoders.cloud_moments import group_numbers
from allspark.encoders.point_cloud import (
    FEATURES,
    OWN,
    SCALARS,
    PointCloudEncoder,
    farthest_points,
    own_numbers,
    prepare,
    spread,
    thin,
)
from allspark.items import PointCloud
from allspark.modality import stack


def surface(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    xy = rng.uniform(0, 100, (count, 2))
    return np.c_[xy, 5 * np.sin(xy[:, 0] / 10)]


@pytest.mark.parametrize("count", [1, 2, 63, 64, 1000, 20_000])
def test_any_number_of_points(count):
    sample = prepare(PointCloud(surface(count) + 6e5))
    assert sample["points"].shape == (64, 32, 14)
    assert int(sample["valid"].sum()) == min(count, 64)
    assert all(torch.isfinite(value.float()).all() for value in sample.values())


def test_thinning_keeps_one_point_per_place():
    xyz = surface(50_000)
    kept = thin(xyz, 2000)
    assert 1000 <= len(kept) <= 2000
    assert len(np.unique(kept)) == len(kept)
    apart = np.linalg.norm(xyz[kept][:, None, :2] - xyz[kept][None, :, :2], axis=-1) + np.eye(len(kept)) * 1e9
    holes = np.linalg.norm(xyz[::50, None, :2] - xyz[kept][None, :, :2], axis=-1).min(1)
    assert holes.max() < 6  # every place still has a point near by …
    assert np.median(apart.min(1)) > 0.8  # … and neighbours are further apart than in the cloud (0.2 m)


def test_thinning_of_a_solid_of_one_place_and_with_an_outlier():
    xyz = np.random.default_rng(0).uniform(0, 10, (200_000, 3))
    assert 1024 <= len(thin(xyz, 2048)) <= 2048
    assert len(thin(np.ones((5000, 3)), 2048)) == 2048
    far = np.r_[surface(10_000), [[1e6, 0.0, 0.0]]]
    assert len(thin(far, 2048)) >= 1024


def test_farthest_points_are_the_corners():
    square = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0], [0.5, 0.5, 0], [0.4, 0.5, 0]], np.float64)
    assert sorted(farthest_points(square, 4)) == [0, 1, 2, 3]
    assert sorted(farthest_points(np.zeros((3, 3)), 5)) == [0, 1, 2]


def test_shifting_a_cloud_changes_nothing_and_scaling_it_changes_its_size_alone():
    xyz = surface(900)
    a, b = prepare(PointCloud(xyz)), prepare(PointCloud(xyz + [1000, 2000, 50]))
    torch.testing.assert_close(a["points"], b["points"], atol=1e-4, rtol=0)
    big = prepare(PointCloud(xyz * 10))
    torch.testing.assert_close(a["centres"], big["centres"], atol=1e-4, rtol=0)
    assert float(big["scale"][0] - a["scale"][0]) == pytest.approx(1 / 3, abs=1e-5)  # log10 of 10, over 3


def test_an_absent_feature_is_flagged_and_differs_from_zero():
    xyz = surface(500)
    without = prepare(PointCloud(xyz))["points"]
    zero = prepare(PointCloud(xyz, {"nir": np.zeros(500)}))["points"]
    nir, flag = 3 + FEATURES.index("nir"), 3 + len(FEATURES) + 2
    assert float(without[..., nir].abs().max()) == float(zero[..., nir].abs().max()) == 0
    assert float(without[..., flag].max()) == 0
    assert float(zero[..., flag].min()) == 1


def test_intensity_has_no_unit_and_colours_have_one_white():
    xyz, rng = surface(500), np.random.default_rng(0)
    intensity, red = rng.uniform(0, 1, 500), rng.integers(0, 256, 500)
    colours = {"red": red, "green": red, "blue": red}
    a = prepare(PointCloud(xyz, {"intensity": intensity, **colours}))["points"]
    wide = {name: value * 257 for name, value in colours.items()}
    b = prepare(PointCloud(xyz, {"intensity": intensity * 40_000, **wide}))["points"]
    torch.testing.assert_close(a, b, atol=1e-4, rtol=0)


def test_spread_gives_a_centre_its_own_value_and_stays_between():
    item = PointCloud(surface(3000))
    values = torch.arange(65.0)[:, None]
    out = spread(values, item)
    assert out.shape == (3000, 1)
    assert float(out.min()) >= 1  # row 0 is the cloud's own token and belongs to no point
    assert float(out.max()) <= 64
    whole = {float(round(float(v), 2)) for v in out.flatten()}
    assert whole >= {float(k) for k in range(1, 65)}
    small = spread(torch.arange(4.0)[:, None], PointCloud(np.eye(3)))
    assert sorted(small.flatten().round().tolist()) == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("pictures", [False, True])
def test_padded_groups_do_not_count(pictures):
    torch.manual_seed(0)
    encoder = PointCloudEncoder(width=24, depth=1, heads=2, hidden=16, moments=True, pictures=pictures).eval()
    batch = {key: value[None] for key, value in prepare(PointCloud(surface(10))).items()}
    tokens = encoder(**batch)
    assert tokens.mask is not None
    assert int(tokens.mask.sum()) == 11
    batch["points"] = torch.where(batch["valid"][..., None, None], batch["points"], 7.0)
    torch.testing.assert_close(encoder(**batch).features, tokens.features)


def test_the_road_past_the_transformer_does_not_know_how_a_cloud_is_turned_and_masks_padding():
    item = np.random.default_rng(0).normal(0, 1, (300, 3)) * [6, 2, 3]
    turn = np.array([[np.cos(1.1), -np.sin(1.1), 0], [np.sin(1.1), np.cos(1.1), 0], [0, 0, 1]])

    def road(xyz: np.ndarray) -> torch.Tensor:
        batch = {key: value[None] for key, value in prepare(PointCloud(xyz)).items()}
        numbers, mask = PointCloudEncoder(width=24, depth=1, heads=2, moments=True).road_numbers(**batch)
        groups = group_numbers(**batch)[0]
        assert (groups[~batch["valid"][0]] == 0).all()
        torch.testing.assert_close(numbers[0, 0], groups[batch["valid"][0]].mean(0))
        assert mask.tolist() == [[True]]
        assert torch.isfinite(numbers).all()
        return numbers[0, 0, :-SCALARS]  # the rectangle around a turned cloud has another area

    torch.testing.assert_close(road(item), road(item @ turn.T), atol=0.02, rtol=0.02)
    assert (road(item) - road(item * [0.3, 3, 1])).abs().max() > 0.1
    for few in (item[:10], item[:1], np.ones((5, 3)), item * [1, 1, 0]):
        road(few)


def test_the_road_that_reads_pictures_does_not_know_how_a_cloud_is_turned():
    torch.manual_seed(0)
    encoder = PointCloudEncoder(width=24, depth=1, heads=2, hidden=16, moments=True, pictures=True).eval()
    random = np.random.default_rng(0)
    chair = np.concatenate([random.random((400, 3)) * [5, 4, 0.2], random.random((300, 3)) * [0.2, 4, 6]])

    def numbers(xyz: np.ndarray) -> torch.Tensor:
        found, mask = encoder.road_numbers(**stack([prepare(PointCloud(xyz))]))
        assert found.shape == (1, 1, encoder.moments.centre.numel())
        assert mask.tolist() == [[True]]
        assert found.isfinite().all()
        return found[0, 0]

    def apart(one: torch.Tensor, other: torch.Tensor) -> float:
        rows = slice(OWN - SCALARS, OWN)  # the rectangle around a turned cloud has another area
        one[rows] = other[rows]
        return float((one - other).abs().max())

    for angle in (0.4, 1.6, 2.7, 3.9):
        cos, sin = np.cos(angle), np.sin(angle)
        assert apart(numbers(chair @ np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])), numbers(chair)) < 0.05
    assert apart(numbers(chair * [1, 1, -1]), numbers(chair)) > 0.2  # upside down it is another thing
    for few in (chair[:10], chair[:1], np.ones((5, 3)), chair * [1, 1, 0]):
        numbers(few)


def test_own_numbers_tell_how_a_cloud_stands_and_what_turning_leaves():
    random = np.random.default_rng(0)
    xyz = random.random((1024, 3)) * [6.0, 1.0, 2.0]
    turned = xyz[:, [1, 0, 2]] * [-1, 1, 1]
    plain, other = (own_numbers(**stack([prepare(PointCloud(p, {}))]))[0] for p in (xyz, turned))
    same = torch.isclose(plain, other, atol=1e-3)
    assert plain.shape == other.shape
    # quantiles along both axes and boxes differ; heights, rings, distances and the groups' shapes do not
    assert (~same[48:72]).any()
    assert same[:48].all()
    assert same[72 : 72 + 64].all()
    boxes = plain[136:200]
    assert boxes.sum() == pytest.approx(1, abs=1e-4)
    assert torch.allclose(boxes.view(4, 4, 4), other[136:200].view(4, 4, 4).flip(0).transpose(0, 1), atol=0.02)
    assert same[200:].all()
