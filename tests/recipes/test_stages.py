"""The training stages on made data: packed samples, checkpoints that are gone on from, the warm start."""

import zipfile

import packed
import pytest
import torch
import training
from augment import AUGMENT
from torch import nn
from warm_start import load_warm_start

from allspark import modality as modalities
from allspark.testing import made


def source(count=40):
    generator = torch.Generator().manual_seed(0)
    labels = ["a" if i % 2 else "b" for i in range(count)]
    samples = [{"x": torch.randn(4, generator=generator) + (2.0 if label == "a" else -2.0)} for label in labels]
    return packed.Packed("made", "none", samples, labels, {"a": ["A"], "b": ["B"]})


def steps(model):
    def step(one, samples, rows, random):
        target = torch.tensor([float(one.labels[i] == "a") for i in rows])
        logits = model(torch.stack([s["x"] for s in samples]))[:, 0]
        loss = nn.functional.binary_cross_entropy_with_logits(logits, target)
        return loss, float(((logits > 0) == (target > 0)).float().mean())

    return step


def test_a_training_goes_on_from_its_checkpoint(tmp_path):
    settings = {"batch": 8, "lr": 0.05, "seed": 0, "slow": ("nothing", 1.0)}
    torch.manual_seed(0)
    model = nn.Linear(4, 1)
    path = tmp_path / "deep" / "model.safetensors"
    first = training.run("made", model, [source()], steps(model), path, minutes=0.01, **settings)
    again = nn.Linear(4, 1)
    second = training.run("made", again, [source()], steps(again), path, minutes=0.01, **settings)
    assert second["step"] == first["step"]  # the budget was spent: nothing is trained twice
    assert torch.equal(again.weight, model.weight)
    third = training.run("made", again, [source()], steps(again), path, minutes=0.02, **settings)
    assert third["step"] > first["step"]
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    values = torch.stack([s["x"] for s in source().samples])
    right = (again(values)[:, 0] > 0) == torch.tensor([label == "a" for label in source().labels])
    assert right.float().mean() > 0.95


def test_batches_hold_classes_equally_often():
    rows = {"many": list(range(1000)), "few": [1000, 1001]}
    drawn = training.draw(rows, 400, torch.Generator().manual_seed(0))
    assert 150 < sum(row >= 1000 for row in drawn) < 250


@pytest.mark.parametrize("name", sorted(AUGMENT))
def test_augmented_samples_are_still_read_by_the_encoder(name):
    record = modalities.get(name)
    samples = [record.prepare(item, **record.input) for item in made(name, 2)[0]]
    random = torch.Generator().manual_seed(0)
    changed = [AUGMENT[name](sample, random) for sample in samples]
    for before, after in zip(samples, changed):
        assert {k: v.shape for k, v in before.items()} == {k: v.shape for k, v in after.items()}
        assert any(not torch.equal(before[k], after[k]) for k in before)
        assert all(v.isfinite().all() for v in after.values())
    record.collate(changed)


def test_warm_start_takes_the_tensors_in_their_order_and_refuses_others(tmp_path):
    encoder = modalities.get("rgb").encoder(**modalities.get("rgb").config)
    stem = encoder.get_submodule("tower.net").state_dict()
    state = {f"their.{i}": torch.full_like(value, i % 7) for i, value in enumerate(stem.values())}

    def wheel(state):
        torch.save(state, tmp_path / "w.pth")
        path = tmp_path / "efficientnet_lite0_made.whl"
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(tmp_path / "w.pth", "package/models/w.pth")
        return path

    assert load_warm_start(encoder, "rgb", wheel(state).parent) == len(stem)
    for i, value in enumerate(encoder.get_submodule("tower.net").state_dict().values()):
        assert (value == i % 7).all()
    assert load_warm_start(encoder, "sar", tmp_path) == 0
    assert load_warm_start(encoder, "rgb", None) == 0
    state["their.0"] = torch.zeros(3)
    with pytest.raises(ValueError, match="has shape"):
        load_warm_start(encoder, "rgb", wheel(state))
    with pytest.raises(FileNotFoundError, match="efficientnet_lite0"):
        load_warm_start(encoder, "rgb", tmp_path / "nowhere")
