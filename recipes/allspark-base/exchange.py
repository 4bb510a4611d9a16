"""A model that ships gets another encoder and bridge for some modalities; every other tensor stays as it is.

``begin`` writes the checkpoints of stages 2 and 3 that the shipped weights stand for, so that a stage can go on where
nothing else is left of the run; ``end`` puts what the stages made of them back, and calibrates these modalities.

    python recipes/allspark-base/exchange.py begin --weights allspark/weights/allspark-base --out runs/next --only rgb
    python recipes/allspark-base/moments_stage.py --data DIR --out runs/next --modality rgb --principal --beside 0.5
    python recipes/allspark-base/bridge_stage.py --out runs/next --only rgb --like allspark/weights/allspark-base
    python recipes/allspark-base/exchange.py end --data DIR --weights allspark/weights/allspark-base --out runs/next \
        --only rgb
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import torch
from finish import calibrate, temperatures_of, write_processor
from safetensors.torch import load_file, save_file
from torch import Tensor

import allspark
from allspark import atomic
from allspark import modality as modalities

STAGES = {
    "encoders": {"encoder": "encoders.{}."},
    "bridges": {"bridge": "bridges.{}.", "prompt": "prompts.vectors.{}."},
}


def parts(stage: str, name: str) -> list[tuple[str, str]]:
    """(prefix in the checkpoint, prefix in the model) of what a stage leaves for a modality."""
    return [(f"model.{part}.", prefix.format(name)) for part, prefix in STAGES[stage].items()]


def begin(weights: Path, out: Path, names: list[str]) -> None:
    """Checkpoints from a model."""
    state = load_file(weights / "model.safetensors")
    for stage in STAGES:
        for name in names:
            found: dict[str, Tensor] = {}
            for theirs, ours in parts(stage, name):
                for key, value in state.items():
                    if key.startswith(ours):
                        kept = value.float() if value.is_floating_point() else value
                        found[theirs + key.removeprefix(ours)] = kept.contiguous()
            if not found:
                raise ValueError(f"{weights} holds no {stage} of {name}")
            path = out / stage / f"{name}.safetensors"
            if path.exists():
                raise FileExistsError(f"{path} is there already; give another --out, or take it away")
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file(found, path, metadata={"facts": json.dumps({"seconds": 0.0, "step": 0})})


def end(weights: Path, out: Path, names: list[str], data: Path) -> None:
    """The model with these modalities' parts from their checkpoints, and a temperature for each of them."""
    partial = weights.with_name(weights.name + ".partial")  # the model is changed as a whole or not at all
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(weights, partial)
    path, config = partial / "model.safetensors", json.loads((partial / "config.json").read_text(encoding="utf-8"))
    state = load_file(path)
    for stage in STAGES:
        for name in names:
            checkpoint = load_file(out / stage / f"{name}.safetensors")
            for theirs, ours in parts(stage, name):
                state = {key: value for key, value in state.items() if not key.startswith(ours)}
                for key, value in checkpoint.items():
                    if key.startswith(theirs):
                        kept = value.to(torch.bfloat16) if value.is_floating_point() else value
                        state[ours + key.removeprefix(theirs)] = kept.contiguous()
    path.unlink()  # before it is written anew: it may be mapped into memory
    save_file(state, path, metadata={"format": "pt"})
    config["encoders"] |= {name: modalities.get(name).config for name in names}  # as the stages built them
    atomic.write(partial / "config.json", json.dumps(config, indent=2, sort_keys=True) + "\n")
    spark = allspark.load(partial)
    spark.processor.temperatures = {**temperatures_of(weights), **calibrate(spark, data, out, names)}
    write_processor(spark, partial)
    shutil.rmtree(weights)
    partial.rename(weights)
    size = (weights / path.name).stat().st_size / 2**20
    print(f"{weights}: {size:.1f} MiB, temperatures {spark.processor.temperatures}")


def main() -> None:
    """Begin or end."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("begin", "end"))
    parser.add_argument("--weights", required=True, type=Path, help="folder of the model")
    parser.add_argument("--out", required=True, type=Path, help="folder of the stages' checkpoints")
    parser.add_argument("--only", required=True, nargs="+", help="modalities")
    parser.add_argument("--data", type=Path, help="wanted at the end: held-back groups for the temperatures")
    options = parser.parse_args()
    if options.what == "begin":
        begin(options.weights, options.out, options.only)
    elif options.data is None:
        parser.error("give --data: the temperatures come from held-back groups")
    else:
        end(options.weights, options.out, options.only, options.data)


if __name__ == "__main__":
    main()
