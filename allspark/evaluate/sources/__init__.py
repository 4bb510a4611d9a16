"""The development data as records: what each set holds, how it is split, what its classes are called.

>>> from allspark.evaluate import sources
>>> sources.get("made_graphs").labels["grid"][0]
'grid'
"""

from __future__ import annotations

from pathlib import Path

from . import (
    clouds,
    cubes,
    graphs,
    images,
    made_chips,
    made_clouds,
    made_graphs,
    made_node_tasks,
    made_series,
    made_shape_tasks,
    made_spectra,
    made_table_tasks,
    made_tables,
    made_tracks,
    paired,
    programs,
    radar,
    spectra,
    tables,
    tracks,
    words,
)
from .base import SPLITS, Entry, Record, Source, draw

_FILES = (
    images,
    radar,
    made_chips,
    spectra,
    made_series,
    cubes,
    made_spectra,
    paired,
    clouds,
    made_clouds,
    made_shape_tasks,
    tracks,
    made_tracks,
    graphs,
    made_graphs,
    made_node_tasks,
    tables,
    made_tables,
    made_table_tasks,
    words,
    programs,
)
SOURCES: dict[str, Source] = {source.name: source for file in _FILES for source in file.SOURCES}

__all__ = ["SOURCES", "SPLITS", "Entry", "Record", "Source", "get", "load"]


def get(name: str) -> Source:
    """The source of this name; ValueError lists the known ones."""
    if name not in SOURCES:
        raise ValueError(f"source {name!r} is not known; wanted one of {', '.join(sorted(SOURCES))}")
    return SOURCES[name]


def load(
    source: Source | str,
    data: Path | str,
    split: str,
    limit: int | None = None,
    per_class: int | None = None,
    seed: int = 0,
) -> list[Record]:
    """Records of one split, read into memory; only those that are drawn are decoded.

    Args:
        source: a source or its name.
        data: the folder that the sources' files are relative to.
        split: "train", "val", "test", or "seen" (the official test part of the classes that are trained on, where a
            source keeps classes out).
        limit: at most so many in all, drawn with ``seed``.
        per_class: at most so many of each class, drawn with ``seed``.
        seed: of the draw.

    Raises:
        ValueError: an unknown source or split.
        FileNotFoundError: the source's files are not in ``data``.
    """
    found = get(source) if isinstance(source, str) else source
    return [entry.record() for entry in draw(found.entries(data, split), limit, per_class, seed)]
