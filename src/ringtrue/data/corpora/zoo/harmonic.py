"""Harmonics: speech as a sum of sinusoids, with noise or without."""

from __future__ import annotations

import numpy as np

from ringtrue.data.corpora.zoo import spectra
from ringtrue.data.corpora.zoo.excitation import Array
from ringtrue.data.corpora.zoo.source_filter import through_cepstra
from ringtrue.data.corpora.zoo.speech import HOP, RATE_HZ, Samples, Speech


def sinusoidal(speech: Speech, rng: np.random.Generator) -> Samples:
    """Keep each frame's highest peaks as sinusoids; their phases are the person's, or follow from their pitch.

    McAulay and Quatieri, "Speech analysis/synthesis based on a sinusoidal representation" (1986).
    """
    grid = spectra.draw_grid(rng, sizes=(512, 1024), overlaps=(4,))
    spectrum = spectra.spectrum_of(speech.wave, grid)
    magnitudes = np.abs(spectrum)
    is_peak = np.zeros(magnitudes.shape, bool)
    is_peak[:, 1:-1] = (magnitudes[:, 1:-1] > magnitudes[:, :-2]) & (magnitudes[:, 1:-1] >= magnitudes[:, 2:])
    count = int(rng.integers(20, 61))
    height = np.where(is_peak, magnitudes, 0)
    least = np.partition(height, -count, axis=1)[:, -count][:, None]
    is_peak &= height >= least
    lobe = is_peak.copy()  # a Hann window's main lobe is two bins to each side
    for step in (1, 2):
        lobe[:, step:] |= is_peak[:, :-step]
        lobe[:, :-step] |= is_peak[:, step:]
    kept = np.where(lobe, magnitudes, 0)
    phase = np.angle(spectrum) if rng.integers(2) else spectra.spsi_phase(kept, grid)
    return spectra.griffin_lim(kept, phase, grid, speech.wave.size, 0, 0.0)


def harmonic_noise(speech: Speech, rng: np.random.Generator) -> Samples:
    """Sum harmonics up to a frequency, and shape noise above it and where it is unvoiced.

    Stylianou, "Applying the harmonic plus noise model in concatenative speech synthesis" (2001).
    """
    limit_hz = rng.uniform(2500, 6000)
    low, cepstra, grid = _harmonics(speech.wave, speech.pitch_hz, limit_hz, rng)
    noise = rng.standard_normal(speech.wave.size)
    voiced = speech.sample_pitch_hz > 0
    high = _above(noise, limit_hz)
    noise = np.where(voiced, high, noise)
    return low + through_cepstra(cepstra, noise, grid)


def harmonic_only(speech: Speech, rng: np.random.Generator) -> Samples:
    """Sum harmonics over the whole band, of a made-up low pitch where it is unvoiced: nothing is noise."""
    hz = speech.pitch_hz
    heard = hz[hz > 0]
    held = float(np.median(heard)) if heard.size else 120.0
    places = np.arange(hz.size)
    filled = np.interp(places, places[hz > 0], heard) if heard.size else np.full(hz.size, held)
    return _harmonics(speech.wave, np.where(hz > 0, hz, filled * rng.uniform(0.5, 0.9)), 7900.0, rng)[0]


def _harmonics(
    wave: Samples, pitch_hz: Array, limit_hz: float, rng: np.random.Generator
) -> tuple[Samples, Array, spectra.Grid]:
    """Sum the harmonics below a frequency, as high as the cepstral envelope says.

    Returns:
        The wave `(T,)`; the envelope's cepstra and their grid, for the rest.
    """
    grid = (1024, 64)
    magnitudes = np.abs(spectra.spectrum_of(wave, grid))
    cepstra = spectra.cepstra_of(magnitudes, int(rng.integers(24, 49)))
    envelope = spectra.envelope_of(cepstra, grid[0])
    hz = np.repeat(pitch_hz, HOP)[: wave.size]
    voiced = hz > 0
    turns = 2 * np.pi * np.cumsum(hz) / RATE_HZ
    lowest = hz[voiced].min() if voiced.any() else limit_hz
    offsets = rng.uniform(0, 2 * np.pi, int(limit_hz / lowest) + 1) * rng.integers(2)
    step = 32  # samples between places at which amplitudes are looked up
    places = np.arange(0, hz.size, step)
    frames = np.minimum(np.round(places / grid[1]).astype(int), len(envelope) - 1)
    out = np.zeros(hz.size, np.float32)
    base = np.exp(1j * turns).astype(np.complex64)
    spin = np.ones_like(base)
    # The harmonics of pulses of unit power: so voiced and noisy parts are equally loud.
    scale = np.sqrt(4 * hz[places] / RATE_HZ)
    for number in range(1, int(limit_hz / lowest) + 1):
        spin *= base
        there = number * hz[places]
        bins = np.minimum((there * grid[0] / RATE_HZ + 0.5).astype(int), envelope.shape[1] - 1)
        height = np.where((there > 0) & (there < limit_hz), scale * envelope[frames, bins], 0.0)
        height = np.repeat(height.astype(np.float32), step)[: hz.size]
        turned = np.complex64(np.exp(1j * offsets[number - 1]))
        out += height * (spin * turned).real
    return out, cepstra, grid


def _above(noise: Array, limit_hz: float) -> Array:
    import scipy.signal

    return np.asarray(
        scipy.signal.sosfilt(scipy.signal.butter(4, limit_hz, "high", fs=RATE_HZ, output="sos"), noise)
    )
