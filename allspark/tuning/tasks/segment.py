"""segment: a class for every pixel of a raster or point of a cloud.

The column ``mask`` says where the answer is: for a raster, a raster of whole numbers on the same grid; for a cloud, the
name of its feature that holds them. ``--classes`` says what the numbers mean; others are neither learnt nor measured.
Rasters are cut into the windows that ``AllSpark.segment`` reads, clouds into squares of ``--window`` metres.

Metrics (torchmetrics): "miou" is the mean over the classes of TP / (TP + FP + FN), over all labelled places of the
measured part together; "accuracy" the share of these places that are right (also called overall accuracy);
"macro_f1" the mean over the classes of 2 TP / (2 TP + FP + FN).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ... import modality as modalities
from ...items import Item, PointCloud, Raster
from ...readers import read
from ...readers.manifest import Row
from ...segmentation import squares, windows

IGNORED = -100
NEAREST = 3  # tokens that a point's classes come from


@dataclass(frozen=True)
class Segment:
    """See ``Task``; ``names`` are number -> class, ``window`` metres."""

    names: Mapping[int, str]
    window: float = 0.0
    smoothing: float = 0.0
    size: Mapping[str, int] | None = None
    name: str = "segment"
    main: str = "miou"
    higher: bool = True

    def __post_init__(self) -> None:
        if len(set(self.names.values())) < 2:
            raise ValueError("--task segment came with fewer than two --classes; wanted NUMBER=name for each class")

    @property
    def labels(self) -> list[str]:
        """The different class names, in the order given."""
        return list(dict.fromkeys(self.names.values()))

    def examples(self, row: Row, items: dict[str, Item]) -> Iterator[tuple[dict[str, Item], np.ndarray]]:
        """Windows with their class numbers; those without a labelled place are left out."""
        mask = (row.extra or {}).get("mask")
        if mask is None:
            raise ValueError(f"line {row.line} has no mask; --task segment wants the column mask in every row")
        if len(items) != 1:
            raise ValueError(f"line {row.line} has {len(items)} inputs; --task segment wants one in every row")
        ((name, item),) = items.items()
        if isinstance(item, Raster):
            answer = self._pixels(str(mask), row, item)
            side = int((self.size or {}).get(name, 128))
            for top, left, part in windows(item, side):
                height, width = part.values.shape[-2:]
                square = np.where(part.mask, answer[top : top + height, left : left + width], IGNORED)
                if (square != IGNORED).any():
                    yield {name: part}, square
        elif isinstance(item, PointCloud):
            if str(mask) not in item.features:
                raise ValueError(
                    f"line {row.line} has mask {mask!r}, which is no feature of the cloud; it has "
                    f"{', '.join(item.features) or 'none'}"
                )
            answer = self._numbers(np.asarray(item.features[str(mask)]))
            bare = replace(item, features={k: v for k, v in item.features.items() if k != str(mask)})
            for chosen in squares(bare, self.window):
                if (answer[chosen] != IGNORED).any():
                    kept = {key: value[chosen] for key, value in bare.features.items()}
                    yield {name: PointCloud(bare.xyz[chosen], kept, bare.crs)}, answer[chosen]
        else:
            raise ValueError(f"line {row.line} holds {name}; --task segment reads rasters and point clouds")

    def _numbers(self, raw: np.ndarray) -> np.ndarray:
        """The masks' numbers -> class numbers, ``IGNORED`` where they mean nothing."""
        answer = np.full(raw.shape, IGNORED, np.int64)
        for number, name in self.names.items():
            answer[raw == number] = self.labels.index(name)
        return answer

    def _pixels(self, path: str, row: Row, item: Raster) -> np.ndarray:
        from pathlib import Path

        beside = Path(next(iter(row.inputs.values()))).parent / path
        mask = read(beside if beside.exists() else path, modality=_a_raster(), units="dn", bands=["class"])
        assert isinstance(mask, Raster)
        if mask.values.shape[-2:] != item.values.shape[-2:]:
            raise ValueError(
                f"line {row.line}: the mask has {mask.values.shape[-2:]} pixels, its raster {item.values.shape[-2:]}; "
                "bring both onto one grid"
            )
        return np.where(mask.mask, self._numbers(mask.values[0]), IGNORED)

    def summary(self, answer: np.ndarray) -> dict[int, int]:
        """How many places each class has."""
        numbers, counts = np.unique(answer[answer != IGNORED], return_counts=True)
        return dict(zip(numbers.tolist(), counts.tolist()))

    def head(
        self, parts: Mapping[str, Sequence[dict[int, int]]], modalities: Sequence[str], widths: Mapping[str, int]
    ) -> dict[str, Any]:
        """A linear layer over every token."""
        if len(modalities) != 1 or modalities[0] not in widths:
            raise ValueError(f"--task segment came with {', '.join(modalities)}; wanted one modality with an encoder")
        here = {k for summary in parts["train"] for k in summary}
        if len(here) < 2:
            raise ValueError("the training part has places of fewer than two classes; there is nothing to tell apart")
        for part, summaries in parts.items():
            only = {k for summary in summaries for k in summary} - here
            if only:
                raise ValueError(
                    f"class {self.labels[min(only)]!r} stands in {part} but not in train; add it or drop it"
                )
        return {
            "kind": "segmentation",
            "labels": self.labels,
            "width": widths[modalities[0]],
            "window": self.window,
        }

    def target(
        self, answer: np.ndarray, head: Any, items: Mapping[str, Item], settings: Any
    ) -> Tensor | dict[str, Tensor]:
        """(H, W) classes; or of a cloud (P,) classes with the tokens that each point takes its own from."""
        classes = torch.from_numpy(answer.astype(np.int64))
        ((name, item),) = items.items()
        if isinstance(item, Raster):
            return classes
        known = classes != IGNORED
        index, weight = token_weights(name, item, settings[name])
        return {"classes": classes[known], "index": index[known], "weight": weight[known]}

    def words(self, targets: Sequence[Any]) -> dict[str, list[str]]:
        """None: the head answers."""
        return {}

    def loss(self, output: Any, targets: Sequence[Any], head: Any, weight: Tensor | None) -> tuple[Tensor, Tensor]:
        """Cross-entropy over all labelled places of the batch, summed with the classes' weights."""
        places, classes = self._places(output, targets)
        kept = classes != IGNORED
        total = kept.sum().float() if weight is None else weight[classes[kept]].sum()
        loss = F.cross_entropy(places[kept], classes[kept], weight=weight, label_smoothing=self.smoothing)
        return loss * total, total

    @staticmethod
    def _places(output: Any, targets: Sequence[Any]) -> tuple[Tensor, Tensor]:
        """(M, K) logits and (M,) classes of all pixels or points of a batch."""
        logits, classes = [], []
        for row, target in zip(output.logits.float(), targets):
            if isinstance(target, dict):
                tokens = row.T[target["index"]]  # (P, near, K)
                logits.append((tokens * target["weight"][..., None]).sum(1))
                classes.append(target["classes"])
            else:
                image = F.interpolate(row[None], size=target.shape, mode="bilinear", align_corners=False)[0]
                logits.append(image.flatten(1).T)
                classes.append(target.flatten())
        return torch.cat(logits), torch.cat(classes)

    def metrics(self, head: Any) -> dict[str, Any]:
        """See the file's head."""
        from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score, MulticlassJaccardIndex

        count = len(self.labels)
        return {
            "miou": MulticlassJaccardIndex(count, average="macro"),
            "accuracy": MulticlassAccuracy(count, average="micro"),
            "macro_f1": MulticlassF1Score(count, average="macro"),
        }

    def update(self, metrics: dict[str, Any], output: Any, targets: Sequence[Any], labels: Any) -> None:
        """Add one batch."""
        logits, classes = self._places(output, targets)
        kept = classes != IGNORED
        for metric in metrics.values():
            metric.update(logits[kept].argmax(-1), classes[kept])


def token_weights(name: str, item: Item, settings: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """Which tokens a point's values come from, and with what shares: (P, near) each.

    A modality's ``spread`` is linear in the tokens' values, so spreading the identity matrix shows its weights.
    """
    record = modalities.get(name)
    if record.spread is None:
        raise ValueError(f"{name} has no dense answers; segment reads rasters and point clouds")
    sample = record.prepare(item, **settings)
    count = 1 + next(len(value) for value in sample.values())  # type: ignore[union-attr]
    shares = record.spread(torch.eye(count), item, **settings)  # (P, tokens)
    weight, index = shares.topk(min(NEAREST, count), dim=1)
    return index, weight


def _a_raster() -> str:
    """Any modality that takes rasters: a mask is read as one."""
    return next(name for name in modalities.names() if modalities.get(name).item is Raster)
