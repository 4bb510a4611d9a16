"""What simple statistics say of every item, so that an encoder does not lose it to a few class names.

The same cheap features that the league measures encoders against (percentiles of speeds, eigenvalues of neighbourhoods,
degrees, spectra, texture), of training items alone, whitened within their source: what the mean of an item's tokens
predicts linearly, a few-shot classifier can use. A row of a table has no such list, as no two tables have the same
columns: there the vector must answer what stands in a column, asked by its name (``Recall``).
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from packed import Packed, fingerprint, prepared, said_of
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from allspark.encoders.table import CATEGORY, NUMBER
from allspark.evaluate.baselines import cheap_features

DIRECTIONS = 64  # of largest variance, at most
VARIANCE = 0.98  # of a source's features is kept
ASKED = 128  # width of a question to a row


def whitened(features: np.ndarray) -> Tensor:
    """(N, D) -> (N, at most ``DIRECTIONS``) unit vectors: principal directions, equally loud."""
    table = torch.from_numpy(np.asarray(features, np.float32))
    table = table - table.mean(0)
    _, scale, directions = torch.linalg.svd(table, full_matrices=False)
    share = scale.square().cumsum(0) / scale.square().sum().clamp_min(1e-12)
    count = min(DIRECTIONS, int((share < VARIANCE).sum()) + 1)
    return F.normalize(table @ directions[:count].T / scale[:count] * len(table) ** 0.5, dim=-1).clone()


def statistics(source: Packed, data: Path, folder: Path, settings: dict[str, Any]) -> Tensor | None:
    """(N, K) targets of a packed source's items, in its order, made once; None where the items are not alike.

    Raises:
        ValueError: the items read now are not those that were packed.
    """
    path = folder / f"{source.source}.known.safetensors"
    made = {"made": fingerprint(source.source, settings)}
    if path.is_file() and said_of(path) == made:
        return load_file(path).get("known")
    start = time.perf_counter()
    items = [record.item for record, _ in prepared(source.source, "train", data, settings)]
    if len(items) != len(source.samples):
        raise ValueError(f"{source.source} has {len(items)} items, {len(source.samples)} were packed; pack it again")
    try:
        found = whitened(np.concatenate(list(cheap_features(items, source.modality).values()), 1))
    except ValueError as error:  # other bands or other node features within one source
        print(f"{source.source} has no statistics: {error}", flush=True)
        found = None
    save_file({} if found is None else {"known": found}, path.with_suffix(".partial"), metadata=made)
    path.with_suffix(".partial").rename(path)
    print(f"statistics of {source.source}: {time.perf_counter() - start:.0f} s", flush=True)
    return found


class Recall(nn.Module):
    """Asks a row's vector what stands in each of its columns: numbers on asinh's scale, categories as their vectors.

    Args:
        width: of rows' vectors.
        space: of the vectors of words.
    """

    def __init__(self, width: int, space: int) -> None:
        super().__init__()
        self.row = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, ASKED))
        self.ask = nn.Sequential(nn.LayerNorm(space), nn.Linear(space, ASKED))
        self.number = nn.Linear(ASKED, 1)
        self.word = nn.Linear(ASKED, space)

    def forward(self, rows: Tensor, cells: dict[str, Tensor]) -> Tensor:
        """(B, D) and the batch as the encoder got it, words as vectors -> the mean loss of a cell."""
        asked = self.ask(cells["names"]) * self.row(rows)[:, None]
        numbers = cells["mask"] & (cells["kinds"] == NUMBER) & (cells["numbers"][..., 0] > 0)
        words = cells["mask"] & (cells["kinds"] == CATEGORY)
        loss = asked.sum() * 0.0
        if numbers.any():
            guess = self.number(asked[numbers])[:, 0].float()
            loss = loss + F.smooth_l1_loss(guess, cells["numbers"][..., 1][numbers].float())
        if words.any():
            guess = self.word(asked[words]).float()
            loss = loss + (1 - F.cosine_similarity(guess, cells["texts"][words].float())).mean()
        return loss
