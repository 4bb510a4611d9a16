"""A manifest names many samples: CSV, JSON Lines or Parquet, one row for each, with files, words and answers."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from ..items import Code, Item, Text
from . import suffix_of
from .archive import local, members, split
from .manifest_records import records_of

ANSWERS = ("label", "target", "answer", "question", "split", "group")
# Of readers, without the input's name before them: words that a manifest hardly uses for anything else, unlike "id".
OPTIONS = ("units", "bands", "wavelengths", "fwhm", "crs")
SHOWN = 3  # missing files listed in an error
CLOSE = 0.8  # likeness of a column's name to a known one that makes it a slip of the pen


@dataclass(frozen=True)
class Row:
    """One sample.

    Attributes:
        inputs: modality -> path or words; the key is None where the manifest has a ``path`` column and the file tells
            its modality.
        label: a class, for classification.
        target: a number, for regression.
        answer: words, for a ``question``.
        split: "train", "test" and so on.
        group: what must not be shared between splits (a parcel, a user, a tile).
        line: where the row begins in the manifest, from 1; of a Parquet file the number of the row.
        options: modality -> what its reader is told by name.
        extra: the columns that mean nothing here.
    """

    inputs: Mapping[str | None, str]
    label: str | None = None
    target: float | None = None
    answer: str | None = None
    question: str | None = None
    split: str | None = None
    group: str | None = None
    line: int = 0
    options: Mapping[str | None, Mapping[str, Any]] | None = None
    extra: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Manifest:
    """The rows of a manifest, and the file that they came from."""

    rows: tuple[Row, ...]
    path: str | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def split(self, name: str) -> Manifest:
        """The rows of this split; ValueError lists the splits that there are."""
        rows = tuple(row for row in self.rows if row.split == name)
        if not rows:
            there = sorted({row.split for row in self.rows if row.split}) or ["none"]
            raise ValueError(f"the manifest has no split {name!r}; its splits are {', '.join(there)}; choose one")
        return replace(self, rows=rows)

    def labels(self) -> list[str]:
        """The labels that occur, sorted."""
        return sorted({row.label for row in self.rows if row.label is not None})


def read_manifest(path: str | PathLike[str], *, path_column: str | None = None, check: bool = True) -> Manifest:
    """The rows of a manifest.

    A column ``path``, or a column per modality (their names are those of ``allspark.modality.names()``), says what goes
    in; an empty cell means that the row lacks this modality. Relative paths are looked for beside the manifest, also
    those of archives: ``zip://tiles/b.tif::c.zip``. A column of a modality of words (language, code) holds the words
    themselves, or a file's path. ``label``, ``target``, ``answer``, ``question``, ``split`` and ``group`` are optional.

    What a reader must be told stands in columns called after the input and the option: ``sar.units``, ``path.id``.
    Where there is one input, ``units``, ``bands``, ``wavelengths``, ``fwhm`` and ``crs`` may stand alone. Lists are
    JSON or parted by semicolons.

    Args:
        path: .csv, .tsv, .jsonl, .ndjson or .parquet.
        path_column: the column of paths, where it is not called ``path``.
        check: look whether every file is there.

    Raises:
        FileNotFoundError: the manifest, or files that it names.
        UnreadableFileError: truncated, or of another kind.
        ValueError: no rows, no column of inputs, a repeated column or one with a slip in its name, a row without any
            input, or a target that is no number.
    """
    name = fspath(path)
    with local(path) as file:
        records, columns = records_of(file, suffix_of(name), name)
    if not records:
        raise ValueError(f"the manifest {name} has no rows; wanted one per sample; check what wrote it")
    inputs = _input_columns(columns, path_column, name)
    _check_columns(columns, inputs, name)
    wordy = _of_words(inputs)
    base = Path(name).parent if split(path) is None else Path()
    rows = tuple(_row(record, line, inputs, wordy, base, name) for line, record in records)
    if check:
        _check_files(rows, wordy, name)
    return Manifest(rows, name)


def load_row(row: Row) -> dict[str | None, Item]:
    """The items of a row by modality, read with the options that the row gives.

    Raises:
        OSError, ValueError: what the reader of a file says, with the manifest's line.
    """
    from . import read

    items: dict[str | None, Item] = {}
    for modality, value in row.inputs.items():
        options = dict((row.options or {}).get(modality, {}))
        wordy = _of_words({modality: ""})
        try:
            if modality in wordy and not _exists(value):
                items[modality] = Code(value, **options) if wordy[modality] is Code else Text(value, **options)
            elif modality in wordy:
                from .text import decode

                with local(value) as file:  # whatever its suffix: the column says what it is
                    words = decode(file, value)
                items[modality] = Code(words, **options) if wordy[modality] is Code else Text(words, **options)
            else:
                items[modality] = read(value, modality=modality, **options)
        except (OSError, ValueError, TypeError) as error:
            error.add_note(f"while reading line {row.line} of the manifest")
            raise
    return items


def _input_columns(columns: Sequence[str], path_column: str | None, name: str) -> dict[str | None, str]:
    """Modality (None for the column of paths) -> column."""
    if path_column is not None:
        if path_column not in columns:
            raise ValueError(f"the manifest {name} has no column {path_column!r}; it has {', '.join(columns)}")
        return {None: path_column}
    from ..modality import names

    known = names()
    inputs: dict[str | None, str] = {column: column for column in columns if column in known}
    if "path" in columns:
        inputs[None] = "path"
    if not inputs:
        raise ValueError(
            f"the manifest {name} has columns {', '.join(columns)}; wanted 'path' or modalities ({', '.join(known)}); "
            "rename one, or name it with path_column="
        )
    return inputs


def _check_columns(columns: Sequence[str], inputs: Mapping[str | None, str], name: str) -> None:
    from ..modality import names

    known = [*names(), *ANSWERS, *OPTIONS, "path"]
    for column in columns:
        owner = column.rpartition(".")[0]
        if owner in inputs.values():
            continue
        if owner in names():
            raise ValueError(f"the manifest {name} has {column!r} but no column {owner!r} to use it for; add it")
        if column in OPTIONS and len(inputs) > 1:
            raise ValueError(
                f"the manifest {name} has {column!r} beside {len(inputs)} inputs; say whose it is, as in "
                f"'{next(iter(inputs.values()))}.{column}'"
            )
        if column in known or column in inputs.values():
            continue
        close = difflib.get_close_matches(column.lower(), known, 3, CLOSE)
        close = [word for word in sorted(close, key=lambda word: word not in ANSWERS) if word not in columns]
        if close:
            raise ValueError(f"the manifest {name} has column {column!r}; perhaps {close[0]!r} was meant; rename it")


def _of_words(inputs: Mapping[str | None, str]) -> dict[str | None, type]:
    """The modalities among these that take words -> Text or Code."""
    from ..modality import get

    found: dict[str | None, type] = {}
    for modality in inputs:
        if modality is not None and issubclass(get(modality).item, (Text, Code)):
            found[modality] = get(modality).item
    return found


def _row(
    record: Mapping[str, Any],
    line: int,
    columns: Mapping[str | None, str],
    wordy: Mapping[str | None, type],
    base: Path,
    name: str,
) -> Row:
    inputs: dict[str | None, str] = {}
    for modality, column in columns.items():
        if column in record:
            value = str(record[column])
            resolved = _resolve(value, base)
            inputs[modality] = value if modality in wordy and not _exists(resolved) else resolved
    if not inputs:
        raise ValueError(f"line {line} of {name} has no input; wanted a value in {' or '.join(columns.values())}")
    owners = {column: modality for modality, column in columns.items()}
    options: dict[str | None, dict[str, Any]] = {}
    extra: dict[str, Any] = {}
    for column, value in record.items():
        owner, _, option = column.rpartition(".")
        if owner in owners:
            modality = owners[owner]
            if modality in inputs:
                options.setdefault(modality, {})[option] = _value(value)
        elif column in OPTIONS and column not in owners:
            options.setdefault(next(iter(inputs)), {})[column] = _value(value)
        elif column not in ANSWERS and column not in owners:
            extra[column] = value
    target = record.get("target")
    try:
        number = None if target is None else float(target)
    except (TypeError, ValueError):
        raise ValueError(f"line {line} of {name} has target {target!r}; wanted a number; a class is a label") from None
    words = {key: str(record[key]) for key in ANSWERS if key != "target" and key in record}
    return Row(inputs, target=number, line=line, options=options, extra=extra, **words)


def _value(cell: Any) -> Any:
    """A cell of options: JSON where it is (lists, numbers), words parted by semicolons as a list, else the words."""
    if not isinstance(cell, str):
        return cell
    try:
        return json.loads(cell)
    except json.JSONDecodeError:
        return [_value(part.strip()) for part in cell.split(";")] if ";" in cell else cell


def _resolve(value: str, base: Path) -> str:
    if value.startswith("zip://") and "::" in value:
        inner, _, outer = value.partition("::")
        return f"{inner}::{_resolve(outer, base)}"
    return value if "://" in value else str(base / value)  # an absolute path stays as it is


def _exists(value: str) -> bool:
    try:
        parts = split(value)
        return Path(value).is_file() if parts is None else parts[0] in members(parts[1])
    except (OSError, ValueError):  # words: too long or with characters that no path has
        return False


def _check_files(rows: Sequence[Row], wordy: Mapping[str | None, type], name: str) -> None:
    archives: dict[str, set[str]] = {}
    missing: list[str] = []
    for row in rows:
        for modality, value in row.inputs.items():
            parts = None if modality in wordy else split(value)
            if modality in wordy:
                continue
            if parts is None:
                there = Path(value).exists()
            else:
                inner, outer = parts
                if outer not in archives:
                    archives[outer] = set(members(outer)) if split(outer) or Path(outer).exists() else set()
                there = inner in archives[outer]
            if not there:
                missing.append(f"{value} (line {row.line})")
    if missing:
        shown = ", ".join(missing[:SHOWN]) + (" …" if len(missing) > SHOWN else "")
        raise FileNotFoundError(
            f"{len(missing)} of the files that {name} names are not there: {shown}; paths are looked for beside it"
        )
