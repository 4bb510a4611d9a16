"""regress: one number per item, in its own unit.

Metrics (torchmetrics): "rmse" is the root of the mean squared error and "mae" the mean absolute error, both in the
target's unit; "r2" = 1 − Σ(y − ŷ)² / Σ(y − ȳ)², with ȳ the mean of the measured part.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...items import Item
from ...readers.manifest import Row


@dataclass(frozen=True)
class Regress:
    """See ``Task``."""

    at: str = "language"
    name: str = "regress"
    main: str = "rmse"
    higher: bool = False

    def examples(self, row: Row, items: dict[str, Item]) -> Iterator[tuple[dict[str, Item], float]]:
        """The row as it is, with its number."""
        if row.target is None or not math.isfinite(row.target):
            raise ValueError(f"line {row.line} has target {row.target}; --task regress wants a finite number")
        yield items, row.target

    def summary(self, answer: float) -> float:
        """The number itself."""
        return answer

    def head(
        self, parts: Mapping[str, Sequence[float]], modalities: Sequence[str], widths: Mapping[str, int]
    ) -> dict[str, Any]:
        """A linear layer that works on standardised targets."""
        from . import pooled_width

        values = np.array(parts["train"], dtype=np.float64)
        if float(values.std()) == 0:
            raise ValueError(
                f"all {len(values)} targets of the training part are {values[0]:g}; there is nothing to learn"
            )
        return {
            "kind": "regression",
            "mean": float(values.mean()),
            "std": float(values.std()),
            **pooled_width(self.at, modalities, widths),
        }

    def target(self, answer: float, head: dict[str, Any] | None, items: Mapping[str, Item], settings: Any) -> Tensor:
        """(1,)."""
        return torch.tensor([answer], dtype=torch.float32)

    def words(self, targets: Sequence[Any]) -> dict[str, list[str]]:
        """None: the head answers."""
        return {}

    def loss(self, output: Any, targets: Sequence[Tensor], head: Any, weight: Tensor | None) -> tuple[Tensor, Tensor]:
        """Squared error in units of the standard deviation, summed."""
        target = torch.stack(list(targets))
        total = torch.tensor(float(len(target)), device=target.device)
        return head.loss(output.logits.float(), target) * total, total

    def metrics(self, head: dict[str, Any] | None) -> dict[str, Any]:
        """See the file's head."""
        from torchmetrics.regression import MeanAbsoluteError, MeanSquaredError, R2Score

        return {"rmse": MeanSquaredError(squared=False), "mae": MeanAbsoluteError(), "r2": R2Score()}

    def update(self, metrics: dict[str, Any], output: Any, targets: Sequence[Tensor], labels: Any) -> None:
        """Add one batch."""
        target = torch.stack(list(targets))
        for metric in metrics.values():
            metric.update(output.logits.float().squeeze(-1), target.squeeze(-1))
