"""A wave -> the same with less of its band: filters, resampling and back, and the masks of SpecAugment."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ringtrue.audio import SAMPLE_RATE_HZ
from ringtrue.data.augment.levels import fit
from ringtrue.errors import ConfigError

Samples = NDArray[np.float32]

_TRANSITION_HZ = 100.0  # from pass to stop, centred on the band's edge
_STOP_DB = 80.0


def band_limit(samples: Samples, low_hz: float, high_hz: float) -> Samples:
    """Keep one band, with a linear-phase filter whose delay is removed.

    Args:
        samples: ``(T,)`` float32, 16 kHz.
        low_hz: Lower edge (-6 dB); 0 keeps everything below.
        high_hz: Upper edge (-6 dB); 8000 keeps everything above.

    Returns:
        ``(T,)`` float32, at least 70 dB down from 50 Hz outside the band; lowered where it would pass 1.

    Raises:
        ConfigError: The edges are no band of at least 100 Hz within 0 to 8000, or `low_hz` lies within
            0 to 50 without being 0, where no filter of this steepness fits.
    """
    from scipy.signal import oaconvolve

    filtered = oaconvolve(samples, _band_filter(float(low_hz), float(high_hz)), mode="full")
    start = (len(filtered) - len(samples)) // 2
    return fit(filtered[start : start + len(samples)])


@lru_cache(maxsize=64)
def _band_filter(low_hz: float, high_hz: float) -> Samples:
    """Design a linear-phase filter of odd length, ``(L,)`` float32."""
    from scipy.signal import firwin, kaiser_beta, kaiserord

    nyquist_hz, margin_hz = SAMPLE_RATE_HZ / 2, _TRANSITION_HZ / 2
    if not (
        (low_hz == 0 or low_hz >= margin_hz)
        and low_hz + _TRANSITION_HZ <= high_hz
        and (high_hz == nyquist_hz or high_hz <= nyquist_hz - margin_hz)
    ):
        raise ConfigError(
            f"a band from {low_hz} to {high_hz} Hz; accepted: 0 or {margin_hz:g} Hz and more, up to "
            f"{nyquist_hz - margin_hz:g} or {nyquist_hz:g} Hz, at least {_TRANSITION_HZ:g} Hz wide"
        )
    count, _ = kaiserord(_STOP_DB, _TRANSITION_HZ / nyquist_hz)
    count |= 1
    edges_hz = [edge for edge in (low_hz, high_hz) if 0 < edge < nyquist_hz]
    if not edges_hz:
        taps = np.zeros(count)
        taps[count // 2] = 1.0
    else:
        taps = firwin(
            count,
            edges_hz,
            window=("kaiser", kaiser_beta(_STOP_DB)),
            pass_zero=low_hz == 0,
            fs=SAMPLE_RATE_HZ,
        )
    return np.asarray(taps, np.float32)


QUALITIES = ("HQ", "MQ", "LQ", "QQ")
"""Of soxr, best first: others' resamplers differ by over 100 dB near the edge of the band."""


def resample_round_trip(samples: Samples, rate_hz: int, quality: str = "HQ") -> Samples:
    """Resample to another rate and back, as synthesisers, tools and archives do on the way.

    Args:
        samples: ``(T,)`` float32, 16 kHz.
        rate_hz: The rate between, 4000 to 48000.
        quality: One of `QUALITIES`.

    Returns:
        ``(T,)`` float32 in step with the input; lowered where it would pass 1.

    Raises:
        ConfigError: There is no such rate or quality.
    """
    import soxr

    if quality not in QUALITIES or not 4_000 <= rate_hz <= 48_000:
        raise ConfigError(f"{rate_hz} Hz, {quality!r}; accepted: 4000 to 48000 Hz, {', '.join(QUALITIES)}")
    there = soxr.resample(samples, SAMPLE_RATE_HZ, rate_hz, quality=quality)
    back = soxr.resample(there, rate_hz, SAMPLE_RATE_HZ, quality=quality) if len(there) else there
    result = np.zeros_like(samples)
    result[: len(back)] = back[: len(samples)]
    return fit(result)


def mask_band(samples: Samples, low_hz: float, high_hz: float) -> Samples:
    """Take a band out with smooth edges: SpecAugment's frequency mask, on the wave.

    Park et al., "SpecAugment", Interspeech 2019, arXiv:1904.08779. Its time warp is left out: it moves samples.

    Args:
        samples: ``(T,)`` float32, 16 kHz.
        low_hz: Lower edge.
        high_hz: Upper edge; nothing happens where it is not above the lower.

    Returns:
        ``(T,)`` float32, zero phase; lowered where it would pass 1.
    """
    from scipy.fft import irfft, next_fast_len, rfft, rfftfreq

    if high_hz <= low_hz or not len(samples):
        return samples.copy()
    size = next_fast_len(len(samples) + SAMPLE_RATE_HZ // 20, real=True)  # what rings must not wrap around
    hz = rfftfreq(size, 1 / SAMPLE_RATE_HZ)
    outside = np.maximum(low_hz - hz, hz - high_hz)  # Hz to the nearest edge, negative inside
    kept = 0.5 - 0.5 * np.cos(np.pi * np.clip(0.5 + outside / _TRANSITION_HZ, 0, 1))
    return fit(
        np.asarray(irfft(rfft(samples, size) * kept.astype(np.float32), size)[: len(samples)], np.float32)
    )


def mask_time(samples: Samples, start_s: float, length_s: float) -> Samples:
    """Silence a stretch, with edges of 5 ms: SpecAugment's time mask, on the wave.

    Args:
        samples: ``(T,)`` float32, 16 kHz.
        start_s: Where it begins.
        length_s: How long it is.

    Returns:
        ``(T,)`` float32.
    """
    now_s = np.arange(len(samples), dtype=np.float32) / SAMPLE_RATE_HZ
    outside_s = np.maximum(start_s - now_s, now_s - (start_s + length_s))
    return (
        np.asarray(samples * np.clip(outside_s / 0.005, 0, 1), np.float32) if length_s > 0 else samples.copy()
    )
