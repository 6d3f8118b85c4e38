"""Mel inversion: a mel spectrogram is all that is kept, as between an acoustic model and its vocoder."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringtrue.data.corpora.zoo import spectra
from ringtrue.data.corpora.zoo.speech import Samples, Speech

Array = NDArray[Any]


def mel_pseudo_inverse(speech: Speech, rng: np.random.Generator) -> Samples:
    """Take the clipped pseudo-inverse of the mel filters, then Griffin-Lim."""
    grid, filters, mels = analysed(speech, rng)
    return voiced(spectra.unmelled(mels, filters, 0), grid, speech.wave.size, rng)


def mel_non_negative(speech: Speech, rng: np.random.Generator) -> Samples:
    """Find non-negative magnitudes with these mels by multiplicative updates, then Griffin-Lim."""
    grid, filters, mels = analysed(speech, rng)
    return voiced(spectra.unmelled(mels, filters, int(rng.integers(3, 13))), grid, speech.wave.size, rng)


def mel_spsi(speech: Speech, rng: np.random.Generator) -> Samples:
    """Spread every mel band evenly over its bins, then invert in a single pass."""
    grid, filters, mels = analysed(speech, rng)
    spread = filters / np.maximum(
        filters.sum(axis=0), 1e-9
    )  # what share of a bin each band is responsible for
    linear = (mels / np.maximum(filters.sum(axis=1), 1e-9)) @ spread
    phase = spectra.spsi_phase(linear, grid)
    return spectra.griffin_lim(linear, phase, grid, speech.wave.size, int(rng.integers(0, 6)), 0.0)


def mfcc(speech: Speech, rng: np.random.Generator) -> Samples:
    """Keep the first cepstral coefficients of the mels alone, then Griffin-Lim.

    Davis and Mermelstein (1980) give the coefficients; Boucheron and De Leon (2008) invert them.
    """
    import scipy.fft

    grid, filters, mels = analysed(speech, rng)
    cepstra = scipy.fft.dct(np.log(mels + 1e-6), axis=1, norm="ortho")
    cepstra[:, int(rng.integers(20, 41)) :] = 0
    smooth = np.exp(scipy.fft.idct(cepstra, axis=1, norm="ortho"))
    return voiced(spectra.unmelled(smooth, filters, 3), grid, speech.wave.size, rng)


def analysed(speech: Speech, rng: np.random.Generator) -> tuple[spectra.Grid, Array, Array]:
    """Draw a grid and a number of bands -> grid, filters `(bands, F)`, mels `(L, bands)`."""
    grid = spectra.draw_grid(rng, sizes=(800, 1024, 1200), overlaps=(4, 4, 5))
    filters = spectra.mel_of(
        int(rng.choice([40, 60, 80, 100])),
        grid,
        float(rng.choice([0, 50, 80])),
        float(rng.choice([7600, 8000])),
    )
    return grid, filters, np.abs(spectra.spectrum_of(speech.wave, grid)) @ filters.T


def voiced(magnitudes: Array, grid: spectra.Grid, length: int, rng: np.random.Generator) -> Samples:
    """Give magnitudes a phase by a few rounds of fast Griffin-Lim from noise or from single-pass inversion."""
    noise = rng.uniform(0, 2 * np.pi, magnitudes.shape)
    start = noise if rng.integers(2) else spectra.spsi_phase(magnitudes, grid)
    return spectra.griffin_lim(magnitudes, start, grid, length, int(rng.integers(6, 25)), 0.99)
