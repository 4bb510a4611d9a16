"""Scores of classes: by likeness to names, by the likelihood of their words, and by labelled examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .fewshot import FewShot
from .inputs import Bad
from .predictions import check_labels
from .running import Kind
from .vectors import levels_of

if TYPE_CHECKING:
    from .api import AllSpark

Scores = tuple[list[str], list[Kind], list[Any]]  # labels, the kind of every input, (K,) probabilities or None of each


def by_similarity(spark: AllSpark, inputs: Any, names: list[str], modality: str | None) -> Scores:
    """Cosines to the names' text vectors, sharpened by the modality's temperature."""
    text = spark.text(names).float()
    kinds, features = spark._features(inputs, modality, "language")
    return names, kinds, [(text @ row / spark.temperature(kind)).softmax(-1) for kind, row in zip(kinds, features)]


def by_likelihood(spark: AllSpark, inputs: Any, names: list[str], modality: str | None) -> Scores:
    """Mean log-probability of each label's words after the item, softmaxed over the labels."""

    def run(samples: list[dict[str, Any]]) -> Tensor:
        columns = []
        for name in names:
            batch = spark._batch(samples, answers=[name] * len(samples))
            labels = batch.pop("labels")
            columns.append(spark.model.word_log_probabilities(spark.model(**batch), labels))
        return torch.stack(columns, dim=1).softmax(-1)

    return names, *spark._run(inputs, modality, run)


def by_examples(spark: AllSpark, inputs: Any, few: FewShot, modality: str | None, transductive: bool) -> Scores:
    """What a few-shot classifier says of each input."""
    kinds, features = spark._features(inputs, modality, few.at)
    good = [i for i, kind in enumerate(kinds) if not isinstance(kind, Bad)]
    rows: list[Any] = [None] * len(kinds)
    for i, row in zip(good, few.predict(features[good].cpu(), transductive=transductive)):
        rows[i] = row
    return list(few.labels), kinds, rows


def learn(
    spark: AllSpark, examples: Mapping[str, Any], modality: str | None, method: str, at: str, names: bool
) -> FewShot:
    """A few-shot classifier of labelled examples; see ``AllSpark.few_shot``."""
    levels = levels_of(at)
    labels = check_labels(list(examples))
    if names and "language" not in levels:
        raise ValueError(f'names=True compares items with words at the language level; at is {at!r}, add "+language"')
    rows, owners, kinds = [], [], set()
    for name in labels:
        found, features = spark._features(examples[name], modality, at)
        good = [i for i, kind in enumerate(found) if not isinstance(kind, Bad)]
        rows.append(features[good])
        owners += [name] * len(good)
        kinds |= {found[i] for i in good}
    table = torch.cat(rows).cpu()
    return FewShot.fit(
        table,
        owners,
        method=method,
        at=at,
        modality="+".join(next(iter(kinds))) if len(kinds) == 1 else None,  # type: ignore[arg-type]
        text=beside(spark.text(labels).float().cpu(), levels, table.shape[1]) if names else None,
        classes=labels,
    )


def beside(text: Tensor, levels: Sequence[str], width: int) -> Tensor:
    """(K, H) text vectors where the language level stands among ``width`` numbers of several levels: (K, width)."""
    whole = text.new_zeros(len(text), width)
    start = 0 if levels[0] == "language" else width - text.shape[1]
    if start > 0 and levels[-1] != "language":
        raise ValueError(f'at is {"+".join(levels)!r}; wanted "language" first or last where names are mixed in')
    whole[:, start : start + text.shape[1]] = text
    return whole
