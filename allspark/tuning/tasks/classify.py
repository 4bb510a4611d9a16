"""classify and node: one class per item; a node is the graph around it.

Metrics (torchmetrics): "accuracy" is the share of items whose class is right (micro); "macro_f1" the mean over the
classes of 2 · precision · recall / (precision + recall), a class that is neither there nor predicted left out;
"balanced_accuracy" the mean over the classes of their recall.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...items import Graph, Item
from ...readers.manifest import Row

UNLABELLED = ""  # the answer of a row that has none and is learnt from all the same (``--consistency``)
LEFT_OUT = -100  # its class number, which cross-entropy leaves out


@dataclass(frozen=True)
class Classify:
    """See ``Task``."""

    name: str
    smoothing: float = 0.0
    at: str = "language"
    main: str = "accuracy"
    higher: bool = True
    unlabelled: bool = False  # may rows of the training part lack a label?

    def examples(self, row: Row, items: dict[str, Item]) -> Iterator[tuple[dict[str, Item], str]]:
        """The row as it is, with its label."""
        if row.label is None and not (self.unlabelled and row.split == "train"):
            raise ValueError(f"line {row.line} has no label; --task {self.name} wants one in every row")
        if self.name == "node":
            graphs = [item for item in items.values() if isinstance(item, Graph)]
            if not graphs or graphs[0].centre is None:
                raise ValueError(f"line {row.line} names no node; --task node wants the columns graph and graph.node")
        yield items, UNLABELLED if row.label is None else row.label

    def summary(self, answer: str) -> str:
        """The label itself."""
        return answer

    def head(
        self, parts: Mapping[str, Sequence[str]], modalities: Sequence[str], widths: Mapping[str, int]
    ) -> dict[str, Any]:
        """A linear layer over the labels of the training part, sorted."""
        from . import pooled_width

        counts = Counter(answer for answer in parts["train"] if answer != UNLABELLED)
        if len(counts) < 2:
            raise ValueError(f"the training part has one label alone, {next(iter(counts))!r}; wanted at least two")
        for part, answers in parts.items():
            unknown = Counter(answer for answer in answers if answer not in counts and answer != UNLABELLED)
            if unknown:
                label, count = unknown.most_common(1)[0]
                raise ValueError(
                    f"label {label!r} stands in {part} ({count} rows) but not in train; add such rows to train, or "
                    "drop them"
                )
        return {
            "kind": "classification",
            "labels": sorted(counts),
            **({"norm": True} if self.at in ("bridge", "words") else {}),
            **pooled_width(self.at, modalities, widths),
        }

    def target(self, answer: str, head: dict[str, Any] | None, items: Mapping[str, Item], settings: Any) -> Tensor:
        """The label's number."""
        assert head is not None
        return torch.tensor(LEFT_OUT if answer == UNLABELLED else head["labels"].index(answer))

    def words(self, targets: Sequence[Any]) -> dict[str, list[str]]:
        """None: the head answers."""
        return {}

    def loss(self, output: Any, targets: Sequence[Tensor], head: Any, weight: Tensor | None) -> tuple[Tensor, Tensor]:
        """Cross-entropy of what has a label, summed with the classes' weights."""
        target = torch.stack(list(targets))
        known = target[target != LEFT_OUT]
        total = torch.tensor(float(len(known)), device=target.device) if weight is None else weight[known].sum()
        if not len(known):  # the mean of nothing is no number
            return output.logits.float().sum() * 0.0, total
        return head.loss(output.logits.float(), target, weight=weight, smoothing=self.smoothing) * total, total

    def metrics(self, head: dict[str, Any] | None) -> dict[str, Any]:
        """See the file's head."""
        from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

        assert head is not None
        count = len(head["labels"])
        return {
            "accuracy": MulticlassAccuracy(count, average="micro"),
            "macro_f1": MulticlassF1Score(count, average="macro"),
            "balanced_accuracy": MulticlassAccuracy(count, average="macro"),
        }

    def update(self, metrics: dict[str, Any], output: Any, targets: Sequence[Tensor], labels: Any) -> None:
        """Add one batch."""
        found, target = output.logits.float().argmax(-1), torch.stack(list(targets))
        for metric in metrics.values():
            metric.update(found, target)
