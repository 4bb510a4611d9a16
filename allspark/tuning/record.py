"""What a run leaves of itself besides weights: ``recipe.json``, and how a later run goes on from a checkpoint."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import Tensor

from . import checkpoints
from .options import Options
from .setup import Prepared

FREE = ("resume", "tracker", "out", "workers", "cache_gib", "save_every")  # a resumed run may change these
PACKAGES = ("torch", "transformers", "peft", "accelerate", "torchmetrics", "safetensors")


def resume(
    out: Path, options: Options, prepared: Prepared, facts: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The facts and the training state of the last checkpoint, its weights put in place; those given without one."""
    place = checkpoints.latest(out)
    if not options.resume:
        if place is not None:
            raise ValueError(
                f"{out} holds a run already ({place.name} steps); add --resume to go on, or name another --out"
            )
        return facts, {}
    if place is None:
        return facts, {}
    state, training, found = checkpoints.read(place)
    differ = checkpoints.same_run(found["arguments"], asdict(options), FREE)
    if differ:
        raise ValueError(
            f"--resume came with another {differ[0]} ({found['arguments'].get(differ[0])!r} before, "
            f"{getattr(options, differ[0])!r} now); a run goes on only as it began"
        )
    if found["data"] != prepared.data_hash:
        raise ValueError(f"--resume came, but the data have changed since {place.name} steps; start a new run")
    checkpoints.set_adapter_state(prepared.wrapped, state)
    return {**found, "arguments": asdict(options)}, training


def recipe(options: Options, prepared: Prepared, world: int) -> str:
    """What it takes to run it again: arguments, seed, versions, and the hash of the data."""
    content = {
        "arguments": asdict(options),
        "seed": options.seed,
        "processes": world,
        "data": prepared.data_hash,
        "examples": {part: len(rows) for part, rows in prepared.parts.items()},
        "skipped": len(prepared.skipped),
        "versions": {name: version(name) for name in PACKAGES},
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
