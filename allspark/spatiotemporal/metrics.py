"""How good a forecast is: each number with its definition and unit. Values that are missing in the truth never count.

* ``mae``, ``rmse`` (the task's units): mean absolute and root mean squared error over every known value: all windows,
  lead times, channels and places weigh alike.
* ``nrmse`` (no unit): rmse over the standard deviation of the training part's values, so that tasks can be averaged.
* ``mae_sum``, ``mse_sum`` (no unit): the convention of video benchmarks such as Moving MNIST's: values divided by the
  task's ``peak``, absolute or squared errors *summed* over the channels and pixels of a frame, averaged over frames.
  They grow with the picture and compare only between equal sizes.
* ``psnr`` (dB): 10 log10(R² / MSE) of each frame, averaged over frames, with R the task's ``peak``.
* ``ssim`` (no unit): the mean of the local index of Wang et al. (IEEE TIP 2004), Gaussian window of σ = 1.5, range R,
  over the places whose value is known, averaged over frames and channels. Missing values are zero in both fields.
* ``csi``, ``pod``, ``far`` at a threshold (no unit): from all known values, hits h (both reach it), misses m (the truth
  alone), false alarms f (the forecast alone): h / (h + m + f), h / (h + m), f / (h + f); NaN where nothing reaches it.
* ``skill`` (no unit): 1 − MSE / MSE of persistence on the same values; 0 is no better than repeating the last frame.
* ``rmse_by_lead`` (the task's units): rmse of each lead time.

Sums are kept, no fields: memory does not grow with the number of windows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .tasks import Task

SMALLEST_FOR_SSIM = 11  # pixels a side: the Gaussian window's width


def ssim_map(forecast: np.ndarray, truth: np.ndarray, peak: float) -> np.ndarray:
    """(H, W) local structural similarity of two fields, by scikit-image with the constants of the paper."""
    from skimage.metrics import structural_similarity

    _, found = structural_similarity(
        truth, forecast, data_range=peak, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
    )
    return np.asarray(found)


@dataclass
class Scores:
    """Running sums over windows of one task.

    Args:
        task: its record gives units, thresholds and peak.
        pictures: also SSIM, which costs more than the rest together.
    """

    task: Task
    pictures: bool = True
    _sums: dict[str, float] = field(default_factory=dict)
    _lead: Tensor | None = None

    def update(self, forecast: Tensor, truth: Tensor, known: Tensor, persistence: Tensor) -> None:
        """Count some windows.

        Args:
            forecast: (B, T_out, C_out, H, W) in physical units.
            truth: likewise.
            known: likewise, bool: where the truth counts.
            persistence: likewise, the last frame repeated, for the skill.

        Raises:
            ValueError: shapes differ, or the forecast is not finite where the truth is known.
        """
        if not forecast.shape == truth.shape == known.shape == persistence.shape:
            raise ValueError(
                f"a forecast of shape {tuple(forecast.shape)} came for a truth of shape {tuple(truth.shape)}; wanted "
                "the same"
            )
        forecast, truth, persistence = forecast.double(), truth.double(), persistence.double()
        if not torch.isfinite(forecast[known]).all():
            raise ValueError(
                "the forecast holds values that are not finite; wanted numbers wherever the truth is known"
            )
        error = torch.where(known, forecast - truth, 0.0)
        base = torch.where(known, persistence - truth, 0.0)
        self._add("count", known.sum())
        self._add("absolute", error.abs().sum())
        self._add("squared", (error**2).sum())
        self._add("persistence", (base**2).sum())
        self._add("frames", torch.tensor(error.shape[0] * error.shape[1]))
        per_frame = (error**2).sum((2, 3, 4)) / known.sum((2, 3, 4)).clamp(min=1)
        floor = (1e-5 * self.task.peak) ** 2  # a perfect frame counts as 100 dB, not as infinity
        self._add("psnr", (10 * torch.log10(self.task.peak**2 / per_frame.clamp(min=floor))).sum())
        lead = torch.stack([(error**2).sum((0, 2, 3, 4)), known.sum((0, 2, 3, 4)).double()])
        self._lead = lead if self._lead is None else self._lead + lead
        for threshold in self.task.thresholds:
            wet, said = known & (truth >= threshold), known & (forecast >= threshold)
            self._add(f"hits {threshold:g}", (wet & said).sum())
            self._add(f"misses {threshold:g}", (wet & ~said).sum())
            self._add(f"alarms {threshold:g}", (said & ~wet).sum())
        if self.pictures and min(truth.shape[-2:]) >= SMALLEST_FOR_SSIM:
            self._add_ssim(torch.where(known, forecast, 0.0), torch.where(known, truth, 0.0), known)

    def _add(self, name: str, value: Tensor | float) -> None:
        self._sums[name] = self._sums.get(name, 0.0) + float(value)

    def _add_ssim(self, forecast: Tensor, truth: Tensor, known: Tensor) -> None:
        shape = (-1, *truth.shape[-2:])
        for one, other, mask in zip(*(x.reshape(shape).numpy() for x in (forecast, truth, known)), strict=True):
            if mask.any():
                self._add("ssim", float(ssim_map(one, other, self.task.peak)[mask].mean()))
                self._add("ssim frames", 1.0)

    def result(self) -> dict[str, Any]:
        """Every metric by name; ``windows`` lead times and units stand beside them.

        Raises:
            ValueError: nothing was counted.
        """
        sums, task = self._sums, self.task
        if not sums.get("count"):
            raise ValueError(f"no known value of {task.name!r} was counted; wanted at least one window with data")
        mse, mae = sums["squared"] / sums["count"], sums["absolute"] / sums["count"]
        found: dict[str, Any] = {
            "units": task.units,
            "mae": mae,
            "rmse": math.sqrt(mse),
            "mae_sum": sums["absolute"] / task.peak / sums["frames"],
            "mse_sum": sums["squared"] / task.peak**2 / sums["frames"],
            "psnr": sums["psnr"] / sums["frames"],
            "peak": task.peak,
            "skill": 1 - sums["squared"] / sums["persistence"] if sums["persistence"] else float("nan"),
        }
        if "ssim" in sums:
            found["ssim"] = sums["ssim"] / sums["ssim frames"]
        for threshold in task.thresholds:
            hits, misses, alarms = (sums[f"{kind} {threshold:g}"] for kind in ("hits", "misses", "alarms"))
            found[f"csi_{threshold:g}"] = hits / (hits + misses + alarms) if hits + misses + alarms else float("nan")
            found[f"pod_{threshold:g}"] = hits / (hits + misses) if hits + misses else float("nan")
            found[f"far_{threshold:g}"] = alarms / (hits + alarms) if hits + alarms else float("nan")
        assert self._lead is not None
        found["rmse_by_lead"] = (self._lead[0] / self._lead[1].clamp(min=1)).sqrt().tolist()
        return found
