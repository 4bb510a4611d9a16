"""Stage 4: the language model learns to say what it is shown, without its vectors moving.

Bridges and prompts are done; now the language model's layers and head learn to answer, in words, questions about items
of every modality that has class names. What must not change is held in place by the model as it was: the pooled vectors
of items and of texts are pulled to those of a frozen copy (1 - cosine). Embeddings stay as they are. Two modalities in
one sequence are drawn as well: their pooled vector is pulled to the mean of what the frozen copy makes of each alone,
so that items of one place can be read together though few places have both.

    python recipes/allspark-base/words_stage.py --data DIR --out runs/base --minutes 6
"""

from __future__ import annotations

import argparse
import copy
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from bridge_stage import QUESTIONS, keep_tokens
from finish import assemble
from packed import Packed, full, read
from torch import Tensor, nn
from training import DEVICE, autocast, run

from allspark import AllSpark
from allspark.bridges import masked_mean
from allspark.encoders.base import Tokens
from allspark.evaluate.sources import SOURCES, load
from allspark.modality import pad
from allspark.model import positions
from allspark.running import to_device

HOLD_WEIGHT = 10.0  # of 1 - cosine to the vectors before: a hundredth of a cosine weighs as much as a tenth of a nat
TOGETHER = 0.25  # of the steps also read two modalities in one sequence
PER_SOURCE = 600
ASKED = 0.75  # of the batches come with a question; in the others the words follow the item at once
OPEN, EITHER = 0.6, 0.25  # of the questions: "what is this?", "is this A or B?"; the rest "is this A?"
TEXTS = {"rsicd_captions": 600, "factbook": 250, "earthengine_js": 300}  # sources whose items are words


class Speaker(nn.Module):
    """The language model that learns, and the one that it was."""

    def __init__(self, spark: AllSpark, sources: list[Packed]) -> None:
        super().__init__()
        self.__dict__["spark"], self.__dict__["before"] = spark, copy.deepcopy(spark.model.language).eval()
        spark.model.requires_grad_(False)
        self.language = spark.model.language
        for name, parameter in self.language.named_parameters():
            parameter.requires_grad_("embed_tokens" not in name)
        self.sources = [s for s in sources if "features" in s.samples[0]]
        self.names = {s.source: s.names for s in sources}
        self.texts = sorted({name for s in SOURCES.values() for names in s.labels.values() for name in names})

    def step(
        self, source: Packed, samples: list[dict[str, Any]], rows: list[int], random: torch.Generator
    ) -> tuple[Tensor, float]:
        """Next-token loss on the answers, plus what holds the vectors; the share of words that are right."""
        processor = self.spark.processor
        names = {names[0] for names in self.names[source.source].values() if names}
        answers = [self.names[source.source][source.labels[i]][0] for i in rows]
        asked = None
        if torch.rand((), generator=random) < ASKED:
            pairs = [ask(right, sorted(names - {right}), random) for right in answers]
            asked, answers = [q for q, _ in pairs], [a for _, a in pairs]
        if "ids" in samples[0]:
            rows_of = [{source.modality: s["ids"]} for s in samples]
            batch, inputs = processor.sequences(rows_of, questions=asked, answers=answers), {}
        else:
            batch = processor.sequences([{source.modality: {}}] * len(samples), questions=asked, answers=answers)
            kept = to_device(pad(samples), DEVICE)
            inputs = {source.modality: Tokens(kept["features"], kept["mask"])}
        batch = to_device(batch, DEVICE)
        labels = add_ends(batch, processor.tokenizer.eos_token_id)
        picks = torch.randint(len(self.texts), (48,), generator=random).tolist()
        texts = to_device(processor.words([self.texts[i] for i in picks]), DEVICE)
        with autocast():
            hidden = self.read(self.language, batch, inputs)
            with torch.no_grad():
                was = self.read(self.before, batch, inputs)
                texts_were = text_vectors(self.before, texts)
            wanted = labels[:, 1:] != -100
            logits = self.language.get_output_embeddings()(hidden[:, :-1][wanted]).float()
            hold = 1 - F.cosine_similarity(pooled(hidden, batch), pooled(was, batch))
            hold_texts = 1 - F.cosine_similarity(text_vectors(self.language, texts), texts_were)
            held = hold.mean() + hold_texts.mean()
            if "features" in samples[0] and torch.rand((), generator=random) < TOGETHER:
                held = held + self.together(source, samples, random).mean()
        loss = F.cross_entropy(logits, labels[:, 1:][wanted]) + HOLD_WEIGHT * held
        return loss, float((logits.argmax(1) == labels[:, 1:][wanted]).float().mean())

    def read(self, language: Any, batch: dict[str, Any], inputs: dict[str, Tokens]) -> Tensor:
        """(B, L, H) last hidden states of sequences whose slots the frozen bridges fill."""
        embeds, _ = self.spark.model.embed_inputs(batch["input_ids"], batch["slots"], inputs)
        mask = batch["attention_mask"]
        output = language.base_model(
            inputs_embeds=embeds, attention_mask=mask, position_ids=positions(mask), use_cache=False
        )
        return output.last_hidden_state

    def together(self, source: Packed, samples: list[dict[str, Any]], random: torch.Generator) -> Tensor:
        """(B,) 1 - cosine between two modalities read in one sequence and the mean of both read alone."""
        others = [s for s in self.sources if s.modality != source.modality]
        other = others[int(torch.randint(len(others), (), generator=random))]
        rows = torch.randint(len(other.samples), (len(samples),), generator=random).tolist()
        parts = {source.modality: samples, other.modality: full([other.samples[i] for i in rows])}
        inputs = {}
        for name, items in parts.items():
            kept = to_device(pad(items), DEVICE)
            inputs[name] = Tokens(kept["features"], kept["mask"])
        batch = to_device(self.spark.processor.sequences([{name: {} for name in parts}] * len(samples)), DEVICE)
        with torch.no_grad():
            alone = []
            for name, tokens in inputs.items():
                single = to_device(self.spark.processor.sequences([{name: {}}] * len(samples)), DEVICE)
                alone.append(F.normalize(pooled(self.read(self.before, single, {name: tokens}), single), dim=-1))
        return 1 - F.cosine_similarity(pooled(self.read(self.language, batch, inputs), batch), alone[0] + alone[1])


