"""Sensors for made items: real ones by their published bands, and random ones. A module, not a source."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# name -> (band, centre, fwhm in micrometres); published nominal values, rounded
REAL: dict[str, tuple[tuple[str, float, float], ...]] = {
    "sentinel2": (
        ("B02", 0.493, 0.066), ("B03", 0.560, 0.036), ("B04", 0.665, 0.031), ("B05", 0.704, 0.015),
        ("B06", 0.741, 0.015), ("B07", 0.783, 0.020), ("B08", 0.833, 0.106), ("B8A", 0.865, 0.021),
        ("B11", 1.614, 0.091), ("B12", 2.202, 0.175),
    ),
    "landsat8": (
        ("B1", 0.443, 0.016), ("B2", 0.482, 0.060), ("B3", 0.561, 0.057), ("B4", 0.655, 0.037), ("B5", 0.865, 0.028),
        ("B6", 1.609, 0.085), ("B7", 2.201, 0.187),
    ),
    "mss": (("B4", 0.55, 0.1), ("B5", 0.65, 0.1), ("B6", 0.75, 0.1), ("B7", 0.95, 0.3)),
    "formosat2": (("blue", 0.485, 0.07), ("green", 0.56, 0.08), ("red", 0.66, 0.06), ("nir", 0.83, 0.14)),
    "spot5": (("green", 0.545, 0.09), ("red", 0.645, 0.07), ("nir", 0.835, 0.11), ("swir16", 1.665, 0.17)),
    "planetscope": (("blue", 0.490, 0.05), ("green", 0.565, 0.036), ("red", 0.665, 0.031), ("nir", 0.865, 0.04)),
    "modis": (
        ("B01", 0.645, 0.050), ("B02", 0.859, 0.035), ("B03", 0.469, 0.020), ("B04", 0.555, 0.020),
        ("B05", 1.240, 0.020), ("B06", 1.640, 0.024), ("B07", 2.130, 0.050),
    ),
}  # fmt: skip
MOST_BANDS = 13


@dataclass(frozen=True)
class Sensor:
    """What a task's pictures were taken with.

    Attributes:
        bands: their names; None where nobody says.
        centres: (C,) micrometres.
        fwhm: (C,) micrometres.
        told: are the widths told?
    """

    bands: tuple[str, ...] | None
    centres: np.ndarray
    fwhm: np.ndarray
    told: bool


def sensor(rng: np.random.Generator, most: int = MOST_BANDS) -> Sensor:
    """A real sensor, or some of its bands, or a random one of 3 to ``most`` bands."""
    if rng.random() < 0.6:
        rows = list(REAL[str(rng.choice(list(REAL)))])
        count = len(rows) if rng.random() < 0.4 else int(rng.integers(3, len(rows) + 1))
        chosen = np.sort(rng.choice(len(rows), min(count, most), replace=False))
        bands = tuple(rows[i][0] for i in chosen) if rng.random() < 0.6 else None
        table = np.array([rows[i][1:] for i in chosen])
    else:
        count = int(rng.integers(3, most + 1))
        # half of the bands lie below 1 µm, where most sensors look
        infrared = rng.random(count) < rng.uniform(0, 0.6)
        centres = np.where(infrared, rng.uniform(1.0, 2.4, count), rng.uniform(0.43, 0.95, count))
        table = np.stack([np.sort(centres), np.sort(centres) * rng.uniform(0.02, 0.12, count)], 1)
        bands = None
    if rng.random() < 0.3:  # the order of bands says nothing
        order = rng.permutation(len(table))
        table, bands = table[order], None if bands is None else tuple(bands[i] for i in order)
    return Sensor(bands, table[:, 0], table[:, 1], bool(rng.random() < 0.5))


# where the air lets nothing through, in micrometres: spectrometers' bands there are mostly left out of files
VAPOUR = ((1.34, 1.43), (1.80, 1.96))
FEWEST_NARROW, MOST_NARROW = 32, 224


def spectrometer(rng: np.random.Generator) -> Sensor:
    """A random imaging spectrometer: 32 to 224 contiguous narrow bands of the visible and near or all the infrared."""
    low = rng.uniform(0.4, 0.48)
    high = rng.uniform(0.88, 1.06) if rng.random() < 0.45 else rng.uniform(2.2, 2.5)
    count = int(np.exp(rng.uniform(np.log(FEWEST_NARROW + 8), np.log(MOST_NARROW))))
    centres = np.linspace(low, high, count)
    spacing = centres[1] - centres[0]
    keep = np.ones(count, bool)
    for start, end in VAPOUR if rng.random() < 0.7 else ():
        keep &= (centres < start) | (centres > end)
    for bad in rng.choice(count, int(rng.integers(0, 4)), replace=False):  # dead detectors
        keep[bad] = False
    if keep.sum() < FEWEST_NARROW:
        keep[:] = True
    centres = centres[keep]
    return Sensor(None, centres, np.full(len(centres), spacing * rng.uniform(0.9, 1.6)), bool(rng.random() < 0.5))
