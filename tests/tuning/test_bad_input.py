"""What is wrong with data or options is said in one sentence, before or during training."""

import json

import numpy as np
import pytest

import allspark
from allspark.finetune import main, run
from allspark.tuning.options import Options

from . import made


def options(manifest, out, model, **more):
    return Options(**{
        "data": str(manifest), "out": str(out), "task": "classify", "model": str(model), "precision": "no",
        "train": ["heads"], "steps": 1, "batch": 4, **more,
    })  # fmt: skip


def refused(manifest, out, model, match, error=ValueError, **more):
    with pytest.raises(error, match=match):
        run(options(manifest, out, model, **more))


@pytest.fixture
def texts(tmp_path):
    return made.texts(tmp_path, 12)


def changed(manifest, change):
    """The manifest with every row's cells changed by ``change(number, row)``; None drops the row."""
    import csv

    with open(manifest, encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    kept = [row for i, row in enumerate(rows) if change(i, row) is not False]
    return made.write_csv(manifest.with_name("changed.csv"), kept)


def test_columns_that_are_not_there(texts, tiny_folder, tmp_path):
    refused(texts, tmp_path / "run", tiny_folder, r"no column 'species'.*it has none|no column 'species'",
            label_column="species")  # fmt: skip
    fields = made.table(tmp_path)
    refused(fields, tmp_path / "run", tiny_folder, "no column 'snow'; it has rain, soil", columns=["rain", "snow"])
    refused(fields, tmp_path / "run", tiny_folder, "is the answer", columns=["rain", "crop"], label_column="crop")


def test_files_that_are_not_there(tiny_folder, tmp_path):
    refused(tmp_path / "nowhere.csv", tmp_path / "run", tiny_folder, "nowhere", FileNotFoundError)
    tracks = made.tracks(tmp_path, 12)
    (tmp_path / "track_3.csv").unlink()
    refused(tracks, tmp_path / "run", tiny_folder, r"1 of the files.*track_3\.csv", FileNotFoundError)


def test_a_few_unreadable_samples_are_put_aside_and_many_stop_the_run(tiny_folder, tmp_path):
    tracks = made.tracks(tmp_path, 12)
    (tmp_path / "track_0.csv").write_bytes(b"\x00\x01 no table")
    refused(tracks, tmp_path / "run", tiny_folder, r"1 of 12 rows cannot be used.*--max-bad 0\.05.*line 2.*track_0")
    (entry,) = map(json.loads, (tmp_path / "run" / "skipped.jsonl").read_text().splitlines())
    assert entry["line"] == 2
    assert "track_0.csv" in entry["inputs"]["trajectory"]
    results = run(options(tracks, tmp_path / "more", tiny_folder, max_bad=0.1))
    assert results["steps"] == 1
    assert json.loads((tmp_path / "more" / "skipped.jsonl").read_text())["line"] == 2
    assert json.loads((tmp_path / "more" / "recipe.json").read_text())["skipped"] == 1


def test_labels_that_cannot_be_learnt(texts, tiny_folder, tmp_path):
    def new_in_test(i, row):
        if i == len(made.splits(12)) - 1:
            row.update(label="desert", split="test")

    refused(changed(texts, new_in_test), tmp_path / "run", tiny_folder, r"'desert' stands in test \(1 rows\) but not")
    refused(changed(texts, lambda i, row: row.update(label="river")), tmp_path / "run", tiny_folder,
            "one label alone, 'river'; wanted at least two")  # fmt: skip
    refused(changed(texts, lambda i, row: row.update(label="")), tmp_path / "run", tiny_folder, "no label")


def test_splits_that_are_empty_or_unknown(texts, tiny_folder, tmp_path):
    refused(
        changed(texts, lambda i, row: row.update(split="test")), tmp_path / "run", tiny_folder, "split train is empty"
    )
    refused(changed(texts, lambda i, row: row.update(split="valid")), tmp_path / "run", tiny_folder,
            r"12 rows have split 'valid'; wanted train, val, test")  # fmt: skip
    refused(changed(texts, lambda i, row: row.update(split="train")), tmp_path / "run", tiny_folder,
            "--patience came without a val split", patience=2)  # fmt: skip


def test_the_readable_rows_may_leave_a_split_empty(tiny_folder, tmp_path):
    tracks = made.tracks(tmp_path, 12)
    for number in (8, 9):  # all of val
        (tmp_path / f"track_{number}.csv").write_text("time,lon,lat\n")
    refused(tracks, tmp_path / "run", tiny_folder, "the split val is empty: no usable row", max_bad=0.5)


def test_units_may_not_be_mixed(tiny_folder, tmp_path):
    rows = []
    for i in range(8):
        np.save(tmp_path / f"chip_{i}.npy", np.random.default_rng(i).uniform(1, 9, (2, 16, 16)).astype(np.float32))
        rows.append({
            "sar": f"chip_{i}.npy", "sar.units": "linear" if i == 5 else "db", "sar.bands": "VV;VH",
            "label": made.NAMES[i % 2],
        })  # fmt: skip
    manifest = made.write_csv(tmp_path / "chips.csv", rows)
    refused(manifest, tmp_path / "run", tiny_folder, r"sar comes in several units: 7 in db .*1 in linear \(line 7\)")


def test_targets_in_words_are_no_numbers(tiny_folder, tmp_path):
    fields = changed(made.table(tmp_path), lambda i, row: row.update({"yield": "3 t/ha"}) if i == 4 else None)
    refused(fields, tmp_path / "run", tiny_folder, r"line 6 has yield '3 t/ha'; wanted a number in one unit",
            task="regress", columns=["rain", "soil"], target_column="yield")  # fmt: skip


def test_a_loss_that_is_no_number_names_its_items(tiny_folder, tmp_path, monkeypatch):
    clouds = made.clouds(tmp_path, 12)
    from allspark.tuning.data import Examples

    read = Examples.__getitem__

    def poisoned(self, index):
        sample, target = read(self, index)
        if self.facts[index].row == 2:
            sample = {"point_cloud": {**sample["point_cloud"], "scale": sample["point_cloud"]["scale"] * float("nan")}}
        return sample, target

    monkeypatch.setattr(Examples, "__getitem__", poisoned)
    with pytest.raises(FloatingPointError, match=r"no number at step \d+ because of line 4 .*cloud_2\.npy"):
        run(options(clouds, tmp_path / "run", tiny_folder, epochs=1, steps=0, augment="none"))
    assert not (tmp_path / "run" / "results.json").exists()


def test_weights_that_run_away_are_not_blamed_on_items(texts, tiny_folder, tmp_path, monkeypatch):
    from torch import nn

    from allspark.heads import ClassificationHead

    def broken(self, width, *, labels):
        nn.Module.__init__(self)
        self.norm, self.linear = False, nn.Linear(width, len(labels))
        nn.init.constant_(self.linear.weight, float("nan"))

    monkeypatch.setattr(ClassificationHead, "__init__", broken)
    refused(texts, tmp_path / "run", tiny_folder, "weights have left their range: lower --lr", FloatingPointError)


@pytest.mark.parametrize(
    ("more", "match"),
    [
        ({"batch": 0}, "--batch is 0"),
        ({"train": ["head"]}, "--train is"),
        ({"train": ["encoders", "encoder-lora"]}, "not both"),
        ({"val": 0.6, "test": 0.5}, "less than 1 together"),
        ({"lr": 0.0}, "--lr is 0"),
        ({"task": "guess"}, "--task is 'guess'; wanted one of classify"),
    ],
)
def test_options_out_of_range(more, match):
    with pytest.raises(ValueError, match=match):
        Options(**{"data": "a.csv", "out": "run", "task": "classify", **more})


def test_options_that_do_not_fit_the_data(texts, tiny_folder, tmp_path):
    refused(texts, tmp_path / "run", tiny_folder, "--input names 'radar'", input=["radar.size=32"])
    refused(texts, tmp_path / "run", tiny_folder, r"--input names sar\.side", input=["sar.side=32"])
    refused(texts, tmp_path / "run", tiny_folder, "--input is 'size=3'", input=["size=3"])
    refused(texts, tmp_path / "run", tiny_folder, "nothing to train", train=["bridges"])
    refused(texts, tmp_path / "run", tiny_folder, "use --at language", at="encoder")
    refused(texts, tmp_path / "run", tiny_folder, "fewer than two --classes", task="segment")
    refused(texts, tmp_path / "run", tiny_folder, "no question", task="answer", train=["lora"])
    refused(texts, tmp_path / "run", tiny_folder, "0 trajectories", task="trajectory")
    refused(texts, tmp_path / "run", tiny_folder, "names no node", task="node")


def test_the_command_ends_with_one_sentence(texts, tiny_folder, tmp_path, capsys):
    words = [
        "--data",
        str(texts),
        "--out",
        str(tmp_path / "run"),
        "--task",
        "classify",
        "--model",
        str(tiny_folder),
        "--precision",
        "no",
    ]
    with pytest.raises(SystemExit, match=r"^error: .*nothing to train.*$"):
        main([*words, "--train", "bridges"])
    with pytest.raises(SystemExit):
        main([*words, "--batch", "0"])
    assert "--batch is 0; wanted a whole number" in capsys.readouterr().err
    with pytest.raises(allspark.WeightsNotFoundError):
        run(options(texts, tmp_path / "run", tmp_path / "no model"))
