"""The parts on their own: which examples a step sees, splits, leaks, class weights, the average, the metrics."""

from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn

from allspark.tuning.facts import Facts
from allspark.tuning.leakage import leaks
from allspark.tuning.sampling import Plan, class_shares, class_weights
from allspark.tuning.schedule import Average
from allspark.tuning.splits import split


def fact(row, part=0, **more):
    given = {"modalities": ("rgb",), "hash": f"{row} {part}", "units": {}, "place": None, "time": None, "group": None}
    return Facts(row=row, part=part, answer="a", **{**given, **more})


KINDS = [("rgb", "sar")] * 21 + [("rgb",)] * 9 + [("sar",)] * 2


def test_every_rank_sees_one_set_of_modalities_and_its_own_examples():
    plans = [Plan(KINDS, 4, world=2, rank=rank, dropout=0.4, seed=3) for rank in (0, 1)]
    assert plans[0].mixed
    for number in range(3):
        seen = Counter()
        for one, other in zip(plans[0].epoch(number), plans[1].epoch(number), strict=True):
            assert one.modalities == other.modalities
            assert not set(one.rows) & set(other.rows) or len(set(one.rows + other.rows)) < 8
            for row in one.rows + other.rows:
                assert set(one.modalities) <= set(KINDS[row])
                seen[row] += 1
        assert set(seen) == set(range(len(KINDS))), "every example once per epoch, a few twice"
    assert len(plans[0].epoch(0)) == len(plans[0]) == 3 + 2 + 1


def test_a_global_batch_is_the_same_whatever_the_ranks():
    whole = Plan(KINDS, 8, seed=1, dropout=0.4).epoch(2)
    shared = [Plan(KINDS, 4, world=2, rank=rank, seed=1, dropout=0.4).epoch(2) for rank in (0, 1)]
    for one, *parts in zip(whole, *shared, strict=True):
        assert {one.modalities} == {part.modalities for part in parts}
        assert sorted(one.rows) == sorted(row for part in parts for row in part.rows)


def test_modality_dropout_leaves_one_and_reaches_every_subset():
    plan = Plan([("hyperspectral", "point_cloud", "rgb")] * 4, 4, dropout=0.6)
    seen = {plan.epoch(number)[0].modalities for number in range(300)}
    assert len(seen) == 7, "all subsets but the empty one"
    assert {step.modalities for step in Plan(KINDS, 4).epoch(0)} == set(KINDS), "without dropout all stay"


def test_balanced_sampling_and_class_weights():
    labels = ["rare"] * 10 + ["common"] * 90
    plan = Plan([("rgb",)] * 100, 10, weights=class_shares(labels), seed=0)
    drawn = Counter(labels[row] for number in range(30) for step in plan.epoch(number) for row in step.rows)
    assert 0.4 < drawn["rare"] / sum(drawn.values()) < 0.6
    weights = class_weights([10, 90])
    assert weights[0] == pytest.approx(9 * weights[1])
    assert np.average(weights, weights=[10, 90]) == pytest.approx(1)
    assert class_weights([5, 0])[1] == 0


def test_random_splits_keep_windows_of_a_scene_together():
    facts = [fact(row, part) for row in range(40) for part in range(3)]
    parts = split(facts, "random", val=0.2, test=0.25, seed=0)
    by_row = {}
    for entry, part in zip(facts, parts):
        by_row.setdefault(entry.row, set()).add(part)
    assert all(len(found) == 1 for found in by_row.values())
    counts = Counter(next(iter(found)) for found in by_row.values())
    assert counts == {"train": 22, "val": 8, "test": 10}
    assert parts == split(facts, "random", val=0.2, test=0.25, seed=0)
    assert parts != split(facts, "random", val=0.2, test=0.25, seed=1)


def test_groups_and_blocks_are_whole_and_time_goes_forward():
    rng = np.random.default_rng(0)
    facts = [
        fact(i, group=f"user {i % 10}", place=(8 + 0.1 * rng.random(), 47 + 0.1 * rng.random()), time=float(i))
        for i in range(200)
    ]
    parts = np.array(split(facts, "group", val=0.2, test=0.2, seed=0))
    for group in range(10):
        assert len(set(parts[group::10])) == 1
    assert Counter(parts.tolist()) == {"train": 120, "val": 40, "test": 40}
    parts = np.array(split(facts, "block", val=0.2, test=0.2, seed=0, block=1500.0))
    east, north = np.array([entry.place for entry in facts]).T
    rows = np.floor(north * 111_320 / 1500).astype(int)
    widths = 111_320 * np.cos(np.deg2rad((rows + 0.5) * 1500 / 111_320))
    blocks = list(zip(rows, np.floor(east * widths / 1500).astype(int)))
    for block in set(blocks):
        assert len({part for part, other in zip(parts, blocks) if other == block}) == 1
    parts = split(facts, "time", val=0.1, test=0.2, seed=0)
    assert parts == ["train"] * 140 + ["val"] * 20 + ["test"] * 40


