"""A training run on disk: tensors as safetensors, facts as JSON in its header; a file is whole or not there."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..readers import UnreadableFileError


def save_checkpoint(path: Path, model: nn.Module, optimiser: torch.optim.Optimizer, facts: dict[str, Any]) -> None:
    """Weights, the optimiser's moments and whatever ``facts`` say, as one file."""
    tensors = {f"model.{name}": value.contiguous() for name, value in model.state_dict().items()}
    for i, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{i}.{name}": torch.as_tensor(value).clone() for name, value in state.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_file(tensors, partial, metadata={"facts": json.dumps(facts)})
    os.replace(partial, path)


def load_checkpoint(path: Path, model: nn.Module, optimiser: torch.optim.Optimizer | None) -> dict[str, Any]:
    """Fill model and optimiser from what ``save_checkpoint`` wrote; the facts come back.

    Raises:
        UnreadableFileError: not such a file.
        ValueError: of another model.
    """
    try:
        with safe_open(path, "pt") as file:
            facts = json.loads((file.metadata() or {})["facts"])
        tensors = load_file(path)
    except (SafetensorError, KeyError, ValueError) as error:
        raise UnreadableFileError(f"{path} is no checkpoint of a training run ({error}); remove it") from error
    try:
        model.load_state_dict(
            {name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")}
        )
    except RuntimeError as error:
        raise ValueError(
            f"{path} is of a model of another shape ({' '.join(str(error).split())[:160]}); give the run another folder"
        ) from error
    if optimiser is not None:
        state: dict[int, dict[str, Tensor]] = defaultdict(dict)
        for name, value in tensors.items():
            if name.startswith("optimiser."):
                _, i, key = name.split(".", 2)
                state[int(i)][key] = value
        optimiser.load_state_dict({**optimiser.state_dict(), "state": dict(state)})
    return facts


def load_weights(path: Path) -> dict[str, Tensor]:
    """The model's part of what ``save_checkpoint`` wrote."""
    return {name.removeprefix("model."): value for name, value in load_file(path).items() if name.startswith("model.")}
