"""Miniature look-alikes of archives, and the checks that hold for every source."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from allspark.evaluate import sources

RNG = np.random.default_rng(0)


def archive(root: Path, name: str, members: dict[str, bytes | str]) -> None:
    path = root / sources.get(name).files[0]
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as opened:
        for member, content in members.items():
            opened.writestr(member, content)


def tar(members: dict[str, str], mode: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as opened:
        for member, content in members.items():
            info = tarfile.TarInfo(member)
            info.size = len(content.encode("latin-1"))
            opened.addfile(info, io.BytesIO(content.encode("latin-1")))
    return buffer.getvalue()


def image(kind: str, height: int, width: int, bands: int = 3) -> bytes:
    pixels = RNG.integers(0, 256, (height, width, bands), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels if bands == 3 else pixels[..., 0]).save(buffer, kind)
    return buffer.getvalue()


def geotiff(values: np.ndarray, west: float, north: float) -> bytes:
    from rasterio import Affine
    from rasterio.io import MemoryFile

    with MemoryFile() as memory:
        with memory.open(
            driver="GTiff", count=len(values), height=values.shape[1], width=values.shape[2], dtype=values.dtype,
            crs="EPSG:32721", transform=Affine(10, 0, west, 0, -10, north),
        ) as opened:  # fmt: skip
            opened.write(values)
        return memory.read()


def mat(**arrays: np.ndarray) -> bytes:
    from scipy.io import savemat

    buffer = io.BytesIO()
    savemat(buffer, arrays)
    return buffer.getvalue()


def everything(name: str, root: Path) -> dict[str, list[sources.Record]]:
    """The records of every split, after checks that hold for every source."""
    source = sources.get(name)
    found = {split: sources.load(source, root, split) for split in sources.SPLITS}
    trained = found["train"] + found["val"]
    assert not {r.label for r in trained} & set(source.kept_out)
    assert {r.label for records in found.values() for r in records} <= set(source.labels) | {""}
    for split in ("val", "test", "seen"):
        assert not {r.group for r in found[split]} & {r.group for r in found["train"]}, split
    assert not {r.group for r in found["val"]} & {r.group for r in found["test"] + found["seen"]}
    return found
