"""A radar that looks from the left over a height map: layover, shadow, double bounce, speckle.

The geometry is that of side-looking radar (Ulaby, Moore and Fung, Microwave Remote Sensing II, 1982, chapter 7): a
point at ground range x and height h is imaged at x − h / tan θ for an incidence angle θ, and lies in shadow where
something nearer reaches above its line of sight. Speckle of L looks is gamma-distributed with shape L and mean one
(Goodman, Some fundamental properties of speckle, 1976).
"""

from __future__ import annotations

import numpy as np

MARGIN = 40  # pixels that the scene is wider than the picture, so that layover and shadow come in from outside
COVERS = {  # decibels in VV, VH − VV
    "water": (-20.0, -8.0), "bare": (-13.5, -9.0), "grass": (-12.0, -7.5), "crop": (-9.5, -7.0), "forest": (-7.5, -6.0),
    "metal": (0.0, -9.0), "roof": (-1.0, -8.0), "asphalt": (-19.0, -9.0), "gravel": (-9.0, -9.5), "oil": (-28.0, -6.0),
}  # fmt: skip


class Scene:
    """Heights in pixels and backscatter in dB on a grid, seen from the left.

    Args:
        size: pixels per side of the picture.
        rng: of everything random in it.
        cover: what the ground is.

    Attributes:
        x, y: (S, S + 2 MARGIN) pixels from the middle.
        height, vv, ratio: likewise: pixels, dB in VV, and VH − VV in dB.
    """

    def __init__(self, size: int, rng: np.random.Generator, cover: str) -> None:
        self.size, self.rng = size, rng
        wide = size + 2 * MARGIN
        self.y, self.x = np.mgrid[:size, :wide].astype(np.float64)
        self.y -= size / 2
        self.x -= wide / 2
        self.height = np.zeros((size, wide))
        self.vv, self.ratio = np.zeros((2, size, wide))
        self.points: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []  # x, y, dB over a pixel of 0 dB
        self.spread(cover, np.ones((size, wide), bool))

    def spread(self, cover: str, where: np.ndarray, level: float | None = None) -> None:
        """Lay a cover over a part of the ground, at its usual level give or take 1.5 dB."""
        vv, ratio = COVERS[cover]
        self.vv[where] = vv + (self.rng.normal(0, 1.5) if level is None else level)
        self.ratio[where] = ratio + self.rng.normal(0, 0.7)

    def noise(self, scale: float) -> np.ndarray:
        """Smooth noise of mean 0 and spread 1, ``scale`` pixels wide: random knots under a cubic B-spline."""

        def weights(pixels: int) -> np.ndarray:
            away = np.abs(np.arange(pixels)[:, None] / scale - np.arange(-1, int(pixels / scale) + 3))
            outer, inner = np.clip(2 - away, 0, None) ** 3, np.clip(1 - away, 0, None) ** 3
            return outer - 4 * inner

        rows, columns = (weights(n) for n in self.x.shape)
        field = rows @ self.rng.normal(size=(rows.shape[1], columns.shape[1])) @ columns.T
        return (field - field.mean()) / max(float(field.std()), 1e-9)

    def frame(self, at: tuple[float, float], angle: float) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates along and across a direction, around a place (x, y)."""
        x, y = self.x - at[0], self.y - at[1]
        return x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)

    def block(self, at: tuple[float, float], angle: float, long: float, wide: float, high: float, cover: str) -> None:
        """A box on the ground."""
        along, across = self.frame(at, angle)
        inside = (np.abs(along) <= long / 2) & (np.abs(across) <= wide / 2)
        self.height[inside] = np.maximum(self.height[inside], high)
        self.spread(cover, inside)

    def glints(
        self, at: tuple[float, float], angle: float, long: float, wide: float, number: int, level: float
    ) -> None:
        """Corners and edges that shine, at random places in a turned rectangle."""
        along, across = self.rng.uniform(-0.5, 0.5, (2, number)) * [[long], [wide]]
        x = at[0] + along * np.cos(angle) - across * np.sin(angle)
        y = at[1] + along * np.sin(angle) + across * np.cos(angle)
        self.points.append((x, y, level + self.rng.normal(0, 4, number)))

    def power(self, incidence: float) -> np.ndarray:
        """(2, S, S): VV and VH in linear power, without speckle.

        Args:
            incidence: θ in radians from the vertical.
        """
        size, wide = self.x.shape
        slope = 1 / np.tan(incidence)
        sight = self.height + (self.x - self.x[0, 0]) * slope
        lit = sight >= np.maximum.accumulate(sight, 1) - 1e-9
        vv = 10 ** (self.vv / 10)
        ratio = 10 ** (self.ratio / 10)
        step = np.diff(self.height, axis=1, prepend=self.height[:, :1])  # a rise faces the radar
        image = np.zeros((2, size, wide))
        rows = np.broadcast_to(np.arange(size)[:, None], (size, wide))
        columns = np.broadcast_to(np.arange(wide), (size, wide))

        def add(where: np.ndarray, range_: np.ndarray, vv_: np.ndarray, ratio_: np.ndarray) -> None:
            place = np.rint(range_).astype(np.int64)
            good = where & (place >= 0) & (place < wide)
            flat = rows[good] * wide + place[good]
            for plane, values in enumerate((vv_, vv_ * ratio_)):
                image[plane] += np.bincount(flat, values[good], size * wide).reshape(size, wide)

        add(lit, columns - self.height * slope, vv, ratio)
        wall = lit & (step > 0.5)
        foot = self.height - step
        for share in (0.25, 0.75):
            add(wall, columns - (foot + step * share) * slope, vv * np.minimum(step, 6) * 0.4, ratio)
        add(
            wall, columns - 1 - foot * slope, vv * step * 1.5, ratio * 0.5
        )  # wall and ground: double bounce, mostly co-polar
        for x, y, level in self.points:
            column, row = np.rint(x + wide / 2).astype(np.int64), np.rint(y + size / 2).astype(np.int64)
            good = (column >= 0) & (column < wide) & (row >= 0) & (row < size)
            np.add.at(image, (0, row[good], column[good]), 10 ** (level[good] / 10))
            np.add.at(image, (1, row[good], column[good]), 10 ** (level[good] / 10 - 0.9))
        return image[:, :, MARGIN:-MARGIN]


def observed(power: np.ndarray, looks: int, blur: float, floor: float, rng: np.random.Generator) -> np.ndarray:
    """Resolution, speckle and thermal noise.

    Args:
        power: (C, H, W) linear.
        looks: L of the speckle.
        blur: standard deviation of the point response in pixels.
        floor: the sensor's noise in dB.
        rng: of the speckle.

    Returns:
        (C, H, W) linear power.
    """
    from scipy.ndimage import gaussian_filter

    sharp = gaussian_filter(power, (0, blur, blur)) + 10 ** (floor / 10)
    return sharp * rng.gamma(looks, 1 / looks, sharp.shape)
