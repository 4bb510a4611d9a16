"""A task's data in memory and on disk: segments of frames, their time and their gaps, as tensors.

Packed files are one safetensors file each, with the record as JSON in its header: training reads these alone, where
neither xarray nor a reader of any format is installed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from .tasks import SPLITS, Task, split_by_time

HEADER = "series"


@dataclass
class Series:
    """What a task learns from.

    Attributes:
        task: its record.
        segments: (T, C, H, W) each, of any number type; the frames of one are equally spaced.
        valid: (T, 1 or C, H, W) bool each, or None where every value counts.
        start: seconds since 1970 of each segment's first frame; None where the time of day is not known.
        adjacency: (V, V) weights of a sensor network, else None.
    """

    task: Task
    segments: list[Tensor]
    valid: list[Tensor | None] = field(default_factory=list)
    start: list[float | None] = field(default_factory=list)
    adjacency: Tensor | None = None

    def __post_init__(self) -> None:
        self.valid = self.valid or [None] * len(self.segments)
        self.start = self.start or [None] * len(self.segments)
        for frames in self.segments:
            if frames.ndim != 4 or frames.shape[1] != len(self.task.variables):
                raise ValueError(
                    f"a segment of shape {tuple(frames.shape)} came for task {self.task.name!r}; wanted (T, C, H, W) "
                    f"with the channels {', '.join(self.task.variables)}"
                )

    def ranges(self) -> dict[str, tuple[tuple[int, int, int], ...]]:
        """Part -> (segment, first, last + 1): the record's own split, or by time."""
        if self.task.split:
            return dict(self.task.split)
        return split_by_time([len(frames) for frames in self.segments], self.task.share, self.task.gap)

    def starts(self, part: str) -> list[tuple[int, int]]:
        """(segment, first frame) of every window of a part.

        Raises:
            ValueError: an unknown part, or none of its stretches is as long as a window.
        """
        if part not in SPLITS:
            raise ValueError(f"there is no part {part!r}; wanted one of {', '.join(SPLITS)}")
        found = [
            (segment, frame)
            for segment, first, last in self.ranges()[part]
            for frame in range(first, last - self.task.span + 1)
        ]
        if not found:
            longest = max((last - first for _, first, last in self.ranges()[part]), default=0)
            raise ValueError(
                f"the {part} part of {self.task.name!r} has at most {max(longest, 0)} frames in a row; a window takes "
                f"{self.task.span} ({self.task.frames_in} in, {self.task.frames_out} out); bring a longer series"
            )
        return found

    def window(self, segment: int, frame: int) -> tuple[Tensor, Tensor]:
        """(T_in + T_out, C, H, W) float32 values, 0 where missing, and bool of the same shape."""
        part = slice(frame, frame + self.task.span)
        values = self.segments[segment][part].float()
        known = torch.isfinite(values)
        mask = self.valid[segment]
        if mask is not None:
            known = known & mask[part]
        return torch.where(known, values, 0.0), known

    def training_frames(self) -> Iterator[tuple[Tensor, Tensor]]:
        """(values, known) of each stretch of the training part: what statistics and climatology may see."""
        for segment, first, last in self.ranges()["train"]:
            values = self.segments[segment][first:last].float()
            known = torch.isfinite(values)
            mask = self.valid[segment]
            yield torch.where(known, values, 0.0), known if mask is None else known & mask[first:last]


def pack(series: Series, path: Path) -> Path:
    """Write a series as one file that appears whole."""
    tensors = {f"values.{i}": frames.contiguous() for i, frames in enumerate(series.segments)}
    tensors |= {f"valid.{i}": mask.contiguous() for i, mask in enumerate(series.valid) if mask is not None}
    if series.adjacency is not None:
        tensors["adjacency"] = series.adjacency.float().contiguous()
    header = json.dumps({"task": series.task.to_json(), "start": series.start})
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_file(tensors, partial, metadata={HEADER: header})
    os.replace(partial, path)
    return path


def unpack(path: Path) -> Series:
    """Read what ``pack`` wrote.

    Raises:
        ValueError: a safetensors file of something else.
    """
    with safe_open(path, "pt") as file:
        header = (file.metadata() or {}).get(HEADER)
        if header is None:
            raise ValueError(f"{path} holds no packed series; make it with the recipe's pack step")
        facts = json.loads(header)
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dictionary
    count = len(facts["start"])
    return Series(
        Task.from_json(facts["task"]),
        [tensors[f"values.{i}"] for i in range(count)],
        [tensors.get(f"valid.{i}") for i in range(count)],
        facts["start"],
        tensors.get("adjacency"),
    )


def unpack_all(folder: Path, names: Sequence[str] | None = None) -> dict[str, Series]:
    """Every packed series of a folder by name, or those that are named.

    Raises:
        FileNotFoundError: none is there, or a named one is missing.
    """
    found = {path.stem: path for path in sorted(folder.glob("*.safetensors"))}
    missing = sorted(set(names or ()) - set(found))
    if missing or not found:
        raise FileNotFoundError(
            f"{folder} has no packed series {missing[0] + ' ' if missing else ''}(there are: "
            f"{', '.join(found) or 'none'}); run the recipe's pack step"
        )
    return {name: unpack(found[name]) for name in (names or found)}
