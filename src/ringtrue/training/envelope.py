"""Clips -> an `EnvelopeDetector`: for each ear a logistic regression under a ridge nearly as heavy as its data.

A few hundred clips of a dozen generators cannot teach a network what machines that nobody has heard will do; they can
teach the direction in which people and machines differ, if no single number is allowed to say much.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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

RIDGE = 0.3  # on the weights of statistics of unit variance, beside a mean loss of ln 2 at most
USUAL = 0.975
"""Share of people who have a folded statistic at its peak, or less of it."""

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


@dataclass(frozen=True)
class Lesson:
    """What an ear learns from.

    Attributes:
        statistics: `(N, D)` that `measure` gave, of clips and of changed copies of them.
        is_bonafide: `(N,)`, whether a person spoke.
        heard: Names of the statistics that it hears, of `EnvelopeDetector.places`.
        ridge: On the weights of the statistics.
        weights: `(N,)` at least 0, what each clip counts beside others of its label; None counts them alike.
        is_folded: Whether more than nearly all people have counts as less: so it is where machines have too little.
    """

    statistics: Array
    is_bonafide: NDArray[np.bool_]
    heard: tuple[str, ...] = ("spread",)
    ridge: float = RIDGE
    weights: Array | None = None
    is_folded: bool = True


def fit(*lessons: Lesson) -> EnvelopeDetector:
    """Fit a detector.

    Args:
        *lessons: One for each ear.

    Returns:
        The detector, in evaluation mode. The difference of an ear's logits counts standard deviations of the people of
        its lesson, from their mean: ears that learnt from different machines speak of the same people.

    Raises:
        CorpusError: A label is missing.
    """
    model = EnvelopeDetector(ears=len(lessons)).eval()
    weight, bias = np.zeros((len(lessons), model.num_features)), np.zeros(len(lessons))
    is_taken = np.zeros(model.num_features, bool)
    for ear, lesson in enumerate(lessons):
        heard = np.zeros(model.num_features, bool)
        for name in lesson.heard:
            heard[model.places[name]] = True
        assert not (heard & is_taken).any(), "a statistic is placed by one lesson, and heard by one ear"
        is_taken |= heard
        weight[ear, heard], bias[ear] = _teach(model, lesson, heard)
    pairs = np.stack([-weight, weight], axis=1).reshape(-1, model.num_features) / 2
    with torch.no_grad():
        model.head.weight.copy_(torch.from_numpy(pairs))
        model.head.bias.copy_(torch.from_numpy(np.stack([-bias, bias], axis=1).ravel() / 2))
    return model.requires_grad_(False)


def scores(model: EnvelopeDetector, statistics: ArrayLike) -> Array:
    """Score what was measured.

    Args:
        model: A detector.
        statistics: `(N, D)`.

    Returns:
        `(N,)`, higher = more likely bona fide: what its logits give for the same clips.
    """
    with torch.inference_mode():
        logits = (
            model.decide(model.place(torch.as_tensor(np.asarray(statistics, np.float32)))).double().numpy()
        )
    found: Array = logits[:, 1] - logits[:, 0]
    return found


def _teach(model: EnvelopeDetector, lesson: Lesson, heard: NDArray[np.bool_]) -> tuple[Array, float]:
    """Place what an ear hears; give its weights and its offset."""
    statistics, human = np.asarray(lesson.statistics, np.float64)[:, heard], lesson.is_bonafide
    if human.all() or not human.any():
        raise CorpusError(f"{human.sum()} bona fide among {human.size} clips; both labels are needed")
    heavy = np.ones(human.size) if lesson.weights is None else lesson.weights
    centre, scale = statistics.mean(axis=0), statistics.std(axis=0) + 1e-6
    placed = (statistics - centre) / scale
    with torch.no_grad():
        model.centre[heard], model.scale[heard] = (
            torch.from_numpy(centre).float(),
            torch.from_numpy(scale).float(),
        )
        if lesson.is_folded:
            peak = np.quantile(placed[human], USUAL, axis=0, weights=heavy[human], method="inverted_cdf")
            model.peak[heard] = torch.from_numpy(peak).float()
            placed = peak - np.abs(placed - peak)
    *row, offset = fit_logistic(
        placed[human],
        placed[~human],
        0.5,
        ridge=lesson.ridge,
        bonafide_weights=heavy[human],
        spoof_weights=heavy[~human],
    )
    people = placed[human] @ np.asarray(row) + offset
    usual = np.average(people, weights=heavy[human])
    spread = np.sqrt(np.average((people - usual) ** 2, weights=heavy[human])) + 1e-6
    return np.asarray(row) / spread, float((offset - usual) / spread)


def _batches(
    waves: Sequence[Samples], policy: Augment | None, rng: np.random.Generator | None
) -> Iterator[Samples]:
    for at in range(0, len(waves), _AT_ONCE):
        windows = [repeat_to(wave[:WINDOW], WINDOW) for wave in waves[at : at + _AT_ONCE]]
        if policy is not None:
            assert rng is not None, "changes are drawn from a generator"
            windows = [augment(window, rng, policy) for window in windows]
        yield np.stack(windows)
