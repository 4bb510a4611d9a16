"""Learning without labels: views that should agree, rows that have none, the road from what stands around a node."""

import csv

import numpy as np
import pytest
import torch

import allspark
from allspark.encoders.graph import ego
from allspark.finetune import run
from allspark.heads.around import AroundRoad
from allspark.tuning.consistency import disagreement
from allspark.tuning.data import Batches
from allspark.tuning.options import Options
from allspark.tuning.sampling import Step, evenly
from allspark.tuning.setup import prepare
from allspark.tuning.tasks.classify import LEFT_OUT, Classify

from . import made


def options(manifest, out, model, **more):
    return Options(**{
        "data": str(manifest), "out": str(out), "task": "classify", "model": str(model), "precision": "no",
        "train": ["heads"], "steps": 2, "batch": 8, "at": "encoder", "consistency": 1.0, **more,
    })  # fmt: skip


def test_views_are_drawn_to_their_mean_made_surer():
    sure = torch.tensor([[50.0, 0.0], [0.0, 50.0]])
    assert float(disagreement(torch.cat([sure, sure]))) == pytest.approx(0, abs=1e-9)
    logits = torch.tensor([[0.8, 0.2], [0.6, 0.4]]).log().requires_grad_()  # one item, two views
    mean = np.array([0.7, 0.3])
    surest = mean**2 / (mean**2).sum()
    expected = np.mean([((np.array(p) - surest) ** 2).sum() for p in ([0.8, 0.2], [0.6, 0.4])])
    found = disagreement(logits)
    assert found.item() == pytest.approx(expected, rel=1e-5)
    found.backward()
    assert logits.grad[1, 0] < 0 < logits.grad[1, 1]  # the less sure view learns to be surer
    both = torch.stack([logits, logits], -1).detach()  # head and road, each by itself
    assert float(disagreement(both)) == pytest.approx(expected, rel=1e-5)
    assert float(disagreement(torch.tensor([[0.5, 0.5], [0.5, 0.5]]))) == 0  # nothing is known: nothing to learn


def test_items_without_a_label_count_nothing_in_the_loss(tiny):
    task = Classify("classify", unlabelled=True)
    head = allspark.heads.ClassificationHead(4, labels=["a", "b"])

    class Output:
        logits = torch.randn(3, 2, generator=torch.Generator().manual_seed(0), requires_grad=True)

    some = [torch.tensor(n) for n in (1, LEFT_OUT, 0)]
    loss, total = task.loss(Output, some, head, None)
    assert float(total) == 2
    expected = torch.nn.functional.cross_entropy(Output.logits[[0, 2]], torch.tensor([1, 0]), reduction="sum")
    torch.testing.assert_close(loss, expected)
    loss, total = task.loss(Output, [torch.tensor(LEFT_OUT)] * 3, head, torch.ones(2))
    assert (loss.item(), float(total)) == (0.0, 0.0)


def test_both_parts_are_drawn_alike():
    shares = np.array(evenly([True] * 6 + [False] * 2))
    assert shares[:6].sum() == pytest.approx(shares[6:].sum())


def test_every_example_stands_in_its_batch_once_a_view(tiny_folder, tmp_path):
    prepared = prepare(options(made.clouds(tmp_path, 12), tmp_path / "run", tiny_folder))
    steps = [Step((0, 1, 2), ("point_cloud",))]
    once, _, _ = Batches(prepared.examples, steps, 5)[0]
    twice, targets, step = Batches(prepared.examples, steps, 5, views=2)[0]
    points, views = once["inputs"]["point_cloud"]["points"], twice["inputs"]["point_cloud"]["points"]
    assert len(views) == len(targets) == 6
    assert step.rows == (0, 1, 2)
    torch.testing.assert_close(views[:3], points)
    assert not torch.allclose(views[3:], points), "the second view is another augmentation"
    assert targets[:3] == targets[3:]


def half_labelled(folder, change="train"):
    """The clouds' manifest, rows of one part without their labels: of train half of each class, else all."""
    manifest = made.clouds(folder, 24)
    with open(manifest, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for i, row in enumerate(rows):
        if row["split"] == change and (i % 4 > 1 or change != "train"):
            row["label"] = ""
    return made.write_csv(manifest, rows)


def test_rows_without_a_label_are_learnt_from(tiny_folder, tmp_path):
    manifest = half_labelled(tmp_path)
    given = options(manifest, tmp_path / "run", tiny_folder, steps=3)
    prepared = prepare(given)
    answers = [prepared.examples.facts[i].answer for i in prepared.parts["train"]]
    assert answers.count("") == len(answers) // 2
    assert prepared.head["labels"] == sorted(set(answers) - {""})
    results = run(given)
    assert results["test"]["accuracy"] >= 0
    plain = run(options(manifest, tmp_path / "heavier", tiny_folder, steps=3, consistency=100.0))
    assert plain["test"]["loss"] != results["test"]["loss"], "the weight of agreeing is heard"


def test_labels_may_lack_only_where_they_are_not_needed(tiny_folder, tmp_path):
    manifest = half_labelled(tmp_path)
    with pytest.raises(ValueError, match="has no label"):
        prepare(options(manifest, tmp_path / "a", tiny_folder, consistency=0.0))
    with pytest.raises(ValueError, match="--balance came with rows that have no label"):
        prepare(options(manifest, tmp_path / "b", tiny_folder, balance="weights"))
    with pytest.raises(ValueError, match="has no label"):
        prepare(options(half_labelled(tmp_path, "val"), tmp_path / "c", tiny_folder))
    with pytest.raises(ValueError, match="--consistency"):
        options(manifest, tmp_path, tiny_folder, augment="none")
    with pytest.raises(ValueError, match="--consistency"):
        options(manifest, tmp_path, tiny_folder, task="regress")


def test_a_road_from_what_stands_around_a_node(tiny_folder, tmp_path):
    """Two topics: words of their own, few in each node, and links within a topic."""
    rng = np.random.default_rng(0)
    count, width = 80, 200
    topic = np.arange(count) % 2
    words = np.zeros((count, width), np.float32)
    for i in range(count):
        words[i, rng.choice(100, 3, replace=False) + 100 * topic[i]] = 1
    pairs = np.array([(i, j) for i in range(count) for j in rng.choice(np.where(topic == topic[i])[0], 3)])
    np.savez(tmp_path / "net.npz", edges=np.concatenate([pairs, pairs[:, ::-1]]).T, nodes=words)
    rows = [
        {"graph": "net.npz", "graph.node": i, "label": ("a", "b")[topic[i]] if i < 8 or i >= 40 else "",
         "split": "train" if i < 40 else "test"}
        for i in range(count)
    ]  # fmt: skip
    manifest = made.write_csv(tmp_path / "nodes.csv", rows)
    given = options(manifest, tmp_path / "run", tiny_folder, task="node", wide=16, wide_dropout=0.2, apart=0.99,
                    hops=1, neighbours=8, steps=60, lr=2e-2, batch=16)  # fmt: skip
    results = run(given)
    assert results["test"]["accuracy"] >= 0.95
    spark = allspark.load(tiny_folder, adapter=tmp_path / "run")
    road = spark.model.heads["node"].around["graph"]
    assert isinstance(road, AroundRoad)
    assert road.size == width
    graph = allspark.read(tmp_path / "net.npz", "graph")
    found = [spark.classify(ego(graph, i, hops=1, limit=8))[0].label for i in (41, 60)]
    assert found == ["b", "a"]
    with pytest.raises(ValueError, match="features around them"):
        road(torch.zeros(2, 7))
