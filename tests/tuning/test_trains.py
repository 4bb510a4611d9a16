"""What trains and how: parts, LoRA on encoders, gradient checkpointing, early stopping, bf16, trackers, a dry run."""

import json

import pytest
import torch
from safetensors.torch import load_file

import allspark
from allspark.finetune import main, run
from allspark.tuning.options import Options
from allspark.tuning.setup import prepare
from allspark.tuning.trainables import count, learning_mode

from . import made


def options(manifest, out, model, **more):
    return Options(**{
        "data": str(manifest), "out": str(out), "task": "classify", "model": str(model), "precision": "no",
        "train": ["heads"], "steps": 2, "batch": 4, **more,
    })  # fmt: skip


@pytest.fixture
def clouds(tmp_path):
    return made.clouds(tmp_path, 12)


@pytest.mark.parametrize(
    ("train", "parts"),
    [
        (["heads"], {"heads"}),
        (["heads", "prompts", "bridges"], {"heads", "prompts", "bridges"}),
        (["heads", "encoders"], {"heads", "encoders"}),
        (["heads", "lora", "encoder-lora"], {"heads", "language (LoRA)", "encoders (LoRA)"}),
    ],
)
def test_only_the_chosen_parts_change(clouds, tiny_folder, tmp_path, train, parts):
    given = options(clouds, tmp_path / "run", tiny_folder, train=train)
    found = count(prepare(given).wrapped)
    assert set(found) == parts
    results = run(given)
    assert results["trainable"] == sum(found.values())
    spark, before = allspark.load(tiny_folder, adapter=tmp_path / "run"), allspark.load(tiny_folder).model.state_dict()
    after = spark.merge().model.state_dict()
    changed = {name.split(".")[0] for name, value in before.items() if not torch.equal(value, after[name])}
    assert changed == {part.split(" ")[0] for part in parts} - {"heads"}
    untouched = [n for n in before if n.startswith("encoders.") and ".point_cloud." not in n]
    assert untouched
    assert all(torch.equal(before[name], after[name]) for name in untouched), "modalities that do not occur"


def test_frozen_parts_drop_nothing_and_batch_norms_keep_their_statistics(clouds, tiny_folder, tmp_path):
    wrapped = prepare(options(clouds, tmp_path / "run", tiny_folder, train=["heads", "lora"])).wrapped
    learning_mode(wrapped)
    training = {name for name, module in wrapped.named_modules() if module.training}
    assert any("lora_dropout" in name for name in training)
    assert not any(".encoders." in name or name.endswith("norm") for name in training)


@pytest.mark.parametrize("train", [["heads", "lora"], ["heads", "encoders"]])
def test_gradient_checkpointing_changes_no_weight(clouds, tiny_folder, tmp_path, train):
    more = {"train": train, "lora_dropout": 0.0, "steps": 3, "lr": 1e-3}
    run(options(clouds, tmp_path / "plain", tiny_folder, **more))
    run(options(clouds, tmp_path / "saving", tiny_folder, gradient_checkpointing=True, **more))
    plain, saving = (load_file(tmp_path / out / "adapter_model.safetensors") for out in ("plain", "saving"))
    assert plain.keys() == saving.keys()
    assert all(torch.allclose(value, saving[name], atol=1e-5) for name, value in plain.items())


def test_accumulated_steps_are_one_large_step(clouds, tiny_folder, tmp_path):
    # 8 training examples: one batch of 8, or two of 4 of the same epoch
    more = {"train": ["heads", "bridges"], "steps": 1, "augment": "none", "lr": 1e-2, "warmup": 0.0, "clip": 100.0}
    run(options(clouds, tmp_path / "large", tiny_folder, batch=8, **more))
    run(options(clouds, tmp_path / "added", tiny_folder, batch=4, accumulate=2, **more))
    large, added = (load_file(tmp_path / out / "adapter_model.safetensors") for out in ("large", "added"))
    assert all(torch.allclose(value, added[name], atol=2e-3) for name, value in large.items())


