"""The demonstration with a tiny random model: every part of it runs, and its pieces are what it says they are."""

import sys

import numpy as np
import pytest

import allspark
from allspark.demo import __main__ as demo
from allspark.demo.tasks import TASKS
from allspark.modality import names


def test_every_modality_has_a_task_and_pieces_of_two_classes():
    tasks = [make() for make in TASKS]
    assert sorted(task.modality for task in tasks) == sorted(names())
    for task in tasks:
        assert task.truth in task.labels
        assert len(task.pieces) == 2
        assert min(map(len, task.pieces.values())) >= 3, task.modality
        for pieces in task.pieces.values():
            assert {type(piece) for piece in pieces} == {type(task.item)}


def test_the_classes_of_the_cloud_are_not_told_to_the_model():
    clouds = [task for task in (make() for make in TASKS) if task.modality == "point_cloud"]
    items = [clouds[0].item, *(piece for pieces in clouds[0].pieces.values() for piece in pieces)]
    assert all("classification" not in item.features for item in items)


@pytest.mark.filterwarnings("ignore:.*(cut|truncat)")
def test_the_demonstration_runs(tmp_path, monkeypatch, capsys):
    from PIL import Image

    allspark.build("allspark-tiny").save(tmp_path / "tiny")
    picture = tmp_path / "out" / "demo.png"
    monkeypatch.setattr(sys, "argv", ["demo", "--model", str(tmp_path / "tiny"), "--out", str(picture)])
    demo.main()
    words = capsys.readouterr().out
    for name in names():
        assert name in words
    assert "intersection over union" in words
    with Image.open(picture) as image:
        assert image.width > 1000
        assert np.asarray(image.convert("L")).std() > 10
