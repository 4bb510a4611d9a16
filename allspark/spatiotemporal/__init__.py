"""UniSTD: one forecaster across disciplines (Tang et al., CVPR 2025), its tasks, training, metrics and baselines."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOMES = {
    "config": ("UNISTD_BASE", "UNISTD_TINY", "UniSTDConfig"),
    "forecaster": ("Forecaster",),
    "model": ("UniSTD",),
    "ra_moe": ("RankAdaptiveMoE", "rank_mask"),
    "series": ("Series",),
    "tasks": ("Task",),
    "temporal": ("TemporalModule",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
__all__ = [
    "Forecaster",
    "RankAdaptiveMoE",
    "Series",
    "Task",
    "TemporalModule",
    "UNISTD_BASE",
    "UNISTD_TINY",
    "UniSTD",
    "UniSTDConfig",
    "rank_mask",
]

if TYPE_CHECKING:
    from .config import UNISTD_BASE, UNISTD_TINY, UniSTDConfig
    from .forecaster import Forecaster
    from .model import UniSTD
    from .ra_moe import RankAdaptiveMoE, rank_mask
    from .series import Series
    from .tasks import Task
    from .temporal import TemporalModule


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
