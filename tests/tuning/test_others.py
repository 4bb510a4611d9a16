"""Who else is about: from files to a head that heeds them."""

import csv

import numpy as np
import pytest
import torch

import allspark
from allspark.encoders._frame import NEAREST, observed, own_frame
from allspark.encoders.trajectory import collate, prepare
from allspark.finetune import run
from allspark.heads.others import Others, typical
from allspark.items import Trajectory
from allspark.tuning.options import Options

from . import made


def walk(others, crs="metres"):
    """Three fixes two metres apart, northwards."""
    positions = np.array([[5.0, 1.0], [5.0, 3.0], [5.0, 5.0]])
    return Trajectory(positions, np.arange(3) * 0.5, crs=crs, others=np.asarray(others, float))


def test_others_have_a_place_at_every_fix():
    with pytest.raises(ValueError, match=r"others has shape \(1, 2, 2\); wanted \(M, 3, 2\)"):
        walk(np.zeros((1, 2, 2)))
    with pytest.raises(ValueError, match="others"):
        walk(np.full((1, 3, 2), np.inf))


def test_others_are_told_in_the_walkers_own_frame():
    nan = np.nan
    oncoming = [[4, 12], [4, 11], [4, 10]]  # five metres ahead, one to the left
    gone = [[5, 2], [nan, nan], [nan, nan]]
    new = [[nan, nan], [nan, nan], [6, 5]]  # one metre to the right
    told = prepare(walk([oncoming, gone, new]))["others"].numpy()
    np.testing.assert_allclose(told[1], [5, 1, -2, 0, -6, 0], atol=1e-6)
    np.testing.assert_allclose(told[0], [0, -1, nan, nan, nan, nan], atol=1e-6)
    assert len(told) == 2
    again = prepare(observed(walk([oncoming, gone, new]), 3))["others"].numpy()
    np.testing.assert_allclose(again, told, atol=1e-6)
    many = walk([[[5, 5 + i]] * 3 for i in range(1, 20)])
    np.testing.assert_allclose(prepare(many)["others"][:, 0], np.arange(1, NEAREST + 1), atol=1e-5)
    assert prepare(Trajectory(np.eye(2), np.arange(2.0), crs="metres"))["others"].shape == (0, 6)


def test_degrees_become_metres():
    step = 2 / 111_195  # degrees of latitude, about two metres
    positions = np.array([[8.0, 47.0], [8.0, 47.0 + step], [8.0, 47.0 + 2 * step]])
    other = positions + [0, step]
    (told,) = prepare(Trajectory(positions, np.arange(3.0), others=other[None]))["others"].numpy()
    np.testing.assert_allclose(told, [2, 0, 2, 0, 0, 0], atol=5e-3)


def test_a_batch_without_anybody_is_as_before():
    alone = prepare(Trajectory(np.eye(2), np.arange(2.0), crs="metres"))
    assert "others" not in collate([alone])
    batch = collate([alone, prepare(walk([[[5, 6]] * 3]))])["others"]
    assert batch.shape == (2, 1, 6)
    assert batch[0].isnan().all()
    assert batch[1].isfinite().all()


def test_nobody_counts_nothing_and_order_does_not_matter():
    torch.manual_seed(0)
    layers, own = Others(5).eval(), torch.randn(2, 5)
    others = torch.randn(2, 3, 6)
    others[1] = torch.nan
    heard = layers(others, own)
    assert not heard[1].any()
    assert heard[0].any()
    torch.testing.assert_close(layers(others[:, [2, 0, 1]], own), heard)
    padded = torch.cat([others, torch.full((2, 2, 6), torch.nan)], 1)
    torch.testing.assert_close(layers(padded, own), heard)
    assert not layers(None, own).any()
    still = others.clone()
    still[0, 0, 2:] = torch.nan  # its velocity is not known
    assert layers(still, own).isfinite().all()
    assert not torch.equal(layers(still, own), heard)


def test_in_training_others_are_left_out_now_and_then():
    torch.manual_seed(0)
    layers, own, others = Others(5).train(), torch.zeros(400, 5), torch.randn(1, 2, 6).expand(400, -1, -1)
    alone = (layers(others, own) == 0).all(1).float().mean()
    assert abs(float(alone) - (0.3 + 0.7 * 0.3**2)) < 0.08


