"""Features of bona fide and spoof trials -> the weights of a logistic regression, each class weighted to a prior."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_RIDGE = 1e-4  # on weights of features of unit spread: leaves honest fits alone, bounds separable ones
_NEWTON_STEPS = 100
_STEP_TOLERANCE = 1e-10


def fit_logistic(
    bonafide: Array,
    spoof: Array,
    prior: float,
    *,
    ridge: float = _RIDGE,
    bonafide_weights: Array | None = None,
    spoof_weights: Array | None = None,
) -> Array:
    """Minimise the weighted logistic loss by damped Newton steps.

    Args:
        bonafide: ``(trials, D)`` features of unit spread around 0.
        spoof: The same of spoof trials.
        prior: Share of bona fide that the fit should care for, in (0, 1).
        ridge: Half of it times the squared weights is added to the mean loss.
        bonafide_weights: ``(trials,)`` above 0, what each counts beside others of its label; None counts them alike.
        spoof_weights: The same of spoof trials.

    Returns:
        ``(D + 1,)``: a weight for each feature, and the offset; together they give a log-likelihood ratio.
    """
    features = np.concatenate([bonafide, spoof])
    design = np.column_stack([features, np.ones(len(features))])
    is_bonafide = np.arange(len(design)) < len(bonafide)
    weights = np.concatenate(
        [
            prior * _shares(bonafide_weights, len(bonafide)),
            (1 - prior) * _shares(spoof_weights, len(spoof)),
        ]
    )
    prior_logit = math.log(prior / (1 - prior))
    penalty = np.diag([*[ridge] * features.shape[1], 0.0])

    def loss(parameters: Array) -> float:
        logits = design @ parameters + prior_logit
        losses = np.logaddexp(0.0, np.where(is_bonafide, -logits, logits))
        return float(weights @ losses + parameters @ penalty @ parameters / 2)

    parameters = np.zeros(design.shape[1])
    for _ in range(_NEWTON_STEPS):
        chances = 1 / (1 + np.exp(-np.clip(design @ parameters + prior_logit, -700, 700)))
        gradient = design.T @ (weights * (chances - is_bonafide)) + penalty @ parameters
        hessian = (design.T * (weights * chances * (1 - chances))) @ design + penalty
        step = np.linalg.solve(hessian + 1e-12 * np.eye(len(parameters)), gradient)
        scale = 1.0
        while loss(parameters - scale * step) > loss(parameters) and scale > 1e-10:
            scale /= 2
        parameters = parameters - scale * step
        if np.max(np.abs(scale * step)) < _STEP_TOLERANCE:
            break
    return parameters


def _shares(weights: Array | None, count: int) -> Array:
    return np.full(count, 1 / count) if weights is None else weights / weights.sum()
