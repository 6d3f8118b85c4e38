"""Trials and their sound -> could this set be solved without listening to the speech?

A corpus whose human half is louder, shorter, band-limited or padded with silence lets a detector score well
and learn nothing. The *content-blind floor* is what a classifier reaches that sees such surface properties
only; a detector's figure means something to the degree that it beats the floor on the same trials.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ringtrue.audio import SAMPLE_RATE_HZ
from ringtrue.data.trials import Trial
from ringtrue.errors import CorpusError, require

CONFOUNDED_EER = 0.35
"""Where a content-blind classifier falls below this EER, the corpus can be gamed and says little."""

_FRAME = 400  # samples, 25 ms
_HOP = 160  # samples, 10 ms
_FFT = 512  # points, 31.25 Hz apart
_SILENCE_DB = 40.0  # a frame so far below the loud ones is silence
_FLOOR_DB = -120.0  # digital silence, kept finite
_BAND_EDGES_HZ = (0, 300, 1000, 2000, 4000, 6000, 8000)
_ROLLOFF = 0.99  # share of energy below the effective bandwidth
_TREES = 300

FEATURE_NAMES = (
    "duration_s",
    "level_db",
    "peak_db",
    "crest_db",
    "leading_silence_s",
    "trailing_silence_s",
    "silence_share",
    "noise_floor_db",
    "bandwidth_hz",
    *(f"band_{low}_{high}_hz_db" for low, high in pairwise(_BAND_EDGES_HZ)),
)

Samples = NDArray[np.float32]


def content_blind_features(samples: Samples) -> NDArray[np.float64]:
    """Measure what can be known of a recording without hearing what or who speaks.

    Args:
        samples: A wave, float32 ``(T,)``, 16 kHz, [-1, 1]; T >= 1.

    Returns:
        float64 ``(15,)``, one value for each of `FEATURE_NAMES`, all finite, for silence too.

    Raises:
        CorpusError: There are no samples.
    """
    if samples.ndim != 1 or samples.size == 0:
        raise CorpusError(f"samples of shape {samples.shape}; a non-empty mono wave is accepted")
    wave = samples.astype(np.float64)
    padded = np.pad(wave, (0, max(0, _FRAME - wave.size)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FRAME)[::_HOP]
    frame_db = _db(np.mean(frames**2, axis=1))
    is_speech = frame_db > max(np.quantile(frame_db, 0.95) - _SILENCE_DB, _FLOOR_DB)
    heard = np.flatnonzero(is_speech)
    first, last = (heard[0], heard[-1]) if heard.size else (len(frames), -1)
    level_db, peak_db = float(_db(np.mean(wave**2))), float(_db(np.max(wave**2)))
    bandwidth_hz, band_db = _spectrum(frames)
    return np.array(
        [
            wave.size / SAMPLE_RATE_HZ,
            level_db,
            peak_db,
            peak_db - level_db,
            first * _HOP / SAMPLE_RATE_HZ,
            (len(frames) - 1 - last) * _HOP / SAMPLE_RATE_HZ,
            1 - np.mean(is_speech),
            np.quantile(frame_db, 0.1),
            bandwidth_hz,
            *band_db,
        ]
    )


def _spectrum(frames: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """Average the power spectrum over a recording; give its effective bandwidth and its bands."""
    power = np.mean(np.abs(np.fft.rfft(frames * np.hanning(_FRAME), _FFT, axis=1)) ** 2, axis=0)
    frequencies_hz = np.fft.rfftfreq(_FFT, 1 / SAMPLE_RATE_HZ)
    total = float(power.sum())
    if total == 0:
        return 0.0, np.full(len(_BAND_EDGES_HZ) - 1, _FLOOR_DB)
    bandwidth_hz = float(frequencies_hz[np.searchsorted(np.cumsum(power), _ROLLOFF * total)])
    starts = np.searchsorted(frequencies_hz, _BAND_EDGES_HZ[:-1])
    return bandwidth_hz, _db(np.add.reduceat(power, starts) / total)


def _db(power: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(10 * np.log10(np.maximum(power, 10 ** (_FLOOR_DB / 10))))


def measure(
    trials: Sequence[Trial],
    load: Callable[[Trial], Samples],
    progress: Callable[[str], None] = lambda line: None,
) -> NDArray[np.float64]:
    """Compute the content-blind features of many trials.

    Args:
        trials: What to measure.
        load: Gives a trial's wave, float32 ``(T,)`` at 16 kHz.
        progress: Told a line now and then.

    Returns:
        float64 ``(trials, 15)``.
    """
    features = np.empty((len(trials), len(FEATURE_NAMES)))
    for row, trial in enumerate(trials):
        features[row] = content_blind_features(load(trial))
        if (row + 1) % 500 == 0 or row + 1 == len(trials):
            progress(f"content-blind features: {row + 1} of {len(trials)} trials")
    return features


def content_blind_floor(
    train: Sequence[Trial],
    train_features: NDArray[np.float64],
    eval_features: NDArray[np.float64],
    seed: int = 0,
) -> NDArray[np.float64]:
    """Score trials by their surface alone: a random forest trained on the same training split as the models.

    Args:
        train: Training trials, both classes.
        train_features: Their `measure`.
        eval_features: `measure` of the trials to score.
        seed: Seed of the forest; the same seed gives the same scores.

    Returns:
        One score for each row of `eval_features`: log-odds of bona fide. Give them to `eer` like a model's.

    Raises:
        CorpusError: The training trials are of one class only, or rows and trials differ in number.
        MissingExtraError: scikit-learn is not installed.
    """
    is_bonafide = np.array([trial.is_bonafide for trial in train])
    if len(train_features) != is_bonafide.size or is_bonafide.all() or not is_bonafide.any():
        raise CorpusError(
            f"{is_bonafide.sum()} bona fide among {is_bonafide.size} training trials, {len(train_features)} "
            "rows of features; both classes and one row a trial are needed"
        )
    ensemble = require("sklearn.ensemble", "train")
    forest = ensemble.RandomForestClassifier(
        _TREES, min_samples_leaf=2, class_weight="balanced", random_state=seed % 2**32, n_jobs=1
    ).fit(train_features, is_bonafide)
    chance = forest.predict_proba(eval_features)[:, 1]
    votes = chance * _TREES
    return np.asarray(np.log((votes + 0.5) / (_TREES - votes + 0.5)), dtype=np.float64)  # finite for 0 votes


def floor_verdict(floor_eer: float) -> str:
    """Say in one line what a floor means.

    Args:
        floor_eer: EER of the content-blind scores, a fraction.

    Returns:
        A sentence.

    >>> floor_verdict(0.46)
    'content-blind floor 46.0 % EER: surface properties alone hardly tell the classes apart'
    """
    meaning = "surface properties alone hardly tell the classes apart"
    if floor_eer < CONFOUNDED_EER:
        meaning = (
            "CONFOUNDED, much of this set can be solved without listening; trust only what beats the floor"
        )
    elif floor_eer > 1 - CONFOUNDED_EER:
        meaning = (
            "surface properties point the other way than in training; the two sides were made differently"
        )
    return f"content-blind floor {100 * floor_eer:.1f} % EER: {meaning}"


def cramers_v(labels: Sequence[str], column: Sequence[str]) -> float:
    """Measure how strongly a property is tied to the label: a confound table in one number.

    Trials whose property is unknown (an empty string) are left out. A property with very many values, such
    as the speaker, comes out near 1 by itself in small sets.

    Args:
        labels: One label a trial.
        column: The property of each trial, such as its language.

    Returns:
        Cramér's V: 0 where the property tells nothing (or takes one value), 1 where it tells the label.

    >>> cramers_v(["bonafide", "bonafide", "spoof", "spoof"], ["en", "de", "en", "de"])
    0.0
    >>> cramers_v(["bonafide", "bonafide", "spoof", "spoof"], ["en", "en", "de", "de"])
    1.0
    """
    known = [(label, value) for label, value in zip(labels, column, strict=True) if value]
    if not known:
        return 0.0
    rows, columns = (np.unique(side, return_inverse=True)[1] for side in zip(*known, strict=True))
    shape = int(rows.max()) + 1, int(columns.max()) + 1
    if min(shape) == 1:
        return 0.0
    counts = np.bincount(rows * shape[1] + columns, minlength=shape[0] * shape[1]).reshape(shape)
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / counts.sum()
    chi_squared = float(np.sum((counts - expected) ** 2 / expected))
    return float(np.sqrt(chi_squared / (counts.sum() * (min(shape) - 1))))
