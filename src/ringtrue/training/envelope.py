"""Clips -> an `EnvelopeDetector`, by two logistic regressions and a covariance.

A few hundred clips of a dozen generators cannot teach a network what machines that nobody has heard will do; they can
teach the direction in which people and machines differ. So the weights of the spreads are held close to each other by
a ridge nearly as heavy as the data, and only then is it learnt how much that one number says, and what is heard beside
it: the depth of the valleys, the distance from people.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ringtrue.data.augment import Augment, augment
from ringtrue.errors import CorpusError
from ringtrue.evaluation.logistic import fit_logistic
from ringtrue.models.envelope import EnvelopeDetector
from ringtrue.windows import WINDOW, repeat_to

Array = NDArray[np.float64]
Samples = NDArray[np.float32]

Beside = Literal["depth", "distance"]
"""What may be heard beside the spreads: how deep valleys are, and how far a clip is from where people lie."""

BESIDE: tuple[Beside, ...] = ("distance",)
RIDGE = 0.3  # on the weights of spreads of unit variance, beside a mean loss of ln 2 at most
_LIGHT = 1e-3  # on the two or three weights that are learnt then
_SHRUNK = 0.3  # of the covariance of people, towards a ball: a few hundred clips say little of 465 numbers
_AT_ONCE = 32  # clips that are measured together


def measure(
    waves: Sequence[Samples], policy: Augment | None = None, rng: np.random.Generator | None = None
) -> Array:
    """Measure the first window of clips.

    Args:
        waves: Each `(T,)` float32, 16 kHz, T > 0; a clip shorter than `WINDOW` is repeated.
        policy: What changes each clip first; None changes nothing.
        rng: Source of the changes; needed with a policy.

    Returns:
        `(N, D)`: what `EnvelopeDetector.statistics` gives.
    """
    model = EnvelopeDetector().eval()
    found = []
    with torch.inference_mode():
        for batch in _batches(waves, policy, rng):
            found.append(model.statistics(torch.from_numpy(batch)).double().numpy())
    return np.concatenate(found) if found else np.zeros((0, model.num_features - 1))


def fit(
    statistics: ArrayLike,
    is_bonafide: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    ridge: float = RIDGE,
    beside: Collection[Beside] = BESIDE,
) -> EnvelopeDetector:
    """Fit a detector.

    Args:
        statistics: `(N, D)` that `measure` gave, of clips and of changed copies of them.
        is_bonafide: `(N,)`, whether a person spoke.
        weights: `(N,)` above 0, what each clip counts beside others of its label; None counts them alike.
        ridge: On the weights of the spreads.
        beside: What is heard beside the spreads.

    Returns:
        The detector, in evaluation mode. The difference of its logits is a log-likelihood ratio on what it was fitted
        to, and elsewhere a score to be calibrated.

    Raises:
        CorpusError: A label is missing.
    """
    statistics, human = np.asarray(statistics, np.float64), np.asarray(is_bonafide, bool)
    if human.all() or not human.any():
        raise CorpusError(f"{human.sum()} bona fide among {human.size} clips; both labels are needed")
    heavy = np.ones(human.size) if weights is None else np.asarray(weights, np.float64)
    centre, scale = statistics.mean(axis=0), statistics.std(axis=0) + 1e-6
    spreads = (statistics[:, :-1] - centre[:-1]) / scale[:-1]
    people, whitening = _people(spreads[human], heavy[human])
    model = EnvelopeDetector(orders=spreads.shape[1]).eval()
    with torch.no_grad():
        for name, values in (
            ("centre", centre),
            ("scale", scale),
            ("people", people),
            ("whitening", whitening),
        ):
            getattr(model, name).copy_(torch.from_numpy(values))

    def regress(features: Array, strength: float) -> Array:
        return fit_logistic(
            features[human],
            features[~human],
            0.5,
            ridge=strength,
            bonafide_weights=heavy[human],
            spoof_weights=heavy[~human],
        )

    direction = regress(spreads, ridge)[:-1]
    direction = direction / ((spreads @ direction).std() + 1e-12)
    places = {"depth": -2, "distance": -1}
    heard = [places[name] for name in sorted(beside)]
    placed = _place(model, statistics)
    share, *levels, offset = regress(
        np.column_stack([spreads @ direction, *(placed[:, place] for place in heard)]), _LIGHT
    )
    row = np.zeros(model.num_features)
    row[:-2] = share * direction
    row[heard] = levels
    with torch.no_grad():
        model.head.weight.copy_(torch.from_numpy(np.stack([-row, row]) / 2))
        model.head.bias.copy_(torch.tensor([-offset, offset]) / 2)
    return model.requires_grad_(False)


def _people(spreads: Array, weights: Array) -> tuple[Array, Array]:
    """Describe where people lie: their mean, and the matrix that makes what is around it a ball."""
    middle = np.average(spreads, axis=0, weights=weights)
    covariance = np.cov(spreads.T, aweights=weights)
    orders = len(covariance)
    covariance = (1 - _SHRUNK) * covariance + _SHRUNK * np.eye(orders) * np.trace(covariance) / orders
    values, vectors = np.linalg.eigh(covariance)
    return middle, vectors / np.sqrt(values)


def _place(model: EnvelopeDetector, statistics: Array) -> Array:
    with torch.inference_mode():
        return model.place(torch.from_numpy(statistics).float()).double().numpy()


def scores(model: EnvelopeDetector, statistics: ArrayLike) -> Array:
    """Score what was measured.

    Args:
        model: A detector.
        statistics: `(N, D)`.

    Returns:
        `(N,)`, higher = more likely bona fide: what its logits give for the same clips.
    """
    weight, bias = model.head.weight.double().numpy(), model.head.bias.double().numpy()
    placed = _place(model, np.asarray(statistics, np.float64))
    return np.asarray(placed @ (weight[1] - weight[0]) + (bias[1] - bias[0]))


def _batches(
    waves: Sequence[Samples], policy: Augment | None, rng: np.random.Generator | None
) -> Iterator[Samples]:
    for at in range(0, len(waves), _AT_ONCE):
        windows = [repeat_to(wave[:WINDOW], WINDOW) for wave in waves[at : at + _AT_ONCE]]
        if policy is not None:
            assert rng is not None, "changes are drawn from a generator"
            windows = [augment(window, rng, policy) for window in windows]
        yield np.stack(windows)
