"""Vectors of items at three levels: the encoder's tokens, the bridge's outputs, the language model's hidden state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from . import modality as modalities
from .bridges import masked_mean
from .encoders.base import Tokens
from .model import AllSparkModel, positions
from .processor import AllSparkProcessor, Sample
from .running import to_device
from .sketch import sketch

LEVELS = ("encoder", "bridge", "language")
PART = 256  # tokens that go through the language model together, each in a sequence of its own


def levels_of(at: str) -> tuple[str, ...]:
    """The levels that ``at`` names: one of ``LEVELS``, or several joined by "+" ("encoder+language").

    Raises:
        ValueError: another word, or a level twice.
    """
    levels = tuple(str(at).split("+"))
    if not set(levels) <= set(LEVELS) or len(set(levels)) != len(levels):
        raise ValueError(f'at is {at!r}; wanted one of {", ".join(LEVELS)}, or several as "encoder+language"')
    return levels


def check_level(at: str) -> None:
    """ValueError where ``at`` is not one of ``LEVELS``."""
    if at not in LEVELS:
        raise ValueError(f"at is {at!r}; wanted one of {', '.join(LEVELS)}")


def item_vectors(model: AllSparkModel, processor: AllSparkProcessor, samples: Sequence[Sample], at: str) -> Tensor:
    """One vector per prepared sample: (B, D) at the encoder, (B, H) at bridge and language (unit length).

    Of several levels ("encoder+language"), and of several modalities at the encoder, the unit vectors stand side by
    side.
    """
    levels = levels_of(at)
    found = level_vectors(model, processor, samples, levels)
    if len(levels) == 1:
        return found[levels[0]]
    return torch.cat([F.normalize(found[level], dim=-1) for level in levels], dim=-1)


def level_vectors(
    model: AllSparkModel, processor: AllSparkProcessor, samples: Sequence[Sample], levels: Sequence[str] = LEVELS
) -> dict[str, Tensor]:
    """Level -> one vector per prepared sample of one kind, as `item_vectors`, with each encoder run once for all."""
    batch: dict[str, Any] = to_device(processor.collate(samples), model.device)
    inputs = batch["inputs"]
    if not inputs:
        return _word_vectors(model, processor, samples, batch, levels)
    # in slot order: what stands side by side must not depend on the order in which it came
    tokens = {name: model.encode(name, inputs[name]) for name in model.config.modalities if name in inputs}
    found: dict[str, Tensor] = {}
    for level in levels:
        if level == "encoder":
            means = [_mean(name, one, inputs[name]) for name, one in tokens.items()]
            found[level] = means[0] if len(means) == 1 else torch.cat([F.normalize(m, dim=-1) for m in means], dim=-1)
        elif level == "bridge":
            found[level] = torch.stack([model.bridge(name, t).float().mean(1) for name, t in tokens.items()]).mean(0)
        else:
            found[level] = F.normalize(model(**{**batch, "inputs": tokens}).pooled.float(), dim=-1)
    return found


def _mean(name: str, tokens: Tokens, inputs: dict[str, Any]) -> Tensor:
    """(B, D) the mean of the items' tokens; at half its length where something stands beside it."""
    mean = masked_mean(tokens.features, tokens.mask).float()
    beside = modalities.get(name).beside
    return mean if beside is None else torch.cat([F.normalize(mean, dim=-1) / 2, beside(**inputs).to(mean)], -1)


def _word_vectors(
    model: AllSparkModel,
    processor: AllSparkProcessor,
    samples: Sequence[Sample],
    batch: dict[str, Any],
    levels: Sequence[str],
) -> dict[str, Tensor]:
    """`level_vectors` of words alone: their sketch at the encoder, the mean of their embeddings at the bridge.

    The sketch reads a text to its end, the language model as much as it can (``max_tokens``).
    """
    found: dict[str, Tensor] = {}
    for level in levels:
        if level == "language":
            found[level] = F.normalize(model(**batch).pooled.float(), dim=-1)
        elif level == "bridge":
            found[level] = masked_mean(model.language.get_input_embeddings()(batch["input_ids"]), batch["content"])
            found[level] = found[level].float()
        else:
            found[level] = sketch(processor.spelt(samples)).to(model.device)
    return found


def token_vectors(model: AllSparkModel, processor: AllSparkProcessor, name: str, features: Tensor, at: str) -> Tensor:
    """Every token of one modality on its own through bridge and language model: (B, N, D) -> (B, N, D or H)."""
    if at == "encoder":
        return features
    words = processor.ids(modalities.get(name).prompt).to(features.device)
    before = model.language.get_input_embeddings()(words)
    out = []
    for part in features.flatten(0, 1)[:, None].split(PART):  # (b, 1, D)
        bridged = model.bridges[name](part, None)  # (b, Q, H)
        if at == "bridge":
            out.append(bridged.mean(1))
            continue
        embeds = torch.cat([before.expand(len(part), -1, -1), model.prompts(name, bridged)], dim=1)
        mask = torch.ones(embeds.shape[:2], dtype=torch.long, device=embeds.device)
        hidden = model.language.base_model(
            inputs_embeds=embeds, attention_mask=mask, position_ids=positions(mask), use_cache=False
        ).last_hidden_state
        out.append(F.normalize(hidden[:, -bridged.shape[1] :].mean(1), dim=-1))
    return torch.cat(out).unflatten(0, features.shape[:2])
