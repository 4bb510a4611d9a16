"""Examples in fewer numbers: cosines, distances and penalties in their span are those of all numbers.

What is solved there comes back through the examples themselves, so the axes of a span are never formed.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

NOTHING = 1e-12  # of the largest variance: what examples hold less of is noise
WIDER = 2  # so many times more numbers than examples, and their span is the cheaper place


class Axes(NamedTuple):
    """An orthonormal basis of E spans.

    Attributes:
        turn: (E, R, N): each axis as a mixture of the rows; None where ``rows`` are the axes.
        rows: (E, N, D).
    """

    turn: Tensor | None
    rows: Tensor

    def back(self, vectors: Tensor) -> Tensor:
        """(E, M, R) in the span -> (E, M, D)."""
        return (vectors if self.turn is None else vectors @ self.turn) @ self.rows


def rotated(rows: Tensor) -> tuple[Tensor, Axes]:
    """(E, N, D) -> (E, N, R) along the rows' principal axes: R = min(N, D) columns say all that D do.

    The penalty is blind to rotations, and along these axes the Hessian's diagonal says the most about it.
    """
    if rows.shape[1] < rows.shape[2]:
        size, left = torch.linalg.eigh(rows @ rows.transpose(1, 2))  # many times faster than the rows' own SVD
        real = size > size.amax(-1, keepdim=True) * NOTHING
        left, size = left * real[:, None], torch.where(real, size, 1.0).sqrt()
        return left * size[:, None], Axes((left / size[:, None]).transpose(1, 2), rows)
    axes = torch.linalg.eigh(rows.transpose(1, 2) @ rows)[1]
    return rows @ axes, Axes(None, axes.transpose(1, 2))


def spanned(support: Tensor, mask: Tensor) -> tuple[Tensor, Axes | None]:
    """Examples in their own span, where they are (E, K, S, R) with R ≤ K · S, and its axes.

    Only where features are far more than examples; else the examples as they came, and None. The Cholesky factor of
    their products is the cheapest such place; examples that (nearly) repeat one another have none and are rotated.

    Args:
        support: (E, K, S, D), padded to the longest class.
        mask: (E, K, S), True where there is an example.
    """
    _, classes, shots, width = support.shape
    if width < WIDER * classes * shots:
        return support, None
    rows = (support * mask[..., None]).flatten(1, 2)
    kept = mask.flatten(1).any(0)  # in one fit padding is left out; episodes have none
    some = rows[:, kept]
    factor, failed = torch.linalg.cholesky_ex(some @ some.transpose(1, 2))
    pivots = factor.diagonal(dim1=1, dim2=2).square()
    if bool(failed.any()) or bool((pivots.amin(-1) <= pivots.amax(-1) * NOTHING**0.5).any()):
        turned, axes = rotated(rows)
        return turned.unflatten(1, (classes, shots)), axes
    turned = rows.new_zeros(len(rows), classes * shots, some.shape[1])
    turned[:, kept] = factor
    eye = torch.eye(some.shape[1], dtype=rows.dtype).expand_as(factor)
    axes = Axes(torch.linalg.solve_triangular(factor, eye, upper=False), some)
    return turned.unflatten(1, (classes, shots)), axes
