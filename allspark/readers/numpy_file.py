"""NumPy's .npy and .npz without pickles: the arrays of a file by name."""

from __future__ import annotations

import struct
import tokenize
import zipfile
import zlib
from pathlib import Path

import numpy as np

from . import UnreadableFileError

# what numpy, zipfile and zlib raise over damaged bytes
DAMAGED = (
    ValueError, OSError, EOFError, KeyError, TypeError, SyntaxError, RuntimeError, MemoryError, OverflowError,
    tokenize.TokenError, struct.error, zlib.error, zipfile.BadZipFile,
)  # fmt: skip


def load_arrays(path: Path, name: str) -> dict[str, np.ndarray]:
    """Name -> array; the one array of an .npy goes by "".

    Args:
        path: a real file.
        name: what errors call it.

    Raises:
        UnreadableFileError: truncated, or Python objects where numbers were wanted; nothing is ever unpickled.
    """
    try:
        with open(path, "rb") as opened:  # numpy leaves a damaged file open, so it is closed here
            loaded = np.load(opened, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return {"": loaded}
            with loaded:
                return {key: loaded[key] for key in loaded.files}
    except DAMAGED as error:
        raise UnreadableFileError(
            f"{name} is truncated or holds Python objects ({error}); wanted arrays of numbers; save it again"
        ) from error


def header(path: Path) -> tuple[tuple[int, ...], np.dtype] | None:
    """The shape and type of an .npy without reading its numbers; None where it is damaged."""
    try:
        with open(path, "rb") as opened:
            version = np.lib.format.read_magic(opened)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(opened)
    except DAMAGED:
        return None
    return shape, dtype


def names(path: Path) -> list[str]:
    """The names of an .npz's arrays; empty where it is damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.removesuffix(".npy") for name in archive.namelist()]
    except DAMAGED:
        return []
