"""A linear road past an encoder's transformer, over numbers that need no learning: a module, not a modality.

Attention blocks that learn some classes need not carry what else stands in an item, and examples of other classes are
then told apart worse by an encoder than by plain statistics. A road hands such numbers on to every token: standardised
by what training items have, through one linear layer. As the mean over tokens is linear too, the layer can be learned
from the items' mean numbers alone (``recipes/allspark-base/moments_stage.py``).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_LARGEST = 8.0  # spreads: an item unlike all training items stays within reach


class Road(nn.Module):
    """Numbers of tokens -> what is added to them. The layer starts at random: a random projection keeps what they say.

    Args:
        numbers: N per token.
        width: D.
        loud: standard deviation of what comes out at first.
    """

    def __init__(self, numbers: int, width: int, loud: float = 0.5) -> None:
        super().__init__()
        self.out = nn.Linear(numbers, width, bias=False)
        nn.init.normal_(self.out.weight, std=loud * numbers**-0.5)
        self.register_buffer("centre", torch.zeros(numbers))
        self.register_buffer("spread", torch.ones(numbers))
        self.centre: Tensor
        self.spread: Tensor

    @torch.no_grad()
    def fit(self, mean: Tensor, square: Tensor) -> None:
        """Standardise by what tokens of training items have: (N,) their means and mean squares."""
        spread = (square - mean.square()).clamp(min=0).sqrt()
        self.centre.copy_(mean)
        self.spread.copy_(spread.clamp(min=1e-4 + 1e-3 * float(spread.mean())))

    def standard(self, numbers: Tensor) -> Tensor:
        """(…, N) -> the same in spreads from the mean."""
        return ((numbers.float() - self.centre.float()) / self.spread.float()).clamp(-_LARGEST, _LARGEST)

    def forward(self, numbers: Tensor) -> Tensor:
        """(…, N) -> (…, D)."""
        out: Tensor = self.out(self.standard(numbers))
        return out


def map_numbers(maps: Sequence[Tensor], valid: Tensor, grid: tuple[int, int]) -> Tensor:
    """Feature maps of any resolutions -> what stands under each cell of a grid: means, and spreads within the cell.

    Args:
        maps: (B, C, H', W') each, H' and W' multiples of the grid's sides.
        valid: (B, H, W) bool over the same ground; places without a valid pixel do not count.
        grid: (h, w).

    Returns:
        (B, h · w, N) float32: the C means of every map, and the C spreads of those finer than the grid.
    """
    found = []
    with torch.autocast(valid.device.type, enabled=False):
        there = valid[:, None].float()
        for one in maps:
            x, weight = one.float(), F.adaptive_avg_pool2d(there, (one.shape[2], one.shape[3]))
            total = F.adaptive_avg_pool2d(weight, grid).clamp(min=1e-6)
            mean = F.adaptive_avg_pool2d(x * weight, grid) / total
            found.append(mean)
            if (one.shape[2], one.shape[3]) != tuple(grid):
                square = F.adaptive_avg_pool2d(x.square() * weight, grid) / total
                found.append((square - mean.square()).clamp(min=0).sqrt())
    return torch.cat(found, 1).flatten(2).transpose(1, 2)
