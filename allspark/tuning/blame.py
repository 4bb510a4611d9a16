"""Which items made the loss not a number."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from .data import Batches
from .measuring import forward
from .sampling import Step
from .setup import Prepared


def short(words: str, most: int = 80) -> str:
    """A long path or text without its middle: a file's name stands at the end.

    Example:
        >>> short("/a/long/folder/of/tiles/cloud_2.npy", 20)
        '/a/long…/cloud_2.npy'
    """
    if len(words) <= most:
        return words
    start = most * 2 // 5 - 1
    return f"{words[:start]}…{words[start + 1 - most :]}"


def blame(
    prepared: Prepared,
    step: Step,
    model: nn.Module,
    device: torch.device,
    number: int,
    gather: Callable[[list], list] | None,
) -> None:
    """Say which items of a step give a loss that is no number; raises FloatingPointError."""
    task, examples = prepared.task, prepared.examples
    head = model.get_base_model().heads[task.name] if prepared.head is not None else None  # type: ignore[operator]
    data, lines = Batches(examples, []), []
    sizes = [len(step.rows)] if gather is None else gather([len(step.rows)])
    model.eval()
    with torch.no_grad():
        for turn in range(max(sizes)):  # a sharded model needs every rank at every pass
            row = step.rows[min(turn, len(step.rows) - 1)]
            sample, target = examples[row]
            collated = data.collate([{name: sample[name] for name in step.modalities}], [target])
            loss, count, _, _ = forward(model, task, head, collated, [target], device, None)
            if turn < len(step.rows) and not bool(torch.isfinite(loss / count.clamp_min(1e-12))):
                source = examples.rows[examples.facts[row].row]
                lines.append(f"line {source.line} ({', '.join(short(str(v)) for v in source.inputs.values())})")
    lines = gather(lines) if gather is not None else lines
    if len(lines) >= sum(sizes) or not lines:
        raise FloatingPointError(
            f"the loss is no number at step {number + 1} ({'; '.join(lines[:5]) or 'no single item is to blame'}); the "
            "weights have left their range: lower --lr, or use --precision no"
        )
    raise FloatingPointError(
        f"the loss is no number at step {number + 1} because of {'; '.join(lines[:5])}; look at these items, mend or "
        "drop them"
    )
