"""What few rows are enough for on tables that nothing was trained on: any folder of CSV files, raw columns beside.

Of every table one column of words is the answer: the one that a random forest tells best from the others, short of
perfectly, as what is certain or hopeless tells nothing. Its values of 12 rows and more are the classes. Rows of one
table may belong together (a firm's years), which helps everything that is compared here alike.

    python recipes/allspark-base/unseen_tables.py --tables DIR
"""

from __future__ import annotations

import argparse
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

import allspark
from allspark import AllSpark
from allspark.evaluate.cheap_words import raw_columns
from allspark.evaluate.draw import draw_episodes
from allspark.evaluate.episodes import score_episodes
from allspark.items import Table

if TYPE_CHECKING:
    import pandas as pd

ROWS, COLUMNS = (60, 3000), (4, 60)  # fewest and most; more rows are drawn from, more columns leave a table out
EACH, CLASSES = 12, (3, 12)  # rows of a class at least; classes that an answer may have
KEPT = (30, 8)  # rows of a class, and classes, that episodes are drawn from
LIFT = (0.1, 0.97)  # of a forest's balanced accuracy over chance, in shares of what is to be gained
NUMBERED = re.compile(r"rownames?|row\.?names|ids?|subject|index|x|unnamed.*|obs|no|", re.IGNORECASE)


def read(path: Path) -> pd.DataFrame | None:
    """A table worth asking, without columns that number its rows; None of others."""
    import pandas as pd

    try:
        frame = pd.read_csv(path, low_memory=False)
    except (ValueError, OSError):
        return None
    frame = frame[[name for name in frame.columns if not NUMBERED.fullmatch(str(name))]]
    frame = frame[frame.notna().any(axis=1)].reset_index(drop=True)
    if len(frame) < ROWS[0] or not COLUMNS[0] <= frame.shape[1] <= COLUMNS[1]:
        return None
    return frame.sample(ROWS[1], random_state=0).reset_index(drop=True) if len(frame) > ROWS[1] else frame


def is_words(column: pd.Series) -> bool:
    """Neither numbers nor truth values."""
    import pandas as pd

    return not pd.api.types.is_numeric_dtype(column)


def classes_of(column: pd.Series) -> np.ndarray:
    """(N,) object: the class of each row as a string, None where it has too few rows or none."""
    words = column.astype(object).where(column.notna(), None)
    counts = words.dropna().astype(str).value_counts()
    large = set(counts[counts >= EACH].index)
    return np.array([str(w) if w is not None and str(w) in large else None for w in words], dtype=object)


def lift(frame: pd.DataFrame, answer: str, classes: np.ndarray) -> float:
    """What a forest on the other columns gains over chance: 0 nothing, 1 all. Three folds of at most 600 rows."""
    import pandas as pd
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import cross_val_score

    rows = np.flatnonzero(classes != None)  # noqa: E711
    rows = np.random.default_rng(0).permutation(rows)[:600]
    _, y, counts = np.unique(classes[rows].astype(str), return_inverse=True, return_counts=True)
    rows, y = rows[counts[y] >= 3], y[counts[y] >= 3]  # of which every fold has one
    others = frame.drop(columns=answer)
    known = [pd.factorize(others[c])[0] if is_words(others[c]) else others[c].fillna(-999) for c in others]
    x = np.stack(known, 1).astype(float)[rows]
    forest = RandomForestClassifier(50, class_weight="balanced", random_state=0, n_jobs=1)
    chance = 1 / len(np.unique(y))
    reached = cross_val_score(forest, np.nan_to_num(x), y, cv=3, scoring="balanced_accuracy").mean()
    return float((reached - chance) / (1 - chance))


def question(frame: pd.DataFrame) -> tuple[list[Table], list[str], str] | None:
    """Rows, their classes and the column that is asked for; None where no column is worth asking."""
    best: tuple[float, str, np.ndarray] | None = None
    for name in [c for c in frame if is_words(frame[c])][:8]:
        classes = classes_of(frame[name])
        if CLASSES[0] <= len(set(classes) - {None}) <= CLASSES[1]:
            gained = lift(frame, name, classes)
            if LIFT[0] < gained < LIFT[1] and (best is None or gained > best[0]):
                best = gained, name, classes
    if best is None:
        return None
    _, name, classes = best
    others = frame.drop(columns=name)
    table, random = Table(others), np.random.default_rng(0)
    some = others.notna().any(axis=1).to_numpy()
    common = sorted(set(classes) - {None}, key=lambda k: -(classes == k).sum())[: KEPT[1]]
    rows = [int(i) for k in common for i in random.permutation(np.flatnonzero((classes == k) & some))[: KEPT[0]]]
    return [table[i] for i in rows], [classes[i] for i in rows], name


def features(spark: AllSpark, rows: list[Table]) -> dict[str, Tensor]:
    """What is compared: name -> (N, D)."""
    vector = torch.cat([spark.embed(rows[i : i + 100], at="encoder") for i in range(0, len(rows), 100)])
    language = torch.cat([spark.embed(rows[i : i + 100], at="language") for i in range(0, len(rows), 100)])
    width = spark.model.encoders["table"].width
    return {
        "raw columns": torch.from_numpy(raw_columns(rows)), "tokens' mean": vector[:, :width],
        "sketch": vector[:, width:], "encoder": vector, "language": language,
    }  # fmt: skip


def measure(spark: AllSpark, tables: Path, episodes: int) -> dict[str, dict[str, tuple[float, float]]]:
    """Table -> feature -> accuracy of 1 and of 5 shots, at most 5 ways; a line is printed for each table."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(tables.rglob("*.csv")):
        frame = None if path.name.startswith(".") else read(path)
        asked = None if frame is None else question(frame)
        if asked is None:
            continue
        rows, labels, name = asked
        try:
            compared = features(spark, rows)
        except ValueError as error:
            print(f"{path.stem} is left out: {error}", flush=True)
            continue
        drawn = [
            draw_episodes(labels, ways=min(5, len(set(labels))), shots=shots, episodes=episodes) for shots in (1, 5)
        ]
        found[path.stem] = {k: tuple(100 * score_episodes(v, d).mean for d in drawn) for k, v in compared.items()}
        said = ", ".join(f"{k} {one:.1f} / {five:.1f}" for k, (one, five) in found[path.stem].items())
        print(f"{path.stem} ({len(rows)} rows, {name}): {said}", flush=True)
    return found


def main() -> None:
    """Print every table, then the mean over tables with its 95 % interval, and the difference to raw columns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", required=True, type=Path, help="folder of CSV files with headers")
    parser.add_argument("--model", default="allspark-base")
    parser.add_argument("--episodes", type=int, default=100)
    options = parser.parse_args()
    warnings.filterwarnings("ignore", message="The least populated class")
    found = measure(allspark.load(options.model), options.tables, options.episodes)
    if not found:
        parser.error(f"no CSV file below {options.tables} has a column of words that is worth asking for")
    raw = np.array([row["raw columns"] for row in found.values()])
    for name in next(iter(found.values())):
        reached = np.array([row[name] for row in found.values()])
        gain = reached - raw
        half = 1.96 * gain.std(0, ddof=1) / len(gain) ** 0.5 if len(gain) > 1 else np.full(2, np.nan)
        print(
            f"{name}: {reached[:, 0].mean():.1f} / {reached[:, 1].mean():.1f}; against raw columns "
            f"{gain[:, 0].mean():+.1f} ± {half[0]:.1f} / {gain[:, 1].mean():+.1f} ± {half[1]:.1f} ({len(found)} tables)"
        )


if __name__ == "__main__":
    main()
