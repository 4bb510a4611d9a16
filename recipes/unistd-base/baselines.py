"""The cheap baselines on every packed task.

    python recipes/unistd-base/baselines.py [--packed runs/unistd/packed] [--part test]

Persistence, seasonal persistence, climatology, one linear regression per place, optical flow for radar, and the linear
path that the joint model starts with, each fitted on the training part alone. Writes ``results/baselines.json``
("task / method" -> metrics).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from results import RESULTS, cell, kept
from torch import Tensor

from allspark.spatiotemporal.baselines import Forecast, climatology, linear, persistence, seasonal
from allspark.spatiotemporal.batches import Batch
from allspark.spatiotemporal.model import LinearPath
from allspark.spatiotemporal.normalise import restore
from allspark.spatiotemporal.optical_flow import optical_flow
from allspark.spatiotemporal.score import score
from allspark.spatiotemporal.series import Series, unpack_all


def linear_path(series: Series) -> Forecast:
    """What the joint model says before its first step."""
    path = LinearPath(series.task)
    path.start(series)

    @torch.no_grad()
    def forecast(batch: Batch) -> Tensor:
        parts = batch.prepared
        return restore(series.task, path(parts.frames, parts.calendar), parts.level)

    return forecast


METHODS: dict[str, Callable[[Series], Forecast | None]] = {
    "persistence": persistence,
    "seasonal persistence": seasonal,
    "climatology": climatology,
    "linear regression": linear,
    "linear path alone": linear_path,
    "optical flow": lambda series: optical_flow(series) if series.task.discipline == "nowcasting" else None,
}


def main() -> None:
    """Measure what is not measured yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packed", default="runs/unistd/packed", type=Path)
    parser.add_argument("--part", default="test", choices=["validation", "test"])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    out = options.out or RESULTS / "baselines.json"
    for name, series in unpack_all(options.packed).items():
        for words, make in METHODS.items():
            forecast = make(series)
            if forecast is None:
                continue
            cell(out, f"{name} / {words}", lambda f=forecast, s=series: kept(score(f, s, options.part)))


if __name__ == "__main__":
    main()
