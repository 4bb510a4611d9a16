"""Closed-form few-shot classifiers and their exact leave-one-out scores, batched over E episodes.

Every method ends in one linear map, ``scores = prepare(x) @ weights.T + bias``, so that one `FewShot` holds any of
them. Supports are (E, K, S, D): E episodes, K classes, S shots padded to the longest class, with a mask (E, K, S).

- "centres": cosine to the class means of unit vectors (Snell et al. 2017, with the cosine of Wang et al. 2019).
- "centred": the mean of the class means is subtracted first ("CL2N" of SimpleShot, Wang et al. 2019).
- "power": sign(x) sqrt(abs(x)), then as "centred" (Hu, Gripon, Pateux 2021, PT-MAP).
- "ridge": class-balanced ridge regression on one-hot targets; the penalty is the one of least leave-one-out loss, by
  the hat matrix (Allen 1974), in the dual form where D exceeds the number of examples.
- "logistic": multinomial logistic regression (scikit-learn's optimum at C = 1) on features of unit variance; held-out
  scores by folds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from .fewshot_logistic import logistic_regression
from .fewshot_span import rotated

PENALTIES = torch.logspace(-4, 1, 11, dtype=torch.float64)  # of the features' total variance
ROWS = 400  # held-out examples that a centre method looks at; more change no choice and cost time
CHUNK = 4_000_000  # numbers in the largest temporary
FOLDS = 3
FOLD_TOLERANCE = 1e-3  # held-out scores only choose among methods
MARGIN = 0.1  # of the loss: what another method must gain over the favourite


class Solution(NamedTuple):
    """A fitted linear classifier for each of E episodes, and what it says of examples it did not see.

    Attributes:
        shift: (E, D), subtracted from prepared features.
        weights: (E, K, D).
        bias: (E, K).
        held_out: (E, K·S, K) scores of each support example by the classifier fitted without it.
        usable: (E, K·S) bool, where ``held_out`` means something: not padding, and not its class's only example.
    """

    shift: Tensor
    weights: Tensor
    bias: Tensor
    held_out: Tensor
    usable: Tensor


@dataclass(frozen=True)
class Method:
    """How features are prepared, how the classifier is solved, and its scores' temperature before any evidence."""

    solve: Callable[..., Solution]  # of examples, their mask, and how many numbers they had before they were turned
    temperature: float
    power: bool = False
    unit: bool = True

    def lift(self, features: Tensor) -> Tensor:
        """(..., D) -> (..., D) float64: the part of the preparation that depends on no support."""
        features = features.double()
        return features.abs().sqrt_().copysign_(features) if self.power else features

    def scores(self, features: Tensor, shift: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
        """(..., N, D) features, (..., D) shift, (..., K, D) weights, (..., K) bias -> (..., N, K)."""
        prepared = self.lift(features) - shift.double()[..., None, :]
        prepared = normalise(prepared) if self.unit else prepared
        return prepared @ weights.double().transpose(-1, -2) + bias.double()[..., None, :]


def normalise(features: Tensor) -> Tensor:
    """(..., D) -> unit vectors; a zero vector stays zero."""
    return features / features.norm(dim=-1, keepdim=True).clamp_min(1e-12)


def _class_means(features: Tensor, mask: Tensor) -> Tensor:
    return (features * mask[..., None]).sum(-2) / mask.sum(-1, keepdim=True).clamp_min(1)  # (E, K, D)


def _plain(features: Tensor, mask: Tensor, numbers: int | None = None) -> Solution:
    """Unit-norm class means of unit vectors; leaving an example out changes its own class's mean alone."""
    unit = normalise(features) * mask[..., None]
    sums = unit.sum(-2)  # (E, K, D)
    weights = normalise(sums)
    held_out = torch.einsum("eksd,ejd->eksj", unit, weights)
    own = (unit * normalise(sums[:, :, None] - unit)).sum(-1)  # (E, K, S)
    held_out.diagonal(dim1=1, dim2=3).copy_(own.transpose(1, 2))
    usable = mask & (mask.sum(-1, keepdim=True) > 1)
    shift = torch.zeros_like(sums[:, 0])
    return Solution(shift, weights, torch.zeros_like(weights[..., 0]), held_out.flatten(1, 2), usable.flatten(1))


def _centred(features: Tensor, mask: Tensor, numbers: int | None = None) -> Solution:
    """Unit-norm class means about their common mean; leaving an example out changes its class's mean and that one."""
    episodes, classes, shots, width = features.shape
    counts = mask.sum(-1)
    means = _class_means(features, mask)
    shift = means.mean(1)
    weights = normalise((normalise(features - shift[:, None, None]) * mask[..., None]).sum(-2))

    flat = features.reshape(episodes, classes * shots, width)
    kept = mask.any(0).reshape(-1).nonzero()[:, 0]
    if len(kept) > ROWS:
        kept = kept[torch.linspace(0, len(kept) - 1, ROWS).long()]
    held_out = features.new_zeros(episodes, classes * shots, classes)
    usable = torch.zeros(episodes, classes * shots, dtype=torch.bool)
    if bool((counts > 1).any()):
        own = kept // shots
        usable[:, kept] = mask.reshape(episodes, -1)[:, kept] & (counts[:, own] > 1)
        for rows in kept.split(max(1, CHUNK // (episodes * classes * width))):
            own, left = rows // shots, flat[:, rows]
            count = counts[:, own, None]
            # mean of class means without the row: only its own class's mean moves
            moved = shift[:, None] + (means[:, own] - left) / (count - 1).clamp_min(1) / classes
            weight = 1 / torch.cdist(moved, flat).clamp_min(1e-12)  # (E, M, K·S)
            weight = weight * mask.reshape(episodes, 1, -1)
            weight[:, torch.arange(len(rows)), rows] = 0
            weight = weight.reshape(episodes, len(rows), classes, shots)
            sums = torch.einsum("emks,eksd->emkd", weight, features) - weight.sum(-1)[..., None] * moved[:, :, None]
            cosine = torch.einsum("emkd,emd->emk", sums, normalise(left - moved))
            held_out[:, rows] = cosine / sums.norm(dim=-1).clamp_min(1e-12)
    return Solution(shift, weights, torch.zeros_like(weights[..., 0]), held_out, usable)


def ridge_path(rows: Tensor, targets: Tensor, weights: Tensor, penalties: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Weighted ridge regression with a free intercept for each penalty, and its exact leave-one-out predictions.

    Args:
        rows: (E, N, D) float64.
        targets: (E, N, K).
        weights: (E, N), non-negative; each episode's sum to 1. An example of weight 0 takes no part.
        penalties: (J,) in units of the weighted total variance.

    Returns:
        coefficients (J, E, K, D), intercepts (J, E, K), leave-one-out predictions (J, E, N, K). With H the hat matrix,
        the prediction without example i is y_i - (y_i - yhat_i) / (1 - H_ii).
    """
    centre = torch.einsum("en,end->ed", weights, rows)
    level = torch.einsum("en,enk->ek", weights, targets)
    root = weights.sqrt()[..., None]
    x, y = (rows - centre[:, None]) * root, (targets - level[:, None]) * root
    if x.shape[1] <= x.shape[2]:  # dual
        values, left = torch.linalg.eigh(x @ x.transpose(1, 2))
    else:
        values, right = torch.linalg.eigh(x.transpose(1, 2) @ x)
        left = x @ right / values.clamp_min(1e-300).sqrt()[:, None]
    real = values > values.amax(-1, keepdim=True) * 1e-12
    values, left = values * real, torch.where(real[:, None], left, 0.0)  # (E, R), (E, N, R)
    total = values.sum(-1, keepdim=True).clamp_min(1e-12)
    projected, basis = left.transpose(1, 2) @ y, left.transpose(1, 2) @ x  # (E, R, K), (E, R, D)
    coefficients, intercepts, predictions = [], [], []
    for penalty in penalties:
        shrunk = 1 / (values + penalty * total)
        fitted = left @ ((values * shrunk)[..., None] * projected)  # (E, N, K)
        leverage = (left.square() @ (values * shrunk)[..., None]) + weights[..., None]
        residual = (y - fitted) / root.clamp_min(1e-12) / (1 - leverage).clamp_min(1e-9)
        coefficient = (shrunk[..., None] * projected).transpose(1, 2) @ basis  # (E, K, D)
        coefficients.append(coefficient)
        intercepts.append(level - torch.einsum("ekd,ed->ek", coefficient, centre))
        predictions.append(targets - residual)
    return torch.stack(coefficients), torch.stack(intercepts), torch.stack(predictions)


def _ridge(features: Tensor, mask: Tensor, numbers: int | None = None) -> Solution:
    episodes, classes, shots, width = features.shape
    kept = mask.any(0).reshape(-1).nonzero()[:, 0]  # in one fit padding is dropped; episodes have none
    rows = normalise(features.reshape(episodes, -1, width)[:, kept])
    targets = torch.eye(classes, dtype=features.dtype)[kept // shots].expand(episodes, -1, -1)
    counts = mask.sum(-1)
    weights = mask.reshape(episodes, -1)[:, kept].double() / counts[:, kept // shots] / classes
    coefficients, intercepts, predictions = ridge_path(rows, targets, weights, PENALTIES)
    held_out = features.new_zeros(episodes, classes * shots, classes)
    usable = torch.zeros(episodes, classes * shots, dtype=torch.bool)
    usable[:, kept] = mask.reshape(episodes, -1)[:, kept] & (counts[:, kept // shots] > 1)
    losses = []
    for scores in predictions:
        held_out[:, kept] = scores
        losses.append(calibrate(held_out, usable, METHODS["ridge"].temperature).loss)
    best = torch.stack(losses).argmin(0)
    best = torch.where(usable.any(-1), best, len(PENALTIES) * 3 // 5)  # one shot: nothing can be left out
    pick = torch.arange(episodes)
    held_out[:, kept] = predictions[best, pick]
    shift = features.new_zeros(episodes, width)
    return Solution(shift, coefficients[best, pick], intercepts[best, pick], held_out, usable)


def _logistic(features: Tensor, mask: Tensor, numbers: int | None = None) -> Solution:
    episodes, classes, shots, width = features.shape
    shift = _class_means(features, mask).mean(1)
    centred = (features - shift[:, None, None]) * mask[..., None]
    scale = (centred.square().sum((1, 2, 3)) / mask.sum((1, 2)) / (numbers or width)).sqrt().clamp_min(1e-12)
    rows, axes = rotated((centred / scale[:, None, None, None]).flatten(1, 2))
    targets = torch.arange(classes).repeat_interleave(shots).expand(episodes, -1)

    def balanced(kept: Tensor) -> Tensor:
        """(E, K, S) of the examples that take part -> their weights, each class's of one sum."""
        counts = kept.sum(-1, keepdim=True)
        return (kept * counts.sum(1, keepdim=True) / counts.clamp_min(1) / classes).flatten(1)

    whole = logistic_regression(rows, targets, balanced(mask), classes)
    held_out = features.new_zeros(episodes, classes * shots, classes)
    usable = torch.zeros(episodes, classes * shots, dtype=torch.bool)
    folds = min(FOLDS, int(mask.sum(-1).min()))
    if folds > 1:  # an example's place in its class decides its fold
        fold = torch.arange(shots) % folds
        for number in range(folds):
            kept = balanced(mask & (fold != number))
            part = logistic_regression(rows, targets, kept, classes, tolerance=FOLD_TOLERANCE, start=whole)
            left = (mask & (fold == number)).flatten(1)
            scores = rows @ part.weights.transpose(1, 2) + part.bias[:, None]
            held_out = torch.where(left[..., None], scores, held_out)
        usable = mask.flatten(1)
    return Solution(shift, axes.back(whole.weights) / scale[:, None, None], whole.bias, held_out, usable)


class Calibration(NamedTuple):
    """Per episode (E,): temperature, penalised held-out loss per example (nats), held-out accuracy."""

    temperature: Tensor
    loss: Tensor
    accuracy: Tensor


def calibrate(held_out: Tensor, usable: Tensor, prior: float | Tensor) -> Calibration:
    """The temperature of least held-out negative log-likelihood (Guo et al. 2017), tied to a prior by one example's
    weight: a handful of separable examples would ask for certainty.

    Args:
        held_out: (E, K·S, K) scores, rows ordered by class.
        usable: (E, K·S) bool.
        prior: temperature where there is no evidence; (E,) where episodes differ in it.
    """
    classes = held_out.shape[-1]
    targets = (torch.arange(held_out.shape[1]) // (held_out.shape[1] // classes)).expand(held_out.shape[:2])[..., None]
    total = usable.sum(-1).clamp_min(1)
    right = (held_out.argmax(-1, keepdim=True) == targets)[..., 0] & usable
    best_loss = torch.full((len(held_out),), torch.inf, dtype=held_out.dtype)
    usual = torch.as_tensor(prior, dtype=held_out.dtype).expand(len(held_out))
    best = usual.clone()
    for step in torch.linspace(-3.0, 3.0, 25, dtype=torch.float64):
        temperature = usual * step.exp()
        loss = -(held_out / temperature[:, None, None]).log_softmax(-1).gather(-1, targets)[..., 0]
        loss = ((loss * usable).sum(-1) + 0.5 * step.square()) / total
        best, best_loss = torch.where(loss < best_loss, temperature, best), torch.minimum(loss, best_loss)
    return Calibration(best, best_loss, right.sum(-1) / total)


METHODS = {  # the first is the favourite of "auto"
    "ridge": Method(_ridge, temperature=0.2),
    "centred": Method(_centred, temperature=0.1),
    "power": Method(_centred, temperature=0.1, power=True),
    "centres": Method(_plain, temperature=0.05),
    "logistic": Method(_logistic, temperature=1.0, unit=False),
}


def candidates(counts: Sequence[int]) -> list[str]:
    """The methods that "auto" weighs for classes of so many examples."""
    if max(counts) < 2:
        return ["centred"]  # nothing can be held out
    return [name for name in METHODS if name != "logistic" or min(counts) >= 10]


def choose(calibrations: Sequence[Calibration]) -> Tensor:
    """(E,) index of the calibration of least held-out loss; the first one counts as the best within ``MARGIN``.

    Held-out losses of few examples are noisy: on made and on small public sets the favourite alone was better than the
    free choice at two to five shots, and the margin gives up nothing where another method is clearly better.
    """
    losses = torch.stack([calibration.loss for calibration in calibrations])
    return torch.cat([losses[:1] * (1 - MARGIN), losses[1:]]).argmin(0)
