"""Made few-shot tasks on tables: rows of one random table whose classes are a random function of its columns.

The made tables next door teach a row's vector to keep every column. This source teaches it to keep them so that a few
labelled rows are enough: a task is a table of a random structural causal model (as prior-fitted networks draw them,
Hollmann et al., TabPFN, ICLR 2023) with classes of its own, which have no names; training solves the task from some of
its rows and is judged on the others. What makes the classes is drawn for each task: shifts of some columns by class,
the level of a hidden effect of some columns, the largest of several random functions, or a random tree of thresholds.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from ...items import Table
from .base import Entry, Source, split_of
from .made_tables import CATEGORIES, COLUMNS, causal_nodes

TASKS, ROWS, EACH = 600, 400, 10  # tasks, rows that a table is drawn with, rows of a class that are kept
FEWEST, MOST = 3, 14  # columns of numbers
WAYS = (2, 3, 4, 5, 5, 5, 6)
SUFFIXES = (
    *(f" {i}" for i in range(1, 7)), " at noon", " at 9 am", " in summer", " in winter", " to the north", " nearby",
    " yesterday", " of the parcel", " above", " below",
)  # fmt: skip


def _shifted(values: np.ndarray, ways: int, rng: np.random.Generator) -> np.ndarray:
    """Classes first: some columns move by class, in place."""
    classes = rng.integers(ways, size=len(values))
    moved = np.asarray(rng.random(values.shape[1]) < rng.uniform(0.15, 0.8))
    moved[rng.integers(values.shape[1])] = True
    values += moved * rng.normal(0, rng.uniform(0.7, 2.0), (ways, values.shape[1]))[classes]
    values *= np.exp(moved * rng.normal(0, 0.3, (ways, values.shape[1])))[classes]
    return classes


def _levels(values: np.ndarray, ways: int, rng: np.random.Generator) -> np.ndarray:
    """The level of a bent sum of some columns."""
    chosen = rng.permutation(values.shape[1])[: rng.integers(1, 5)]
    effect = values[:, chosen] @ rng.normal(0, 1, len(chosen))
    if rng.random() < 0.4:
        effect = np.abs(effect - np.quantile(effect, rng.uniform(0.2, 0.8)))
    effect += rng.normal(0, rng.uniform(0, 0.4), len(effect)) * effect.std()
    ranks = np.argsort(np.argsort(effect)) / len(effect)
    return (ranks * ways).astype(int)


def _largest(values: np.ndarray, ways: int, rng: np.random.Generator) -> np.ndarray:
    """The largest of several random two-layer functions, balanced by their means."""
    chosen = rng.permutation(values.shape[1])[: rng.integers(2, 7)]
    hidden = np.tanh(values[:, chosen] @ rng.normal(0, 1.2, (len(chosen), 8)) + rng.normal(0, 0.7, 8))
    scores = hidden @ rng.normal(0, 1, (8, ways)) + rng.normal(0, rng.uniform(0, 0.5), (len(values), ways))
    return (scores - scores.mean(0)).argmax(1)


def _tree(values: np.ndarray, ways: int, rng: np.random.Generator) -> np.ndarray:
    """Leaves of a tree of three random thresholds a path, dealt out to the classes."""
    leaf = np.zeros(len(values), int)
    for _ in range(3):
        column = rng.integers(values.shape[1], size=leaf.max() + 1)[leaf]
        level = rng.normal(0, 0.6, leaf.max() + 1)[leaf]
        leaf = 2 * leaf + (values[np.arange(len(values)), column] > level)
    return rng.permutation(np.arange(leaf.max() + 1) % ways)[leaf]


MECHANISMS = (_shifted, _shifted, _shifted, _shifted, _levels, _levels, _largest, _tree)


def _category(classes: np.ndarray, name: str, words: tuple[str, ...], rng: np.random.Generator) -> np.ndarray:
    """A column of words that depends on the class more or less, half of the time by numbers instead of words."""
    kinds = np.array(words if rng.random() < 0.5 else [f"{name} {i}" for i in range(1, int(rng.integers(4, 40)))])
    usual = rng.dirichlet(np.full(len(kinds), rng.uniform(0.1, 1.0)), classes.max() + 1)
    shared = rng.dirichlet(np.ones(len(kinds)))
    mixed = (usual + rng.choice([0.3, 1.0, 20.0]) * shared).cumsum(1)
    picks = (rng.random(len(classes))[:, None] * mixed[classes][:, -1:] > mixed[classes]).sum(1)
    return kinds[picks]


@lru_cache(maxsize=4)
def task(seed: int) -> tuple[Table, list[tuple[int, int]]]:
    """A table, and (row, class) of the rows that take part: as many of each class."""
    import pandas as pd

    rng = np.random.default_rng(seed)
    count = int(rng.integers(FEWEST, MOST + 1))
    alike = rng.random() < 0.35  # several columns of nearly one name, as "soil moisture 1", "soil moisture 2"
    names = [str(name) for name in rng.choice(list(COLUMNS)[:: 9 if alike else 1], count, replace=alike)]
    suffixes = rng.choice(SUFFIXES, len(names), replace=False) if alike else [""] * len(names)
    values = causal_nodes(count, ROWS, rng)
    classes = MECHANISMS[rng.integers(len(MECHANISMS))](values, int(rng.choice(WAYS)), rng)
    cells: dict[str, object] = {}
    nameless = rng.random() < 0.15
    for column, (name, suffix, value) in enumerate(zip(names, suffixes, values.T, strict=True)):
        others, usual, spread, skewed = COLUMNS[name]
        header = f"x{column + 1}" if nameless else name if rng.random() < 0.5 else str(rng.choice(others))
        header += "" if nameless else str(suffix)
        spread = spread * rng.uniform(0.4, 1.4)
        numbers = usual * np.exp(value * min(spread / usual, 1.2)) if skewed else usual + spread * value
        step = 10.0 ** np.floor(np.log10(spread)) / float(rng.choice([1, 10, 100]))
        numbers = np.round(numbers / step) * step
        if rng.random() < 0.1:
            numbers[rng.random(ROWS) < rng.uniform(0, 0.2)] = np.nan
        cells[header] = numbers
    for name, words in CATEGORIES.items():
        if rng.random() < 0.25:
            cells[name] = _category(classes, name, words, rng)
    headers = [list(cells)[i] for i in rng.permutation(len(cells))]
    table = Table(pd.DataFrame({header: cells[header] for header in headers}))
    whole = table.frame.notna().any(axis=1).to_numpy()
    rows = [np.flatnonzero((classes == k) & whole)[:EACH] for k in range(classes.max() + 1)]
    kept = [(int(row), k) for k, found in enumerate(rows) if len(found) == EACH for row in found]
    return table, kept


def _row(seed: int, row: int) -> Table:
    return task(seed)[0][row]


def made(path: Path) -> Iterator[Entry]:
    """The same tasks on every machine; a task is a group. Nothing is read from the data folder."""
    for number in range(TASKS):
        seed, group = 29_000_017 + number, f"task-{number}"
        kept = task(seed)[1]
        if len({k for _, k in kept}) > 1:
            for row, k in kept:
                yield Entry(partial(_row, seed, row), f"{group}/{k}", group, split_of(group))


MADE = Source(
    name="made_table_tasks", modality="table", files=(), scan=made, labels={}, role="train", licence="Apache-2.0",
    citation="made here from random structural causal models", task="episodes",
)  # fmt: skip
SOURCES = (MADE,)
