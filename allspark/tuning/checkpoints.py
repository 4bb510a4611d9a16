"""What is written: the best weights as a PEFT folder, and checkpoints from which a killed run goes on.

A checkpoint is a folder of its own, ``checkpoints/<step>``: the weights as a PEFT folder that loads like any other, and
``training.safetensors`` with the optimiser's moments, the random states and, in its header, the facts as JSON. It is
written under a temporary name and renamed, so that a checkpoint under its own name is whole; only then is the one
before it removed. The best weights are one file that is renamed into its place.
"""

from __future__ import annotations

import json
import os
import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as tensor_bytes
from torch import Tensor

from .. import atomic
from ..adapters import CARD, CONFIG, WEIGHTS

if TYPE_CHECKING:
    from peft import PeftModel

FOLDER = "checkpoints"
STATE = "training.safetensors"


def whole(tensor: Tensor) -> Tensor:
    """A tensor that is sharded over ranks, gathered; every rank must ask. Others are as they are."""
    gather = getattr(tensor, "full_tensor", None)
    return tensor if gather is None else gather()


def adapter_state(wrapped: PeftModel) -> dict[str, Tensor]:
    """The adapter's tensors under peft's names, whole and on the CPU; every rank must ask."""
    from peft import get_peft_model_state_dict

    state = get_peft_model_state_dict(wrapped, save_embedding_layers=False)
    return {name: whole(value).detach().cpu().contiguous().clone() for name, value in state.items()}


def write_adapter(folder: Path, wrapped: PeftModel, state: Mapping[str, Tensor], card: str) -> None:
    """A PEFT folder; the weights, which change from one writing to the next, come last and in one piece."""
    folder.mkdir(parents=True, exist_ok=True)
    config = wrapped.peft_config["default"].to_dict()
    config["inference_mode"] = True
    for key, value in config.items():
        if isinstance(value, set):
            config[key] = sorted(value)
    atomic.write(folder / CONFIG, json.dumps(config, indent=2, sort_keys=True, default=str) + "\n")
    atomic.write(folder / CARD, card)
    atomic.write(folder / WEIGHTS, tensor_bytes(dict(state), metadata={"format": "pt"}))


def random_state() -> dict[str, Any]:
    """The states of this process's generators, as plain lists; dropout draws from torch's alone."""
    found = {"torch": torch.get_rng_state().tolist()}
    if torch.cuda.is_available():
        found["cuda"] = torch.cuda.get_rng_state().tolist()
    return found


def set_random_state(state: Mapping[str, Any]) -> None:
    """Put back what ``random_state`` gave."""
    torch.set_rng_state(torch.tensor(state["torch"], dtype=torch.uint8))
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(torch.tensor(state["cuda"], dtype=torch.uint8))


def optimiser_state(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """ "moment.<number>.<name>" -> tensor, whole and on the CPU; every rank must ask."""
    return {
        f"moment.{number}.{name}": whole(torch.as_tensor(value)).detach().cpu().contiguous().clone()
        for number, state in optimiser.state_dict()["state"].items()
        for name, value in state.items()
    }


def set_optimiser_state(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put the moments back, sharded as their parameters are."""
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = defaultdict(dict)
    for key, value in tensors.items():
        if key.startswith("moment."):
            _, number, name = key.split(".", 2)
            state[int(number)][name] = like(parameters[int(number)], value)
    optimiser.load_state_dict({**optimiser.state_dict(), "state": dict(state)})


def save(
    out: Path,
    step: int,
    wrapped: PeftModel,
    state: Mapping[str, Tensor],
    training: Mapping[str, Tensor],
    facts: Mapping[str, Any],
    card: str,
) -> Path:
    """One checkpoint; the one before it stays until this is whole.

    Raises:
        OSError: it could not be written, with where the last good one is.
    """
    place = out / FOLDER / f"{step:08d}"
    partial = place.with_name(f".{place.name}.partial")
    before = latest(out)
    try:
        shutil.rmtree(partial, ignore_errors=True)
        write_adapter(partial, wrapped, state, card)
        atomic.write(partial / STATE, tensor_bytes(dict(training), metadata={"facts": json.dumps(facts)}))
        if place.exists():
            shutil.rmtree(place)
        os.replace(partial, place)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        kept = f"the last good checkpoint is {before}" if before else "there is no checkpoint before it"
        raise OSError(
            f"the checkpoint of step {step} could not be written ({error}); {kept}; make room, then --resume"
        ) from error
    for old in checkpoints(out):
        if old != place:
            shutil.rmtree(old, ignore_errors=True)
    return place


def checkpoints(out: Path) -> list[Path]:
    """Whole checkpoints, oldest first."""
    return sorted(p for p in (out / FOLDER).glob("[0-9]*") if (p / STATE).is_file() and (p / WEIGHTS).is_file())


def latest(out: Path) -> Path | None:
    """The newest whole checkpoint, if there is one."""
    return next(iter(reversed(checkpoints(out))), None)


def read(place: Path) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Any]]:
    """The adapter's tensors, the training's, and the facts."""
    with safe_open(place / STATE, "pt") as file:
        facts = json.loads(file.metadata()["facts"])
    return load_file(place / WEIGHTS), load_file(place / STATE), facts


def set_adapter_state(wrapped: PeftModel, state: Mapping[str, Tensor]) -> None:
    """Put adapter tensors back, sharded as they are; ValueError where they are another model's."""
    from peft import get_peft_model_state_dict

    there = get_peft_model_state_dict(wrapped, save_embedding_layers=False)  # the parameters' own memory
    if other := sorted(there.keys() ^ state.keys()):
        raise ValueError(f"the checkpoint and this run do not agree in {other[0]}; start anew in another --out")
    with torch.no_grad():
        for name, tensor in there.items():
            tensor.copy_(like(tensor, state[name]))


def like(tensor: Tensor, value: Tensor) -> Tensor:
    """A whole value, sharded over ranks as a tensor is."""
    mesh = getattr(tensor, "device_mesh", None)
    if mesh is None or not value.ndim:
        return value
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(value.to(tensor.device), mesh, tensor.placements)  # type: ignore[attr-defined]


def same_run(before: Mapping[str, Any], now: Mapping[str, Any], free: Sequence[str]) -> list[str]:
    """The arguments, but for the free ones, in which two runs differ."""
    return sorted(k for k in before.keys() | now.keys() if k not in free and before.get(k) != now.get(k))
