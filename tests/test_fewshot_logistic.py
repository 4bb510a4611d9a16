"""Batched logistic regression against scikit-learn's optimum."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from allspark.fewshot_logistic import logistic_regression
from allspark.fewshot_methods import METHODS
from allspark.fewshot_span import rotated


def made(episodes, classes, counts, width, apart, seed=0):
    generator = torch.Generator().manual_seed(seed)
    targets = torch.cat([torch.full((n,), k) for k, n in zip(range(classes), counts)])
    centres = apart * torch.randn(episodes, classes, width, generator=generator, dtype=torch.float64)
    rows = centres[:, targets] + torch.randn(episodes, len(targets), width, generator=generator, dtype=torch.float64)
    return rows, targets.expand(episodes, -1)


@pytest.mark.parametrize(
    ("classes", "counts", "width", "apart", "strength"),
    [
        (5, (1, 1, 1, 1, 1), 40, 1.0, 1.0),
        (5, (5, 5, 5, 5, 5), 40, 0.2, 1.0),  # fewer rows than columns
        (3, (30, 4, 12), 6, 0.5, 10.0),  # more, and classes of other sizes
        (2, (9, 3), 20, 0.3, 1.0),  # scikit-learn solves two classes in one row
        (4, (8, 8, 8, 8), 3, 0.0, 0.01),
    ],
)
@pytest.mark.parametrize("balanced", [False, True])
def test_the_optimum_is_scikit_learns(classes, counts, width, apart, strength, balanced):
    rows, targets = made(3, classes, counts, width, apart)
    sizes = torch.tensor(counts, dtype=torch.float64)
    weights = (sum(counts) / classes / sizes)[targets] if balanced else torch.ones(targets.shape, dtype=torch.float64)
    narrow, axes = rotated(rows)
    found = logistic_regression(narrow, targets, weights, classes, strength=strength, tolerance=1e-7)
    assert float(found.gradient.max()) < 1e-7
    solved = axes.back(found.weights)
    for e in range(3):
        model = LogisticRegression(
            C=strength, tol=1e-9, max_iter=10_000, class_weight="balanced" if balanced else None
        ).fit(rows[e].numpy(), targets[e].numpy())
        expected = model.predict_proba(rows[e].numpy())
        scores = rows[e] @ solved[e].T + found.bias[e]
        np.testing.assert_allclose(scores.softmax(-1).numpy(), expected, atol=2e-5)


def test_an_example_of_weight_0_takes_no_part_and_a_start_changes_nothing():
    rows, targets = made(2, 3, (4, 4, 4), 10, 0.5)
    weights = torch.ones(2, 12, dtype=torch.float64)
    weights[:, ::4] = 0
    kept = weights[0] > 0
    alone = logistic_regression(rows[:, kept], targets[:, kept], weights[:, kept], 3, tolerance=1e-8)
    whole = logistic_regression(rows, targets, torch.ones_like(weights), 3)
    for start in (None, whole):
        found = logistic_regression(rows, targets, weights, 3, tolerance=1e-8, start=start)
        torch.testing.assert_close(found.weights, alone.weights, atol=1e-6, rtol=0)
        torch.testing.assert_close(found.bias, alone.bias, atol=1e-6, rtol=0)


def test_held_out_scores_are_those_of_the_other_folds():
    rows, _ = made(2, 3, (4, 4, 4), 8, 0.7)
    features, mask = rows.reshape(2, 3, 4, 8), torch.ones(2, 3, 4, dtype=torch.bool)
    record = METHODS["logistic"]
    solution = record.solve(features, mask)
    assert solution.usable.all()
    # the first fold holds shots 0 and 3; the pool's shift and scale stay those of the whole support
    shift = features.mean((1, 2))
    centred = features - shift[:, None, None]
    scale = centred.square().mean((1, 2, 3)).sqrt()
    for e in range(2):
        scaled = (centred[e] / scale[e])[:, 1:3].reshape(-1, 8)
        model = LogisticRegression(tol=1e-9, max_iter=10_000).fit(scaled.numpy(), np.repeat(np.arange(3), 2))
        left = (centred[e] / scale[e])[:, [0, 3]].reshape(-1, 8)
        held = solution.held_out[e].reshape(3, 4, 3)[:, [0, 3]].reshape(-1, 3)
        np.testing.assert_allclose(held.softmax(-1).numpy(), model.predict_proba(left.numpy()), atol=1e-3)
