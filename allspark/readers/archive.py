"""Files inside zip archives, named as fsspec names them: ``zip://inner/x.laz::outer.zip``.

Every reader asks ``local`` for a real file; for a plain path that is the path itself, for a member of an archive a
temporary copy that lasts as long as the ``with`` block.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from os import PathLike, fspath
from pathlib import Path, PurePosixPath

from . import UnreadableFileError

SHOWN = 4  # names listed in an error


def split(path: str | PathLike[str]) -> tuple[str, str] | None:
    """("inner/x.laz", "outer.zip") of ``zip://inner/x.laz::outer.zip``; None for a plain path.

    The outer part may itself be a member of another archive: it is everything after the first ``::``.

    Raises:
        ValueError: ``zip://`` without ``::`` and an archive after it.
    """
    text = fspath(path)
    if not text.startswith("zip://"):
        return None
    inner, _, outer = text.removeprefix("zip://").partition("::")
    if not inner or not outer:
        raise ValueError(f"{text!r} came; wanted zip://INNER_NAME::ARCHIVE.zip; name both the member and the archive")
    return inner.lstrip("/"), outer


def members(path: str | PathLike[str]) -> list[str]:
    """The names of all files in a zip archive, in the archive's order.

    Raises:
        FileNotFoundError: no such archive.
        UnreadableFileError: it is no zip archive, or its list of contents is cut off.
    """
    with local(path) as archive:
        try:
            with zipfile.ZipFile(archive) as opened:
                return [info.filename for info in opened.infolist() if not info.is_dir()]
        except (zipfile.BadZipFile, NotImplementedError) as error:
            raise UnreadableFileError(
                f"{fspath(path)} is not a readable zip archive ({error}); wanted a whole one; fetch it again"
            ) from error


@contextmanager
def local(path: str | PathLike[str], also: Sequence[str] = ()) -> Iterator[Path]:
    """A real path to the file that ``path`` names, for as long as the ``with`` block lasts.

    Args:
        path: a file or folder, or ``zip://inner::outer.zip``.
        also: base names of companions (headers, sidecars) in the same inner folder; those that the archive holds are
            laid beside the copy. A plain path has its companions beside it anyway.

    Yields:
        The path itself, or that of a temporary copy with the same base name, removed afterwards.

    Raises:
        FileNotFoundError: the file, the archive or the member is not there.
        UnreadableFileError: an empty file, or a damaged or locked archive.
    """
    parts = split(path)
    if parts is None:
        plain = Path(fspath(path))
        if not plain.exists():
            raise FileNotFoundError(f"{fspath(path)} is not there; wanted a file; check the path")
        if plain.is_file() and plain.stat().st_size == 0:
            raise UnreadableFileError(f"{fspath(path)} is empty (0 bytes); wanted data; fetch or write it again")
        yield plain
        return
    inner, outer = parts
    with local(outer) as archive, tempfile.TemporaryDirectory(prefix="allspark-") as folder:
        yield _extract(inner, archive, Path(folder), outer, also)


def _extract(inner: str, archive: Path, folder: Path, outer: str, also: Sequence[str]) -> Path:
    wanted = PurePosixPath(inner)
    target = folder / wanted.name
    try:
        with zipfile.ZipFile(archive) as opened:
            names = [info.filename for info in opened.infolist() if not info.is_dir()]
            if inner not in names:
                shown = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
                raise FileNotFoundError(f"{outer} has no member {inner!r}; it holds {shown or 'nothing'}; name one")
            for name in (inner, *(str(wanted.parent / other) for other in also)):
                if name in names:
                    # only the base name is used, so a hostile member ("../../x") cannot leave the folder
                    with opened.open(name) as source, open(folder / PurePosixPath(name).name, "wb") as copy:
                        shutil.copyfileobj(source, copy, 1 << 20)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise UnreadableFileError(
            f"{inner} in {outer} could not be unpacked ({error}); wanted a whole zip without password; fetch it again"
        ) from error
    if target.stat().st_size == 0:
        raise UnreadableFileError(f"{inner} in {outer} is empty (0 bytes); wanted data; write the archive again")
    return target


@contextmanager
def naming(path: str | PathLike[str]) -> Iterator[None]:
    """Puts the file's name before a ValueError that an item raised, which cannot know it."""
    try:
        yield
    except ValueError as error:
        text = str(error)
        raise ValueError(text if fspath(path) in text else f"{fspath(path)}: {text}") from error
