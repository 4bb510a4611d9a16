"""Made few-shot tasks as an objective: what is drawn, what the loss says, and that it teaches an encoder."""

from __future__ import annotations

import bridge_stage
import pytest
import torch
from few_shot_tasks import Tasks, task_loss
from packed import Packed
from torch import nn

import allspark
from allspark import modality as modalities
from allspark.evaluate import sources


def packed(labels: list[str]) -> Packed:
    return Packed("made", "table", [{"value": torch.tensor(float(i))} for i in range(len(labels))], labels, {})


def test_a_task_is_drawn_whole_and_no_example_stands_on_both_sides() -> None:
    labels = [f"a/{i % 3}" for i in range(18)] + [f"b/{i % 2}" for i in range(8)] + ["lonely/0"] * 4
    tasks = Tasks([packed(labels)])
    assert len(tasks) == 2  # a single class is no task
    random = torch.Generator().manual_seed(0)
    sizes = set()
    for _ in range(20):
        items, targets, given = tasks.draw(random)
        rows = [int(item["value"]) for item in items]
        assert len(set(rows)) == len(rows) == len(targets)
        sizes.add(len(rows))
        assert {labels[row].split("/")[0] for row in rows} <= {"a", "b"}
        for k in targets.unique():
            own = targets == k
            assert len({labels[rows[i]] for i in own.nonzero()[:, 0]}) == 1
            assert 1 <= int((own & given).sum()) <= int(own.sum()) // 2
    assert sizes == {18, 8}


def test_the_loss_is_small_where_few_examples_are_enough_and_chance_where_they_say_nothing() -> None:
    torch.manual_seed(0)
    targets = torch.arange(5).repeat_interleave(10)
    given = (torch.arange(10) < 5).repeat(5)
    apart, accuracy = task_loss(torch.eye(5)[targets] + 0.01 * torch.randn(50, 5), targets, given)
    assert accuracy == 1.0
    noise = [task_loss(torch.randn(50, 32), targets, given) for _ in range(20)]
    assert sum(loss for loss, _ in noise) / 20 > 1.4 > 0.3 > apart
    assert sum(right for _, right in noise) / 20 == pytest.approx(0.2, abs=0.08)


def test_learning_made_tasks_helps_with_tasks_never_seen() -> None:
    torch.manual_seed(0)

    def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Classes differ in the sign pattern of 3 numbers beside 13 loud ones that mean nothing."""
        patterns = torch.randperm(8)[:4]
        targets = torch.arange(4).repeat_interleave(10)
        signs = (patterns[targets, None] >> torch.arange(3)) % 2 * 2.0 - 1
        values = torch.cat([signs + 0.2 * torch.randn(40, 3), 4 * torch.randn(40, 13)], 1)
        return values, targets, (torch.arange(10) < 5).repeat(4)

    net = nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16))
    held = [batch() for _ in range(20)]

    def measure() -> float:
        with torch.no_grad():
            return sum(task_loss(net(x), targets, given)[1] for x, targets, given in held) / len(held)

    before = measure()
    optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
    for _ in range(200):
        x, targets, given = batch()
        loss, _ = task_loss(net(x), targets, given)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert measure() > before + 0.25


def test_items_without_words_only_stay_alike_behind_the_bridge() -> None:
    spark = allspark.build("allspark-tiny", modality=["table"])
    record = modalities.get("table")
    items = [r.item for r in sources.load("made_table_tasks", "", "val", limit=12)]
    samples = [record.prepare(item, **spark.processor.inputs["table"]) for item in items]  # type: ignore[misc]
    made = Packed("made_table_tasks", "table", samples, [f"task-0/{i % 2}" for i in range(12)], {})
    kept = bridge_stage.keep_tokens(spark, made)
    bridged = bridge_stage.Bridged(spark, "table", [kept], weight=15.0)
    assert not bridged.unnamed  # no vector of the language space is learned for them
    random = torch.Generator().manual_seed(0)
    optimiser = torch.optim.Adam(bridged.parameters(), lr=1e-2)
    losses = []
    for _ in range(30):
        loss, _ = bridged.step(kept, kept.samples, list(range(12)), random)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
