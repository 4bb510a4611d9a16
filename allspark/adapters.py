"""A fine-tuned model as one PEFT folder: LoRA, bridges, prompts, heads and encoders over a base model that stays.

The folder holds ``adapter_config.json`` and ``adapter_model.safetensors`` as peft writes them, and ``allspark.json``:
the heads' configurations (with the names of their classes) and the changes of preprocessing, which peft does not know.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from .heads import make_head
from .model import AllSparkModel
from .presets import WeightsNotFoundError, check_safetensors
from .processor import AllSparkProcessor
from .readers import UnreadableFileError

if TYPE_CHECKING:
    from peft import PeftModel

CARD = "allspark.json"
CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
VERSION = 1


@contextmanager
def quiet() -> Iterator[None]:
    """Without peft's use of names that transformers is about to change."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
        yield


def card(base: str, heads: Mapping[str, Mapping[str, Any]], inputs: Mapping[str, Mapping[str, Any]]) -> str:
    """The text of ``allspark.json``.

    Args:
        base: the model that the adapter belongs to, as it was named.
        heads: name -> config of a head that the adapter carries.
        inputs: modality -> changes of ``prepare``'s arguments.
    """
    content = {
        "format": "allspark adapter",
        "version": VERSION,
        "base": base,
        "heads": {name: dict(head) for name, head in heads.items()},
        "inputs": {name: dict(changes) for name, changes in inputs.items()},
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def add_heads(model: AllSparkModel, heads: Mapping[str, Mapping[str, Any]]) -> None:
    """Give a model heads, with fresh weights, and its config their description."""
    for name, config in heads.items():
        head = make_head(model.config.language_width, **config)
        model.heads[name] = head.to(model.device, model.dtype)
        model.config.heads[name] = dict(config)


def remove_heads(model: AllSparkModel, names: Iterable[str]) -> None:
    """Take heads away again."""
    for name in names:
        del model.heads[name]
        del model.config.heads[name]


def read_card(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """The content of an adapter folder's ``allspark.json``, after a look at the other files.

    Raises:
        WeightsNotFoundError: no such folder, or a file in it is missing.
        UnreadableFileError: damaged, or written by a newer version.
    """
    place = Path(folder)
    for name in (CARD, CONFIG, WEIGHTS):
        if not (place / name).is_file():
            raise WeightsNotFoundError(
                f"{place} has no {name}; wanted a folder that allspark.finetune wrote; fine-tune or copy it again"
            )
    check_safetensors(place / WEIGHTS)
    try:
        found = json.loads((place / CARD).read_text(encoding="utf-8"))
        if found["version"] > VERSION:
            raise UnreadableFileError(
                f"{place / CARD} has version {found['version']}, this allspark reads up to {VERSION}; update allspark"
            )
        if not isinstance(found["heads"], dict) or not isinstance(found["inputs"], dict):
            raise TypeError("heads and inputs are no objects")
    except (ValueError, KeyError, TypeError) as error:
        raise UnreadableFileError(f"{place / CARD} is damaged ({error}); fine-tune or copy the folder again") from error
    return found


@dataclass
class Adapter:
    """An adapter in its place.

    Attributes:
        wrapped: peft's model around the base model's layers.
        heads: the names of the heads that came with it.
        inputs: modality -> preprocessing as it was without it.
    """

    wrapped: PeftModel
    heads: tuple[str, ...]
    inputs: dict[str, dict[str, Any]]

    @classmethod
    def attach(cls, model: AllSparkModel, processor: AllSparkProcessor, folder: str | os.PathLike[str]) -> Adapter:
        """Put an adapter's layers and weights around a model, in place.

        Args:
            model: the base model; its own layers are wrapped.
            processor: takes over the adapter's changes of preprocessing.
            folder: what ``allspark.finetune`` wrote.

        Raises:
            WeightsNotFoundError, UnreadableFileError: see ``read_card``.
            ValueError: the adapter belongs to a model of other sizes.
        """
        from peft import PeftModel

        found = read_card(folder)
        before = {}
        for name, changes in found["inputs"].items():
            if name not in processor.inputs:
                raise ValueError(
                    f"the adapter {folder} reads {name}, which this model does not; load it with {found['base']!r}"
                )
            before[name] = processor.inputs[name]
            processor.inputs[name] = {**processor.inputs[name], **changes}
        add_heads(model, found["heads"])
        try:
            with quiet():
                wrapped = PeftModel.from_pretrained(
                    model, os.fspath(folder), torch_device=str(model.device), local_files_only=True
                )
        except (RuntimeError, ValueError, KeyError) as error:
            raise ValueError(
                f"the adapter {folder} does not fit this model ({str(error).splitlines()[0]}); it was made for "
                f"{found['base']!r}: load it with that"
            ) from error
        wrapped.eval()
        return cls(wrapped, tuple(found["heads"]), before)

    def merged(self) -> AllSparkModel:
        """The base model with the adapter's weights folded into its own layers; its heads stay."""
        with torch.no_grad():
            model: AllSparkModel = self.wrapped.merge_and_unload()
        return model.eval()

    def unloaded(self, processor: AllSparkProcessor) -> AllSparkModel:
        """The base model and its preprocessing as they were, without the heads that the adapter brought."""
        from peft.utils import ModulesToSaveWrapper

        # peft leaves the trained copies of whole parts in their place: the originals are put back by hand
        base = self.wrapped.get_base_model()
        wholes = [(n, m.original_module) for n, m in base.named_modules() if isinstance(m, ModulesToSaveWrapper)]
        model: AllSparkModel = self.wrapped.unload()
        for name, original in wholes:
            model.set_submodule(name, original)
        remove_heads(model, self.heads)
        processor.inputs.update(self.inputs)
        return model.eval()


def carried(adapter: Adapter | None) -> Adapter:
    """The adapter; ValueError where there is none."""
    if adapter is None:
        raise ValueError("the model carries no adapter; load one with load(name, adapter=folder)")
    return adapter
