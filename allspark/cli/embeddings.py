"""Writing embeddings with their names and, where the inputs say where they lie, their places on the map.

``.npz`` holds arrays, ``.parquet`` a table, and a table with places is GeoParquet 1.1 (https://geoparquet.org): a
column of well-known binary in longitude and latitude, and its description in the file's metadata.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..items import PointCloud, Raster, Trajectory

SUFFIXES = (".npz", ".parquet", ".geoparquet")
_KINDS = {2: "LineString", 3: "Polygon"}  # well-known binary's numbers


def _lonlat(xy: np.ndarray, crs: str) -> np.ndarray:
    from pyproj import Transformer

    return np.stack(Transformer.from_crs(crs, "OGC:CRS84", always_xy=True).transform(xy[:, 0], xy[:, 1]), 1)


def footprint(item: Any) -> tuple[int, np.ndarray] | None:
    """Where an item lies: (kind in well-known binary, (n, 2) longitude and latitude), or None where it does not say.

    A raster gives the polygon of its corners, a point cloud that of its bounding box, a trajectory its line; of an
    input of several modalities the first that knows its place speaks.
    """
    if isinstance(item, dict):
        return next((found for found in map(footprint, item.values()) if found is not None), None)
    if isinstance(item, Raster) and item.crs is not None and item.transform is not None:
        height, width = item.values.shape[-2:]
        affine = np.array(tuple(item.transform)[:6]).reshape(2, 3)  # (column, row, 1) -> (x, y)
        corners = np.array([(0, 0, 1), (0, height, 1), (width, height, 1), (width, 0, 1)]) @ affine.T
    elif isinstance(item, PointCloud) and item.crs is not None:
        (west, south), (east, north) = item.xyz[:, :2].min(0), item.xyz[:, :2].max(0)
        corners = np.array([(west, south), (east, south), (east, north), (west, north)])
    elif isinstance(item, Trajectory) and item.crs != "metres":
        return 2, item.positions[:, :2] if item.geographic else _lonlat(item.positions, item.crs)
    else:
        return None
    ring = _lonlat(corners, item.crs)
    if not np.isfinite(ring).all():
        return None
    return 3, np.concatenate([ring, ring[:1]])


def _wkb(shape: tuple[int, np.ndarray]) -> bytes:
    kind, points = shape
    rings = struct.pack("<I", 1) if kind == 3 else b""  # a polygon counts its rings
    return (
        struct.pack("<BI", 1, kind)
        + rings
        + struct.pack("<I", len(points))
        + np.ascontiguousarray(points, "<f8").tobytes()
    )


def _geo(shapes: Sequence[tuple[int, np.ndarray] | None]) -> dict[str, Any]:
    known = [shape for shape in shapes if shape is not None]
    points = np.concatenate([shape[1] for shape in known])
    column = {
        "encoding": "WKB",
        "geometry_types": sorted({_KINDS[shape[0]] for shape in known}),
        "bbox": [*points.min(0).tolist(), *points.max(0).tolist()],
    }  # no "crs": the standard's default is longitude and latitude (OGC:CRS84)
    return {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}


def write(
    path: str, names: Sequence[str], vectors: np.ndarray, shapes: Sequence[tuple[int, np.ndarray] | None]
) -> None:
    """Write (n, D) float32 vectors under their names.

    Args:
        path: ``.npz``, ``.parquet`` (with geometry where any input has a place) or ``.geoparquet`` (which demands one).
        names: n names.
        vectors: (n, D).
        shapes: n footprints or None.

    Raises:
        ValueError: another suffix, or ``.geoparquet`` for inputs none of which has a place.
    """
    suffix = check_suffix(path)
    if suffix == ".npz":
        np.savez(path, names=np.array(list(names)), embeddings=vectors)
        return
    placed = any(shape is not None for shape in shapes)
    if suffix == ".geoparquet" and not placed:
        raise ValueError("none of the inputs says where it lies, so there is no geometry; write .parquet or .npz")
    import pyarrow as pa
    from pyarrow import parquet

    width = vectors.shape[1]
    flat = pa.array(np.ascontiguousarray(vectors, np.float32).reshape(-1))
    columns = {"name": pa.array(list(names)), "embedding": pa.FixedSizeListArray.from_arrays(flat, width)}
    metadata = {}
    if placed:
        columns["geometry"] = pa.array([None if shape is None else _wkb(shape) for shape in shapes], pa.binary())
        metadata["geo"] = json.dumps(_geo(shapes))
    parquet.write_table(pa.table(columns).replace_schema_metadata(metadata), path)


def check_suffix(path: str) -> str:
    """The path's suffix; ValueError where embeddings cannot be written so, before any work is done."""
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{path} ends in {suffix or 'nothing'}; wanted one of {', '.join(SUFFIXES)}")
    if not Path(path).resolve().parent.is_dir():
        raise ValueError(f"the folder of {path} does not exist; make it first")
    return suffix
