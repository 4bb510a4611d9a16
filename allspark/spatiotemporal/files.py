"""Forecasts on disk: NetCDF and Zarr, whole or not there."""

from __future__ import annotations

import os
import shutil
import tempfile
from os import PathLike
from pathlib import Path
from typing import Any

SUFFIXES = (".nc", ".zarr")


def check_out(path: str | PathLike[str]) -> Path:
    """The path, once it is clear that ``write_dataset`` can write it.

    Raises:
        ValueError: another suffix.
    """
    target = Path(path)
    if target.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{target} has the suffix {target.suffix!r}; wanted one of {', '.join(SUFFIXES)}")
    return target


def write_dataset(dataset: Any, path: str | PathLike[str]) -> Path:
    """Write an xarray Dataset as NetCDF or as a Zarr store; an old one is replaced when the new one is whole.

    Args:
        dataset: from ``Forecaster.forecast``.
        path: ends in .nc or .zarr.

    Raises:
        ValueError: another suffix.
        OSError: the folder cannot be written.
    """
    target = check_out(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    # encodings belong to the file that was read: its chunks and fill values need not suit the forecast
    plain = dataset.drop_encoding()
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as folder:
        fresh = Path(folder) / target.name
        if target.suffix.lower() == ".zarr":
            plain.to_zarr(fresh, consolidated=False)
            if target.exists():
                shutil.rmtree(target)
        else:
            plain.to_netcdf(fresh, engine="netcdf4")
        os.replace(fresh, target)
    return target
