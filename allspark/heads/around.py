"""A road past the encoder for what stands around a node: as many numbers as its graph has features, mostly words.

Where classes have few nodes and nodes thousands of features, each column for itself says little, and standardising it
would make the rare ones loud. The row is therefore taken as it is, of length 1, and half of it is left out in training.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class AroundRoad(nn.Module):
    """(B, W) what stands around -> (B, K): one hidden layer, dropout before and after it.

    Args:
        size: W.
        width: of the hidden layer.
        outputs: K.
        dropout: of what comes in and of hidden units.
    """

    def __init__(self, size: int, *, width: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.size = size
        self.layers = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(size, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, outputs)
        )

    def forward(self, around: Tensor) -> Tensor:
        """(B, W) -> (B, K).

        Raises:
            ValueError: nodes of a graph of other features than those learnt from.
        """
        if around.shape[1] != self.size:
            raise ValueError(
                f"nodes with {around.shape[1]} features around them came; the head was trained (--wide) on "
                f"{self.size}; give nodes of a graph with the same columns"
            )
        # half precision has too few digits for small parts of a row
        with torch.autocast(around.device.type, enabled=False):
            return self.layers(F.normalize(around.float(), dim=1))
