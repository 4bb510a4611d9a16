"""Trees on the items' own numbers, beside a head: what cuts a table's columns at exact values.

Half of them are a random forest's (Breiman, Machine Learning 2001), which finds the columns that matter among many that
do not, half are extremely randomised (Geurts, Ernst, Wehenkel, Machine Learning 2006), which are steadier where all
columns matter a little. scikit-learn grows them once, before the first step; they do not learn with the rest. Their
mistakes are other ones than a network's. They are kept as plain tensors, so they travel in the adapter and answer on
any device.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


def grow(
    rows: Tensor, answers: Tensor, classes: int, count: int, seed: int, balanced: bool = False
) -> tuple[dict[str, int], dict[str, Tensor]]:
    """Trees for training items.

    Args:
        rows: (N, S) numbers without NaN.
        answers: (N,) class numbers, or numbers where ``classes`` is 0.
        classes: K, some of which may have no items; 0: of numbers.
        count: T.
        seed: of the cuts.
        balanced: does every class count the same, however many items it has?

    Returns:
        The sizes that ``Trees`` is built with, and its buffers.
    """
    from sklearn.ensemble import (
        ExtraTreesClassifier,
        ExtraTreesRegressor,
        RandomForestClassifier,
        RandomForestRegressor,
    )

    found: dict[str, list[np.ndarray]] = {name: [] for name in ("feature", "threshold", "left", "right", "value")}
    roots, depth = [], 0
    kinds: tuple[Any, ...] = (RandomForestRegressor, ExtraTreesRegressor)
    present, more = np.zeros(1, np.int64), {}
    if classes:
        kinds = (RandomForestClassifier, ExtraTreesClassifier)
        present, more = answers.unique().numpy(), {"class_weight": "balanced" if balanced else None}
    trees = [
        estimator.tree_
        for kind, size in zip(kinds, (count - count // 2, count // 2), strict=True)
        if size
        for estimator in kind(size, random_state=seed, **more).fit(rows.numpy(), answers.numpy()).estimators_
    ]
    all_leaves = sum(int(tree.n_leaves) for tree in trees)
    leaves, inner = 0, 0
    for tree in trees:
        # leaves of all trees are numbered first, from 0, then the nodes that ask, so a number tells what it is
        last = tree.children_left < 0
        number = np.where(last, leaves + np.cumsum(last) - 1, all_leaves + inner + np.cumsum(~last) - 1)
        asks = ~last
        found["feature"].append(tree.feature[asks])
        # numbers are compared in single precision: the largest one that is not above the double
        cut = tree.threshold[asks].astype(np.float32)
        found["threshold"].append(np.where(cut > tree.threshold[asks], np.nextafter(cut, np.float32(-np.inf)), cut))
        found["left"].append(number[tree.children_left[asks]])
        found["right"].append(number[tree.children_right[asks]])
        shares = np.zeros((int(last.sum()), max(classes, 1)), np.float32)
        shares[:, present] = tree.value[last, 0]
        found["value"].append(shares)
        roots.append(int(number[0]))
        depth = max(depth, int(tree.max_depth))
        leaves, inner = leaves + int(last.sum()), inner + int(asks.sum())
    whole = {"feature": torch.int32, "threshold": torch.float32, "left": torch.int32, "right": torch.int32}
    buffers = {name: torch.from_numpy(np.concatenate(found[name])).to(kind) for name, kind in whole.items()}
    # shares in steps of 1 / 255, which is finer than what so many trees can tell; numbers as they are
    value = torch.from_numpy(np.concatenate(found["value"]))
    buffers["value"] = (value * 255).round().to(torch.uint8) if classes else value
    buffers["roots"] = torch.tensor(roots, dtype=torch.int32)
    return {"count": count, "leaves": leaves, "inner": inner, "depth": depth}, buffers


class Trees(nn.Module):
    """(B, S) numbers -> (B, K) shares of the trees' votes, or (B, 1) numbers.

    Args:
        count: T.
        leaves, inner: nodes of all trees.
        depth: of the deepest.
        classes: K; 0: of numbers.
    """

    def __init__(self, *, count: int, leaves: int, inner: int, depth: int, classes: int) -> None:
        super().__init__()
        self.depth, self.classes = depth, classes
        for name, size, kind in (
            ("feature", (inner,), torch.int32), ("threshold", (inner,), torch.float32),
            ("left", (inner,), torch.int32), ("right", (inner,), torch.int32), ("roots", (count,), torch.int32),
            ("value", (leaves, max(classes, 1)), torch.uint8 if classes else torch.float32),
        ):  # fmt: skip
            self.register_buffer(name, torch.zeros(size, dtype=kind))

    @torch.no_grad()
    def forward(self, rows: Tensor) -> Tensor:
        """(B, S), without NaN -> (B, K)."""
        feature, threshold, left, right = self.feature, self.threshold, self.left, self.right
        leaves = len(self.value)  # type: ignore[arg-type]
        at = self.roots.expand(len(rows), -1)  # type: ignore[operator]
        for _ in range(self.depth):
            asks = (at - leaves).clamp(min=0).long()
            less = rows.gather(1, feature[asks].long()) <= threshold[asks]  # type: ignore[index]
            at = torch.where(at < leaves, at, torch.where(less, left[asks], right[asks]))  # type: ignore[index]
        found = self.value[at.long()].float().mean(1)  # type: ignore[index]
        return found / 255 if self.classes else found
