"""Long lists through a model: read a few, batch those of one kind together, answer, and let go of them.

Only the items of one chunk are in memory at a time, whatever the length of the list.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from .inputs import Bad, as_items, is_list, warn_bad
from .processor import AllSparkProcessor

SHOW_PROGRESS = 200  # items; shorter lists are over before a bar is read
CHUNK = 8  # batches that are read before they are sorted by kind

Kind = tuple[str, ...] | Bad  # the modalities that one input has, or why it could not be read


def to_device(value: Any, device: torch.device) -> Any:
    """The tensors of a nested batch on a device."""
    if isinstance(value, Tensor):
        return value.to(device)
    return {key: to_device(part, device) for key, part in value.items()} if isinstance(value, dict) else value


def run_inputs(
    processor: AllSparkProcessor,
    inputs: Any,
    modality: str | None,
    run: Callable[[list[dict[str, Any]]], Iterable[Any]],
    batch_size: int,
) -> tuple[list[Kind], list[Any]]:
    """Read, prepare and run inputs in batches of one kind each.

    Args:
        processor: prepares items.
        inputs: one input or a list, as users hand them in.
        modality: which modality they are; recognised where it is not given.
        run: prepared samples of one kind -> one result each.
        batch_size: samples per run.

    Returns:
        The kind of every input and its result (None where the input is bad), in the order of the inputs.

    Raises:
        ValueError, OSError: a single input that cannot be read, or a list none of which can.
    """
    kinds: list[Kind] = []
    results: list[Any] = []
    chunks = [inputs]
    if is_list(inputs) and len(inputs) > CHUNK * batch_size:
        chunks = [inputs[i : i + CHUNK * batch_size] for i in range(0, len(inputs), CHUNK * batch_size)]
    for position, chunk in _progress(chunks, len(inputs) if is_list(inputs) else 1):
        entries = as_items(chunk, modality, first=position)
        alone = len(entries) == 1 and not is_list(inputs)
        found, answers = _run_chunk(processor, entries, run, batch_size, position, alone)
        kinds += found
        results += answers
    warn_bad(kinds)
    return kinds, results


def _run_chunk(
    processor: AllSparkProcessor, entries: Sequence[Any], run: Callable, batch_size: int, first: int, alone: bool
) -> tuple[list[Kind], list[Any]]:
    kinds: list[Kind] = []
    results: list[Any] = [None] * len(entries)
    queues: dict[tuple[str, ...], list[tuple[int, dict[str, Any]]]] = {}

    def flush(queue: list[tuple[int, dict[str, Any]]]) -> None:
        with torch.inference_mode():
            for (i, _), result in zip(queue, run([sample for _, sample in queue])):
                results[i] = result

    for i, entry in enumerate(entries):
        if isinstance(entry, Bad):
            kinds.append(entry)
            continue
        try:
            sample = processor.prepare(entry)
        except (ValueError, OSError) as error:
            if alone:
                raise
            kinds.append(Bad(f"item {first + i}", error))
            continue
        kinds.append(tuple(sorted(entry, key=processor.order.index)))
        queue = queues.setdefault(kinds[-1], [])  # type: ignore[arg-type]
        queue.append((i, sample))
        if len(queue) == batch_size and not _words(sample):
            flush(queue)
            queue.clear()
    for queue in queues.values():
        # words wait for the whole chunk: batches of like lengths waste no work on padding
        queue.sort(key=lambda pair: _words(pair[1]))
        for start in range(0, len(queue), batch_size):
            flush(queue[start : start + batch_size])
    return kinds, results


def _words(sample: dict[str, Any]) -> int:
    """How many word ids a prepared sample brings into the sequence."""
    return sum(len(value) for value in sample.values() if isinstance(value, Tensor))


def _progress(chunks: list[Any], total: int) -> Iterator[tuple[int, Any]]:
    """Chunks with the position of their first item, and a bar on the terminal for long lists."""
    position = 0
    if total < SHOW_PROGRESS or not sys.stderr.isatty():
        for chunk in chunks:
            yield position, chunk
            position += len(chunk) if is_list(chunk) else 1
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("items", total=total)
        for chunk in chunks:
            yield position, chunk
            position += len(chunk)
            bar.update(task, completed=position)
