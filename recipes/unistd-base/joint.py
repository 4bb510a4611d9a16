"""The joint model on the test part of every task, and what its training log says.

    python recipes/unistd-base/joint.py --run runs/unistd/joint [--packed runs/unistd/packed]

Writes ``results/joint.json``: task -> metrics, and under "training" seconds, steps, the looks at the validation part
and the learned ranks.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from results import RESULTS, cell, kept

from allspark.spatiotemporal.forecaster import Forecaster
from allspark.spatiotemporal.ranks import rank_table
from allspark.spatiotemporal.score import model_forecast, score
from allspark.spatiotemporal.series import unpack_all


def training(run: Path, forecaster: Forecaster) -> dict[str, Any]:
    """What the run's files say of it."""
    recipe = json.loads((run / "recipe.json").read_text(encoding="utf-8"))
    looks = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    model = forecaster.model
    return {
        "settings": recipe["settings"], "data": recipe["data"], "versions": recipe["versions"],
        "processes": recipe["processes"], "seconds": looks[-1]["seconds"],
        "processor": looks[-1]["processor"], "steps": looks[-1]["step"],
        "parameters": sum(p.numel() for p in model.parameters()),
        "learning": sum(p.numel() for _, p in model.learning()),
        "looks": [{key: look[key] for key in ("step", "processor", "validation")} for look in looks],
        "ranks": rank_table(model),
    }  # fmt: skip


def main() -> None:
    """Measure what is not measured yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packed", default="runs/unistd/packed", type=Path)
    parser.add_argument("--run", default="runs/unistd/joint", type=Path)
    parser.add_argument("--out", default=RESULTS / "joint.json", type=Path)
    options = parser.parse_args()
    forecaster = Forecaster.load(options.run / "model")
    cell(options.out, "training", lambda: training(options.run, forecaster))
    for name, series in unpack_all(options.packed, list(forecaster.tasks)).items():
        cell(options.out, name, lambda s=series: kept(score(model_forecast(forecaster.model, s), s)))


if __name__ == "__main__":
    main()
