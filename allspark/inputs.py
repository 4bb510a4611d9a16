"""What a user hands in -> ``{modality: item}``: paths, arrays, data frames, items, and several of one place."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import modality as modalities
from .items import Code, Graph, Item, PointCloud, Raster, Table, Text, Trajectory

ITEM_TYPES = (Raster, PointCloud, Trajectory, Graph, Table, Text, Code)
RGB = ("red", "green", "blue")


@dataclass(frozen=True)
class Bad:
    """An input that could not be read: which one it was, and the sentence that says why."""

    name: str
    error: Exception

    def __str__(self) -> str:
        return f"{self.name}: {self.error}"


def describe(value: Any, position: int) -> str:
    """A short name of an input for messages."""
    if isinstance(value, (str, os.PathLike)) and len(str(value)) < 200:
        return str(value)
    return f"item {position} ({type(value).__name__})"


def is_file(value: Any) -> bool:
    """A Path, or a str that names an existing file or the inside of a zip, is a file."""
    if isinstance(value, os.PathLike):
        return True
    if not isinstance(value, str) or len(value) > 4096 or "\n" in value:
        return False
    return value.startswith("zip://") or os.path.exists(value)


def from_array(array: np.ndarray, modality: str) -> Item:
    """A bare array of a named modality -> its item, where nothing needs to be guessed.

    Raises:
        ValueError: the modality needs units, bands or times that an array does not carry.
    """
    item = modalities.get(modality).item
    array = np.asarray(array)
    if item in (PointCloud, Graph):
        return item(array)
    if item is Raster and array.dtype == np.uint8 and array.ndim == 3:
        if array.shape[0] != 3 and array.shape[-1] == 3:
            array = np.moveaxis(array, -1, 0)
        if array.shape[0] == 3:
            return Raster(array, units="uint8", bands=RGB)
    raise ValueError(
        f"an array of shape {array.shape} and type {array.dtype} came as {modality}; it does not say its units, bands "
        f"or times; hand in allspark.{item.__name__}(...) instead"
    )


def as_item(value: Any, modality: str | None = None) -> Mapping[str, Item]:
    """One input -> ``{modality: item}``.

    Args:
        value: a path, an array with ``modality``, a data frame, an item, words, or ``{modality: any of these}``.
        modality: which modality it is; recognised where it is not given.

    Raises:
        ValueError, FileNotFoundError, UnreadableFileError: one sentence on what came and what to do.
    """
    if isinstance(value, Mapping):
        if not value:
            raise ValueError("an empty dictionary came; wanted {modality: item}")
        return {name: next(iter(as_item(part, name).values())) for name, part in value.items()}
    record = modalities.get(modality) if modality is not None else None
    if is_file(value):
        from .readers import read

        value = read(value, modality)
    elif isinstance(value, str):
        value = _from_words(value, record)
    elif isinstance(value, np.ndarray) or type(value).__module__.split(".")[0] == "torch":
        if modality is None:
            raise ValueError("an array came without its kind; say which with modality=")
        value = from_array(np.asarray(value), modality)
    elif hasattr(value, "columns") and hasattr(value, "iloc"):
        value = Table(value)
    if not isinstance(value, (*ITEM_TYPES, *(modalities.get(name).item for name in modalities.names()))):
        raise ValueError(
            f"a {type(value).__name__} came; wanted a path, an array with modality=, a data frame, an item of "
            "allspark, words, or a dictionary {modality: item}"
        )
    if record is None:
        record = modalities.recognise(value)
    elif not isinstance(value, record.item):
        raise ValueError(f"{record.name} takes a {record.item.__name__}; a {type(value).__name__} came")
    return {record.name: value}  # type: ignore[dict-item]  # a plug-in's own item type


def _from_words(words: str, record: modalities.Modality | None) -> Item:
    if record is not None and record.encoder is None:
        return record.item(words)
    if record is not None or (Path(words).suffix and not any(c.isspace() for c in words)):
        raise FileNotFoundError(f"there is no file {words!r}; check the path")
    return Text(words)


def is_list(inputs: Any) -> bool:
    """A list or tuple of inputs, not one input."""
    return isinstance(inputs, Sequence) and not isinstance(inputs, (str, bytes))


def as_items(inputs: Any, modality: str | None = None, *, first: int = 0) -> list[Mapping[str, Item] | Bad]:
    """Inputs, one or a list -> one entry each; ``first`` is the number of the first in messages.

    A single input that cannot be read raises; in a list it becomes a ``Bad`` and the others go on. A table of several
    rows is a list of its rows.
    """
    if not is_list(inputs):
        item = as_item(inputs, modality)
        (name, value), *rest = item.items()
        if isinstance(value, Table) and not rest and len(value) > 1:
            return [_row(value, i, name) for i in range(len(value))]
        _check_rows(item)
        return [item]
    if len(inputs) == 0:
        raise ValueError("an empty list came; wanted at least one item")
    entries: list[Mapping[str, Item] | Bad] = []
    for position, value in enumerate(inputs):
        try:
            item = as_item(value, modality)
            _check_rows(item)
            entries.append(item)
        except (ValueError, OSError, TypeError) as error:
            entries.append(Bad(describe(value, first + position), error))
    return entries


def _row(table: Table, index: int, name: str) -> Mapping[str, Item] | Bad:
    try:
        return {name: table[index]}
    except ValueError as error:
        return Bad(f"row {index}", error)


def _check_rows(item: Mapping[str, Item]) -> None:
    for value in item.values():
        if isinstance(value, Table) and len(value) > 1:
            raise ValueError(f"a table of {len(value)} rows came where one item was wanted; hand in one row: table[i]")


def warn_bad(entries: Sequence[Any]) -> None:
    """One warning that names every bad input; ValueError where there is no good one."""
    bad = [entry for entry in entries if isinstance(entry, Bad)]
    if not bad:
        return
    named = "; ".join(str(entry) for entry in bad[:5]) + (f"; and {len(bad) - 5} more" if len(bad) > 5 else "")
    if len(bad) == len(entries):
        raise ValueError(f"none of the {len(entries)} inputs could be read: {named}")
    warnings.warn(f"{len(bad)} of {len(entries)} inputs could not be read and were left out: {named}", stacklevel=4)
