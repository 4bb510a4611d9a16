"""A forecasting task is a record: frames in and out, channels, units, normalisation, split, metrics.

Everything that differs between tasks stands here as data; an eleventh task is one more record. The numbers that a
record learns from data (mean and std, a sensor network's size) are filled in from the training part alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

TRANSFORMS = ("none", "log1p")
ANCHORS = ("none", "mean")
AUGMENTS = ("none", "dihedral")
PERIODS = {"day": 86_400.0, "week": 604_800.0, "year": 31_556_952.0}  # seconds; the mean Gregorian year
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Task:
    """One forecasting task.

    Attributes:
        name: lower case.
        discipline: traffic, weather and climate, nowcasting, motion, or one of your own.
        frames_in: T_in.
        frames_out: T_out, which may differ.
        channels: names of the C_in input channels.
        targets: names of the C_out forecast channels; by default the inputs'.
        units: of every target, as a file says it ("K", "mm/h", "1" for counts and shares).
        step: seconds between frames; months and years count as their mean lengths.
        size: (H, W) of the training data; a sensor network is (V, 1).
        graph: are the rows sensors of a network with an adjacency, and not places on a grid?
        stride: the stem's downsampling, a power of two; tokens are H / stride x W / stride.
        hidden: channels of stem and decoder per frame.
        transform: "log1p" takes log(1 + x / scale) before anything else, for rain.
        scale: of that.
        mean: per variable (inputs, then other targets), after the transform.
        std: likewise; of what is left after the anchor was taken off.
        anchor: "mean" takes the mean of the input frames off every place's values and adds it to the forecast: for
            fields whose level drifts, such as a warming climate.
        periods: calendar cycles of the process ("day", "week", "year") that the model is told the phase of.
        season: frames of one season, for seasonal persistence and climatology; None where there is none.
        places: does every place of the grid have features of its own? True for a fixed grid or network.
        augment: "dihedral" trains on the eight mirrored and turned fields too, where the process knows no direction.
        motion: do things move across the field, so that the last frame carried along its flow says something?
        lower: the least value that exists (0 for rain); forecasts are clipped to it.
        thresholds: in the units, for CSI, POD and FAR.
        peak: the range of values R that PSNR and SSIM are stated for, in the units.
        share: parts of the series' time for training and validation; the rest is the test.
        gap: frames left out between the parts, so that no window reaches over.
        split: instead of ``share``: part -> ((segment, first, last + 1), …).
        licence: of the data.
        source: where the data come from.
    """

    name: str
    discipline: str
    frames_in: int
    frames_out: int
    channels: tuple[str, ...]
    units: str
    step: float
    size: tuple[int, int]
    targets: tuple[str, ...] = ()
    graph: bool = False
    stride: int = 4
    hidden: int = 16
    transform: str = "none"
    scale: float = 1.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    anchor: str = "none"
    periods: tuple[str, ...] = ()
    season: int | None = None
    places: bool = False
    augment: str = "none"
    motion: bool = False
    lower: float | None = None
    thresholds: tuple[float, ...] = ()
    peak: float = 1.0
    share: tuple[float, float] = (0.7, 0.1)
    gap: int = 1
    split: Mapping[str, tuple[tuple[int, int, int], ...]] = field(default_factory=dict)
    licence: str = "not stated"
    source: str = ""

    def __post_init__(self) -> None:
        if not self.targets:
            object.__setattr__(self, "targets", self.channels)
        if min(self.frames_in, self.frames_out) < 1 or not self.channels:
            raise ValueError(
                f"task {self.name!r} has {self.frames_in} frames in, {self.frames_out} out and {len(self.channels)} "
                "channels; wanted at least one of each"
            )
        if self.stride < 1 or self.stride & (self.stride - 1):
            raise ValueError(f"task {self.name!r} has stride {self.stride}; wanted a power of two: 1, 2, 4, 8 …")
        for value, known, what in (
            (self.transform, TRANSFORMS, "transform"),
            (self.anchor, ANCHORS, "anchor"),
            (self.augment, AUGMENTS, "augment"),
        ):
            if value not in known:
                raise ValueError(f"task {self.name!r} has {what} {value!r}; wanted one of {', '.join(known)}")
        unknown = sorted(set(self.periods) - set(PERIODS))
        if unknown:
            raise ValueError(
                f"task {self.name!r} has the period {unknown[0]!r}; wanted among {', '.join(PERIODS)}; leave it out"
            )
        if self.anchor == "mean" and self.targets != self.channels:
            raise ValueError(
                f"task {self.name!r} has anchor 'mean' and other targets than channels; only a channel that comes in "
                "has a level to add again; use anchor 'none'"
            )

        if self.motion and (self.graph or self.targets != self.channels):
            raise ValueError(
                f"task {self.name!r} has motion and is a network or has other targets than channels; only fields that "
                "come in can be carried on; set motion to false"
            )

    @property
    def span(self) -> int:
        """Frames of one window: T_in + T_out."""
        return self.frames_in + self.frames_out

    @property
    def grid(self) -> tuple[int, int]:
        """(h, w): tokens of a field of the training data's size."""
        return self.size if self.graph else (-(-self.size[0] // self.stride), -(-self.size[1] // self.stride))

    @property
    def variables(self) -> tuple[str, ...]:
        """The channels of the task's series: inputs, then the targets that do not come in."""
        return self.channels + tuple(name for name in self.targets if name not in self.channels)

    def target_index(self) -> list[int]:
        """Where each target stands among ``variables``."""
        return [self.variables.index(name) for name in self.targets]

    def with_statistics(self, mean: tuple[float, ...], std: tuple[float, ...]) -> Task:
        """The record with its normalisation filled in, one number per variable."""
        return replace(self, mean=mean, std=std)

    def to_json(self) -> dict[str, Any]:
        """As JSON knows it."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Task:
        """Back from ``to_json``.

        Raises:
            ValueError: an unknown or missing field.
        """
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(record) - known)
        if unknown:
            raise ValueError(f"a task's record has the field {unknown[0]!r}; wanted among {', '.join(sorted(known))}")
        values = dict(record)
        for name in ("channels", "targets", "mean", "std", "periods", "thresholds", "share", "size"):
            if name in values:
                values[name] = tuple(values[name])
        values["split"] = {
            part: tuple((int(a), int(b), int(c)) for a, b, c in ranges)
            for part, ranges in values.get("split", {}).items()
        }
        try:
            return cls(**values)
        except TypeError as error:
            raise ValueError(f"a task's record is not whole ({error}); wanted every field without a default") from error


def split_by_time(
    lengths: list[int], share: tuple[float, float], gap: int
) -> dict[str, tuple[tuple[int, int, int], ...]]:
    """Cut every segment in time: training first, then validation, then test, ``gap`` frames left out in between.

    Args:
        lengths: frames of each segment.
        share: of training and validation.
        gap: frames.

    Returns:
        Part -> (segment, first frame, last frame + 1) for each segment.

    Example:
        >>> split_by_time([100], (0.7, 0.1), 2)
        {'train': ((0, 0, 70),), 'validation': ((0, 72, 82),), 'test': ((0, 84, 100),)}
    """
    parts: dict[str, list[tuple[int, int, int]]] = {name: [] for name in SPLITS}
    for number, length in enumerate(lengths):
        first = round(length * share[0])
        second = first + gap + round(length * share[1])
        for name, start, stop in (
            ("train", 0, first),
            ("validation", first + gap, second),
            ("test", second + gap, length),
        ):
            parts[name].append((number, start, stop))
    return {name: tuple(ranges) for name, ranges in parts.items()}
