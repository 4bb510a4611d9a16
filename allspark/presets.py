"""Models as data: where the shipped weights are, and the configurations that ``build`` starts from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .readers import UnreadableFileError

WEIGHTS = Path(__file__).parent / "weights"
# what few-shot classifiers compare unless told otherwise: better in the mean over held-back groups than either level
# (recipes/allspark-base/LOG.md, 2026-11-22)
FEW_SHOT_LEVEL = "encoder+language"


class WeightsNotFoundError(FileNotFoundError):
    """A model's folder, or a file in it, is not there."""


# encoder and input defaults stand in each modality's own record; a preset holds what differs from them
PRESETS: dict[str, dict[str, Any]] = {
    "allspark-base": {
        "language": {
            "model_type": "llama",
            "hidden_size": 384,
            "num_hidden_layers": 4,
            "num_attention_heads": 6,
            "num_key_value_heads": 6,
            "intermediate_size": 1024,
            "vocab_size": 16000,
            "max_position_embeddings": 1024,
            "tie_word_embeddings": False,
        },
        "bridge": {"kind": "resampler", "queries": 8, "depth": 1},
        "soft_prompt": 4,
        "encoders": {},
        "inputs": {},
    },
    # random weights, a few seconds to train: for tests and for trying a modality of one's own
    "allspark-tiny": {
        "language": {
            "model_type": "llama",
            "hidden_size": 32,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "intermediate_size": 64,
            "vocab_size": 260,
            "max_position_embeddings": 1024,
            "tie_word_embeddings": True,
        },
        "bridge": {"kind": "resampler", "queries": 2, "depth": 1},
        "soft_prompt": 1,
        "encoders": {
            "rgb": {"tower": "vit", "width": 32, "depth": 1, "heads": 2},
            "sar": {"width": 32, "depth": 1, "heads": 2},
            "multispectral": {"width": 32, "depth": 1, "heads": 2},
            "hyperspectral": {"width": 32, "depth": 1, "heads": 2},
            "point_cloud": {"width": 32, "depth": 1, "heads": 2},
            "trajectory": {"width": 32, "depth": 1, "heads": 2},
            "graph": {"width": 32, "depth": 1, "heads": 2},
            "table": {"width": 32, "depth": 1, "heads": 2},
        },
        "inputs": {},
    },
}


# models whose weights a recipe makes -> that recipe, and kinds of model that read no words
RECIPES = {"unistd-base": "recipes/unistd-base/unistd.py"}
WORDLESS = ("unistd",)


def model_type(name: str | Path) -> str | None:
    """The kind that a shipped model's or a folder's config.json says; None where there is none to read."""
    for folder in (WEIGHTS / str(name), Path(name)):
        try:
            found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        return found.get("model_type") if isinstance(found, dict) else None
    return None


def list_models() -> dict[str, str]:
    """Name -> what it is: "weights ship with the package" or "random weights, for tests"."""
    found = {p.parent.name: "weights ship with the package" for p in sorted(WEIGHTS.glob("*/config.json"))}
    return found | {name: "configuration only: allspark.build" for name in PRESETS if name not in found}


def find(name: str | Path) -> Path:
    """The folder of a shipped model's name, or a folder of one's own, checked to be whole.

    Raises:
        WeightsNotFoundError: no such model or folder, or a file in it is missing.
        UnreadableFileError: a file in it is not what it should be.
    """
    shipped = WEIGHTS / str(name)
    folder = shipped if (shipped / "config.json").is_file() else Path(name)
    if not folder.is_dir():
        if str(name) in RECIPES:
            raise WeightsNotFoundError(
                f"the weights of {str(name)!r} are not there; wanted {shipped}; train them with "
                f"{RECIPES[str(name)]}, or "
                "give a folder made by save()"
            )
        raise WeightsNotFoundError(
            f"there is no model {str(name)!r}; wanted a folder made by save(), or one of {', '.join(list_models())}"
        )
    for name in ("config.json", "processor_config.json"):
        if not (folder / name).is_file():
            raise WeightsNotFoundError(f"{folder} has no {name}; the folder is not whole: save or copy the model again")
        try:
            json.loads((folder / name).read_text(encoding="utf-8"))
        except ValueError as error:
            raise UnreadableFileError(f"{folder / name} is not JSON ({error}); save or copy the model again") from error
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise WeightsNotFoundError(
            f"{folder} has no *.safetensors weights (other formats are not read); save or copy the model again"
        )
    for file in weights:
        check_safetensors(file)
    if model_type(folder) not in WORDLESS and not (folder / "tokenizer.json").is_file():
        raise WeightsNotFoundError(f"{folder} has no tokenizer.json; save or copy the model again")
    return folder


def check_safetensors(file: Path) -> None:
    """Read the header alone and compare the length it announces with the file's."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        try:
            if not 0 < length <= size - 8:
                raise ValueError("its header is longer than the file")
            header = json.loads(stream.read(length))
            end = max((e["data_offsets"][1] for k, e in header.items() if k != "__metadata__"), default=0)
            if end != size - 8 - length:
                raise ValueError(f"{size} bytes are there, {end + 8 + length} were written")
        except (ValueError, KeyError, TypeError) as error:
            raise UnreadableFileError(f"{file} is corrupt: {error}; save or copy the model again") from error


def merged(preset: Mapping[str, Any], key: str, changes: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """A preset's per-modality settings with changes over them."""
    names = {*preset[key], *changes}
    return {name: {**preset[key].get(name, {}), **changes.get(name, {})} for name in names}
