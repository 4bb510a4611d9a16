"""The only code that opens user files: a path in, an item out, units and places from the file's own metadata.

Each module of this folder names the suffixes it reads (``SUFFIXES``) and has one function ``read(path, **options)``;
this file only chooses among them.
"""

from __future__ import annotations

import importlib
from pathlib import PurePosixPath
from typing import Any

from ..items import Item


class UnreadableFileError(OSError):
    """A file that is truncated, empty, or not of the kind its name says."""


_MODULES = ("raster", "point_cloud", "trajectory", "graph", "table", "text")


def suffix_of(path: str) -> str:
    """".tif" of "a/b.TIF", and of "zip://a/b.tif::c.zip"."""
    inner = str(path).split("::", 1)[0].removeprefix("zip://")
    return PurePosixPath(inner).suffix.lower()
