"""What the fine-tuning recipes share: items that the reader gives back, references, figures, and the table."""

import argparse
import importlib.util
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import allspark
from allspark.readers.manifest import load_row, read_manifest
from allspark.testing import made

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "recipes" / "finetune"


def module(name):
    spec = importlib.util.spec_from_file_location(f"finetune_{name}", FOLDER / f"{name}.py")
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found  # dataclasses look for their module there
    spec.loader.exec_module(found)
    return found


@pytest.fixture(scope="module")
def shared():
    return module("shared")


def test_the_manifest_gives_back_what_was_written(shared, tmp_path):
    names = ("sar", "multispectral", "hyperspectral", "point_cloud", "trajectory", "language")
    items = {name: made(name, 1, 2)[0][0] for name in names}
    holes = items["multispectral"].values.copy()
    holes[:, :3] = np.nan
    items["multispectral"] = allspark.Raster(holes, units="reflectance", wavelengths=items["multispectral"].wavelengths)
    examples = [shared.Example({name: item}, "a", "train") for name, item in items.items()]
    manifest = shared.write_manifest(tmp_path, examples)
    before = manifest.stat().st_mtime_ns
    for row, (name, item) in zip(read_manifest(manifest), items.items(), strict=True):
        (back,) = load_row(row).values()
        assert (row.label, row.split) == ("a", "train")
        if name in ("sar", "multispectral", "hyperspectral"):
            np.testing.assert_allclose(back.values, item.values, rtol=1e-6)
            assert back.units == item.units
            assert (back.mask == item.mask).all()
            if item.wavelengths is not None:
                np.testing.assert_allclose(back.wavelengths, item.wavelengths)
        elif name == "point_cloud":
            np.testing.assert_allclose(back.xyz, item.xyz)
            np.testing.assert_allclose(back.features["intensity"], item.features["intensity"])
        elif name == "trajectory":
            np.testing.assert_allclose(back.positions, item.positions, atol=1e-6)  # a tenth of a metre
            np.testing.assert_allclose(np.diff(back.time), np.diff(item.time), atol=1e-3)
        else:
            assert back.words == " ".join(item.words.split())
    assert shared.write_manifest(tmp_path, []) == manifest
    assert manifest.stat().st_mtime_ns == before, "made once"


def test_what_is_held_back_is_an_even_share_of_every_class(shared):
    keys = [f"{'ab'[i % 4 == 0]}|{i}" for i in range(200)]
    held = shared.held_back(keys, 0.2)
    assert [sum(h for h, key in zip(held, keys) if key[0] == name) for name in "ab"] == [30, 10]
    assert held == shared.held_back(keys, 0.2)
    again = dict(zip(keys[::-1], shared.held_back(keys[::-1], 0.2)))
    assert [again[key] for key in keys] == held, "the order does not matter"


