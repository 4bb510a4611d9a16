"""Linear probe: logistic regression on frozen features, its penalty chosen inside the training part alone.

The optimum is that of scikit-learn's multinomial ``LogisticRegression``, to a tolerance; see `fewshot_logistic`.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..fewshot_logistic import logistic_regression
from ..fewshot_span import rotated

STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0)  # scikit-learn's C: the inverse of the penalty
FOLDS = 5
TOLERANCE = 5e-3  # of the loss's largest gradient entry, for a training part of one item


@dataclass(frozen=True, eq=False)
class Probe:
    """What a linear classifier reaches on the test part.

    Attributes:
        accuracy: share of right answers.
        interval: half-width of its 95 % interval, 1.96 · sqrt(p (1 - p) / N).
        balanced: mean recall over the classes of the test part.
        macro_f1: mean over the same classes.
        strength: the C that was chosen.
        classes: K of the training part.
        notes: what differs from what was asked, in sentences.
    """

    accuracy: float
    interval: float
    balanced: float
    macro_f1: float
    strength: float
    classes: int
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{100 * self.accuracy:.1f} ± {100 * self.interval:.1f}"


def linear_probe(
    train: Any,
    train_labels: Sequence[str],
    test: Any,
    test_labels: Sequence[str],
    *,
    groups: Sequence[Hashable] | None = None,
    strengths: Sequence[float] = STRENGTHS,
    seed: int = 0,
) -> Probe:
    """Fit on the training part, choose C there by cross-validation that keeps groups whole, judge on the test part.

    Args:
        train: (N, D) features, tensor or array; standardised by their own mean and spread.
        train_labels: N class names.
        test: (M, D) features.
        test_labels: M class names.
        groups: N groups of the training items; None where every item is its own.
        strengths: the values of C to choose from.
        seed: of the folds.

    Raises:
        ValueError: shapes that do not fit, values that are not finite, or fewer than two classes.
    """
    from sklearn.metrics import f1_score
    from sklearn.model_selection import StratifiedGroupKFold

    x, y = _part(train, train_labels, "train")
    u, v = _part(test, test_labels, "test")
    if x.shape[1] != u.shape[1]:
        raise ValueError(f"train has width {x.shape[1]} and test {u.shape[1]}; wanted features of one kind")
    classes = np.unique(y)
    if len(classes) < 2:
        raise ValueError(f"the training part has {len(classes)} class; wanted at least two")
    keys = list(range(len(y))) if groups is None else list(groups)
    if len(keys) != len(y):
        raise ValueError(f"{len(keys)} groups came for {len(y)} training items; give one for each")
    number = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    group = np.array([number[key] for key in keys])

    notes: list[str] = []
    targets = np.searchsorted(classes, y)
    folds = min(FOLDS, min(len(np.unique(group[y == name])) for name in classes))
    held = np.zeros((0, len(y)), bool)  # a row per fold: who is left out
    if folds < 2:
        strengths = (1.0,)
        notes.append("C = 1 was not chosen: a class has a single group, so no fold can be held out.")
    else:
        split = StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(x, y, group)
        held = np.stack([np.isin(np.arange(len(y)), part) for _, part in split])
    mean, spread = x.mean(0), x.std(0)
    spread[spread == 0] = 1
    path, whole = _path((x - mean) / spread, targets, held, sorted(strengths), len(classes))
    best = int(np.argmax([hits for hits, _ in path]))  # of equals the stronger penalty
    strength = float(sorted(strengths)[best])
    if not whole:
        notes.append("Some fits stopped short of the tolerance.")
    weights, bias = path[best][1]
    guess = classes[((u - mean) / spread @ weights.T + bias).argmax(1)]
    right = guess == v
    accuracy = float(right.mean())
    present = np.unique(v)
    return Probe(
        accuracy=accuracy,
        interval=1.96 * math.sqrt(accuracy * (1 - accuracy) / len(v)),
        balanced=float(np.mean([right[v == name].mean() for name in present])),
        macro_f1=float(f1_score(v, guess, labels=present, average="macro", zero_division=0)),
        strength=strength,
        classes=len(classes),
        notes=tuple(notes),
    )


def _path(
    x: np.ndarray, targets: np.ndarray, held: np.ndarray, strengths: Sequence[float], classes: int
) -> tuple[list[tuple[int, tuple[np.ndarray, np.ndarray]]], bool]:
    """For each C: how many held-out items are right, and (weights, bias) of a fit to all; and whether all converged.

    The folds and the fit to all are solved at once, each C from where the one before ended.
    """
    narrow, axes = rotated(torch.from_numpy(x)[None])
    rows = narrow.float().expand(len(held) + 1, -1, -1)
    kept = torch.from_numpy(np.concatenate([~held, np.ones((1, len(x)), bool)])).float()
    wanted = torch.from_numpy(targets).expand(len(rows), -1)
    found, start, whole = [], None, True
    tolerance = TOLERANCE * math.sqrt(len(x))
    for strength in strengths:
        start = logistic_regression(rows, wanted, kept, classes, strength=strength, tolerance=tolerance, start=start)
        whole = whole and bool((start.gradient <= tolerance).all())
        guess = (rows @ start.weights.transpose(1, 2) + start.bias[:, None]).argmax(-1)
        hits = int(((guess == wanted) & (kept == 0)).sum())
        found.append((hits, (axes.back(start.weights[-1:].double())[0].numpy(), start.bias[-1].double().numpy())))
    return found, whole


def _part(features: Any, labels: Sequence[str], name: str) -> tuple[np.ndarray, np.ndarray]:
    array = np.asarray(features, dtype=np.float64)
    if array.ndim != 2 or len(array) != len(labels) or not len(labels):
        raise ValueError(f"{name} has shape {array.shape} for {len(labels)} labels; wanted (N, D) and N labels")
    bad = int((~np.isfinite(array)).any(1).sum())
    if bad:
        raise ValueError(f"{bad} of {len(array)} {name} features hold NaN or infinity; drop these items first")
    return array, np.array([str(label) for label in labels])
