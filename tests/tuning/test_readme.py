"""The README's line on fine-tuning, run as it stands but for the model, and the call that it names afterwards."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import allspark

from . import made

README = Path(__file__).parents[2] / "README.md"


def test_the_line_of_the_readme_runs(tiny_folder, tmp_path):
    text = README.read_text(encoding="utf-8")
    (line,) = re.findall(r"^accelerate launch (-m allspark\.finetune .*)$", text, re.MULTILINE)
    made.tracks(tmp_path, 12).rename(tmp_path / "train.csv")
    words = shlex.split(line)
    words[words.index("allspark-base")] = str(tiny_folder)
    command = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "1",
               "--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", *words]  # fmt: skip
    given = {**os.environ, "OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        [*command, "--epochs", "1"], cwd=tmp_path, env=given, capture_output=True, text=True, timeout=280, check=False
    )
    assert ended.returncode == 0, ended.stderr
    call = re.search(r'`allspark\.load\("allspark-base", adapter="(runs/mine)"\)\.classify', text)
    assert call
    spark = allspark.load(tiny_folder, adapter=tmp_path / call.group(1))
    assert spark.classify(tmp_path / "track_0.csv")[0].label in made.NAMES
