"""Pitch -> what stands in for the glottis: pulses, glottal waves, noise; every one of unit power."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringtrue.data.corpora.zoo.speech import RATE_HZ, Speech

Array = NDArray[Any]


def pulses(speech: Speech, rng: np.random.Generator, jitter: float = 0.0) -> Array:
    """Give pulses where it is voiced and noise elsewhere.

    Args:
        speech: Gives the pitch.
        rng: Draws noise and jitter.
        jitter: Relative spread of the periods.

    Returns:
        `(T,)` of unit power in both.
    """
    cycles, starts = _cycles(speech, rng, jitter)
    periods = np.zeros(len(cycles))
    hz = speech.sample_pitch_hz
    periods[starts] = np.sqrt(RATE_HZ / np.maximum(hz[starts], 1.0))  # unit power, like the noise
    return np.where(hz > 0, periods, rng.standard_normal(len(cycles)))


def glottal(speech: Speech, rng: np.random.Generator, open_share: float, breath: float) -> Array:
    """Give the derivative of Rosenberg's glottal flow where it is voiced, with breath while it is open; else noise.

    Rosenberg, "Effect of glottal pulse shape on the quality of natural vowels" (1971), shape C.

    Args:
        speech: Gives the pitch.
        rng: Draws noise.
        open_share: Share of a period during which the glottis is open, 0.3 to 0.9.
        breath: Level of the noise while it is open, relative to the pulses.

    Returns:
        `(T,)` of about unit power.
    """
    cycles, _ = _cycles(speech, rng, 0.01)
    place = np.mod(cycles, 1.0)
    rise, fall = 0.67 * open_share, 0.33 * open_share
    opening = np.pi / (2 * rise) * np.sin(np.pi * place / rise)
    closing = -np.pi / (2 * fall) * np.sin(np.pi / 2 * np.clip((place - rise) / fall, 0, 1))
    flow = np.where(place < rise, opening, np.where(place < open_share, closing, 0.0))
    flow = np.append(flow[:1], flow[1:] - 0.97 * flow[:-1])  # as flat as the filter was found for
    noise = rng.standard_normal(len(cycles))
    voiced = speech.sample_pitch_hz > 0
    power = np.mean(flow[voiced] ** 2) if voiced.any() else 1.0
    flow = flow / np.sqrt(max(power, 1e-9))
    return np.where(voiced, flow + breath * noise * (place < open_share), noise)


def mixed(speech: Speech, rng: np.random.Generator, voiced_hz: float) -> Array:
    """Give pulses below a frequency and noise above where it is voiced, noise elsewhere.

    Args:
        speech: Gives the pitch.
        rng: Draws noise.
        voiced_hz: Where noise takes over.

    Returns:
        `(T,)` of unit power.
    """
    import scipy.signal

    low = scipy.signal.butter(2, voiced_hz, fs=RATE_HZ, output="sos")
    buzz, noise = pulses(speech, rng), rng.standard_normal(speech.wave.size)
    below = scipy.signal.sosfilt(low, buzz)
    above = noise - scipy.signal.sosfilt(low, noise)
    return np.where(speech.sample_pitch_hz > 0, below + above, noise)


def _cycles(speech: Speech, rng: np.random.Generator, jitter: float) -> tuple[Array, Array]:
    """Count periods `(T,)` from the beginning, and say at which samples one starts."""
    hz = speech.sample_pitch_hz
    wobble = np.repeat(1 + jitter * rng.standard_normal(-(-hz.size // 160)), 160)[: hz.size]
    cycles = np.cumsum(hz * np.clip(wobble, 0.5, 1.5)) / RATE_HZ
    return cycles, np.flatnonzero(np.diff(np.floor(cycles), prepend=-1.0) > 0)
