"""Spectra of land cover from a few physical numbers, 0.4 to 2.5 µm: what made multispectral items are mixed of.

A module, not a source. Curves are compact shapes of our own that follow published physics; none is a measured spectrum:

- a leaf's albedo falls exponentially with what it holds (Beer's law with the absorption features that PROSPECT
  describes: chlorophyll, brown pigment, water, dry matter; Jacquemoud and Baret, Remote Sensing of Environment 1990);
- a canopy of leaf area L over ground is the two-stream solution of Kubelka and Munk (1931);
- a soil darkens exponentially with its moisture (Lobell and Asner, Soil Science Society of America Journal 2002);
- open water reflects as backscattering over absorption (Gordon et al., Journal of Geophysical Research 1988), pure
  water's absorption in round numbers;
- snow is the asymptotic solution exp(−g √k) (Kokhanovsky and Zege, Applied Optics 2004);
- leaf area over the year is a double logistic (Beck et al., Remote Sensing of Environment 2006).

Numbers are arrays of any shapes that broadcast; spectra have one more axis, of ``GRID``.
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray
GRID = np.arange(0.40, 2.505, 0.01)  # (L,) micrometres
YEAR = 365.25  # days
RISE = 60.0  # days from the year's origin, which lies in the dormant season, to the middle of green-up


def _bell(centre: float, width: float) -> Array:
    return np.exp(-(((GRID - centre) / width) ** 2) / 2)


def _step(at: float, width: float) -> Array:
    return 1 / (1 + np.exp(-(GRID - at) / width))


def _logistic(x: Array) -> Array:
    return 1 / (1 + np.exp(-np.clip(x, -40, 40)))


# absorption at unit content: chlorophyll (with the carotenoids) in units of a usual leaf's, liquid water per cm
CHLOROPHYLL = 2.8 * (
    _bell(0.43, 0.035) + 0.8 * _bell(0.47, 0.022) + 0.3 * _bell(0.55, 0.04) + 0.25 * _bell(0.60, 0.03)
    + 0.5 * _bell(0.64, 0.03) + 0.9 * _bell(0.675, 0.016)
)  # fmt: skip
WATER = (
    0.45 * _bell(0.97, 0.02) + 1.1 * _bell(1.20, 0.04) + 28 * _bell(1.45, 0.045) + 5.5 * _step(1.38, 0.04)
    + 110 * _bell(1.94, 0.04) + 12 * _step(1.88, 0.03) + 80 * np.exp((GRID - 2.55) / 0.12)
)  # fmt: skip
BROWN = 3.5 * np.exp(-(GRID - 0.40) / 0.25)
MATTER = 0.04 + 0.25 * _step(1.6, 0.2) + 0.25 * _bell(2.1, 0.05) + 0.3 * _bell(2.3, 0.05)
OPEN_WATER = np.exp(
    np.interp(
        GRID,
        [0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 1.0, 1.2, 2.5],
        np.log([0.01, 0.03, 0.06, 0.22, 0.34, 0.6, 2.5, 2.2, 4.0, 7.0, 30.0, 100.0, 1000.0]),
    )
)  # per metre


def responses(centres: Array, fwhm: Array) -> Array:
    """(C,) micrometres each -> (L, C): Gaussian spectral responses that sum to one."""
    width = np.maximum(fwhm, 0.012) / 2.355
    weights = np.exp(-(((GRID[:, None] - centres) / width) ** 2) / 2)
    return weights / weights.sum(0)


def leaf(chlorophyll: Array, water: Array, brown: Array, matter: float = 1.0) -> Array:
    """Single-scattering albedo of leaves: chlorophyll in usual leaves' units, water in cm, brown pigment 0 to 2."""
    path = (
        chlorophyll[..., None] * CHLOROPHYLL + 1.7 * water[..., None] * WATER + brown[..., None] * BROWN
    ) + matter * MATTER
    return 0.98 * np.exp(-path)


def canopy(albedo: Array, area: Array, ground: Array, extinction: Array, shade: Array) -> Array:
    """Leaves of area index ``area`` over ``ground``; ``shade`` is what crowns leave of the light, 1 for none."""
    root = np.sqrt(1 - albedo)
    deep = (1 - root) / (1 + root)  # of infinitely many leaves
    passed = np.exp(-2 * extinction[..., None] * root * area[..., None])  # down to the ground and up again
    below = (ground - deep) / (1 - deep * ground) * passed
    reflected = (deep + below) / (1 + deep * below)
    dimmed = 1 - (1 - shade) * (1 - np.exp(-area))  # only where there are leaves
    return reflected * dimmed[..., None]


def soil(brightness: Array, rise: Array, iron: Array, moisture: Array) -> Array:
    """Bare ground: brightness in the infrared, how fast it rises (µm), iron oxides 0 to 1, moisture 0 to 1."""
    dry = brightness[..., None] * (1 - np.exp(-(GRID - 0.28) / rise[..., None]))
    dry = dry * (1 - iron[..., None] * (0.4 * _bell(0.48, 0.07) + 0.2 * _bell(0.88, 0.08)))
    dry = dry * (1 - 0.12 * _bell(2.2, 0.03) - 0.15 * _step(2.3, 0.1))
    darker = 0.4 + 0.6 * np.exp(-2.5 * moisture[..., None])
    return dry * darker * np.exp(-0.02 * moisture[..., None] * WATER)


def open_water(sediment: Array, algae: Array) -> Array:
    """A lake or a river: backscattering of sediment per metre (0.003 to 2), algae 0 to 1."""
    scatter = sediment[..., None] * 0.55 / GRID
    absorbed = OPEN_WATER + 0.3 * np.exp(-14 * (GRID - 0.44)) * (0.1 + algae[..., None])
    absorbed = absorbed + 0.25 * algae[..., None] * CHLOROPHYLL
    return 0.01 + 0.3 * scatter / (absorbed + scatter)


def built(brightness: Array, rise: Array, tile: Array) -> Array:
    """Roofs and pavings: brightness, how fast it rises (µm; small is grey), the step of burnt clay at 0.58 µm."""
    flat = brightness[..., None] * (1 - np.exp(-(GRID - 0.25) / rise[..., None]))
    return np.clip(flat + tile[..., None] * _step(0.58, 0.03), 0.01, 0.95)


def snow(grain: Array) -> Array:
    """Snow of a relative grain size (0.4 fresh to 2 old)."""
    return 0.95 * np.exp(-grain[..., None] * np.sqrt(WATER))


def season(day: Array, start: Array, growth: Array, length: Array, decline: Array) -> Array:
    """Share of the full leaf area on a day: a double logistic, repeated each year.

    Args:
        day: days on any scale.
        start: the day of the middle of green-up.
        growth: time constant of green-up in days.
        length: days from the middle of green-up to that of senescence.
        decline: time constant of senescence in days.
    """
    since = (day - start + RISE) % YEAR
    return _logistic((since - RISE) / growth) * _logistic((RISE + length - since) / decline)


def browning(day: Array, start: Array, length: Array, decline: Array) -> Array:
    """Share of leaves that are brown: senescence runs a little ahead of the leaves' fall."""
    since = (day - start + RISE) % YEAR
    return _logistic((since - RISE - length + 12) / decline)
