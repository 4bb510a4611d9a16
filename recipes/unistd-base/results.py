"""Results on disk: one JSON file per table, written whole; a cell that is there is not measured again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from allspark import atomic

RESULTS = Path(__file__).parent / "results"
KEPT = (
    "units", "mae", "rmse", "nrmse", "skill", "mae_sum", "mse_sum", "psnr", "ssim", "peak", "rmse_by_lead", "windows",
    "seconds", "part",
)  # fmt: skip


def rounded(value: Any) -> Any:
    """Numbers with six digits: what a table needs, and a file that people can read."""
    if isinstance(value, float):
        return float(f"{value:.6g}") if value == value else None
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    return [rounded(part) for part in value] if isinstance(value, list) else value


def kept(found: dict[str, Any]) -> dict[str, Any]:
    """What ``score`` found, in the order that tables read it, thresholds last."""
    rain = {key: value for key, value in found.items() if key[:4] in ("csi_", "pod_", "far_")}
    return {key: found[key] for key in KEPT if key in found} | rain


def read(path: Path) -> dict[str, Any]:
    """A file of results; empty where there is none yet."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def write(path: Path, found: dict[str, Any]) -> None:
    """The whole file again."""
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.write(path, json.dumps(rounded(found), indent=1) + "\n")


def cell(path: Path, key: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The cell ``key`` of a file, measured where it is missing and written at once."""
    found = read(path)
    if key not in found:
        found = {**found, key: rounded(measure())}
        write(path, found)
        print(f"{path.stem}: {key}", flush=True)
    return found[key]
