"""Archives of thousands of small members: opened once, decoded straight from their bytes.

``allspark.readers`` unpacks a member into a temporary file, which is right for one file and slow for ten thousand.
"""

from __future__ import annotations

import csv
import io
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

import numpy as np
from PIL import Image


def members(archive: zipfile.ZipFile, suffix: str, under: str = "") -> list[str]:
    """The archive's file names that end with ``suffix`` and start with ``under``, sorted."""
    return sorted(n for n in archive.namelist() if n.endswith(suffix) and n.startswith(under))


def picture(archive: zipfile.ZipFile, name: str, mode: str = "RGB") -> np.ndarray:
    """(C, H, W) uint8 of a compressed image; C is 3 for mode "RGB" and 1 for "L"."""
    with Image.open(io.BytesIO(archive.read(name))) as image:
        pixels = np.asarray(image.convert(mode))
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def geotiff(archive: zipfile.ZipFile, name: str) -> tuple[np.ndarray, dict[str, Any]]:
    """(C, H, W) and {"transform", "crs", "descriptions"} of a GeoTIFF in an archive."""
    from rasterio.io import MemoryFile

    with MemoryFile(archive.read(name)) as memory, memory.open() as opened:
        crs = None if opened.crs is None else opened.crs.to_string()
        return opened.read(), {"transform": opened.transform, "crs": crs, "descriptions": opened.descriptions}


def rows(archive: zipfile.ZipFile, name: str, delimiter: str = ",") -> Iterator[list[str]]:
    """The rows of a text table, as strings."""
    with archive.open(name) as raw:
        yield from csv.reader(io.TextIOWrapper(raw, encoding="utf-8-sig"), delimiter=delimiter)


def matrix(archive: zipfile.ZipFile, name: str, skip: int = 0, **options: Any) -> np.ndarray:
    """(rows, columns) of a text file of numbers."""
    import pandas as pd

    return pd.read_csv(io.BytesIO(archive.read(name)), header=None, skiprows=skip, **options).to_numpy()


def mat(archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    """The arrays of a MATLAB file (version 5)."""
    from scipy.io import loadmat

    return loadmat(io.BytesIO(archive.read(name)))


def tar_texts(path: Path, suffix: str = "", inside: str | None = None) -> Iterator[tuple[PurePosixPath, str]]:
    """(name, text) of every file of a tar of any compression, read once from front to back.

    Args:
        path: the tar, or the zip that holds it.
        suffix: only names with this ending.
        inside: the tar's name in the zip at ``path``.
    """
    if inside is not None:
        with zipfile.ZipFile(path) as archive, archive.open(inside) as raw:
            yield from _texts(raw, suffix)
    else:
        with open(path, "rb") as raw:
            yield from _texts(raw, suffix)


def _texts(raw: IO[bytes], suffix: str) -> Iterator[tuple[PurePosixPath, str]]:
    with tarfile.open(fileobj=raw, mode="r|*") as archive:
        for member in archive:
            name = PurePosixPath(member.name)
            if member.isfile() and name.name.endswith(suffix) and not name.name.startswith("."):
                content = archive.extractfile(member)
                if content is not None:
                    # programs and news of the nineties come in many encodings; latin-1 reads any byte
                    text = content.read()
                    try:
                        yield name, text.decode("utf-8")
                    except UnicodeDecodeError:
                        yield name, text.decode("latin-1")
