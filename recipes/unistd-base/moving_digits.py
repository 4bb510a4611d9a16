"""Moving MNIST, made from a file of digits as its paper makes it (Srivastava et al., arXiv 1502.04681, section 3.2).

Two digits of 28 × 28 start at random places of a 64 × 64 frame, move at a constant speed in a random direction,
bounce off the edges and pass over each other (the brighter pixel wins). Digits and seeds of training, validation and
test differ.
"""

from __future__ import annotations

import gzip
import io
import math
import struct
import zipfile
from pathlib import Path

import torch
from torch import Tensor

SIDE, DIGIT = 64, 28


def read_digits(archive: Path, member: str = "t10k-images-idx3-ubyte.gz") -> Tensor:
    """The (N, 28, 28) uint8 digits of an IDX file inside a zip.

    Raises:
        ValueError: not an IDX file of 28 × 28 images.
    """
    with zipfile.ZipFile(archive) as opened:
        raw = gzip.GzipFile(fileobj=io.BytesIO(opened.read(member))).read()
    magic, count, high, wide = struct.unpack(">IIII", raw[:16])
    if magic != 2051 or (high, wide) != (DIGIT, DIGIT) or len(raw) != 16 + count * high * wide:
        raise ValueError(f"{member} in {archive} is not an IDX file of {DIGIT} x {DIGIT} images; fetch it again")
    return torch.frombuffer(bytearray(raw[16:]), dtype=torch.uint8).view(count, high, wide)


def paths(frames: int, count: int, random: torch.Generator, speed: float = 3.6) -> Tensor:
    """(count, frames, 2) top left corners in pixels: straight lines, reflected at the edges of the room.

    Args:
        frames: T.
        count: digits.
        random: the source of places and directions.
        speed: pixels a frame; a step of 0.1 of the room, as in the original's code.
    """
    room = SIDE - DIGIT
    start = torch.rand(count, 1, 2, generator=random) * room
    angle = torch.rand(count, 1, generator=random) * 2 * math.pi
    steps = torch.arange(frames)[None, :, None] * speed
    free = start + steps * torch.stack([angle.sin(), angle.cos()], -1)
    folded = free.remainder(2 * room)  # a reflected line is a straight one on a mirrored floor
    return torch.where(folded > room, 2 * room - folded, folded)


def sequence(digits: Tensor, frames: int, random: torch.Generator, each: int = 2) -> Tensor:
    """One sequence (T, 1, 64, 64) uint8 of ``each`` digits drawn from ``digits``."""
    chosen = torch.randint(len(digits), (each,), generator=random).tolist()
    places = paths(frames, each, random).round().int().tolist()
    field = torch.zeros(frames, 1, SIDE, SIDE, dtype=torch.uint8)
    for digit, path in zip(chosen, places):
        for t, (row, column) in enumerate(path):
            window = field[t, 0, row : row + DIGIT, column : column + DIGIT]
            torch.maximum(window, digits[digit], out=window)
    return field


def sequences(digits: Tensor, count: int, frames: int = 20, seed: int = 0) -> list[Tensor]:
    """``count`` sequences from a fixed seed."""
    random = torch.Generator().manual_seed(seed)
    return [sequence(digits, frames, random) for _ in range(count)]
