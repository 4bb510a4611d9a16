"""Forecasts of a model or a baseline over a part of a series, and their metrics."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from .baselines import Forecast, persistence
from .batches import Batch, in_order
from .metrics import Scores
from .normalise import restore
from .series import Series

WINDOWS = 16  # of a batch


def autocast(device: torch.device) -> Any:
    """bf16 where the processor multiplies it, else float32."""
    if device.type == "cuda":
        return torch.autocast("cuda", dtype=torch.bfloat16)
    fast = torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return torch.autocast("cpu", dtype=torch.bfloat16) if fast else nullcontext()


def device_of(model: nn.Module) -> torch.device:
    """Where a model's parameters are."""
    return next(model.parameters()).device


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """In evaluation mode, without gradients; the mode is as before afterwards."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)


def model_forecast(model: nn.Module, series: Series, name: str | None = None) -> Forecast:
    """A model as a forecast function of batches, in physical units and in the precision of ``autocast``.

    Args:
        model: ``UniSTD`` or ``SimVP``.
        series: whose record gives normalisation.
        name: of the task in the model; by default the record's.
    """
    task = series.task
    device = device_of(model)

    def forecast(batch: Batch) -> Tensor:
        parts = batch.prepared
        with evaluating(model), autocast(device):
            output = model(
                name or task.name, parts.frames.to(device), parts.known.to(device), parts.calendar.to(device)
            )
        return restore(task, output.float().cpu(), parts.level)

    return forecast


def score(
    forecast: Forecast, series: Series, part: str = "test", most: int | None = None, pictures: bool = True
) -> dict[str, Any]:
    """Every metric of a forecast function over a part, one batch in memory at a time.

    Args:
        forecast: from ``model_forecast`` or ``baselines``.
        series: of one task.
        part: train, validation or test.
        most: at most so many windows, evenly spaced.
        pictures: also SSIM.

    Returns:
        ``Scores.result`` with "nrmse", "windows" and "seconds" (of forecasting alone).
    """
    task, scores, plain = series.task, Scores(series.task, pictures), persistence(series)
    seconds, windows = 0.0, 0
    for batch in in_order(series, part, WINDOWS, most):
        start = time.perf_counter()
        found = forecast(batch)
        seconds += time.perf_counter() - start
        windows += len(batch)
        scores.update(found, batch.targets, batch.targets_known, plain(batch))
    result = scores.result()
    result["nrmse"] = result["rmse"] / spread(series)
    return {**result, "windows": windows, "seconds": round(seconds, 3), "part": part, "task": task.name}


def spread(series: Series) -> float:
    """Standard deviation of the training part's target values, in the task's units."""
    total = squares = count = 0.0
    index = series.task.target_index()
    for values, known in series.training_frames():
        known = known.expand_as(values)[:, index]
        part = values[:, index][known].double()
        total, squares, count = total + float(part.sum()), squares + float((part**2).sum()), count + part.numel()
    return math.sqrt(max(squares / count - (total / count) ** 2, 1e-18))
