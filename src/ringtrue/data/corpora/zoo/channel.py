"""Channel vocoders: the level of a few bands, over another carrier."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringtrue.data.corpora.zoo import excitation
from ringtrue.data.corpora.zoo.speech import RATE_HZ, Samples, Speech

Array = NDArray[Any]


def channel_noise(speech: Speech, rng: np.random.Generator) -> Samples:
    """Put the bands' levels on noise (Shannon et al., 1995)."""
    return _channels(speech, rng.standard_normal(speech.wave.size), int(rng.integers(14, 31)), rng)


def channel_pulse(speech: Speech, rng: np.random.Generator) -> Samples:
    """Put the bands' levels on pulses and noise, as the first vocoder did (Dudley, 1939)."""
    return _channels(speech, excitation.pulses(speech, rng), int(rng.integers(10, 25)), rng)


def channel_single_sideband(speech: Speech, rng: np.random.Generator) -> Samples:
    """Bring 6 to 14 bands down to zero, keep a part of each, and bring them up again, a little off."""
    from scipy.fft import fft, fftfreq, ifft

    out = np.zeros(speech.wave.size)
    bands = int(rng.integers(6, 15))
    share, off = rng.uniform(0.5, 0.9), rng.uniform(-0.01, 0.01)
    now = np.arange(speech.wave.size) / RATE_HZ
    for low_hz, high_hz, analytic in _bands(speech.wave, bands):
        centre_hz = (low_hz + high_hz) / 2
        down = fft(analytic * np.exp(-2j * np.pi * centre_hz * now).astype(np.complex64))
        hz = np.abs(fftfreq(down.size, 1 / RATE_HZ))
        kept = ifft(np.where(hz < share * (high_hz - low_hz) / 2, down, 0))
        out += (kept * np.exp(2j * np.pi * centre_hz * (1 + off) * now)).real
    return out.astype(np.float32)


def _channels(speech: Speech, carrier: Array, bands: int, rng: np.random.Generator) -> Samples:
    """Give each band of a carrier the level that speech has there."""
    import scipy.signal

    smooth = scipy.signal.butter(2, rng.uniform(40, 160), fs=RATE_HZ, output="sos")
    out = np.zeros(speech.wave.size)
    pairs = zip(_bands(speech.wave, bands), _bands(carrier.astype(np.float32), bands), strict=True)
    for (_, _, said), (_, _, carried) in pairs:
        level = np.maximum(scipy.signal.sosfilt(smooth, np.abs(said)), 0)
        out += level * carried.real / np.sqrt(np.mean(np.abs(carried) ** 2) + 1e-12)
    return out.astype(np.float32)


def _bands(wave: Samples, count: int) -> Iterator[tuple[float, float, Array]]:
    """Cut a wave into bands of equal width in mels from 80 Hz on -> edges, and the analytic signal `(T,)` of each."""
    from scipy.fft import fft, ifft

    lowest, highest = 2595 * np.log10(1 + np.array([80.0, 7900.0]) / 700)
    mels = np.linspace(lowest, highest, count + 1)
    edges_hz = 700 * (10 ** (mels / 2595) - 1)
    spectrum = fft(wave)
    hz = np.arange(wave.size) * RATE_HZ / wave.size
    for low_hz, high_hz in itertools.pairwise(edges_hz):
        first, last = np.searchsorted(hz, [low_hz, high_hz])
        part = np.zeros_like(spectrum)
        part[first:last] = 2 * spectrum[first:last]
        yield float(low_hz), float(high_hz), ifft(part)
