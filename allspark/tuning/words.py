"""Words that a frozen language model reads are read once, not at every step.

Names of columns and categories reach a table's encoder as vectors of the language model. Where that is frozen, a
vector never changes, and a table has few different words, so they are kept.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..model import AllSparkModel


class FrozenWords:
    """The vectors of words by a language model that does not learn.

    Every text goes through alone, so that its vector does not depend on what it was first seen with: a resumed run
    sees the same bits as the uninterrupted one.

    Args:
        model: whose ``text_vectors`` are kept.
    """

    def __init__(self, model: AllSparkModel) -> None:
        self.model = model
        self.known: dict[tuple[int, ...], Tensor] = {}

    @torch.no_grad()
    def _vector(self, ids: Tensor) -> Tensor:
        """(L,) ids of a text without padding -> (H,)."""
        key = tuple(ids.tolist())
        if key not in self.known:
            ids = ids[None].to(self.model.device)
            self.known[key] = self.model.text_vectors(ids, torch.ones_like(ids))[0].cpu()
        return self.known[key]

    def fill(self, inputs: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """A collated batch's inputs with (B, M, H) vectors in place of words; zero where a row has fewer of them."""
        return {name: {key: self._filled(value) for key, value in given.items()} for name, given in inputs.items()}

    def _filled(self, value: Any) -> Any:
        if not isinstance(value, dict) or "index" not in value:
            return value
        index = value["index"]
        found = [self._vector(i[m.bool()]) for i, m in zip(value["input_ids"], value["attention_mask"], strict=True)]
        return torch.stack(found)[index.clamp_min(0)] * (index >= 0)[..., None]
