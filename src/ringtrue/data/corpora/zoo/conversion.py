"""Conversion: another speaker's tract and voice, as converters of voices aim at."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringtrue.data.corpora.zoo import spectra
from ringtrue.data.corpora.zoo.phase import stretched
from ringtrue.data.corpora.zoo.source_filter import from_world
from ringtrue.data.corpora.zoo.speech import RATE_HZ, Samples, Speech, World

Array = NDArray[Any]


def world_conversion(speech: Speech, rng: np.random.Generator) -> Samples:
    """Warp WORLD's envelope along frequency, and move and scale the melody."""
    seen, warp = speech.world, 2 ** rng.uniform(-0.25, 0.25)
    voiced = seen.pitch_hz > 0
    log_hz = np.log2(np.maximum(seen.pitch_hz, 1.0))
    mean = log_hz[voiced].mean() if voiced.any() else 0.0
    moved = 2 ** (mean + rng.uniform(0.7, 1.3) * (log_hz - mean) + rng.uniform(-0.5, 0.5))
    return from_world(
        World(
            np.where(voiced, np.clip(moved, 50, 600), 0.0),
            np.exp(_warped(np.log(seen.envelope), warp)),
            np.clip(_warped(seen.aperiodicity, warp), 0, 1),
        ),
        speech.wave.size,
    )


def formant_shift(speech: Speech, rng: np.random.Generator) -> Samples:
    """Move the cepstral envelope along frequency; the harmonics and their phases stay."""
    grid = spectra.draw_grid(rng, sizes=(512, 1024))
    spectrum = spectra.spectrum_of(speech.wave, grid)
    cepstra = spectra.cepstra_of(np.abs(spectrum), int(rng.integers(20, 41)))
    log_envelope = np.log(spectra.envelope_of(cepstra, grid[0]))
    factor = 2 ** (rng.uniform(0.1, 0.4) * rng.choice([-1, 1]))
    gain = np.exp(np.clip(_warped(log_envelope, factor) - log_envelope, -4, 4)).astype(np.float32)
    return spectra.from_spectrum(spectrum * gain, grid, speech.wave.size)


def pitch_shift(speech: Speech, rng: np.random.Generator) -> Samples:
    """Stretch by the phase vocoder and play it faster or slower: pitch and formants move together."""
    import soxr

    factor = 2 ** (rng.uniform(0.08, 0.3) * rng.choice([-1, 1]))
    longer = stretched(speech.wave, factor, spectra.draw_grid(rng, sizes=(1024,), overlaps=(8,)))
    return spectra.fitted(soxr.resample(longer, RATE_HZ * factor, RATE_HZ, quality="HQ"), speech.wave.size)


def _warped(values: Array, factor: float) -> Array:
    """Move what is at a frequency to `factor` times it, in `(L, F)`."""
    places = np.minimum(np.arange(values.shape[1]) / factor, values.shape[1] - 1.001)
    below = places.astype(int)
    share = places - below
    return (1 - share) * values[:, below] + share * values[:, below + 1]
