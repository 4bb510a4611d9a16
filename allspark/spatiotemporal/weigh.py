"""How much of the network's word counts beside the linear path, task by task: fitted on the validation part.

A network that learnt from a few hundred windows says something, part of it of those windows alone. With f the linear
path, h the network and y the truth of the validation part, all normalised, the share

    s = clip(Σ h · (y − f) / Σ h², 0, 1)

is the least squares weight of h (stacking, Wolpert 1992): 0 where the network learnt nothing that holds beyond its
training part, 1 where all of it does.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from .batches import in_order
from .model import UniSTD
from .score import WINDOWS, autocast, device_of, evaluating
from .series import Series


def weigh(model: UniSTD, series: Mapping[str, Series], most: int = 100) -> dict[str, float]:
    """Set every task's share.

    Args:
        model: trained; tasks without a linear path keep their share of one.
        series: task -> data, whose validation part is read.
        most: windows of a task.

    Returns:
        Task -> share.
    """
    device, found = device_of(model), {}
    for name, data in series.items():
        parts = model.task_parts(name)
        if parts.linear is None:
            continue
        above = below = 0.0
        parts.share.fill_(1.0)  # type: ignore[operator]
        for batch in in_order(data, "validation", WINDOWS, most):
            prepared = batch.prepared
            frames, calendar = prepared.frames.to(device), prepared.calendar.to(device)
            with evaluating(model), autocast(device):
                linear = parts.linear(frames, calendar)
                network = model(name, frames, prepared.known.to(device), calendar).float() - linear
            left = torch.where(batch.targets_known, batch.wanted - linear.cpu(), 0.0)
            network = torch.where(batch.targets_known, network.cpu(), 0.0)
            above += float((network * left).sum())
            below += float((network**2).sum())
        found[name] = min(max(above / below, 0.0), 1.0) if below else 1.0
        parts.share.fill_(found[name])  # type: ignore[operator]
    return found
