"""``python -m allspark.evaluate.sources --data DIR``: read every source once and say what is in it."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Column, Table

from . import SOURCES, SPLITS, Source, get
from .base import ROLES


def survey(source: Source, data: Path) -> tuple[dict[str, int], set[str], set[str], float]:
    """Records per split, classes and groups of a source, and the seconds it took to read every item of it."""
    start = time.perf_counter()
    sizes, classes, groups = {}, set(), set()
    for split in ROLES[source.role]:
        sizes[split] = 0
        for record in source.read(data, split):
            sizes[split] += 1
            classes.add(record.label)
            groups.add(record.group)
    return sizes, classes - {""}, groups, time.perf_counter() - start


def main(arguments: list[str] | None = None) -> int:
    """Print the table; 1 where a source could not be read."""
    parser = argparse.ArgumentParser(prog="python -m allspark.evaluate.sources", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder of the data sets")
    parser.add_argument("names", nargs="*", help="only these sources")
    options = parser.parse_args(arguments)
    console = Console()
    table = Table(*(Column(name, no_wrap=True) for name in ("source", "modality", "role")))
    for name in (*SPLITS, "classes", "kept out", "groups", "seconds"):
        table.add_column(name, justify="right")
    failures = []
    for source in [get(name) for name in options.names] or list(SOURCES.values()):
        try:
            sizes, classes, groups, seconds = survey(source, options.data)
        except (OSError, ValueError, TypeError, KeyError) as error:
            failures.append(str(error))
            continue
        numbers = [str(sizes.get(split) or "") for split in SPLITS]
        counts = (str(len(classes)), str(len(source.kept_out) or ""), str(len(groups)), f"{seconds:.1f}")
        table.add_row(source.name, source.modality, source.role, *numbers, *counts)
    console.print(table)
    for failure in failures:
        console.print(failure, style="red", soft_wrap=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
