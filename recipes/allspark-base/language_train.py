"""Training of stage 1: a small Llama whose pooled vectors follow a teacher and whose next-token loss follows a corpus.

Every step adds two losses: the distillation of a batch of short texts (cosine to the teacher's vector, and the
divergence between the two in-batch similarity distributions; relational distillation, Park et al., CVPR 2019) and, with
a small weight, next-token cross entropy on packed sequences. `language_start` gives the embeddings to begin with; every
residual branch starts at zero, so that the first forward pass already averages meanings.
"""

from __future__ import annotations

import json
import math
import os
import random
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from language_vectors import batches_by_length, pad, student_batch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

SOURCE_SHARES = {"books": 0.2, "factbook": 0.15, "code": 0.16, "captions": 0.38, "dictionary": 0.1, "questions": 0.01}
CHECKPOINT_SECONDS = 180.0


@dataclass
class Settings:
    """Everything that shapes the training; written into the log's first line."""

    minutes: float = 25.0
    seed: int = 0
    hidden: int = 384
    layers: int = 4
    heads: int = 6
    feed_forward: int = 1024
    positions: int = 1024
    tied: bool = False  # a tied head would have every hidden state point at the next token, not at a meaning
    learning_rate: float = 1e-3
    embedding_rate: float = 5e-4
    norm_rate: float = 5e-5
    weight_decay: float = 0.01
    warmup: float = 0.06  # of the time
    warmup_steps: int = 60  # at least; steeper, the first steps spoil the start from the teacher
    text_tokens: int = 2048  # in a distillation batch, with padding
    most_texts: int = 384
    sequences: int = 6
    length: int = 128
    language_weight: float = 0.3  # at most: see language_share
    language_share: float = 0.15  # the most that its gradient may measure of the distillation's, head apart
    relation_weight: float = 1.0
    relation_temperature: float = 0.1


