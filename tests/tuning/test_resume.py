"""A run that is killed goes on and ends with the bytes of the run that was not."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from allspark.finetune import run
from allspark.tuning import checkpoints
from allspark.tuning.options import Options

from . import made


def arguments(folder, model, out):
    return {
        "data": str(folder / "mixed.csv"), "out": str(out), "task": "classify", "model": str(model), "precision": "no",
        "train": ["heads", "prompts", "bridges", "encoders", "lora"], "steps": 8, "batch": 4, "accumulate": 2,
        "lora_dropout": 0.3, "wide": 8, "save_every": 1, "eval_every": 3, "average": 0.9,
    }  # fmt: skip


def command_line(values):
    words = []
    for name, value in values.items():
        words += [f"--{name.replace('_', '-')}", *(value if isinstance(value, list) else [str(value)])]
    return words


def test_killed_in_the_middle_it_ends_with_the_same_bytes(tiny_folder, tmp_path):
    made.mixed(tmp_path, 24)
    whole = arguments(tmp_path, tiny_folder, tmp_path / "whole")
    results = run(Options(**whole))
    killed = arguments(tmp_path, tiny_folder, tmp_path / "killed")
    command = [sys.executable, "-m", "allspark.finetune", *command_line(killed)]
    threads = str(torch.get_num_threads())  # sums of other threads have other last bits
    process = subprocess.Popen(command, stderr=subprocess.PIPE, env={**os.environ, "OMP_NUM_THREADS": threads})
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and process.poll() is None:
        place = checkpoints.latest(tmp_path / "killed")
        if place is not None and int(place.name) >= 2:
            break
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()
    assert process.returncode == -signal.SIGKILL, "it was over before it could be killed"
    reached = int(checkpoints.latest(tmp_path / "killed").name)
    assert reached < 8
    with pytest.raises(ValueError, match="another lr"):
        run(Options(**killed, resume=True, lr=1e-5))
    with pytest.raises(ValueError, match="--resume"):
        run(Options(**killed))
    again = run(Options(**killed, resume=True))
    for name in ("adapter_model.safetensors", "allspark.json", "adapter_config.json"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes(), name
    last = [checkpoints.latest(tmp_path / out) / "adapter_model.safetensors" for out in ("whole", "killed")]
    assert last[0].read_bytes() == last[1].read_bytes()
    assert again["val"] == results["val"]
    lines = [(tmp_path / out / "metrics.jsonl").read_text() for out in ("whole", "killed")]
    assert lines[0] == lines[1]
    assert [json.loads(line)["step"] for line in lines[0].splitlines()] == [3, 6, 8]


def test_a_full_disk_leaves_the_last_checkpoint(tiny_folder, tmp_path, monkeypatch):
    made.mixed(tmp_path, 12)
    values = {**arguments(tmp_path, tiny_folder, tmp_path / "run"), "steps": 3, "average": 0.0}
    write, calls = checkpoints.atomic.write, []

    def full(path, content):
        calls.append(path)
        if path.name == checkpoints.STATE and "00000002" in str(path):
            raise OSError(28, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(checkpoints.atomic, "write", full)
    with pytest.raises(OSError, match=r"step 2 could not be written.*last good checkpoint.*00000001.*--resume"):
        run(Options(**values))
    monkeypatch.setattr(checkpoints.atomic, "write", write)
    assert [p.name for p in (tmp_path / "run" / "checkpoints").iterdir()] == ["00000001"]
    assert run(Options(**values, resume=True))["steps"] == 3
