"""Each task from a manifest to its answers in the package."""

import numpy as np
import pytest
import torch

import allspark
from allspark.finetune import run
from allspark.readers.manifest import read_manifest
from allspark.testing import made as made_items
from allspark.tuning.options import Options
from allspark.tuning.rows import Items
from allspark.tuning.setup import prepare

from . import made

ALL = ["heads", "prompts", "bridges", "encoders", "lora"]


def options(manifest, out, model, task, **more):
    return Options(**{
        "data": str(manifest), "out": str(out), "task": task, "model": str(model), "precision": "no", "train": ALL,
        "epochs": 4, "batch": 8, "lr": 2e-3, "encoder_lr": 2e-3, **more,
    })  # fmt: skip


def test_regress(tiny_folder, tmp_path):
    manifest = made.table(tmp_path)
    # a model of random weights says the mean for up to 15 passes before it begins to learn, by how it was drawn
    results = run(options(
        manifest, tmp_path / "run", tiny_folder, "regress", columns=["rain", "soil"], target_column="yield", epochs=45,
        batch=16,
    ))  # fmt: skip
    assert results["test"]["r2"] > 0.8
    assert results["test"]["rmse"] == pytest.approx(np.sqrt(results["test"]["loss"]) * _std(manifest), rel=1e-4)
    spark = allspark.load(tiny_folder, adapter=tmp_path / "run")
    found = spark.regress(allspark.read(manifest, columns=["rain", "soil"])[:2])
    assert found[0] < 3 < found[1]


def _std(manifest):
    frame = allspark.read(manifest).frame
    return frame["yield"][frame["split"] == "train"].std(ddof=0)


