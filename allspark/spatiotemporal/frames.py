"""What a user hands in -> frames with time, units and gaps, checked; and a forecast -> a Dataset like the input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np

from .time_axis import TimeAxis, time_axis

ROWS = ("y", "lat", "latitude", "rlat", "projection_y_coordinate", "northing", "row")
COLUMNS = ("x", "lon", "longitude", "rlon", "projection_x_coordinate", "easting", "column")
CHANNELS = ("channel", "channels", "band", "variable")
EVEN = 0.02  # of a grid's spacing, which single precision coordinates stay within


@dataclass(frozen=True)
class Frames:
    """Fields over time.

    Attributes:
        values: (T, C, H, W) float32, 0 where missing.
        known: (T, C, H, W) bool.
        channels: names; None where the input has none.
        units: of each channel; None where the input does not say.
        time: its axis; None where the input has none.
        source: the input's Dataset, whose coordinates the forecast keeps; None for bare arrays.
        dims: names of the input's row and column axes.
    """

    values: np.ndarray
    known: np.ndarray
    channels: tuple[str, ...] | None = None
    units: tuple[str | None, ...] | None = None
    time: TimeAxis | None = None
    source: Any = None
    dims: tuple[str, str] = ("y", "x")

    @property
    def seconds(self) -> np.ndarray | None:
        """(T,) seconds since 1970, or None."""
        return None if self.time is None else self.time.seconds


def frames_of(data: Any, variables: Sequence[str] | None = None) -> Frames:
    """Frames of a file, an xarray Dataset or DataArray, an array, or a tensor.

    Args:
        data: a path; a Dataset or DataArray with a time axis; (T, H, W) or (T, C, H, W) numbers, NaN where missing.
        variables: which of a Dataset's fields are the channels; by default all that have time, rows and columns.

    Raises:
        ValueError: no such fields, an irregular grid, a time axis that runs backwards or has gaps, or no known value.
        TypeError: something else.
    """
    if isinstance(data, Frames):
        return data
    if isinstance(data, (str, PathLike)):
        from ..readers.cube import read_cube

        data = read_cube(data)
    if hasattr(data, "data_vars") or hasattr(data, "dims"):
        return _from_xarray(data, variables)
    if hasattr(data, "detach"):
        data = data.detach().cpu().numpy()
    if not isinstance(data, np.ndarray):
        raise TypeError(
            f"a {type(data).__name__} came; wanted a file, an xarray Dataset or DataArray, or an array (T, C, H, W)"
        )
    return Frames(*_clean(data, "an array"))


def _clean(values: np.ndarray, what: str) -> tuple[np.ndarray, np.ndarray]:
    """(T, C, H, W) float32 with 0 where missing, and where it is known."""
    if values.ndim == 3:
        values = values[:, None]
    if values.ndim != 4 or min(values.shape) == 0 or values.dtype.kind not in "uifb":
        raise ValueError(
            f"{what} of shape {values.shape} and type {values.dtype} came; wanted numbers (T, H, W) or (T, C, H, W)"
        )
    values = np.asarray(values, np.float32)
    known = ~np.isnan(values)
    if np.isinf(values).any():
        raise ValueError(f"{what} hold infinite values; wanted numbers, NaN where nothing is known; mask them first")
    if not known.any():
        raise ValueError(f"{what} of {len(values)} frames came without one known value; wanted data; check the file")
    return np.where(known, values, np.float32(0)), known


def _from_xarray(data: Any, variables: Sequence[str] | None) -> Frames:
    dataset = data.to_dataset(name=data.name or "values") if not hasattr(data, "data_vars") else data
    fields = {name: _axes(dataset[name]) for name in (variables or dataset.data_vars) if _may_be(dataset, name)}
    found = {name: axes for name, axes in fields.items() if axes is not None}
    if not found:
        shapes = ", ".join(f"{name} {dict(dataset[name].sizes)}" for name in dataset.data_vars) or "nothing"
        raise ValueError(
            f"no field over time, rows and columns came ({shapes}); wanted dimensions such as time, y, x or time, "
            "latitude, longitude; an unstructured grid must be put on a regular one first"
        )
    time, channel, row, column = next(iter(found.values()))
    for name in (row, column):
        _check_even(dataset, name)
    arrays, names, units = [], [], []
    for name, axes in found.items():
        if axes[:1] + axes[2:] != (time, row, column):
            raise ValueError(f"the fields {', '.join(found)} lie on different axes; choose some with variables=")
        order = tuple(axis for axis in axes if axis is not None)
        values = dataset[name].transpose(*order).values
        values = values if axes[1] is not None else values[:, None]
        arrays.append(values)
        given = [str(c) for c in dataset[axes[1]].values] if axes[1] in dataset.coords else None
        count = values.shape[1]
        names += [str(name)] if axes[1] is None else (given or [f"{name}_{i}" for i in range(count)])
        units += [dataset[name].attrs.get("units")] * count
    values, known = _clean(np.concatenate(arrays, 1), "fields")
    axis = time_axis(dataset[time].values) if time in dataset.coords else None
    return Frames(values, known, tuple(names), tuple(units), axis, dataset, (row, column))


def _may_be(dataset: Any, name: str) -> bool:
    if name not in dataset.data_vars:
        raise ValueError(f"there is no field {name!r}; wanted among {', '.join(map(str, dataset.data_vars))}")
    return dataset[name].ndim in (3, 4) and dataset[name].dtype.kind in "uif"


def _axes(field: Any) -> tuple[str, str | None, str, str] | None:
    """Names of the time, channel, row and column axes."""
    times = [d for d in field.dims if d == "time" or (d in field.coords and field[d].dtype.kind == "M")]
    rows = [d for d in field.dims if str(d).lower() in ROWS]
    columns = [d for d in field.dims if str(d).lower() in COLUMNS]
    rest = [d for d in field.dims if d not in (*times, *rows, *columns)]
    if len(times) != 1 or len(rows) != 1 or len(columns) != 1 or len(rest) > 1:
        return None
    if rest and str(rest[0]).lower() not in CHANNELS and field.sizes[rest[0]] != 1:
        return None
    return times[0], rest[0] if rest else None, rows[0], columns[0]


def _check_even(dataset: Any, name: str) -> None:
    if name not in dataset.coords or dataset[name].dtype.kind not in "uif":
        return
    places = np.asarray(dataset[name].values, np.float64)
    steps = np.diff(places)
    if len(steps) and not (np.abs(steps - steps.mean()) <= EVEN * np.abs(steps.mean())).all():
        raise ValueError(
            f"the places along {name!r} are unevenly spaced ({steps.min():g} to {steps.max():g}); wanted a regular "
            "grid; interpolate the fields onto one first (xarray's interp)"
        )


def dataset_of(
    forecast: np.ndarray, frames: Frames, names: Sequence[str], units: str, facts: dict[str, Any], step: float
) -> Any:
    """A forecast as an xarray Dataset on the input's grid: time, units, CRS and other static coordinates kept.

    Args:
        forecast: (T_out, C, H, W) in the input's units.
        frames: the input.
        names: of the channels.
        units: of the values.
        facts: global attributes.
        step: seconds between frames, where the input has no time axis.
    """
    import xarray as xr

    row, column = frames.dims
    coords: dict[str, Any] = {}
    kept: dict[str, dict[str, Any]] = {}
    if frames.source is not None:
        for name, values in frames.source.coords.items():
            if name != "time" and set(values.dims) <= {row, column}:
                coords[name] = values
        for field in frames.source.data_vars:
            if frames.source[field].ndim == 0:  # CF's grid mappings are scalar variables
                coords[field] = frames.source[field]
            else:
                kept[str(field)] = {
                    key: value
                    for key in ("standard_name", "long_name", "grid_mapping")
                    if (value := frames.source[field].attrs.get(key) or frames.source[field].encoding.get(key))
                }
    if frames.time is not None:
        coords["time"] = frames.time.after(len(forecast))
    else:
        coords["time"] = ("time", np.arange(1, len(forecast) + 1) * step, {"long_name": "seconds after the last frame"})
    fields = {
        name: (("time", row, column), forecast[:, i], {**kept.get(name, {}), "units": units})
        for i, name in enumerate(names)
    }
    found = xr.Dataset(fields, coords=coords, attrs=facts)
    return found.set_coords([name for name in coords if name in found])
