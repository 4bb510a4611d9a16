"""Multispectral pictures and series: wavelength-conditioned patches of every date, one transformer over all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from ..items import Raster
from ..modality import Modality, register
from ._augment import spectrum
from .base import Encoder, Tokens
from .moments import Moments
from .pixels import is_display, on_grid
from .spectra import collate, is_spectrum, sample_of, wavelengths_of
from .spectral import SpectralPatchEmbedding, StepPool
from .vit import Transformer, init_weights, positions_1d, positions_2d

_HARMONICS = 4  # of the year
_LEVELS = 9  # quantiles of a band's cells
_STEPS = 16  # features of a date's rank in its series
_WAVES, _SEASONS = 8, 2  # cosines over a series and harmonics of the year that its moments are taken with


def recognises(item: Raster) -> bool:
    """Fewer than 32 optical or thermal bands of known wavelengths, and not a picture for the eye."""
    return item.values.shape[-3] < 32 and is_spectrum(item) and not is_display(item)


def prepare(
    item: Raster,
    *,
    size: int = 64,
    patch: int = 4,
    max_tokens: int = 256,
    mean: float = 0.15,
    std: float = 0.15,
    kelvin: Sequence[float] = (290.0, 20.0),
    dn_scale: float | None = None,
) -> dict[str, Tensor]:
    """A raster of any bands and dates -> standardised pixels with their wavelengths and times.

    A raster of at most ``size`` pixels per side keeps its own grid, down to a single pixel; a larger one is resampled.
    A series is sorted by time. Where its dates times its patches would be more than ``max_tokens``, the pictures are
    reduced; where the dates alone are more, ``max_tokens`` of them are taken at even steps.

    Args:
        item: a Raster of up to 400 bands with wavelengths, or STAC's common band names.
        size: longest side in pixels.
        patch: the encoder's patch, to count tokens.
        max_tokens: most tokens that the encoder's transformer sees.
        mean: of reflectance; see ``spectra.scale_of`` for all units.
        std: of reflectance.
        kelvin: mean and standard deviation of temperatures.
        dn_scale: digital numbers at a reflectance of 1; None scales each item by its own 98th percentile.

    Returns:
        "pixels" (T, C, h, w) float32, "valid" (T, h, w) bool, "band_mask" (T, C) bool, "wavelengths" (C,) and "fwhm"
        (C,) micrometres, "time" (T,) years since 2000 (0 where unknown), "has_time" () bool.

    Raises:
        ValueError: no wavelengths, units that are no spectrum, or no valid pixel.
    """
    centres, widths = wavelengths_of(item)
    years = np.zeros(1 if item.values.ndim == 3 else len(item.values), np.float32)
    timed = item.time is not None and not np.isnat(item.time).any()
    if item.time is not None and timed:
        years = _years(item.time)
    if item.values.ndim == 4:
        order = np.argsort(years, kind="stable")
        if len(order) > max_tokens:
            order = order[np.linspace(0, len(order) - 1, max_tokens).round().astype(int)]
        years = years[order]
        item = replace(item, values=item.values[order], time=None)
    longest = min(size, patch * max(1, math.isqrt(max_tokens // len(years))))
    scale = {"mean": mean, "std": std, "kelvin": kelvin, "dn_scale": dn_scale}
    pixels, valid, present = sample_of(item, longest=longest, scale=scale)
    return {
        "pixels": pixels,
        "valid": valid,
        "band_mask": torch.from_numpy(present),
        "wavelengths": torch.from_numpy(centres.astype(np.float32)),
        "fwhm": torch.from_numpy(widths.astype(np.float32)),
        "time": torch.from_numpy(years),
        "has_time": torch.tensor(timed),
    }


def _years(time: np.ndarray) -> np.ndarray:
    """(T,) datetime64 -> float32 years since 2000; the fraction is the part of the year gone by."""
    year = time.astype("datetime64[Y]")
    begin = year.astype("datetime64[ns]")
    length = (year + 1).astype("datetime64[ns]") - begin
    return (year.astype(int) - 30 + (time - begin) / length).astype(np.float32)  # datetime64 counts from 1970


def own_numbers(pixels: Tensor, valid: Tensor, band_mask: Tensor, **_: Tensor) -> Tensor:
    """(B, T · C · (g² + 9)): every band of every date on a coarse grid of g² cells, and nine quantiles of these cells.

    A perceptron must learn of every cell by itself what a field looks like that reaches over several; the quantiles,
    which for a window of 3 × 3 are its pixels in order, say it wherever it lies. NaN where nothing is valid.
    """
    read = valid[:, :, None] & band_mask[..., None, None]
    cells = on_grid(pixels.flatten(1, 2), read.flatten(1, 2), most=2048)
    several = cells.unflatten(1, (pixels.shape[1] * pixels.shape[2], -1))
    if several.shape[2] == 1:
        return cells
    levels = torch.linspace(0, 1, _LEVELS, device=pixels.device)
    return torch.cat([cells, several.nanquantile(levels, dim=2).movedim(0, -1).flatten(1)], 1)


class MultispectralEncoder(Encoder):
    """Patches of all dates in one transformer; a patch's dates are then pooled, so tokens always lie on the grid.

    Args:
        width: D.
        depth: blocks.
        heads: attention heads.
        patch: side of a patch in pixels.
        rank: virtual bands of the embedding.
        mlp_ratio: hidden width of the MLPs over D.
        drop_path: stochastic depth at the last block.
        moments: virtual bands of the linear road past the transformer (``moments.py``); 0: there is none.
    """

    def __init__(
        self,
        width: int = 192,
        depth: int = 4,
        heads: int = 3,
        patch: int = 4,
        rank: int = 48,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
        moments: int = 0,
    ) -> None:
        super().__init__()
        self.width = width
        self.embedding = SpectralPatchEmbedding(width, patch, rank)
        self.dates = nn.Linear(2 * _HARMONICS + 2 + _STEPS, width)
        self.dates.apply(init_weights)
        self.transformer = Transformer(width, depth, heads, mlp_ratio, drop_path)
        self.pool = StepPool(width, heads)
        self.moments = Moments(width, moments, _WAVES, 2 * _SEASONS) if moments else None

    def forward(  # type: ignore[override]
        self,
        pixels: Tensor,
        valid: Tensor,
        band_mask: Tensor,
        wavelengths: Tensor,
        fwhm: Tensor,
        time: Tensor,
        has_time: Tensor,
    ) -> Tokens:
        """One collated batch -> a token per patch.

        Args:
            pixels: (B, T, C, H, W) standardised.
            valid: (B, T, H, W) bool; a date without a valid pixel is padding, or a clouded one.
            band_mask: (B, T, C) bool.
            wavelengths: (B, C) micrometres.
            fwhm: (B, C) micrometres.
            time: (B, T) years since 2000.
            has_time: (B,) bool.

        Returns:
            (B, h · w, D) on the grid (h, w), a token real where any pixel of its patch is valid at any date.
        """
        x, mask, (h, w) = self.embedding(pixels, valid, band_mask, wavelengths[:, None], fwhm[:, None])
        B, T, N, D = x.shape
        x = x + positions_2d(h, w, D, x.device).to(x.dtype)
        x = x + self.dates(self._calendar(time, has_time))[:, :, None]
        x = self.transformer(x.flatten(1, 2), mask.flatten(1)).view(B, T, N, D)
        features, mask = self.pool(x, mask)
        if self.moments is not None:
            features = features + self.road(pixels, valid, band_mask, wavelengths, fwhm, time, has_time)[0]
        return Tokens(features, mask, (h, w))

    def road(
        self,
        pixels: Tensor,
        valid: Tensor,
        band_mask: Tensor,
        wavelengths: Tensor,
        fwhm: Tensor,
        time: Tensor,
        has_time: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """What ``moments`` adds to the tokens of one collated batch: (B, h · w, D), and their mask.

        Raises:
            ValueError: the encoder was made without moments.
        """
        if self.moments is None:
            raise ValueError("the encoder has no moments; make it with moments=24, say")
        calendar = self._calendar(time, has_time)
        sines, cosines = calendar[..., :_SEASONS], calendar[..., _HARMONICS : _HARMONICS + _SEASONS]
        place = self._place(time, has_time, valid.flatten(2).any(-1))
        waves, widths = wavelengths[:, None], fwhm[:, None]
        year = torch.cat([sines, cosines], -1)
        out: tuple[Tensor, Tensor] = self.moments(
            pixels, valid, band_mask, waves, widths, place, year, self.embedding.patch
        )
        return out

    @staticmethod
    def _place(time: Tensor, has_time: Tensor, real: Tensor) -> Tensor:
        """(B, T) where each real date lies in its series, 0 to 1: by time where there is one, else by rank."""
        when = torch.where(has_time[:, None], time.float(), real.cumsum(1).float())
        first = torch.where(real, when, torch.inf).amin(1, keepdim=True)
        last = torch.where(real, when, -torch.inf).amax(1, keepdim=True)
        return torch.where(real, (when - first) / (last - first).clamp(min=1e-3), 0)

    @staticmethod
    def _calendar(time: Tensor, has_time: Tensor) -> Tensor:
        """(B, T) years and (B,) bool -> (B, T, F): season, year, time since the first date, rank in the series."""
        B, T = time.shape
        time = time.float()
        season = 2 * math.pi * time[..., None] * torch.arange(1, _HARMONICS + 1, device=time.device)
        trend = torch.stack([(time - 20) / 10, time - time[:, :1]], dim=-1)
        when = torch.cat([season.sin(), season.cos(), trend], dim=-1)
        when = torch.where(has_time[:, None, None], when, 0)
        rank = positions_1d(torch.arange(T, device=time.device), _STEPS, 1_000.0)
        return torch.cat([when, rank.expand(B, -1, -1)], dim=-1)


register(
    Modality(
        name="multispectral",
        item=Raster,
        prepare=prepare,
        encoder=MultispectralEncoder,
        prompt="A multispectral satellite observation, surface reflectance in several bands:",
        recognises=recognises,
        collate=collate,
        input={
            "size": 64,
            "patch": 4,
            "max_tokens": 256,
            "mean": 0.15,
            "std": 0.15,
            "kelvin": [290.0, 20.0],
            "dn_scale": None,
        },
        config={
            "width": 192,
            "depth": 4,
            "heads": 3,
            "patch": 4,
            "rank": 48,
            "mlp_ratio": 4.0,
            "drop_path": 0.0,
            "moments": 24,
        },
        augment=spectrum,
        numbers=own_numbers,
    )
)