@pytest.mark.parametrize(
    ("by", "match"), [("group", "no group"), ("block", "no place"), ("time", "no time")]
)  # fmt: skip
def test_a_split_says_what_it_lacks(by, match):
    with pytest.raises(ValueError, match=match):
        split([fact(i) for i in range(4)], by, val=0.2, test=0.0, seed=0)


def test_a_split_of_too_few_is_refused():
    with pytest.raises(ValueError, match="leaves train empty"):
        split([fact(0)], "random", val=0.2, test=0.0, seed=0)


def test_leaks_of_content_group_and_place_are_found():
    degree = 111_320.0
    facts = [
        fact(0, hash="same"), fact(1, hash="same"), fact(2, group="parcel 7"), fact(3, group="parcel 7"),
        fact(4, place=(8.0, 0.0)), fact(5, place=(8.0 + 40 / degree, 0.0)), fact(6, place=(8.0 + 90 / degree, 0.0)),
    ]  # fmt: skip
    parts = ["train", "test", "train", "val", "train", "test", "train"]
    lines = [fact.row + 2 for fact in facts]
    content, group, place = leaks(facts, parts, 45.0, lines)
    assert content.startswith("1 contents stand in two splits, as line 2 (train) and line 3 (test)")
    assert "'parcel 7'" in group
    assert place.startswith("1 pairs")
    assert "within 45 m" in place
    assert "line 6 (train) and line 7 (test)" in place or "line 7 (test) and line 6 (train)" in place
    assert len(leaks(facts, parts, 0.0, lines)) == 2
    assert len(leaks(facts, parts, 30.0, lines)) == 2, "40 m apart"
    assert leaks(facts, ["train"] * 7, 50.0, lines) == []
    across = [fact(0, place=(180.0, 10.0)), fact(1, place=(-180.0 + 1e-5, 10.0))]
    assert len(leaks(across, ["train", "test"], 50.0, [2, 3])) == 1, "the date line is no distance"


def test_the_average_follows_and_is_lent():
    weight = nn.Parameter(torch.zeros(2))
    average = Average([weight], 0.9)
    for step in range(1, 200):
        with torch.no_grad():
            weight.fill_(1.0)
        average.update(step)
    with average.applied():
        assert torch.allclose(weight, torch.ones(2), atol=1e-3)
    with torch.no_grad():
        weight.fill_(5.0)
    with average.applied():
        assert weight[0] < 1.01
    assert weight[0] == 5


def test_metrics_are_what_their_definitions_say():
    from types import SimpleNamespace

    from allspark.tuning.tasks.classify import Classify
    from allspark.tuning.tasks.segment import Segment
    from allspark.tuning.tasks.trajectory import Futures

    logits = torch.eye(3)[torch.tensor([0, 0, 1, 1, 1, 2])]
    truth = [torch.tensor(k) for k in (0, 1, 1, 1, 0, 2)]
    task = Classify("classify")
    metrics = task.metrics({"labels": ["a", "b", "c"]})
    task.update(metrics, SimpleNamespace(logits=logits), truth, None)
    found = {name: float(metric.compute()) for name, metric in metrics.items()}
    assert found["accuracy"] == pytest.approx(4 / 6)
    assert found["macro_f1"] == pytest.approx((1 / 2 + 2 / 3 + 1) / 3)
    assert found["balanced_accuracy"] == pytest.approx((1 / 2 + 2 / 3 + 1) / 3)

    area = Segment({0: "land", 1: "water"})
    metrics = area.metrics(None)
    guess = torch.tensor([[0, 0, 1, 1]])
    area.update(metrics, SimpleNamespace(logits=torch.eye(2)[guess].permute(0, 2, 1)[:, :, None]),
                [torch.tensor([[0, 1, 1, -100]])], None)  # fmt: skip
    assert float(metrics["miou"].compute()) == pytest.approx((1 / 2 + 1 / 2) / 2)
    assert float(metrics["accuracy"].compute()) == pytest.approx(2 / 3)

    walk = Futures(observe=2, predict=2, modes=2)
    metrics = walk.metrics(None)
    futures = torch.tensor([[[1.0, 0, 2, 0, 0.0], [1.0, 1, 2, 3, 5.0]]])  # two futures of two fixes, then their logits
    walk.update(metrics, SimpleNamespace(logits=futures), [torch.tensor([[1.0, 0], [2.0, 4]])], None)
    found = {name: float(metric.compute()) for name, metric in metrics.items()}
    assert found["ade"] == pytest.approx(1.0), "the nearer future is one metre off at both fixes"
    assert found["fde"] == pytest.approx(1.0)
    assert found["ade_first"] == pytest.approx(1.0)
