"""The claims of UniSTD's paper, each on small equal budgets.

    python recipes/unistd-base/claims.py [--trunk allspark-base] [--seconds 30] [--seeds 1] [--only a b c d e]

Every run trains for ``--seconds`` of one processor times the number of its tasks, chooses its best look at the
validation part, and is scored once on the test part (mean of the tasks' nrmse). All of them go without the linear path,
which is ours and not the paper's: beside a least squares fit a network has little left to show in so short a time.

a  one joint model of 3, 5 and 10 tasks against as many models of one task each, with the same seconds in all
b  trunk pretrained and frozen, random and frozen, pretrained and trained in full
c  rank-adaptive mixtures against LoRA of one fixed rank and against a mixture of fixed ranks, with the same ranks in
   all
d  temporal module on and off
e  a task that the joint model of five never saw, learnt from few frames: from that model, and from the trunk alone

b, c and d train on ``THREE`` tasks; the model that all compare with is a's joint model of three. Writes
``results/claims.json`` ("claim / variant / seed" -> metrics); what is there is not trained again.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch
from budgets import budget
from results import RESULTS, cell

from allspark.spatiotemporal.config import UNISTD_BASE
from allspark.spatiotemporal.fit import fit
from allspark.spatiotemporal.forecaster import Forecaster
from allspark.spatiotemporal.model import UniSTD
from allspark.spatiotemporal.score import model_forecast, score
from allspark.spatiotemporal.series import Series, unpack_all
from allspark.spatiotemporal.train import build

THREE = ("bikenyc", "era5_uk", "rain_mch")
FIVE = (*THREE, "metr_la", "hadgem_a1b")
TEN = (*FIVE, "moving_mnist", "ostia_sst", "rain_mrms", "rain_fmi", "hadgem_e1")
UNSEEN = ("ostia_sst", "rain_fmi")  # of tasks that FIVE leaves out, those with the fewest frames
EPOCHS = 8

SUM = {name: UNISTD_BASE.experts[name] * UNISTD_BASE.rank[name] for name in UNISTD_BASE.experts}
ONE_LORA = {
    "experts": dict.fromkeys(SUM, 1),
    "max_rank": {name: round(total) for name, total in SUM.items()},
    "rank": {name: float(round(total)) for name, total in SUM.items()},
    "adaptive": False,
}
FIXED_MIXTURE = {"rank": {"q": 4.0, "k": 5.0, "v": 4.0, "proj": 5.0, "temporal": 5.0}, "adaptive": False}


def scored(model: UniSTD, series: dict[str, Series]) -> dict[str, Any]:
    """Test nrmse of every task and their mean."""
    found = {
        name: score(model_forecast(model, part, name), part, pictures=False)["nrmse"] for name, part in series.items()
    }
    return {"mean": sum(found.values()) / len(found), "tasks": found}


def trained(
    series: dict[str, Series], trunk: str, seconds: float, seed: int, save: Path | None = None, **changes: Any
) -> dict[str, Any]:
    """Train a model on some tasks and score it."""
    model = build(series, "unistd-base", trunk, seed, **changes)
    facts = fit(model, series, budget(seconds * len(series), seed, 20, 8))
    if save is not None:
        Forecaster(model).save(save)
    learning = sum(p.numel() for _, p in model.learning())
    return {**scored(model, series), "seconds": facts["processor"], "steps": facts["step"], "learning": learning}


def adapted(start: Forecaster, series: Series, seed: int) -> dict[str, Any]:
    """Learn an unseen task from a model and score it."""
    name = series.task.name
    found = start.adapt(series, epochs=EPOCHS, name=name, seed=seed)
    return {**scored(found.model, {name: series}), "windows": len(series.starts("train")), "epochs": EPOCHS}


def main() -> None:
    """Measure what is not measured yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packed", default="runs/unistd/packed", type=Path)
    parser.add_argument("--runs", default="runs/unistd/claims", type=Path)
    parser.add_argument("--trunk", default="allspark-base")
    parser.add_argument("--seconds", default=30.0, type=float, help="of training, for each task of a run")
    parser.add_argument("--seeds", default=1, type=int)
    parser.add_argument("--only", nargs="*", default=list("abcde"))
    parser.add_argument("--out", default=RESULTS / "claims.json", type=Path)
    options = parser.parse_args()
    told = cell(options.out, "seconds for each task", lambda: {"seconds": options.seconds})["seconds"]
    if told != options.seconds:
        raise SystemExit(
            f"{options.out} holds runs of {told:g} s a task, {options.seconds:g} were asked; remove it first"
        )
    everything = unpack_all(options.packed, TEN)

    def run(claim: str, variant: str, seed: int, names: tuple[str, ...], **changes: Any) -> None:
        series = {name: everything[name] for name in names}
        trunk = changes.pop("trunk", options.trunk)
        save = changes.pop("save", None)
        cell(options.out, f"{claim} / {variant} / {seed}",
             lambda: trained(series, trunk, options.seconds, seed, save, linear=False, **changes))  # fmt: skip

    for seed in range(options.seeds):
        torch.manual_seed(seed)
        five = options.runs / f"five-{seed}"
        run("a", "joint 3", seed, THREE)
        if "b" in options.only:
            run("b", "random, frozen", seed, THREE, trunk="random")
            run("b", "pretrained, trained in full", seed, THREE, train_trunk=True)
        if "c" in options.only:
            run("c", "LoRA of one rank", seed, THREE, **ONE_LORA)
            run("c", "mixture of fixed ranks", seed, THREE, **FIXED_MIXTURE)
        if "d" in options.only:
            run("d", "no temporal module", seed, THREE, temporal=False)
        if "a" in options.only or "e" in options.only:
            run("a", "joint 5", seed, FIVE, save=five)
        if "a" in options.only:
            for name in TEN:
                run("a", f"alone {name}", seed, (name,))
            run("a", "joint 10", seed, TEN)
        if "e" in options.only:
            for name in UNSEEN:
                cell(options.out, f"e / {name} from the joint model / {seed}",
                     lambda n=name, f=five, i=seed: adapted(Forecaster.load(f), everything[n], i))  # fmt: skip
                known = {n: everything[n] for n in FIVE}
                fresh = Forecaster(build(known, "unistd-base", options.trunk, seed, linear=False))
                cell(options.out, f"e / {name} from the trunk alone / {seed}",
                     lambda n=name, f=fresh, i=seed: adapted(f, everything[n], i))  # fmt: skip


if __name__ == "__main__":
    main()
