import io
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from allspark import atomic
from allspark.evaluate.quick import evaluate_source, subsample
from allspark.evaluate.report import COLUMNS, Cell, Line, Row, Table, machine
from allspark.items import Raster


def table():
    baselines = {"image statistics, nearest mean": Cell(0.61, 0.01), "raw spectrum, nearest mean": Cell(0.7, 0.02)}
    cells = {"encoder": Cell(0.8, 0.01), "language": Cell(0.75, 0.01)}
    first = Line(5, 1, 600, cells, baselines)
    second = Line(5, 5, 600, {"encoder": Cell(0.9, 0.005)}, {})
    row = Row("made|set", "sar", (first, second), Cell(0.5, 0.03, "macro F1 48.0"), 7, 900, ("One class is left out.",))
    return Table((row,), seed=3, machine="a made machine, 2 cores")


def test_texts_name_the_best_baseline_and_chance():
    first, second = table().rows[0].texts()
    assert len(first) == len(second) == len(COLUMNS)
    assert first[2:] == [
        "5-way 1-shot, 600 episodes", "70.0 ± 2.0 (raw spectrum, nearest mean)", "80.0 ± 1.0", "–", "75.0 ± 1.0",
        "–", "–", "–", "–", "50.0 ± 3.0 (7-way)", "20.0",
    ]  # fmt: skip
    assert second[3] == "–"
    assert second[-2] == "–"


def test_printed_markdown_and_json_hold_the_figures():
    console = Console(file=io.StringIO(), width=240)
    table().print(console)
    printed = console.file.getvalue()
    for words in ("made|set", "5-way 5-shot", "90.0 ± 0.5", "Seed 3", "a made machine", "One class is left out."):
        assert words in printed
    markdown = table().markdown()
    assert "| made\\|set | sar | 5-way 1-shot" in markdown
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in rows} == {len(COLUMNS) + 1}
    assert Table.from_json(table().json()).rows == table().rows
    for text in ("", "[]", "{}", '{"format": "allspark table", "version": 2}', table().json().replace("ways", "lanes")):
        with pytest.raises(ValueError, match="not a table"):
            Table.from_json(text)


def test_saved_files_are_whole_and_the_same_each_time(tmp_path):
    paths = table().save(tmp_path / "new", "league")
    assert [path.name for path in paths] == ["league.json", "league.md", "league.png"]
    with Image.open(paths[2]) as image:
        colours = np.asarray(image.convert("RGB"))
    assert colours.shape[1] > 500
    assert (colours == (0x08, 0x45, 0x94)).all(-1).sum() > 100  # the language bar is drawn
    before = [path.read_bytes() for path in paths]
    table().save(tmp_path / "new", "league")
    assert [path.read_bytes() for path in paths] == before
    assert len(list((tmp_path / "new").iterdir())) == 3
    Table(()).save(tmp_path / "none")


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    target = atomic.write(tmp_path / "a.txt", "old")

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="no space"):
        atomic.write(target, "new")
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_machine_names_cores():
    assert machine().endswith("cores")


@dataclass(frozen=True)
class Made:
    item: object
    label: str
    group: str


class Averages:
    """A model of the band means: real features and label vectors, no weights."""

    def embed_levels(self, inputs, *, modality=None):
        assert modality == "rgb"
        rows = torch.tensor(np.stack([item.values.mean((1, 2)) for item in inputs])) - 100
        rows[3] = torch.nan  # one that could not be read
        return {"encoder": rows.repeat(1, 2), "bridge": rows * torch.ones(1, 3), "language": rows}

    def text(self, words):
        return torch.stack([torch.eye(3)[["red", "green", "blue"].index(word)] for word in words]).double()


def test_one_source_through_everything():
    generator = np.random.default_rng(0)
    records = []
    for k, name in enumerate(("r", "g", "b", "grey")):
        for i in range(30):
            values = generator.uniform(90, 110, size=(3, 12, 12))
            if k < 3:
                values[k] += 60
            records.append(Made(Raster(values.astype(np.uint8), units="uint8"), name, f"{name}{i // 2}"))
    records.append(Made(records[0].item, "", "none"))
    said = []
    row = evaluate_source(Averages(), records, {"r": ("red", "crimson"), "g": "green", "b": ["blue"], "grey": ()},
                          shots=(1, 2), episodes=20, name="colours", modality="rgb", progress=said.append)  # fmt: skip
    assert (row.items, row.zero_shot_ways, row.modality) == (119, 3, "rgb")
    assert row.zero_shot.mean == 1.0
    assert "macro F1 100.0" in row.zero_shot.note
    protocols = ["4-way 1-shot, 20 episodes", "4-way 2-shot, 20 episodes", "4-way linear probe"]
    assert [line.protocol for line in row.lines] == protocols
    levels = ("encoder", "bridge", "language", "together")
    assert all(line.cells[level].mean > 0.7 for line in row.lines for level in levels)
    assert "ECE" in row.lines[0].cells["encoder"].note
    assert "with names" not in row.lines[0].cells  # a class without a name takes part
    at_once = [row.lines[0].cells[name] for name in ("encoder, at once", "cheap, at once")]
    assert all(cell.mean > 0.7 for cell in at_once)
    assert at_once[1].note in row.lines[0].baselines  # which one that is
    assert set(row.lines[2].baselines) == {
        "image statistics, linear probe",
        "random convolutional features, linear probe",
    }
    assert set(row.lines[0].baselines) == {
        f"{name}, {title}"
        for name in ("image statistics", "random convolutional features")
        for title in ("nearest mean", "logistic regression")
    }
    notes = " ".join(row.notes)
    for words in ("1 items could not be embedded", "4-way instead of 5-way", "leaves out 1 classes without a name"):
        assert words in notes
    assert len(said) == 5
    with pytest.raises(ValueError, match="no labelled items"):
        evaluate_source(Averages(), [], {}, name="nothing")


def test_subsample_bounds_every_class():
    labels = ["a"] * 50 + ["b"] * 5
    kept = subsample(labels, most=10, seed=1)
    assert kept == sorted(kept)
    assert [labels[i] for i in kept].count("a") == 10
    assert [labels[i] for i in kept].count("b") == 5
    assert kept == subsample(labels, most=10, seed=1)
