"""What the commands print: one JSON document or a rich table on stdout, sentences on stderr."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any


def plain(value: Any) -> Any:
    """``value`` as JSON knows it: arrays become lists, NaN and infinities null, anything else its words."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(entry) for entry in value]
    if hasattr(value, "tolist"):  # numpy's scalars and arrays, torch's tensors
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value)


def emit_json(document: Any) -> None:
    """Print the document on stdout."""
    print(json.dumps(plain(document), ensure_ascii=False, indent=2, allow_nan=False))


def emit_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print a rich table on stdout; a column whose name ends in ">" is set to the right."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column.rstrip(">"), justify="right" if column.endswith(">") else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape("" if cell is None else str(cell)) for cell in row))
    width = None if sys.stdout.isatty() else 130  # a pipe has no width of its own
    Console(file=sys.stdout, width=width).print(table)


def emit_page(markdown: str) -> None:
    """Print a Markdown page on stdout: rendered on a terminal, as it stands into a pipe."""
    from rich.console import Console
    from rich.markdown import Markdown

    if sys.stdout.isatty():
        Console(file=sys.stdout).print(Markdown(markdown))
    else:
        print(markdown)


def say(words: str) -> None:
    """Print one line on stderr."""
    print(words, file=sys.stderr, flush=True)


def sentence(error: BaseException) -> str:
    """An error as one sentence on one line; errors that nobody foresaw name their kind and how to see more."""
    words = " ".join(str(error.args[0] if isinstance(error, KeyError) and error.args else error).split())
    if isinstance(error, FileNotFoundError) and error.filename is not None and error.strerror:
        return f"{error.filename}: no such file; check the path"
    if isinstance(error, (ValueError, OSError, ImportError)) and words:
        return words
    return f"{type(error).__name__}: {words or 'no message'}; run with ALLSPARK_TRACEBACK=1 to see where"


def as_options(words: str, names: Iterable[str]) -> str:
    """What a sentence says of arguments in Python, said of the command's own options.

    Example:
        >>> as_options("say which with task=, or rollout=True", ["task", "rollout"])
        'say which with --task, or --rollout'
    """
    known = "|".join(re.escape(name) for name in names)
    option = lambda found: "--" + found[1].replace("_", "-")  # noqa: E731
    return re.sub(rf"(?<![\w.-])({known})=(?:True\b)?(?![\w'\"/.-])", option, words) if known else words
