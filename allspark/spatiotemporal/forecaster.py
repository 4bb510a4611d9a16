"""What a user holds: ``forecast`` fields over time, ``adapt`` to a task of one's own, ``save``."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from .. import atomic
from ..presets import find
from .adapting import Own, own_series, shared_weights
from .choosing import check_horizon, choose, in_units_of, last_frames
from .config import MODEL_TYPE, UniSTDConfig
from .frames import Frames, dataset_of, frames_of
from .model import UniSTD
from .normalise import prepare, restore
from .score import autocast, device_of, evaluating
from .tasks import Task

EXACT = ("linear", "adjacency", "ranks")  # parts of names that stay float32: they carry a field's level itself


def _ever(task: Task, known: np.ndarray) -> np.ndarray:
    """(T, C, H, W) of what is known -> (C_out, H, W) or (1, H, W): which places have held a value in any frame."""
    ever = np.any(known, axis=0)
    return np.asarray(ever if task.targets == task.channels else np.any(ever, axis=0, keepdims=True))


class Forecaster:
    """A trained model and its tasks.

    Args:
        model: ``UniSTD`` with its tasks' statistics in its config.
    """

    def __init__(self, model: UniSTD) -> None:
        self.model = model.eval()
        self.history: list[dict[str, Any]] = []

    @property
    def tasks(self) -> dict[str, Task]:
        """Name -> record of what it can forecast."""
        return dict(self.model.config.tasks)

    # -- forecasting ---------------------------------------------------------------------------------------------

    def forecast(
        self,
        data: Any,
        horizon: int | None = None,
        *,
        task: str | None = None,
        rollout: bool = False,
        units: str | None = None,
        variables: Sequence[str] | None = None,
    ) -> Any:
        """Forecast the frames after the last.

        Args:
            data: a file (NetCDF, Zarr, GRIB, GeoTIFF, npy, npz), an xarray Dataset or DataArray, or an array or tensor
                (T, H, W) or (T, C, H, W). NaN is missing. The last T_in frames are read.
            horizon: frames to forecast; by default all the task was trained for.
            task: which of ``tasks``; by default the one that channels, units, time step and size point to.
            rollout: allow a longer horizon than was trained by feeding forecasts back, with a warning.
            units: of the values, where the file does not say. A bare array is taken to be in the task's units.
            variables: which of a Dataset's fields are the channels.

        Returns:
            An xarray Dataset (time, y, x) of the forecast fields in the input's units, with the input's coordinates,
            CRS and calendar. A place that holds no value in any frame (land in a sea's temperatures) is NaN in it too;
            one that merely lacks some is forecast.

        Raises:
            ValueError: too few frames, a time axis with gaps or out of order, an irregular grid, a frame without data,
                units that contradict the task, or a horizon beyond the trained one.
            ImportError: xarray or the library for this kind of file is not installed.
        """
        frames = frames_of(data, variables)
        record = choose(self.tasks, frames if units is None else replace(frames, units=(units,)), task)
        count = check_horizon(record, horizon, rollout)
        converted, (a, b) = in_units_of(record, frames, units)
        values, known = last_frames(record, converted)
        seconds = converted.seconds
        start = None if seconds is None else float(seconds[-1]) + record.step
        ever = torch.from_numpy(_ever(record, frames.known))
        found = self._roll(record, torch.from_numpy(values), torch.from_numpy(known), ever, start, count)
        names = frames.channels if frames.channels and record.targets == record.channels else record.targets
        spoken = units or (frames.units or (None,))[0] or record.units
        facts = {"title": f"forecast of {count} frames by allspark ({MODEL_TYPE}), task {record.name}"}
        return dataset_of(found.numpy() * np.float32(a) + np.float32(b), frames, names, spoken, facts, record.step)

    def _roll(
        self, task: Task, values: Tensor, known: Tensor, ever: Tensor, start: float | None, count: int
    ) -> Tensor:
        """(T_in, C, H, W) -> (count, C_out, H, W) in the task's units, NaN where nothing was ever known."""
        if count > task.frames_out:
            warnings.warn(
                f"{count} frames are more than the {task.frames_out} that {task.name!r} was trained for: "
                "forecasts are fed "
                "back, and their errors with them",
                stacklevel=3,
            )
        parts: list[Tensor] = []
        while sum(len(part) for part in parts) < count:
            part = self.forecast_batch(task.name, values[None], known[None], [start])[0]
            parts.append(torch.where(ever, part, torch.nan))
            if task.targets == task.channels:
                values = torch.cat([values, torch.where(ever, part, 0)])[-task.frames_in :]
                known = torch.cat([known, ever.expand_as(part)])[-task.frames_in :]
            start = None if start is None else start + task.frames_out * task.step
        return torch.cat(parts)[:count]

    def forecast_batch(self, task: str, values: Tensor, known: Tensor, instants: list[float | None]) -> Tensor:
        """Forecast a batch of one task, in its units: the plain path under ``forecast``.

        Args:
            task: name.
            values: (B, T_in, C_in, H, W), 0 where missing.
            known: likewise, bool.
            instants: of each first forecast frame, seconds since 1970, or None.

        Returns:
            (B, T_out, C_out, H, W).
        """
        record = self.model.task_parts(task).task
        device = device_of(self.model)
        parts = prepare(record, values.float(), known, instants)
        with evaluating(self.model), autocast(device):
            output = self.model(task, parts.frames.to(device), parts.known.to(device), parts.calendar.to(device))
        return restore(record, output.float().cpu(), parts.level)

    # -- learning ------------------------------------------------------------------------------------------------

    def adapt(
        self,
        train: Any,
        epochs: int = 20,
        *,
        name: str = "mine",
        frames_in: int | None = None,
        horizon: int | None = None,
        units: str | None = None,
        variables: Sequence[str] | None = None,
        lr: float = 1e-3,
        seed: int = 0,
        say: Callable[[str], None] | None = None,
        **record: Any,
    ) -> Forecaster:
        """Learn a new task: a stem and a decoder of its own, RA-MoE going on from what it is, the trunk frozen.

        Args:
            train: what ``forecast`` takes, a list of such (separate stretches of time), or a ``Series``. The last fifth
                of the time validates and is not learnt from.
            epochs: passes over the training windows.
            name: of the task.
            frames_in: T_in; by default 10, or less where the series is short.
            horizon: T_out; by default half of that.
            units: of the values, where the data do not say.
            variables: which of a Dataset's fields are the channels.
            lr: the highest learning rate.
            seed: of everything random.
            say: called with a line of progress now and then.
            record: other fields of ``Task``.

        Returns:
            A new Forecaster of this one task; this one stays as it is. ``history`` holds its looks at the validation
            part.

        Raises:
            ValueError: too little data, or anything ``forecast`` refuses.
        """
        from .fit import Training, batch_size, fit

        own = Own(name=name, frames_in=frames_in, horizon=horizon, units=units, record=record)
        series = own_series(train, own, variables)
        config = self.model.config.changed(tasks={name: series.task}, adaptive=False)
        model = UniSTD(config, seed=seed)
        shared_weights(self.model, model)
        windows = len(series.starts("train"))
        settings = Training(lr=lr, seed=seed, rank_share=0.0)
        per_epoch = max(1, round(windows / batch_size(series.task, settings)))
        steps = max(1, epochs) * per_epoch
        settings = replace(settings, steps=steps, check_every=max(1, steps // 10))
        facts = fit(model.to(device_of(self.model)), {name: series}, settings, say=say)
        adapted = Forecaster(model)
        adapted.history = facts["history"]
        return adapted

    # -- on disk -------------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str], dtype: torch.dtype = torch.float32) -> None:
        """Write config.json, processor_config.json (statistics) and model.safetensors to a folder.

        Args:
            path: the folder; made where it is missing.
            dtype: of the large tensors; what carries a field's level stays float32.
        """
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {
            key: (value if value.ndim < 2 or any(part in key for part in EXACT) else value.to(dtype)).cpu().contiguous()
            for key, value in self.model.state_dict().items()
        }
        partial = folder / ".model.partial"
        save_file(tensors, partial, metadata={"format": "pt"})
        os.replace(partial, folder / "model.safetensors")
        atomic.write(
            folder / "processor_config.json", json.dumps({"statistics": self.model.config.statistics()}, indent=2)
        )
        atomic.write(folder / "config.json", json.dumps(self.model.config.to_json(), indent=2))

    @classmethod
    def load(cls, name: str | os.PathLike[str] = "unistd-base", device: str | torch.device | None = None) -> Forecaster:
        """A forecaster that ships with the package, or one that ``save`` wrote.

        Raises:
            WeightsNotFoundError: no such model, or a file of its folder is missing.
            UnreadableFileError: a file of its folder is corrupt.
            ValueError: the folder is of another kind of model, or its weights do not fit its config.
        """
        folder = find(os.fspath(name))
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        processor = json.loads((folder / "processor_config.json").read_text(encoding="utf-8"))
        model = UniSTD(UniSTDConfig.from_json(config, processor.get("statistics", {})))
        tensors: dict[str, Tensor] = {}
        for file in sorted(folder.glob("*.safetensors")):
            tensors |= load_file(file)
        try:
            model.load_state_dict({key: value.float() for key, value in tensors.items()})
        except RuntimeError as error:
            raise ValueError(
                f"{folder}: the weights do not fit config.json ({' '.join(str(error).split())[:200]}); save the "
                "model again"
            ) from error
        for _, parameter in model.learning():
            if parameter.ndim == 1 and parameter.numel() == 0:
                raise ValueError(f"{folder}: an empty tensor came; save the model again")
        return cls(model.to(torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))))


__all__ = ["Forecaster", "Frames", "Task"]
