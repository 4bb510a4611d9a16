"""The training stages on made data: packed samples, checkpoints that are gone on from, the warm start."""

import zipfile

import bridge_stage
import encoder_stage
import packed
import pytest
import torch
import training
import words_stage
from augment import AUGMENT, CHEAPER
from torch import nn
from warm_start import load_warm_start

import allspark
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


def test_the_mean_of_the_weights_takes_their_place_at_the_end(tmp_path, monkeypatch):
    settings = {"batch": 8, "lr": 0.05, "seed": 0, "slow": ("nothing", 1.0), "average": 0.9}
    path, seen = tmp_path / "model.safetensors", []
    torch.manual_seed(0)
    model = nn.Linear(4, 1)
    follow = training.Average.step

    def step(self, model):
        seen.append(model.weight.detach().clone())
        follow(self, model)

    monkeypatch.setattr(training.Average, "step", step)
    start = model.weight.detach().clone()
    facts = training.run("made", model, [source()], steps(model), path, minutes=0.005, **settings)
    expected = start
    for number, weight in enumerate(seen, 1):
        decay = min(0.9, (1 + number) / (10 + number))
        expected = decay * expected + (1 - decay) * weight
    assert len(seen) == facts["step"] > 20
    torch.testing.assert_close(model.weight.detach(), expected)
    again = nn.Linear(4, 1)
    training.run("made", again, [source()], steps(again), path, minutes=0.005, **settings)
    assert torch.equal(again.weight, model.weight)


def test_a_mean_is_gone_on_with_after_a_kill(tmp_path):
    model = nn.Linear(4, 1)
    optimiser = torch.optim.AdamW(model.parameters())
    mean = training.Average(model, 0.9)
    with torch.no_grad():
        model.weight += 1
    mean.step(model)
    training.save(tmp_path / "m.safetensors", model, optimiser, {"seconds": 1.0, "step": 1}, mean)
    other = nn.Linear(4, 1)
    found = training.Average(other, 0.9)
    training.restore(tmp_path / "m.safetensors", other, torch.optim.AdamW(other.parameters()), found)
    assert torch.equal(other.weight, model.weight)
    assert found.steps == 1
    for name, value in mean.values.items():
        assert torch.equal(found.values[name], value)
    assert not torch.equal(found.values["weight"], other.weight)


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
    clouds = modalities.get("point_cloud").encoder(**modalities.get("point_cloud").config)
    reads = clouds.get_submodule("pictures.net").state_dict()
    whole = encoder.get_submodule("tower.net").state_dict()
    assert load_warm_start(clouds, "point_cloud", tmp_path) == len(reads) < len(stem)
    for name, value in clouds.get_submodule("pictures.net").state_dict().items():
        assert torch.equal(value, whole[name])
    assert load_warm_start(encoder, "sar", tmp_path) == 0
    assert load_warm_start(encoder, "rgb", None) == 0
    state["their.0"] = torch.zeros(3)
    with pytest.raises(ValueError, match="has shape"):
        load_warm_start(encoder, "rgb", wheel(state))
    with pytest.raises(FileNotFoundError, match="efficientnet_lite0"):
        load_warm_start(encoder, "rgb", tmp_path / "nowhere")


def test_a_batch_drawn_twice_holds_two_views_of_the_same_items(tmp_path):
    model, seen = nn.Linear(4, 1), []

    def step(one, samples, rows, random):
        seen.append(rows)
        return model(torch.stack([s["x"] for s in samples])).square().mean(), 0.0

    training.run(
        "made", model, [source()], step, tmp_path / "m.safetensors", minutes=0.002, batch=8, lr=0.01, seed=0,
        slow=("nothing", 1.0), twice=True,
    )  # fmt: skip
    assert all(len(rows) == 8 and rows[:4] == rows[4:] for rows in seen)


def test_an_item_must_find_its_other_view():
    encoder = modalities.get("sar").encoder(**modalities.get("sar").config)
    model = encoder_stage.Objective(encoder, [source()], {"A": torch.ones(384), "B": -torch.ones(384)})
    views = torch.randn(6, model.encoder.width, generator=torch.Generator().manual_seed(0))
    found = model.views_loss(torch.cat([views, views]))
    mixed = model.views_loss(torch.cat([views, views.roll(1, 0)]))
    assert found < 0.5 < mixed


