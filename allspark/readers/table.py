"""Tables: CSV with any usual delimiter, and Parquet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING

from ..items import Table
from . import UnreadableFileError, suffix_of
from .archive import local, naming
from .delimited import read_delimited

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = frozenset({".csv", ".tsv", ".parquet", ".geoparquet"})
ISO_DATE = r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?"


def claims(path: str | PathLike[str]) -> bool:
    """Whether this is a table: any of these suffixes is, so it is asked after trajectories and graphs."""
    return suffix_of(fspath(path)) in SUFFIXES


def read(
    path: str | PathLike[str],
    *,
    columns: Sequence[str] | None = None,
    drop: Sequence[str] | None = None,
    descriptions: Mapping[str, str] | None = None,
    names: Sequence[str] | None = None,
) -> Table:
    """The table of a file; each row is one item.

    A column of words that are all ISO 8601 dates becomes one of dates (in UTC where they name a zone). Empty cells,
    "NA", "NaN", "null" and the like are missing.

    Args:
        path: .csv .tsv .parquet .geoparquet, also inside a zip.
        columns: the columns wanted; None takes all.
        drop: columns left out, such as the one that is to be told.
        descriptions: column -> what it means, in words.
        names: the column names of a .csv without a line of them.

    Raises:
        UnreadableFileError: empty or truncated, rows of unequal length, or no such format.
        ValueError: columns that are not there, cells that are neither numbers, words nor dates, no rows, or nothing but
            missing cells.
    """
    name, suffix = fspath(path), suffix_of(fspath(path))
    if suffix not in SUFFIXES:
        raise ValueError(f"a {suffix or 'nameless'} file came; wanted {', '.join(sorted(SUFFIXES))}; convert it")
    with local(path) as file, naming(path):
        if suffix in (".parquet", ".geoparquet"):
            frame = _parquet(file, name)
        else:
            frame = read_delimited(file, name, unique=False, names=names)
        missing = [column for column in [*(columns or ()), *(drop or ())] if column not in frame.columns]
        if missing:
            found = ", ".join(map(str, frame.columns))
            raise ValueError(f"{name} has no columns {missing}; it has {found}; choose among these")
        chosen = list(frame.columns) if columns is None else list(columns)
        frame = frame[[column for column in chosen if column not in (drop or ())]]
        return Table(_plain(frame), descriptions)


def _parquet(file: Path, name: str) -> pd.DataFrame:
    import pandas as pd
    import pyarrow as pa

    try:
        frame = pd.read_parquet(file, engine="pyarrow")
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UnreadableFileError(f"{name} is truncated or no Parquet ({error}); wanted a whole file") from error
    # an index that pandas wrote is part of the table, a mere count of the rows is not
    if any(label is not None for label in frame.index.names):
        frame = frame.reset_index()
    return frame.rename(columns=str)


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Columns of numbers, truths, words and dates only."""
    import pandas as pd

    plain = {column: _column(frame[column], str(column)) for column in frame.columns}
    return pd.DataFrame(plain, index=frame.index)


def _column(column: pd.Series, name: str) -> pd.Series:
    import pandas as pd

    if isinstance(column.dtype, pd.DatetimeTZDtype):
        return column.dt.tz_convert("UTC").dt.tz_localize(None)
    if column.dtype.kind == "m":
        return column.dt.total_seconds()
    known = column.dropna()
    if len(known) == 0 or not (column.dtype.kind in "OT" or isinstance(column.dtype, pd.StringDtype)):
        return column
    kind = pd.api.types.infer_dtype(known)
    if kind == "string":
        return _dates(column) if known.str.strip().str.fullmatch(ISO_DATE).all() else column
    if kind in ("date", "datetime", "datetime64"):
        return _dates(column)
    if kind == "decimal":
        return column.astype("float64")
    if kind in ("boolean", "categorical", "integer", "floating"):  # truths or whole numbers with missing cells
        return column
    if known.map(lambda cell: isinstance(cell, (str, int, float))).all():
        return column.astype("str").where(column.notna())  # words beside numbers: words
    raise ValueError(
        f"column {name!r} holds {type(known.iloc[0]).__name__} cells; wanted numbers, words or dates; "
        f"leave it out with drop=[{name!r}]"
    )


def _dates(column: pd.Series) -> pd.Series:
    """Dates without a zone; words that look like dates and are none ("2024-13-45") stay words."""
    import pandas as pd

    try:
        dates = pd.to_datetime(column, format="ISO8601", utc=True)
    except (ValueError, TypeError):
        return column
    return dates.dt.tz_localize(None)
