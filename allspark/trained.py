"""Answers of trained heads: classes, numbers, futures, and a class for every pixel or point."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from . import modality as modalities
from .encoders._frame import observed, own_frame, walking_on
from .inputs import Bad, as_items, warn_bad
from .items import Item, PointCloud, Raster, Trajectory
from .running import Kind, to_device
from .segmentation import NO_DATA, Canvas, Segmentation, squares, to_pixels, to_points, windows

if TYPE_CHECKING:
    from .api import AllSpark


@dataclass(frozen=True, eq=False)
class Futures:
    """What may come after a trajectory's last fix.

    Attributes:
        metres: (K, T, 2) east and north of the last fix, the most probable future first.
        probabilities: (K,), which sum to 1.
    """

    metres: np.ndarray
    probabilities: np.ndarray


def head_of(spark: AllSpark, kind: str, instead: str) -> str:
    """The name of the model's one head of a kind.

    Raises:
        ValueError: there is none, or there are several; ``instead`` says what else could be done.
    """
    found = [name for name, head in spark.config.heads.items() if head["kind"] == kind]
    if len(found) != 1:
        what = f"{len(found)} heads" if found else "no head"
        raise ValueError(f"the model has {what} for {kind}; {instead}")
    return found[0]


def _outputs(spark: AllSpark, inputs: Any, name: str, modality: str | None) -> tuple[list[Kind], list[Any]]:
    def run(samples: list[dict[str, Any]]) -> Iterable[Tensor]:
        return spark.model(**to_device(spark.processor.collate(samples), spark.model.device), head=name).logits.float()

    return spark._run(inputs, modality, run)


def class_scores(spark: AllSpark, inputs: Any, modality: str | None) -> tuple[list[str], list[Kind], list[Any]]:
    """The head's labels, each input's kind, and its probabilities (K,), None where it could not be read."""
    instead = "give labels= (zero-shot) or examples= (few-shot), or load an adapter trained for --task classify"
    name = head_of(spark, "classification", instead)
    kinds, rows = _outputs(spark, inputs, name, modality)
    return list(spark.config.heads[name]["labels"]), kinds, [None if r is None else r.softmax(-1).cpu() for r in rows]


def numbers(spark: AllSpark, inputs: Any, modality: str | None) -> Tensor:
    """(B,) in the targets' unit; NaN for inputs that could not be read."""
    name = head_of(spark, "regression", "load an adapter trained for --task regress")
    _, rows = _outputs(spark, inputs, name, modality)
    return torch.tensor([float("nan") if row is None else float(row[0]) for row in rows])


def futures(spark: AllSpark, inputs: Any) -> list[Futures]:
    """The futures of each trajectory, from its last fixes.

    Raises:
        ValueError: no trained head, an input that is no trajectory or has too few fixes.
    """
    name = head_of(spark, "trajectory", "load an adapter trained for --task trajectory")
    config = spark.config.heads[name]
    seen = int(config["observe"])
    found = []
    for entry in as_items(inputs):
        if isinstance(entry, Bad):
            raise ValueError(str(entry))
        ((key, item),) = entry.items()
        if not isinstance(item, Trajectory) or len(item.positions) < seen:
            have = f"{len(item.positions)} fixes" if isinstance(item, Trajectory) else f"a {type(item).__name__}"
            raise ValueError(f"{have} came; wanted a trajectory of at least {seen} fixes")
        others = None if item.others is None else item.others[:, -seen:]
        last = Trajectory(item.positions[-seen:], item.time[-seen:], crs=item.crs, others=others)
        step = bool(config.get("step"))
        track, matrix = own_frame(last, seen, step)
        _, (row,) = _outputs(spark, {key: observed(last, seen, step)}, name, None)
        order = row[:, -1].argsort(descending=True).cpu()
        ahead = row.cpu()[order, :-1].unflatten(-1, (int(config["steps"]), 2)).numpy()
        if config.get("onward"):
            ahead = ahead + walking_on(track, seen, int(config["steps"]))
        found.append(Futures(ahead @ matrix.T, row.cpu()[order, -1].softmax(-1).numpy()))
    return found


def dense_scores(spark: AllSpark, name: str, item: Item, head: str) -> Tensor:
    """Probabilities of a trained head at every pixel, (K, H, W), or point, (K, P)."""
    config = spark.config.heads[head]

    def logits(part: Item) -> Tensor:
        batch = to_device(spark.processor([{name: part}]), spark.model.device)
        return spark.model(**batch, head=head).logits[0].float()  # (K, N) or (K, h, w)

    if isinstance(item, Raster):
        canvas = Canvas(*item.values.shape[-2:])
        for row, column, window in windows(item, int(spark.processor.inputs[name]["size"])):
            part = logits(window)
            pixels = to_pixels(part.flatten(1).T, (part.shape[1], part.shape[2]), window.values.shape[-2:])
            canvas.add(row, column, pixels.softmax(0).cpu())
        return canvas.mean()
    if not isinstance(item, PointCloud):
        raise ValueError(f"{name} came; a trained head segments rasters and point clouds")
    scores = torch.zeros(len(config["labels"]), len(item.xyz))
    record, settings = modalities.get(name), spark.processor.inputs[name]
    for chosen in squares(item, float(config.get("window", 0.0))):
        part_of: Mapping[str, np.ndarray] = {key: value[chosen] for key, value in item.features.items()}
        square = PointCloud(item.xyz[chosen], part_of, item.crs)
        scores[:, chosen] = to_points(logits(square).T.cpu(), record, square, settings).softmax(0)
    return scores


def segment(spark: AllSpark, inputs: Any, modality: str | None) -> list[Segmentation]:
    """A class for every pixel or point by the trained head; inputs that cannot be read are named and left out.

    Raises:
        ValueError: no trained head, several modalities at once, or items without dense answers.
    """
    instead = "give labels= (zero-shot) or examples= (label -> (item, mask)), or load an adapter trained for segment"
    head = head_of(spark, "segmentation", instead)
    entries = as_items(inputs, modality)
    warn_bad(entries)
    answers = []
    for entry in entries:
        if isinstance(entry, Bad):
            continue
        if len(entry) != 1:
            raise ValueError(f"{len(entry)} modalities came at once; segment takes one at a time")
        ((name, item),) = entry.items()
        with torch.inference_mode():
            scores = dense_scores(spark, name, item, head)
        classes = scores.argmax(0).to(torch.int16).numpy()
        if isinstance(item, Raster):
            classes = np.where(item.mask, classes, np.int16(NO_DATA))
        answers.append(Segmentation(classes, tuple(spark.config.heads[head]["labels"]), scores.numpy(), item))
    return answers
