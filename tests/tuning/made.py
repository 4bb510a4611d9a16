"""Manifests of made data in a folder: what a user would bring."""

import csv
from pathlib import Path

import numpy as np

from allspark.testing import made

NAMES = ("river", "road", "forest")


def write_csv(path: Path, rows: list[dict]) -> Path:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def splits(count: int) -> list[str]:
    """Two thirds train, the others val and test in turn."""
    return ["train" if i % 6 < 4 else ("val" if i % 6 == 4 else "test") for i in range(count)]


def tracks(folder: Path, count: int = 24, classes: int = 2, seed: int = 0) -> Path:
    """Trajectories as CSV files, and their manifest."""
    items, labels = made("trajectory", count, classes, seed)
    rows = []
    for i, (item, label) in enumerate(zip(items, labels)):
        file = folder / f"track_{i}.csv"
        columns = np.c_[item.time, item.positions]
        np.savetxt(file, columns, delimiter=",", header="time,lon,lat", comments="", fmt="%.6f")
        rows.append({"trajectory": file.name, "label": NAMES[label]})
    for row, split in zip(rows, splits(count // classes * classes)[::1]):
        row["split"] = split
    # both classes in every split: neighbours share one
    for i, row in enumerate(rows):
        row["split"] = splits(count)[i // classes]
    return write_csv(folder / "tracks.csv", rows)


def clouds(folder: Path, count: int = 12, seed: int = 0) -> Path:
    """Point clouds as .npy, and their manifest."""
    items, labels = made("point_cloud", count, 2, seed)
    rows = []
    for i, (item, label) in enumerate(zip(items, labels)):
        np.save(folder / f"cloud_{i}.npy", item.xyz)
        rows.append({"point_cloud": f"cloud_{i}.npy", "label": NAMES[label], "split": splits(count)[i // 2]})
    return write_csv(folder / "clouds.csv", rows)


def texts(folder: Path, count: int = 24, seed: int = 0) -> Path:
    """Words in the manifest itself."""
    items, labels = made("language", count, 2, seed)
    rows = [
        {"language": item.words, "label": NAMES[label], "split": splits(count)[i // 2]}
        for i, (item, label) in enumerate(zip(items, labels))
    ]
    return write_csv(folder / "texts.csv", rows)


def table(folder: Path, count: int = 36, seed: int = 0) -> Path:
    """A table whose rows are the examples, with a class and a number."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    shift = labels * 2.0 - 1
    rows = [
        {
            "rain": f"{80 + 30 * shift[i] + rng.normal():.3f}",
            "soil": ("clay", "sand")[int(rng.integers(2))],
            "yield": f"{3 + shift[i] + 0.1 * rng.normal():.3f}",
            "crop": ("rice", "millet")[labels[i]],
            "split": splits(count)[i // 2],
        }
        for i in range(count)
    ]
    return write_csv(folder / "fields.csv", rows)


def mixed(folder: Path, count: int = 24, seed: int = 0) -> Path:
    """Trajectories and words of the same things; some rows lack one of the two."""
    tracks(folder, count, seed=seed)
    words, labels = made("language", count, 2, seed)
    rows = []
    for i, (item, label) in enumerate(zip(words, labels)):
        row = {"label": NAMES[label], "split": splits(count)[i // 2]}
        if i % 5 != 1:
            row["trajectory"] = f"track_{i}.csv"
        if i % 5 != 2:
            row["language"] = item.words
        rows.append(row)
    return write_csv(folder / "mixed.csv", rows)
