"""Train one forecaster on packed series, jointly.

    accelerate launch -m allspark.spatiotemporal.train --packed DIR --out runs/mine [--steps 4000] [--trunk
    allspark-base]

The series are files that ``series.pack`` wrote; nothing else is read. A run that was stopped goes on where it was.
Writes ``checkpoint.safetensors``, ``log.jsonl``, ``recipe.json`` and, when it is through, the forecaster itself
(``model/``).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import sys
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .. import atomic
from ..presets import WEIGHTS
from .config import UNISTD_BASE, UNISTD_TINY, UniSTDConfig
from .fit import Training, fit
from .forecaster import Forecaster
from .model import UniSTD
from .series import Series, unpack_all
from .trunk import encoder_blocks, random_blocks, vit_blocks

PRESETS = {"unistd-base": UNISTD_BASE, "unistd-tiny": UNISTD_TINY}


def trunk_of(words: str, config: UniSTDConfig, seed: int) -> list[dict[str, Tensor]]:
    """The pretrained blocks that ``--trunk`` names.

    Args:
        words: "random"; "allspark-base" or a folder of an allspark model, with ":modality" behind it for another
            encoder than rgb; or a ViT checkpoint of timm's layout (.safetensors).
        config: of the forecaster.
        seed: of random blocks.

    Raises:
        FileNotFoundError: no such folder or file.
    """
    if words == "random":
        return random_blocks(config, seed)
    if words.endswith(".safetensors"):
        return vit_blocks(Path(words))
    name, _, modality = words.partition(":")
    folder = WEIGHTS / name if (WEIGHTS / name).is_dir() else Path(name)
    if not folder.is_dir():
        raise FileNotFoundError(
            f"there is no trunk {words!r}; wanted random, allspark-base, a model's folder or a ViT's .safetensors"
        )
    return encoder_blocks(folder, modality or "rgb")


def build(
    series: dict[str, Series], preset: str = "unistd-base", trunk: str = "allspark-base", seed: int = 0, **changes: Any
) -> UniSTD:
    """A new model for these tasks.

    Args:
        series: task -> data; the records go into the config.
        preset: "unistd-base" or "unistd-tiny".
        trunk: see ``trunk_of``.
        seed: of the random weights.
        changes: of the config.
    """
    config = PRESETS[preset].changed(
        tasks={name: data.task for name, data in series.items()},
        licences={data.task.source or name: data.task.licence for name, data in series.items()},
        trunk=trunk,
        **changes,
    )
    return UniSTD(config, trunk_of(trunk, config, seed), seed)


def data_hash(folder: Path, names: list[str]) -> str:
    """SHA-256 over the packed files that a run reads."""
    digest = hashlib.sha256()
    for name in names:
        with (folder / f"{name}.safetensors").open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def parsed(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packed", required=True, type=Path, help="folder of packed series")
    parser.add_argument("--out", required=True, type=Path, help="folder of the run")
    parser.add_argument("--tasks", nargs="*", help="names; by default all that are packed")
    parser.add_argument("--preset", default="unistd-base", choices=sorted(PRESETS))
    parser.add_argument(
        "--trunk", default="allspark-base", help=(trunk_of.__doc__ or "").split("Args:")[1].split("config:")[0]
    )
    for field in fields(Training):
        name = f"--{field.name.replace('_', '-')}"
        parser.add_argument(name, type=type(field.default), default=field.default)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Train; several processes where accelerate started them."""
    options = parsed(arguments)
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=not torch.cuda.is_available())
    if accelerator.num_processes != int(os.environ.get("WORLD_SIZE", "1")):
        raise RuntimeError(
            f"{os.environ['WORLD_SIZE']} processes were started and {accelerator.num_processes} found each other; on a "
            "CPU, launch with --multi_gpu and --num_processes (accelerate trains unsynchronised otherwise)"
        )
    settings = Training(**{field.name: getattr(options, field.name) for field in fields(Training)})
    series = unpack_all(options.packed, options.tasks)
    model = build(series, options.preset, options.trunk, settings.seed).to(accelerator.device)
    chief = accelerator.is_main_process
    if chief:
        recipe = {
            "arguments": {
                key: str(value) if isinstance(value, Path) else value for key, value in vars(options).items()
            },
            "settings": asdict(settings),
            "versions": {"python": platform.python_version(), "torch": torch.__version__},
            "processes": accelerator.num_processes,
            "data": data_hash(options.packed, list(series)),
        }
        atomic.write(options.out / "recipe.json", json.dumps(recipe, indent=2))
    several = accelerator.num_processes > 1
    facts = fit(
        model,
        series,
        settings,
        options.out,
        say=(lambda words: print(words, flush=True)) if chief else None,
        process=accelerator.process_index,
        average=(lambda grad: accelerator.reduce(grad, reduction="mean")) if several else None,
    )
    if chief:
        Forecaster(model.cpu()).save(options.out / "model")
        print(f"{facts['step']} steps in {facts['seconds']:.0f} s; best at step {facts['best_step']}; wrote "
              f"{options.out / 'model'}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1:])
