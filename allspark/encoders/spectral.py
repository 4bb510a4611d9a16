"""The wavelength-conditioned patch embedding that multispectral and hyperspectral share: a module, not a modality.

A band's patch kernel is emitted by a small network from the band's centre wavelength and width, so one set of weights
reads 1 to 400 bands of any sensor in any order: the idea of DOFA (Xiong et al., arXiv 2403.15356). Design of our own:

- the kernel is of low rank, W(λ) = Σ_r a_r(λ) K_r, so a patch is first mixed into R virtual bands by a(λ) and then
  meets R ordinary patch kernels: the cost grows with the number of bands only through one small product;
- bands are averaged, not summed, over those present, so four bands and two hundred come out at one scale;
- a second path reads the mean spectrum of a patch's valid pixels, as it is and standardised over its own bands (its
  shape), through a small MLP: a patch of one pixel is as well described as a full one.

Wavelengths enter as sines and cosines of their logarithm: visible bands 5 nm apart and thermal ones at 12 µm are told
apart by the same features.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .vit import Mlp, init_weights

_RATES = 20  # waves over log2 of the wavelength: 1/8 to 64 per octave, the fastest resolving about 1 %
_WIDTH_RATES = 4
BAND_FEATURES = 2 * (_RATES + _WIDTH_RATES)  # of ``wavelength_features``


def wavelength_features(wavelengths: Tensor, fwhm: Tensor) -> Tensor:
    """Fourier features of bands.

    Args:
        wavelengths: (…) centres in micrometres, positive.
        fwhm: (…) full widths at half maximum in micrometres, positive.

    Returns:
        (…, 48) float32 within ±1.
    """
    device = wavelengths.device
    octave = wavelengths.float().log2()[..., None]
    ratio = (fwhm.float() / wavelengths.float()).log2().clamp(-12, 2)[..., None]  # spectral resolution
    rates = torch.exp2(torch.linspace(-3, 6, _RATES, device=device))
    slow = torch.exp2(torch.arange(_WIDTH_RATES, device=device) - 4.0)
    angles = 2 * math.pi * torch.cat([octave * rates, ratio * slow], dim=-1)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def in_patches(pixels: Tensor, valid: Tensor, band_mask: Tensor, patch: int) -> tuple[Tensor, Tensor, tuple[int, int]]:
    """Pixels (B, T, C, H, W) as (B, T, C, h, p, w, p), zero where invalid; valid likewise; and (h, w).

    A raster that the patch does not divide is padded with invalid pixels.
    """
    B, T, C, H, W = pixels.shape
    pixels = torch.where(valid[:, :, None] & band_mask[..., None, None], pixels, 0)
    if H % patch or W % patch:
        pixels, valid = F.pad(pixels, (0, -W % patch, 0, -H % patch)), F.pad(valid, (0, -W % patch, 0, -H % patch))
    h, w = pixels.shape[-2] // patch, pixels.shape[-1] // patch
    return pixels.view(B, T, C, h, patch, w, patch), valid.view(B, T, h, patch, w, patch), (h, w)


class SpectralPatchEmbedding(nn.Module):
    """Patches of any set of bands -> vectors.

    Args:
        width: D.
        patch: side of a patch in pixels; a raster that it does not divide is padded with invalid pixels.
        rank: R, the number of virtual bands.
        hidden: width of the network that emits the kernels.
    """

    def __init__(self, width: int, patch: int = 4, rank: int = 48, hidden: int = 128) -> None:
        super().__init__()
        self.width, self.patch, self.rank = width, patch, rank
        self.bands = Mlp(BAND_FEATURES, hidden, hidden)
        self.mixing = nn.Linear(hidden, 3 * rank)  # of pixels, of the mean spectrum, of its shape
        self.bias = nn.Linear(hidden, width)
        self.kernel = nn.Linear(rank * patch * patch, width, bias=False)
        self.spectrum = Mlp(2 * rank, width, width)
        self.norm = nn.LayerNorm(width)
        self.apply(init_weights)
        # Emitted numbers of order one from the start: with 0.02 throughout, the bands' differences would drown.
        for layer in (self.bands.fc1, self.bands.fc2, self.mixing, self.kernel, self.spectrum.fc1, self.spectrum.fc2):
            nn.init.xavier_uniform_(layer.weight)

    def forward(
        self, pixels: Tensor, valid: Tensor, band_mask: Tensor, wavelengths: Tensor, fwhm: Tensor
    ) -> tuple[Tensor, Tensor, tuple[int, int]]:
        """Embed T pictures (dates, or groups of bands) of each of B items.

        Args:
            pixels: (B, T, C, H, W), standardised.
            valid: (B, T, H, W) bool.
            band_mask: (B, T, C) bool, False for a band that is missing or padding.
            wavelengths: (B, T or 1, C) micrometres; any positive number where masked.
            fwhm: likewise.

        Returns:
            (B, T, h · w, D) features, their (B, T, h · w) mask (a patch with any valid pixel), and the grid (h, w).
        """
        p = self.patch
        B, T, C = pixels.shape[:3]
        x, seen, (h, w) = in_patches(pixels, valid, band_mask, p)
        count = seen.sum((3, 5)).flatten(2)  # (B, T, N) valid pixels of each patch
        spectrum = x.sum((4, 6)).flatten(3) / count.clamp(min=1)[:, :, None]  # (B, T, C, N)

        share = band_mask / band_mask.sum(-1, keepdim=True).clamp(min=1)  # (B, T, C), sums to 1
        centred = spectrum - (share[..., None] * spectrum).sum(2, keepdim=True)
        spread = (share[..., None] * centred.square()).sum(2, keepdim=True)
        shape = centred * (spread + 1e-2).rsqrt()

        known = self.bands(wavelength_features(wavelengths, fwhm))  # (B, T or 1, C, hidden)
        mixing = (self.mixing(F.gelu(known)) * share[..., None]).transpose(2, 3)  # (B, T, 3R, C)
        of_pixels, of_spectrum, of_shape = mixing.split(self.rank, dim=2)
        virtual = of_pixels @ x.flatten(3).to(mixing.dtype)  # (B, T, R, H · W)
        virtual = virtual.view(B, T, self.rank, h, p, w, p).permute(0, 1, 3, 5, 2, 4, 6).reshape(B, T, h * w, -1)
        vectors = torch.cat([of_spectrum @ spectrum.to(mixing.dtype), of_shape @ shape.to(mixing.dtype)], dim=2)
        bias = self.bias((F.gelu(known) * share[..., None]).sum(2, keepdim=True))  # (B, T, 1, D): which bands these are
        features = self.kernel(virtual) + self.spectrum(vectors.transpose(2, 3)) + bias
        return self.norm(features), count > 0, (h, w)


class StepPool(nn.Module):
    """Several tokens per patch (dates, or groups of bands) -> one, by learned weights per head over the real ones."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.score = nn.Linear(width, heads)
        self.apply(init_weights)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, N, D) and (B, T, N) bool -> (B, N, D) and (B, N) bool; zeros where no step is real."""
        B, T, N, D = x.shape
        score = self.score(x).float().masked_fill(~mask[..., None], -1e4)  # (B, T, N, heads)
        weight = score.softmax(1).to(x.dtype)
        y = (x.view(B, T, N, self.heads, -1) * weight[..., None]).sum(1).reshape(B, N, D)
        some = mask.any(1)
        return y * some[..., None].to(y.dtype), some
