"""Made multispectral tasks: the same each time, whole tasks in one part, readable, neither trivial nor hopeless."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from allspark import modality as modalities
from allspark.evaluate import sources
from allspark.evaluate.baselines import cheap_features
from allspark.evaluate.episodes import run_episodes
from allspark.evaluate.sources import made_cover as cover
from allspark.evaluate.sources import made_series
from allspark.evaluate.sources.made_sensors import sensor
from allspark.items import Raster

HANDFUL = range(16)


@pytest.fixture(scope="module")
def tasks() -> dict[int, list[Raster]]:
    return {number: made_series._task(number) for number in HANDFUL}


def is_texture(items: list[Raster]) -> bool:
    return items[0].values.ndim == 3 and items[0].values.shape[-1] >= 16


def test_tasks_fall_whole_into_one_part_and_carry_their_name(tmp_path: Path) -> None:
    source = sources.get("made_series")
    parts = {split: source.entries(tmp_path, split) for split in ("train", "val")}
    groups = {split: {e.group for e in entries} for split, entries in parts.items()}
    assert not groups["train"] & groups["val"]
    assert len(groups["train"] | groups["val"]) == made_series.TASKS
    assert 25 <= len(groups["val"]) <= 100
    counts: dict[str, int] = {}
    for entry in parts["train"] + parts["val"]:
        task, number = entry.label.split("/")
        assert task == entry.group
        assert int(number) < 6
        counts[entry.label] = counts.get(entry.label, 0) + 1
    assert set(counts.values()) == {made_series.ITEMS}
    assert not source.entries(tmp_path, "test")


def test_items_are_the_same_each_time(tasks: dict[int, list[Raster]], tmp_path: Path) -> None:
    for number in (1, 12):
        for first, again in zip(tasks[number], made_series._task.__wrapped__(number), strict=True):
            np.testing.assert_array_equal(first.values, again.values)
            assert first.bands == again.bands
            assert (first.time is None) == (again.time is None)
    train = [e for e in sources.get("made_series").entries(tmp_path, "train") if e.group == "task-1"]
    for entry, item in zip(train, tasks[1], strict=True):
        np.testing.assert_array_equal(entry.make().values, item.values)  # type: ignore[union-attr]


def test_tasks_differ_in_what_they_are_made_with_and_every_item_is_read(tasks: dict[int, list[Raster]]) -> None:
    record = modalities.get("multispectral")
    for items in tasks.values():
        assert len({item.values.shape[-3:] for item in items}) == 1
        for item in items[::5]:
            assert record.recognises(item)
            sample = record.prepare(item, **record.input)
            assert isinstance(sample, dict)
            assert all(bool(torch.isfinite(value).all()) for value in sample.values())
            assert sample["pixels"].abs().max() < 20
    assert {is_texture(items) for items in tasks.values()} == {True, False}
    assert len({items[0].values.shape[-3] for items in tasks.values()}) >= 4
    assert len({len(items[0].values) for items in tasks.values() if items[0].values.ndim == 4}) >= 4
    assert {items[0].time is None for items in tasks.values()} == {True, False}
    assert {items[0].units for items in tasks.values()} >= {"reflectance", "dn"}


def test_five_examples_find_most_of_the_others_but_not_all(tasks: dict[int, list[Raster]]) -> None:
    """Ridge regression on the raw spectrum (series) or image statistics (textures), 5-shot, above its chance."""
    reached, gained = [], []
    for number, items in tasks.items():
        labels = [str(place // made_series.ITEMS) for place in range(len(items))]
        features = cheap_features(items, "multispectral")["image statistics" if is_texture(items) else "raw spectrum"]
        ways = len(set(labels))
        result = run_episodes(features, labels, ways=ways, shots=5, queries=5, episodes=20, method="ridge", seed=number)
        reached.append(result.mean)
        gained.append((result.mean - 1 / ways) / (1 - 1 / ways))
    assert 0.5 <= np.mean(reached) <= 0.9, reached
    assert 0.35 <= np.mean(gained) <= 0.85, gained
    assert np.mean(np.array(gained) > 0.05) >= 0.75, gained


def test_spectra_are_what_the_textbook_says() -> None:
    """Red edge, water bands, darker wet soil, dark water in the infrared, snow dark beyond 1.5 µm."""

    def at(spectrum: np.ndarray, wavelength: float) -> np.ndarray:
        return spectrum[..., int(np.abs(cover.GRID - wavelength).argmin())]

    one = np.array
    dry, wet = (cover.soil(one(0.4), one(0.5), one(0.3), one(m)) for m in (0.0, 0.8))
    assert (wet < dry).all()
    assert at(wet, 1.94) / at(dry, 1.94) < at(wet, 1.65) / at(dry, 1.65)
    leaves = cover.leaf(one(1.0), one(0.015), one(0.0))
    area = np.array([0.0, 0.5, 2.0, 6.0])
    plants = cover.canopy(leaves, area, dry, one(0.6), one(0.9))
    np.testing.assert_allclose(plants[0], dry, rtol=1e-12)
    assert (np.diff(at(plants, 0.67)) < 0).all()
    assert (np.diff(at(plants, 0.85)) > 0).all()
    assert at(plants[3], 0.85) > 5 * at(plants[3], 0.67)
    assert at(plants[3], 0.55) > at(plants[3], 0.67)
    assert at(plants[3], 1.45) < at(plants[3], 1.65)
    lake = cover.open_water(one(0.05), one(0.2))
    assert at(lake, 0.55) > 3 * at(lake, 0.86)
    ice = cover.snow(one(1.0))
    assert at(ice, 0.6) > 0.9
    assert at(ice, 1.6) < 0.2
    day = np.arange(0.0, 365.0)
    year = cover.season(day, one(120.0), one(8.0), one(100.0), one(8.0))
    assert year[170] > 0.95
    assert year[20] < 0.05
    assert abs(year[120] - 0.5) < 0.05
    np.testing.assert_allclose(cover.season(day + cover.YEAR, one(120.0), one(8.0), one(100.0), one(8.0)), year)


def test_a_sensor_sees_a_flat_spectrum_as_it_is() -> None:
    for seed in range(30):
        eye = sensor(np.random.default_rng(seed))
        assert 3 <= len(eye.centres) <= 13
        assert eye.bands is None or len(eye.bands) == len(eye.centres)
        seen = np.full(len(cover.GRID), 0.3) @ cover.responses(eye.centres, eye.fwhm)
        np.testing.assert_allclose(seen, 0.3)
