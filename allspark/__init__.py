"""allspark: one model that reads ten kinds of geospatial data and speaks of all of them in one language space.

Importing the package imports neither torch nor GDAL; each name is fetched when it is first used (PEP 562).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "api": ("AllSpark", "Prediction", "build", "load"),
    "fewshot": ("FewShot",),
    "items": ("Code", "Graph", "PointCloud", "Raster", "Table", "Text", "Trajectory"),
    "modality": ("Modality", "register"),
    "presets": ("WeightsNotFoundError", "list_models"),
    "readers": ("UnreadableFileError", "read"),
    "samples": ("sample",),
    "segmentation": ("Segmentation",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
__all__ = sorted(_HOME_OF)

if TYPE_CHECKING:
    from .api import AllSpark, Prediction, build, load
    from .fewshot import FewShot
    from .items import Code, Graph, PointCloud, Raster, Table, Text, Trajectory
    from .modality import Modality, register
    from .presets import WeightsNotFoundError, list_models
    from .readers import UnreadableFileError, read
    from .samples import sample
    from .segmentation import Segmentation


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
