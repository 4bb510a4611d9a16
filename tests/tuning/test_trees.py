"""Trees beside a head: as scikit-learn grew them, in the adapter, with their share of the answer."""

import numpy as np
import pytest
import torch
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor, RandomForestClassifier, RandomForestRegressor

import allspark
from allspark.finetune import run
from allspark.heads import ClassificationHead, RegressionHead, TrajectoryHead
from allspark.heads.trees import Trees, grow
from allspark.heads.wide import WideHead, fit
from allspark.tuning.options import Options
from allspark.tuning.setup import prepare

from . import made

ROWS = torch.randn(300, 5, generator=torch.Generator().manual_seed(0))


def options(manifest, out, model, **more):
    return Options(**{
        "data": str(manifest), "out": str(out), "task": "classify", "model": str(model), "precision": "no",
        "train": ["heads"], "steps": 2, "batch": 8, "at": "encoder", "wide": 8, "trees": 40, "augment": "none",
        "leak_distance": 0.0, **more,
    })  # fmt: skip


def grown(rows, answers, classes, **more):
    sizes, buffers = grow(rows, answers, classes, 20, 0, **more)
    trees = Trees(**sizes, classes=classes)
    assert buffers.keys() == dict(trees.named_buffers()).keys()
    for name, value in buffers.items():
        assert getattr(trees, name).shape == value.shape
        getattr(trees, name).copy_(value)
    return trees


@pytest.mark.parametrize("balanced", [False, True])
def test_classes_are_voted_for_as_scikit_learn_votes(balanced):
    # class 1 of four has no items, as where rows are too many to be all looked at
    answers = (ROWS[:, 0] > 0).long() * 2 + ((ROWS[:, 0] > 0) & (ROWS[:, 1] > 0)).long()
    trees = grown(ROWS[:200], answers[:200], 4, balanced=balanced)
    weight = "balanced" if balanced else None
    wanted = torch.zeros(100, 3)
    for kind in (RandomForestClassifier, ExtraTreesClassifier):
        model = kind(10, random_state=0, class_weight=weight).fit(ROWS[:200].numpy(), answers[:200].numpy())
        wanted += torch.from_numpy(model.predict_proba(ROWS[200:].numpy())).float() / 2
    found = trees(ROWS[200:])
    assert found.shape == (100, 4)
    assert (found[:, 1] == 0).all()
    assert torch.allclose(found[:, answers[:200].unique()], wanted, atol=1 / 255)
    assert (found.argmax(1) == answers[200:]).float().mean() > 0.8


def test_numbers_are_told_as_scikit_learn_tells_them():
    answers = (ROWS[:, 0].square() + ROWS[:, 1]).double() * 100
    trees = grown(ROWS[:200], answers[:200], 0)
    wanted = torch.zeros(100)
    for kind in (RandomForestRegressor, ExtraTreesRegressor):
        model = kind(10, random_state=0).fit(ROWS[:200].numpy(), answers[:200].numpy())
        wanted += torch.from_numpy(model.predict(ROWS[200:].numpy())).float() / 2
    assert torch.allclose(trees(ROWS[200:])[:, 0], wanted, rtol=1e-4, atol=1e-3)


def test_one_value_that_all_share_is_a_tree_of_one_leaf():
    trees = grown(ROWS[:20], torch.ones(20, dtype=torch.long), 3)
    assert torch.equal(trees(ROWS[:4]), torch.tensor([0.0, 1.0, 0.0]).expand(4, 3))


@pytest.mark.parametrize("head", [ClassificationHead(4, labels="abc"), RegressionHead(4, mean=5.0, std=2.0)])
def test_trees_have_their_share_of_answers_and_none_of_the_learning(head):
    classes = 3 if isinstance(head, ClassificationHead) else 0
    sizes, buffers = fit(ROWS)
    kinds, votes = grow(ROWS, torch.arange(300) % 3 if classes else ROWS[:, 0], classes, 20, 0)
    wide = {"sizes": {"table": 5}, **sizes, "width": 8, "dropout": 0.0}
    found = WideHead(head, {**wide, "trees": {**kinds, "classes": classes}, "trees_share": 0.25}).eval()
    for module, values in ((found.wide, buffers), (found.trees, votes)):
        for name, value in values.items():
            getattr(module, name).copy_(value)
    given = torch.ones(300, 4), None, {"table": ROWS}, (torch.zeros(0), torch.zeros(0))
    with torch.no_grad():
        said, own = found(*given), found.train()(*given)
    share = found.trees(ROWS)
    if classes:
        assert torch.allclose(said.softmax(-1), 0.75 * own.softmax(-1) + 0.25 * share, atol=1e-5)
    else:
        assert torch.allclose(said, 0.75 * own + 0.25 * share, atol=1e-4)


def test_a_run_with_trees_loads_merges_and_answers_alike(tiny_folder, tmp_path):
    """A pattern of squares, which trees cut out of a plane at once and two steps of a perceptron do not."""
    rng = np.random.default_rng(0)
    rows = [
        {"a": f"{x:.4f}", "b": f"{y:.4f}", "label": ("even", "odd")[int(x > 0.5) ^ int(y > 0.5)], "split": part}
        for part, count in (("train", 300), ("test", 200))
        for x, y in rng.uniform(size=(count, 2))
    ]
    manifest = made.write_csv(tmp_path / "squares.csv", rows)
    found = {
        trees: run(options(manifest, tmp_path / f"run{trees}", tiny_folder, columns=["a", "b"], trees=trees))
        for trees in (0, 40)
    }
    assert found[40]["test"]["accuracy"] > 0.9
    assert found[0]["test"]["accuracy"] < 0.75
    files = allspark.read(manifest, columns=["a", "b"])[-20:]
    spark = allspark.load(tiny_folder, adapter=tmp_path / "run40")
    answers = spark.classify(files)
    assert np.mean([a.label == row["label"] for a, row in zip(answers, rows[-20:])]) > 0.8
    assert [sum(a.scores.values()) for a in answers] == pytest.approx([1.0] * 20, abs=1e-5)
    spark.merge().save(tmp_path / "merged")
    for one, two in zip(answers, allspark.load(tmp_path / "merged").classify(files)):
        assert two.scores == pytest.approx(one.scores, abs=1e-5)


def test_what_trees_cannot_stand_beside_is_refused(tiny_folder, tmp_path):
    with pytest.raises(ValueError, match="--trees is 40; wanted --wide beside it"):
        options("a.csv", tmp_path, tiny_folder, wide=0)
    with pytest.raises(ValueError, match="--trees came for words"):
        prepare(options(made.texts(tmp_path), tmp_path / "run", tiny_folder, at="words", train=["heads", "words"]))
    with pytest.raises(ValueError, match="--trees came for a head of futures"):
        WideHead(TrajectoryHead(4), {"sizes": {}, "width": 8, "dropout": 0.0, "trees": {"count": 1}})
