"""The tasks by name. Each says what an example's answer is, which head learns it, its loss and its metrics.

A task is an object with the methods of ``Task``; nothing is inherited.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from ...items import Item
from ...readers.manifest import Row
from ..options import Options


class Task(Protocol):
    """What the loop asks of a task.

    A task may also have ``vary(items, answer, random, turn)``: for training, items and answer changed so that they are
    still true of each other, before they are prepared; None where that is left to the modalities' own augmentations.

    Attributes:
        name: on the command line; also the head's.
        main: the metric that decides which weights are best.
        higher: whether more of it is better.
    """

    name: str
    main: str
    higher: bool

    def examples(self, row: Row, items: dict[str, Item]) -> Iterator[tuple[dict[str, Item], Any]]:
        """One row -> its examples: items and answer each; ValueError where the row's answer is missing or wrong."""

    def summary(self, answer: Any) -> Any:
        """What of an answer is kept to fit the head on."""

    def head(
        self, parts: Mapping[str, Sequence[Any]], modalities: Sequence[str], widths: Mapping[str, int]
    ) -> dict[str, Any] | None:
        """The head's config from the summaries of every split; ValueError where nothing can be learnt."""

    def target(self, answer: Any, head: dict[str, Any] | None, items: Mapping[str, Item], settings: Any) -> Any:
        """One answer -> what ``loss`` is given of it: a tensor, or a dict of tensors."""

    def words(self, targets: Sequence[Any]) -> dict[str, list[str]]:
        """Questions and answers for the processor's ``collate``; empty where the task has a head."""

    def loss(self, output: Any, targets: Sequence[Any], head: Any, weight: Tensor | None) -> tuple[Tensor, Tensor]:
        """The summed loss, and what it is a sum over."""

    def metrics(self, head: dict[str, Any] | None) -> dict[str, Any]:
        """Name -> a torchmetrics metric."""

    def update(self, metrics: dict[str, Any], output: Any, targets: Sequence[Any], labels: Any) -> None:
        """Add one batch to the metrics."""


def make_task(options: Options, settings: Mapping[str, Mapping[str, Any]]) -> Task:
    """The task that the options ask for; ``settings`` are the processor's, modality -> ``prepare``'s arguments."""
    from .answer import Answer
    from .classify import Classify
    from .regress import Regress
    from .segment import Segment
    from .trajectory import Futures

    sizes = {name: int(given["size"]) for name, given in settings.items() if "size" in given}
    makers: dict[str, Callable[[], Any]] = {
        "classify": lambda: Classify("classify", options.smoothing, options.at, unlabelled=options.consistency > 0),
        "node": lambda: Classify("node", options.smoothing, options.at, unlabelled=options.consistency > 0),
        "regress": lambda: Regress(options.at),
        "segment": lambda: Segment(options.class_names(), options.window, options.smoothing, sizes),
        "answer": Answer,
        "trajectory": lambda: Futures(options.observe, options.predict, options.modes, options.at),
    }
    return makers[options.task]()


def pooled_width(at: str, modalities: Sequence[str], widths: Mapping[str, int]) -> dict[str, Any]:
    """The part of a head's config that says where it reads.

    Raises:
        ValueError: encoders of several widths, or words, which have no encoder.
    """
    if at == "language":
        return {}
    if at == "words":
        if widths or not modalities:
            raise ValueError(
                f"--at words came for {', '.join(modalities)}; it reads words alone; use --at encoder or --at language"
            )
        return {"at": at}
    missing = [name for name in modalities if name not in widths]
    if missing:
        raise ValueError(
            f"--at {at} came for {', '.join(missing)}, which go to the language model itself; use --at language"
        )
    if at == "bridge":
        return {"at": at}
    different = sorted({widths[name] for name in modalities})
    if len(different) > 1:
        raise ValueError(f"--at encoder came for encoders of widths {different}; use --at bridge or --at language")
    return {"at": at, "pooled_width": different[0]}


def stacked(targets: Sequence[Any]) -> Tensor:
    """Targets of one shape as one tensor."""
    return torch.stack(list(targets))