def test_the_reference_is_chosen_without_the_test_part(shared):
    from sklearn.tree import DecisionTreeClassifier

    rng = np.random.default_rng(0)
    labels = np.arange(120) % 2
    parts = np.array(["train", "val", "test"])[np.arange(120) // 2 % 3]
    honest = labels[:, None] + 0.3 * rng.normal(size=(120, 1))
    # right on test alone: whoever looked there would take it
    sly = np.where(parts[:, None] == "test", labels[:, None], rng.normal(size=(120, 1)))
    tree = DecisionTreeClassifier(max_depth=1, random_state=0)
    found = shared.classical({"honest": (honest, tree), "sly": (sly, tree)}, labels, parts, shared.accuracy)
    assert found["name"] == "honest"
    assert found["value"] > 0.85
    assert shared.macro_f1(np.array([0, 0, 1]), np.array([0, 1, 1])) == pytest.approx(2 / 3)


def test_seeds_are_run_measured_and_written(shared, tiny_folder, tmp_path, capsys):
    items, labels = made("language", 24, 2)
    split = [("train", "train", "val", "test")[i // 2 % 4] for i in range(24)]
    manifest = shared.write_manifest(
        tmp_path, (shared.Example({"language": x}, "ab"[y], s) for x, y, s in zip(items, labels, split))
    )
    row = shared.Row("words", "made words", "accuracy", "–", "≥ 50", lambda value, _: value >= 0.5)
    given = argparse.Namespace(
        seeds=[0, 1], model=str(tiny_folder), out=tmp_path, results=tmp_path / "results", dry_run=False, choose=None
    )
    options = {"data": str(manifest), "task": "classify", "train": ["heads"], "steps": 4, "batch": 6, "precision": "no"}
    details = []

    def one(seed):
        found = shared.refitted(given, f"seed{seed}", seed, **options)
        details.append(found)
        return found["test"]["accuracy"], found

    shared.seeds(row, given, {"name": "coin", "value": 0.5}, options, one)
    content = json.loads((tmp_path / "results" / "words.json").read_text())
    assert content["mean"] == pytest.approx(np.mean([found["test"]["accuracy"] for found in details]))
    assert content["std"] == pytest.approx(np.std([found["test"]["accuracy"] for found in details], ddof=1))
    assert content["command"] == "python recipes/finetune/words.py --data DIR --seeds 0 1"
    assert len(content["weights"]) == 64
    assert "val" not in details[0], "the second fine-tuning has everything but the test part"
    assert details[0]["steps"] == details[0]["best_step"] == 4
    recipe = json.loads((tmp_path / "seed0" / "recipe.json").read_text())
    assert recipe["examples"] == {"train": 18, "test": 6}, "val is learnt from too"
    assert content["encoders"] == {}, "words have no encoder"
    assert content["encoders"] == {}, "words have no encoder"
    assert "made words: accuracy" in capsys.readouterr().out
    line = module("table").line(content)
    assert "(2 seeds)" in line
    assert f"{100 * content['mean']:.1f} ± " in line


def test_what_is_chosen_on_val_sees_no_row_of_the_test_part(shared, tiny_folder, tmp_path, capsys):
    items, labels = made("sar", 16, 2)
    split = [("train", "train", "val", "test")[i // 2 % 4] for i in range(16)]
    manifest = shared.write_manifest(
        tmp_path, (shared.Example({"sar": x}, "ab"[y], s) for x, y, s in zip(items, labels, split))
    )
    row = shared.Row("chips", "made chips", "accuracy", "–", "≥ 50", lambda value, _: value >= 0.5)
    given = argparse.Namespace(
        seeds=[0], model=str(tiny_folder), out=tmp_path, results=tmp_path / "results", dry_run=False, choose=["steps=2"]
    )
    options = {"data": str(manifest), "task": "classify", "train": ["heads"], "steps": 4, "batch": 4, "precision": "no"}
    shared.seeds(row, given, {"name": "coin", "value": 0.5}, options)
    assert not (tmp_path / "results").exists()
    recipe = json.loads((tmp_path / "choose" / "steps=2" / "recipe.json").read_text())
    assert recipe["arguments"]["steps"] == 2
    assert recipe["examples"] == {"train": 8, "val": 4}
    assert '"val": {"accuracy"' in capsys.readouterr().out


def test_an_encoders_hash_is_of_its_own_tensors(shared, tiny_folder, tmp_path):
    from safetensors.torch import load_file, save_file

    def hashes(changed):
        folder = shutil.copytree(tiny_folder, tmp_path / (changed or "same"))
        tensors = load_file(folder / "model.safetensors")
        for name in tensors:
            if changed and name.startswith(changed):
                tensors[name] = tensors[name] + 1
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return shared._encoder_hashes(str(folder), ["sar", "table", "language"])

    same = hashes("")
    assert set(same) == {"sar", "table"}
    assert same["sar"] != same["table"]
    assert hashes("bridges.") == same
    changed = hashes("encoders.table.")
    assert changed["sar"] == same["sar"]
    assert changed["table"] != same["table"]


def test_the_page_holds_the_table_of_the_results():
    table = module("table")
    page = (ROOT / "docs" / "finetune.md").read_text(encoding="utf-8")
    between = page.split(table.BEGIN)[1].split(table.END)[0].strip()
    assert between == table.table(FOLDER / "results"), "run recipes/finetune/table.py"
    for file in (FOLDER / "results").glob("*.json"):
        assert file.stem in table.ORDER
        assert (FOLDER / f"{file.stem}.py").is_file()
