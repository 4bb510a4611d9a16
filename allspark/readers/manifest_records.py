"""The rows of a manifest's file, whatever its format: words in CSV, values in JSON Lines and Parquet."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from . import UnreadableFileError


def records_of(file: Path, suffix: str, name: str) -> tuple[list[tuple[int, dict[str, Any]]], list[str]]:
    """The rows as they stand.

    Args:
        file: a real file.
        suffix: .csv, .tsv, .jsonl, .ndjson or .parquet.
        name: what errors call it.

    Returns:
        (line, record) pairs, a record without its empty cells, and the columns' names.

    Raises:
        UnreadableFileError: truncated, or of another kind.
        ValueError: another suffix, a repeated column, or a line that is no object.
    """
    if suffix in (".jsonl", ".ndjson"):
        return _json_lines(file, name)
    if suffix in (".parquet", ".geoparquet"):
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(file)
        except (pa.ArrowException, OSError) as error:
            raise UnreadableFileError(f"{name} is truncated or no Parquet ({error}); wanted a whole file") from error
        _once(table.column_names, name)
        return [(i, _filled(record)) for i, record in enumerate(table.to_pylist(), 1)], table.column_names
    if suffix not in (".csv", ".tsv"):
        raise ValueError(f"a {suffix or 'nameless'} manifest came; wanted .csv, .jsonl or .parquet; convert it")
    from .delimited import head, read_delimited

    _once(head(file, name)[0], name)
    frame = read_delimited(file, name, words=True)
    records, line = [], 2
    for values in frame.fillna("").itertuples(index=False, name=None):
        record = _filled({column: value.strip() for column, value in zip(frame.columns, values)})
        if record:
            records.append((line, record))
        line += 1 + sum(value.count("\n") for value in values)  # cells in quotes may run over several lines
    return records, list(frame.columns)


def _json_lines(file: Path, name: str) -> tuple[list[tuple[int, dict[str, Any]]], list[str]]:
    from .delimited import encoding_of

    records = []
    with open(file, encoding=encoding_of(file, name)) as opened:
        for number, text in enumerate(opened, 1):
            if not text.strip():
                continue
            try:
                record = json.loads(text, object_pairs_hook=lambda pairs: _unique(pairs, name))
            except json.JSONDecodeError as error:
                raise UnreadableFileError(
                    f"line {number} of {name} is no JSON ({error.msg}); wanted one object per line; mend it"
                ) from error
            if not isinstance(record, dict):
                raise ValueError(f"line {number} of {name} holds a {type(record).__name__}; wanted an object per line")
            records.append((number, _filled(record)))
    return records, list(dict.fromkeys(key for _, record in records for key in record))


def _unique(pairs: list[tuple[str, Any]], name: str) -> dict[str, Any]:
    _once([key for key, _ in pairs], name)
    return dict(pairs)


def _once(columns: Sequence[str], name: str) -> None:
    twice = [column for column, count in Counter(columns).items() if count > 1]
    if twice:
        raise ValueError(f"the manifest {name} has column {twice[0]!r} more than once; wanted each once; rename one")


def _filled(record: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if value is not None and value != "" and value == value}
