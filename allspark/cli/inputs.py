"""From a command's arguments to items: which files make one input, and which of them could not be read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

CHUNK = 64  # inputs read at once: enough for full batches, little enough for any memory


@dataclass(frozen=True)
class Input:
    """One input of a command: its name, and its item (or one per modality), or the sentence why there is none."""

    name: str
    item: Any = None
    error: str | None = None


def places(arguments: Sequence[str]) -> list[str | dict[str, str]]:
    """Group arguments into inputs.

    A plain path is one input. ``modality=path`` pairs beside each other are one input of several modalities; a modality
    that comes again begins the next one. A file whose own name holds "=" is still a file.

    Example:
        >>> places(["a.tif", "rgb=b.png", "sar=b.tif", "rgb=c.png"])
        ['a.tif', {'rgb': 'b.png', 'sar': 'b.tif'}, {'rgb': 'c.png'}]
    """
    grouped: list[str | dict[str, str]] = []
    for argument in arguments:
        pair = re.fullmatch(r"([a-z][a-z0-9_]*)=(.+)", argument)
        if pair is None or Path(argument).exists():
            grouped.append(argument)
            continue
        modality, path = pair.groups()
        last = grouped[-1] if grouped else None
        if isinstance(last, dict) and modality not in last:
            last[modality] = path
        else:
            grouped.append({modality: path})
    return grouped


def _named(item: Any, modality: str | None) -> Any:
    return item if modality is None else {modality: item}


def _read(place: str | dict[str, str], modality: str | None, options: dict[str, Any]) -> Iterator[Input]:
    import allspark

    from .output import sentence

    name = place if isinstance(place, str) else " ".join(f"{key}={path}" for key, path in place.items())
    try:
        if isinstance(place, dict):
            yield Input(name, {key: allspark.read(path, modality=key, **options) for key, path in place.items()})
            return
        item = allspark.read(place, modality=modality, **options)
    except (ValueError, TypeError, OSError, ImportError) as error:  # TypeError: an option of another kind of file
        yield Input(name, error=sentence(error))
        return
    if isinstance(item, allspark.Table) and len(item) > 1:  # each row of a table is an item
        for row in range(len(item)):
            try:
                yield Input(f"{name}#{row}", _named(item[row], modality))
            except ValueError as error:
                yield Input(f"{name}#{row}", error=sentence(error))
        return
    yield Input(name, _named(item, modality))


def read_chunks(
    arguments: Sequence[str], modality: str | None = None, options: dict[str, Any] | None = None
) -> Iterator[list[Input]]:
    """The inputs of a command in lists of at most ``CHUNK``, with a progress bar on stderr where there are several.

    A table gives one input per row. Files that cannot be read give an Input with its error.
    """
    from rich.console import Console
    from rich.progress import Progress

    grouped = places(arguments)
    with Progress(console=Console(stderr=True), transient=True, disable=len(grouped) <= CHUNK) as progress:
        task = progress.add_task("inputs", total=len(grouped))
        chunk: list[Input] = []
        for place in grouped:
            for entry in _read(place, modality, options or {}):
                chunk.append(entry)
                if len(chunk) == CHUNK:
                    yield chunk
                    chunk = []
            progress.advance(task)
        if chunk:
            yield chunk


def read_examples(where: str, modality: str | None, options: dict[str, Any]) -> dict[str, list[Any]]:
    """Class -> items, from a folder with one sub-folder per class, or from a manifest with a column of labels.

    Raises:
        ValueError: no such folder, no classes in it, or a manifest row without a label.
        OSError: a file among them that cannot be read.
    """
    import allspark

    path = Path(where)
    if path.is_dir():
        paths = {
            folder.name: sorted(str(file) for file in folder.iterdir() if file.is_file() and file.name[0] != ".")
            for folder in sorted(path.iterdir())
            if folder.is_dir() and folder.name[0] != "."
        }
        empty = [name for name, files in paths.items() if not files]
        if empty:
            raise ValueError(f"the class folders {', '.join(empty)} of {where} hold no files; put examples there")
        if len(paths) < 2:
            raise ValueError(f"{where} has {len(paths)} sub-folders; wanted one for each of two or more classes")
        return {
            label: [_named(allspark.read(file, modality=modality, **options), modality) for file in files]
            for label, files in paths.items()
        }
    if not path.is_file():
        raise ValueError(f"{where} is neither a folder nor a manifest; give a folder with one sub-folder per class")
    grouped: dict[str, list[Any]] = {}
    for row in read_manifest(where, modality, options):
        grouped.setdefault(row.label, []).append(row.item)
    return grouped


@dataclass(frozen=True)
class Labelled:
    """One row of a manifest: its item (or {modality: item}), its label, and its group where it has one."""

    item: Any
    label: str
    group: str | None


def read_manifest(
    path: str, modality: str | None = None, options: dict[str, Any] | None = None, split: str | None = None
) -> list[Labelled]:
    """The labelled rows of a manifest, each with its item.

    Args:
        path: CSV, JSON Lines or Parquet.
        modality: what a ``path`` column holds, where the files do not say.
        options: of readers, for what a row does not say itself.
        split: only rows of this split.

    Raises:
        ValueError: a row without a label, or what ``allspark.readers.manifest`` says of the manifest.
        OSError: a file that cannot be read; the message names its line.
    """
    from ..readers.manifest import load_row
    from ..readers.manifest import read_manifest as rows_of

    manifest = rows_of(path)
    found = []
    for row in manifest if split is None else manifest.split(split):
        if row.label is None:
            raise ValueError(
                f"line {row.line} of {path} has no label; give each row one, or choose a --split that does"
            )
        given = {key: {**(options or {}), **dict((row.options or {}).get(key, {}))} for key in row.inputs}
        inputs = row.inputs
        if modality is not None and None in inputs:
            inputs, given = {modality: inputs[None]}, {modality: given[None]}
        items = load_row(replace(row, inputs=inputs, options=given))
        found.append(Labelled(items[None] if list(items) == [None] else items, row.label, row.group))
    return found
