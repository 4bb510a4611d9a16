"""One convolutional forecaster of SimVP's shape for each task: the learned baseline.

    python recipes/unistd-base/per_task.py [--packed runs/unistd/packed] [--seconds 120] [--seeds 1]

Every task gets the same seconds of one processor in the same loop, with the joint model's rate, batches and choice of
the best look at the validation part. Each has about as many weights as learn in the whole joint model. As in its paper
it sees frames alone: no calendar, no place, no linear path. Writes ``results/per_task.json`` ("task / seed" ->
metrics).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from budgets import budget
from results import RESULTS, cell, kept

from allspark.spatiotemporal.fit import fit
from allspark.spatiotemporal.score import model_forecast, score
from allspark.spatiotemporal.series import Series, unpack_all
from allspark.spatiotemporal.simvp import SimVP

TRANSLATOR = 152  # channels of the middle: 2.5 million weights
CHECK = 25  # steps between looks


def measured(series: Series, seconds: float, seed: int) -> dict[str, Any]:
    """Train one task's baseline and score its test part."""
    name = series.task.name
    torch.manual_seed(seed)
    model = SimVP(series.task, translator=TRANSLATOR, adjacency=series.adjacency)
    facts = fit(model, {name: series}, budget(seconds, seed, CHECK, 24))
    return {
        **kept(score(model_forecast(model, series), series)),
        "parameters": sum(p.numel() for p in model.parameters()),
        "training_seconds": facts["processor"],
        "steps": facts["step"],
        "best_step": facts["best_step"],
        "validation_nrmse": facts["best"],
    }


def main() -> None:
    """Measure what is not measured yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packed", default="runs/unistd/packed", type=Path)
    parser.add_argument("--seconds", default=120.0, type=float)
    parser.add_argument("--seeds", default=1, type=int)
    parser.add_argument("--out", default=RESULTS / "per_task.json", type=Path)
    options = parser.parse_args()
    for seed in range(options.seeds):
        for name, series in unpack_all(options.packed).items():
            cell(options.out, f"{name} / {seed}", lambda s=series, i=seed: measured(s, options.seconds, i))


if __name__ == "__main__":
    main()
