"""Hyperspectral spectra and pictures: groups of neighbouring bands as tokens, a transformer along the spectrum.

The same wavelength-conditioned embedding as multispectral's, over contiguous groups of bands, in the spirit of
SpectralFormer's group-wise spectral embedding (Hong et al., arXiv 2107.02988); space and spectrum share one attention.
Where spectra are compared with few examples, their exact shape stands beside what the tokens say.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..items import Raster
from ..modality import Modality, register
from ._augment import spectrum
from ._exact import count_sketch, waves
from .base import Encoder, Tokens
from .moments import Moments
from .pixels import need_valid, one_date
from .spectra import collate, is_spectrum, sample_of, wavelengths_of
from .spectral import SpectralPatchEmbedding, StepPool
from .vit import Transformer, positions_2d

MEAN, STD = 0.2, 0.15  # of reflectance
PLACES = 512  # numbers that say exactly how a spectrum is shaped
_DARKEST = 0.01  # of those standard deviations, where logarithms begin


def recognises(item: Raster) -> bool:
    """32 optical or thermal bands or more, of known wavelengths."""
    return item.values.shape[-3] >= 32 and is_spectrum(item)


def prepare(
    item: Raster,
    *,
    size: int = 64,
    patch: int = 4,
    group: int = 10,
    max_tokens: int = 768,
    mean: float = MEAN,
    std: float = STD,
    kelvin: Sequence[float] = (290.0, 20.0),
    dn_scale: float | None = None,
) -> dict[str, Tensor]:
    """A cube of any bands -> standardised spectra in order of wavelength.

    Bands that hold no number or nothing but zeros (absorption bands, dead detectors) are left out. A raster of at most
    ``size`` pixels per side keeps its own grid, down to a single pixel; a larger one is resampled, and so is one
    whose patches times groups would be more than ``max_tokens``: 198 bands leave 24 × 24 pixels.

    Args:
        item: a Raster of one date with wavelengths.
        size: longest side in pixels.
        patch: the encoder's patch, to count tokens.
        group: the encoder's bands per group, to count tokens.
        max_tokens: most tokens that the encoder's transformer sees.
        mean: of reflectance; see ``spectra.scale_of`` for all units.
        std: of reflectance.
        kelvin: mean and standard deviation of temperatures.
        dn_scale: digital numbers at a reflectance of 1; None scales each item by its own 98th percentile.

    Returns:
        "pixels" (C, h, w) float32, "valid" (h, w) bool, "band_mask" (C,) bool, "wavelengths" (C,) and "fwhm" (C,)
        micrometres, ascending. For heads: "alive" (N,) bool, which of the item's own N bands, in this order, the C are,
        and "middle" (2,), the row and the column in the middle of the window.

    Raises:
        ValueError: no wavelengths, several dates, units that are no spectrum, or no valid pixel or band.
    """
    centres, widths = wavelengths_of(item)
    values = one_date(item, "hyperspectral")
    there = np.ones(values.shape[-2:], bool) if item.valid is None else need_valid(item.valid)
    alive = (np.isfinite(values) & (values != 0) & there).any((1, 2))
    if not alive.any():
        raise ValueError(f"all {len(values)} bands hold nothing but zeros or NaN; check the file or its nodata value")
    order = np.argsort(centres, kind="stable")
    alive = alive[order]
    order = order[alive]
    cube = Raster(values[order], item.units, valid=item.valid)
    groups = -(-len(order) // group)
    longest = min(size, patch * max(1, math.isqrt(max_tokens // groups)))
    scale = {"mean": mean, "std": std, "kelvin": kelvin, "dn_scale": dn_scale}
    pixels, valid, present = sample_of(cube, longest=longest, scale=scale)
    return {
        "pixels": pixels[0],
        "valid": valid[0],
        "band_mask": torch.from_numpy(present[0]),
        "wavelengths": torch.from_numpy(centres[order].astype(np.float32)),
        "fwhm": torch.from_numpy(widths[order].astype(np.float32)),
        "alive": torch.from_numpy(alive),
        "middle": torch.tensor(pixels.shape[-2:]) // 2,
    }


def own_numbers(
    pixels: Tensor, valid: Tensor, band_mask: Tensor, alive: Tensor, middle: Tensor, **_: Tensor
) -> Tensor:
    """(B, 5 N + 2): the middle pixel's spectrum, mean and spread of the valid pixels; NaN where there is none.

    Every band has its place, whichever others hold no number: a small window loses one to a zero where its neighbour
    does not. Then the first two of these once more, as logarithms about their own mean over the bands, and these means:
    what a surface reflects of each band, whatever falls on it, apart from how bright it is. (Shade and slope scale a
    whole spectrum, which the spectral angle of Kruse et al., Remote Sens. Environ. 1993, leaves out in the same way.)
    """
    there = valid[:, None].to(pixels.dtype)
    count = there.sum((2, 3)).clamp(min=1)
    mean = (pixels * there).sum((2, 3)) / count
    spread = (((pixels - mean[..., None, None]) * there).square().sum((2, 3)) / count).sqrt()
    inmost = _at(middle, pixels, valid)
    plain = torch.stack([inmost, mean, spread], 1).masked_fill(~band_mask[:, None], torch.nan)
    shape, bright = _light(torch.stack([inmost, mean], 1), band_mask)
    place = (alive.long().cumsum(1) - 1).clamp(0, plain.shape[2] - 1)[:, None]  # (B, 1, N) among the C
    spectra = torch.cat([plain, shape], 1)
    spectra = spectra.gather(2, place.expand(-1, spectra.shape[1], -1)).masked_fill(~alive[:, None], torch.nan)
    return torch.cat([spectra.flatten(1), bright], 1)


def beside(
    pixels: Tensor, valid: Tensor, band_mask: Tensor, wavelengths: Tensor, middle: Tensor, **_: Tensor
) -> Tensor:
    """(B, PLACES) the logarithms of ``own_numbers``, exactly (``_exact.py``), each by its band's wavelength."""
    there = valid[:, None].to(pixels.dtype)
    mean = (pixels * there).sum((2, 3)) / there.sum((2, 3)).clamp(min=1)
    shape, bright = _light(torch.stack([_at(middle, pixels, valid), mean], 1), band_mask)
    names = torch.cat([(wavelengths * 1e4).round().long(), torch.zeros_like(band_mask[:, :1], dtype=torch.long)], 1)
    keys = torch.stack([2 * names, 2 * names + 1], 1)  # of the middle pixel and of the mean; 0 and 1: how bright
    return count_sketch(waves(torch.cat([shape, bright[..., None]], 2)).flatten(1, 2), keys.flatten(1), PLACES)


