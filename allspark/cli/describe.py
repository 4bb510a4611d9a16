"""What was understood of an item, as a JSON-ready dict: one function per item type."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np

from ..items import Code, Graph, PointCloud, Raster, Table, Text, Trajectory


def _range(values: np.ndarray) -> list[float] | None:
    values = values[np.isfinite(values)]
    return [float(values.min()), float(values.max())] if values.size else None


@singledispatch
def describe(item: Any) -> dict[str, Any]:
    """Facts about an item, in the order in which a person asks for them.

    Raises:
        TypeError: not an item.
    """
    raise TypeError(f"{type(item).__name__} is not an item; wanted what allspark.read gives")


@describe.register
def _(item: Raster) -> dict[str, Any]:
    values, mask = item.values, item.mask
    lengths = item.wavelengths
    return {
        "item": "Raster",
        "shape": list(values.shape),
        "axes": "C, H, W" if values.ndim == 3 else "T, C, H, W",
        "units": item.units,
        "bands": None if item.bands is None else list(item.bands),
        "wavelengths_um": None if lengths is None else [float(lengths.min()), float(lengths.max())],
        "valid_share": round(float(mask.mean()), 4),
        "range": _range(values[..., mask]),
        "gsd_m": item.gsd,
        "crs": item.crs,
        "transform": None if item.transform is None else list(item.transform)[:6],
        "time": None if item.time is None else [str(t)[:19] for t in item.time],
    }


@describe.register
def _(item: PointCloud) -> dict[str, Any]:
    low, high = item.xyz.min(0), item.xyz.max(0)
    area = float(np.prod(high[:2] - low[:2]))
    return {
        "item": "PointCloud",
        "points": len(item.xyz),
        "features": sorted(item.features),
        "minimum_m": low.tolist(),
        "maximum_m": high.tolist(),
        "points_per_m2": round(len(item.xyz) / area, 3) if area > 0 else None,
        "crs": item.crs,
    }


@describe.register
def _(item: Trajectory) -> dict[str, Any]:
    step = np.diff(item.time)
    return {
        "item": "Trajectory",
        "fixes": len(item.positions),
        "axes": ("longitude, latitude" if item.geographic else "x, y")
        + (", z" if item.positions.shape[1] == 3 else ""),
        "minimum": item.positions.min(0).tolist(),
        "maximum": item.positions.max(0).tolist(),
        "duration_s": float(item.time[-1] - item.time[0]),
        "median_step_s": float(np.median(step)),
        "features": sorted(item.features),
        "crs": item.crs,
    }


@describe.register
def _(item: Graph) -> dict[str, Any]:
    return {
        "item": "Graph",
        "nodes": item.count,
        "edges": item.edges.shape[1],
        "node_features": 0 if item.nodes is None else item.nodes.shape[1],
        "edge_features": 0 if item.edge_features is None else item.edge_features.shape[1],
        "positions": item.positions is not None,
    }


@describe.register
def _(item: Table) -> dict[str, Any]:
    frame = item.frame
    return {
        "item": "Table",
        "rows": len(frame),
        "columns": {str(name): str(kind) for name, kind in frame.dtypes.items()},
        "missing_share": round(float(frame.isna().to_numpy().mean()), 4),
    }


@describe.register
def _(item: Text) -> dict[str, Any]:
    return {"item": "Text", "words": len(item.words.split()), "characters": len(item.words)}


@describe.register
def _(item: Code) -> dict[str, Any]:
    return {"item": "Code", "language": item.language, "lines": item.source.count("\n") + 1}
