"""A recording -> what methods take: the wave, and on demand its pitch, WORLD's view, the speaker's other waves.

Everything is found once per recording, whichever of its copies asks first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringtrue.errors import require

Samples = NDArray[np.float32]
Array = NDArray[Any]

RATE_HZ = 16_000
HOP = 80
"""Samples between values of the pitch: 5 ms."""

_PITCH_HZ = (60, 400)
_WIN = 800  # samples: 50 ms, three periods of the lowest voice
_VOICED = 0.45  # normalised autocorrelation at the period, above which a frame counts as voiced


@dataclass(frozen=True)
class World:
    """WORLD's view of a recording (Morise, Yokomori and Ozawa, 2016), every 5 ms.

    Attributes:
        pitch_hz: `(L,)`, 0 where unvoiced.
        envelope: `(L, F)`, power.
        aperiodicity: `(L, F)`, 0 to 1.
    """

    pitch_hz: Array
    envelope: Array
    aperiodicity: Array


@dataclass(frozen=True)
class Speech:
    """One recording, as methods see it.

    Attributes:
        wave: `(T,)` float32, 16 kHz.
        others: Gives other recordings of the speaker, `(T,)` each; none where the speaker is not known.
    """

    wave: Samples
    others: Callable[[], Sequence[Samples]] = tuple

    @cached_property
    def pitch_hz(self) -> Array:
        """Pitch in Hz every `HOP` samples, `(ceil(T / HOP),)`; 0 where unvoiced."""
        return track_pitch(self.wave)

    @property
    def sample_pitch_hz(self) -> Array:
        """The same for every sample, `(T,)`."""
        return np.repeat(self.pitch_hz, HOP)[: self.wave.size]

    @cached_property
    def world(self) -> World:
        """WORLD's analysis of it.

        Raises:
            MissingExtraError: pyworld is absent.
        """
        pyworld: Any = require("pyworld", "probe")
        samples = self.wave.astype(np.float64)
        coarse, times_s = pyworld.dio(samples, RATE_HZ)
        pitch_hz = pyworld.stonemask(samples, coarse, times_s, RATE_HZ)
        return World(
            pitch_hz,
            pyworld.cheaptrick(samples, pitch_hz, times_s, RATE_HZ),
            pyworld.d4c(samples, pitch_hz, times_s, RATE_HZ),
        )


def frames_of(wave: Array, win: int, hop: int) -> Array:
    """Cut a wave into frames that are centred on the middle of each hop.

    Args:
        wave: `(T,)`.
        win: Length of a frame, samples; at least `hop`.
        hop: Samples from one frame to the next.

    Returns:
        `(ceil(T / hop), win)`, zeros beyond both ends.
    """
    count = -(-wave.size // hop)
    left = (win - hop) // 2
    padded = np.pad(wave, (left, count * hop + win - wave.size))
    return np.lib.stride_tricks.sliding_window_view(padded, win)[: count * hop : hop]


def track_pitch(wave: Samples) -> Array:
    """Find the pitch by the normalised autocorrelation of the wave below 900 Hz.

    Args:
        wave: `(T,)` float32, 16 kHz.

    Returns:
        `(ceil(T / HOP),)` Hz; 0 where unvoiced.
    """
    import scipy.fft
    import scipy.ndimage
    import scipy.signal

    low = scipy.signal.butter(4, 900, fs=RATE_HZ, output="sos")
    frames = frames_of(scipy.signal.sosfiltfilt(low, wave, padtype=None).astype(np.float32), _WIN, HOP)
    frames = frames - frames.mean(axis=1, keepdims=True)
    shortest, longest = RATE_HZ // _PITCH_HZ[1], RATE_HZ // _PITCH_HZ[0]
    size = 1080  # at least a frame and the longest lag, so that no product wraps around
    power = np.abs(scipy.fft.rfft(frames, size, axis=1)) ** 2
    products = scipy.fft.irfft(power, size, axis=1)[:, : longest + 1]
    energy = products[:, :1] + 1e-9
    # A lag leaves fewer products in the sum: divided by their share, or long periods lose.
    likeness = products / energy / (1 - np.arange(longest + 1) / _WIN)
    lags = likeness[:, shortest:].argmax(axis=1) + shortest
    rows = np.arange(len(lags))
    peaks, half = likeness[rows, lags], lags // 2
    # The true period scores nearly as well as its double: prefer it.
    lags = np.where((half >= shortest) & (likeness[rows, half] > 0.9 * peaks), half, lags)
    voiced = (peaks > _VOICED) & (energy[:, 0] > 1e-4 * energy.max())
    smooth = scipy.ndimage.median_filter(np.where(voiced, lags, 0), 5, mode="constant")
    return np.where(smooth > 0, RATE_HZ / np.maximum(smooth, 1), 0.0)