def pooled(hidden: Tensor, batch: dict[str, Any]) -> Tensor:
    """(B, H) mean over the items' own slots."""
    return masked_mean(hidden, batch["content"]).float()


def ask(right: str, others: list[str], random: torch.Generator) -> tuple[str, str]:
    """A question about an item of class ``right`` and its answer: what is it, which of two is it, is it this one."""
    kind = float(torch.rand((), generator=random))
    if kind < OPEN or not others:
        return QUESTIONS[int(torch.randint(len(QUESTIONS), (), generator=random))], right
    other = others[int(torch.randint(len(others), (), generator=random))]
    swap = bool(torch.randint(2, (), generator=random))
    if kind < OPEN + EITHER:
        first, second = (other, right) if swap else (right, other)
        return f"Is this {first} or {second}?", right
    return f"Is this {other if swap else right}?", "no" if swap else "yes"


def text_vectors(language: Any, texts: dict[str, Tensor]) -> Tensor:
    """(U, H) pooled vectors of short texts, not normalised."""
    hidden = language.base_model(**texts, position_ids=positions(texts["attention_mask"]), use_cache=False)
    return masked_mean(hidden.last_hidden_state, texts["attention_mask"].bool()).float()


def add_ends(batch: dict[str, Any], end: int) -> Tensor:
    """Put an end mark behind every answer, so that the model learns to stop; the labels that go with it."""
    columns = {"input_ids": end, "attention_mask": 1, "slots": 0, "content": False, "labels": end}
    for key, value in columns.items():
        batch[key] = torch.cat([batch[key], batch[key].new_full((len(batch[key]), 1), value)], dim=1)
    return batch.pop("labels")


def words_of(name: str, data: Path, spark: AllSpark) -> Packed:
    """A source of texts or programs as token ids."""
    source = SOURCES[name]
    records = [r for r in load(source, data, "train", limit=TEXTS[name]) if source.labels.get(r.label)]
    samples = []
    for record in records:
        item = type(record.item)(**{**record.item.__dict__, "truncate": True})  # type: ignore[union-attr]
        (ids,) = spark.processor.prepare({source.modality: item}).values()
        samples.append({"ids": ids[:96]})
    names = {label: list(given) for label, given in source.labels.items()}
    return Packed(name, source.modality, samples, [r.label for r in records], names)


def main() -> None:
    """Train within the minutes and leave ``words/``: the language model as it then is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--out", default="runs/base", type=Path)
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=5e-4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    spark = assemble(options.out)
    spark.model.to(DEVICE)
    sources = [words_of(name, options.data, spark) for name in TEXTS]
    for path in sorted((options.out / "packed").glob("*.train.safetensors")):
        packed = read(path)
        if any(packed.names.values()):
            chosen = torch.randperm(len(packed.samples), generator=torch.Generator().manual_seed(options.seed))
            rows = chosen[:PER_SOURCE].tolist()
            packed.samples = [packed.samples[i] for i in rows]
            packed.labels = [packed.labels[i] for i in rows]
            sources.append(keep_tokens(spark, packed))
    print({s.source: len(s.samples) for s in sources}, flush=True)
    speaker = Speaker(spark, sources)
    run(
        "words", speaker, sources, speaker.step, options.out / "words.safetensors",
        minutes=options.minutes, batch=options.batch, lr=options.lr, seed=options.seed,
        slow=("lm_head", 1.0), augment=False,
    )  # fmt: skip


if __name__ == "__main__":
    main()
