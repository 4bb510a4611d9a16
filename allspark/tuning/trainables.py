"""What learns: LoRA on linear layers, and whole parts that are copied, trained and carried in the same PEFT folder."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from torch import nn

from ..adapters import quiet
from ..encoders.vit import Transformer
from ..model import AllSparkModel

if TYPE_CHECKING:
    from peft import PeftModel

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def linear_layers(model: AllSparkModel, parts: Sequence[str], modalities: Iterable[str]) -> list[str]:
    """The names of the linear layers that LoRA hangs on.

    "lora" takes the language model's own, whatever its family calls them, but not the one over the vocabulary;
    "encoder-lora" those of the encoders.
    """
    from transformers.pytorch_utils import Conv1D

    found: list[str] = []
    if "lora" in parts:
        vocabulary = model.language.get_output_embeddings()
        found += [
            f"language.{name}"
            for name, module in model.language.named_modules()
            if isinstance(module, (nn.Linear, Conv1D)) and module is not vocabulary
        ]
    if "encoder-lora" in parts:
        for modality in modalities:
            if modality in model.encoders:
                found += [
                    f"encoders.{modality}.{name}"
                    for name, module in model.encoders[modality].named_modules()
                    if isinstance(module, nn.Linear)
                ]
    return found


def pattern(names: Sequence[str], among: Iterable[str] = ()) -> str:
    r"""One regular expression for all these names, the numbers of layers as ``\d+`` where that takes no other module.

    Args:
        names: of the modules that are meant.
        among: of all modules; in ``Sequential(Linear, LayerNorm)`` numbers tell the two apart and have to stay.

    Example:
        >>> pattern(["language.layers.0.q_proj", "language.layers.1.q_proj"])
        '(language\\.layers\\.\\d+\\.q_proj)'
        >>> pattern(["first.0", "first.3"], among=["first.0", "first.1", "first.3"])
        '(first\\.0|first\\.3)'
    """

    def unnumbered(name: str) -> str:
        return re.sub(r"\\\.\d+(?=\\\.|$)", r"\.\\d+", re.escape(name))

    others = {unnumbered(name) for name in set(among) - set(names)}
    different = dict.fromkeys(re.escape(n) if unnumbered(n) in others else unnumbered(n) for n in names)
    return f"({'|'.join(different)})"


def whole_parts(model: AllSparkModel, parts: Sequence[str], modalities: Iterable[str], head: str | None) -> list[str]:
    """The names of the modules that train as a whole."""
    found = [f"heads.{head}"] if head is not None and "heads" in parts else []
    for modality in modalities:
        if modality not in model.encoders:
            continue
        if "prompts" in parts and model.config.soft_prompt:
            found.append(f"prompts.vectors.{modality}")
        if "bridges" in parts:
            found.append(f"bridges.{modality}")
        if "encoders" in parts:
            found.append(f"encoders.{modality}")
    if "words" in parts:
        embeddings = model.language.get_input_embeddings()
        found += [f"language.{name}" for name, module in model.language.named_modules() if module is embeddings]
    return found


def adapt(
    model: AllSparkModel,
    parts: Sequence[str],
    modalities: Sequence[str],
    head: str | None,
    *,
    rank: int,
    alpha: float,
    dropout: float,
    base: str,
) -> PeftModel:
    """peft's model around ``model``, in which only the chosen parts have gradients.

    Args:
        model: changed in place.
        parts: of ``options.PARTS``.
        modalities: those that occur in the data; the parts of others stay as they are.
        head: the head that trains; None where the task has none.
        rank, alpha, dropout: of LoRA.
        base: what the adapter's config calls the base model.

    Raises:
        ValueError: nothing among the chosen parts can train.
    """
    from peft import LoraConfig, get_peft_model
    from peft.utils.constants import DUMMY_TARGET_MODULES
    from transformers.pytorch_utils import Conv1D

    layers = linear_layers(model, parts, modalities)
    wholes = whole_parts(model, parts, modalities, head)
    if not layers and not wholes:
        raise ValueError(
            f"--train {' '.join(parts)} leaves nothing to train for {', '.join(modalities)}; add heads or lora"
        )
    model.requires_grad_(False)
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,  # type: ignore[arg-type]
        lora_dropout=dropout,
        target_modules=pattern(layers, dict(model.named_modules())) if layers else DUMMY_TARGET_MODULES,
        modules_to_save=wholes or None,
        fan_in_fan_out=any(isinstance(model.get_submodule(name), Conv1D) for name in layers),
    )
    with quiet():
        wrapped = get_peft_model(model, config)
    config.base_model_name_or_path = base
    return wrapped


def learning_mode(wrapped: nn.Module) -> None:
    """Dropout only where something trains; batch norm keeps its statistics, whatever the batch or the rank.

    A frozen part that dropped units would only blur what the trained parts see.
    """
    wrapped.eval()
    for module in wrapped.modules():
        own = next(module.parameters(recurse=False), None)
        copies = getattr(module, "modules_to_save", None)  # peft's wrapper of a part that trains as a whole
        if isinstance(copies, nn.ModuleDict):
            copies.train()
        drops = getattr(module, "lora_dropout", None)
        if isinstance(drops, nn.ModuleDict):
            drops.train()
        if own is not None and own.requires_grad:
            module.train()
    for module in wrapped.modules():
        if isinstance(module, NORMS):
            module.eval()


def checkpointing(model: AllSparkModel) -> None:
    """Keep only the blocks' inputs and compute the rest again on the way back."""
    from transformers.modeling_layers import GradientCheckpointingLayer

    language: Any = model.language
    # transformers 5 renamed it on its way
    enable = getattr(language, "activation_checkpointing_enable", None) or language.gradient_checkpointing_enable
    enable({"use_reentrant": False})
    for module in model.modules():
        if isinstance(module, GradientCheckpointingLayer):
            module.training = True  # its own flag alone: the frozen layers inside keep their mode
        if isinstance(module, Transformer):
            module.checkpointing = True


def stochastic_depth(model: AllSparkModel, modalities: Iterable[str], rate: float) -> None:
    """Whole blocks of these encoders left out now and then: never the first, at ``rate`` the last."""
    for name in modalities:
        if name not in model.encoders:
            continue
        for module in model.encoders[name].modules():
            if isinstance(module, Transformer):
                for i, block in enumerate(module.blocks):
                    block.drop_path = rate * i / max(len(module.blocks) - 1, 1)  # type: ignore[assignment]


def count(model: nn.Module) -> dict[str, int]:
    """Part -> how many of its parameters train."""
    counts: dict[str, int] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            lora = "lora_" in name
            part = next(
                (p for p in ("heads", "prompts", "bridges", "encoders", "language") if f".{p}." in name), "other"
            )
            key = f"{part} (LoRA)" if lora else part
            counts[key] = counts.get(key, 0) + parameter.numel()
    return counts
