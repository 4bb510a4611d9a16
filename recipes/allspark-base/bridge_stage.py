"""Stage 3: bridges and soft prompts bring each encoder into the language model, which stays as stage 1 left it.

Two losses in one pass, as causal attention allows: the pooled slots against the text vectors of the source's class
names (cosine / temperature, cross-entropy), and the next-token loss on the words that follow the item. The encoder of
stage 2 goes on learning at a tenth of the rate. Checkpoints per modality; a killed run goes on.

    python recipes/allspark-base/bridge_stage.py --out runs/base --only rgb --minutes 4
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from packed import Packed, read
from safetensors.torch import load_file
from torch import Tensor, nn
from training import autocast, run

import allspark
from allspark import AllSpark

TEMPERATURE = 0.07
WORDS_WEIGHT = 0.2


class Bridged(nn.Module):
    """One modality of the model: its encoder, bridge and prompt learn; the language model is a fixed mirror."""

    def __init__(self, spark: AllSpark, modality: str, sources: list[Packed]) -> None:
        super().__init__()
        self.__dict__["spark"] = spark  # not a child: the language model is neither trained nor saved here
        self.encoder = spark.model.encoders[modality]
        self.bridge = spark.model.bridges[modality]
        self.prompt = spark.model.prompts.vectors[modality]
        self.classes = {s.source: sorted(set(s.labels)) for s in sources}
        self.named = {s.source: any(s.names.values()) for s in sources}
        self.names = {s.source: s.names for s in sources}
        self.unnamed = nn.ModuleDict(
            {name: nn.Embedding(len(classes), spark.config.language_width)
             for name, classes in self.classes.items() if not self.named[name]}
        )  # fmt: skip
        words = sorted({w for s in sources for label in self.classes[s.source] for w in s.names.get(label, ())})
        self.vectors = dict(zip(words, spark.text(words).clone())) if words else {}

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

    def step(
        self, source: Packed, samples: list[dict[str, Any]], rows: list[int], random: torch.Generator
    ) -> tuple[Tensor, float]:
        """Loss and accuracy of one batch."""
        target = torch.tensor([self.classes[source.source].index(source.labels[i]) for i in rows])
        vectors, words = self.class_vectors(source.source, random)
        items = [{source.modality: s} for s in samples]
        answers = [words[k] for k in target] if self.named[source.source] else None
        with autocast():
            output = self.spark.model(**self.spark.processor.collate(items, answers=answers))
        logits = F.normalize(output.pooled.float(), dim=-1) @ vectors.T / TEMPERATURE
        loss = F.cross_entropy(logits, target, label_smoothing=0.05)
        if output.loss is not None:
            loss = loss + WORDS_WEIGHT * output.loss
        return loss, float((logits.argmax(1) == target).float().mean())


def train(modality: str, paths: list[Path], options: argparse.Namespace) -> None:
    """One modality within its minutes."""
    sources = [read(path) for path in paths]
    torch.manual_seed(options.seed)
    spark = allspark.build("allspark-base", language=options.out / "language", modality=[modality], seed=options.seed)
    spark.model.language.requires_grad_(False)
    stage2 = load_file(options.out / "encoders" / f"{modality}.safetensors")
    prefix = "model.encoder."
    spark.model.encoders[modality].load_state_dict(
        {k.removeprefix(prefix): v for k, v in stage2.items() if k.startswith(prefix)}
    )
    model = Bridged(spark, modality, sources)
    run(
        f"{modality} bridge", model, sources, model.step, options.out / "bridges" / f"{modality}.safetensors",
        minutes=options.minutes, batch=options.batch, lr=options.lr, seed=options.seed, slow=("encoder.", 0.1),
    )  # fmt: skip


def main() -> None:
    """Every modality that stage 2 left an encoder for, or those that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="runs/base", type=Path)
    parser.add_argument("--only", nargs="*", help="modalities; all by default")
    parser.add_argument("--minutes", type=float, default=1.5, help="per modality")
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    from allspark.evaluate.sources import SOURCES

    packed: dict[str, list[Path]] = defaultdict(list)
    for path in sorted((options.out / "packed").glob("*.train.safetensors")):
        packed[SOURCES[path.name.split(".")[0]].modality].append(path)
    for modality, paths in packed.items():
        if not options.only or modality in options.only:
            train(modality, paths, options)


if __name__ == "__main__":
    main()
