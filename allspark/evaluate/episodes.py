"""Few-shot accuracy of features: the mean over episodes and its 95 % interval.

The episodes are drawn once (`draw.py`) and every set of features is scored on the same ones. Closed-form methods are
solved for many episodes at once; logistic regression goes episode by episode.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..fewshot_methods import METHODS, calibrate, candidates, choose
from .draw import Episodes, draw_episodes

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


def score_episodes(features: Tensor | np.ndarray, episodes: Episodes, *, method: str = "auto") -> Result:
    """Score features on drawn episodes.

    Args:
        features: (N, D), in the order of the labels that the episodes were drawn of.
        episodes: of `draw_episodes`.
        method: as in `FewShot.fit`; "auto" decides for each episode by its support alone.

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
    # Logistic regression is weighed by folds, which are made for one fit at a time.
    each = episodes.ways * (episodes.shots + episodes.query.shape[2]) * table.shape[1]
    step = 1 if "logistic" in tried else max(1, NUMBERS // each)
    parts = [_accuracies(table, episodes[i : i + step], tried) for i in range(0, len(episodes), step)]
    values = np.concatenate(parts)
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
        notes=episodes.notes,
    )


def _accuracies(table: Tensor, episodes: Episodes, tried: Sequence[str]) -> np.ndarray:
    """(E,) accuracies, each the mean over classes."""
    support = table[torch.from_numpy(episodes.support)]  # (E, K, S, D)
    mask = torch.ones(support.shape[:3], dtype=torch.bool)
    asked = torch.from_numpy(episodes.query).flatten(1)  # (E, K·Q)
    query, real = table[asked.clamp_min(0)], (asked >= 0).reshape(episodes.query.shape)
    calibrations, guesses = [], []
    for name in tried:
        method = METHODS[name]
        solution = method.solve(method.lift(support), mask)
        if len(tried) > 1:
            calibrations.append(calibrate(solution.held_out, solution.usable, method.temperature))
        guesses.append(method.scores(query, solution.shift, solution.weights, solution.bias).argmax(-1))
    best = choose(calibrations) if calibrations else torch.zeros(len(episodes), dtype=torch.long)
    guess = torch.stack(guesses)[best, torch.arange(len(episodes))].reshape(real.shape)
    right = (guess == torch.arange(real.shape[1])[:, None]) & real
    return (right.sum(-1) / real.sum(-1)).mean(-1).double().numpy()


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