def test_early_stopping_keeps_the_best(clouds, tiny_folder, tmp_path):
    # a rate so high that what is learnt first is soon lost
    results = run(options(clouds, tmp_path / "run", tiny_folder, lr=3.0, steps=60, eval_every=1, patience=3))
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert results["steps"] == lines[-1]["step"] < 60
    assert results["best_step"] == results["steps"] - 3
    best = lines[results["best_step"] - 1]
    assert (best["val_accuracy"], -best["val_loss"]) == max((x["val_accuracy"], -x["val_loss"]) for x in lines)
    assert results["val"]["loss"] == pytest.approx(best["val_loss"], abs=1e-5), "the best weights, not the last"
    assert [p.name for p in (tmp_path / "run" / "checkpoints").iterdir()] == [f"{results['steps']:08d}"]


def test_the_rate_follows_its_schedule(clouds, tiny_folder, tmp_path):
    run(options(clouds, tmp_path / "run", tiny_folder, steps=10, warmup=0.2, eval_every=1, lr=1e-3))
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    rates = [line["lr"] for line in lines]
    assert rates[:3] == pytest.approx([5e-4, 1e-3, 1e-3])
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[-1] < 1e-4


def test_runs_of_two_precisions_in_one_process(clouds, tiny_folder, tmp_path):
    losses = {
        precision: run(options(clouds, tmp_path / precision, tiny_folder, precision=precision, train=["heads", "lora"]))
        for precision in ("bf16", "no")
    }
    assert losses["bf16"]["val"]["loss"] == pytest.approx(losses["no"]["val"]["loss"], rel=0.05)


def test_the_metric_that_is_named_chooses(clouds, tiny_folder, tmp_path):
    def found(choose):
        prepared = prepare(options(clouds, tmp_path / "run", tiny_folder, choose=choose))
        return prepared.choose, prepared.higher

    assert [found(name) for name in ("", "macro_f1", "loss")] == [
        ("accuracy", True), ("macro_f1", True), ("loss", False),
    ]  # fmt: skip
    with pytest.raises(ValueError, match="--choose is 'miou'; --task classify measures accuracy, macro_f1"):
        found("miou")


def test_stochastic_depth_grows_from_the_first_block_to_the_last(clouds, tiny_folder, tmp_path):
    given = options(clouds, tmp_path / "run", tiny_folder, train=["heads", "encoders"], drop_path=0.2)
    encoder = prepare(given).spark.model.encoders["point_cloud"]
    rates = [m.drop_path for n, m in encoder.named_modules() if n.startswith("modules_to_save") and n[-1:].isdigit()
             and hasattr(m, "drop_path")]  # fmt: skip
    assert rates
    assert rates[0] == 0 or len(rates) == 1
    assert rates == sorted(rates)
    assert len(rates) == 1 or rates[-1] == 0.2


def test_frozen_words_are_read_once_and_are_the_models_own(tiny_folder, tmp_path):
    manifest = made.table(tmp_path)
    given = options(
        manifest, tmp_path / "run", tiny_folder, columns=["rain", "soil"], label_column="crop",
        train=["heads", "encoders"], at="encoder",
    )  # fmt: skip
    prepared = prepare(given)
    samples = [prepared.examples[i][0] for i in range(5)]
    collated = prepared.spark.processor.collate(samples)
    words = {key: value for key, value in collated["inputs"]["table"].items() if isinstance(value, dict)}
    assert set(words) == {"names", "texts"}
    asked = []
    kept = prepared.examples.words
    assert kept is not None
    own = kept.model.text_vectors
    kept.model.text_vectors = lambda *given: asked.append(1) or own(*given)
    filled = [kept.fill(collated["inputs"])["table"] for _ in range(2)][1]
    assert len(asked) == len({w for s in samples for key in words for w in s["table"][key] if w})
    for key, value in words.items():
        vectors = own(value["input_ids"], value["attention_mask"])
        wanted = vectors[value["index"].clamp_min(0)] * (value["index"] >= 0)[..., None]
        torch.testing.assert_close(filled[key], wanted, atol=1e-5, rtol=1e-4)
    assert prepare(options(manifest, tmp_path / "run", tiny_folder, columns=["rain", "soil"], label_column="crop",
                           train=["heads", "lora"])).examples.words is None  # fmt: skip


