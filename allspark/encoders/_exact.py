"""What an item says exactly, as a vector that stands beside what its encoder says of it, where few examples decide.

An encoder says what an item is like, in the terms of what it was trained on; examples of other classes often differ in
the value of one column or the depth of one band. Named values are added to hashed places of one vector (count sketch,
Charikar et al., ICALP 2002; feature hashing, Weinberger et al., ICML 2009), as they are and as sines and cosines, whose
inner products fall with the distance of two values and so stand for any smooth function of each of them (random Fourier
features, Rahimi and Recht, NeurIPS 2007, here of fixed rates). Nothing is learned.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

OCTAVES = 4  # wavelengths of 8, 4, 2 and 1
WAVES = 1 + 2 * OCTAVES
_LOUD = 0.25  # length of a sketch, half as loud as the tokens' mean
_FAR = 4.0  # beyond this a value by itself does not count for more
_HASHES = 2  # places of every number
_MIX = 0x2545F4914F6CDD1D  # odd; products wrap around at 64 bits


def waves(values: Tensor) -> Tensor:
    """(…) standardised values -> (…, WAVES): the value, its sines and its cosines; zeros where it is NaN."""
    values = values.float()[..., None]
    angles = values * (2 * torch.pi / 8 * 2.0 ** torch.arange(OCTAVES, device=values.device))
    return torch.cat([values.clamp(-_FAR, _FAR), angles.sin(), angles.cos()], -1).nan_to_num(0.0)


def count_sketch(features: Tensor, keys: Tensor, places: int) -> Tensor:
    """What N named things say -> one vector, in which each number of each name has places of its own.

    Args:
        features: (B, N, F) float32, F at most 64; what is zero leaves no trace.
        keys: (B, N) int64, the same for the same name in every item, below 2^56.
        places: P, a power of two.

    Returns:
        (B, P) rows of length 1/4, or zero.
    """
    numbered = keys[..., None] * 64 + torch.arange(features.shape[-1], device=keys.device)
    out = features.new_zeros(len(features), places)
    for hashed in range(_HASHES):
        mixed = (numbered * _HASHES + hashed + 1) * _MIX
        mixed = (mixed ^ (mixed >> 31)) * _MIX
        place, sign = (mixed >> 40) & (places - 1), 1 - 2 * ((mixed >> 33) & 1)
        out.scatter_add_(1, place.flatten(1), (features * sign).flatten(1))
    return _LOUD * F.normalize(out, dim=-1)
