"""Multinomial logistic regression of many episodes at once, by Newton's method; the optimum is scikit-learn's.

The loss is convex and smooth, so each episode's Newton step comes from conjugate gradients on the Hessian, which is
never formed (truncated Newton: Nocedal & Wright, Numerical Optimization, 2nd ed., section 7.1), preconditioned by its
diagonal, and is halved until the loss falls enough.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

NEWTON_STEPS = 50
CONJUGATE_STEPS = 60
HALVINGS = 12
TOLERANCE = 1e-4  # of the largest gradient entry, as scikit-learn's ``tol``
SUFFICIENT = 1e-4  # Armijo's constant


class Logistic(NamedTuple):
    """Solutions of E episodes.

    Attributes:
        weights: (E, K, D).
        bias: (E, K), of mean zero.
        gradient: (E,) the largest gradient entry that remains.
    """

    weights: Tensor
    bias: Tensor
    gradient: Tensor


def logistic_regression(
    rows: Tensor,
    targets: Tensor,
    weights: Tensor,
    classes: int,
    *,
    strength: float = 1.0,
    tolerance: float = TOLERANCE,
    start: Logistic | None = None,
) -> Logistic:
    """Minimise sum_i w_i · cross-entropy_i + |W|² / (2 · strength), the intercepts free, for each episode.

    With two classes the penalty is twice that: it is then scikit-learn's, which solves for the difference of the two
    rows of W alone.

    Args:
        rows: (E, N, D), float64, or float32 where a coarser tolerance will do.
        targets: (E, N) class numbers.
        weights: (E, N), non-negative; 0 leaves an example out. scikit-learn's "balanced" is N / (K · count).
        classes: K.
        strength: scikit-learn's C.
        tolerance: of the largest gradient entry.
        start: solutions of nearly the same problems.
    """
    episodes, _, width = rows.shape
    penalty = torch.full((width + 1, 1), (2.0 if classes == 2 else 1.0) / strength, dtype=rows.dtype)
    penalty[-1] = 0  # the intercept is free
    x = torch.cat([rows, rows.new_ones(*rows.shape[:2], 1)], -1)  # (E, N, D + 1)
    wanted = torch.nn.functional.one_hot(targets, classes).to(rows.dtype)
    w = weights[..., None].to(rows.dtype)
    transposed = x.transpose(1, 2)

    def losses(solution: Tensor) -> Tensor:
        named = (x @ solution).log_softmax(-1)
        return -(w * wanted * named).sum((1, 2)) + 0.5 * (penalty * solution.square()).sum((1, 2))

    solution = rows.new_zeros(episodes, width + 1, classes)
    if start is not None:
        solution = torch.cat([start.weights.transpose(1, 2), start.bias[:, None]], 1)
    value, gradient = losses(solution), solution
    for _ in range(NEWTON_STEPS):
        shares = (x @ solution).softmax(-1)  # (E, N, K)
        gradient = transposed @ (w * (shares - wanted)) + penalty * solution
        open_ = gradient.abs().amax((1, 2)) > tolerance
        if not bool(open_.any()):
            break
        step = _newton_step(x, transposed, w, shares, penalty, gradient) * open_[:, None, None]
        slope = (gradient * step).sum((1, 2))
        size = torch.ones_like(value)
        for _ in range(HALVINGS):
            moved = losses(solution + size[:, None, None] * step)
            good = moved <= value + SUFFICIENT * size * slope + 10 * torch.finfo(rows.dtype).eps * value.abs()
            if bool(good.all()):
                break
            size = torch.where(good, size, size / 2)
        solution = solution + (size * good)[:, None, None] * step
        value = torch.where(good, moved, value)
    bias = solution[:, -1] - solution[:, -1].mean(-1, keepdim=True)
    return Logistic(solution[:, :-1].transpose(1, 2), bias, gradient.abs().amax((1, 2)))


def _newton_step(x: Tensor, transposed: Tensor, w: Tensor, shares: Tensor, penalty: Tensor, gradient: Tensor) -> Tensor:
    """The step that (nearly) solves Hessian · step = - gradient: (E, D + 1, K) of each."""
    curvature = transposed.square() @ (w * shares * (1 - shares)) + penalty
    inverse = 1 / curvature.clamp_min(1e-10)

    def hessian(direction: Tensor) -> Tensor:
        moved = x @ direction  # (E, N, K)
        moved = shares * (moved - (shares * moved).sum(-1, keepdim=True))
        return transposed @ (w * moved) + penalty * direction

    norm = gradient.square().sum((1, 2)).sqrt()
    # Far from the optimum a rough step is as good; near it the steps must become exact for quadratic convergence.
    enough = norm * norm.clamp(max=1).sqrt().clamp(max=0.1)
    step, residual = torch.zeros_like(gradient), -gradient
    scaled = inverse * residual
    direction, product = scaled, (residual * scaled).sum((1, 2))
    for _ in range(CONJUGATE_STEPS):
        going = residual.square().sum((1, 2)).sqrt() > enough
        if not bool(going.any()):
            break
        image = hessian(direction)
        bend = (direction * image).sum((1, 2))
        length = torch.where(going & (bend > 0), product / bend.clamp_min(torch.finfo(bend.dtype).tiny), 0.0)[
            :, None, None
        ]
        step = step + length * direction
        residual = residual - length * image
        scaled = inverse * residual
        after = (residual * scaled).sum((1, 2))
        direction = scaled + (after / product.clamp_min(torch.finfo(bend.dtype).tiny))[:, None, None] * direction
        product = after
    return step
