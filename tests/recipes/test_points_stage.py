"""Points of made tiles: packed once, learnt, and put into a model that ships."""

import runpy
import sys
from pathlib import Path

import base
import laspy
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import allspark
from allspark.evaluate.sources import SOURCES

TILES = ("77050_627755", "77050_627760", "77060_627755")  # the last one is for tests alone


@pytest.fixture
def tiles(tmp_path):
    """Flat ground, a block and a cloud of leaves in every corner of a tile."""
    random = np.random.default_rng(0)
    folder = tmp_path / "data" / SOURCES["ign_lidarhd"].files[0]
    folder.mkdir(parents=True)
    for tile in TILES:
        kinds = random.choice([1, 2, 5, 6], 4000)
        heights = {1: 1.0, 2: 0.0, 5: random.uniform(2, 9, 4000), 6: np.round(random.uniform(0, 6, 4000))}
        cloud = laspy.LasData(laspy.LasHeader(point_format=6, version="1.4"))
        cloud.header.scales = np.array([0.01, 0.01, 0.01])
        cloud.x, cloud.y = random.uniform(0, 20, (2, 4000))
        cloud.z = np.select([kinds == kind for kind in heights], list(heights.values()))
        cloud.classification = kinds.astype(np.uint8)
        cloud.intensity = random.integers(0, 900, 4000).astype(np.uint16)
        cloud.write(folder / f"test_data_{tile}_LA93_IGN69.laz")
    return tmp_path / "data"


def test_points_learn_and_only_their_road_changes(tiles, tmp_path, monkeypatch, capsys):
    shipped, out = tmp_path / "shipped", tmp_path / "run"
    allspark.build("allspark-tiny").save(shipped)

    def run(script, *words):
        monkeypatch.setattr(sys, "argv", [script, *map(str, words)])
        runpy.run_path(str(Path(base.__file__).with_name(script)), run_name="__main__")

    run("exchange.py", "begin", "--weights", shipped, "--out", out, "--only", "point_cloud")
    path = out / "encoders" / "point_cloud.safetensors"
    before = load_file(path)
    stage = ("points_stage.py", "--data", tiles, "--out", out, "--like", shipped, "--steps", 500)
    run(*stage)
    said = capsys.readouterr().out
    assert "of 2 tiles" in said
    assert float(said.rsplit("accuracy ", 1)[1]) > 0.8
    after = load_file(path)
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert changed
    assert all(key.startswith("model.encoder.surroundings.") for key in changed)
    run(*stage)  # what is done is not done again
    assert not capsys.readouterr().out
