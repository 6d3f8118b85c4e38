"""Coding: spectra in so few bits that they are a choice among known sounds, and codecs at their lowest rates."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringtrue.data.corpora.zoo import mel, spectra
from ringtrue.data.corpora.zoo.speech import Samples, Speech

Array = NDArray[Any]


def low_rate_codec(speech: Speech, rng: np.random.Generator) -> Samples:
    """Pass through two speech codecs in turn, each near its lowest bit rate.

    Once through a codec at a usual rate is what happens to people's recordings; that would be no machine's voice.
    """
    from ringtrue.data.augment import CODECS, available_codecs, codec_round_trip

    able = [name for name in available_codecs() if CODECS[name].kbps]
    wave = speech.wave
    for name in rng.choice(able, 2):
        low, high = CODECS[name].kbps_range
        kbps = low if name.startswith("amr") else min(rng.uniform(1, 1.4) * low, high)
        wave = codec_round_trip(wave, str(name), float(kbps))
    return wave


def vector_quantised(speech: Speech, rng: np.random.Generator) -> Samples:
    """Let every mel frame be one of a small codebook, then Griffin-Lim.

    The codebook is found by a few rounds of Lloyd's algorithm on the recording itself.
    """
    grid, filters, mels = mel.analysed(speech, rng)
    log_mels = np.log(mels + 1e-5)
    level = log_mels.mean(axis=1, keepdims=True)
    shape = log_mels - level
    codes = shape[rng.permutation(len(shape))[: int(rng.choice([64, 128, 256]))]]
    for _ in range(4):
        nearest = _nearest(shape, codes)
        counts = np.bincount(nearest, minlength=len(codes))
        sums = np.zeros_like(codes)
        np.add.at(sums, nearest, shape)
        codes = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], codes)
    step = rng.uniform(0.1, 0.4)  # of the level, nepers
    coded = np.exp(codes[_nearest(shape, codes)] + step * np.round(level / step))
    return mel.voiced(spectra.unmelled(coded, filters, 3), grid, speech.wave.size, rng)


def quantised_spectrum(speech: Speech, rng: np.random.Generator) -> Samples:
    """Round levels to steps of 4 to 10 dB and phases to 4 to 16 directions, and drop what is masked."""
    grid = spectra.draw_grid(rng, sizes=(512, 1024), overlaps=(2, 4))
    spectrum = spectra.spectrum_of(speech.wave, grid)
    magnitudes = np.abs(spectrum)
    step = rng.uniform(4, 10) * np.log(10) / 20
    rounded = np.exp(step * np.round(np.log(np.maximum(magnitudes, 1e-6)) / step))
    floor = magnitudes.max(axis=1, keepdims=True) * 10 ** (-rng.uniform(25, 45) / 20)
    circle = 2 * np.pi / int(rng.choice([4, 8, 16]))
    phase = circle * np.round(np.angle(spectrum) / circle)
    kept = np.where(magnitudes > floor, rounded, 0).astype(np.float32)
    return spectra.griffin_lim(kept, phase, grid, speech.wave.size, 0, 0.0)


def _nearest(points: Array, codes: Array) -> Array:
    """Give the number of the nearest code for each point, `(L,)`."""
    return np.argmin((codes**2).sum(axis=1) - 2 * points @ codes.T, axis=1)
