"""What others nearby mean for one that moves: attention over the nearest of them, for a head's road past the encoder.

People keep out of each other's way (Helbing and Molnár, Physical Review E 51, 1995), and forecasts that see who else is
about are better (Social LSTM, Alahi et al., CVPR 2016). Whom to heed is learnt, as in Social Attention (Vemula et al.,
ICRA 2018), with one place for nobody.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

NUMBERS = 6  # of each: place, velocity, and velocity against one's own; two axes each
WIDTH = 64
ALONE = 0.3  # how often one of them, and how often all of them, are left out in training
_TOLD = NUMBERS + 4  # and whether its velocity is known, closeness, time and distance of closest approach
_FAR = 8.0  # typical distances or speeds
_AHEAD = 4 / 3  # typical distances over typical speeds: how far ahead an approach is looked for


class Others(nn.Module):
    """(B, M, 6) others and (B, S) numbers of one's own -> (B, WIDTH).

    Args:
        own: S.
    """

    def __init__(self, own: int) -> None:
        super().__init__()
        self.register_buffer("units", torch.ones(2))  # metres and metres a second: typical of the training items
        self.each = nn.Sequential(nn.Linear(_TOLD, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 2 * WIDTH))
        self.ask = nn.Sequential(nn.Linear(own, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH))

    def forward(self, others: Tensor | None, own: Tensor) -> Tensor:
        """Others are NaN where there are fewer than M, and in their velocities where these are not known; None where
        nobody is near any item of the batch.
        """
        if others is None:  # every weight is used all the same: ranks whose batches differ must agree
            others = own.new_full((len(own), 1, NUMBERS), torch.nan)
        there = others[..., :2].isfinite().all(-1)  # (B, M)
        if self.training:
            there = there & (torch.rand(there.shape, device=there.device) >= ALONE)
            there = there & (torch.rand(len(there), 1, device=there.device) >= ALONE)
        key, value = self.each(self._told(others)).chunk(2, -1)
        heed = (key * self.ask(own)[:, None]).sum(-1) / WIDTH**0.5
        heed = heed.masked_fill(~there, -torch.inf)
        share = torch.cat([heed, heed.new_zeros(len(heed), 1)], 1).softmax(1)[:, :-1]  # the last is nobody's
        return (share[..., None] * value).sum(1)

    def _told(self, others: Tensor) -> Tensor:
        """(B, M, 6) -> (B, M, 10), in typical distances and speeds."""
        units: Tensor = self.units  # type: ignore[assignment]
        moving = others.isfinite().all(-1, keepdim=True).to(others)
        scaled = others.nan_to_num() / torch.cat([units[:1].expand(2), units[1:].expand(4)])
        place, velocity, against = scaled.clamp(-_FAR, _FAR).split(2, -1)
        soon = -(place * against).sum(-1, keepdim=True) / (against.square().sum(-1, keepdim=True) + 0.1)
        soon = soon.clamp(0, _AHEAD)
        apart = (place + soon * against).norm(dim=-1, keepdim=True)
        close = 1 / (place.norm(dim=-1, keepdim=True) + 0.1)
        return torch.cat([place, velocity, against, moving, close, 3 * soon, torch.exp(-3 * apart)], -1)


def typical(others: list[Tensor]) -> Tensor:
    """(2,) the medians of the distances and of the speeds of (M, 6) others, 1 where there are none."""
    rows = torch.cat(others)
    found = [rows[:, :2].norm(dim=-1), rows[:, 2:4].norm(dim=-1)]
    known = [values[values.isfinite() & (values > 0)] for values in found]
    return torch.stack([values.median() if len(values) else values.new_ones(()) for values in known])
