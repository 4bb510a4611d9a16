"""Made series for the tests: waves that travel, and a network of sensors."""

import math

import torch

from allspark.spatiotemporal.normalise import with_statistics
from allspark.spatiotemporal.series import Series
from allspark.spatiotemporal.tasks import Task

HOUR = 3600.0


def waves(frames=60, high=12, wide=10, channels=1, seed=0):
    """(T, C, H, W): a wave that travels one cell a frame, on a level of 10."""
    random = torch.Generator().manual_seed(seed)
    rows, columns = torch.meshgrid(torch.arange(high), torch.arange(wide), indexing="ij")
    fields = []
    for c in range(channels):
        phase = (columns[None] - torch.arange(frames)[:, None, None] + 2 * c) * 2 * math.pi / wide
        fields.append(10 + 3 * torch.sin(phase) * (1 + 0.1 * rows / high))
    values = torch.stack(fields, 1)
    return values + 0.05 * torch.randn(values.shape, generator=random)


def task(**changes):
    record = {
        "name": "waves", "discipline": "made", "frames_in": 4, "frames_out": 3, "channels": ("height",), "units": "m",
        "step": HOUR, "size": (12, 10), "stride": 2, "hidden": 8, "season": 10, "places": True, "peak": 6.0,
        "share": (0.6, 0.2), "gap": 1, "thresholds": (11.0,), "periods": ("day",),
    }  # fmt: skip
    return Task(**{**record, **changes})


def series(values=None, start=0.0, **changes):
    values = waves() if values is None else values
    record = task(size=tuple(values.shape[-2:]), **changes)
    return with_statistics(Series(record, [values], start=[start]))


def network(frames=80, sensors=9, **changes):
    """Sensors on a ring; each repeats what its neighbour measured one frame ago."""
    where = torch.arange(sensors)
    phase = (where[None] - torch.arange(frames)[:, None]) * 2 * math.pi / sensors
    values = (50 + 10 * torch.sin(phase))[:, None, :, None]
    adjacency = torch.roll(torch.eye(sensors), 1, 1) + torch.eye(sensors)
    record = task(
        name="ring", graph=True, size=(sensors, 1), stride=1, channels=("speed",), units="mph", thresholds=(), **changes
    )
    return with_statistics(Series(record, [values], adjacency=adjacency))
