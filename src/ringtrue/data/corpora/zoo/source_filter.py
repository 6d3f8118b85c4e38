"""Source and filter: an envelope, and pulses or noise through it, as vocoders did before networks."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringtrue.data.corpora.zoo import excitation, spectra
from ringtrue.data.corpora.zoo.speech import RATE_HZ, Samples, Speech, World, frames_of
from ringtrue.errors import require

Array = NDArray[Any]


def world(speech: Speech, rng: np.random.Generator) -> Samples:
    """Take it apart by WORLD and put it together again, with a little error in pitch and noise.

    Morise, Yokomori and Ozawa, "WORLD: a vocoder-based high-quality speech synthesis system" (IEICE 2016).
    """
    seen = speech.world
    knots = rng.standard_normal(len(seen.pitch_hz) // 20 + 2)  # one every 100 ms
    drift = np.interp(np.arange(len(seen.pitch_hz)), 20 * np.arange(len(knots)), knots)
    pitch_hz = seen.pitch_hz * 2 ** (rng.uniform(0, 0.03) * drift)
    noisy = np.clip(seen.aperiodicity ** rng.uniform(0.6, 1.6), 0, 1)
    return from_world(World(pitch_hz, seen.envelope, noisy), speech.wave.size)


def world_coded(speech: Speech, rng: np.random.Generator) -> Samples:
    """The same with the envelope and the noise coded in a few numbers, as acoustic models predict them."""
    pyworld: Any = require("pyworld", "probe")
    seen, size = speech.world, 2 * (speech.world.envelope.shape[1] - 1)
    coded = pyworld.code_spectral_envelope(seen.envelope, RATE_HZ, int(rng.integers(20, 61)))
    noise = pyworld.code_aperiodicity(seen.aperiodicity, RATE_HZ)
    return from_world(
        World(
            seen.pitch_hz,
            pyworld.decode_spectral_envelope(coded, RATE_HZ, size),
            pyworld.decode_aperiodicity(noise, RATE_HZ, size),
        ),
        speech.wave.size,
    )


def from_world(parts: World, length: int) -> Samples:
    """Let WORLD speak.

    Args:
        parts: What to say.
        length: Samples wanted.

    Returns:
        `(length,)` float32.

    Raises:
        MissingExtraError: pyworld is absent.
    """
    pyworld: Any = require("pyworld", "probe")
    columns = (parts.pitch_hz, parts.envelope, parts.aperiodicity)
    made = pyworld.synthesize(*(np.ascontiguousarray(c, dtype=np.float64) for c in columns), RATE_HZ)
    return spectra.fitted(made, length)


def lpc(speech: Speech, rng: np.random.Generator) -> Samples:
    """Linear prediction with pulses or noise (Atal and Hanauer, 1971)."""
    return through_lpc(speech, excitation.pulses(speech, rng, rng.uniform(0, 0.03)), rng)


def lpc_glottal(speech: Speech, rng: np.random.Generator) -> Samples:
    """Linear prediction with glottal waves and breath."""
    source = excitation.glottal(speech, rng, rng.uniform(0.4, 0.8), rng.uniform(0.05, 0.4))
    return through_lpc(speech, source, rng)


def lpc_residual(speech: Speech, rng: np.random.Generator) -> Samples:
    """Linear prediction with its own residual, whose low band alone was sent: the rest is folded up from it.

    Un and Magill, "The residual-excited linear prediction vocoder" (1975).
    """
    import scipy.signal

    hop, predictors, _ = _analysed(speech.wave, rng)
    residual = _filtered(_emphasised(speech.wave), predictors, np.ones(len(predictors)), hop, inverse=True)
    keep = int(rng.integers(3, 7))  # of this many samples one
    low = scipy.signal.sosfiltfilt(scipy.signal.butter(6, 0.9 / keep, output="sos"), residual)
    folded = np.zeros_like(low)
    folded[::keep] = keep * low[::keep]
    made = _filtered(folded, predictors, np.ones(len(predictors)), hop)
    return _deemphasised(made, speech.wave.size)


def cepstral(speech: Speech, rng: np.random.Generator) -> Samples:
    """A cepstral envelope of minimal phase over pulses and noise.

    After Imai (1983), with the filter applied to short-time spectra instead of by the MLSA structure.
    """
    grid = (1024, int(rng.choice([64, 128])))
    magnitudes = np.abs(spectra.spectrum_of(speech.wave, grid))
    cepstra = spectra.cepstra_of(magnitudes, int(rng.integers(20, 51)))
    source = excitation.mixed(speech, rng, rng.uniform(1500, 6000))
    return through_cepstra(cepstra, source, grid)


def through_cepstra(cepstra: Array, source: Array, grid: spectra.Grid) -> Samples:
    """Filter an excitation by envelopes that change from frame to frame.

    Args:
        cepstra: `(L, order + 1)`, real.
        source: `(T,)` of unit power.
        grid: That of the cepstra.

    Returns:
        `(T,)` float32.
    """
    excited = spectra.spectrum_of(source.astype(np.float32), grid)
    return spectra.from_spectrum(excited * spectra.minimum_phase(cepstra, grid[0]), grid, source.size)


def through_lpc(speech: Speech, source: Array, rng: np.random.Generator) -> Samples:
    """Filter an excitation of unit power by the all-pole envelopes of a recording, `(T,)`."""
    hop, predictors, gains = _analysed(speech.wave, rng)
    return _deemphasised(_filtered(source, predictors, gains, hop), speech.wave.size)


def _analysed(wave: Samples, rng: np.random.Generator) -> tuple[int, Array, Array]:
    """Draw order and hop; give the hop, predictors `(L, order + 1)` and gains `(L,)`."""
    order, hop = int(rng.integers(12, 27)), int(rng.choice([80, 160, 240]))
    frames = frames_of(_emphasised(wave), max(3 * hop, 400), hop)
    return hop, *_linear_prediction(frames, order)


def _linear_prediction(frames: Array, order: int) -> tuple[Array, Array]:
    """Levinson and Durbin's recursion over all frames at once."""
    import scipy.fft

    window = np.hamming(frames.shape[1])
    power = np.abs(scipy.fft.rfft(frames * window, 1024, axis=1)) ** 2
    products = scipy.fft.irfft(power, axis=1)[:, : order + 1]
    products[:, 0] = products[:, 0] * (1 + 1e-5) + 1e-9  # white noise 50 dB down: silence stays stable
    predictor = np.zeros_like(products)
    predictor[:, 0] = 1
    error = products[:, 0].copy()
    for step in range(1, order + 1):
        reflection = -(predictor[:, :step] * products[:, step:0:-1]).sum(axis=1) / error
        predictor[:, 1 : step + 1] += reflection[:, None] * predictor[:, step - 1 :: -1][:, :step]
        error *= 1 - reflection**2
    return predictor, np.sqrt(np.maximum(error, 0) / (window**2).sum())


def _filtered(source: Array, predictors: Array, gains: Array, hop: int, *, inverse: bool = False) -> Array:
    """Run a wave through filters that change with every hop, whose memory runs on: no clicks."""
    import scipy.signal

    out = np.zeros(len(gains) * hop)
    padded = spectra.fitted(source, len(out)).astype(np.float64)
    state = np.zeros(predictors.shape[1] - 1)
    for number, (predictor, gain) in enumerate(zip(predictors, gains, strict=True)):
        part = slice(number * hop, (number + 1) * hop)
        above, below = (predictor, [1.0]) if inverse else ([gain], predictor)
        out[part], state = scipy.signal.lfilter(above, below, padded[part], zi=state)
    return out


def _emphasised(wave: Samples) -> Samples:
    return np.append(wave[:1], wave[1:] - np.float32(0.97) * wave[:-1])


def _deemphasised(wave: Array, length: int) -> Samples:
    import scipy.signal

    return spectra.fitted(scipy.signal.lfilter([1], [1, -0.97], wave), length)
