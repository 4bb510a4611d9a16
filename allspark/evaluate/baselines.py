"""Which cheap features stand beside which modality, and what they reach on the same episodes as the model.

Each is a function (items) -> (N, D) that sees no label, D = 0 where it has nothing to say of them; a modality of
somebody else's adds its own rows to `BASELINES`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from .cheap_images import image_statistics, middle_spectrum, random_convolutions, raw_spectrum
from .cheap_shapes import geometry_statistics, graph_statistics, motion_statistics, spread_features
from .cheap_words import code_tfidf, raw_columns, text_tfidf
from .draw import Episodes
from .episodes import Result, score_episodes

Features = Callable[[Sequence[Any]], np.ndarray]

BASELINES: dict[str, dict[str, Features]] = {
    "rgb": {"image statistics": image_statistics, "random convolutional features": random_convolutions},
    "sar": {"image statistics": image_statistics, "random convolutional features": random_convolutions},
    "multispectral": {"image statistics": image_statistics, "raw spectrum": raw_spectrum},
    "hyperspectral": {
        "image statistics": image_statistics, "raw spectrum": raw_spectrum, "middle spectrum": middle_spectrum,
    },
    "point_cloud": {"geometry statistics": geometry_statistics},
    "trajectory": {"geometry statistics": motion_statistics},
    "graph": {"degree and neighbour statistics": graph_statistics, "features spread along links": spread_features},
    "table": {"raw columns": raw_columns},
    "language": {"TF-IDF": text_tfidf},
    "code": {"TF-IDF": code_tfidf},
}

CLASSIFIERS: dict[str, str] = {"nearest mean": "centred", "logistic regression": "logistic"}  # methods of `FewShot`


def cheap_features(items: Sequence[Any], modality: str) -> dict[str, np.ndarray]:
    """The cheap features of N items.

    Args:
        items: of one modality; or N mappings {modality: item}, whose first baselines are put side by side.
        modality: its name; not looked at where the items are mappings.

    Returns:
        Baseline name -> (N, D) float32; empty where the modality has none.

    Raises:
        ValueError: items of one call that do not belong together (other bands, other node features).
    """
    if items and all(isinstance(item, Mapping) for item in items):
        parts = sorted(set.intersection(*(set(item) for item in items)) & set(BASELINES))
        if not parts:
            return {}
        firsts = {part: next(iter(BASELINES[part].items())) for part in parts}
        name = " + ".join(f"{part} {title}" for part, (title, _) in firsts.items())
        return {name: np.concatenate([f([item[part] for item in items]) for part, (_, f) in firsts.items()], 1)}
    found = {name: compute(items) for name, compute in BASELINES.get(modality, {}).items()}
    return {name: values for name, values in found.items() if values.shape[1]}


def score_baselines(
    features: Mapping[str, np.ndarray], episodes: Episodes, *, transductive: bool = False
) -> dict[str, Result]:
    """Score cheap features by every classifier.

    Args:
        features: baseline name -> (N, D), of `cheap_features`.
        episodes: the same that the model is scored on.
        transductive: as in `score_episodes`.

    Returns:
        "baseline, classifier" -> result.
    """
    return {
        f"{name}, {title}": score_episodes(values, episodes, method=method, transductive=transductive)
        for name, values in features.items()
        for title, method in CLASSIFIERS.items()
    }
