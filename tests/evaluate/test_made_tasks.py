"""Made few-shot tasks: the same on every machine, whole tasks in one part, hard but not hopeless."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
import torch

from allspark import modality as modalities
from allspark.evaluate import sources
from allspark.evaluate.baselines import cheap_features
from allspark.evaluate.sources.made_node_tasks import blocks
from allspark.fewshot import FewShot

TASKS = [name for name, source in sources.SOURCES.items() if source.task == "episodes"]
LOOKED_AT = 12  # tasks


def held_out(name: str, folder: Path) -> list[tuple[str, list[sources.Entry]]]:
    entries = sources.get(name).entries(folder, "val")
    return [(task, list(part)) for task, part in groupby(entries, lambda entry: entry.group)][:LOOKED_AT]


@pytest.mark.parametrize("name", TASKS)
def test_tasks_are_whole_repeatable_and_solvable_from_a_few_rows(name: str, tmp_path: Path) -> None:
    source = sources.get(name)
    assert not source.labels
    train, val = (source.entries(tmp_path, split) for split in ("train", "val"))
    assert len({entry.group for entry in train}) > 5 * len({entry.group for entry in val}) > 0
    assert not {entry.group for entry in train} & {entry.group for entry in val}
    assert not source.entries(tmp_path, "test")
    record, gains = modalities.get(source.modality), []
    for task, entries in held_out(name, tmp_path):
        labels = [entry.label for entry in entries]
        assert {label.split("/")[0] for label in labels} == {task}
        counts = {label: labels.count(label) for label in labels}
        assert len(counts) >= 2
        assert len(set(counts.values())) == 1
        items = [entry.make() for entry in entries]
        for value in record.prepare(items[0], **record.input).values():  # type: ignore[union-attr]
            assert not isinstance(value, torch.Tensor) or torch.isfinite(value).all()
        table = np.concatenate(list(cheap_features(items, source.modality).values()), 1)
        half = np.array([labels[:i].count(label) % 2 == 0 for i, label in enumerate(labels)])
        few = FewShot.fit(torch.tensor(table[half]), [y for y, h in zip(labels, half) if h], method="ridge")
        found = few.classify(torch.tensor(table[~half]))
        right = np.mean([a == y for a, y in zip(found, [y for y, h in zip(labels, half) if not h], strict=True)])
        gains.append(float(right) - 1 / len(counts))
    assert 0.1 < np.mean(gains) < 0.7, "of accuracy above chance, from cheap features"
    first = held_out(name, tmp_path)[0][1][0]
    again = sources.get(name).entries(tmp_path, "val")[0]
    one, two = (record.prepare(entry.make(), **record.input) for entry in (first, again))  # type: ignore[misc]
    for key, value in one.items():
        assert torch.equal(value, two[key]) if isinstance(value, torch.Tensor) else value == two[key]


def test_links_of_a_block_model_stay_in_their_class_as_often_as_asked() -> None:
    rng = np.random.default_rng(0)
    classes = rng.integers(4, size=2000)
    for within in (0.1, 0.5, 0.9):
        edges = blocks(classes, 6.0, within, rng)
        assert {tuple(pair) for pair in edges.T.tolist()} == {(b, a) for a, b in edges.T.tolist()}
        inside = float((classes[edges[0]] == classes[edges[1]]).mean())
        assert inside == pytest.approx(within + (1 - within) / 4, abs=0.05)
        assert edges.shape[1] / 2000 == pytest.approx(6.0, rel=0.25)
