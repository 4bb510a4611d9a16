"""A model that ships gets another encoder of pictures, and everything else in it stays."""

import runpy
import sys
from pathlib import Path

import base
import pytest
import torch
from safetensors.torch import load_file

import allspark
from allspark import modality as modalities


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """A model with today's encoder of pictures, as before its road read the deepest maps."""
    folder = tmp_path_factory.mktemp("model") / "shipped"
    before = {**modalities.get("rgb").config, "deepest": False}
    allspark.build("allspark-tiny", encoders={"rgb": before}).save(folder)
    return folder


def run(monkeypatch, script, *words):
    monkeypatch.setattr(sys, "argv", [script, *map(str, words)])
    runpy.run_path(str(Path(base.__file__).with_name(script)), run_name="__main__")


def test_one_encoder_is_exchanged(shipped, aid, tmp_path, monkeypatch, capsys):
    out = tmp_path / "run"
    before = load_file(shipped / "model.safetensors")
    where = ("--weights", shipped, "--out", out, "--only", "rgb")
    run(monkeypatch, "exchange.py", "begin", *where)
    with pytest.raises(FileExistsError, match="give another --out"):
        run(monkeypatch, "exchange.py", "begin", *where)
    made = ("--principal", "--beside", 0.5)
    run(monkeypatch, "moments_stage.py", "--data", aid, "--out", out, "--modality", "rgb", *made)
    run(monkeypatch, "bridge_stage.py", "--out", out, "--only", "rgb", "--like", shipped, "--minutes", 0.03)
    with pytest.raises(SystemExit):
        run(monkeypatch, "exchange.py", "end", *where)
    assert "give --data" in capsys.readouterr().err
    with pytest.raises(FileNotFoundError):  # no archive to calibrate on: the model stays as it was
        run(monkeypatch, "exchange.py", "end", *where, "--data", tmp_path / "nowhere")
    kept = load_file(shipped / "model.safetensors")
    assert all(torch.equal(kept[key], value) for key, value in before.items())
    run(monkeypatch, "exchange.py", "end", *where, "--data", aid)
    assert not shipped.with_name("shipped.partial").exists()

    after = load_file(shipped / "model.safetensors")
    changed = {key for key in before if key not in after or not torch.equal(before[key], after[key])}
    assert {key.split(".")[0] for key in changed} == {"encoders", "bridges", "prompts"}
    assert all(".rgb." in key for key in changed)
    assert after["encoders.rgb.moments.out.weight"].shape[1] > before["encoders.rgb.moments.out.weight"].shape[1]
    assert not any(key.startswith("encoders.rgb.tower.") and "num_batches" not in key for key in changed if
                   not torch.equal(before[key].bfloat16(), after[key].bfloat16()))  # fmt: skip
    spark = allspark.load(shipped)
    assert spark.config.encoders["rgb"] == modalities.get("rgb").config
    assert 0.004 < spark.processor.temperatures["rgb"] <= 1
    assert spark.classify(allspark.sample("rgb_lake"), ["water", "sand"])[0].label in ("water", "sand")


def test_what_a_model_does_not_hold_is_said(shipped, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="holds no encoders of sonar"):
        run(monkeypatch, "exchange.py", "begin", "--weights", shipped, "--out", tmp_path, "--only", "sonar")
