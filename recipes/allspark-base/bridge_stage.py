"""Stage 3: bridges and soft prompts bring each encoder into the language model, which stays as stage 1 left it.

Three losses in one pass, as causal attention allows: the pooled slots against the text vectors of the source's class
names (cosine / temperature, cross-entropy), and the next-token loss on the words that follow the item. A third term
keeps what class names do not say: items that the encoder finds alike should stay alike, pair by pair (relational
distillation, Park et al., arXiv 1904.05068, on cosines). The encoders stay as stage 2 left them, so their tokens are
made once and kept. Checkpoints per modality; a killed run goes on.

With ``--like`` an encoder is exchanged in a model that ships: the language model is that one's, and a fourth term holds
the slots to what its own encoder and bridge make of the same items, so that it still answers in words
(``exchange.py``).

    python recipes/allspark-base/bridge_stage.py --out runs/base --only rgb --minutes 4
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from packed import Packed, full, read, without
from siblings import Parts
from torch import Tensor, nn
from training import DEVICE, autocast, load_encoder, run

import allspark
from allspark import AllSpark
from allspark import modality as modalities
from allspark.bridges import masked_mean
from allspark.encoders.base import Encoder, Tokens
from allspark.evaluate.sources import SOURCES
from allspark.modality import pad
from allspark.running import to_device

TEMPERATURE = 0.07
WORDS_WEIGHT = 0.2
ALIKE_WEIGHT = 15.0
LIKE_WEIGHT = 1.0
QUESTIONS = (
    "What is this?", "What does this show?", "What can be seen here?", "What stands here?", "Which class is this?",
    "What kind of place or thing is it?",
)  # fmt: skip


def alike(vectors: Tensor) -> Tensor:
    """(B, W) -> (B, B) cosines of every pair about the batch's mean."""
    unit = F.normalize(vectors.float() - vectors.float().mean(0), dim=-1)
    return unit @ unit.T


class Bridged(nn.Module):
    """One modality of the model: its bridge and prompt learn; encoder and language model stay as they are."""

    def __init__(self, spark: AllSpark, modality: str, sources: list[Packed], weight: float) -> None:
        super().__init__()
        self.weight = weight
        self.__dict__["spark"] = spark  # not a child: the language model is neither trained nor saved here
        self.bridge = spark.model.bridges[modality]
        self.prompt = spark.model.prompts.vectors[modality]
        self.tasks = {s.source for s in sources if SOURCES[s.source].task == "episodes"}
        sources = [s for s in sources if s.source not in self.tasks]
        self.classes = {s.source: sorted(set(s.labels)) for s in sources}
        self.named = {s.source: any(s.names.values()) for s in sources}
        self.names = {s.source: s.names for s in sources}
        self.unnamed = nn.ModuleDict(
            {name: nn.Embedding(len(classes), spark.config.language_width)
             for name, classes in self.classes.items() if not self.named[name]}
        )  # fmt: skip
        words = sorted({w for s in sources for label in self.classes[s.source] for w in s.names.get(label, ())})
        self.vectors = dict(zip(words, spark.text(words).clone())) if words else {}
        self.slots: dict[str, Tensor] = {}  # source -> what the model that ships makes of its items, (M, Q, H)

    def class_vectors(self, source: str, random: torch.Generator) -> tuple[Tensor, list[str]]:
        """(K, H) unit vectors of the source's classes and the words drawn for each ("" where it has none)."""
        if not self.named[source]:
            return F.normalize(self.unnamed[source].weight, dim=-1), [""] * len(self.classes[source])
        words = []
        for label in self.classes[source]:
            names = self.names[source][label]
            first = torch.rand((), generator=random) < 0.7
            words.append(names[0 if first else int(torch.randint(len(names), (), generator=random))])
        return torch.stack([self.vectors[w] for w in words]), words

    def held(self, kept: dict[str, Any], source: str, rows: list[int]) -> Tensor | float:
        """How far the slots of a batch are from those of the model that ships, in shares of their variance."""
        if source not in self.slots:
            return 0.0
        wanted = self.slots[source][rows].float().to(DEVICE)
        return LIKE_WEIGHT * F.mse_loss(self.bridge(kept["features"], kept["mask"]).float(), wanted) / wanted.var()

    def tasks_loss(self, source: Packed, samples: list[dict[str, Any]], rows: list[int]) -> Tensor:
        """Of items whose classes exist in one task alone, and so have no words: they stay alike, no more."""
        modality = source.modality
        batch = to_device(self.spark.processor.sequences([{modality: {}}] * len(samples)), DEVICE)
        kept = to_device(pad(samples), DEVICE)
        with autocast():
            output = self.spark.model(**batch, inputs={modality: Tokens(kept["features"], kept["mask"])})
        likeness = F.mse_loss(alike(output.pooled), alike(masked_mean(kept["features"], kept["mask"])))
        return self.weight * likeness + self.held(kept, source.source, rows)

    def step(
        self, source: Packed, samples: list[dict[str, Any]], rows: list[int], random: torch.Generator
    ) -> tuple[Tensor, float]:
        """Loss and accuracy of one batch."""
        if source.source in self.tasks:  # classes that exist in one task alone have no place in the language space
            return self.tasks_loss(source, samples, rows), 0.0
        target = torch.tensor([self.classes[source.source].index(source.labels[i]) for i in rows], device=DEVICE)
        vectors, words = self.class_vectors(source.source, random)
        answers = [words[k] for k in target] if self.named[source.source] else None
        rows_of = [{source.modality: {}}] * len(samples)
        asked = None
        if answers is not None and torch.rand((), generator=random) < 0.5:  # else the words that describe it follow
            asked = [QUESTIONS[int(torch.randint(len(QUESTIONS), (), generator=random))] for _ in answers]
        batch: dict[str, Any] = self.spark.processor.sequences(rows_of, questions=asked, answers=answers)
        kept, batch = to_device(pad(samples), DEVICE), to_device(batch, DEVICE)
        with autocast():
            output = self.spark.model(**batch, inputs={source.modality: Tokens(kept["features"], kept["mask"])})
        logits = F.normalize(output.pooled.float(), dim=-1) @ vectors.T / TEMPERATURE
        loss = F.cross_entropy(logits, target, label_smoothing=0.05)
        if output.loss is not None:
            loss = loss + WORDS_WEIGHT * output.loss
        if self.weight:
            loss = loss + self.weight * F.mse_loss(
                alike(output.pooled), alike(masked_mean(kept["features"], kept["mask"]))
            )
        return loss + self.held(kept, source.source, rows), float((logits.argmax(1) == target).float().mean())


