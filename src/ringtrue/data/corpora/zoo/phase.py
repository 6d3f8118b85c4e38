"""Phase: the magnitudes are the person's own, the phase is invented."""

from __future__ import annotations

import numpy as np

from ringtrue.data.corpora.zoo import spectra
from ringtrue.data.corpora.zoo.speech import RATE_HZ, Samples, Speech


def griffin_lim(speech: Speech, rng: np.random.Generator) -> Samples:
    """Iterate between wave and spectrum, with or without momentum, from noise or from zeros."""
    grid = spectra.draw_grid(rng, overlaps=(4, 4, 8))
    magnitudes = np.abs(spectra.spectrum_of(speech.wave, grid))
    start = rng.uniform(0, 2 * np.pi, magnitudes.shape) * rng.integers(2)
    momentum = float(rng.choice([0.0, 0.5, 0.99]))
    return spectra.griffin_lim(magnitudes, start, grid, speech.wave.size, int(rng.integers(4, 33)), momentum)


def rtisi(speech: Speech, rng: np.random.Generator) -> Samples:
    """Find each frame's phase from the frames before it alone, as a vocoder in real time must.

    Beauregard, Zhu and Wyse, "An efficient algorithm for real-time spectrogram inversion" (DAFx 2005).
    """
    import scipy.fft

    size, hop = grid = spectra.draw_grid(rng, sizes=(512, 1024), overlaps=(4,))
    magnitudes = np.abs(spectra.spectrum_of(speech.wave, grid))
    rounds = int(rng.integers(1, 5))
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32)
    scale = np.float32(2 / 3)  # squared Hann windows, four to a length, add up to 3 / 2
    out = np.zeros(len(magnitudes) * hop + size, np.float32)
    for number, wanted in enumerate(magnitudes):
        so_far = out[number * hop : number * hop + size]
        piece = so_far
        for _ in range(rounds):
            phase = np.angle(scipy.fft.rfft(piece * window))  # of nothing: zero
            frame = scipy.fft.irfft(wanted * np.exp(1j * phase), size) * window * scale
            piece = so_far + frame
        out[number * hop : number * hop + size] = piece
    return spectra.fitted(out[size // 2 :], speech.wave.size)


def spsi(speech: Speech, rng: np.random.Generator) -> Samples:
    """Let every spectral peak go on as a sinusoid: one pass, no iteration."""
    grid = spectra.draw_grid(rng)
    magnitudes = np.abs(spectra.spectrum_of(speech.wave, grid))
    phase = spectra.spsi_phase(magnitudes, grid)
    return spectra.griffin_lim(magnitudes, phase, grid, speech.wave.size, int(rng.integers(0, 4)), 0.0)


def zero_phase(speech: Speech, rng: np.random.Generator) -> Samples:
    """Set every frame's phase to zero at its middle: a voice that buzzes at the frame rate."""
    grid = spectra.draw_grid(rng, sizes=(256, 512, 1024), overlaps=(2, 4))
    magnitudes = np.abs(spectra.spectrum_of(speech.wave, grid))
    middle = np.broadcast_to(np.pi * np.arange(magnitudes.shape[1]), magnitudes.shape)
    return spectra.griffin_lim(magnitudes, middle, grid, speech.wave.size, 0, 0.0)


def random_phase(speech: Speech, rng: np.random.Generator) -> Samples:
    """Draw every phase: a rough whisper."""
    grid = spectra.draw_grid(rng, sizes=(512, 1024), overlaps=(2, 4, 8))
    magnitudes = np.abs(spectra.spectrum_of(speech.wave, grid))
    phase = rng.uniform(0, 2 * np.pi, magnitudes.shape)
    return spectra.griffin_lim(magnitudes, phase, grid, speech.wave.size, 0, 0.0)


def mixed_phase(speech: Speech, rng: np.random.Generator) -> Samples:
    """Keep the phase below a frequency and let it wander above, as vocoders that lose the high band do."""
    grid = spectra.draw_grid(rng)
    spectrum = spectra.spectrum_of(speech.wave, grid)
    hz = np.arange(spectrum.shape[1]) * RATE_HZ / grid[0]
    spread = rng.uniform(0.5, np.pi) * np.clip((hz - rng.uniform(500, 3500)) / 500, 0, 1)
    phase = np.angle(spectrum) + spread * rng.standard_normal(spectrum.shape)
    return spectra.griffin_lim(np.abs(spectrum), phase, grid, speech.wave.size, int(rng.integers(0, 3)), 0.0)


def phase_vocoder(speech: Speech, rng: np.random.Generator) -> Samples:
    """Stretch the time by the phase vocoder and shrink it back: phases within a frame lose each other.

    Flanagan and Golden (1966); with the drift between the bins that Laroche and Dolson (1999) describe.
    """
    grid = spectra.draw_grid(rng, sizes=(512, 1024))
    factor = float(2 ** (rng.uniform(0.05, 0.3) * rng.choice([-1, 1])))
    there = stretched(speech.wave, factor, grid)
    return spectra.fitted(stretched(there, speech.wave.size / there.size, grid), speech.wave.size)


def stretched(wave: Samples, factor: float, grid: spectra.Grid) -> Samples:
    """Make a wave longer by the phase vocoder, at the same pitch.

    Args:
        wave: `(T,)`.
        factor: How much longer.
        grid: Of the spectra.

    Returns:
        `(T * factor,)`.
    """
    size, hop = grid
    length = round(wave.size * factor)
    spectrum = spectra.spectrum_of(wave, grid)
    places = np.minimum(np.arange(1 + length // hop) / factor, len(spectrum) - 1.001)
    before = np.maximum(places.astype(int), 0)
    after = np.minimum(before + 1, len(spectrum) - 1)
    share = (places - before)[:, None]
    magnitudes = (1 - share) * np.abs(spectrum[before]) + share * np.abs(spectrum[after])
    expected = 2 * np.pi * hop / size * np.arange(spectrum.shape[1])
    turned = np.angle(spectrum[after]) - np.angle(spectrum[before]) - expected
    advance = expected + turned - 2 * np.pi * np.round(turned / (2 * np.pi))
    phase = np.angle(spectrum[0]) + np.cumsum(advance, axis=0) - advance
    return spectra.griffin_lim(magnitudes.astype(np.float32), phase, grid, length, 0, 0.0)
