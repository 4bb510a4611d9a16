"""The road past the encoder: the items' own numbers, what they are scaled by, and what a model with it answers."""

import csv
import dataclasses

import numpy as np
import pytest
import torch

import allspark
from allspark import modality
from allspark.finetune import run
from allspark.heads import ClassificationHead, RegressionHead, TrajectoryHead
from allspark.heads.wide import BINS, Wide, WideHead, fit
from allspark.model import own_numbers
from allspark.testing import made as made_items
from allspark.tuning.options import Options
from allspark.tuning.setup import prepare

from . import made

COLUMNS = ["rain", "soil"]


def options(manifest, out, model, **more):
    return Options(**{
        "data": str(manifest), "out": str(out), "task": "classify", "model": str(model), "precision": "no",
        "train": ["heads"], "steps": 2, "batch": 4, "at": "encoder", "wide": 16, **more,
    })  # fmt: skip


def test_scales_are_those_of_the_known_numbers():
    rows = torch.tensor([[1.0, 5.0, 0.0], [3.0, 5.0, torch.nan], [5.0, 5.0, 1.0]])
    sizes, buffers = fit(rows)
    assert buffers["kept"].tolist() == [0, 2]  # the second number never differs
    assert buffers["mean"].tolist() == [3.0, 0.5]
    assert buffers["spread"].tolist() == pytest.approx([(8 / 3) ** 0.5, 0.5])
    assert sizes == {"kept": 2, "pieces": len(buffers["source"])}
    with pytest.raises(ValueError, match="all the same"):
        fit(torch.ones(4, 3))


def test_curves_are_not_cut_into_pieces():
    rows = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    sizes, buffers = fit(rows, torch.tensor([True, False, False, True]))
    assert sizes["kept"] == 4
    assert sorted(set(buffers["source"].tolist())) == [0, 3]
    assert not modality.get("hyperspectral").pieces
    assert modality.get("table").pieces


def test_pieces_add_up_to_the_number():
    rows = torch.linspace(0, 1, 65)[:, None] ** 2
    sizes, buffers = fit(rows)
    assert sizes == {"kept": 1, "pieces": BINS}
    road = Wide(sizes={"table": 1}, **sizes, width=8, outputs=2, dropout=0.0)
    for name, value in buffers.items():
        getattr(road, name).copy_(value)
    seen = []
    road.layers[0].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    road({"table": rows}, len(rows))
    standard, shares = seen[0][:, :1], seen[0][:, 1:]
    assert torch.allclose((shares * buffers["reach"]).sum(1), rows[:, 0], atol=1e-6)
    assert float(standard.mean()) == pytest.approx(0, abs=1e-5)
    assert float(standard.std(correction=0)) == pytest.approx(1, abs=1e-5)


def test_what_is_missing_counts_as_the_mean():
    sizes, buffers = fit(torch.randn(50, 5, generator=torch.Generator().manual_seed(0)))
    road = Wide(sizes={"table": 3, "sar": 2}, **sizes, width=8, outputs=2, dropout=0.0)
    for name, value in buffers.items():
        getattr(road, name).copy_(value)
    table = torch.randn(4, 3)
    mean = buffers["mean"][:2].expand(4, 2)  # of sar, which comes first by name
    assert torch.equal(road({"table": table}, 4), road({"table": table, "sar": mean}, 4))
    assert road({}, 4).isfinite().all()
    with pytest.raises(ValueError, match="items of 4 numbers came"):
        road({"table": torch.randn(4, 4)}, 4)


@pytest.mark.parametrize(
    "name", ["rgb", "sar", "multispectral", "hyperspectral", "point_cloud", "trajectory", "graph", "table"]
)
def test_items_give_their_numbers_whatever_stands_beside_them(name):
    items, _ = made_items(name, 4, 2, 0)
    record = modality.get(name)
    samples = [record.prepare(item, **record.input) for item in items]
    together = own_numbers({name: record.collate(samples)})[name]
    assert together.shape[0] == 4
    assert (together[0] != together[1]).any()
    alone = own_numbers({name: record.collate(samples[:1])})[name]
    # ways are kilometres here: 1e-2 is a centimetre
    assert torch.allclose(alone, together[:1], rtol=1e-5, atol=1e-2 if name == "trajectory" else 1e-5, equal_nan=True)