def fresh(modality: str) -> Encoder:
    """An untrained encoder of today's preset, in evaluation mode."""
    record = modalities.get(modality)
    return record.encoder(**record.config).eval()  # type: ignore[misc]


def keep_tokens(spark: AllSpark, source: Packed) -> Packed:
    """The source with its samples' tokens, (N, D) in float16, in place of the samples."""
    kept = []
    with torch.inference_mode(), autocast():
        for i in range(0, len(source.samples), 64):
            part = full(source.samples[i : i + 64])
            inputs = spark.processor.collate([{source.modality: s} for s in part])["inputs"]
            tokens = spark.model.encode(source.modality, to_device(inputs[source.modality], DEVICE))
            for k, features in enumerate(tokens.features):
                real = features if tokens.mask is None else features[tokens.mask[k]]
                kept.append({"features": real.half().cpu().clone()})
    return replace(source, samples=kept)


def keep_slots(spark: AllSpark, source: Packed) -> Tensor:
    """What a model's own encoder and bridge make of the samples: (M, Q, H) in float16."""
    kept, tokens = [], keep_tokens(spark, source).samples
    with torch.inference_mode():
        for i in range(0, len(tokens), 64):
            batch = to_device(pad(full(tokens[i : i + 64])), DEVICE)
            kept.append(spark.model.bridge(source.modality, Tokens(batch["features"], batch["mask"])).half().cpu())
    return torch.cat(kept).clone()


def train(modality: str, paths: list[Path], options: argparse.Namespace) -> None:
    """One modality within its minutes."""
    sources = [without(read(path), options.without) for path in paths]
    torch.manual_seed(options.seed)
    slots = {}
    if options.like:
        spark = allspark.load(options.like)
        spark.model.to(DEVICE)
        slots = {source.source: keep_slots(spark, source) for source in sources}
        spark.model.encoders[modality] = fresh(modality)
    else:
        spark = Parts.read(options.out).build([modality], options.out / "language", options.seed)
    spark.model.language.requires_grad_(False)
    load_encoder(spark.model.encoders[modality], options.out / "encoders" / f"{modality}.safetensors")
    spark.model.to(DEVICE)
    sources = [keep_tokens(spark, source) for source in sources]
    model = Bridged(spark, modality, sources, options.alike)
    model.slots = slots
    run(
        f"{modality} bridge", model, sources, model.step, options.out / "bridges" / f"{modality}.safetensors",
        minutes=options.minutes, batch=options.batch, lr=options.lr, seed=options.seed,
        slow=("prompt.", 1.0), augment=False,
    )  # fmt: skip


def main() -> None:
    """Every modality that stage 2 left an encoder for, or those that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="runs/base", type=Path)
    parser.add_argument("--only", nargs="*", help="modalities; all by default")
    parser.add_argument("--minutes", type=float, default=1.5, help="per modality")
    parser.add_argument("--alike", type=float, default=ALIKE_WEIGHT, help="weight of the encoder's likenesses; 0: off")
    parser.add_argument("--like", type=Path, help="folder of a model whose answers are held: its encoder is exchanged")
    parser.add_argument("--without", nargs="*", default=[], help="class ids left out, for ablations")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    packed: dict[str, list[Path]] = defaultdict(list)
    for path in sorted((options.out / "packed").glob("*.train.safetensors")):
        packed[SOURCES[path.name.split(".")[0]].modality].append(path)
    for modality, paths in packed.items():
        if not options.only or modality in options.only:
            train(modality, paths, options)


if __name__ == "__main__":
    main()
