"""Smoothing: envelopes whose movements are too slow and too small, as models that predict means make them.

Toda and Tokuda, "A speech parameter generation algorithm considering global variance for HMM-based speech synthesis"
(2007), name the fault and a cure; Takamichi et al., "Postfilters to modify the modulation spectrum for statistical
parametric speech synthesis" (2016), its other half.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringtrue.data.corpora.zoo import excitation, mel, spectra
from ringtrue.data.corpora.zoo.source_filter import from_world, through_cepstra
from ringtrue.data.corpora.zoo.speech import RATE_HZ, Samples, Speech, World
from ringtrue.errors import require

Array = NDArray[Any]


def smoothed_mel(speech: Speech, rng: np.random.Generator) -> Samples:
    """Smooth the log mel spectrogram, then Griffin-Lim."""
    grid, filters, mels = mel.analysed(speech, rng)
    smooth = np.exp(_smoothed(np.log(mels + 1e-5), RATE_HZ / grid[1], rng))
    return mel.voiced(spectra.unmelled(smooth, filters, 4), grid, speech.wave.size, rng)


def smoothed_cepstral(speech: Speech, rng: np.random.Generator) -> Samples:
    """Smooth a cepstral envelope; pulses and noise speak it."""
    grid = (1024, 128)
    cepstra = spectra.cepstra_of(np.abs(spectra.spectrum_of(speech.wave, grid)), int(rng.integers(24, 51)))
    source = excitation.mixed(speech, rng, rng.uniform(2000, 6000))
    return through_cepstra(_smoothed(cepstra, RATE_HZ / grid[1], rng), source, grid)


def smoothed_world(speech: Speech, rng: np.random.Generator) -> Samples:
    """Smooth WORLD's coded envelope and its pitch."""
    import scipy.ndimage

    pyworld: Any = require("pyworld", "probe")
    seen, size = speech.world, 2 * (speech.world.envelope.shape[1] - 1)
    coded = pyworld.code_spectral_envelope(seen.envelope, RATE_HZ, int(rng.integers(24, 61)))
    voiced = seen.pitch_hz > 0
    heard = (
        np.interp(np.arange(voiced.size), np.flatnonzero(voiced), seen.pitch_hz[voiced])
        if voiced.any()
        else 0.0
    )
    melody = scipy.ndimage.gaussian_filter1d(heard, rng.uniform(2, 12)) if voiced.any() else 0.0
    envelope = pyworld.decode_spectral_envelope(
        np.ascontiguousarray(_smoothed(coded, 200.0, rng)), RATE_HZ, size
    )
    return from_world(World(np.where(voiced, melody, 0.0), envelope, seen.aperiodicity), speech.wave.size)


def _smoothed(track: Array, rate_hz: float, rng: np.random.Generator) -> Array:
    """Take fast modulations from trajectories `(L, D)`, then draw them nearer to their means; the level stays.

    The first column of cepstra is the level; of mels, where no column is, its mean is kept instead.
    """
    import scipy.signal

    low = scipy.signal.butter(2, min(rng.uniform(10, 25), 0.45 * rate_hz), fs=rate_hz, output="sos")
    slow = scipy.signal.sosfiltfilt(low, track, axis=0, padtype=None)
    level = slow.mean(axis=1, keepdims=True)
    shape = slow - level
    mean = shape.mean(axis=0)
    return level + mean + rng.uniform(0.7, 0.95) * (shape - mean)
