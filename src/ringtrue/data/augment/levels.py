"""A wave -> the same at another level: gain, clipping, a limiter, the steps of a coder; and what levels are made of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ringtrue.audio import SAMPLE_RATE_HZ

Samples = NDArray[np.float32]


def set_level(samples: Samples, level_db: float) -> Samples:
    """Scale to a level; never clips.

    Args:
        samples: ``(T,)`` float32, 16 kHz.
        level_db: Wanted RMS in dB relative to full scale.

    Returns:
        ``(T,)`` float32 at that level, or lower where its peak would pass 1; silence stays silence.

    >>> round(float(set_level(np.array([0.1, -0.1], np.float32), -6.0206)[0]), 4)
    0.5
    """
    now = rms(samples)
    return samples.copy() if now == 0 else fit(samples * np.float32(ratio(level_db) / now))


def clip(samples: Samples, gain_db: float) -> Samples:
    """Cut the peaks off, as an input that is driven too hard does.

    Args:
        samples: ``(T,)`` float32, 16 kHz.
        gain_db: How far the peak would pass full scale, > 0; so many dB of it are lost.

    Returns:
        ``(T,)`` float32 with its old peak, its peaks flat; silence stays silence.

    >>> clip(np.array([0.5, -0.125], np.float32), 6.0206).round(2).tolist()
    [0.5, -0.25]
    """
    peak = np.float32(np.abs(samples).max(initial=0.0))
    return np.asarray(np.clip(samples * np.float32(ratio(gain_db)), -peak, peak), np.float32)


def limit(samples: Samples, threshold_db: float, window_s: float = 0.005) -> Samples:
    """Hold peaks down to a threshold with a gain that moves smoothly, as broadcast and telephone limiters do.

    Args:
        samples: ``(T,)`` float32, 16 kHz.
        threshold_db: Level that no sample passes afterwards, in dB relative to full scale.
        window_s: How far ahead and back the gain looks.

    Returns:
        ``(T,)`` float32; what lies below the threshold, and no peak near it, is left alone.
    """
    from scipy.ndimage import minimum_filter1d, uniform_filter1d

    if not len(samples):
        return samples.copy()
    width = 2 * round(window_s * SAMPLE_RATE_HZ / 2) + 1
    wanted = np.minimum(1, ratio(threshold_db) / np.maximum(np.abs(samples.astype(np.float64)), 1e-9))
    # The mean over windows of least gains is never more than the gain that the sample in their middle needs.
    gain = uniform_filter1d(minimum_filter1d(wanted, width, mode="nearest"), width, mode="nearest")
    return np.asarray(samples * gain, np.float32)


def quantise(samples: Samples, bits: int) -> Samples:
    """Round to the steps of a companded telephone codec, at 16 kHz: coding noise that follows the level.

    Args:
        samples: ``(T,)`` float32, 16 kHz.
        bits: Bits per sample, 2 to 16; 8 is what mu-law has.

    Returns:
        ``(T,)`` float32.
    """
    steps, mu = np.float32(2 ** (bits - 1) - 1), np.float32(255)
    companded = np.log1p(mu * np.abs(samples)) / np.log1p(mu)
    expanded = np.expm1(np.round(companded * steps) / steps * np.log1p(mu)) / mu
    return np.asarray(np.copysign(np.minimum(expanded, np.float32(1)), samples), np.float32)


def rms(samples: Samples) -> float:
    """Give the root mean square, 0 for nothing."""
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if len(samples) else 0.0


def ratio(level_db: float) -> float:
    """Turn dB into an amplitude."""
    return float(10 ** (level_db / 20))


def fit(samples: Samples) -> Samples:
    """Lower the whole so that its peak is at most 1: a clipped peak would be a cue, a lower level is none."""
    peak = float(np.abs(samples).max(initial=0.0))
    return np.asarray(samples / np.float32(peak) if peak > 1 else samples, np.float32)
