"""Synthetic aperture radar: named polarisations in decibels, a convolutional stem, and a patch transformer.

A radar has one frequency per sensor and its bands are polarisations, so no wavelength is invented for them. Each
polarisation has its own plane of the first convolution, and the planes of those present are summed.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from ..items import POLARISATIONS, Raster
from ..modality import Modality, register
from ._augment import radar
from .base import Encoder, Tokens
from .pixels import SAR_UNITS, crop_around_valid, need_valid, on_grid, one_date, resize
from .road import Road, map_numbers
from .vit import PatchTransformer, token_mask

PLANES = (*POLARISATIONS, "unknown")  # the last one: a chip that does not say its polarisation
_FLOOR = -50.0  # dB: below the noise of any sensor; for amplitudes of unknown scale, below the chip's brightest pixel


def recognises(item: Raster) -> bool:
    """Radar units, and bands that are polarisations; or one band of amplitude without a name."""
    if item.units not in SAR_UNITS:
        return False
    if item.bands is None:
        return item.units == "amplitude" and item.values.shape[-3] == 1
    return {band.upper() for band in item.bands} <= set(POLARISATIONS)


def prepare(
    item: Raster,
    *,
    size: int = 128,
    mean: Sequence[float] = (-12.0, -19.0, -12.0, -19.0),
    std: Sequence[float] = (5.5, 6.0, 5.5, 6.0),
) -> dict[str, Tensor]:
    """Backscatter in any of its units -> standardised decibels on one plane per polarisation.

    - "db" and "linear" (power, 10 · log10) of a named polarisation are calibrated: (x − mean) / std of its own.
    - "amplitude" (20 · log10) and an 8-bit chip have an unknown scale, and so has a polarisation without a name: every
      such plane is standardised by its own valid pixels, so a factor on the chip changes nothing.
    - The scale of a chip carries meaning, so nothing is enlarged and little is reduced: a raster whose shorter side is
      at most 2 · size is cropped in the middle; a larger one is averaged in linear power, never in decibels, until its
      shorter side is ``size``; a smaller one is padded with invalid pixels all round.

    Args:
        item: a Raster in "db", "linear" or "amplitude" ("uint8" is read as amplitude) whose bands are among VV, VH, HH
            and HV in any order, or one band without a name.
        size: S, pixels per side.
        mean: in dB, for VV, VH, HH, HV.
        std: likewise.

    Returns:
        "pixels" (5, S, S) float32 in the order VV, VH, HH, HV, unknown, 0 where a polarisation is absent or a pixel
        invalid; "valid" (S, S) bool; "polarisations" (5,) bool, which planes are present.

    Raises:
        ValueError: other units, bands that are no polarisations, several dates, or no valid pixel.
    """
    if item.units not in (*SAR_UNITS, "uint8"):
        raise ValueError(f"a raster in {item.units} came; sar wants db, linear or amplitude; name its units")
    values = one_date(item, "sar")
    if item.bands is None:
        if len(values) != 1:
            raise ValueError(f"{len(values)} bands without names came; sar wants VV VH HH HV; name them with bands=")
        planes = [len(POLARISATIONS)]
    else:
        names = [band.upper() for band in item.bands]
        if not set(names) <= set(POLARISATIONS) or len(set(names)) != len(names):
            raise ValueError(f"bands {', '.join(item.bands)} came; sar wants each of VV, VH, HH, HV at most once")
        planes = [POLARISATIONS.index(name) for name in names]
    valid = need_valid(item.mask)
    shorter = min(valid.shape)
    side = shorter if shorter > 2 * size else size
    window = crop_around_valid(valid, side, side)
    values, valid = values[:, *window].astype(np.float32), need_valid(valid[window])
    decibels, mask = _decibels(values, item.units, valid, size if side != size else None)

    pixels = torch.zeros(len(PLANES), size, size)
    inside = torch.zeros(size, size, dtype=torch.bool)
    h, w = mask.shape
    place = (slice((size - h) // 2, (size - h) // 2 + h), slice((size - w) // 2, (size - w) // 2 + w))
    inside[place] = mask
    for plane, band in zip(planes, decibels):
        if item.units in ("db", "linear") and plane < len(POLARISATIONS):
            band = (band - mean[plane]) / std[plane]
        else:
            band = (band - band[mask].mean()) / band[mask].std(correction=0).clamp(min=0.1)
        pixels[plane][place] = torch.where(mask, band, 0.0)
    present = torch.zeros(len(PLANES), dtype=torch.bool)
    present[planes] = True
    return {"pixels": pixels, "valid": inside, "polarisations": present}


def _decibels(values: np.ndarray, units: str, valid: np.ndarray, size: int | None) -> tuple[Tensor, Tensor]:
    """(C, H, W) -> (C, h, w) dB, averaged in power where a ``size`` is given, and the mask (h, w)."""
    values = np.where(valid, values, 0)
    if units == "db":
        power = 10.0 ** (np.clip(values, _FLOOR, 100) / 10)
    elif units == "linear":
        power = values
    else:
        power = np.square(values)
    target = (size, size) if size else valid.shape
    power, mask = resize(power, valid, target, mode="area")
    floor = 10.0 ** (_FLOOR / 10)
    if units in ("db", "linear"):
        return 10 * power.clamp(min=floor).log10(), mask
    brightest = power.amax((1, 2), keepdim=True).clamp(min=1e-30)
    return 10 * (power / brightest).clamp(min=floor).log10(), mask


def own_numbers(pixels: Tensor, valid: Tensor, polarisations: Tensor) -> Tensor:
    """(B, 5 · g²): every plane on a coarse grid, NaN where it is absent or nothing is valid."""
    return on_grid(pixels, valid[:, None] & polarisations[..., None, None], most=5120)


class SarEncoder(Encoder):
    """Four strided convolutions to stride 16, the first of which looks over 5 × 5 pixels, then transformer blocks.

    Args:
        width: D.
        depth: blocks.
        heads: attention heads.
        stem: channels of the first three convolutions; the fourth has D.
        mlp_ratio: hidden width of the MLPs over D.
        drop_path: stochastic depth at the last block.
        moments: is there a linear road past the transformer (``road.py``), from the pixels and the convolutions' maps?
    """

    def __init__(
        self,
        width: int = 192,
        depth: int = 4,
        heads: int = 3,
        stem: Sequence[int] = (32, 64, 128),
        mlp_ratio: float = 4.0,
        drop_path: float = 0.0,
        moments: bool = False,
    ) -> None:
        super().__init__()
        self.width = width
        channels = [len(PLANES), *stem, width]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a, b, 5 if i == 0 else 3, stride=2, padding=2 if i == 0 else 1, bias=False)
            for i, (a, b) in enumerate(pairwise(channels))
        )
        self.norms = nn.ModuleList(nn.GroupNorm(8, b) for b in channels[1:])
        self.transformer = PatchTransformer(width, width, depth, heads, mlp_ratio=mlp_ratio, drop_path=drop_path)
        self.finer = 2 * sum(channels[:-1])  # of the numbers that a road reads, those of maps before the last
        self.moments = Road(self.finer + width, width) if moments else None

    def forward(  # type: ignore[override]
        self, pixels: Tensor, valid: Tensor, polarisations: Tensor
    ) -> Tokens:
        """Standardised decibels -> tokens on a grid.

        Args:
            pixels: (B, 5, S, S), S a multiple of 16.
            valid: (B, S, S) bool.
            polarisations: (B, 5) bool; what stands in an absent plane is not read.

        Returns:
            (B, (S / 16)², D), a token real where a quarter of its pixels are valid.
        """
        maps = self._maps(pixels, valid, polarisations)
        features, mask, grid = self.transformer(maps[-1], valid)
        if self.moments is not None:
            features = features + self.moments(map_numbers(maps, valid, grid))
        return Tokens(features, mask, grid)

    def _maps(self, pixels: Tensor, valid: Tensor, polarisations: Tensor) -> list[Tensor]:
        """The standardised pixels and every convolution's map."""
        read = valid[:, None] & polarisations[..., None, None]
        x = torch.where(read, pixels, 0)
        # A sum over the planes present, kept at one scale however many there are.
        x = x * polarisations.sum(1).clamp(min=1).rsqrt().to(x.dtype)[:, None, None, None]
        maps = [x.contiguous(memory_format=torch.channels_last)]
        for convolution, norm in zip(self.convolutions, self.norms):
            maps.append(nn.functional.silu(norm(convolution(maps[-1]))))
        return maps

    def road_numbers(self, pixels: Tensor, valid: Tensor, polarisations: Tensor) -> tuple[Tensor, Tensor]:
        """What ``moments`` reads of one collated batch: (B, N, ·), and the tokens' mask (B, N)."""
        maps = self._maps(pixels, valid, polarisations)
        grid = (maps[-1].shape[2], maps[-1].shape[3])
        return map_numbers(maps, valid, grid), token_mask(valid, grid)


register(
    Modality(
        name="sar",
        item=Raster,
        prepare=prepare,
        encoder=SarEncoder,
        prompt="A synthetic aperture radar picture, backscatter in decibels:",
        recognises=recognises,
        input={"size": 128, "mean": [-12.0, -19.0, -12.0, -19.0], "std": [5.5, 6.0, 5.5, 6.0]},
        config={"width": 192, "depth": 4, "heads": 3, "stem": [32, 64, 128], "mlp_ratio": 4.0, "drop_path": 0.0,
                "moments": True},
        augment=radar,
        numbers=own_numbers,
    )
)