def test_what_has_no_numbers_is_refused(tmp_path, tiny_folder, monkeypatch):
    mute = dataclasses.replace(modality.get("trajectory"), numbers=None)
    monkeypatch.setitem(modality._REGISTRY, "trajectory", mute)
    with pytest.raises(ValueError, match="--wide came for trajectory, whose items have no numbers of their own"):
        prepare(options(made.tracks(tmp_path), tmp_path / "run", tiny_folder))


def test_answers_in_words_have_no_road(tmp_path, tiny_folder):
    asked = {"language": "rain", "question": "wet?", "answer": "yes", "split": "train"}
    manifest = made.write_csv(tmp_path / "asked.csv", [asked] * 4)
    with pytest.raises(ValueError, match="--wide came with --task answer"):
        prepare(options(manifest, tmp_path / "run", tiny_folder, task="answer", at="language", train=["lora"]))


def test_items_of_several_sizes_are_refused(tmp_path, tiny_folder):
    rows = []
    for i in range(8):
        np.save(tmp_path / f"{i}.npy", np.random.default_rng(i).random((3 + i % 2, 8, 8)).astype(np.float32))
        rows.append({
            "multispectral": f"{i}.npy", "multispectral.units": "reflectance", "label": "ab"[i // 2 % 2],
            "multispectral.bands": "blue;green;red;nir"[: 14 if i % 2 == 0 else 18], "split": "train",
        })  # fmt: skip
    manifest = made.write_csv(tmp_path / "mixed.csv", rows)
    with pytest.raises(ValueError, match="items of several sizes"):
        prepare(options(manifest, tmp_path / "run", tiny_folder))


def test_only_the_road_sees_what_decides(tiny_folder, tmp_path):
    """The encoder is frozen and its features say nothing of the class: the answer can only come past it."""
    rng = np.random.default_rng(0)
    rows = [
        {"a": f"{x:.4f}", "b": f"{y:.4f}", "label": "near" if abs(x * y) < 0.25 else "far", "split": part}
        for part, count in (("train", 400), ("test", 200))
        for x, y in rng.normal(size=(count, 2))
    ]
    manifest = made.write_csv(tmp_path / "plane.csv", rows)
    given = {"columns": ["a", "b"], "steps": 120, "batch": 64, "lr": 1e-2, "augment": "none", "leak_distance": 0.0}
    found = {
        wide: run(options(manifest, tmp_path / f"run{wide}", tiny_folder, wide=wide, **given))["test"]["accuracy"]
        for wide in (0, 64)
    }
    assert found[64] > 0.9
    assert found[64] > found[0] + 0.1


@pytest.mark.parametrize("apart", [0.0, 0.9])
def test_a_run_with_it_loads_merges_and_answers_alike(tiny_folder, tmp_path, apart):
    manifest = made.table(tmp_path)
    given = options(
        manifest, tmp_path / "run", tiny_folder, columns=COLUMNS, label_column="crop", steps=45, batch=16, lr=5e-3,
        at="language", train=["heads", "prompts", "bridges", "lora"], apart=apart,
    )  # fmt: skip
    assert run(given)["test"]["accuracy"] == 1
    files = allspark.read(manifest, columns=COLUMNS)[:4]
    spark = allspark.load(tiny_folder, adapter=tmp_path / "run")
    assert isinstance(dict(spark.model.named_modules())["heads.classify.modules_to_save.default"], WideHead)
    answers = spark.classify(files)
    assert [a.label for a in answers] == ["rice", "millet"] * 2
    alone = [spark.classify(file)[0] for file in files]
    spark.merge().save(tmp_path / "merged")
    merged = allspark.load(tmp_path / "merged").classify(files)
    for one, two, three in zip(answers, alone, merged):
        assert two.scores == pytest.approx(one.scores, abs=1e-5)
        assert three.scores == pytest.approx(one.scores, abs=1e-5)
    other = allspark.read(made.write_csv(tmp_path / "more.csv", [{"rain": "80", "soil": "clay", "slope": "3"}]))
    with pytest.raises(ValueError, match="give items of the same columns"):
        spark.classify(other.rows() if hasattr(other, "rows") else other)


@pytest.mark.parametrize("apart", [0.0, 0.9])
def test_numbers_of_a_regression_are_in_its_unit(tiny_folder, tmp_path, apart):
    manifest = made.table(tmp_path)
    found = run(options(
        manifest, tmp_path / "run", tiny_folder, task="regress", columns=COLUMNS, target_column="yield", steps=150,
        batch=24, lr=1e-2, wide=32, wide_dropout=0.0, augment="none", apart=apart,
    ))  # fmt: skip
    with open(manifest, newline="") as file:
        numbers = [float(row["yield"]) for row in csv.DictReader(file) if row["split"] == "train"]
    assert found["test"]["rmse"] < 0.5 * float(np.std(numbers))


@pytest.mark.parametrize("apart", [0.0, 0.75])
@pytest.mark.parametrize("head", [ClassificationHead(4, labels="abc"), RegressionHead(4, mean=5.0, std=2.0)])
def test_head_and_road_learn_apart_where_they_are_told_to(head, apart):
    numbers = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    sizes, buffers = fit(numbers)
    found = WideHead(head, {"sizes": {"table": 3}, **sizes, "width": 8, "dropout": 0.0, "apart": apart})
    for name, value in buffers.items():
        getattr(found.wide, name).copy_(value)
    pooled, words = torch.ones(6, 4), (torch.zeros(0), torch.zeros(0))
    target = torch.arange(6) % 3 if isinstance(head, ClassificationHead) else torch.arange(6.0)[:, None]

    def learnt():
        """How the road is to change, by what the head knows already."""
        found.zero_grad()
        found.train().loss(found(pooled, None, {"table": numbers}, words), target).backward()
        return found.wide.layers[-1].weight.grad.clone()

    before = learnt()
    with torch.no_grad():
        found.head.linear.bias[0] += 3.0
    assert torch.allclose(learnt(), before) == (apart > 0)
    assert found.head.linear.bias.grad.any()

    with torch.no_grad():
        said = found.eval()(pooled, None, {"table": numbers}, words)
        own, road = found.head(pooled), found.wide({"table": numbers}, 6)
    alone = road * found.head.std + found.head.mean if isinstance(head, RegressionHead) else road
    wanted = apart * alone + (1 - apart) * own
    assert torch.allclose(said, wanted, atol=1e-5) == (apart > 0)
    assert found.loss(said, target).isfinite()


def test_learning_apart_needs_a_road_and_an_answer_to_mix(tiny_folder, tmp_path):
    with pytest.raises(ValueError, match="wanted --wide beside it"):
        options("a.csv", tmp_path, tiny_folder, wide=0, apart=0.5)
    with pytest.raises(ValueError, match="--apart came for a head of futures"):
        WideHead(TrajectoryHead(4), {"sizes": {}, "width": 8, "dropout": 0.0, "apart": 0.5})


def test_a_way_of_eight_fixes_is_told_as_it_is():
    fixes = np.cumsum(np.random.default_rng(0).normal(1, 0.5, (8, 2)), 0)
    short = allspark.Trajectory(fixes[:5], np.arange(5.0), crs="metres")
    record = modality.get("trajectory")
    samples = [record.prepare(allspark.Trajectory(fixes, np.arange(8.0), crs="metres")), record.prepare(short)]
    numbers = own_numbers({"trajectory": record.collate(samples)})["trajectory"][:, -30:]
    assert torch.allclose(numbers[0, :16].unflatten(0, (8, 2)), torch.tensor(fixes - fixes[-1]).float(), atol=1e-4)
    assert torch.allclose(numbers[0, 16:].unflatten(0, (7, 2)), torch.tensor(np.diff(fixes, axis=0)).float(), atol=1e-4)
    assert torch.allclose(numbers[1, :2], torch.tensor(fixes[0] - fixes[4]).float(), atol=1e-4)


def test_a_long_way_is_told_by_quantiles_of_its_steps_and_a_short_one_is_not():
    fixes = np.cumsum(np.random.default_rng(0).normal(1, 0.5, (40, 2)), 0)
    record = modality.get("trajectory")
    long, short = (
        record.prepare(allspark.Trajectory(fixes[:n], np.arange(float(n)), crs="metres"), fixes=64) for n in (40, 8)
    )
    numbers = own_numbers({"trajectory": record.collate([long, short])})["trajectory"][:, -121:-30]
    speed = long["steps"][:, 3]
    assert torch.allclose(numbers[0, :9], torch.quantile(speed, torch.linspace(0, 1, 9)), atol=1e-5)
    assert numbers[1].isnan().all()
    # numbers that no item has are none that differ
    assert fit(torch.cat([torch.randn(5, 2), numbers[1].expand(5, -1)], 1))[0]["kept"] == 2


def test_a_way_is_told_by_the_time_and_the_length_at_each_speed():
    seconds = np.r_[np.full(10, 4.0), np.full(20, 1.0)]  # 40 s on foot at 1.2 m/s, 20 s in a car at 13 m/s
    metres = np.r_[np.full(10, 4.8), np.full(20, 13.0)]
    way = np.stack([np.r_[0, metres.cumsum()], np.zeros(31)], 1)
    record = modality.get("trajectory")
    timed = record.prepare(allspark.Trajectory(way, np.r_[0, seconds.cumsum()], crs="metres"))
    untimed = record.prepare(allspark.Trajectory(way, np.zeros(31), crs="metres"))
    numbers = own_numbers({"trajectory": record.collate([timed, untimed])})["trajectory"][:, -58:-30]
    wanted = torch.zeros(2, 14)
    wanted[0, [2, 10]] = torch.tensor([40 / 60, 20 / 60])  # between 1 and 1.5 m/s, between 12 and 15
    wanted[1, [2, 10]] = torch.tensor([48 / 308, 260 / 308])
    assert torch.allclose(numbers[0], wanted.flatten(), atol=1e-3)
    assert numbers[1].isnan().all()


def test_futures_are_learnt_past_the_encoder(tiny_folder, tmp_path):
    """How far walkers turn is told by their last step alone, which the frozen encoder hardly shows."""
    rng = np.random.default_rng(0)
    rows, tracks = [], []
    for i in range(160):
        speed, turn = rng.uniform(0.4, 1.6), rng.uniform(-0.2, 0.2)
        angle = rng.uniform(0, 6) + np.r_[np.zeros(7), turn * 3 * np.arange(1, 6)]
        angle[6] += turn
        way = np.cumsum(np.r_[[[0, 0]], speed * np.stack([np.cos(angle), np.sin(angle)], 1)], 0)[:12]
        tracks += [{"id": f"w{i}", "time": t, "x": x, "y": y} for t, (x, y) in enumerate(way)]
        rows.append({"trajectory": "tracks.csv", "trajectory.id": f"w{i}", "trajectory.crs": "metres",
                     "split": "test" if i % 4 == 0 else "train"})  # fmt: skip
    made.write_csv(tmp_path / "tracks.csv", tracks)
    manifest = made.write_csv(tmp_path / "walks.csv", rows)
    given = {"task": "trajectory", "predict": 4, "modes": 3, "steps": 200, "batch": 32, "lr": 5e-3, "augment": "none",
             "wide_dropout": 0.0, "leak_distance": 0.0}  # fmt: skip
    found = {
        wide: run(options(manifest, tmp_path / f"run{wide}", tiny_folder, wide=wide, **given))["test"]["ade"]
        for wide in (0, 64)
    }
    assert found[64] < 0.7 * found[0]
    walk = allspark.read(tmp_path / "tracks.csv", id="w0", crs="metres")
    futures = allspark.load(tiny_folder, adapter=tmp_path / "run64").futures(walk)
    assert futures[0].metres.shape == (3, 4, 2)
