"""Where a raster lies: on disk or inside a zip archive, with its neighbours (headers, sidecars, other bands).

GDAL reads members of an archive in place, so a raster is never unpacked for it.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from os import PathLike, fspath
from pathlib import Path, PurePosixPath

from . import UnreadableFileError
from .archive import local, split

LARGEST_TEXT = 64 << 20  # bytes; headers and sidecars are far smaller


@lru_cache(maxsize=8)
def _contents(archive: str, modified: int, size: int) -> dict[str, int]:
    """Member -> bytes. Keyed by the archive's state, so a changed archive is listed anew."""
    try:
        with zipfile.ZipFile(archive) as opened:
            return {info.filename: info.file_size for info in opened.infolist() if not info.is_dir()}
    except (zipfile.BadZipFile, NotImplementedError) as error:
        raise UnreadableFileError(
            f"{archive} is not a readable zip archive ({error}); wanted a whole one; fetch it again"
        ) from error


@dataclass(frozen=True)
class Place:
    """A file or folder: ``root`` on disk, or ``inner`` in the archive ``root``."""

    root: Path
    inner: str | None
    shown: str  # what the user called it, for errors

    @property
    def name(self) -> str:
        """The base name."""
        return self.root.name if self.inner is None else PurePosixPath(self.inner).name

    @property
    def suffix(self) -> str:
        """The suffix in lower case, with its dot."""
        return PurePosixPath(self.name).suffix.lower()

    @property
    def stem(self) -> str:
        """The base name without its suffix."""
        return PurePosixPath(self.name).stem

    @property
    def gdal(self) -> str | Path:
        """What GDAL opens. A Path keeps rasterio from reading "a:b.tif" as an address."""
        if self.inner is None:
            return self.root
        return f"/vsizip/{{{self.root.resolve()}}}/{self.inner}"

    def _members(self) -> dict[str, int]:
        state = self.root.stat()
        return _contents(str(self.root.resolve()), state.st_mtime_ns, state.st_size)

    def exists(self) -> bool:
        """Is it a file?"""
        return self.root.is_file() if self.inner is None else self.inner in self._members()

    def is_folder(self) -> bool:
        """Is it a folder?"""
        if self.inner is None:
            return self.root.is_dir()
        prefix = f"{self.inner}/"
        return not self.exists() and (self.inner == "." or any(name.startswith(prefix) for name in self._members()))

    def size(self) -> int:
        """Bytes."""
        return self.root.stat().st_size if self.inner is None else self._members()[self.inner]

    def beside(self, name: str) -> Place:
        """The file of this name in the same folder, whether it exists or not."""
        if self.inner is None:
            return Place(self.root.with_name(name), None, str(self.root.with_name(name)))
        return Place(self.root, str(PurePosixPath(self.inner).with_name(name)), name)

    def neighbours(self) -> list[Place]:
        """The files of the same folder, itself too, sorted by name."""
        if self.inner is None:
            return Place(self.root.parent, None, str(self.root.parent)).files()
        return Place(self.root, str(PurePosixPath(self.inner).parent), self.shown).files()

    def files(self, deep: bool = False) -> list[Place]:
        """The files of this folder (``deep``: and of its folders), sorted by name."""
        if self.inner is None:
            found = self.root.rglob("*") if deep else self.root.iterdir()
            return [Place(path, None, str(path)) for path in sorted(found) if path.is_file()]
        prefix = "" if self.inner == "." else f"{self.inner}/"
        names = [name for name in self._members() if name.startswith(prefix)]
        return [Place(self.root, name, name) for name in sorted(names) if deep or "/" not in name[len(prefix) :]]

    def text(self) -> str:
        """The whole file as words, for headers and sidecars."""
        if self.size() > LARGEST_TEXT:
            raise UnreadableFileError(f"{self.shown} has {self.size():,} bytes; wanted a header of less; check it")
        if self.inner is None:
            data = self.root.read_bytes()
        else:
            with zipfile.ZipFile(self.root) as opened:
                data = opened.read(self.inner)
        return data.decode("utf-8", errors="replace")


@contextmanager
def find(path: str | PathLike[str]) -> Iterator[Place]:
    """The place that ``path`` names; an archive inside an archive is unpacked for as long as the block lasts.

    Raises:
        FileNotFoundError: the file, the archive or the member is not there.
        UnreadableFileError: an empty file or a damaged archive.
    """
    parts = split(path)
    if parts is None:
        with local(path) as plain:
            yield Place(plain, None, fspath(path))
        return
    inner, outer = parts
    with local(outer) as archive:
        place = Place(archive, str(PurePosixPath(inner)), fspath(path))
        if not place.is_folder() and (not place.exists() or place.size() == 0):
            with local(path):  # says what is wrong
                pass
        yield place


def is_folder(path: str | PathLike[str]) -> bool:
    """Does ``path`` name a folder, on disk or in an archive?"""
    if split(path) is None:
        return Path(path).is_dir()
    with find(path) as place:
        return place.is_folder()
