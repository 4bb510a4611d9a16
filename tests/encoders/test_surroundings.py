"""What surrounds single points: numbers that do not turn with the cloud, and segment's use of them."""

import numpy as np
import pytest
import torch

import allspark
from allspark.encoders import surroundings
from allspark.encoders.surroundings import COUNT, Neighbourhood, Surroundings


def street(seed: int = 0, count: int = 1500) -> tuple[allspark.PointCloud, np.ndarray]:
    """Ground, and on it a wall and a bush: the kind of each point is 0, 1 or 2."""
    random = np.random.default_rng(seed)
    flat, wall = random.uniform(0, 20, (2, count, 3))
    bush = random.normal(0, 1.2, (count, 3))
    flat[:, 2] = random.normal(0, 0.02, count)
    wall[:, 0], wall[:, 2] = random.normal(random.uniform(5, 15), 0.02, count), wall[:, 2] / 3
    bush = bush + [random.uniform(3, 17), random.uniform(3, 17), 2.5]
    echoes = np.r_[np.ones(2 * count), random.integers(2, 4, count)]
    features = {"intensity": random.uniform(0, 900, 3 * count), "number_of_returns": echoes}
    features["return_number"] = np.ones(3 * count)
    return allspark.PointCloud(np.concatenate([flat, wall, bush]), features), np.repeat([0, 1, 2], count)


def test_numbers_do_not_turn_with_the_cloud_and_do_not_depend_on_the_block(monkeypatch):
    cloud, _ = street()
    chosen = np.arange(0, 4500, 9)
    numbers = Neighbourhood(cloud).numbers(chosen)
    assert numbers.shape == (500, COUNT)
    assert np.isfinite(numbers).all()
    angle = 0.7
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    turned = allspark.PointCloud(cloud.xyz @ turn.T + [100.0, -50.0, 7.0], cloud.features)
    np.testing.assert_allclose(Neighbourhood(turned).numbers(chosen), numbers, atol=2e-3)
    monkeypatch.setattr(surroundings, "_BLOCK", 64)
    np.testing.assert_allclose(Neighbourhood(cloud).numbers(chosen), numbers, atol=1e-6)


def test_a_wall_stands_and_the_ground_lies():
    cloud, kinds = street()
    numbers = Neighbourhood(cloud).numbers(np.arange(len(kinds)))
    upright = 12 + 11 + 4  # of the 32 nearest, after the first scale's eleven
    standing = [np.median(numbers[kinds == kind, upright]) for kind in (0, 1)]
    assert standing[0] < 0.05 < 0.9 < standing[1]


@pytest.mark.parametrize("count", [1, 2, 7, 40])
def test_few_points_and_no_features(count):
    cloud = allspark.PointCloud(np.random.default_rng(0).uniform(0, 3, (count, 3)))
    numbers = Neighbourhood(cloud).numbers(np.arange(count))
    assert numbers.shape == (count, COUNT)
    assert np.isfinite(numbers).all()
    assert not numbers[:, 3:12].any()  # nothing is known of intensities and echoes, and the flags say so


def test_intensities_that_are_not_there_are_no_zeros():
    cloud, _ = street(count=200)
    holed = dict(cloud.features) | {"intensity": np.where(np.arange(600) % 2, np.nan, cloud.features["intensity"])}
    numbers = Neighbourhood(allspark.PointCloud(cloud.xyz, holed)).numbers(np.arange(600))
    assert np.isfinite(numbers).all()
    assert (numbers[:, 4] == (np.arange(600) % 2 == 0)).all()


def test_what_is_not_learnt_stays_in_the_vector():
    torch.manual_seed(0)
    module = Surroundings(16, 24)
    assert not list(module.parameters())  # what trains an encoder leaves it alone
    numbers = torch.randn(50, COUNT) * 3 + 1
    module.fit(numbers)
    vectors = module(numbers)
    assert vectors.shape == (50, COUNT + 16)
    torch.testing.assert_close(vectors[:, :COUNT].norm(dim=1), torch.full((50,), 0.5))
    torch.testing.assert_close(vectors[:, COUNT:].norm(dim=1), torch.ones(50))
    assert module.learnt(numbers)[1].shape == (50, 24)


def test_segment_tells_points_apart_that_share_a_token(tiny):
    """A wall's foot and the ground beside it lie in one token, and in different surroundings."""
    cloud, kinds = street(0)
    other, truth = street(1)
    names = ["ground", "wall", "bush"]
    examples = {name: (cloud, kinds == kind) for kind, name in enumerate(names)}
    (out,) = tiny.segment(other, examples=examples)
    right = (out.classes == truth).mean()
    kept, encoder = tiny.model.encoders["point_cloud"].surroundings, tiny.model.encoders["point_cloud"]
    try:
        encoder.surroundings = None
        (tokens,) = tiny.segment(other, examples=examples)
    finally:
        encoder.surroundings = kept
    assert right > 0.9
    assert right > (tokens.classes == truth).mean() + 0.02
    (said,) = tiny.segment(other, names)  # untrained, but of the right shape
    assert said.scores.shape == (3, len(truth))