def build_model(tokenizer: Any, settings: Settings) -> LlamaForCausalLM:
    """A fresh model of Llama's shape for this tokenizer, residual branches at zero."""
    torch.manual_seed(settings.seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=settings.hidden,
            intermediate_size=settings.feed_forward,
            num_hidden_layers=settings.layers,
            num_attention_heads=settings.heads,
            max_position_embeddings=settings.positions,
            tie_word_embeddings=settings.tied,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
    with torch.no_grad():
        if not settings.tied:
            model.lm_head.weight.zero_()
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
    return model


class PackedTokens:
    """Token streams by source, cut into windows at random places."""

    def __init__(self, streams: dict[str, Tensor], length: int, seed: int) -> None:
        self.streams = {name: ids for name, ids in streams.items() if len(ids) > length + 1}
        self.length, self.seed = length, seed
        if not self.streams:
            raise ValueError(f"no source holds {length + 2} tokens: give more text or shorter sequences")

    def batch(self, step: int, count: int) -> Tensor:
        """(count, length + 1) ids; the same for the same step, so that a resumed run goes on as it would have."""
        rng = random.Random(self.seed * 1_000_003 + step)
        names = list(self.streams)
        weights = [SOURCE_SHARES.get(name, 0.1) for name in names]
        rows = []
        for name in rng.choices(names, weights, k=count):
            ids = self.streams[name]
            start = rng.randrange(len(ids) - self.length)
            rows.append(ids[start : start + self.length + 1].long())
        return torch.stack(rows)


def text_batches(lengths: list[int], settings: Settings, start: int) -> Iterator[list[int]]:
    """Endless batches of text indices, like lengths together, from the `start`-th batch on."""
    number, epoch = 0, 0
    while True:
        rng = random.Random(settings.seed * 7919 + epoch)
        order = list(range(len(lengths)))
        rng.shuffle(order)
        for chunk in (order[i : i + 8192] for i in range(0, len(order), 8192)):
            batches = []
            for batch in batches_by_length([lengths[i] for i in chunk], settings.text_tokens):
                batches += [batch[i : i + settings.most_texts] for i in range(0, len(batch), settings.most_texts)]
            rng.shuffle(batches)
            for batch in batches:
                if len(batch) > 1:
                    number += 1
                    if number > start:
                        yield [chunk[i] for i in batch]
        epoch += 1


def distillation_loss(student: Tensor, teacher: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """(1 - mean cosine, mean KL of the in-batch similarity distributions) of unit vectors (B, H) and (B, H)."""
    cosine = 1 - (student * teacher).sum(-1).mean()
    itself = torch.eye(len(student), dtype=torch.bool)
    ours = (student @ student.T / temperature).masked_fill(itself, -1e4)
    theirs = (teacher @ teacher.T / temperature).masked_fill(itself, -1e4)
    relation = F.kl_div(ours.log_softmax(-1), theirs.log_softmax(-1), reduction="batchmean", log_target=True)
    return cosine, relation


def rate(progress: float, warmup: float) -> float:
    """Share of the peak learning rate: linear warm-up, then a cosine down to 2 %; `progress` runs from 0 to 1."""
    if progress < warmup:
        return max(progress / warmup, 0.02)
    return 0.02 + 0.49 * (1 + math.cos(math.pi * min(1.0, (progress - warmup) / (1 - warmup))))


def add_gradient(model: Any, loss: Tensor, weight: float, share: float) -> None:
    """Add the gradient of `weight * loss` to those that stand, cut down to `share` of their common length.

    A parameter that has no gradient yet, as an untied language-model head, takes part in the second loss alone and gets
    its gradient uncut.

    Next-token prediction wants other hidden states than the pooled meaning does; left alone it takes the space over.
    """
    parameters = list(model.parameters())
    gradients = torch.autograd.grad(loss, parameters)
    shared = [(p.grad, gradient) for p, gradient in zip(parameters, gradients, strict=True) if p.grad is not None]
    standing, added = (torch.nn.utils.get_total_norm(some) for some in zip(*shared, strict=True))
    factor = min(weight, float(share * standing / added.clamp_min(1e-12)))
    for parameter, gradient in zip(parameters, gradients, strict=True):
        if parameter.grad is None:
            parameter.grad = gradient
        else:
            parameter.grad.add_(gradient, alpha=factor)


def save_checkpoint(path: Path, model: Any, optimiser: torch.optim.Optimizer, step: int, seconds: float) -> None:
    """Weights, optimiser state and the clock in one safetensors file, renamed into place when whole."""
    tensors = {f"model.{name}": value.detach().contiguous() for name, value in model.named_parameters()}
    for index, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{name}": torch.as_tensor(value).contiguous() for name, value in state.items()}
    temporary = path.with_suffix(".tmp")
    save_file(tensors, temporary, {"step": str(step), "seconds": str(seconds)})
    os.replace(temporary, path)


def load_checkpoint(path: Path, model: Any, optimiser: torch.optim.Optimizer) -> tuple[int, float]:
    """Put a checkpoint back; returns (step, seconds trained)."""
    state: dict[int, dict[str, Tensor]] = {}
    parameters = dict(model.named_parameters())
    with safe_open(path, "pt") as file:
        for key in file.keys():  # noqa: SIM118 (safe_open is no mapping)
            kind, name = key.split(".", 1)
            if kind == "model":
                with torch.no_grad():
                    parameters[name].copy_(file.get_tensor(key))
            else:
                index, entry = name.split(".", 1)
                state.setdefault(int(index), {})[entry] = file.get_tensor(key)
        meta = file.metadata()
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    return int(meta["step"]), float(meta["seconds"])


def make_optimiser(model: LlamaForCausalLM, settings: Settings) -> torch.optim.AdamW:
    """AdamW in three groups: embeddings (slower: the LM head moves every row at every step), matrices, norms."""
    embedding = [model.model.embed_tokens.weight]
    others = [p for p in model.parameters() if p is not embedding[0]]
    matrices, norms = [p for p in others if p.ndim > 1], [p for p in others if p.ndim == 1]
    groups = [
        {"params": embedding, "peak": settings.embedding_rate, "weight_decay": 0.0},
        {"params": matrices, "peak": settings.learning_rate, "weight_decay": settings.weight_decay},
        {"params": norms, "peak": settings.norm_rate, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.98), eps=1e-8, fused=True)


def train(
    model: LlamaForCausalLM,
    texts: list[list[int]],
    targets: Tensor,
    streams: dict[str, Tensor],
    settings: Settings,
    folder: Path,
    pad_id: int,
) -> int:
    """Train until the budget of seconds is spent; goes on from `folder`/checkpoint.safetensors where there is one.

    Args:
        model: changed in place.
        texts: token ids of the distillation texts, N lists.
        targets: (N, H) the teacher's unit vectors, any float type.
        streams: token ids by source, 1-D.
        settings: the budget and the rates.
        folder: for the checkpoint and log.jsonl.
        pad_id: fills short texts.

    Returns:
        The steps taken in all.
    """
    optimiser = make_optimiser(model, settings)
    checkpoint, step, seconds = folder / "checkpoint.safetensors", 0, 0.0
    if checkpoint.is_file():
        step, seconds = load_checkpoint(checkpoint, model, optimiser)
        print(f"going on from step {step}, {seconds:.0f} s", flush=True)
    packed = PackedTokens(streams, settings.length, settings.seed)
    batches = text_batches([len(ids) for ids in texts], settings, step)
    budget, saved, said, seen = settings.minutes * 60, seconds, seconds, 0
    sums = {"cosine": 0.0, "relation": 0.0, "language": 0.0, "count": 0.0}
    model.train()
    with (folder / "log.jsonl").open("a") as log:
        log.write(json.dumps({"settings": asdict(settings), "step": step}) + "\n")
        while seconds < budget:
            started = time.monotonic()
            share = min(rate(seconds / budget, settings.warmup), (step + 1) / settings.warmup_steps)
            for group in optimiser.param_groups:
                group["lr"] = group["peak"] * share
            chosen = next(batches)
            ids, mask = pad([texts[i] for i in chosen], pad_id)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                vectors = student_batch(model, ids, mask)
            target = F.normalize(targets[torch.tensor(chosen)].float(), dim=-1)
            cosine, relation = distillation_loss(vectors, target, settings.relation_temperature)
            (cosine + settings.relation_weight * relation).backward()
            window = packed.batch(step, settings.sequences)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = model(input_ids=window[:, :-1], use_cache=False).logits
            language = F.cross_entropy(logits.float().flatten(0, 1), window[:, 1:].flatten())
            add_gradient(model, language, settings.language_weight, settings.language_share)
            torch.nn.utils.clip_grad_norm_(model.model.parameters(), 1.0)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            step, seen = step + 1, seen + len(chosen)
            seconds += time.monotonic() - started
            for name, value in (("cosine", cosine), ("relation", relation), ("language", language), ("count", 1.0)):
                sums[name] += value.item() if isinstance(value, Tensor) else value
            if seconds - said > 20 or seconds >= budget:
                means = {name: round(value / sums["count"], 4) for name, value in sums.items() if name != "count"}
                line = {"step": step, "seconds": round(seconds, 1), "texts": seen, "rate": round(share, 3), **means}
                log.write(json.dumps(line) + "\n")
                log.flush()
                print(line, flush=True)
                said, sums = seconds, dict.fromkeys(sums, 0.0)
            if seconds - saved > CHECKPOINT_SECONDS or seconds >= budget:
                save_checkpoint(checkpoint, model, optimiser, step, seconds)
                saved = seconds
    return step
