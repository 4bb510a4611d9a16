"""Vectors of items at three levels: the encoder's tokens, the bridge's outputs, the language model's hidden state."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from . import modality as modalities
from .bridges import masked_mean
from .model import AllSparkModel, positions
from .processor import AllSparkProcessor

LEVELS = ("encoder", "bridge", "language")
PART = 256  # tokens that go through the language model together, each in a sequence of its own


def check_level(at: str) -> None:
    """ValueError where ``at`` is not one of ``LEVELS``."""
    if at not in LEVELS:
        raise ValueError(f"at is {at!r}; wanted one of {', '.join(LEVELS)}")


def item_vectors(model: AllSparkModel, batch: dict[str, Any], at: str) -> Tensor:
    """One vector per item of a batch: (B, D) at the encoder, (B, H) at bridge and language (unit length).

    Raises:
        ValueError: several modalities at once at the encoder, whose widths differ.
    """
    if at == "language":
        return F.normalize(model(**batch).pooled.float(), dim=-1)
    inputs = batch["inputs"]
    if not inputs:  # words alone: the embedding table is their encoder
        return masked_mean(model.language.get_input_embeddings()(batch["input_ids"]), batch["content"]).float()
    if at == "encoder":
        if len(inputs) > 1:
            raise ValueError(f'{len(inputs)} modalities came at once; use at="bridge" or at="language"')
        tokens = model.encode(*next(iter(inputs.items())))
        return masked_mean(tokens.features, tokens.mask).float()
    parts = [model.bridge(name, model.encode(name, part)).float().mean(1) for name, part in inputs.items()]
    return torch.stack(parts).mean(0)


def token_vectors(
    model: AllSparkModel, processor: AllSparkProcessor, name: str, features: Tensor, at: str
) -> Tensor:
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
