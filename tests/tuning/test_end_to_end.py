"""From a manifest to answers: one PEFT folder, loaded, merged, taken off again, and read by plain peft."""

import json

import pytest
import torch

import allspark
from allspark.finetune import run
from allspark.tuning.options import Options

from . import made

COLUMNS = ["rain", "soil"]


@pytest.fixture(scope="module")
def tuned(tiny_folder, tmp_path_factory):
    """A run that trains everything, on the rows of a table."""
    folder = tmp_path_factory.mktemp("table")
    options = Options(
        data=str(made.table(folder)), out=str(folder / "run"), task="classify", model=str(tiny_folder), precision="no",
        columns=COLUMNS, label_column="crop", train=["heads", "prompts", "bridges", "encoders", "lora"], epochs=15,
        batch=16, lr=2e-3, encoder_lr=2e-3, eval_every=10,
    )  # fmt: skip
    return folder, options, run(options)


def test_it_learns_and_says_so(tuned):
    folder, _, results = tuned
    assert results["test"]["accuracy"] == 1
    assert results == json.loads((folder / "run" / "results.json").read_text())
    lines = [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [10, 20, 30]
    assert lines[-1]["loss"] < lines[0]["loss"] / 2
    recipe = json.loads((folder / "run" / "recipe.json").read_text())
    assert recipe["arguments"]["lr"] == 2e-3
    assert recipe["seed"] == 0
    assert len(recipe["data"]) == 64
    assert {"torch", "peft"} <= set(recipe["versions"])


def test_the_folder_answers_merges_and_comes_off(tuned, tiny_folder, tmp_path):
    folder, _, _ = tuned
    files = allspark.read(folder / "fields.csv", columns=COLUMNS)[:4]
    plain = allspark.load(tiny_folder)
    before = plain.embed(files)
    spark = allspark.load(tiny_folder, adapter=folder / "run")
    answers = spark.classify(files)
    assert [a.label for a in answers] == ["rice", "millet"] * 2
    assert set(answers[0].scores) == {"rice", "millet"}
    with pytest.raises(ValueError, match="merge"):
        spark.save(tmp_path / "no")
    assert not torch.allclose(spark.embed(files), before, atol=1e-3)
    spark.merge().save(tmp_path / "merged")
    for model in (spark, allspark.load(tmp_path / "merged")):
        for new, old in zip(model.classify(files), answers):
            assert new.scores == pytest.approx(old.scores, abs=1e-5)
    with pytest.raises(ValueError, match="no adapter"):
        spark.merge()
    bare = allspark.load(tiny_folder, adapter=folder / "run").unload()
    assert bare.config.heads == {}
    assert torch.equal(bare.embed(files), before)
    with pytest.raises(ValueError, match="no head"):
        bare.classify(files)


def test_the_last_checkpoint_loads_like_any_adapter(tuned, tiny_folder):
    folder, _, results = tuned
    (last,) = (folder / "run" / "checkpoints").iterdir()
    assert int(last.name) == results["steps"]
    row = allspark.read(folder / "fields.csv", columns=COLUMNS)[0]
    assert allspark.load(tiny_folder, adapter=last).classify(row)[0].label == "rice"


def test_peft_alone_reads_the_folder(tuned, tiny_folder):
    from peft import PeftModel

    folder, _, _ = tuned
    ours = allspark.load(tiny_folder, adapter=folder / "run")
    model = allspark.load(tiny_folder).model
    from allspark.adapters import add_heads, quiet

    add_heads(model, ours.config.heads)
    with quiet():
        theirs = PeftModel.from_pretrained(model, folder / "run")
    mine, other = ours.model.state_dict(), theirs.get_base_model().state_dict()
    assert mine.keys() == other.keys()
    assert all(torch.equal(value, other[key]) for key, value in mine.items() if "original_module" not in key)
    assert any("lora_B" in key and value.abs().sum() > 0 for key, value in mine.items())


def test_an_adapter_of_another_model_is_refused(tuned, tiny_folder, tmp_path):
    folder, _, _ = tuned
    other = allspark.build("allspark-tiny", modality=["table"], encoders={"table": {"width": 16}})
    other.save(tmp_path / "other")
    with pytest.raises(ValueError, match="does not fit"):
        allspark.load(tmp_path / "other", adapter=folder / "run")
    with pytest.raises(allspark.WeightsNotFoundError, match=r"allspark\.json"):
        allspark.load(tiny_folder, adapter=tmp_path)
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    for file in (folder / "run").glob("*.*"):
        content = file.read_bytes()
        (damaged / file.name).write_bytes(content[:-100] if file.suffix == ".safetensors" else content)
    with pytest.raises(allspark.UnreadableFileError, match="corrupt"):
        allspark.load(tiny_folder, adapter=damaged)