def _at(middle: Tensor, pixels: Tensor, valid: Tensor) -> Tensor:
    """(B, C) the spectrum in the middle of each window, NaN where it is not valid.

    A window is about the pixel in its middle, wherever the valid ones lie and whatever a batch pads it with.
    """
    at = torch.arange(len(pixels), device=pixels.device), *middle.T
    return pixels.movedim(1, 3)[at].masked_fill(~valid[at][:, None], torch.nan)


def _light(spectra: Tensor, band_mask: Tensor) -> tuple[Tensor, Tensor]:
    """(B, S, C) spectra -> the same as logarithms about their own mean over the bands, NaN where there is none; (B, S)
    these means. Above darkness, in standard deviations of reflectance as ``prepare`` takes them by default.
    """
    light = (spectra + MEAN / STD).clamp(min=_DARKEST).log().masked_fill(~band_mask[:, None], torch.nan)
    bright = light.nanmean(2)
    return light - bright[..., None], bright


class HyperspectralEncoder(Encoder):
    """A token per patch and group of bands; a patch's groups are pooled at the end, so tokens always lie on the grid.

    Args:
        width: D.
        depth: blocks.
        heads: attention heads.
        patch: side of a patch in pixels.
        group: bands per group.
        rank: virtual bands of the embedding.
        mlp_ratio: hidden width of the MLPs over D.
        drop_path: stochastic depth at the last block.
        moments: virtual bands of the linear road past the transformer (``moments.py``); 0: there is none.
    """

    def __init__(
        self,
        width: int = 128,
        depth: int = 4,
        heads: int = 4,
        patch: int = 4,
        group: int = 10,
        rank: int = 32,
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
        moments: int = 0,
    ) -> None:
        super().__init__()
        self.width, self.group = width, group
        self.embedding = SpectralPatchEmbedding(width, patch, rank)
        self.transformer = Transformer(width, depth, heads, mlp_ratio, drop_path)
        self.pool = StepPool(width, heads)
        self.moments = Moments(width, moments, waves=1, seasons=0) if moments else None

    def forward(  # type: ignore[override]
        self, pixels: Tensor, valid: Tensor, band_mask: Tensor, wavelengths: Tensor, fwhm: Tensor, **_: Tensor
    ) -> Tokens:
        """One collated batch -> a token per patch.

        Args:
            pixels: (B, C, H, W) standardised, bands in order of wavelength, padding last.
            valid: (B, H, W) bool.
            band_mask: (B, C) bool.
            wavelengths: (B, C) micrometres.
            fwhm: (B, C) micrometres.
            _: what heads alone read (``own_numbers``).

        Returns:
            (B, h · w, D) on the grid (h, w), a token real where any pixel of its patch is valid.
        """
        B, C, H, W = pixels.shape
        g = self.group
        extra = -C % g
        groups = F.pad(pixels, (0, 0, 0, 0, 0, extra)).view(B, -1, g, H, W)
        bands = F.pad(band_mask, (0, extra)).view(B, -1, g)
        centres = F.pad(wavelengths, (0, extra), value=1.0).view(B, -1, g)
        widths = F.pad(fwhm, (0, extra), value=1.0).view(B, -1, g)
        T = bands.shape[1]
        real = valid[:, None] & bands.any(2)[..., None, None]  # (B, T, H, W): a group of padding has no pixel
        x, mask, (h, w) = self.embedding(groups, real, bands, centres, widths)
        x = x + positions_2d(h, w, self.width, x.device).to(x.dtype)
        x = self.transformer(x.flatten(1, 2), mask.flatten(1)).view(B, T, -1, self.width)
        features, mask = self.pool(x, mask)
        if self.moments is not None:
            features = features + self.road(pixels, valid, band_mask, wavelengths, fwhm)[0]
        return Tokens(features, mask, (h, w))

    def road(
        self, pixels: Tensor, valid: Tensor, band_mask: Tensor, wavelengths: Tensor, fwhm: Tensor, **_: Tensor
    ) -> tuple[Tensor, Tensor]:
        """What ``moments`` adds to the tokens of one collated batch: (B, h · w, D), and their mask.

        Raises:
            ValueError: the encoder was made without moments.
        """
        if self.moments is None:
            raise ValueError("the encoder has no moments; make it with moments=24, say")
        place = pixels.new_zeros(len(pixels), 1)  # of a single date, which tells no season
        out: tuple[Tensor, Tensor] = self.moments(
            pixels[:, None], valid[:, None], band_mask[:, None], wavelengths[:, None], fwhm[:, None], place,
            place.new_zeros(len(pixels), 1, 0), self.embedding.patch,
        )  # fmt: skip
        return out


register(
    Modality(
        name="hyperspectral",
        item=Raster,
        prepare=prepare,
        encoder=HyperspectralEncoder,
        prompt="A hyperspectral observation, surface reflectance in many narrow bands:",
        recognises=recognises,
        collate=collate,
        input={
            "size": 64,
            "patch": 4,
            "group": 10,
            "max_tokens": 768,
            "mean": MEAN,
            "std": STD,
            "kelvin": [290.0, 20.0],
            "dn_scale": None,
        },
        config={
            "width": 128,
            "depth": 4,
            "heads": 4,
            "patch": 4,
            "group": 10,
            "rank": 32,
            "mlp_ratio": 4.0,
            "drop_path": 0.0,
            "moments": 24,
        },
        augment=spectrum,
        numbers=own_numbers,
        beside=beside,
        pieces=False,
    )
)
