"""Fields over time as an xarray Dataset: NetCDF, Zarr, GRIB, GeoTIFF stacks, npy and npz. Needs the extra "forecast".

Coordinates, units, calendars and grid mappings stay as the file has them; nothing is regridded and nothing is
guessed: an array file has no time axis unless it holds one. This reader is apart from ``allspark.read``, whose items
have no cube.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import UnreadableFileError
from .gdal import check_size, opened
from .place import find

if TYPE_CHECKING:
    import xarray as xr

INSTALL = 'pip install -c constraints.txt -e ".[forecast]"'
NETCDF = (".nc", ".nc4", ".cdf")
GRIB = (".grib", ".grb", ".grib2", ".grb2")
GEOTIFF = (".tif", ".tiff")
ARRAYS = (".npy", ".npz")
SUFFIXES = (*NETCDF, ".zarr", *GRIB, *GEOTIFF, *ARRAYS)
# 20240131, 2024-01-31, 20240131T0905, 20240131_090500 in a file's name
_STAMP = re.compile(r"(?<!\d)(\d{4})-?(\d{2})-?(\d{2})(?:[T_-]?(\d{2})(\d{2})(\d{2})?)?(?!\d)")


def read_cube(path: str | PathLike[str]) -> xr.Dataset:
    """Open a file of fields over time.

    Args:
        path: a NetCDF, GRIB, GeoTIFF (its bands are frames), npy or npz file, or a folder: a Zarr store, or GeoTIFFs of
            one frame each, ordered by the date in their names.

    Returns:
        An xarray Dataset, values in memory.

    Raises:
        FileNotFoundError: it is not there.
        UnreadableFileError: it is empty, truncated, or not of the kind its name says.
        ValueError: a kind that is not known.
        ImportError: the library for this kind is not installed.
    """
    place = Path(path)
    if not place.exists():
        raise FileNotFoundError(f"{fspath(path)} is not there; wanted a file of fields over time; check the path")
    if place.is_file() and place.stat().st_size == 0:
        raise UnreadableFileError(f"{fspath(path)} is empty (0 bytes); wanted data; fetch or write it again")
    suffix = place.suffix.lower()
    open_kind: Callable[[Path], xr.Dataset]
    if place.is_dir():
        open_kind = _zarr if _is_zarr(place) else _geotiff_folder
    elif suffix in NETCDF:
        open_kind = _netcdf
    elif suffix in GRIB:
        open_kind = _grib
    elif suffix in GEOTIFF:
        open_kind = _geotiff
    elif suffix in ARRAYS:
        open_kind = _array
    else:
        raise ValueError(f"files of kind {suffix!r} are not fields over time; wanted one of {' '.join(SUFFIXES)}")
    try:
        import xarray  # noqa: F401
    except ImportError as error:
        raise ImportError(f"forecasting needs xarray; {INSTALL}") from error
    return open_kind(place)


def _is_zarr(folder: Path) -> bool:
    return any((folder / name).exists() for name in ("zarr.json", ".zgroup", ".zmetadata", ".zattrs"))


def _opened_by_xarray(path: Path, engine: str, package: str, **options: Any) -> xr.Dataset:
    import importlib.util

    import xarray as xr

    if importlib.util.find_spec(package) is None:
        raise ImportError(f"{path.name} needs {package}; {INSTALL}")
    try:
        with xr.open_dataset(path, engine=engine, **options) as dataset:
            return dataset.load()
    except Exception as error:  # the C libraries raise whatever they like for a broken file
        raise UnreadableFileError(
            f"{path} could not be read by {package} ({' '.join(str(error).split())[:200]}); wanted a whole file of its "
            "kind; fetch or write it again"
        ) from error


def _netcdf(path: Path) -> xr.Dataset:
    return _opened_by_xarray(path, "netcdf4", "netCDF4")


def _zarr(path: Path) -> xr.Dataset:
    return _opened_by_xarray(path, "zarr", "zarr", consolidated=False)


def _grib(path: Path) -> xr.Dataset:
    import importlib.util

    if importlib.util.find_spec("cfgrib") is None:
        raise ImportError(
            f"{path.name} is GRIB, which needs eccodes; pip install cfgrib eccodes, or convert it to NetCDF"
        )
    # no index file beside the user's data
    return _opened_by_xarray(path, "cfgrib", "cfgrib", backend_kwargs={"indexpath": ""})


def _frame(path: Path) -> tuple[np.ndarray, dict[str, Any]]:
    """(bands, H, W) with NaN where there is no data, and what the file says of its place."""
    with find(path) as place, opened(place) as dataset:
        check_size((0, 0, dataset.height, dataset.width), dataset.count, place.shown)
        values = dataset.read(masked=True).astype(np.float32).filled(np.nan)
        a, b, c, d, e, f = dataset.transform[:6]
        if b or d:
            raise ValueError(f"{path} is turned against its axes; wanted rows and columns along x and y; warp it first")
        return values, {
            "crs": dataset.crs.to_wkt() if dataset.crs else None,
            "x": c + a * (np.arange(dataset.width) + 0.5),
            "y": f + e * (np.arange(dataset.height) + 0.5),
            "units": next((unit for unit in dataset.units if unit), None),
        }


def _raster_dataset(values: np.ndarray, facts: dict[str, Any], time: np.ndarray | None) -> xr.Dataset:
    import xarray as xr

    coords: dict[str, Any] = {"y": facts["y"], "x": facts["x"]}
    if time is not None:
        coords["time"] = time
    attributes = {"units": facts["units"]} if facts["units"] else {}
    if facts["crs"]:
        coords["spatial_ref"] = xr.DataArray(0, attrs={"crs_wkt": facts["crs"]})
        attributes["grid_mapping"] = "spatial_ref"
    return xr.Dataset({"values": (("time", "y", "x"), values, attributes)}, coords=coords)


def _geotiff(path: Path) -> xr.Dataset:
    values, facts = _frame(path)
    return _raster_dataset(values, facts, None)


def _geotiff_folder(folder: Path) -> xr.Dataset:
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in GEOTIFF)
    if not files:
        raise ValueError(f"{folder} holds neither a Zarr store nor GeoTIFFs; wanted one frame per .tif file")
    stamps = [_instant(file.name) for file in files]
    if all(stamp is not None for stamp in stamps):
        files = [file for _, file in sorted(zip(stamps, files, strict=True))]
    frames, first = [], None
    for file in files:
        values, facts = _frame(file)
        first = first or facts
        same = facts["crs"] == first["crs"] and np.array_equal(facts["x"], first["x"])
        if len(values) != 1 or not same or not np.array_equal(facts["y"], first["y"]):
            raise ValueError(
                f"{file.name} has {len(values)} bands or another grid than {files[0].name}; wanted one band and one "
                "grid for all frames of a folder"
            )
        frames.append(values[0])
    time = np.array(sorted(stamps), "datetime64[ns]") if all(s is not None for s in stamps) else None  # type: ignore[type-var]
    return _raster_dataset(np.stack(frames), first or {}, time)


def _instant(name: str) -> np.datetime64 | None:
    found = _STAMP.search(name)
    if found is None:
        return None
    year, month, day, hour, minute, second = (part or "00" for part in found.groups())
    try:
        return np.datetime64(f"{year}-{month}-{day}T{hour}:{minute}:{second}", "ns")
    except ValueError:
        return None


def _array(path: Path) -> xr.Dataset:
    """(T, H, W) or (T, C, H, W); an npz may hold ``time`` (datetime64 or seconds) and ``units`` beside it."""
    import xarray as xr

    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            arrays = {"values": loaded}
        else:
            with loaded:
                arrays = {name: loaded[name] for name in loaded.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise UnreadableFileError(
            f"{path} could not be read ({' '.join(str(error).split())}); wanted a whole array without pickled objects; "
            "write it again"
        ) from error
    cubes = {name: a for name, a in arrays.items() if a.ndim in (3, 4) and a.dtype.kind in "uif"}
    if len(cubes) != 1:
        listed = ", ".join(f"{name} {a.shape}" for name, a in arrays.items())
        raise ValueError(f"{path} holds {listed}; wanted exactly one array (T, H, W) or (T, C, H, W) of numbers")
    ((name, values),) = cubes.items()
    dims = ("time", "y", "x") if values.ndim == 3 else ("time", "channel", "y", "x")
    units = arrays.get("units")
    attributes = {"units": str(units)} if units is not None and units.ndim == 0 else {}
    coords = {}
    if "time" in arrays:
        time = arrays["time"]
        coords["time"] = time if time.dtype.kind == "M" else time.astype("float64").astype("datetime64[s]")
    return xr.Dataset({name or "values": (dims, values, attributes)}, coords=coords)
