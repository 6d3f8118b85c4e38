"""Enhancement: noise that was added and taken away again, and what goes with it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringtrue.data.corpora.zoo import spectra
from ringtrue.data.corpora.zoo.speech import Samples, Speech

Array = NDArray[Any]


def spectral_subtraction(speech: Speech, rng: np.random.Generator) -> Samples:
    """Subtract the mean power of added noise, and more: tones come and go where noise was.

    Boll (1979); with the over-subtraction and the floor of Berouti, Schwartz and Makhoul (ICASSP 1979).
    """
    grid = spectra.draw_grid(rng, sizes=(256, 512, 1024), overlaps=(2, 4))
    spectrum, noise = _noisy(speech.wave, grid, rng.uniform(8, 20), rng)
    power = np.abs(spectrum) ** 2
    left = 1 - rng.uniform(1, 3) * (np.abs(noise) ** 2).mean(axis=0) / np.maximum(power, 1e-12)
    gain = np.sqrt(np.maximum(left, 10 ** (-rng.uniform(15, 35) / 10))).astype(np.float32)
    return spectra.from_spectrum(spectrum * gain, grid, speech.wave.size)


def masked(speech: Speech, rng: np.random.Generator) -> Samples:
    """Keep the cells in which speech was louder than the added noise, with the noisy phase.

    Wang, "On ideal binary mask as the computational goal of auditory scene analysis" (2005); or the ratio mask.
    """
    grid = spectra.draw_grid(rng, sizes=(256, 512, 1024), overlaps=(2, 4))
    spectrum, noise = _noisy(speech.wave, grid, rng.uniform(-5, 10), rng)
    own, other = np.abs(spectrum - noise) ** 2, np.abs(noise) ** 2
    if rng.integers(2):
        mask = np.where(own > 10 ** (rng.uniform(-6, 3) / 10) * other, 1.0, rng.uniform(0, 0.05))
    else:
        mask = (own / np.maximum(own + other, 1e-12)) ** rng.uniform(0.5, 1.5)
    return spectra.from_spectrum(spectrum * mask.astype(np.float32), grid, speech.wave.size)


def _noisy(
    wave: Samples, grid: spectra.Grid, ratio_db: float, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Add noise of a drawn colour -> the spectrum of both, and of the noise."""
    noise = spectra.spectrum_of(rng.standard_normal(wave.size).astype(np.float32), grid)
    noise = noise * np.linspace(1, rng.uniform(0.1, 1), noise.shape[1], dtype=np.float32)
    own = spectra.spectrum_of(wave, grid)
    level = np.sqrt((np.abs(own) ** 2).mean() / (np.abs(noise) ** 2).mean() / 10 ** (ratio_db / 10))
    noise = noise * np.float32(level)
    return own + noise, noise
