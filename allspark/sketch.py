"""Words and programs as a vector of their exact characters, without training: what stands for an encoder of them.

A language model's vectors say what words mean; which words they are, exactly, is what tells one program from another,
and what few examples of a new kind of text have in common. So every string of two to five characters of a word, every
word and sign, and every pair of neighbouring ones is added into one of ``WIDTH`` numbers, which one and with which sign
by its hash (count sketch, Charikar et al., ICALP 2002; feature hashing, Weinberger et al., ICML 2009). Inner products
of such vectors are those of the counts themselves, but for a little noise.

How rare each is was counted once, over English books, a dictionary, captions and programs
(``recipes/allspark-base/rarity.py``); the table lies beside this file and is the same for every language model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file
from torch import Tensor

WIDTH = 4096
PLACES = 1 << 17  # of the table of rarities, for each of the two views
TABLE = Path(__file__).with_name("sketch.safetensors")
SHORTEST, LONGEST = 2, 5  # characters in a row, blanks at a word's ends counted
RARITY = {"characters": 1.5, "words": 1.0}  # power of the logarithm of how rare it is
SHARE = {"characters": 1.0, "words": 0.7}  # length of each view's part
STEPS = 16.0  # of the table, in one unit of the logarithm
_ODD, _MORE = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)  # 2^64 over the golden ratio; splitmix64's
_BASE = np.uint64(6364136223846793005)  # of the polynomial over characters, modulo 2^64
_BLANK = 32


def _mixed(keys: np.ndarray) -> np.ndarray:
    """(M,) uint64 -> (M,) uint64 whose bits all depend on all of the key's."""
    keys = keys * _ODD
    keys = (keys ^ (keys >> np.uint64(29))) * _MORE
    return keys ^ (keys >> np.uint64(32))


def _characters(text: str) -> np.ndarray:
    """Lower case, one blank between words and at both ends: (L,) code points; none of a text without words."""
    told = text.lower().split()
    spaced = f" {' '.join(told)} " if told else ""
    return np.frombuffer(spaced.encode("utf-32-le", "replace"), np.uint32).astype(np.uint64)


def strings(text: str) -> np.ndarray:
    """(M,) uint64: the hash of every string of ``SHORTEST`` to ``LONGEST`` characters that no blank cuts in two."""
    letters = _characters(text)
    blank = letters == _BLANK
    found, hashed = [], letters
    for length in range(2, min(LONGEST, len(letters)) + 1):
        hashed = hashed[:-1] * _BASE + letters[length - 1 :]
        if length < SHORTEST:
            continue
        inner = np.zeros(len(hashed), bool)  # blanks may stand at its ends
        for place in range(1, length - 1):
            inner |= blank[place : place + len(hashed)]
        found.append(hashed[~inner] + np.uint64(length))
    return _mixed(np.concatenate(found)) if found else np.zeros(0, np.uint64)


def words(text: str) -> np.ndarray:
    """(M,) uint64: the hash of every word and sign, then of every two that follow each other."""
    letters = _characters(text)
    inside = np.array([c == 95 or chr(c).isalnum() for c in letters.tolist()], bool)
    # a word begins where its first letter stands, a sign is a word of its own
    begins = (letters != _BLANK) & ~(inside & np.concatenate([[False], inside[:-1]]))
    starts = begins.nonzero()[0]
    if not len(starts):
        return np.zeros(0, np.uint64)
    kept = np.where(letters == _BLANK, np.uint64(0), letters + np.uint64(1))
    place = np.arange(len(letters)) - starts[np.maximum(begins.cumsum() - 1, 0)]
    single = np.add.reduceat(kept * _powers(len(letters))[np.maximum(place, 0)], starts)
    pairs = _mixed(single[:-1]) * _BASE + single[1:]
    return np.concatenate([_mixed(single), _mixed(pairs)])


def _powers(count: int) -> np.ndarray:
    """(count,) uint64: powers of the base modulo 2^64."""
    return np.concatenate([np.ones(1, np.uint64), np.full(count - 1, _BASE)]).cumprod(dtype=np.uint64)


VIEWS = {"characters": strings, "words": words}


def place(keys: np.ndarray) -> np.ndarray:
    """(M,) hashes -> their places in the table of rarities."""
    return (keys >> np.uint64(40)).astype(np.int64) & (PLACES - 1)


@cache
def rarity() -> dict[str, np.ndarray]:
    """View -> (PLACES,) float32: log((1 + N) / (1 + n)) + 1 of what n of the N counted documents hold."""
    return {name: 1 + table.astype(np.float32) / STEPS for name, table in load_file(TABLE).items()}


def weighed(text: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Of each view: (M,) different hashes and (M,) float32 weights, whose length is the view's share.

    What stands c times counts (1 + log c) times a power of its rarity.
    """
    for name, view in VIEWS.items():
        keys, count = np.unique(view(text), return_counts=True)
        weight = (1 + np.log(count)) * rarity()[name][place(keys)] ** RARITY[name]
        length = float(np.sqrt(np.square(weight).sum()))
        yield keys, (SHARE[name] * weight / max(length, 1e-12)).astype(np.float32)


def sketch(texts: Sequence[str]) -> Tensor:
    """B texts or programs -> (B, WIDTH) float32 of unit length; zeros of a text that holds nothing."""
    out = np.zeros((len(texts), WIDTH), np.float32)
    for row, text in zip(out, texts, strict=True):
        for keys, weight in weighed(text):
            sign = 1 - 2 * ((keys >> np.uint64(20)) & np.uint64(1)).astype(np.float32)
            # bits that tell neither the sign nor the place in the table
            row += np.bincount((keys & np.uint64(WIDTH - 1)).astype(np.int64), weight * sign, WIDTH)
    return torch.nn.functional.normalize(torch.from_numpy(out), dim=1)
