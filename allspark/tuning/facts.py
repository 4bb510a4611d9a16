"""What is known of an example besides its tensors: its content's hash, units, place and time."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ..items import Item, PointCloud, Raster, Trajectory
from ..readers.manifest import Row

PLACE_COLUMNS = (("lon", "lat"), ("longitude", "latitude"))
TIME_COLUMNS = ("time", "date", "datetime")


@dataclass(frozen=True)
class Facts:
    """One example.

    Attributes:
        row: number of its row in the manifest.
        part: number among the examples of that row (windows of a scene).
        modalities: sorted.
        hash: of the content of all its items.
        units: modality -> its item's unit.
        place: (longitude, latitude) in degrees, where the item or the manifest says it.
        time: seconds since 1970, likewise.
        group: what must not stand in two splits.
        answer: what the task keeps of the answer to fit a head on.
    """

    row: int
    part: int
    modalities: tuple[str, ...]
    hash: str
    units: Mapping[str, str]
    place: tuple[float, float] | None
    time: float | None
    group: str | None
    answer: Any


def facts_of(row: Row, number: int, part: int, items: Mapping[str, Item], answer: Any) -> Facts:
    """Collect them from the row and its items."""
    return Facts(
        number,
        part,
        tuple(sorted(items)),
        content_hash(items),
        {name: unit for name, item in items.items() if (unit := unit_of(item))},
        _place(row, items),
        _time(row, items),
        row.group,
        answer,
    )


def content_hash(items: Mapping[str, Item]) -> str:
    """SHA-256 of what the items hold, whatever file it came from."""
    digest = hashlib.sha256()
    for name in sorted(items):
        digest.update(name.encode())
        item = items[name]
        for entry in fields(item):
            _feed(digest, getattr(item, entry.name))
    return digest.hexdigest()


def _feed(digest: Any, value: Any) -> None:
    if isinstance(value, np.ndarray):
        digest.update(f"{value.shape}{value.dtype}".encode())
        digest.update(
            np.ascontiguousarray(value).tobytes() if value.dtype.kind != "O" else repr(value.tolist()).encode()
        )
    elif isinstance(value, Mapping):
        for key in sorted(value, key=str):
            digest.update(str(key).encode())
            _feed(digest, value[key])
    elif hasattr(value, "to_csv"):  # a data frame
        digest.update(value.to_csv(index=False).encode())
    else:
        digest.update(repr(value).encode())


def unit_of(item: Item) -> str:
    """The unit that all items of one column must share; "" where the item has none."""
    if isinstance(item, Raster):
        return item.units
    if isinstance(item, Trajectory):
        return "degrees" if item.geographic else "metres"
    return ""


def _place(row: Row, items: Mapping[str, Item]) -> tuple[float, float] | None:
    extra = row.extra or {}
    for east, north in PLACE_COLUMNS:
        if east in extra and north in extra:
            try:
                return float(extra[east]), float(extra[north])
            except (TypeError, ValueError):
                raise ValueError(
                    f"line {row.line} has {east} {extra[east]!r} and {north} {extra[north]!r}; wanted degrees"
                ) from None
    for item in items.values():
        if isinstance(item, Raster) and item.crs is not None and item.transform is not None:
            height, width = item.values.shape[-2:]
            x, y = item.transform * (width / 2, height / 2)
            return _degrees(x, y, item.crs)
        if isinstance(item, PointCloud) and item.crs is not None:
            x, y = item.xyz[:, :2].mean(0)
            return _degrees(float(x), float(y), item.crs)
    return None


def _degrees(x: float, y: float, crs: str) -> tuple[float, float]:
    from pyproj import Transformer

    return Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x, y)


def _time(row: Row, items: Mapping[str, Item]) -> float | None:
    import pandas as pd

    extra = row.extra or {}
    for column in TIME_COLUMNS:
        if column in extra:
            stamp = pd.to_datetime(str(extra[column]), errors="coerce", utc=True)
            if stamp is pd.NaT:
                raise ValueError(f"line {row.line} has {column} {extra[column]!r}; wanted a date as 2024-05-31")
            return stamp.timestamp()
    for item in items.values():
        if isinstance(item, Raster) and item.time is not None and not np.isnat(item.time).any():
            return float(item.time.min().astype("datetime64[s]").astype(np.int64))
    return None
