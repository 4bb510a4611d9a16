"""The league on a made set: rows are kept, gone on from, told apart by settings, and reproduced."""

import json
import shutil
import zipfile

import numpy as np
import pytest
from typer.testing import CliRunner

from allspark.cli import app
from allspark.evaluate import league
from allspark.evaluate.quick import half_split
from allspark.evaluate.report import Cell, Line, Row, Table
from allspark.evaluate.sources import SOURCES, get


def run(*arguments, code=0):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


def ring(size, chords):
    pairs = [(i, (i + 1) % size) for i in range(size)] + [(i, (i + size // 2) % size) for i in range(chords)]
    nodes = "".join(f' node [\n id {i}\n label "{i % 3}"\n ]\n' for i in range(size))
    return "graph [\n" + nodes + "".join(f" edge [\n source {a}\n target {b}\n ]\n" for a, b in pairs) + "]\n"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Proteins that are rings with chords, and rings without."""
    root = tmp_path_factory.mktemp("data")
    path = root / get("proteins").files[0]
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(24):
            archive.writestr(f"{i:04d}.gml", ring(6 + i // 2, (i % 2) * 3))
        archive.writestr("Labels.txt", "\n".join(str(1 + i % 2) for i in range(24)))
    return root


def test_every_row_names_a_source_that_can_be_tested():
    for name, spec in league.ROWS.items():
        assert SOURCES[spec.source].role in ("test", "both"), name
        assert set(spec.keep) <= set(SOURCES[spec.source].modality.split("+"))
        assert spec.unseen


def test_a_league_is_written_gone_on_from_and_reproduced(tiny_folder, data, tmp_path):
    base = ["bench", "league", "--data", data, "--model", tiny_folder, "--rows", "proteins", "--limit", 10,
            "--episodes", 6, "--keep", tmp_path / "rows", "--out", tmp_path / "docs"]  # fmt: skip
    run(*base)
    assert sorted(p.name for p in (tmp_path / "docs").iterdir()) == ["league.json", "league.md", "league.png"]
    table = Table.from_json((tmp_path / "docs" / "league.json").read_text())
    (row,) = table.rows
    assert [line.protocol for line in row.lines] == [
        "2-way 1-shot, 6 episodes", "2-way 5-shot, 6 episodes", "2-way linear probe",
    ]  # fmt: skip
    assert set(row.lines[0].cells) == {
        "encoder", "bridge", "language", "together", "with names", "encoder, at once", "cheap, at once",
    }  # fmt: skip
    assert row.zero_shot_ways == 2
    assert row.items == 20
    assert row.settings == {"limit": 10, "episodes": 6, "seed": 0}
    assert any("together against encoder alone" in remark for remark in table.remarks)
    assert table.remarks[0] in (tmp_path / "docs" / "league.md").read_text()

    kept = tmp_path / "rows" / "proteins.json"
    marked = json.loads(kept.read_text())
    marked["rows"][0]["items"] = 999  # what is kept is not measured again
    kept.write_text(json.dumps(marked))
    run(*base)
    assert Table.from_json((tmp_path / "docs" / "league.json").read_text()).rows[0].items == 999
    assert "--again" in run(*base, "--seed", 1, code=1).stderr
    run(*base, "--again")
    assert Table.from_json(kept.read_text()).rows == (row,)

    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    again = ["reproduce", "proteins", "--data", data, "--model", folder]
    assert "ships no figures" in run(*again, code=1).stderr
    shutil.copy(tmp_path / "docs" / "league.json", folder / league.SHIPPED)
    found = json.loads(run(*again, "--json").stdout)
    assert found["same"]
    assert {p["features"] for p in found["figures"]} >= {"encoder", "together", "language"}
    shipped = json.loads((folder / league.SHIPPED).read_text())
    shipped["rows"][0]["lines"][1]["cells"]["encoder"] = {"mean": 2.0, "interval": 0.01, "note": ""}
    (folder / league.SHIPPED).write_text(json.dumps(shipped))
    assert "1 of" in run(*again, code=1).stderr
    assert "wanted one of proteins" in run("reproduce", "aid", "--data", data, "--model", folder, code=1).stderr


def test_a_manifest_is_a_row(tiny_folder, tmp_path):
    from PIL import Image

    generator = np.random.default_rng(0)
    lines = ["path,label,group"]
    for i in range(24):
        colour = (10, 30, 90) if i % 2 else (240, 220, 130)
        pixels = np.clip(colour + generator.normal(0, 6, (24, 24, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
        lines.append(f"{i}.png,{'sea' if i % 2 else 'sand'},{i // 4}")
    (tmp_path / "coast.csv").write_text("\n".join(lines))
    call = ["bench", "league", "--model", tiny_folder, "--rows", "none", "--manifest", tmp_path / "coast.csv",
            "--episodes", 5, "--keep", tmp_path / "rows", "--out", tmp_path]  # fmt: skip
    (row,) = json.loads(run(*call, "--json").stdout)["rows"]
    assert (row["name"], row["modality"], row["zero_shot_ways"], row["items"]) == ("coast", "rgb", 2, 24)
    assert (tmp_path / "rows" / "coast.json").is_file()
    assert "no data folder" in run("bench", "league", code=1).stderr
    assert "no row" in run("bench", "league", "--data", tmp_path, "--rows", "moon", code=1).stderr


def test_halves_share_no_group_and_hold_the_same_classes():
    labels = [f"c{i % 3}" for i in range(60)] + ["lone"] * 2
    groups = [i // 5 for i in range(60)] + [90, 90]
    train, test = half_split(labels, groups, seed=0)
    assert not {groups[i] for i in train} & {groups[i] for i in test}
    assert {labels[i] for i in train} == {labels[i] for i in test} == {"c0", "c1", "c2"}
    assert half_split(["a", "b"], [0, 1], seed=0) is None


def test_what_language_adds_is_said_over_rows():
    def row(name, encoder, language):
        cells = {"encoder": Cell(encoder), "language": Cell(language)}
        return Row(name, "rgb", (Line(5, 1, 10, cells),))

    (words,) = league.against_encoder([row("aid", 0.5, 0.6), row("cora", 0.5, 0.48)])
    assert words.startswith("1-shot, language against encoder alone: +4.0 points on the mean of 2 rows, better on 1")
    assert "most hurt: cora -2.0" in words
    ordered = league.table([row("cora", 0.1, 0.1), row("own", 0.1, 0.1), row("aid", 0.1, 0.1)])
    assert [one.name for one in ordered.rows] == ["aid", "cora", "own"]
