"""Sources that are made here: the same on every machine, valid items, classes that differ, no kept-out name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from allspark import modality as modalities
from allspark.evaluate import sources
from allspark.evaluate.baselines import cheap_features
from allspark.evaluate.sources import Record
from allspark.evaluate.sources.base import draw
from allspark.evaluate.sources.made_tables import COLUMNS, _table
from allspark.items import Raster, Table

# source -> share of held-out items that ridge regression on cheap features of five others of each class finds, at least
MADE = {"made_clouds": 0.5, "made_chips": 0.25, "made_tracks": 0.45}  # chance: 1/61, 1/16, 1/18


def numbers(value: Any) -> list[np.ndarray]:
    """Every array of an item, in order."""
    found = []
    for part in vars(value).values():
        if isinstance(part, np.ndarray):
            found.append(part)
        elif hasattr(part, "to_numpy"):
            found.append(part.to_numpy())
    return found


def one_sensor(item: Any) -> Any:
    """The first band of a raster in decibels around its median: cheap features want rasters of one kind."""
    if not isinstance(item, Raster):
        return item
    band = item.values[:1].astype(np.float64)
    decibels = band if item.units == "db" else (20 if item.units == "amplitude" else 10) * np.log10(band + 1e-6)
    return Raster(np.maximum(decibels - np.median(decibels), -40), units="db")


def accuracy(records: list[Record], modality: str, shots: int = 5) -> float:
    """Ridge regression on cheap features: the first ``shots`` of each class are known."""
    items = [one_sensor(r.item) for r in records]
    features = np.concatenate(list(cheap_features(items, modality).values()), 1)
    labels = np.array([r.label for r in records])
    known = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        known[np.flatnonzero(labels == label)[:shots]] = True
    classes = np.unique(labels)
    gram = features[known] @ features[known].T
    ridge = gram + np.eye(len(gram)) * features.shape[1]
    scores = features[~known] @ features[known].T @ np.linalg.solve(ridge, (labels[known, None] == classes) * 1.0)
    return float((classes[scores.argmax(1)] == labels[~known]).mean())


@pytest.mark.parametrize("name", MADE)
def test_made_items_are_the_same_each_time_and_differ_by_class(name: str, tmp_path: Path) -> None:
    source = sources.get(name)
    records = sources.load(name, tmp_path, "train", per_class=7)
    assert {r.label for r in records} == set(source.labels)
    again = [entry.record() for entry in draw(source.entries(tmp_path, "train"), None, 7, seed=0)[::40]]
    for first, second in zip(records[::40], again, strict=True):
        assert first.words == second.words
        pairs = list(zip(numbers(first.item), numbers(second.item), strict=True))
        assert pairs
        for a, b in pairs:
            np.testing.assert_array_equal(a, b)
    reached = accuracy(records, source.modality)
    assert reached >= MADE[name], f"{name}: cheap features find {reached:.2f}"


def test_made_table_rows_are_labelled_by_the_level_of_one_of_their_columns(tmp_path: Path) -> None:
    """The class is read off the cell's standard score: the levels rise with it, column by column."""
    first, labels = _table.__wrapped__(5)
    again, same = _table.__wrapped__(5)
    assert first.frame.equals(again.frame)
    assert labels == same
    scores: dict[str, list[float]] = {}
    for record in sources.load("made_tables", tmp_path, "train", limit=600):
        assert isinstance(record.item, Table)
        column, level = record.label.rsplit("-", 1)
        header = next(h for h in record.item.frame.columns if h in (column, *COLUMNS[column][0]))
        centre, spread = (record.item.scales or {})[header]
        scores.setdefault(level, []).append((float(record.item.frame[header].iloc[0]) - centre) / spread)
    medians = [float(np.median(scores[level])) for level in sorted(scores)]
    assert len(medians) == 7
    assert (np.diff(medians) > 0.1).all()
    assert medians[0] < -0.9
    assert medians[-1] > 1.2


EVERY = (*MADE, "made_tables")


@pytest.mark.parametrize("name", EVERY)
def test_made_groups_fall_into_one_part_and_items_can_be_prepared(name: str, tmp_path: Path) -> None:
    source = sources.get(name)
    train, val = (source.entries(tmp_path, split) for split in ("train", "val"))
    assert train
    assert val
    assert not {e.group for e in train} & {e.group for e in val}
    assert {e.label for e in train} == set(source.labels)
    assert not source.entries(tmp_path, "test")
    for names in source.labels.values():
        assert len(names) >= 2
    assert all(entry.words for entry in val)
    record = modalities.get(source.modality)
    for entry in val[:: max(len(val) // 40, 1)]:
        item = entry.make()
        assert record.recognises(item)
        for value in record.prepare(item, **record.input).values():  # type: ignore[union-attr]
            assert not isinstance(value, torch.Tensor) or torch.isfinite(value).all()


@pytest.mark.parametrize("name", EVERY)
def test_made_classes_have_no_name_that_is_kept_out_of_training(name: str, tmp_path: Path) -> None:
    kept_out = set()
    for source in sources.SOURCES.values():
        for label in source.kept_out:
            kept_out |= {label.lower(), *(n.lower() for n in source.labels[label])}
    kept_out = {re.sub(r"[_-]", " ", n) for n in kept_out if not n.isdigit()}
    assert {"table", "desk", "bed", "monitor", "toilet", "bridge"} <= kept_out
    kept_out |= {
        "couchette",
        "cot",
        "bunk",
        "worktop",
        "workbench",
        "counter",
        "screen",
        "television",
        "lavatory",
        "latrine",
    }
    made = sources.get(name)
    said = {n for names in made.labels.values() for n in names} | {
        w for e in made.entries(tmp_path, "val") for w in e.words
    }
    for phrase in said | set(made.labels):
        words = " " + re.sub(r"[^a-z0-9 ]", " ", phrase.lower().replace("_", " ")) + " "
        assert not [n for n in kept_out if f" {n} " in words or f" {n}s " in words], phrase