def test_likeness_is_of_pairs_about_the_mean_and_knows_no_scale():
    vectors = torch.randn(5, 7, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(bridge_stage.alike(vectors), bridge_stage.alike(3 * vectors + 2), atol=1e-5, rtol=0)
    torch.testing.assert_close(bridge_stage.alike(vectors).diagonal(), torch.ones(5))
    swapped = vectors[[1, 0, 2, 3, 4]]
    assert (bridge_stage.alike(vectors) - bridge_stage.alike(swapped)).abs().max() > 0.1


def test_classes_are_left_out_of_a_source_with_their_samples():
    whole = source()
    left = packed.without(whole, ["a"])
    assert set(left.labels) == {"b"}
    assert all(float(s["x"].mean()) < 0 for s in left.samples)
    assert len(left.samples) == len(left.labels) == whole.labels.count("b")


def test_cheaper_pictures_keep_their_mean_and_their_invalid_part():
    valid = torch.ones(128, 128, dtype=torch.bool)
    valid[:, :64] = False
    sample = {"pixels": torch.linspace(-1, 1, 128).expand(3, 128, 128).half() + 0.5, "valid": valid}
    small = CHEAPER["rgb"][0](sample, torch.Generator())
    assert small["pixels"].shape == (3, 96, 96)
    assert small["valid"].shape == (96, 96)
    assert small["valid"].float().mean() == 0.5
    assert abs(float(small["pixels"].mean() - sample["pixels"].float().mean())) < 1e-3


def test_a_cheaper_cloud_keeps_groups_with_their_own_centres():
    points = torch.arange(64.0)[:, None, None].expand(64, 32, 5).clone()
    sample = {"points": points, "centres": points[:, 0, :3], "valid": torch.ones(64, dtype=torch.bool), "scale": 1}
    few = CHEAPER["point_cloud"][0](sample, torch.Generator().manual_seed(0))
    assert few["points"].shape == (40, 24, 5)
    assert torch.equal(few["points"][:, 0, :3], few["centres"])
    assert few["centres"][:, 0].unique().numel() == 40
    assert few["scale"] == 1


def test_questions_are_answered_rightly():
    random = torch.Generator().manual_seed(0)
    seen = {"what": 0, "either": 0, "yes": 0, "no": 0}
    for _ in range(400):
        question, answer = words_stage.ask("lake", ["city", "farm"], random)
        if question in words_stage.QUESTIONS:
            seen["what"] += 1
            assert answer == "lake"
        elif " or " in question:
            seen["either"] += 1
            assert "lake" in question
            assert answer == "lake"
        else:
            seen[answer] += 1
            assert ("lake" in question) == (answer == "yes")
    assert min(seen.values()) > 15
    assert words_stage.ask("lake", [], random)[1] == "lake"


def test_two_modalities_in_one_sequence_come_to_lie_between_both(tmp_path):
    spark = allspark.build("allspark-tiny", modality=["sar", "trajectory"])
    sources = []
    for name in ("sar", "trajectory"):
        items, labels = made(name, 8)
        samples = [modalities.get(name).prepare(item, **spark.processor.inputs[name]) for item in items]
        labels = [str(label) for label in labels]
        names = {label: [f"{name} {label}"] for label in labels}
        kept = bridge_stage.keep_tokens(spark, packed.Packed(name, name, samples, labels, names))
        sources.append(kept)
    speaker = words_stage.Speaker(spark, sources)
    random = torch.Generator().manual_seed(0)
    rows = list(range(8))
    samples = packed.full([sources[0].samples[i] for i in rows])

    def apart():
        return speaker.together(sources[0], samples, torch.Generator().manual_seed(1)).mean()

    before = float(apart().detach())
    optimiser = torch.optim.Adam([p for p in speaker.parameters() if p.requires_grad], 3e-3)
    for _ in range(12):
        loss, accuracy = speaker.step(sources[0], samples, rows, random)
        loss = loss + 10 * apart()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert 0 <= accuracy <= 1
    assert float(apart().detach()) < 0.7 * before
    assert all(p.grad is None for n, p in spark.model.named_parameters() if not n.startswith("language."))


def test_what_another_reader_packed_is_packed_again(tmp_path, monkeypatch, capsys):
    settings, folder = dict(modalities.get("graph").input), tmp_path / "packed"
    path = packed.pack("made_graphs", "val", tmp_path, folder, settings, per_class=2)
    first = path.stat().st_mtime_ns
    packed.pack("made_graphs", "val", tmp_path, folder, settings, per_class=2)
    assert path.stat().st_mtime_ns == first
    capsys.readouterr()
    monkeypatch.setattr(packed.inspect, "getsource", lambda module: "other splits")
    packed.pack("made_graphs", "val", tmp_path, folder, settings, per_class=2)
    assert path.stat().st_mtime_ns > first
    assert "packing it again" in capsys.readouterr().out


def test_what_is_prepared_otherwise_is_packed_again(tmp_path, monkeypatch):
    settings, source_of = dict(modalities.get("graph").input), packed.inspect.getsource
    path = packed.pack("made_graphs", "val", tmp_path, tmp_path, settings, per_class=2)
    first = path.stat().st_mtime_ns
    other = lambda thing: "other features" if packed.inspect.isfunction(thing) else source_of(thing)  # noqa: E731
    monkeypatch.setattr(packed.inspect, "getsource", other)
    packed.pack("made_graphs", "val", tmp_path, tmp_path, settings, per_class=2)
    assert path.stat().st_mtime_ns > first
