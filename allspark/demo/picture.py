"""The demonstration's picture: the flood scene, its labels, the answer, and how the modalities were classified."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np


def _colour(scene: Any) -> np.ndarray:
    """(H, W, 3): shortwave infrared, near infrared and red, in which water is dark blue and leaves are green."""
    values = scene.select(("B11", "B08", "B04")).values.astype(np.float32)
    low, high = np.percentile(values[:, scene.mask], [2, 98])
    return np.clip((values - low) / max(high - low, 1e-6), 0, 1).transpose(1, 2, 0)


def draw(
    path: Path, scene: Any, labels: np.ndarray, learned: np.ndarray, answer: np.ndarray, title: str, rows: Sequence[Any]
) -> None:
    """Write the picture.

    Args:
        path: a .png.
        scene: the multispectral Raster.
        labels: (H, W) −1 no data, 0 dry, 1 water.
        learned: (H, W) bool, the pixels whose labels were shown to the model.
        answer: (H, W) like ``labels``.
        title: of the answer.
        rows: (modality, scores, truth) of each modality's zero-shot answer.
    """
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 8), layout="constrained")
    grid = figure.add_gridspec(2, 1, height_ratios=[1.15, 1])
    maps: Any = grid[0].subgridspec(1, 4).subplots()
    water = ListedColormap(["#ffffff", "#d9c9a3", "#2166ac"])
    shown = {"scene (SWIR, NIR, red)": _colour(scene), "labels: blue is water": labels, "labels shown to the model":
             np.where(learned, labels, -1), title: answer}  # fmt: skip
    for axes, (name, image) in zip(maps, shown.items(), strict=True):
        flat = {} if image.ndim == 3 else {"cmap": water, "vmin": -1, "vmax": 1}
        axes.imshow(image, interpolation="nearest", **flat)
        axes.set_title(name, fontsize=10)
        axes.set_xticks([])
        axes.set_yticks([])
    bars: Any = grid[1].subgridspec(2, (len(rows) + 1) // 2).subplots()
    bars = bars.ravel()
    for axes in bars[len(rows) :]:
        axes.set_axis_off()
    for axes, (name, scores, truth) in zip(bars, rows):
        words = list(scores)[::-1]
        colours = ["#2166ac" if word == truth else "#bbbbbb" for word in words]
        axes.barh([word[:22] for word in words], [scores[word] for word in words], color=colours)
        axes.set_xlim(0, 1)
        axes.set_title(name, fontsize=9)
        axes.tick_params(labelsize=7)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    figure.suptitle(
        "allspark: a demonstration on samples, no measurement (zero-shot scores below; blue is right)", fontsize=11
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
