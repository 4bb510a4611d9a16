from __future__ import annotations

import numpy as np
import pytest
import torch

from allspark.encoders.trajectory import SUMMARY, collate, displacements, prepare, spread
from allspark.items import Trajectory

OWN = [*range(13), 15, 16, 17, 18, 19]  # columns that do not know where north is


def walk(count: int, seed: int = 0) -> np.ndarray:
    return np.cumsum(np.random.default_rng(seed).normal(0, 10, (count, 2)), 0)


@pytest.mark.parametrize("crs", ["EPSG:4326", "metres", "EPSG:2154"])
@pytest.mark.parametrize("count", [2, 3, 257, 258, 10_000])
def test_any_length(count, crs):
    positions = walk(count) * (1e-5 if crs == "EPSG:4326" else 1)
    sample = prepare(Trajectory(positions, np.arange(count) * 2.0, crs=crs))
    assert len(sample["steps"]) == min(count - 1, 256)
    assert sample["summary"].shape == (SUMMARY,)
    assert all(torch.isfinite(value).all() for value in sample.values())


def test_displacements_are_metres_also_across_the_antimeridian_and_in_feet():
    east, north = displacements(Trajectory([[0, 0], [1, 0], [1, 1]], [0, 1, 2]))
    assert east == pytest.approx([111_319.5, 0], abs=1)
    assert north == pytest.approx([0, 110_574.4], abs=1)
    east, _ = displacements(Trajectory([[179.99, 0], [-179.99, 0]], [0, 1]))
    assert east == pytest.approx([2226.4], abs=0.1)
    east, _ = displacements(Trajectory([[0, 0], [100, 0]], [0, 1], crs="EPSG:2263"))  # New York, US survey feet
    assert east == pytest.approx([30.48], abs=0.001)


def test_turning_a_trajectory_moves_absolute_direction_alone():
    positions = walk(60)
    angle = 0.7
    turned = positions @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    a, b = (prepare(Trajectory(p, np.arange(60.0), crs="metres")) for p in (positions, turned))
    torch.testing.assert_close(a["steps"][:, OWN], b["steps"][:, OWN], atol=1e-4, rtol=0)
    torch.testing.assert_close(a["summary"], b["summary"], atol=1e-4, rtol=0)
    assert float((a["steps"][:, 13:15] - b["steps"][:, 13:15]).abs().max()) > 0.1


def test_a_long_trajectory_keeps_its_extremes():
    positions = np.cumsum(np.tile([5.0, 0.0], (2000, 1)), 0)
    positions[1200:] += [300.0, 0.0]  # one leap
    steps = prepare(Trajectory(positions, np.arange(2000.0), crs="metres"), fixes=20)["steps"]
    fastest = steps[:, 4]
    assert len(steps) == 20
    assert int(fastest.argmax()) == 12  # step 1199 of 1999; segment 12 begins at 1199
    assert float(10 ** (2 * fastest.max())) == pytest.approx(305, rel=0.01)
    total = (10 ** (2 * steps[:, 0].double()) - 0.01).sum()
    assert float(total) == pytest.approx(1999 * 5 + 300, rel=0.001)


def test_standing_still_and_timeless_fixes_are_finite():
    for time in (np.zeros(5), np.arange(5.0)):
        sample = prepare(Trajectory(np.zeros((5, 2)), time))
        assert all(torch.isfinite(value).all() for value in sample.values())
    timeless = prepare(Trajectory(walk(5), np.zeros(5), crs="metres"))["steps"]
    assert float(timeless[:, 2:5].abs().max()) == 0  # no speed is invented
    assert float(timeless[:, 19].max()) == 0


def test_time_of_day_is_used_where_it_is_known():
    noon = Trajectory(walk(4), np.arange(4.0), {"time_of_day": np.full(4, 43_200.0)}, crs="metres")
    without = Trajectory(walk(4), np.arange(4.0), crs="metres")
    a, b = prepare(noon)["steps"], prepare(without)["steps"]
    assert a[0, -6:-3].tolist() == pytest.approx([0, -1, 1], abs=1e-6)
    assert b[0, -6:].tolist() == [0] * 6


def test_collate_masks_and_spread_returns_one_row_per_fix():
    items = [Trajectory(walk(n), np.arange(float(n)), crs="metres") for n in (3, 9)]
    batch = collate([prepare(item) for item in items])
    assert batch["steps"].shape[:2] == (2, 8)
    assert batch["mask"].sum(1).tolist() == [2, 8]
    rows = spread(torch.arange(9.0)[:, None], items[1])
    assert rows.flatten().tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 8]
    assert spread(torch.arange(5.0)[:, None], items[1], fixes=4).flatten().tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 4]
