"""Exact words as a vector: what it keeps, what it leaves out, and that a batch changes nothing."""

import pytest
import torch

import allspark
from allspark.sketch import WIDTH, sketch


def rows(*texts):
    """Left-padded ids and content."""
    length = max(map(len, texts))
    ids = torch.tensor([[0] * (length - len(text)) + list(text) for text in texts])
    return ids, torch.tensor([[False] * (length - len(text)) + [True] * len(text) for text in texts])


def test_it_does_not_depend_on_what_stands_beside():
    texts = ([5, 900, 17, 900], [12], [3, 4, 5, 6, 7, 8, 9, 10])
    together = sketch(*rows(*texts))
    assert together.shape == (3, WIDTH)
    assert torch.allclose(together.norm(dim=1), torch.ones(3))
    for text, row in zip(texts, together):
        assert torch.allclose(sketch(*rows(text))[0], row, atol=1e-6)


def test_only_the_items_own_pieces_count():
    ids, content = rows([700, 800, 900])
    longer = torch.cat([torch.tensor([[41, 42]]), ids], 1)
    own = torch.cat([torch.zeros(1, 2, dtype=torch.bool), content], 1)
    assert torch.equal(sketch(longer, own), sketch(ids, content))
    assert not sketch(ids, torch.zeros_like(content)).any()


def test_inner_products_are_those_of_the_counts():
    generator = torch.Generator().manual_seed(0)
    texts = [torch.randint(2000, 16_000, (120,), generator=generator).tolist() for _ in range(2)]
    shared = [*texts[0][:60], *texts[1][:60]]
    found = sketch(*rows(*texts, shared))
    products = found @ found.T
    assert float(products[0, 1]) == pytest.approx(0, abs=0.1)
    assert float(products[0, 2]) == pytest.approx(0.5, abs=0.1)


def test_order_and_rarity_count():
    a, b = [5000, 6000, 7000, 8000], [8000, 6000, 5000, 7000]
    same, turned = sketch(*rows(a, b))
    assert 0.2 < float(same @ turned) < 0.8  # the pieces are the same, the pairs are not
    rare, common = [15_000, 14_000, 3], [15_000, 14_000, 4]
    first = sketch(*rows(rare, common, [3, 4, 14_000]))
    assert float(first[0] @ first[1]) > float(first[0] @ first[2])


def test_programs_are_told_apart_by_it(tiny_folder):
    spark = allspark.load(tiny_folder)
    one = [allspark.Code(f"for (int i = 0; i < {n}; i++) sum += values[i];", "c") for n in range(4)]
    two = [allspark.Code(f"while (queue.size() > {n}) queue.pop();", "c") for n in range(4)]
    few = spark.few_shot({"sum": one[:2], "queue": two[:2]}, at="encoder")
    answers = spark.classify([*one[2:], *two[2:]], examples=few, at="encoder")
    assert [answer.label for answer in answers] == ["sum", "sum", "queue", "queue"]
    assert spark.embed(one[0], at="encoder").shape == (1, WIDTH)
    assert spark.embed(one[0], at="encoder+language").shape[1] == WIDTH + spark.embed(one[0]).shape[1]
