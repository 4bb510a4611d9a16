"""Tables that nothing was trained on: which column is asked for, and what is compared."""

import re
import sys

import numpy as np
import pandas as pd
import pytest
import unseen_tables


@pytest.fixture
def folder(tmp_path):
    random = np.random.default_rng(0)
    kinds = random.choice(["oak", "ash", "elm"], 120)
    height = {"oak": 3.0, "ash": 5.0, "elm": 7.0}
    trees = pd.DataFrame({
        "kind": kinds,
        "height": [height[k] + random.normal(0, 1) for k in kinds],
        "girth": random.normal(size=120),
        "plot": random.choice(["a", "b", "c", "d"], 120),  # says nothing
        "code": kinds,  # says all
    })  # fmt: skip
    trees.drop(columns="code").to_csv(tmp_path / "trees.csv")
    trees.drop(columns=["kind", "code", "plot"]).assign(more=1.0, less=2.0).to_csv(tmp_path / "numbers.csv")
    trees.head(40).to_csv(tmp_path / "few.csv")
    trees.to_csv(tmp_path / "certain.csv")
    (tmp_path / "broken.csv").write_bytes(b"\xff\xfe\x00a,b\n\x00")
    return tmp_path


def test_the_column_that_others_tell_is_asked_for_and_rows_are_not_numbered(folder):
    rows, labels, name = unseen_tables.question(unseen_tables.read(folder / "trees.csv"))
    assert name == "kind"
    assert list(rows[0].frame.columns) == ["height", "girth", "plot"]
    assert [labels.count(k) for k in ("oak", "ash", "elm")] == [30, 30, 30]


def test_what_is_certain_few_or_without_words_is_not_asked_for(folder):
    assert unseen_tables.question(unseen_tables.read(folder / "certain.csv")) is None
    assert unseen_tables.question(unseen_tables.read(folder / "numbers.csv")) is None
    assert unseen_tables.read(folder / "few.csv") is None
    assert unseen_tables.read(folder / "broken.csv") is None


def test_the_command_prints_tables_and_means(folder, tiny_folder, monkeypatch, capsys):
    arguments = ["unseen_tables.py", "--tables", str(folder), "--model", str(tiny_folder), "--episodes", "20"]
    monkeypatch.setattr(sys, "argv", arguments)
    unseen_tables.main()
    said = capsys.readouterr().out
    assert re.search(r"trees \(90 rows, kind\): raw columns \d+\.\d / \d+\.\d", said)
    reached = {k: float(v) for k, v in re.findall(r"(\w[\w' ]*): \d+\.\d / (\d+\.\d); against", said)}
    assert set(reached) == {"raw columns", "tokens' mean", "sketch", "encoder", "language"}
    assert reached["sketch"] > 45  # of three kinds, by height
    assert "(1 tables)" in said


def test_a_folder_without_tables_is_refused(tmp_path, tiny_folder, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["x", "--tables", str(tmp_path), "--model", str(tiny_folder)])
    with pytest.raises(SystemExit):
        unseen_tables.main()
    assert "no CSV file below" in capsys.readouterr().err