def test_segment_rasters_of_any_size(tiny_folder, tmp_path):
    rng = np.random.default_rng(0)
    rows = []
    for i in range(6):
        side = 32 if i % 2 else 40
        mask = np.zeros((side, side), np.uint8)
        mask[:, side // 2 :] = 1
        spectrum = np.where(mask, 0.4, 0.05)[None] * np.ones((4, 1, 1))
        values = spectrum + 0.01 * rng.normal(size=(4, side, side))
        mask[:3] = 9  # not among the classes
        np.save(tmp_path / f"scene_{i}.npy", values.astype(np.float32))
        np.save(tmp_path / f"mask_{i}.npy", mask[None])
        rows.append({
            "multispectral": f"scene_{i}.npy", "multispectral.units": "reflectance",
            "multispectral.bands": "blue;green;red;nir", "mask": f"mask_{i}.npy",
            "split": ("train", "train", "train", "train", "val", "test")[i],
        })  # fmt: skip
    manifest = made.write_csv(tmp_path / "scenes.csv", rows)
    results = run(options(
        manifest, tmp_path / "run", tiny_folder, "segment", classes=["0=water", "1=forest"], epochs=20, batch=4,
        eval_every=20, input=["multispectral.size=32"],
    ))  # fmt: skip
    assert results["test"]["miou"] > 0.8
    spark = allspark.load(tiny_folder, adapter=tmp_path / "run")
    assert spark.processor.inputs["multispectral"]["size"] == 32
    item = allspark.read(
        tmp_path / "scene_4.npy", "multispectral", units="reflectance", bands=["blue", "green", "red", "nir"]
    )
    (answer,) = spark.segment(item)
    assert answer.classes.shape == (40, 40)
    assert answer.labels == ("water", "forest")
    assert (answer.classes[:, 25:] == 1).mean() > 0.8


def test_segment_clouds_by_point(tiny_folder, tmp_path):
    rng = np.random.default_rng(0)
    rows = []
    for i in range(6):
        flat = np.c_[rng.uniform(0, 20, (300, 2)), rng.normal(0, 0.05, 300)]
        roof = np.c_[rng.uniform(5, 15, (200, 2)), rng.normal(6, 0.05, 200)]
        cloud = np.r_[flat, roof]
        kind = np.r_[np.full(300, 2), np.full(200, 6)]
        np.savez(tmp_path / f"tile_{i}.npz", xyz=cloud, kind=kind)
        split = ("train", "train", "train", "train", "val", "test")[i]
        rows.append({"point_cloud": f"tile_{i}.npz", "mask": "kind", "split": split})
    manifest = made.write_csv(tmp_path / "tiles.csv", rows)
    results = run(options(
        manifest, tmp_path / "run", tiny_folder, "segment", classes=["2=ground", "6=building"], window=10.0,
        epochs=4, batch=4, balance="weights",
    ))  # fmt: skip
    assert results["test"]["miou"] > 0.8
    spark = allspark.load(tiny_folder, adapter=tmp_path / "run")
    cloud = np.load(tmp_path / "tile_5.npz")
    (answer,) = spark.segment(allspark.PointCloud(cloud["xyz"]))
    assert ((answer.classes == 1) == (cloud["kind"] == 6)).mean() > 0.8


def test_answer_in_words(tiny_folder, tmp_path):
    items, labels = made_items("language", 24, 2)
    rows = [
        {
            "language": item.words, "question": "Which?", "answer": ("no", "yes")[label],
            "split": made.splits(24)[i // 2],
        }
        for i, (item, label) in enumerate(zip(items, labels))
    ]  # fmt: skip
    manifest = made.write_csv(tmp_path / "asked.csv", rows)
    results = run(options(
        manifest, tmp_path / "run", tiny_folder, "answer", train=["lora"], rank=16, alpha=64, epochs=20, batch=16,
        lr=1e-2, eval_every=20,
    ))  # fmt: skip
    assert results["test"]["tokens"] > 0.6
    spark = allspark.load(tiny_folder, adapter=tmp_path / "run")
    answers = spark.ask([item.words for item in items[:4]], "Which?", max_new_tokens=8)
    assert set(answers) <= {"yes", "no"}, "the end of an answer is learnt"


def test_trajectory_futures(tiny_folder, tmp_path):
    rng = np.random.default_rng(0)
    rows = []
    for i in range(24):
        heading, speed = rng.uniform(0, 2 * np.pi), rng.uniform(1, 2)
        metres = np.arange(12)[:, None] * speed * np.array([np.cos(heading), np.sin(heading)]) + rng.uniform(0, 99, 2)
        np.savetxt(
            tmp_path / f"walk_{i}.csv", np.c_[np.arange(12) * 0.4, metres], delimiter=",", header="time,x,y",
            comments="", fmt="%.4f",
        )  # fmt: skip
        rows.append({"trajectory": f"walk_{i}.csv", "trajectory.crs": "metres", "split": made.splits(24)[i]})
    manifest = made.write_csv(tmp_path / "walks.csv", rows)
    results = run(options(
        manifest, tmp_path / "run", tiny_folder, "trajectory", observe=8, predict=4, modes=3, epochs=20, eval_every=20,
    ))  # fmt: skip
    assert results["test"]["ade"] < 1.0
    spark = allspark.load(tiny_folder, adapter=tmp_path / "run")
    north = np.c_[np.zeros(8), np.arange(8) * 1.5]
    (found,) = spark.futures(allspark.Trajectory(north, np.arange(8) * 0.4, crs="metres"))
    assert found.metres.shape == (3, 4, 2)
    assert found.probabilities.sum() == pytest.approx(1, abs=1e-5)
    assert found.metres[0, -1, 1] > 3 > abs(found.metres[0, -1, 0]), "the frame is turned back to north"


def test_a_head_on_the_words_themselves(tiny_folder, tmp_path):
    manifest = made.texts(tmp_path, 36)
    more = {"train": ["heads", "words"], "at": "words", "epochs": 20}
    given = options(manifest, tmp_path / "run", tiny_folder, "classify", **more)
    results = run(given)
    assert results["test"]["accuracy"] > 0.8
    base, spark = allspark.load(tiny_folder), allspark.load(tiny_folder, adapter=tmp_path / "run")
    items, _ = made_items("language", 4, 2)
    labels = {answer.label for answer in spark.classify([item.words for item in items])}
    assert labels <= set(made.NAMES)
    after = spark.merge().model.state_dict()
    changed = [name for name, value in base.model.state_dict().items() if not torch.equal(value, after[name])]
    (embeddings,) = changed
    assert torch.equal(after[embeddings], spark.model.language.get_input_embeddings().weight)
    batch = spark.processor([{"language": item} for item in items])
    alone = [spark.model(**spark.processor([{"language": item}]), head="classify").logits[0] for item in items]
    together = spark.model(**batch, head="classify").logits
    torch.testing.assert_close(together, torch.stack(alone), atol=1e-5, rtol=1e-4)
    with pytest.raises(ValueError, match="--at words came for table; it reads words alone"):
        run(options(made.table(tmp_path), tmp_path / "other", tiny_folder, "classify", at="words",
                    columns=["rain", "soil"], label_column="crop"))  # fmt: skip


def test_tracks_of_one_file_are_rows_of_their_own(tmp_path):
    lines = [f"{name},{t},{t * speed},0" for name, speed in (("a", 1), ("b", 3)) for t in range(4)]
    (tmp_path / "tracks.csv").write_text("id,time,x,y\n" + "\n".join(lines) + "\n")
    rows = [{"trajectory": "tracks.csv", "trajectory.id": name, "trajectory.crs": "metres"} for name in "abc"]
    items = Items(2, 128)
    first, second, missing = read_manifest(made.write_csv(tmp_path / "walks.csv", rows))
    for row, speed in ((first, 1), (second, 3)):
        np.testing.assert_allclose(items(row)["trajectory"].positions[-1], [3 * speed, 0])
    with pytest.raises(ValueError, match=r"no track 'c'; it holds 2 \(a, b\)"):
        items(missing)


def test_futures_start_from_walking_on(tiny_folder, tmp_path):
    metres = np.arange(12)[:, None] * np.array([0.6, 0.8]) + 5
    rows = [
        {"trajectory": f"walk_{i}.csv", "trajectory.crs": "metres", "split": ("train", "val")[i % 2]} for i in range(4)
    ]
    for i in range(4):
        np.savetxt(
            tmp_path / f"walk_{i}.csv", np.c_[np.arange(12) * 0.4, metres], delimiter=",", header="time,x,y",
            comments="", fmt="%.4f",
        )  # fmt: skip
    given = options(made.write_csv(tmp_path / "walks.csv", rows), tmp_path / "run", tiny_folder, "trajectory",
                    observe=8, predict=4, modes=3, steps=1, batch=2)  # fmt: skip
    run(given)
    spark = allspark.load(tiny_folder, adapter=tmp_path / "run")
    head = spark.model.heads["trajectory"].futures
    torch.nn.init.zeros_(head[-1].weight)
    torch.nn.init.zeros_(head[-1].bias)
    (found,) = spark.futures(allspark.Trajectory(metres[:8], np.arange(8) * 0.4, crs="metres"))
    np.testing.assert_allclose(found.metres, np.broadcast_to(metres[8:] - metres[7], (3, 4, 2)), atol=1e-5)


def test_node(tiny_folder, tmp_path):
    pairs, rows = [], []
    for i in range(18):  # half of the centres are hubs
        first = len(pairs) + i
        for k in range(6 if i % 2 else 1):
            pairs.append((f"n{i}", f"m{first}_{k}"))
    (tmp_path / "net.csv").write_text("source,target\n" + "\n".join(f"{a},{b}" for a, b in pairs) + "\n")
    names = list(dict.fromkeys(name for pair in pairs for name in pair))
    graph = allspark.read(tmp_path / "net.csv", "graph")
    degree = np.bincount(graph.edges.ravel(), minlength=graph.count)
    for i in range(18):
        rows.append({
            "graph": "net.csv", "graph.node": names.index(f"n{i}"), "label": ("leaf", "hub")[i % 2],
            "split": made.splits(18)[i // 2],
        })  # fmt: skip
    assert degree.max() > degree.min()
    manifest = made.write_csv(tmp_path / "nodes.csv", rows)
    results = run(options(manifest, tmp_path / "run", tiny_folder, "node", hops=1, epochs=15, batch=16, eval_every=10))
    assert results["test"]["accuracy"] >= 0.75
    from allspark.encoders.graph import ego

    spark = allspark.load(tiny_folder, adapter=tmp_path / "run")
    assert spark.classify(ego(graph, names.index("n1"), hops=1))[0].label == "hub"


def test_ways_are_varied_with_what_follows_them(tiny_folder, tmp_path):
    rng = np.random.default_rng(0)
    way = np.cumsum(rng.normal(1, 0.3, (12, 2)), 0)
    np.savetxt(tmp_path / "walk.csv", np.c_[np.arange(12) * 0.4, way], delimiter=",", header="time,x,y", comments="")
    rows = [{"trajectory": "walk.csv", "trajectory.crs": "metres", "split": "train"}] * 2
    given = options(made.write_csv(tmp_path / "walks.csv", rows), tmp_path / "run", tiny_folder, "trajectory",
                    observe=8, predict=4, modes=3)  # fmt: skip
    examples = prepare(given).examples
    task = examples.task
    (row, _), items = examples.rows, Items(2, 128)
    ((seen, ahead),) = task.examples(row, items(row))
    factors, mirrored = [], []
    for i in range(200):
        changed, after = task.vary(seen, ahead, torch.Generator().manual_seed(i), True)
        axes = changed["trajectory"].positions[0] / seen["trajectory"].positions[0]  # on the first axis alone
        factors.append(float(axes[0]))
        np.testing.assert_allclose(after[:, 0], ahead[:, 0] * factors[-1])
        sign = np.sign(after[0, 1] / ahead[0, 1])
        np.testing.assert_allclose(after[:, 1], ahead[:, 1] * factors[-1] * sign)
        np.testing.assert_allclose(changed["trajectory"].positions[:, 1],
                                   seen["trajectory"].positions[:, 1] * factors[-1] * sign, atol=1e-12)  # fmt: skip
        mirrored.append(sign < 0)
        _, kept = task.vary(seen, ahead, torch.Generator().manual_seed(i), False)
        assert kept[0, 1] / ahead[0, 1] > 0
    same = np.isclose(factors, 1)
    assert 0.4 < same.mean() < 0.6
    assert 0.15 < np.mean(mirrored) < 0.35
    assert np.abs(np.log(factors)).max() < np.log(1.71)
    assert np.std(np.log(factors)) > 0.15
    assert task.vary({**seen, "rgb": None}, ahead, torch.Generator(), True) is None
    one = examples.varied(0, torch.Generator().manual_seed(1), True)
    two = examples.varied(0, torch.Generator().manual_seed(1), True)
    assert torch.equal(one[0]["trajectory"]["steps"], two[0]["trajectory"]["steps"])
    assert one[1].shape == (4, 2)
    sample, target = examples.varied(0, torch.Generator().manual_seed(int(same.argmax())), True)
    for key, value in examples.processor.prepare(seen)["trajectory"].items():
        torch.testing.assert_close(sample["trajectory"][key], value, msg=f"{key} of a way that stays as it is")
    torch.testing.assert_close(target, torch.from_numpy(ahead).float())
