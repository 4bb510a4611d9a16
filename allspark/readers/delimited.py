"""Columns of text: the delimiter, the encoding and the decimal sign found out, then read by pandas."""

from __future__ import annotations

import codecs
import csv
import re
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from . import UnreadableFileError

if TYPE_CHECKING:
    import pandas as pd

DELIMITERS = ",;\t|"
HEAD = 1 << 16  # bytes looked at


def encoding_of(path: Path, name: str) -> str:
    """ "utf-8-sig", "utf-16" (by its mark), or "latin-1" where the bytes are not UTF-8.

    Raises:
        UnreadableFileError: a file with NUL bytes: no text.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()  # a character may be cut in two where a block ends
    with open(path, "rb") as opened:
        block = opened.read(HEAD)
        if block.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        if b"\0" in block:
            raise UnreadableFileError(f"{name} holds binary data; wanted text; check that its suffix is right")
        try:
            while block:
                decoder.decode(block)
                block = opened.read(1 << 20)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "latin-1"
    return "utf-8-sig"


def head(path: Path, name: str) -> tuple[list[str], str, list[str]]:
    """The names in the first line, the delimiter, and the next lines as they stand.

    Raises:
        UnreadableFileError: no text, or no line.
    """
    with open(path, encoding=encoding_of(path, name), newline="") as opened:
        lines = opened.read(HEAD).splitlines()
    lines = [line for line in lines if line.strip()]
    if not lines:
        raise UnreadableFileError(f"{name} holds no line of text; wanted column names and rows; check the file")
    outside = Counter(re.sub(r'"[^"]*"', "", lines[0]))  # a delimiter inside quotes is none
    delimiter = max(DELIMITERS, key=lambda sign: outside[sign])
    names = next(csv.reader([lines[0]], delimiter=delimiter), [])
    return [column.strip() for column in names], delimiter, lines[1:]


def columns(path: Path, name: str) -> list[str]:
    """The lower-case names in the first line; a cheap look for ``claims``, empty where there is none."""
    try:
        return [column.lower() for column in head(path, name)[0]]
    except (UnreadableFileError, csv.Error):
        return []


def read_delimited(
    path: Path, name: str, *, words: bool = False, unique: bool = True, names: Sequence[str] | None = None
) -> pd.DataFrame:
    """The file as a data frame.

    Args:
        path: a real file.
        name: what errors call it.
        words: leave every cell as the words that stand there (no numbers, "NA" is no missing cell).
        unique: refuse a column name that stands twice; otherwise the second becomes "name.1".
        names: the column names of a file without a line of them.

    Raises:
        UnreadableFileError: no text, or rows that do not fit.
        ValueError: a repeated name; a first line of numbers, where names were wanted.
    """
    import pandas as pd

    found, delimiter, lines = head(path, name)
    twice = [column for column, count in Counter(found).items() if count > 1 and column]
    if names is None and unique and twice:
        raise ValueError(f"{name} has column {twice[0]!r} {found.count(twice[0])} times; rename one")
    if names is None and all(_is_number(column) for column in found if column):
        raise ValueError(f"{name} starts with numbers ({', '.join(found[:3])} …); wanted column names first")
    if names is not None and len(names) != len(found):
        raise ValueError(f"{len(names)} names came for the {len(found)} columns of {name}; give one name per column")
    cells = [cell for line in lines[:50] for cell in line.split(delimiter)] if delimiter == ";" else []
    comma = any(re.fullmatch(r"\s*-?\d+,\d+\s*", cell) for cell in cells)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # rows longer than the header would lose cells
            frame = pd.read_csv(
                path,
                sep=delimiter,
                encoding=encoding_of(path, name),
                decimal="," if comma else ".",
                header=0 if names is None else None,
                names=None if names is None else list(names),
                index_col=False,
                skipinitialspace=True,
                dtype=str if words else None,
                keep_default_na=not words,
                skip_blank_lines=not words,
                low_memory=False,
            )
        return frame.rename(columns=lambda column: str(column).strip())
    except (pd.errors.ParserError, pd.errors.EmptyDataError, pd.errors.ParserWarning, UnicodeError) as error:
        reason = str(error).strip().splitlines()[-1]
        raise UnreadableFileError(f"{name} is not one table ({reason}); wanted rows of equal length") from error


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
