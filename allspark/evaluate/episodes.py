"""Few-shot accuracy of features: the mean over episodes and its 95 % interval.

The episodes are drawn once (`draw.py`) and every set of features is scored on the same ones; many are solved at once.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..fewshot_choice import fit
from ..fewshot_methods import METHODS, candidates
from .draw import Episodes, draw_episodes
from .zeroshot import reliability

NUMBERS = 20_000_000  # support and query values of one batch of episodes: bounds memory


@dataclass(frozen=True, eq=False)
class Result:
    """Accuracy over episodes.

    Attributes:
        mean: of the episodes' accuracies, each the mean over its classes.
        interval: half-width of the 95 % interval, 1.96 · std / sqrt(episodes), std with n - 1.
        ways: classes per episode, as drawn.
        shots: support items per class.
        queries: query items per class at most.
        episodes: how many.
        method: of `FewShot`.
        seed: of the draw.
        accuracies: (E,).
        ece: expected calibration error of the best probabilities of all queries (15 bins).
        half: accuracy on the surer half of all queries.
        notes: what differs from what was asked, in sentences.
    """

    mean: float
    interval: float
    ways: int
    shots: int
    queries: int
    episodes: int
    method: str
    seed: int
    accuracies: np.ndarray
    ece: float = math.nan
    half: float = math.nan
    notes: tuple[str, ...] = ()

    @property
    def chance(self) -> float:
        """1 / ways."""
        return 1 / self.ways

    def __str__(self) -> str:
        return f"{100 * self.mean:.1f} ± {100 * self.interval:.1f}"


def interval_95(values: np.ndarray) -> float:
    """1.96 · std / sqrt(n), std with n - 1; 0 for a single value."""
    values = np.asarray(values, dtype=np.float64)
    return float(1.96 * values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else 0.0


def score_episodes(
    features: Tensor | np.ndarray,
    episodes: Episodes,
    *,
    method: str = "auto",
    text: Tensor | None = None,
    transductive: bool = False,
) -> Result:
    """Score features on drawn episodes.

    Args:
        features: (N, D), in the order of the labels that the episodes were drawn of.
        episodes: of `draw_episodes`.
        method: as in `FewShot.fit`; "auto" decides for each episode by its support alone.
        text: (K, D) text vectors of ``episodes.labels``, mixed in as `FewShot.fit` does.
        transductive: as in `FewShot.predict`, over each episode's queries.

    Raises:
        ValueError: an unknown method, features of another shape, or NaN and infinity among them.
    """
    table = torch.as_tensor(features).detach().to("cpu", torch.float32)
    if table.ndim != 2 or len(table) <= int(episodes.query.max()) or len(table) <= int(episodes.support.max()):
        raise ValueError(f"features have shape {tuple(table.shape)}; wanted (N, D) of the items that were drawn from")
    bad = int((~table.isfinite()).any(-1).sum())
    if bad:
        raise ValueError(f"{bad} of {len(table)} feature vectors hold NaN or infinity; drop these items first")
    if method != "auto" and method not in METHODS:
        raise ValueError(f"method is {method!r}; wanted auto, {', '.join(METHODS)}")
    tried = [method] if method != "auto" else candidates([episodes.shots])
    each = episodes.ways * (episodes.shots + episodes.query.shape[2]) * table.shape[1]
    step = max(1, NUMBERS // each)
    parts = [_judge(table, episodes[i : i + step], tried, text, transductive) for i in range(0, len(episodes), step)]
    values = np.concatenate([part[0] for part in parts])
    confidence, right = (np.concatenate([part[i] for part in parts]) for i in (1, 2))
    return Result(
        mean=float(values.mean()),
        interval=interval_95(values),
        ways=episodes.ways,
        shots=episodes.shots,
        queries=episodes.query.shape[2],
        episodes=len(episodes),
        method=method,
        seed=episodes.seed,
        accuracies=values,
        ece=reliability(confidence, right),
        half=float(right[confidence >= np.median(confidence)].mean()),
        notes=episodes.notes,
    )


def _judge(
    table: Tensor, episodes: Episodes, tried: Sequence[str], text: Tensor | None, transductive: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(E,) accuracies, each the mean over classes; the best probability of every query, and whether it was right."""
    support = table[torch.from_numpy(episodes.support)]  # (E, K, S, D)
    mask = torch.ones(support.shape[:3], dtype=torch.bool)
    asked = torch.from_numpy(episodes.query).flatten(1)  # (E, K·Q)
    real = (asked >= 0).reshape(episodes.query.shape)
    names = None if text is None else text[torch.from_numpy(episodes.classes)]  # (E, K, D)
    fitted = fit(support, mask, tried, names)
    queries = table[asked.clamp_min(0)]
    found = fitted.probabilities(queries)
    if transductive:
        found = fitted.examples.refined(queries, found, asked >= 0)
    sure, guess = found.max(-1)
    right = (guess.reshape(real.shape) == torch.arange(real.shape[1])[:, None]) & real
    accuracies = (right.sum(-1) / real.sum(-1)).mean(-1).double().numpy()
    return accuracies, sure.reshape(real.shape)[real].numpy(), right[real].numpy()


def run_episodes(
    features: Tensor | np.ndarray,
    labels: Sequence[str],
    groups: Sequence[Hashable] | None = None,
    *,
    ways: int,
    shots: int,
    queries: int = 15,
    episodes: int = 600,
    seed: int = 0,
    method: str = "auto",
) -> Result:
    """Draw episodes and score features on them: `draw_episodes`, then `score_episodes`.

    Example:
        >>> features = torch.eye(2).repeat_interleave(20, 0)
        >>> run_episodes(features, ["a"] * 20 + ["b"] * 20, ways=2, shots=1, episodes=10, method="centres").mean
        1.0
    """
    drawn = draw_episodes(labels, groups, ways=ways, shots=shots, queries=queries, episodes=episodes, seed=seed)
    return score_episodes(features, drawn, method=method)
