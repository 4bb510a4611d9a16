"""Made tasks of spectra and shapes: the same each time, whole tasks in one part, neither trivial nor hopeless."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from allspark import modality as modalities
from allspark.evaluate import sources
from allspark.evaluate.baselines import cheap_features
from allspark.evaluate.episodes import run_episodes
from allspark.evaluate.sources import made_shape_tasks, made_spectra
from allspark.evaluate.sources.made_shape_tasks import Kin

HANDFUL = range(8)
FILES = {"made_spectra": (made_spectra, 40), "made_shape_tasks": (made_shape_tasks, 20)}


def values_of(item: Any) -> np.ndarray:
    return np.asarray(item.xyz if hasattr(item, "xyz") else item.values)


def task_of(name: str, number: int) -> list[Any]:
    entries = [e for part in ("train", "val") for e in sources.get(name).entries(Path(), part)]
    return [e.make() for e in entries if e.group == f"task-{number}"]


@pytest.mark.parametrize("name", FILES)
def test_tasks_fall_whole_into_one_part_and_carry_their_name(name: str) -> None:
    file, most = FILES[name]
    source = sources.get(name)
    parts = {split: source.entries(Path(), split) for split in ("train", "val")}
    groups = {split: {e.group for e in entries} for split, entries in parts.items()}
    assert not groups["train"] & groups["val"]
    assert len(groups["train"] | groups["val"]) == file.TASKS
    assert 8 <= len(groups["val"]) <= most
    counts: dict[str, int] = {}
    for entry in parts["train"] + parts["val"]:
        assert entry.label.split("/")[0] == entry.group
        counts[entry.label] = counts.get(entry.label, 0) + 1
    assert set(counts.values()) == {file.ITEMS}


@pytest.mark.parametrize("name", FILES)
def test_items_are_the_same_each_time_and_every_item_is_read(name: str) -> None:
    record = modalities.get(sources.get(name).modality)
    for number in (1, 4):
        for first, again in zip(task_of(name, number), task_of(name, number), strict=True):
            np.testing.assert_array_equal(values_of(first), values_of(again))
            assert record.recognises(first)
            sample = record.prepare(first, **record.input)
            assert isinstance(sample, dict)
            assert all(bool(torch.isfinite(value.float()).all()) for value in sample.values())


def test_spectrometers_differ_and_materials_and_covers_take_turns() -> None:
    tasks = [made_spectra._task(number) for number in HANDFUL]
    assert len({items[0].values.shape[0] for items in tasks}) >= 5
    assert len({items[0].values.shape[-1] for items in tasks}) >= 3
    for items in tasks:
        assert len({item.values.shape for item in items}) == 1
        assert items[0].values.shape[0] >= 32
        assert (np.diff(items[0].wavelengths) > 0).all()


@pytest.mark.parametrize("name", FILES)
def test_five_examples_find_most_of_the_others_but_not_all(name: str) -> None:
    reached = []
    for number in HANDFUL:
        items = task_of(name, number)
        labels = [str(place // FILES[name][0].ITEMS) for place in range(len(items))]
        features = cheap_features(items, sources.get(name).modality)
        cheap = features.get("raw spectrum", next(iter(features.values())))
        ways = len(set(labels))
        few = run_episodes(cheap, labels, ways=ways, shots=5, queries=5, episodes=10, method="ridge")
        reached.append((few.mean - 1 / ways) / (1 - 1 / ways))
    assert 0.35 <= np.mean(reached) <= 0.93, reached


def test_kin_share_what_is_counted_and_vary_in_what_is_measured() -> None:
    same = [Kin(3, own, 0.1) for own in (1, 2)]
    counts = [(k.integers(2, 9), k.choice([1, 2, 3]), k.random()) for k in same]
    assert counts[0] == counts[1]
    lengths = [k.uniform(2.0, 4.0, 200) for k in same]
    assert all((x >= 2).all() and (x <= 4).all() for x in lengths)
    assert 0.05 < np.abs(lengths[0] - lengths[1]).mean() < 0.4
    assert np.corrcoef(*lengths)[0, 1] > 0.8
    other = Kin(4, 1, 0.1)
    other.integers(2, 9), other.choice([1, 2, 3]), other.random()
    assert abs(np.corrcoef(lengths[0], other.uniform(2.0, 4.0, 200))[0, 1]) < 0.3
    copies = [Kin(3, own, 0.0).uniform(0, 1, 5) for own in (1, 2)]
    np.testing.assert_array_equal(*copies)
