"""From the manifest's rows to items: whole files, or one part of a file that many rows share.

Options of an input beside the reader's own choose a part: ``table.row`` a row of a table, ``graph.node`` the
neighbourhood of a node, ``trajectory.id`` one of a file's tracks (``trajectory.start`` and ``trajectory.end`` a stretch
of it, ``trajectory.others`` with where the others were). Such files are read once and kept.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .. import modality as modalities
from ..items import Graph, Item, Table, Trajectory
from ..readers import read
from ..readers.manifest import Manifest, Row, load_row, read_manifest
from ..readers.trajectory import Crowd, read_crowd
from .options import Options

WHOLE = {Table: "row", Graph: "node", Trajectory: "id"}  # item type -> the option that names a part of the file
STRETCH = ("start", "end", "others")  # options of one track, not of its file
KEPT = 8  # whole files in memory at a time


def read_rows(options: Options) -> Manifest:
    """The manifest's rows, with the columns that the options name in their places.

    Raises:
        OSError, ValueError: as ``read_manifest``; a column that is not there.
    """
    if options.columns:
        return _of_columns(options)
    manifest = read_manifest(options.data)
    renamed = {"label": options.label_column, "target": options.target_column}
    rows = []
    for row in manifest:
        changes: dict[str, Any] = {}
        for field, column in renamed.items():
            if column:
                value = (row.extra or {}).get(column)
                changes[field] = value if value is None or field == "label" else _number(value, column, row)
        rows.append(replace(row, **changes))
    for column in filter(None, renamed.values()):
        if not any(column in (row.extra or {}) for row in manifest):
            there = sorted({name for row in manifest for name in (row.extra or {})}) or ["none"]
            raise ValueError(f"the manifest has no column {column!r}; beside its inputs it has {', '.join(there)}")
    return replace(manifest, rows=tuple(rows))


def _of_columns(options: Options) -> Manifest:
    """A table whose own rows are the examples."""
    whole = read(options.data, modality="table")
    assert isinstance(whole, Table)
    frame = whole.frame
    names = {
        "label": options.label_column or "label",
        "target": options.target_column or "target",
        "split": "split",
        "group": "group",
    }
    wanted = [*options.columns, *(c for c in (options.label_column, options.target_column) if c)]
    missing = [column for column in wanted if column not in frame.columns]
    if missing:
        raise ValueError(
            f"{options.data} has no column {missing[0]!r}; it has {', '.join(map(str, frame.columns))}; choose of these"
        )
    answered = set(options.columns) & {names["label"], names["target"]}
    if answered:
        raise ValueError(f"--columns holds {sorted(answered)[0]!r}, which is the answer; leave it out")
    there = {field: column for field, column in names.items() if column in frame.columns}
    rows = []
    for number, record in enumerate(frame.to_dict("records")):
        cells: dict[str, Any] = {}
        for field, column in there.items():
            value = record[column]
            if value is not None and value == value:
                cells[field] = value
        line = number + 2
        options_of: dict[str | None, dict[str, Any]] = {"table": {"columns": list(options.columns), "row": number}}
        extra = {key: value for key, value in record.items() if key not in options.columns}
        row = Row({"table": options.data}, line=line, options=options_of, extra=extra)
        target = cells.pop("target", None)
        words: dict[str, Any] = {key: str(value) for key, value in cells.items()}
        rows.append(replace(row, target=None if target is None else _number(target, there["target"], row), **words))
    return Manifest(tuple(rows), options.data)


def _number(value: Any, column: str, row: Row) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(
            f"line {row.line} has {column} {value!r}; wanted a number in one unit for the whole column; convert it"
        ) from None


class Items:
    """The items of a row, ``{modality: item}``.

    Args:
        hops, neighbours: of a node's neighbourhood.
    """

    def __init__(self, hops: int, neighbours: int) -> None:
        self.hops, self.neighbours = hops, neighbours
        self._whole: dict[str, Item | Crowd] = {}

    def __call__(self, row: Row) -> dict[str, Item]:
        """Read them; OSError and ValueError say what is wrong with a file."""
        items: dict[str, Item] = {}
        simple: dict[str | None, str] = {}
        for name, value in row.inputs.items():
            options = dict((row.options or {}).get(name, {}))
            key = None if name is None else WHOLE.get(modalities.get(name).item)
            if name is not None and key is not None and key in options:
                part = options.pop(key)
                items[name] = self._part(name, value, part, options)
            else:
                simple[name] = value
        if simple:
            for name, item in load_row(replace(row, inputs=simple)).items():
                items[name or modalities.recognise(item).name] = item
        return items

    def _part(self, name: str, path: str, part: Any, options: dict[str, Any]) -> Item:
        tracks = modalities.get(name).item is Trajectory
        stretch = {word: options.pop(word) for word in STRETCH if word in options} if tracks else {}
        key = f"{name}|{path}|{sorted(options.items())!r}"
        if key not in self._whole:
            if len(self._whole) >= KEPT:
                self._whole.pop(next(iter(self._whole)))
            found = read_crowd(path, **options) if tracks else read(path, modality=name, **options)
            self._whole[key] = _reduced(found)
        whole = self._whole[key]
        if isinstance(whole, Crowd):
            return whole.pick(str(part), **stretch)
        part = int(part)
        if isinstance(whole, Table):
            if not 0 <= part < len(whole):
                raise ValueError(f"{path} has rows 0 to {len(whole) - 1}; row {part} came; name one of these")
            return whole[part]
        assert isinstance(whole, Graph)
        from ..encoders.graph import ego

        return ego(whole, part, hops=self.hops, limit=self.neighbours)


def _reduced(whole: Any) -> Any:
    """A graph whose wide node features are reduced and spread once and not for every neighbourhood."""
    from ..encoders.graph import reduced

    return reduced(whole) if isinstance(whole, Graph) else whole
