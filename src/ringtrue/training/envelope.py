"""Clips -> an `EnvelopeDetector`: a logistic regression under a ridge nearly as heavy as its data.

A few hundred clips of a dozen generators cannot teach a network what machines that nobody has heard will do; they can
teach the direction in which people and machines differ, if no single number is allowed to say much.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

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

RIDGE = 0.3  # on the weights of spreads of unit variance, beside a mean loss of ln 2 at most
USUAL = 0.975
"""Share of people whose spread of an order is the peak of what counts for them, or less."""

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
    return np.concatenate(found) if found else np.zeros((0, model.num_features))


def fit(
    statistics: ArrayLike,
    is_bonafide: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    ridge: float = RIDGE,
) -> EnvelopeDetector:
    """Fit a detector.

    Args:
        statistics: `(N, D)` that `measure` gave, of clips and of changed copies of them.
        is_bonafide: `(N,)`, whether a person spoke.
        weights: `(N,)` above 0, what each clip counts beside others of its label; None counts them alike.
        ridge: On the weights of the spreads.

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
    spreads = (statistics - centre) / scale
    peak = np.quantile(spreads[human], USUAL, axis=0, weights=heavy[human], method="inverted_cdf")
    model = EnvelopeDetector(orders=spreads.shape[1]).eval()
    with torch.no_grad():
        model.centre.copy_(torch.from_numpy(centre))
        model.scale.copy_(torch.from_numpy(scale))
        model.peak.copy_(torch.from_numpy(peak))
    spreads = _placed(model, statistics)
    *row, offset = fit_logistic(
        spreads[human],
        spreads[~human],
        0.5,
        ridge=ridge,
        bonafide_weights=heavy[human],
        spoof_weights=heavy[~human],
    )
    with torch.no_grad():
        model.head.weight.copy_(torch.tensor([[-weight for weight in row], row]) / 2)
        model.head.bias.copy_(torch.tensor([-offset, offset]) / 2)
    return model.requires_grad_(False)


def scores(model: EnvelopeDetector, statistics: ArrayLike) -> Array:
    """Score what was measured.

    Args:
        model: A detector.
        statistics: `(N, D)`.

    Returns:
        `(N,)`, higher = more likely bona fide: what its logits give for the same clips.
    """
    weight, bias = model.head.weight.double().numpy(), model.head.bias.double().numpy()
    placed = _placed(model, np.asarray(statistics, np.float64))
    return np.asarray(placed @ (weight[1] - weight[0]) + (bias[1] - bias[0]))


def _placed(model: EnvelopeDetector, statistics: Array) -> Array:
    with torch.inference_mode():
        placed: Array = model.place(torch.from_numpy(statistics).float()).double().numpy()
    return placed


def _batches(
    waves: Sequence[Samples], policy: Augment | None, rng: np.random.Generator | None
) -> Iterator[Samples]:
    for at in range(0, len(waves), _AT_ONCE):
        windows = [repeat_to(wave[:WINDOW], WINDOW) for wave in waves[at : at + _AT_ONCE]]
        if policy is not None:
            assert rng is not None, "changes are drawn from a generator"
            windows = [augment(window, rng, policy) for window in windows]
        yield np.stack(windows)
