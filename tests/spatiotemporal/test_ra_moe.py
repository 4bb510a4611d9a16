"""The mathematics of RA-MoE: the clip form is the line between integer ranks, continuous, with the stated gradient."""

import pytest
import torch
from torch import nn

from allspark.spatiotemporal.ra_moe import RankAdaptiveMoE, rank_mask
from allspark.spatiotemporal.ranks import (
    budget_step,
    clamp_ranks,
    freeze_ranks,
    learning_ranks,
    merge,
    mixtures,
    rank_table,
    total_rank,
)
from allspark.spatiotemporal.temporal import TemporalModule

R = 6


@pytest.fixture
def layer():
    torch.manual_seed(0)
    found = RankAdaptiveMoE(nn.Linear(10, 7), experts=3, max_rank=R, rank=2.5).double()
    nn.init.normal_(found.up.weight)
    return found


def at(layer, *ranks):
    with torch.no_grad():
        layer.ranks.copy_(torch.tensor(ranks))
    return layer


def single(rank):
    """One expert whose update alone is seen: W0 is zero."""
    torch.manual_seed(1)
    found = RankAdaptiveMoE(nn.Linear(5, 4, bias=False), experts=1, max_rank=R, rank=rank).double()
    nn.init.zeros_(found.base.weight)
    nn.init.normal_(found.up.weight)
    return found


def by_columns(layer, k, x):
    """f(k) = sum of the first k rank-one updates, written out."""
    down, up = layer.down.weight, layer.up.weight
    return sum((torch.outer(up[:, i], down[i]) @ x for i in range(k)), torch.zeros(4, dtype=torch.double))


@pytest.mark.parametrize("rank", [0.0, 0.3, 1.0, 2.75, 3.5, 5.999, 6.0])
def test_the_clip_form_is_linear_interpolation_between_integer_ranks(rank):
    layer, x = single(rank), torch.randn(5, dtype=torch.double)
    k = min(int(rank), R - 1)
    wanted = (k + 1 - rank) * by_columns(layer, k, x) + (rank - k) * by_columns(layer, k + 1, x)
    torch.testing.assert_close(layer(x), wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_it_is_continuous_at_integers(k):
    layer, x, step = single(float(k)), torch.randn(5, dtype=torch.double), 1e-6
    exact = layer(x)
    for near in (k - step, k + step):
        assert (at(layer, near)(x) - exact).abs().max() < 1e-4
    # the form that scales every column by the fraction jumps: between k and k + 1 it goes through zero
    assert (0.0 * by_columns(layer, k + 1, x) - exact).abs().max() > 1e-2


@pytest.mark.parametrize("rank", [0.5, 2.25, 4.9])
def test_the_gradient_of_a_rank_is_its_column(rank):
    layer, x = single(rank), torch.randn(5, dtype=torch.double)
    weight = torch.randn(4, dtype=torch.double)
    (layer(x) @ weight).backward()
    k = int(rank)
    wanted = weight @ (by_columns(layer, k + 1, x) - by_columns(layer, k, x))
    torch.testing.assert_close(layer.ranks.grad[0], wanted.detach(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("rank", "column"), [(0.0, 0), (3.0, 3), (float(R), R - 1)])
def test_at_an_integer_the_right_derivative_counts_and_at_the_top_the_left(rank, column):
    layer, x = single(rank), torch.randn(5, dtype=torch.double)
    layer(x).sum().backward()
    wanted = (by_columns(layer, column + 1, x) - by_columns(layer, column, x)).sum()
    torch.testing.assert_close(layer.ranks.grad[0], wanted.detach())


def test_masks_sum_to_their_ranks():
    ranks = torch.tensor([0.0, 1.3, 4.5, 6.0])
    torch.testing.assert_close(rank_mask(ranks, R).sum(1), ranks)
    assert rank_mask(ranks, R).shape == (4, R)


def test_it_starts_as_its_base_layer_and_gates_sum_to_one(layer):
    fresh = RankAdaptiveMoE(nn.Linear(10, 7), experts=3, max_rank=R)
    x = torch.randn(2, 5, 10)
    torch.testing.assert_close(fresh(x), fresh.base(x))
    torch.testing.assert_close(fresh.gates(x).sum(-1), torch.ones(2, 5))
    assert not torch.allclose(layer(x.double()), layer.base(x.double()))


def test_the_mixture_is_the_formula(layer):
    x = torch.randn(10, dtype=torch.double)
    at(layer, 1.5, 3.0, 5.25)
    gates, mask = layer.gates(x), layer.mask()
    wanted = layer.base(x)
    for e in range(3):
        down = layer.down.weight[e * R : (e + 1) * R]
        up = layer.up.weight[:, e * R : (e + 1) * R]
        wanted = wanted + gates[e] * up @ torch.diag(mask[e].double()) @ down @ x
    torch.testing.assert_close(layer(x), wanted, rtol=1e-6, atol=1e-6)


def test_one_frozen_expert_merges_into_its_layer():
    torch.manual_seed(2)
    model = nn.Sequential(RankAdaptiveMoE(nn.Linear(6, 6), 1, R, 2.5), RankAdaptiveMoE(nn.Linear(6, 6), 2, R, 2.5))
    for _, layer in mixtures(model):
        nn.init.normal_(layer.up.weight)
    assert merge(model) == 0  # its rank still learns
    freeze_ranks(model)
    x = torch.randn(3, 6)
    before = model(x)
    assert merge(model) == 1
    assert isinstance(model[0], nn.Linear)
    torch.testing.assert_close(model(x), before)
    with pytest.raises(ValueError, match="only one expert of a frozen rank"):
        model[1].merged()


def test_ranks_learn_under_a_budget_then_round_and_freeze(layer):
    model = nn.Sequential(layer)
    at(layer, 4.5, 2.4, 7.9)
    clamp_ranks(model)
    assert layer.ranks.tolist() == pytest.approx([4.5, 2.4, R])
    budget_step(model, 9.0, 0.5)
    assert layer.ranks.tolist() == pytest.approx([4.0, 1.9, R - 0.5])
    budget_step(model, total_rank(model).item() - 0.3, 0.5)  # no further than the budget
    assert layer.ranks.tolist() == pytest.approx([3.9, 1.8, R - 0.6])
    budget_step(model, 99.0, 0.6)
    assert layer.ranks.tolist() == pytest.approx([4.5, 2.4, R])
    assert learning_ranks(model) == [layer.ranks]
    freeze_ranks(model)
    assert rank_table(model) == {"0": [5.0, 2.0, 6.0]}
    assert learning_ranks(model) == []
    assert total_rank(model).item() == 13


@pytest.mark.parametrize(("experts", "rank"), [(0, 2.0), (2, 9.0), (2, -1.0)])
def test_impossible_ranks_are_refused(experts, rank):
    with pytest.raises(ValueError, match="wanted at least one expert and a rank from 0"):
        RankAdaptiveMoE(nn.Linear(4, 4), experts, R, rank)


def test_the_temporal_module_starts_as_the_identity_and_learns():
    module, x = TemporalModule(24), torch.randn(2, 9, 24)
    assert torch.equal(module(x), x)
    module(x).pow(2).sum().backward()
    assert module.fc2.weight.grad.abs().sum() > 0
    with torch.no_grad():
        module.fc2.bias.fill_(100.0)
    torch.testing.assert_close(module(x), x + 1)  # the gate ends at one
