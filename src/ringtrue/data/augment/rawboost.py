"""RawBoost: noises that a telephone line adds, drawn anew for each crop; no recordings of noise are needed.

Tak et al., "RawBoost: A raw data boosting and augmentation method applied to automatic speaker verification
anti-spoofing", ICASSP 2022, arXiv:2111.04433. Written from the paper; the defaults are its published ranges. Two things
differ from the released scripts: the filters' delay is removed to the sample, and the noise is our generator's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ringtrue.audio import SAMPLE_RATE_HZ
from ringtrue.data.augment.levels import fit, ratio
from ringtrue.errors import ConfigError

Samples = NDArray[np.float32]
_Wave = NDArray[np.float64]

_EDGE_HZ = 1e-3  # how near a notch may come to 0 Hz and to half the sample rate


@dataclass(frozen=True)
class RawBoost:
    """The ranges that are drawn from, evenly; the defaults are the paper's.

    Attributes:
        notches: Notches of each filter.
        centre_range_hz: Their centres.
        width_range_hz: Their widths.
        taps_range: Length of each notch's filter, the upper end left out; an even one is made one longer.
        gain_range_db: Gain of the linear part.
        bias_range_db: How far below that the higher orders lie.
        orders: Powers of the signal that are filtered and added; 1 is the linear part alone.
        most_impulses: Largest share of samples that impulses hit.
        impulse_gain: Their gain, relative to the sample that they hit.
        snr_range_db: Ratio of the signal to the stationary noise.
    """

    notches: int = 5
    centre_range_hz: tuple[float, float] = (20.0, 8_000.0)
    width_range_hz: tuple[float, float] = (100.0, 1_000.0)
    taps_range: tuple[int, int] = (10, 100)
    gain_range_db: tuple[float, float] = (0.0, 0.0)
    bias_range_db: tuple[float, float] = (5.0, 20.0)
    orders: int = 5
    most_impulses: float = 0.1
    impulse_gain: float = 2.0
    snr_range_db: tuple[float, float] = (10.0, 40.0)


ALGORITHMS = {
    0: "nothing",
    1: "convolutive noise",
    2: "impulsive noise",
    3: "stationary noise",
    4: "1, 2 and 3 in series",
    5: "1 and 2 in series",
    6: "1 and 3 in series",
    7: "2 and 3 in series",
    8: "1 and 2 in parallel",
}
"""By the numbers that the paper's scripts gave them; 5 was published for logical access, 3 for deepfakes."""

_SERIES = {0: (), 1: (1,), 2: (2,), 3: (3,), 4: (1, 2, 3), 5: (1, 2), 6: (1, 3), 7: (2, 3)}


def rawboost(
    samples: Samples, algorithm: int, rng: np.random.Generator, ranges: RawBoost | None = None
) -> Samples:
    """Boost a recording.

    Args:
        samples: ``(T,)`` float32, 16 kHz.
        algorithm: One of `ALGORITHMS`.
        rng: Source of every draw.
        ranges: What to draw from; None takes the paper's.

    Returns:
        ``(T,)`` float32, every sample in its place; lowered where it would pass 1.

    Raises:
        ConfigError: There is no such algorithm.
    """
    if algorithm not in ALGORITHMS:
        raise ConfigError(f"RawBoost algorithm {algorithm!r}; accepted: 0 to 8")
    if not len(samples):
        return samples.copy()
    ranges = ranges or RawBoost()
    wave = samples.astype(np.float64)
    if algorithm == 8:
        wave = _fitted(_convolutive(wave, rng, ranges) + _impulsive(wave, rng, ranges))
    for step in _SERIES.get(algorithm, ()):
        wave = (_convolutive, _impulsive, _stationary)[step - 1](wave, rng, ranges)
    return fit(np.asarray(wave, np.float32))


def _convolutive(wave: _Wave, rng: np.random.Generator, ranges: RawBoost) -> _Wave:
    """Linear and non-linear: each power of the signal through a filter of its own, the higher ones softer."""
    low_db, high_db = ranges.gain_range_db
    total, power = np.zeros_like(wave), np.ones_like(wave)
    for order in range(1, ranges.orders + 1):
        gain_db = rng.uniform(low_db, high_db)
        if order > 1:
            gain_db -= rng.uniform(*ranges.bias_range_db)
        power = power * wave
        total += _filtered(power, _notches(rng, ranges) * ratio(gain_db))
    return _fitted(total - total.mean())


def _impulsive(wave: _Wave, rng: np.random.Generator, ranges: RawBoost) -> _Wave:
    """Signal-dependent: some samples are moved by up to `impulse_gain` times themselves."""
    count = int(len(wave) * rng.uniform(0, ranges.most_impulses))
    places = rng.permutation(len(wave))[:count]
    hit = wave.copy()
    hit[places] *= 1 + ranges.impulse_gain * rng.uniform(-1, 1, count) * rng.uniform(-1, 1, count)
    return _fitted(hit)


def _stationary(wave: _Wave, rng: np.random.Generator, ranges: RawBoost) -> _Wave:
    """Signal-independent: white noise through a filter of notches."""
    noise = _filtered(rng.standard_normal(len(wave)), _notches(rng, ranges))
    energies = float(np.sum(noise**2)), float(np.sum(wave**2))
    if min(energies) == 0:
        return wave
    return wave + noise * np.sqrt(energies[1] / energies[0]) * ratio(-rng.uniform(*ranges.snr_range_db))


def _notches(rng: np.random.Generator, ranges: RawBoost) -> _Wave:
    """Draw a filter with notches, odd, symmetric, at most 0 dB anywhere."""
    taps = np.ones(1)
    for _ in range(ranges.notches):
        centre_hz, width_hz = rng.uniform(*ranges.centre_range_hz), rng.uniform(*ranges.width_range_hz)
        count = int(rng.integers(*ranges.taps_range)) | 1
        low_hz = max(centre_hz - width_hz / 2, _EDGE_HZ)
        high_hz = min(centre_hz + width_hz / 2, SAMPLE_RATE_HZ / 2 - _EDGE_HZ)
        taps = np.convolve(taps, _notch(count, low_hz, high_hz))
    return np.asarray(taps / np.abs(np.fft.rfft(taps, 1024)).max())


def _notch(count: int, low_hz: float, high_hz: float) -> _Wave:
    """Design a band-stop filter by the window method: `scipy.signal.firwin` without its checks, ten times as fast."""
    places = np.arange(count) - count // 2
    low, high = 2 * low_hz / SAMPLE_RATE_HZ, 2 * high_hz / SAMPLE_RATE_HZ
    ideal = (places == 0) + low * np.sinc(low * places) - high * np.sinc(high * places)
    taps = ideal * np.hamming(count)
    return np.asarray(taps / taps.sum())


def _filtered(wave: _Wave, taps: _Wave) -> _Wave:
    from scipy.signal import oaconvolve

    delay = len(taps) // 2
    return np.asarray(oaconvolve(wave, taps)[delay : delay + len(wave)])


def _fitted(wave: _Wave) -> _Wave:
    return wave / max(1.0, float(np.abs(wave).max()))
