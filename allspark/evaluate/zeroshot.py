"""Zero-shot accuracy: features against the text vectors of the class names, no labelled example used."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

BINS = 15


@dataclass(frozen=True, eq=False)
class ZeroShot:
    """What similarities to K class names reach on N items.

    Attributes:
        accuracy: share of right answers.
        interval: half-width of its 95 % interval, 1.96 · sqrt(p (1 - p) / N).
        per_class: class -> recall; classes without items are not in it.
        balanced: mean of ``per_class``.
        macro_f1: mean over the classes that have items of 2 · tp / (2 · tp + fp + fn).
        ece: expected calibration error in 15 bins of equal width (Guo et al. 2017).
        confusion: (K, K) counts, rows the truth.
        classes: K.
        items: N.
    """

    accuracy: float
    interval: float
    per_class: dict[str, float]
    balanced: float
    macro_f1: float
    ece: float
    confusion: np.ndarray
    classes: int
    items: int

    @property
    def chance(self) -> float:
        """1 / K."""
        return 1 / self.classes

    def __str__(self) -> str:
        return f"{100 * self.accuracy:.1f} ± {100 * self.interval:.1f}"


def calibration_error(probabilities: np.ndarray, targets: np.ndarray, bins: int = BINS) -> float:
    """Expected calibration error: the mean gap of confidence and accuracy over bins of confidence, by their counts.

    Args:
        probabilities: (N, K).
        targets: (N,) class numbers.
        bins: of equal width in [0, 1].
    """
    return reliability(probabilities.max(1), probabilities.argmax(1) == targets, bins)


def reliability(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> float:
    """`calibration_error` of (N,) confidences and whether each answer was right."""
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    gaps = np.bincount(place, weights=right.astype(np.float64) - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(right))


def zero_shot_of(
    similarities: Tensor | np.ndarray, targets: Sequence[str], names: Sequence[str], *, temperature: float = 0.05
) -> ZeroShot:
    """Judge similarities that are there already.

    Args:
        similarities: (N, K), greater is nearer.
        targets: N class names.
        names: the K class names in the columns' order.
        temperature: divides similarities before the softmax; touches ``ece`` alone.

    Raises:
        ValueError: shapes that do not fit, values that are not finite, or a target that is not among the names.
    """
    scores = torch.as_tensor(similarities).detach().to("cpu", torch.float64)
    if scores.shape != (len(targets), len(names)) or not len(targets):
        raise ValueError(
            f"similarities have shape {tuple(scores.shape)}; wanted ({len(targets)}, {len(names)}), items by classes"
        )
    bad = int((~scores.isfinite()).any(-1).sum())
    if bad:
        raise ValueError(f"{bad} of {len(scores)} items have NaN or infinite similarities; drop these items first")
    column = {name: k for k, name in enumerate(names)}
    unknown = sorted({target for target in targets if target not in column})
    if unknown:
        raise ValueError(f"targets {', '.join(unknown)} are not among the {len(names)} names; give their names as well")
    truth = np.array([column[target] for target in targets])
    guess = scores.argmax(-1).numpy()
    confusion = np.zeros((len(names), len(names)), np.int64)
    np.add.at(confusion, (truth, guess), 1)
    hits, present = confusion.diagonal(), confusion.sum(1)
    there = present > 0
    f1 = 2 * hits / np.maximum(present + confusion.sum(0), 1)
    recall = hits / np.maximum(present, 1)
    accuracy = float(hits.sum() / len(truth))
    return ZeroShot(
        accuracy=accuracy,
        interval=1.96 * math.sqrt(accuracy * (1 - accuracy) / len(truth)),
        per_class={name: float(recall[k]) for name, k in column.items() if there[k]},
        balanced=float(recall[there].mean()),
        macro_f1=float(f1[there].mean()),
        ece=calibration_error((scores / temperature).softmax(-1).numpy(), truth),
        confusion=confusion,
        classes=len(names),
        items=len(truth),
    )


def zero_shot(
    features: Tensor, text: Tensor, targets: Sequence[str], names: Sequence[str], *, temperature: float = 0.05
) -> ZeroShot:
    """Judge features by their cosine to text vectors.

    Args:
        features: (N, H).
        text: (K, H), one vector for each name.
        targets: N class names.
        names: K class names.
        temperature: divides cosines before the softmax; touches ``ece`` alone.

    Raises:
        ValueError: as `zero_shot_of`, and for widths that differ.

    Example:
        >>> text = torch.eye(2)
        >>> zero_shot(text, text, ["sea", "land"], ["sea", "land"]).accuracy
        1.0
    """
    left, right = (torch.as_tensor(part).detach().to("cpu", torch.float64) for part in (features, text))
    if left.ndim != 2 or right.ndim != 2 or left.shape[1] != right.shape[1]:
        raise ValueError(
            f"features have shape {tuple(left.shape)} and text {tuple(right.shape)}; wanted (N, H) and (K, H)"
        )
    cosine = torch.nn.functional.normalize(left, dim=-1) @ torch.nn.functional.normalize(right, dim=-1).T
    return zero_shot_of(cosine, targets, names, temperature=temperature)