def test_units_are_typical_distances_and_speeds():
    rows = [torch.tensor([[3.0, 4, 0, 2, 1, 1], [6, 8, torch.nan, torch.nan, torch.nan, torch.nan]])]
    assert typical([*rows, torch.tensor([[0.0, 7, 0, 0, 0, 0]])]).tolist() == [7, 2]
    assert typical([torch.zeros(1, 6)]).tolist() == [1, 1]


def test_a_head_heeds_who_stands_in_the_way(tiny_folder, tmp_path):
    """Walkers turn away from whoever stands beside them: nothing else tells to which side."""
    rng = np.random.default_rng(0)
    fixes, rows = [], []
    for i in range(96):
        side, time = (-1, 1)[i % 2], 100.0 * i  # everybody walks at a time of their own
        way = np.stack([np.arange(12.0), np.r_[np.zeros(8), -side * np.arange(1, 5)]], 1) * rng.uniform(0.9, 1.1)
        angle = rng.uniform(0, 6)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        stands = np.array([9.0, side * rng.uniform(0.5, 1.5)])
        for name, track in (("w", way), ("s", np.broadcast_to(stands, (12, 2)))):
            fixes += [{"id": f"{name}{i}", "time": time + t, "x": x, "y": y} for t, (x, y) in enumerate(track @ turn)]
        rows.append({"trajectory": "tracks.csv", "trajectory.id": f"w{i}", "trajectory.crs": "metres",
                     "trajectory.others": "true", "split": "test" if i % 8 < 2 else "train"})  # fmt: skip
    made.write_csv(tmp_path / "tracks.csv", fixes)
    manifest = made.write_csv(tmp_path / "walks.csv", rows)
    given = {"task": "trajectory", "predict": 4, "modes": 1, "steps": 150, "batch": 24, "lr": 5e-3, "wide": 64,
             "wide_dropout": 0.0, "leak_distance": 0.0, "at": "encoder", "train": ["heads"]}  # fmt: skip

    def tuned(data, name):
        where = {"data": str(data), "out": str(tmp_path / name), "model": str(tiny_folder), "precision": "no"}
        return run(Options(**where, **given))["test"]["ade"]

    found = tuned(manifest, "run")
    with open(manifest, newline="") as file:
        alone = [{**row, "trajectory.others": ""} for row in csv.DictReader(file)]
    assert found < 0.5 * tuned(made.write_csv(tmp_path / "alone.csv", alone), "blind")
    spark = allspark.load(tiny_folder, adapter=tmp_path / "run")
    read = {"id": "w0", "crs": "metres", "others": True, "end": 7}
    seen = allspark.read(tmp_path / "tracks.csv", **read)
    mirrored = Trajectory(seen.positions, seen.time, crs="metres", others=2 * seen.positions[[-1]] - seen.others)
    (one,), (other,) = spark.futures(seen), spark.futures(mirrored)
    assert not np.allclose(one.metres, other.metres, atol=0.1)


def test_the_last_step_tells_the_heading_where_it_is_one():
    way = np.array([[0, 0], [4, 0], [4, 3], [4, 4], [9, 9]], float)
    item = Trajectory(way, np.arange(5.0), crs="metres")
    metres, matrix = own_frame(item, 4)
    np.testing.assert_allclose(metres[:4], [[-4, 4], [-4, 0], [-1, 0], [0, 0]], atol=1e-12)
    np.testing.assert_allclose(metres @ matrix.T, way - way[3], atol=1e-12)
    before, _ = own_frame(item, 4, step=False)  # as heads that were trained earlier have it
    np.testing.assert_allclose(before[0], [-(32**0.5), 0], atol=1e-12)
    way[3] = way[2] + 0.01  # no step to speak of
    stands, _ = own_frame(Trajectory(way, np.arange(5.0), crs="metres"), 4)
    np.testing.assert_allclose(stands[0], [-np.hypot(*way[3]), 0], atol=1e-12)
    single, _ = own_frame(item, 1)
    np.testing.assert_allclose(single, way, atol=1e-12)
