"""The only code that opens user files: a path in, an item out, units and places from the file's own metadata.

Each module of this folder names the suffixes it reads (``SUFFIXES``) and has one function ``read(path, **options)``;
this file only chooses among them. A suffix that several modules read is settled by their ``claims(path)``, which looks
at the file's header or columns.
"""

from __future__ import annotations

import importlib
import inspect
from os import PathLike, fspath
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

from ..items import Item


class UnreadableFileError(OSError):
    """A file that is truncated, empty, or not of the kind its name says."""


LISTED = 20  # suffixes of one kind in an error

# The order in which modules are asked about a file whose suffix several of them read; the last takes what is left.
_MODULES = ("trajectory", "graph", "point_cloud", "raster", "table", "text")

# Item type -> the module that makes it.
_MAKERS = {
    "Raster": "raster",
    "PointCloud": "point_cloud",
    "Trajectory": "trajectory",
    "Graph": "graph",
    "Table": "table",
    "Text": "text",
    "Code": "text",
}


def suffix_of(path: str | PathLike[str]) -> str:
    """ ".tif" of "a/b.TIF", and of "zip://a/b.tif::c.zip"."""
    inner = fspath(path).split("::", 1)[0].removeprefix("zip://")
    return PurePosixPath(inner).suffix.lower()


def read(path: str | PathLike[str], modality: str | None = None, **options: Any) -> Item:
    """Read a file (or a folder of one-band files) as the item it holds.

    Args:
        path: a file, a folder of bands, or ``zip://inner/a.tif::outer.zip``.
        modality: a modality's name; decides how a file is read that could be several things (.csv, .json, .npy).
        options: what the reader of this kind takes by name (a raster's ``units``, ``bands``, ``wavelengths`` …).

    Returns:
        A Raster, PointCloud, Trajectory, Graph, Table, Text or Code.

    Raises:
        FileNotFoundError: there is no such file.
        UnreadableFileError: the file is empty, truncated, or not of the kind its name says.
        ValueError: an unknown kind of file, or metadata that the file lacks and ``options`` must give.
        TypeError: an option that this reader does not take.
    """
    _check(fspath(path))
    module = _chosen(path) if modality is None else _made_for(path, modality)
    taken = [name for name in inspect.signature(module.read).parameters if name != "path"]
    unknown = sorted(set(options) - set(taken))
    if unknown:
        raise TypeError(
            f"{unknown[0]}= came for {_name(path)}, which is read as a {_kind(module)}; "
            f"wanted among {', '.join(f'{name}=' for name in taken) or 'no options'}; leave it out"
        )
    item: Item = module.read(path, **options)
    return item


def _check(path: str) -> None:
    from .archive import split

    if "://" in path and not path.startswith("zip://"):
        raise ValueError(f"{path!r} is an address; wanted a file on this machine; fetch it first")
    parts = split(path)
    if parts is not None:
        return _check(parts[1])
    file = Path(path)
    if not file.exists():
        raise FileNotFoundError(f"{path} is not there; wanted a file; check the path")
    if file.is_file() and file.stat().st_size == 0:
        raise UnreadableFileError(f"{path} is empty (0 bytes); wanted data; fetch or write it again")
    return None


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"{__name__}.{name}")


def _kind(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2].replace("_", " ")


def _name(path: str | PathLike[str]) -> str:
    return PurePosixPath(fspath(path).split("::", 1)[0]).name


def _shown(suffixes: frozenset[str]) -> str:
    known = sorted(suffixes - {""})
    return " ".join(known[:LISTED]) + (f" and {len(known) - LISTED} more" if len(known) > LISTED else "")


def _chosen(path: str | PathLike[str]) -> ModuleType:
    from .place import is_folder

    if is_folder(path):
        return _module("raster")  # one band per file
    suffix = suffix_of(path)
    modules = [_module(name) for name in _MODULES]
    candidates = [module for module in modules if suffix in module.SUFFIXES]
    if not candidates:
        known = "; ".join(f"{_kind(module)} {_shown(module.SUFFIXES)}" for module in modules)
        if suffix == ".zip":
            raise ValueError(
                f"{fspath(path)} is an archive; wanted a file in it; name it as zip://inner/file::{fspath(path)}"
            )
        raise ValueError(f"files of kind {suffix!r} are not known; wanted one of {known}; convert it first")
    for module in candidates[:-1]:
        if module.claims(path):
            return module
    return candidates[-1]


def _made_for(path: str | PathLike[str], modality: str) -> ModuleType:
    from .. import modality as registry
    from .place import is_folder

    item = registry.get(modality).item
    names = [_MAKERS[base.__name__] for base in item.__mro__ if base.__name__ in _MAKERS]
    if not names:
        raise ValueError(
            f"modality {modality!r} takes {item.__name__}, which no reader makes; read the file yourself and hand "
            f"over the {item.__name__}"
        )
    suffix = suffix_of(path)
    wanted = _module(names[0])
    others = [name for name in _MODULES if name != names[0] and suffix in _module(name).SUFFIXES]
    if others and suffix not in wanted.SUFFIXES and not is_folder(path):
        raise ValueError(
            f"{_name(path)} holds what is read as a {others[0].replace('_', ' ')}; modality "
            f"{modality!r} takes {item.__name__}, from {_shown(wanted.SUFFIXES)}; name another file or modality"
        )
    return wanted
