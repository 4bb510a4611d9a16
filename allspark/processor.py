"""From items and words to the model's batch; everything that preprocessing depends on is in processor_config.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import AutoProcessor, ProcessorMixin

from . import modality as modalities
from .config import AllSparkConfig
from .items import Item
from .prompts import DESCRIBE, answer, question

Sample = Mapping[str, Any]  # modality -> what its prepare gave
AROUND = 128  # positions that are kept for prompts, slots, a question and its answer


class AllSparkProcessor(ProcessorMixin):
    """Items -> samples (``prepare``) -> one batch (``collate``); ``processor(items)`` does both.

    Args:
        tokenizer: the language model's.
        inputs: modality -> keyword arguments of its ``prepare`` (sizes, statistics).
        order: the modalities in slot order; sorted by name where it is not given.
        slots: the positions that one modality takes: learned prompt vectors, then queries.
        soft_prompt: how many of these are prompt vectors.
        temperatures: modality -> the calibrated temperature of zero-shot scores.
        max_tokens: the longest sequence of words that is read.
    """

    def __init__(
        self,
        tokenizer: Any,
        inputs: dict[str, dict[str, Any]] | None = None,
        order: list[str] | None = None,
        slots: int = 12,
        soft_prompt: int = 4,
        temperatures: dict[str, float] | None = None,
        max_tokens: int = 512,
    ) -> None:
        super().__init__(tokenizer)
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        self.inputs = inputs or {}
        self.order = order or sorted(self.inputs)  # said outright: the JSON file sorts its keys
        self.slots = slots
        self.soft_prompt = soft_prompt
        self.temperatures = temperatures or {}
        self.max_tokens = max_tokens

    def prepare(self, item: Mapping[str, Item]) -> dict[str, Any]:
        """``{modality: item}`` -> ``{modality: sample}``; ValueError where the item is not that modality's.

        The sample of words is all of their token ids; ``collate`` takes the first ``max_tokens`` of them.
        """
        prepared: dict[str, Any] = {}
        for name, value in item.items():
            record = modalities.get(name)
            if name not in self.inputs:
                raise ValueError(f"the model does not read {name}; it reads {', '.join(self.inputs)}")
            if not isinstance(value, record.item):
                raise ValueError(f"{name} takes a {record.item.__name__}; a {type(value).__name__} came")
            sample = record.prepare(value, **self.inputs[name])
            if isinstance(sample, str):
                prepared[name] = self._words(sample, getattr(value, "truncate", False))
            else:
                prepared[name] = sample
        return prepared

    def _words(self, words: str, truncate: bool) -> Tensor:
        ids = self.ids(words)
        if len(ids) > self.max_tokens and not truncate:
            raise ValueError(
                f"the text has {len(words.split())} words ({len(ids)} tokens); at most {self.max_tokens} tokens "
                "are read at once; split it, or allow a cut with truncate=True on the item"
            )
        if len(ids) == 0:
            raise ValueError("the text holds no readable words; wanted at least one")
        return ids

    def ids(self, words: str) -> Tensor:
        """Words -> their token ids, (L,), without marks of beginning or end."""
        # verbose: the tokenizer's own word on length is left out, max_tokens says it better
        ids = self.tokenizer(words, add_special_tokens=False, verbose=False)["input_ids"]
        return torch.tensor(ids, dtype=torch.long)

    def spelt(self, samples: Sequence[Sample]) -> list[str]:
        """B prepared samples -> the words of each, to their end also where only the first of them are read."""
        rows = [
            [i for name in sorted(s, key=self.order.index) if isinstance(s[name], Tensor) for i in s[name].tolist()]
            for s in samples
        ]
        return self.tokenizer.batch_decode(rows, skip_special_tokens=True, clean_up_tokenization_spaces=False)

    def words(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Short texts -> ``{"input_ids", "attention_mask"}``, (U, L), left-padded, cut at ``max_tokens``."""
        return self._pad([{"input_ids": self.ids(text)[: self.max_tokens]} for text in texts])

    def __call__(self, items: Sequence[Mapping[str, Item]], **words: Any) -> dict[str, Any]:
        """Items -> a batch; ``words`` are those of ``collate``."""
        return self.collate([self.prepare(item) for item in items], **words)

    def collate(
        self,
        samples: Sequence[Sample],
        *,
        questions: Sequence[str] | None = None,
        answers: Sequence[str] | None = None,
    ) -> dict[str, Any]:
        """Prepared samples -> the model's batch.

        Args:
            samples: ``{modality: sample}`` each; several modalities of one place stand one after the other.
            questions: words to ask of each item.
            answers: words that the model is to give; adds ``labels``.
        """
        batch: dict[str, Any] = dict(self.sequences(samples, questions=questions, answers=answers))
        grouped: dict[str, list[Any]] = {}
        for sample in samples:
            for name, value in sample.items():
                if not isinstance(value, Tensor):
                    grouped.setdefault(name, []).append(value)
        batch["inputs"] = {
            name: self._embed_words(modalities.get(name).collate(group)) for name, group in grouped.items()
        }
        return batch

    def sequences(
        self,
        samples: Sequence[Sample],
        *,
        questions: Sequence[str] | None = None,
        answers: Sequence[str] | None = None,
    ) -> dict[str, Tensor]:
        """The words and slots of ``collate``'s batch; of an encoded sample only its modality matters."""
        order = self.order
        rows: list[dict[str, Tensor]] = []
        alike: dict[tuple[str, ...], dict[str, Tensor]] = {}  # without words of their own, rows of a kind are the same
        for row, sample in enumerate(samples):
            wordless = not any(isinstance(value, Tensor) for value in sample.values())
            kind = tuple(sorted(sample)) if wordless and questions is None and answers is None else ()
            if kind in alike:
                rows.append(alike[kind])
                continue
            parts: list[tuple[Tensor, int, bool]] = []  # ids, slot number, is it the item itself
            for name in sorted(sample, key=order.index):
                parts.append((self.ids(modalities.get(name).prompt), 0, False))
                if isinstance(sample[name], Tensor):
                    parts.append((sample[name][: self.max_tokens], 0, True))
                else:
                    slot, pad = order.index(name) + 1, self.tokenizer.pad_token_id
                    parts.append((torch.full((self.soft_prompt,), pad), slot, False))
                    parts.append((torch.full((self.slots - self.soft_prompt,), pad), slot, True))
            length = sum(len(ids) for ids, _, _ in parts)
            if questions is not None or answers is not None:
                words = question(questions[row]) if questions is not None else DESCRIBE
                parts.append((self.ids(words), 0, False))
            if answers is not None:
                parts.append((self.ids(answer(answers[row])), 0, False))
                length = sum(len(ids) for ids, _, _ in parts[:-1])
            ids = torch.cat([ids for ids, _, _ in parts])
            slots = torch.cat([torch.full((len(part),), slot) for part, slot, _ in parts])
            content = torch.cat([torch.full((len(part),), own) for part, _, own in parts])
            made = {"input_ids": ids, "slots": slots, "content": content}
            if answers is not None:
                made["labels"] = torch.where(torch.arange(len(ids)) >= length, ids, -100)
            rows.append(made)
            if kind:
                alike[kind] = made
        return self._pad(rows)

    def _pad(self, rows: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Left-pad every row to the longest."""
        fill: dict[str, int] = {"input_ids": int(self.tokenizer.pad_token_id), "labels": -100}
        length = max(len(row["input_ids"]) for row in rows)
        batch = {
            key: torch.stack(
                [torch.cat([row[key].new_full((length - len(row[key]),), fill.get(key, 0)), row[key]]) for row in rows]
            )
            for key in rows[0]
        }
        lengths = torch.tensor([len(row["input_ids"]) for row in rows])
        batch["attention_mask"] = (torch.arange(length) >= length - lengths[:, None]).long()
        return batch

    def _embed_words(self, collated: dict[str, Any]) -> dict[str, Any]:
        """Lists of words -> each different word's ids once, and where it stands (-1 = no word)."""
        for key, value in collated.items():
            if not isinstance(value, list):
                continue
            different = sorted({word for words in value for word in words if word.strip()}) or ["nothing"]
            where = {word: i for i, word in enumerate(different)}
            longest = max(len(words) for words in value)
            index = [[where.get(w, -1) for w in words] + [-1] * (longest - len(words)) for words in value]
            collated[key] = {**self.words(different), "index": torch.tensor(index, dtype=torch.long)}
        return collated

    @classmethod
    def for_config(cls, tokenizer: Any, config: AllSparkConfig, **changes: Mapping[str, Any]) -> AllSparkProcessor:
        """The processor that goes with a model's config; ``changes`` are {modality: input} over the defaults."""
        unknown = set(changes) - set(config.modalities)
        if unknown:
            raise ValueError(f"inputs came for {sorted(unknown)}; the model has {config.modalities}")
        return cls(
            tokenizer,
            inputs={name: {**modalities.get(name).input, **changes.get(name, {})} for name in config.modalities},
            order=list(config.modalities),
            slots=config.slots_per_modality,
            soft_prompt=config.soft_prompt,
            max_tokens=max(64, config.text_config.get_text_config().max_position_embeddings - AROUND),
        )


AutoProcessor.register(AllSparkConfig, AllSparkProcessor)
