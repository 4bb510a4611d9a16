"""Pictures: truth, forecast and error frame by frame; error by lead time; learned ranks as a heat map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from .. import atomic
from .frames import Frames

FIELD, ERROR, RANKS = "viridis", "RdBu_r", "magma"  # all readable without colour vision, the middle one signed
FLAT = 0.3  # height over width, below which fields are drawn one below the other


def _pyplot() -> Any:
    try:
        import matplotlib

        matplotlib.use("Agg", force=False)
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError('pictures need matplotlib; pip install -c constraints.txt -e ".[plot]"') from error
    return plt


def _limits(*fields: np.ndarray) -> tuple[float, float]:
    values = np.concatenate([field[np.isfinite(field)].ravel() for field in fields])
    low, high = np.percentile(values, (1, 99)) if len(values) else (0.0, 1.0)
    return float(low), float(high if high > low else low + 1)


def _frames_to_gif(figures: list[np.ndarray], path: Path, milliseconds: int = 400) -> Path:
    import io

    from PIL import Image

    pages = [Image.fromarray(figure).convert("P", palette=Image.Palette.ADAPTIVE) for figure in figures]
    buffer = io.BytesIO()
    pages[0].save(buffer, "GIF", save_all=True, append_images=pages[1:], duration=milliseconds, loop=0)
    return atomic.write(path, buffer.getvalue())


def _rendered(figure: Any) -> np.ndarray:
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()


def _saved(figure: Any, path: Path) -> Path:
    import io

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return atomic.write(path, buffer.getvalue())


def draw_comparison(
    truth: np.ndarray, forecast: np.ndarray, path: str | PathLike[str], *, units: str = "", title: str = ""
) -> Path:
    """Truth, forecast and error side by side.

    Args:
        truth: (T, H, W), NaN where missing.
        forecast: likewise.
        path: .gif plays the frames; .png shows four of them, one a row.
        units: of the values.
        title: above the picture.
    """
    plt = _pyplot()
    low, high = _limits(truth, forecast)
    error = forecast - truth
    most = float(np.nanmax(np.abs(error))) or 1.0
    playing = Path(path).suffix.lower() == ".gif"
    steps = list(range(len(truth))) if playing else np.linspace(0, len(truth) - 1, 4).astype(int).tolist()
    pages = []
    for page in [[step] for step in steps] if playing else [steps]:
        size = (9, 2.9 * len(page) + 0.4)
        figure, axes = plt.subplots(len(page), 3, figsize=size, squeeze=False, layout="constrained")
        for row, step in zip(axes, page, strict=True):
            fields = {"truth": (truth, FIELD, low, high), "forecast": (forecast, FIELD, low, high)}
            fields["error"] = (error, ERROR, -most, most)
            for axis, (name, (field, colours, least, greatest)) in zip(row, fields.items(), strict=True):
                shown = axis.imshow(field[step], cmap=colours, vmin=least, vmax=greatest, interpolation="nearest")
                axis.set_title(f"{name}, lead {step + 1}", fontsize=9)
                axis.set_axis_off()
                figure.colorbar(shown, ax=axis, shrink=0.8, label=units)
        if title:
            figure.suptitle(title, fontsize=10)
        if playing:
            pages.append(_rendered(figure))
        else:
            _saved(figure, Path(path))
        plt.close(figure)
    return _frames_to_gif(pages, Path(path)) if pages else Path(path)


def draw_forecast(frames: Frames, forecast: Any, path: str | PathLike[str]) -> Path:
    """The last frames that came and the forecast after them, of the first field.

    Args:
        frames: the input.
        forecast: the Dataset that ``Forecaster.forecast`` gave.
        path: .gif plays the frames, .png shows them in two rows.
    """
    plt = _pyplot()
    name = next(iter(forecast.data_vars))
    ahead = forecast[name].values
    past = np.where(frames.known[:, 0], frames.values[:, 0], np.nan)[-len(ahead) :]
    rows = forecast[name].dims[1]
    if rows in forecast.coords and float(forecast[rows][-1]) > float(forecast[rows][0]):
        past, ahead = past[:, ::-1], ahead[:, ::-1]  # north up
    low, high = _limits(past, ahead)
    units = forecast[name].attrs.get("units", "")
    named = [(f"came, {i - len(past) + 1}", field) for i, field in enumerate(past)]
    named += [(f"forecast, +{i + 1}", field) for i, field in enumerate(ahead)]
    if Path(path).suffix.lower() == ".gif":
        pages = []
        for words, field in named:
            figure, axis = plt.subplots(figsize=(4.6, 3.8), layout="constrained")
            shown = axis.imshow(field, cmap=FIELD, vmin=low, vmax=high, interpolation="nearest")
            axis.set_title(f"{name}: {words}", fontsize=9)
            axis.set_axis_off()
            figure.colorbar(shown, ax=axis, label=units)
            pages.append(_rendered(figure))
            plt.close(figure)
        return _frames_to_gif(pages, Path(path))
    most = max(len(past), len(ahead))
    flatness = past.shape[-2] / past.shape[-1]
    if flatness < FLAT:  # one below the other, or nothing could be seen of them
        size = (11.0, most * (4.6 * flatness + 0.3) + 0.3)
        figure, grid = plt.subplots(most, 2, figsize=size, squeeze=False, layout="constrained")
        axes = grid.T
    else:
        size = (1.6 * most + 1, 3.9)
        figure, axes = plt.subplots(2, most, figsize=size, squeeze=False, layout="constrained")
    for row, fields, start, words in ((axes[0], past, -len(past) + 1, "came"), (axes[1], ahead, 1, "forecast")):
        for i, axis in enumerate(row):
            axis.set_axis_off()
            if i < len(fields):
                shown = axis.imshow(fields[i], cmap=FIELD, vmin=low, vmax=high, interpolation="nearest")
                axis.set_title(f"{words} {start + i:+d}", fontsize=8)
    figure.colorbar(shown, ax=axes, label=units, shrink=0.8)
    _saved(figure, Path(path))
    plt.close(figure)
    return Path(path)


def draw_lead_times(
    curves: Mapping[str, Sequence[float]], path: str | PathLike[str], *, units: str, title: str
) -> Path:
    """Error by lead time, one line per method.

    Args:
        curves: method -> rmse of each lead time.
        path: .png.
        units: of the errors.
        title: above the picture.
    """
    plt = _pyplot()
    figure, axis = plt.subplots(figsize=(5.5, 3.6), layout="constrained")
    for name, values in curves.items():
        axis.plot(range(1, len(values) + 1), values, marker="o", markersize=3, label=name)
    axis.set_xlabel("lead time (frames)")
    axis.set_ylabel(f"RMSE ({units})")
    axis.set_ylim(bottom=0)
    axis.set_title(title, fontsize=10)
    axis.legend(fontsize=8)
    _saved(figure, Path(path))
    plt.close(figure)
    return Path(path)


def draw_ranks(ranks: Mapping[str, Sequence[float]], path: str | PathLike[str], most: int = 8) -> Path:
    """Mean learned rank by layer and projection as a heat map, with the numbers.

    Args:
        ranks: layer name -> ranks of its experts (``ranks.rank_table``).
        path: .png.
        most: the largest rank there could be.
    """
    plt = _pyplot()
    names = ("q", "k", "v", "proj", "fc1")
    found: dict[tuple[str, int], float] = {}
    for name, values in ranks.items():
        parts = name.split(".")
        if parts[-1] in names:
            found[parts[-1], int(parts[1])] = float(np.mean(values))
    rows = [name for name in names if any(key[0] == name for key in found)]
    depth = max(key[1] for key in found) + 1
    table = np.array([[found.get((name, i), np.nan) for i in range(depth)] for name in rows])
    figure, axis = plt.subplots(figsize=(1.0 * depth + 2.5, 0.6 * len(rows) + 1.4), layout="constrained")
    shown = axis.imshow(table, cmap=RANKS, vmin=0, vmax=most, aspect="auto")
    for (row, column), value in np.ndenumerate(table):
        axis.text(column, row, f"{value:.1f}", ha="center", va="center", color="w" if value < most * 0.6 else "k")
    axis.set_xticks(range(depth), [f"block {i + 1}" for i in range(depth)])
    axis.set_yticks(range(len(rows)), [{"proj": "output", "fc1": "temporal"}.get(name, name) for name in rows])
    axis.set_title("mean rank of the experts", fontsize=10)
    figure.colorbar(shown, ax=axis)
    _saved(figure, Path(path))
    plt.close(figure)
    return Path(path)
