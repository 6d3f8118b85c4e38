"""Magnitudes -> a wave, by the ways in which vocoders invent a phase; and what lies between spectra, mels and cepstra.

A spectrogram is `(L, F)`: L frames of F bins. Transforms and mel filters are the starter corpus's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringtrue.data.corpora.starter.engine_mels import Mel, fitted, istft, mel_filters, stft
from ringtrue.data.corpora.zoo.speech import RATE_HZ, Samples

Array = NDArray[Any]
Grid = tuple[int, int]
"""Transform length and hop, in samples; the hop divides the length."""

__all__ = [
    "Grid", "cepstra_of", "draw_grid", "envelope_of", "fitted", "from_spectrum", "griffin_lim", "mel_of",
    "minimum_phase", "spectrum_of", "spsi_phase", "unmelled",
]  # fmt: skip

_QUIET = 1e-5  # magnitude below which nothing is heard: 16-bit speech, -100 dB
_HARMONIC_HZ = 200.0  # distance between the harmonics of a high voice


def draw_grid(
    rng: np.random.Generator, sizes: tuple[int, ...] = (512, 1024, 2048), overlaps: tuple[int, ...] = (4, 8)
) -> Grid:
    """Draw a transform length and a hop.

    Args:
        rng: Draws them.
        sizes: Transform lengths, samples.
        overlaps: Hops per transform length.

    Returns:
        The grid.
    """
    size = int(rng.choice(sizes))
    return size, size // int(rng.choice(overlaps))


def spectrum_of(wave: Samples, grid: Grid) -> Array:
    """Give the Hann-windowed short-time spectrum, `(L, F)` complex64."""
    return stft(wave, grid[0], grid[1], grid[0])


def from_spectrum(spectrum: Array, grid: Grid, length: int) -> Samples:
    """Give the wave whose short-time spectrum is nearest, `(length,)`."""
    return istft(spectrum, grid[1], grid[0], length)


def griffin_lim(
    magnitudes: Array, phase: Array, grid: Grid, length: int, iterations: int, momentum: float
) -> Samples:
    """Find a phase by going back and forth between wave and spectrum.

    Griffin and Lim (1984); with momentum Perraudin, Balazs and Sondergaard (WASPAA 2013).

    Args:
        magnitudes: `(L, F)`.
        phase: `(L, F)` radians to begin with.
        grid: That of the magnitudes.
        length: Samples wanted.
        iterations: How often, 0 or more.
        momentum: 0 for the original algorithm, below 1.

    Returns:
        `(length,)` float32.
    """
    guess = magnitudes * np.exp(1j * phase.astype(np.float32))
    previous = np.zeros((), np.complex64)
    for _ in range(iterations):
        rebuilt = spectrum_of(from_spectrum(guess, grid, length), grid)
        pushed = rebuilt + np.float32(momentum) * (rebuilt - previous)
        previous = rebuilt
        guess = magnitudes * (pushed / np.maximum(np.abs(pushed), np.float32(1e-9)))
    return from_spectrum(guess, grid, length)


def spsi_phase(magnitudes: Array, grid: Grid) -> Array:
    """Find a phase in one pass: every peak is a sinusoid that goes on from the frame before.

    Beauregard, Harish and Wyse, "Single pass spectrogram inversion" (DSP 2015).

    Args:
        magnitudes: `(L, F)`.
        grid: Theirs.

    Returns:
        `(L, F)` radians.
    """
    size, hop = grid
    bins = np.arange(magnitudes.shape[1])
    left, centre, right = magnitudes[:, :-2], magnitudes[:, 1:-1], magnitudes[:, 2:]
    is_peak = np.pad((centre > left) & (centre >= right), ((0, 0), (1, 1)))
    # The parabola through a peak and its neighbours tells where between the bins it lies.
    bend = np.minimum(left - 2 * centre + right, -1e-12)
    offset = np.pad(np.clip(0.5 * (left - right) / bend, -0.5, 0.5), ((0, 0), (1, 1)))
    below = np.maximum.accumulate(np.where(is_peak, bins, -(10**6)), axis=1)
    above = np.minimum.accumulate(np.where(is_peak, bins, 10**6)[:, ::-1], axis=1)[:, ::-1]
    peak = np.clip(np.where(bins - below <= above - bins, below, above), 0, bins[-1])
    advance = 2 * np.pi * hop / size * (peak + np.take_along_axis(offset, peak, axis=1))
    # Around its peak a Hann window's lobe turns by half a circle from bin to bin, for frames that start at time zero.
    turn = np.pi * (bins - peak)
    phase = np.zeros(magnitudes.shape)
    now = np.zeros(len(bins))
    for place in range(len(phase)):
        now = np.mod(now[peak[place]] + advance[place], 2 * np.pi)
        phase[place] = now + turn[place]
    return phase


def mel_of(bands: int, grid: Grid, low_hz: float = 0.0, high_hz: float = 8000.0) -> Array:
    """Give triangular mel filters, `(bands, F)`."""
    return mel_filters(Mel(RATE_HZ, grid[0], grid[1], grid[0], low_hz, high_hz, bands))


def unmelled(mels: Array, filters: Array, updates: int) -> Array:
    """Give non-negative magnitudes with a mel spectrum near the given one.

    Args:
        mels: `(L, bands)`, linear.
        filters: `(bands, F)`.
        updates: Multiplicative ones (Lee and Seung, 2001) that lessen the error; 0 for the clipped pseudo-inverse.

    Returns:
        `(L, F)` float32.
    """
    linear = np.maximum(mels @ np.linalg.pinv(filters).T, 1e-3 * mels.mean() + 1e-9)
    numerator, gram = mels @ filters, filters.T @ filters
    for _ in range(updates):
        linear = linear * numerator / np.maximum(linear @ gram, 1e-12)
    return np.asarray(linear, np.float32)


def cepstra_of(magnitudes: Array, order: int) -> Array:
    """Give the cepstrum of the envelope, `(L, order + 1)`, without the harmonics.

    The logarithm would see the valleys between harmonics more than their peaks, and so take voiced frames for quieter
    than they are: power is averaged over the width of a harmonic first, as WORLD's CheapTrick does (Morise, 2015).
    """
    import scipy.fft
    import scipy.ndimage

    width = max(3, round(_HARMONIC_HZ * 2 * (magnitudes.shape[1] - 1) / RATE_HZ))
    power = scipy.ndimage.uniform_filter1d(magnitudes**2, width, axis=1, mode="mirror")
    return np.asarray(scipy.fft.irfft(0.5 * np.log(np.maximum(power, _QUIET**2)), axis=1)[:, : order + 1])


def envelope_of(cepstra: Array, size: int) -> Array:
    """Give the magnitudes `(L, size // 2 + 1)` that real cepstra `(L, order + 1)` stand for."""
    return np.abs(minimum_phase(cepstra, size))


def minimum_phase(cepstra: Array, size: int) -> Array:
    """Give the causal filter of real cepstra: its complex response `(L, size // 2 + 1)`.

    Folding the cepstrum's second half onto the first makes the phase minimal (Oppenheim and Schafer).
    """
    import scipy.fft

    folded = 2 * cepstra
    folded[:, 0] = cepstra[:, 0]
    return np.asarray(np.exp(scipy.fft.rfft(folded, size, axis=1)))
