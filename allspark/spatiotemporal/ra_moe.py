"""Rank-adaptive mixture of LoRA experts (RA-MoE; Tang et al., UniSTD, CVPR 2025, arXiv 2503.20748).

A frozen linear layer W₀ gets E low-rank experts and a router that weighs them for every token x:

    y = W₀ x + Σₑ g(x)ₑ · Bₑ diag(m(rₑ)) Aₑ x,        m(r)ᵢ = clip(r − i, 0, 1),  i = 0 … R − 1

Aₑ is (R, D_in), Bₑ is (D_out, R), g a softmax over the experts, and rₑ in [0, R] a learned, fractional rank.

**Why the clip form.** Write f(k) = Σ_{i<k} bᵢ aᵢᵀ x for the update of integer rank k. For r in [k, k + 1] the mask is
one for i < k, r − k for i = k and zero beyond, so

    B diag(m(r)) A x = f(k) + (r − k) · b_k a_kᵀ x = (k + 1 − r) · f(k) + (r − k) · f(k + 1):

exactly the straight line between two consecutive integer ranks. It is continuous at integers: from both sides it
reaches f(k). A form that scales *all* columns by the fraction, as secondary sources print it, jumps there and is not
used.

**Gradient.** Inside (k, k + 1) the derivative with respect to r is g · b_k a_kᵀ x = g · (f(k + 1) − f(k)), that of one
column alone. At an integer the left and right derivatives differ, and autograd's clamp gives zero, which would hold a
rank there for ever. ``rank_mask`` gives the right derivative (column k), and at r = R, where there is none, the left
one.

What the paper's digests leave open and how it is read here: the router sees each token and is soft (no top-k, so that
no balancing loss is needed); there is no LoRA scale (α / r would change with a learned r); B starts at zero.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def rank_mask(ranks: Tensor, max_rank: int) -> Tensor:
    """m(r)ᵢ = clip(r − i, 0, 1): the weight of each rank-one column.

    Args:
        ranks: (E,) in [0, R].
        max_rank: R.

    Returns:
        (E, R) in [0, 1]; every row sums to its rank.

    Example:
        >>> rank_mask(torch.tensor([2.5]), 4)
        tensor([[1.0000, 1.0000, 0.5000, 0.0000]])
    """
    height = ranks[:, None] - torch.arange(max_rank, device=ranks.device, dtype=ranks.dtype)
    learns = (height >= 0) & (height < 1)  # one column of each rank
    learns[:, -1] |= height[:, -1] == 1
    return torch.where(learns, height, height.detach().clamp(0, 1))


class RankAdaptiveMoE(nn.Module):
    """A linear layer with a mixture of low-rank experts beside it, each of a learned rank.

    Args:
        base: W₀; whether it learns is its owner's business.
        experts: E; one expert has no router (its gate is 1) and can be merged.
        max_rank: R, the columns that each expert holds.
        rank: r at the start, in [0, R].
        adaptive: do the ranks learn? False gives fixed-rank LoRA (E = 1) or a fixed-rank mixture.

    Raises:
        ValueError: a rank outside [0, R], or no expert.
    """

    def __init__(
        self, base: nn.Linear, experts: int, max_rank: int = 8, rank: float = 4.5, adaptive: bool = True
    ) -> None:
        super().__init__()
        if experts < 1 or not 0 <= rank <= max_rank:
            raise ValueError(
                f"{experts} experts of rank {rank} with at most {max_rank} columns were asked for; wanted at least one "
                "expert and a rank from 0 to the columns"
            )
        self.base = base
        self.experts, self.max_rank, self.adaptive = experts, max_rank, adaptive
        self.down = nn.Linear(base.in_features, experts * max_rank, bias=False)  # all Aₑ, one above the other
        self.up = nn.Linear(experts * max_rank, base.out_features, bias=False)  # all Bₑ, side by side
        self.router = nn.Linear(base.in_features, experts) if experts > 1 else None
        self.ranks = nn.Parameter(torch.full((experts,), float(rank)), requires_grad=adaptive)
        nn.init.normal_(self.down.weight, std=base.in_features**-0.5)  # keeps the scale of a normed input
        nn.init.zeros_(self.up.weight)  # the update starts at zero
        if self.router is not None:
            nn.init.normal_(self.router.weight, std=0.02)
            nn.init.zeros_(self.router.bias)

    def mask(self) -> Tensor:
        """(E, R): the weight of each column now."""
        return rank_mask(self.ranks, self.max_rank)

    def gates(self, x: Tensor) -> Tensor:
        """(…, D_in) -> (…, E), summing to one."""
        if self.router is None:
            return x.new_ones(*x.shape[:-1], 1)
        return self.router(x).softmax(-1)

    def forward(self, x: Tensor) -> Tensor:
        """(…, D_in) -> (…, D_out)."""
        hidden = self.down(x).unflatten(-1, (self.experts, self.max_rank)) * self.mask()
        if self.router is not None:
            hidden = hidden * self.gates(x)[..., None]
        return self.base(x) + self.up(hidden.flatten(-2).to(x.dtype))

    def merged(self) -> nn.Linear:
        """One linear layer that computes the same: W₀ + B diag(m) A.

        Raises:
            ValueError: several experts (their weights depend on x), or a rank that still learns.
        """
        if self.experts != 1 or self.ranks.requires_grad:
            raise ValueError(
                f"{self.experts} experts with {'learning' if self.ranks.requires_grad else 'frozen'} ranks came; only "
                "one expert of a frozen rank folds into its layer; freeze the ranks first"
            )
        layer = nn.Linear(self.base.in_features, self.base.out_features, bias=self.base.bias is not None)
        with torch.no_grad():
            layer.weight.copy_(self.base.weight + self.up.weight * self.mask().flatten() @ self.down.weight)
            if self.base.bias is not None:
                layer.bias.copy_(self.base.bias)
        return layer.requires_grad_(self.base.weight.requires_grad)
