"""The metrics of a part of the data, over all ranks."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..running import to_device
from .data import Batches, Examples
from .sampling import Step
from .tasks import Task

SHARE = 4  # batches are this many times those of training: nothing is kept for the way back


def fixed_steps(examples: Examples, rows: Sequence[int], batch: int, only: str | None = None) -> list[Step]:
    """Steps that see every example once, those of the same modalities together; ``only`` leaves one modality."""
    kinds: dict[tuple[str, ...], list[int]] = {}
    for row in rows:
        kind = examples.facts[row].modalities
        kept = kind if only is None else tuple(name for name in kind if name == only)
        if kept:
            kinds.setdefault(kept, []).append(row)
    return [
        Step(tuple(members[i : i + batch]), kind)
        for kind, members in sorted(kinds.items())
        for i in range(0, len(members), batch)
    ]


def measure(
    model: nn.Module,
    task: Task,
    examples: Examples,
    rows: Sequence[int],
    *,
    batch: int,
    device: torch.device,
    rank: int = 0,
    world: int = 1,
    only: str | None = None,
) -> dict[str, float]:
    """Every metric of the task, and the mean loss.

    Args:
        model: peft's model, not DDP's around it.
        task, examples: of the run.
        rows: which examples.
        batch: of training.
        device: of the model.
        rank, world: each rank takes its part; the metrics add up over all (torchmetrics).
        only: read this modality alone, of those examples that have it.
    """
    from torchmetrics import MeanMetric

    head = model.get_base_model().heads[task.name] if examples.head is not None else None  # type: ignore[operator]
    metrics = {name: metric.to(device) for name, metric in task.metrics(examples.head).items()}
    mean_loss = MeanMetric().to(device)
    steps = fixed_steps(examples, rows, batch * SHARE, only)
    own = Batches(examples, steps)
    model.eval()
    with torch.no_grad():
        for turn in range(-(-len(steps) // world)):
            number = turn * world + rank
            idle = number >= len(steps)  # a sharded model needs every rank at every step
            collated, targets, _ = own[0 if idle else number]
            loss, weight, output, labels = forward(model, task, head, collated, targets, device, None)
            if not idle:
                mean_loss.update(loss / weight.clamp_min(1e-12), weight)
                task.update(metrics, output, to_device_all(targets, device), labels)
    with warnings.catch_warnings():  # a rank that was idle has nothing of its own; the others' numbers are added
        warnings.filterwarnings("ignore", message="The ``compute`` method of metric")
        return {name: float(metric.compute()) for name, metric in {**metrics, "loss": mean_loss}.items()}


def to_device_all(targets: Sequence[Any], device: torch.device) -> list[Any]:
    """Each target on the device; words stay words."""
    return [to_device(target, device) if isinstance(target, (Tensor, dict)) else target for target in targets]


def forward(
    model: nn.Module,
    task: Task,
    head: Any,
    collated: dict[str, Any],
    targets: Sequence[Any],
    device: torch.device,
    weight: Tensor | None,
) -> tuple[Tensor, Tensor, Any, Tensor | None]:
    """One batch: the summed loss, what it is a sum over, the model's output, and the words' labels."""
    batch = to_device(collated, device)
    output = model(**batch, head=task.name) if head is not None else model(**batch)
    loss, total = task.loss(output, to_device_all(targets, device), head, weight)
    return loss, total, output, batch.get("labels")
