"""What a classifier says of one input, and which class names it takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from .inputs import Bad
from .running import Kind


@dataclass(frozen=True)
class Prediction:
    """One answer.

    Attributes:
        label: the best label; "" where the input could not be read.
        scores: label -> probability.
        inputs_used: the modalities that were read.
        abstained: the best score was below ``abstain_below``, or the input could not be read.
        error: why the input could not be read, else None.
    """

    label: str
    scores: dict[str, float] = field(default_factory=dict)
    inputs_used: tuple[str, ...] = ()
    abstained: bool = False
    error: str | None = None


def prediction_of(kind: Kind, names: Sequence[str], scores: Tensor | None, abstain_below: float | None) -> Prediction:
    """Scores over the names -> a Prediction; of a bad input one that has abstained."""
    if isinstance(kind, Bad) or scores is None:
        return Prediction("", abstained=True, error=str(kind))
    best = int(scores.argmax())
    return Prediction(
        names[best],
        {name: float(score) for name, score in zip(names, scores)},
        kind,
        abstained=abstain_below is not None and float(scores[best]) < abstain_below,
    )


def check_labels(labels: Sequence[str]) -> list[str]:
    """At least two different, non-empty names; ValueError says what came."""
    if isinstance(labels, str):
        raise ValueError(f"labels is one string, {labels!r}; wanted a list of at least two names")
    names = list(labels)
    if len(names) < 2 or len(set(names)) != len(names) or not all(isinstance(n, str) and n.strip() for n in names):
        raise ValueError(f"labels are {names}; wanted at least two different names, none empty")
    return names
