"""A recording -> what can be known of it without hearing what or who speaks; many of them -> a table of that.

Level, silence, bandwidth, duration; native rate and coding of the file; and its hash, by which copies are found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ringtrue.audio import SAMPLE_RATE_HZ
from ringtrue.data.corpora.sound import audio_source
from ringtrue.data.trials import Trial
from ringtrue.errors import AudioError, CorpusError

_FRAME = 400  # samples, 25 ms
_HOP = 160  # samples, 10 ms
_FFT = 512  # points, 31.25 Hz apart
_SILENCE_DB = 40.0  # a frame so far below the loud ones is silence
_FLOOR_DB = -120.0  # digital silence, kept finite
_BAND_EDGES_HZ = (0, 300, 1000, 2000, 4000, 6000, 8000)
_ROLLOFF = 0.99  # share of energy below the effective bandwidth

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


@dataclass(frozen=True)
class Survey:
    """What can be known of many recordings without listening.

    Attributes:
        trials: Those that could be read.
        features: float64 ``(N, 15)``, one column for each of `FEATURE_NAMES`.
        rates_hz: Native sample rate of each, as text.
        codings: How each file is coded: ``flac``, ``pcm_16`` …
        digests: SHA-256 of each file.
        faults: One line for each that could not be read.
    """

    trials: tuple[Trial, ...]
    features: NDArray[np.float64]
    rates_hz: tuple[str, ...]
    codings: tuple[str, ...]
    digests: tuple[str, ...]
    faults: tuple[str, ...]


def survey(trials: Sequence[Trial], progress: Callable[[str], None] = lambda line: None) -> Survey:
    """Decode recordings and note what can be known of them without listening.

    Args:
        trials: Which.
        progress: Told a line now and then.

    Returns:
        The table.
    """
    from ringtrue.audio import load

    read, rows, faults = [], [], []
    for number, trial in enumerate(trials, 1):
        try:
            wave = load(audio_source(trial))
        except AudioError as error:
            faults.append(f"{trial.id}: {error}")
            continue
        read.append(trial)
        rows.append((content_blind_features(wave.samples), str(wave.native_rate_hz), wave.codec, wave.sha256))
        if number % 500 == 0:
            progress(f"surveyed {number} of {len(trials)} recordings, {len(faults)} unreadable")
    features, rates, codings, digests = zip(*rows, strict=True) if rows else ((), (), (), ())
    table = np.array(features).reshape(len(read), len(FEATURE_NAMES))
    return Survey(tuple(read), table, rates, codings, digests, tuple(faults))


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
