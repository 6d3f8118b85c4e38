"""A wave -> spectra and mel spectra and back, as vocoders see speech; runs inside engine_worker.

Written out in numpy, since the usual library for it would bring a compiler into the engines' environment.
`wave` is float32 mono (T,), a spectrogram (L, F): L frames of F bins.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Wave = npt.NDArray[np.float32]
Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Mel:
    """How one vocoder was trained to see speech.

    Attributes:
        rate_hz: Sampling rate.
        n_fft: Transform length, samples.
        hop: Frame step, samples.
        win: Hann window length, samples; centred in the transform.
        low_hz: Lower edge of the first filter.
        high_hz: Upper edge of the last filter.
        bands: Number of filters.
    """

    rate_hz: int
    n_fft: int
    hop: int
    win: int
    low_hz: float
    high_hz: float
    bands: int = 80

    def magnitudes(self, wave: Wave) -> Array:
        """Magnitude mel spectrogram (L, bands), linear scale, of a wave at `rate_hz`."""
        return np.asarray(np.abs(stft(wave, self.n_fft, self.hop, self.win)) @ mel_filters(self).T)


@functools.cache
def mel_filters(mel: Mel) -> Array:
    """Triangular filters of unit area on Slaney's mel scale, (bands, n_fft // 2 + 1).

    The scale is linear below 1 kHz and logarithmic above (Slaney, Auditory Toolbox, 1998).
    """
    step, knee_hz, knee, log_step = 200 / 3, 1000.0, 15.0, np.log(6.4) / 27
    edges_hz = np.array([mel.low_hz, mel.high_hz])
    low, high = np.where(
        edges_hz < knee_hz, edges_hz / step, knee + np.log(np.maximum(edges_hz, 1) / knee_hz) / log_step
    )
    points = np.linspace(low, high, mel.bands + 2)
    hz = np.where(points < knee, points * step, knee_hz * np.exp((points - knee) * log_step))
    bins = np.fft.rfftfreq(mel.n_fft, 1 / mel.rate_hz)
    rising = (bins - hz[:-2, None]) / np.diff(hz)[:-1, None]
    falling = (hz[2:, None] - bins) / np.diff(hz)[1:, None]
    filters = np.maximum(0, np.minimum(rising, falling)) * (2 / (hz[2:] - hz[:-2]))[:, None]
    return filters.astype(np.float32)


def stft(wave: Wave, n_fft: int, hop: int, win: int) -> Array:
    """Hann-windowed short-time transform (L, n_fft // 2 + 1); frame i is centred on sample i * hop."""
    import scipy.fft

    padded = np.pad(wave, n_fft // 2, mode="reflect" if wave.size > n_fft // 2 else "constant")
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop]
    return np.asarray(scipy.fft.rfft(frames * _window(n_fft, win), axis=1))


def istft(spectrum: Array, hop: int, win: int, length: int) -> Wave:
    """Least-squares inverse of `stft`, to `length` samples; the hop must divide the transform length."""
    import scipy.fft

    n_fft = 2 * (spectrum.shape[1] - 1)
    window = _window(n_fft, win)
    frames = scipy.fft.irfft(spectrum, n_fft, axis=1) * window
    total = _overlap_add(frames, hop)
    weight = _overlap_add(np.broadcast_to(window**2, frames.shape), hop)
    wave = total / np.maximum(weight, 1e-3)
    return fitted(wave[n_fft // 2 :], length)


@functools.cache
def _window(n_fft: int, win: int) -> Array:
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(win) / win)
    left = (n_fft - win) // 2
    return np.pad(hann, (left, n_fft - win - left)).astype(np.float32)


def _overlap_add(frames: Array, hop: int) -> Array:
    count, n_fft = frames.shape
    pieces = n_fft // hop
    total = np.zeros((count + pieces - 1, hop), np.float32)
    for piece in range(pieces):  # each frame is cut into hop-long pieces: one vector add per piece
        total[piece : piece + count] += frames[:, piece * hop : (piece + 1) * hop]
    return total.ravel()


def fitted(wave: Array, length: int) -> Wave:
    """Cut or zero-pad a wave to `length` samples."""
    wave = np.asarray(wave[:length], np.float32)
    return np.pad(wave, (0, length - wave.size))


def resampled(wave: Wave, rate_hz: int, target_hz: int) -> Wave:
    """Convert the sampling rate by a polyphase filter."""
    if rate_hz == target_hz:
        return wave
    import scipy.signal

    common = math.gcd(rate_hz, target_hz)
    return np.asarray(scipy.signal.resample_poly(wave, target_hz // common, rate_hz // common), np.float32)