def test_a_head_on_quiet_vectors_hears_them(clouds, tiny_folder, tmp_path):
    given = options(clouds, tmp_path / "run", tiny_folder, at="bridge")
    prepared = prepare(given)
    head = prepared.spark.model.heads["classify"]
    quiet = 0.01 * torch.randn(4, prepared.spark.config.language_width)
    torch.testing.assert_close(head(quiet), head(10 * quiet), atol=2e-2, rtol=1e-2)


def test_a_tracker_is_told(clouds, tiny_folder, tmp_path):
    pytest.importorskip("tensorboard")
    run(options(clouds, tmp_path / "run", tiny_folder, tracker=["tensorboard"]))
    assert list((tmp_path / "run" / "allspark").rglob("events.*"))


def test_a_dry_run_says_what_would_happen_and_writes_nothing(tiny_folder, tmp_path, capsys):
    made.mixed(tmp_path, 24)
    found = run(options(tmp_path / "mixed.csv", tmp_path / "run", tiny_folder, train=["heads", "lora"], steps=0,
                        epochs=3, dry_run=True))  # fmt: skip
    assert not (tmp_path / "run").exists()
    assert found["columns"] == {
        "trajectory": "input", "language": "input", "label": "label", "split": "split",
    }  # fmt: skip
    assert found["examples"] == {"train": 16, "val": 4, "test": 4}
    assert found["trainable"] == sum(found["by_part"].values()) < found["parameters"]
    assert found["seconds_per_step"] > 0
    assert found["minutes"] == pytest.approx(found["steps"] * found["seconds_per_step"] / 60)
    assert found["memory_gib"] > 0.1
    said = capsys.readouterr().out
    assert "trainable parameters" in said
    assert "optimiser steps" in said
    assert "language: input" in said


def test_leaks_are_warned_of(tiny_folder, tmp_path, capsys):
    texts = made.texts(tmp_path, 12)
    lines = texts.read_text().splitlines()
    texts.write_text("\n".join([*lines, lines[1].replace("train", "test")]) + "\n")
    run(options(texts, tmp_path / "run", tiny_folder, steps=1))
    assert "warning: 1 contents stand in two splits, as line 2 (train) and line 14 (test)" in capsys.readouterr().err


def test_two_modalities_with_missing_cells_from_command_to_classify(tiny_folder, tmp_path):
    made.mixed(tmp_path, 24)
    main([
        "--data", str(tmp_path / "mixed.csv"), "--out", str(tmp_path / "run"), "--model", str(tiny_folder),
        "--task", "classify", "--precision", "no", "--train", "heads", "prompts", "bridges", "encoders", "lora",
        "--epochs", "25", "--batch", "8", "--lr", "2e-3", "--encoder-lr", "2e-3", "--modality-dropout", "0.4",
        "--eval-every", "50",
    ])  # fmt: skip
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert set(results["test_by_modality"]) == {"language", "trajectory"}
    assert results["test_by_modality"]["language"]["accuracy"] >= 0.75
    spark = allspark.load(tiny_folder, adapter=tmp_path / "run")
    words, labels = allspark.testing.made("language", 24, 2)
    names = [made.NAMES[label] for label in labels]
    track = tmp_path / "track_0.csv"
    both, alone, way = spark.classify([{"language": words[0], "trajectory": track}, words[0], track])
    assert both.inputs_used == ("language", "trajectory")
    assert (alone.inputs_used, way.inputs_used) == (("language",), ("trajectory",))
    assert both.label == alone.label == names[0]
