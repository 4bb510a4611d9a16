"""A linear road past the transformer of multispectral series: a module, not a modality.

Attention blocks that learn some classes need not carry what else stands in a series, and examples of other classes are
then told apart worse by an encoder than by the raw spectra. Ridge regression on raw spectra sees every band at every
date; this module gives it nearly as much in a vector of one length for any sensor and any dates.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .spectral import BAND_FEATURES, in_patches, wavelength_features
from .vit import Mlp

_PARTS = 5  # mean, shape, log, spread, contrast
_START = 0.13  # of the output's weights: as loud as the transformer's features within one scene's classes


class Moments(nn.Module):
    """What a patch's spectra are over the dates, as weighted sums: no attention, nothing but the bands' weights bent.

    A patch has five spectra at each date: the mean over its pixels, that mean's shape (standardised over bands), the
    mean of the logarithms (dark bands count as much as bright ones), the logarithms' spread over the patch's pixels and
    their distance from the item's mean (both texture). Each is mixed into R virtual bands by weights that a small
    network emits from the bands' wavelengths, then summed over the dates by cosines of the place in the series and by
    the seasons (a discrete cosine transform over irregular dates), and all goes through one linear layer.

    The layer starts at random, not at zero: a random projection already keeps what the sums say.

    Args:
        width: D.
        rank: R.
        waves: cosines over the series, the constant among them.
        seasons: S, features of the calendar per date.
        hidden: width of the network that emits the bands' weights.
    """

    def __init__(self, width: int, rank: int, waves: int, seasons: int, hidden: int = 64) -> None:
        super().__init__()
        self.rank, self.waves = rank, waves
        self.bands = Mlp(BAND_FEATURES, hidden, _PARTS * rank)
        self.out = nn.Linear(_PARTS * rank * (waves + seasons), width, bias=False)
        for layer in (self.bands.fc1, self.bands.fc2):
            nn.init.normal_(layer.weight, std=1.4 * layer.in_features**-0.5)
            nn.init.zeros_(layer.bias)
        nn.init.normal_(self.out.weight, std=_START)

    def forward(
        self,
        pixels: Tensor,
        valid: Tensor,
        band_mask: Tensor,
        wavelengths: Tensor,
        fwhm: Tensor,
        place: Tensor,
        seasons: Tensor,
        patch: int,
    ) -> tuple[Tensor, Tensor]:
        """T dates of each of B items -> (B, h · w, D) and its (B, h · w) mask; zeros where no date is valid.

        Args:
            pixels: (B, T, C, H, W), standardised: −1 is a reflectance of 0.
            valid: (B, T, H, W) bool.
            band_mask: (B, T, C) bool.
            wavelengths: (B, 1, C) micrometres.
            fwhm: likewise.
            place: (B, T) of each date in its series, 0 to 1.
            seasons: (B, T, S).
            patch: side in pixels.
        """
        x, seen, _ = in_patches(pixels, valid, band_mask, patch)
        count = seen.sum((3, 5)).flatten(2)  # (B, T, N)
        many = count.clamp(min=1)[:, :, None]
        # like a logarithm of the reflectance from about 0.03 on, and defined for any number
        logs = torch.asinh(5 * (x + 1)) * (seen[:, :, None] & band_mask[:, :, :, None, None, None, None])
        mean = x.sum((4, 6)).flatten(3) / many  # (B, T, C, N)
        log = logs.sum((4, 6)).flatten(3) / many
        spread = (logs.square().sum((4, 6)).flatten(3) / many - log.square()).clamp(min=1e-6).sqrt()
        whole = (log * count[:, :, None]).sum(-1, keepdim=True) / count.sum(-1).clamp(min=1)[:, :, None, None]
        share = band_mask / band_mask.sum(-1, keepdim=True).clamp(min=1)  # (B, T, C), sums to 1
        centred = mean - (share[..., None] * mean).sum(2, keepdim=True)
        shape = centred * ((share[..., None] * centred.square()).sum(2, keepdim=True) + 1e-2).rsqrt()
        spectra = (mean, shape, log, 3 * spread, 3 * (log - whole).abs())

        mixing = self.bands(wavelength_features(wavelengths, fwhm)) * share[..., None]  # (B, T, C, 5R)
        parts = mixing.transpose(2, 3).split(self.rank, dim=2)
        virtual = torch.cat([m @ v.to(m.dtype) for m, v in zip(parts, spectra, strict=True)], 2)  # (B, T, 5R, N)
        order = torch.arange(self.waves, device=place.device)
        basis = torch.cat([torch.cos(math.pi * order * place[..., None]), seasons], -1)  # (B, T, K)
        real = (count > 0).to(virtual.dtype)  # (B, T, N)
        weight = real / real.sum(1, keepdim=True).clamp(min=1)
        sums = torch.einsum("btk,btn,btrn->bnkr", basis.to(virtual.dtype), weight, virtual)
        return self.out(sums.flatten(2)), real.any(1)
