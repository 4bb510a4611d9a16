"""The trained model as shipped weights: bf16 safetensors, configs, and a card with its figures.

    python recipes/unistd-base/ship.py [--run runs/unistd/joint] [--out allspark/weights/unistd-base]

Refuses a model that does not beat persistence on most of its tasks (``results/joint.json``, written by ``joint.py``).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from results import RESULTS, read
from tables import errors
from ten_tasks import TASKS

from allspark import atomic
from allspark.spatiotemporal.forecaster import Forecaster

LIMIT = 32 * 2**20  # bytes of weights

CARD = """---
license: apache-2.0
library_name: allspark
pipeline_tag: time-series-forecasting
---

# unistd-base

One forecaster for ten spatio-temporal tasks of four disciplines: UniSTD (Tang et al., CVPR 2025), implemented anew in
`allspark/spatiotemporal`. The paper's code was never released; none of its weights or figures are here.

- **Model**: {depth} transformer blocks of width {width}, frozen, from allspark-base's RGB encoder (its {blocks} blocks,
  used again in order); rank-adaptive mixtures of LoRA experts on query, key, value and output, a temporal module after
  each block; for every task a stem, a decoder, a linear path and, where the place is fixed, features of places.
  {parameters:.1f} M weights, {learning:.1f} M of which learnt.
- **Training**: {steps} steps, {minutes:.0f} minutes of one processor, one run, seed {seed}; tasks drawn by temperature
  {temperature:g}, AdamW {lr:g}, bf16 autocast, ranks learnt for the first {rank_share:.0%}, then rounded and frozen.
- **Protocol**: splits by time with a gap of frames between the parts; statistics and least squares from the training
  part alone; kept were the last weights or those of the look at the validation part with the least mean error,
  whichever was better there; how much the network counts beside the linear path was fitted there too, for each task
  ({shares}). The test part was scored once.
- **Use**: `allspark.load("unistd-base").forecast("file.nc", horizon=12)`; `adapt` for your own data.

## Test errors

RMSE in each task's units; the last row is the mean over tasks of RMSE over the training part's standard deviation. The
conv models had {conv_seconds:.0f} s of training each. More tables, and how each was made: `docs/unistd.md` in the
project.

{table}
## Data and licences

| task | data | licence |
|---|---|---|
{data}

Weights: Apache-2.0, as far as the data's terms allow; where a licence is not stated with the data, check it before
commercial use.

## What it cannot do

Each task was learnt from one short stretch of one place (hours to months; see the table). It knows London's March, not
its July; New York's bikes, not yours: `adapt` to your own series. Rain windows are 128 × 128 pixels, 30 minutes ahead
at most; a blurred forecast is the price of a squared error. Nothing here replaces a weather service.
"""


def main() -> None:
    """Write the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", default="runs/unistd/joint", type=Path)
    parser.add_argument("--out", default="allspark/weights/unistd-base", type=Path)
    parser.add_argument("--trunk", default="allspark-base", help="what the card calls the trunk")
    options = parser.parse_args()
    joint, conv = read(RESULTS / "joint.json"), read(RESULTS / "per_task.json")
    good = [name for name in TASKS if joint[name]["skill"] > 0]
    if len(good) < 0.7 * len(TASKS):
        raise SystemExit(f"the model beats persistence on {len(good)} of {len(TASKS)} tasks; train it longer")
    forecaster = Forecaster.load(options.run / "model")
    forecaster.model.config = forecaster.model.config.changed(trunk=options.trunk)
    forecaster.save(options.out, torch.bfloat16)
    size = (options.out / "model.safetensors").stat().st_size
    if size > LIMIT:
        raise SystemExit(
            f"the weights are {size / 2**20:.1f} MiB, at most {LIMIT / 2**20:.0f} may ship; make it smaller"
        )
    training, config = joint["training"], forecaster.model.config
    settings = training["settings"]
    card = CARD.format(
        depth=config.depth, width=config.width, blocks=2, parameters=training["parameters"] / 1e6,
        learning=training["learning"] / 1e6, steps=training["steps"], minutes=training["processor"] / 60,
        seed=settings["seed"], temperature=settings["temperature"], lr=settings["lr"],
        rank_share=settings["rank_share"], table=errors(),
        shares=", ".join(
            f"{name} {float(forecaster.model.task_parts(name).share):.2f}"  # type: ignore[arg-type]
            for name in TASKS
        ),
        conv_seconds=max((cell["training_seconds"] for cell in conv.values()), default=0),
        data="\n".join(f"| {name} | {task.source} | {task.licence} |" for name, task in TASKS.items()),
    )  # fmt: skip
    atomic.write(options.out / "README.md", card)
    print(f"wrote {options.out}: {size / 2**20:.1f} MiB; better than persistence on {len(good)} of {len(TASKS)} tasks")


if __name__ == "__main__":
    main()
