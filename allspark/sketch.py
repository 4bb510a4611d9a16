"""Words and programs as a vector of their exact pieces, without training: what stands for an encoder of them.

A language model's vectors say what words mean; which words they are, exactly, is what tells one program from another,
and what few examples of a new kind of text have in common. So every piece, and every pair of neighbouring pieces, is
added into one of ``WIDTH`` numbers, which one and with which sign by its hash (count sketch, Charikar et al., ICALP
2002; feature hashing, Weinberger et al., ICML 2009). Inner products of such vectors are those of the counts themselves,
but for a little noise.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

WIDTH = 2048
LONGEST = 2  # pieces in a row
RARITY = 4  # power of the logarithm of a piece's number: vocabularies are ordered by frequency (Zipf)
_BITS = 40  # of a hash that tells pieces apart; the bits above tell the rows
_MASK = (1 << _BITS) - 1
_ODD = -7046029254386353131  # 2^64 over the golden ratio


def _mixed(keys: Tensor) -> Tensor:
    """int64 -> int64 whose bits all depend on all of the key's."""
    keys = keys * _ODD
    keys = keys ^ ((keys >> 29) & ((1 << 35) - 1))
    keys = keys * -4658895280553007687
    return keys ^ ((keys >> 32) & ((1 << 32) - 1))


def sketch(ids: Tensor, content: Tensor) -> Tensor:
    """Pieces (B, L) and which of them are the item's own (B, L) bool -> (B, WIDTH) float32 of unit length.

    A piece that stands c times counts (1 + log c) · log(2 + its number)⁴, a pair with the mean of both logarithms.
    """
    rows, length = ids.shape
    out = torch.zeros(rows * WIDTH, device=ids.device)
    for n in range(1, min(LONGEST, length) + 1):
        parts = ids.long().unfold(1, n, 1)  # (B, L - n + 1, n)
        row, column = content.unfold(1, n, 1).all(-1).nonzero(as_tuple=True)
        found = parts[row, column]  # (M, n)
        keys = torch.full_like(row, n)
        for piece in found.unbind(1):
            keys = _mixed(keys + piece)
        weight = (found.float() + 2).log().mean(1) ** RARITY
        keys, inverse, count = torch.unique((row << _BITS) | (keys & _MASK), return_inverse=True, return_counts=True)
        value = torch.zeros(len(keys), device=ids.device).scatter_(0, inverse, weight) * (1 + count.log())
        hashed = _mixed(keys & _MASK)
        sign = 1 - 2 * ((hashed >> 20) & 1)
        out.index_add_(0, (keys >> _BITS) * WIDTH + (hashed & (WIDTH - 1)), value * sign)
    return F.normalize(out.view(rows, WIDTH), dim=1)
