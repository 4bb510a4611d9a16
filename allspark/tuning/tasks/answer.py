"""answer: instruction tuning; the language model learns to answer a question about an item in words.

Metrics (torchmetrics' MeanMetric): "exact" is the share of answers of which every token, and the end after it, is the
most probable one given the words before; that is the share that greedy decoding gets right to the letter. "tokens" is
the share of single tokens that are right in the same way; "nll" is the mean negative log-probability of a token, in
nats.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ...items import Item
from ...readers.manifest import Row


@dataclass(frozen=True)
class Answer:
    """See ``Task``."""

    name: str = "answer"
    main: str = "exact"
    higher: bool = True

    def examples(self, row: Row, items: dict[str, Item]) -> Iterator[tuple[dict[str, Item], tuple[str, str]]]:
        """The row as it is, with its question and answer."""
        for field in ("question", "answer"):
            if not (getattr(row, field) or "").strip():
                raise ValueError(
                    f"line {row.line} has no {field}; --task answer wants question and answer in every row"
                )
        yield items, (str(row.question), str(row.answer))

    def summary(self, answer: tuple[str, str]) -> None:
        """Nothing: there is no head to fit."""

    def head(self, parts: Any, modalities: Sequence[str], widths: Mapping[str, int]) -> None:
        """None: the language model's own output answers."""

    def target(self, answer: tuple[str, str], head: Any, items: Mapping[str, Item], settings: Any) -> tuple[str, str]:
        """The words themselves."""
        return answer

    def words(self, targets: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
        """Questions and answers."""
        return {"questions": [q for q, _ in targets], "answers": [a for _, a in targets]}

    def loss(self, output: Any, targets: Sequence[Any], head: Any, weight: Tensor | None) -> tuple[Tensor, Tensor]:
        """Cross-entropy of the answers' tokens, summed."""
        total = torch.tensor(float(len(output.logits)), device=output.logits.device)
        return output.loss * total, total

    def metrics(self, head: Any) -> dict[str, Any]:
        """See the file's head."""
        from torchmetrics import MeanMetric

        return {"exact": MeanMetric(), "tokens": MeanMetric(), "nll": MeanMetric()}

    def update(self, metrics: dict[str, Any], output: Any, targets: Sequence[Any], labels: Any) -> None:
        """Add one batch; ``labels`` (B, L) are the collated batch's."""
        wanted = labels[:, 1:] != -100
        rows, words = wanted.nonzero()[:, 0], labels[:, 1:][wanted]
        right = output.logits.float().argmax(-1) == words
        missed = torch.zeros(len(labels), device=labels.device).index_add_(0, rows, (~right).float())
        metrics["exact"].update((missed == 0).float())
        metrics["tokens"].update(right.float())
        metrics["nll"].update(F.cross_entropy(output.logits.float(), words, reduction="none"))
