"""What a run would cost, from steps that are really made, and what was understood of the data."""

from __future__ import annotations

import resource
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from .options import Options
from .setup import Prepared
from .trainables import count

MEASURED = 2  # steps after the first, which is slower than the others


@dataclass(frozen=True)
class Report:
    """The text to print, and the same as values."""

    text: str
    values: dict[str, Any]


def report(
    prepared: Prepared, options: Options, total: int, step: Callable[[], Any], device: torch.device, world: int
) -> Report:
    """Make three steps and say what the whole run would take.

    Args:
        prepared: the data and the model.
        options: of the run.
        total: optimiser steps that it would have.
        step: makes one step of a batch.
        device: where it runs.
        world: processes.
    """
    step()
    began = time.perf_counter()
    for _ in range(MEASURED):
        step()
    seconds = (time.perf_counter() - began) / MEASURED
    if device.type == "cuda":
        memory = torch.cuda.max_memory_allocated(device) / 2**30
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        memory = peak / (2**30 if sys.platform == "darwin" else 2**20)
    parts = count(prepared.wrapped)
    trainable, whole = sum(parts.values()), sum(p.numel() for p in prepared.spark.model.parameters())
    minutes = total * options.accumulate * seconds / 60
    values = {
        "trainable": trainable,
        "by_part": parts,
        "parameters": whole,
        "seconds_per_step": seconds,
        "steps": total,
        "minutes": minutes,
        "memory_gib": memory,
        "columns": prepared.columns,
        "examples": {part: len(rows) for part, rows in prepared.parts.items()},
        "skipped": len(prepared.skipped),
        "warnings": prepared.warnings,
    }
    lines = [
        "columns of the manifest",
        *(f"  {name}: {meaning}" for name, meaning in prepared.columns.items()),
        "examples",
        *(f"  {part}: {len(rows)}{_classes(prepared, rows)}" for part, rows in prepared.parts.items()),
        f"  put aside: {len(prepared.skipped)}",
        f"trainable parameters: {trainable:,} of {whole:,}",
        *(f"  {name}: {number:,}" for name, number in parts.items()),
        f"one step of {options.batch} examples on {world} x {device.type}: {seconds:.3f} s",
        f"{total} optimiser steps of {options.accumulate}: about {minutes:.1f} minutes, without measuring and saving",
        f"memory so far: {memory:.2f} GiB",
        *(f"warning: {words}" for words in prepared.warnings),
    ]
    return Report("\n".join(lines), values)


def _classes(prepared: Prepared, rows: list[int]) -> str:
    answers = Counter(a for i in rows if isinstance(a := prepared.examples.facts[i].answer, str))
    if not answers:
        return ""
    return (
        " (" + ", ".join(f"{label} {n}" for label, n in answers.most_common(8)) + (", …)" if len(answers) > 8 else ")")
    )
