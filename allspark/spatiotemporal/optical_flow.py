"""Extrapolation along the optical flow, the usual baseline of radar nowcasting.

The flow between the last two frames is found by scikit-image's iterative Lucas-Kanade, whose weighted windows suit
smooth motion of textured rain; the last frame is then carried along it, semi-Lagrangian, one step at a time.
scikit-image is chosen over OpenCV because it is half the size, depends on nothing that is not here already, and gives
SSIM too.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .baselines import Forecast, fields_for_flow, persistence
from .batches import Batch
from .normalise import backward_transform
from .series import Series

RADIUS = 12  # pixels of the window that moves as one; rain cells are of this size


def flow_between(first: np.ndarray, second: np.ndarray, radius: int = RADIUS) -> np.ndarray:
    """(2, H, W) rows and columns that each place of ``second`` came from, as an offset to where it was in ``first``."""
    from skimage.registration import optical_flow_ilk

    return np.asarray(optical_flow_ilk(second, first, radius=radius, gaussian=True, prefilter=True))


def carry(field: np.ndarray, flow: np.ndarray, steps: int) -> np.ndarray:
    """(steps, H, W): the field moved along a flow that stays as it is.

    The place that a value comes from is found by walking backwards in ``steps`` small steps along the flow at the place
    reached, so that turning motion stays turning.
    """
    from scipy.ndimage import map_coordinates

    home = np.indices(field.shape).astype(np.float64)
    place, found = home.copy(), []
    for _ in range(steps):
        there = [map_coordinates(part, place, order=1, mode="nearest") for part in flow]
        place = place + np.stack(there)
        found.append(map_coordinates(field, place, order=1, mode="nearest"))
    return np.stack(found)


def optical_flow(series: Series) -> Forecast | None:
    """The baseline, for tasks of one target channel on a grid; else None."""
    task = series.task
    if task.graph or len(task.targets) != 1 or task.frames_in < 2 or task.targets[0] not in task.channels:
        return None
    plain = persistence(series)

    def forecast(batch: Batch) -> Tensor:
        found = plain(batch)
        fields = fields_for_flow(batch, series).numpy().astype(np.float64)
        for row, frames in enumerate(fields):
            flow = flow_between(frames[-2], frames[-1])
            moved = carry(frames[-1], flow, task.frames_out)
            found[row, :, 0] = backward_transform(task, torch.from_numpy(moved).float())
        return found

    return forecast
