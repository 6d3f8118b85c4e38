"""A human recording -> the same speech through a classical vocoder; runs inside engine_worker.

Every vocoder is ``(wave, rate_hz, seed) -> (wave, rate_hz)``: float32 mono, and an output exactly as long
as the input, so that the two differ by nothing but the vocoder.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import numpy.typing as npt
from engine_mels import Mel, fitted, istft, mel_filters, resampled, stft  # type: ignore[import-not-found]

Wave = npt.NDArray[np.float32]
Array = npt.NDArray[Any]

_GRIFFIN_LIM = Mel(16000, 1024, 256, 1024, 0.0, 8000.0)
_GRIFFIN_LIM_ITERATIONS = 32
_GRIFFIN_LIM_MOMENTUM = 0.99  # Perraudin, Balazs and Sondergaard, WASPAA 2013


def copy_griffinlim(wave: Wave, rate_hz: int, seed: int) -> tuple[Wave, int]:
    """Phase by fast Griffin-Lim from an 80-band mel spectrogram, from a random start."""
    mel = _GRIFFIN_LIM
    wave = resampled(wave, rate_hz, mel.rate_hz)
    magnitudes = _unmelled(mel.magnitudes(wave), mel)
    phases = np.random.default_rng(seed).uniform(0, 2 * np.pi, magnitudes.shape).astype(np.float32)
    guess, previous = magnitudes * np.exp(1j * phases), np.zeros((), np.complex64)
    for _ in range(_GRIFFIN_LIM_ITERATIONS):
        rebuilt = stft(istft(guess, mel.hop, mel.win, wave.size), mel.n_fft, mel.hop, mel.win)
        pushed = rebuilt + _GRIFFIN_LIM_MOMENTUM * (rebuilt - previous)
        previous = rebuilt
        guess = magnitudes * (pushed / np.maximum(np.abs(pushed), 1e-9))
    return istft(guess, mel.hop, mel.win, wave.size), mel.rate_hz


def _unmelled(mels: Array, mel: Mel) -> Array:
    """Give non-negative linear magnitudes whose mel spectrum is `mels`, by multiplicative updates."""
    filters = mel_filters(mel)
    linear = np.maximum(mels @ np.linalg.pinv(filters).T, 1e-3 * mels.mean() + 1e-9)
    numerator, gram = mels @ filters, filters.T @ filters
    for _ in range(8):  # Lee and Seung (2001): stays non-negative, the error never rises
        linear = linear * numerator / np.maximum(linear @ gram, 1e-12)
    return np.asarray(linear, np.float32)


_LPC_ORDER = 20
_LPC_HOP = 160  # samples at 16 kHz: 10 ms
_LPC_WIN = 480  # samples: 30 ms
_LPC_VOICED = 0.45  # normalised autocorrelation at the pitch lag above which a frame counts as voiced


def copy_lpc(wave: Wave, rate_hz: int, seed: int) -> tuple[Wave, int]:
    """Classic linear-prediction vocoder: all-pole envelope, pulses or noise, one decision per 10 ms."""
    import scipy.signal

    rng = np.random.default_rng(seed)
    wave = resampled(wave, rate_hz, 16000)
    emphasised = np.asarray(scipy.signal.lfilter([1, -0.97], [1], wave), np.float32)
    predictors, gains = _linear_prediction(_frames(emphasised, _LPC_WIN))
    periods = _pitch_periods(wave)
    out = np.zeros(len(gains) * _LPC_HOP)
    state, next_pulse = np.zeros(_LPC_ORDER), 0.0
    for index, (predictor, gain, period) in enumerate(zip(predictors, gains, periods, strict=True)):
        start = index * _LPC_HOP
        excitation = np.zeros(_LPC_HOP)
        if period:
            while next_pulse < start + _LPC_HOP:
                excitation[int(next_pulse) - start] = np.sqrt(period)  # unit power, like the noise
                next_pulse += period
        else:
            excitation = rng.standard_normal(_LPC_HOP)
            next_pulse = start + _LPC_HOP
        next_pulse = max(next_pulse, float(start + _LPC_HOP))
        # The filter's memory runs on across frames: no clicks where the envelope changes.
        out[start : start + _LPC_HOP], state = scipy.signal.lfilter([gain], predictor, excitation, zi=state)
    return fitted(scipy.signal.lfilter([1], [1, -0.97], out), wave.size), 16000


def _frames(wave: Wave, win: int) -> Array:
    """Frames (L, win) centred on the middle of each hop."""
    count = -(-wave.size // _LPC_HOP)
    left = (win - _LPC_HOP) // 2
    padded = np.pad(wave, (left, count * _LPC_HOP + win - wave.size))
    return np.lib.stride_tricks.sliding_window_view(padded, win)[: count * _LPC_HOP : _LPC_HOP]


def _linear_prediction(frames: Array) -> tuple[Array, Array]:
    """Levinson-Durbin over all frames at once -> predictors (L, order + 1) and gains per sample (L,)."""
    frames = frames * np.hamming(frames.shape[1])
    power = np.abs(np.fft.rfft(frames, 1024, axis=1)) ** 2
    correlation = np.fft.irfft(power, axis=1)[:, : _LPC_ORDER + 1]
    correlation[:, 0] = correlation[:, 0] * (1 + 1e-5) + 1e-9  # white noise 50 dB down: silence stays stable
    predictor = np.zeros_like(correlation)
    predictor[:, 0] = 1
    error = correlation[:, 0].copy()
    for order in range(1, _LPC_ORDER + 1):
        reflection = -(predictor[:, :order] * correlation[:, order:0:-1]).sum(axis=1) / error
        predictor[:, 1 : order + 1] += reflection[:, None] * predictor[:, order - 1 :: -1][:, :order]
        error *= 1 - reflection**2
    window_power = (np.hamming(frames.shape[1]) ** 2).sum()
    return predictor, np.sqrt(np.maximum(error, 0) / window_power)


def _pitch_periods(wave: Wave) -> Array:
    """Pitch period per hop in samples at 16 kHz, 0 where unvoiced, by normalised autocorrelation."""
    import scipy.ndimage
    import scipy.signal

    low = scipy.signal.sosfiltfilt(scipy.signal.butter(4, 900, fs=16000, output="sos"), wave, padtype=None)
    frames = _frames(np.asarray(low, np.float32), 800)
    frames = frames - frames.mean(axis=1, keepdims=True)
    spectrum = np.abs(np.fft.rfft(frames, 2048, axis=1)) ** 2
    shortest, longest = 16000 // 400, 16000 // 60
    correlation = np.fft.irfft(spectrum, axis=1)[:, : longest + 1]
    energy = correlation[:, :1] + 1e-9
    # A lag leaves 800 - lag products in the sum; divide by their share, or long periods lose.
    normalised = correlation / energy / (1 - np.arange(longest + 1) / 800)
    lags = normalised[:, shortest:].argmax(axis=1) + shortest
    peaks = normalised[np.arange(len(lags)), lags]
    half = lags // 2  # the true period scores nearly as well as its double: prefer it
    at_half = normalised[np.arange(len(lags)), half]
    lags = np.where((half >= shortest) & (at_half > 0.9 * peaks), half, lags)
    loud = energy[:, 0] > energy.max() * 1e-4
    voiced = (peaks > _LPC_VOICED) & loud
    smooth = scipy.ndimage.median_filter(np.where(voiced, lags, 0).astype(float), 3, mode="constant")
    return np.asarray(smooth, float)


def copy_world(wave: Wave, rate_hz: int, seed: int) -> tuple[Wave, int]:
    """WORLD analysis and synthesis (Morise, Yokomori and Ozawa, 2016)."""
    pyworld = importlib.import_module("pyworld")
    samples = wave.astype(np.float64)
    pitch_hz, times = pyworld.dio(samples, rate_hz)
    pitch_hz = pyworld.stonemask(samples, pitch_hz, times, rate_hz)
    envelope = pyworld.cheaptrick(samples, pitch_hz, times, rate_hz)
    aperiodicity = pyworld.d4c(samples, pitch_hz, times, rate_hz)
    return fitted(pyworld.synthesize(pitch_hz, envelope, aperiodicity, rate_hz), wave.size), rate_hz


def copy_mlsa(wave: Wave, rate_hz: int, seed: int) -> tuple[Wave, int]:
    """Mel-cepstral vocoder: 24 coefficients, pulses or noise, through an MLSA filter."""
    pysptk = importlib.import_module("pysptk")
    synthesis = importlib.import_module("pysptk.synthesis")
    hop, order, alpha = 80, 24, 0.42  # 5 ms at 16 kHz; alpha as SPTK recommends for that rate
    samples = resampled(wave, rate_hz, 16000).astype(np.float64) * 32768  # SPTK's defaults expect 16-bit
    count = -(-samples.size // hop)
    padded = np.pad(samples, (512, count * hop + 512 - samples.size))
    frames = np.lib.stride_tricks.sliding_window_view(padded, 1024)[: count * hop : hop]
    noise = np.random.default_rng(seed).standard_normal((count, 1024))  # digital silence has no cepstrum
    cepstra = pysptk.mcep(frames * pysptk.blackman(1024) + noise, order, alpha)
    periods = pysptk.swipe(samples, 16000, hop, min=60, max=400, otype="pitch")
    periods = np.pad(periods, (0, max(0, count - periods.size)))[:count]
    excitation = pysptk.excite(np.ascontiguousarray(periods), hop, seed=seed % 2**31 or 1)
    synthesiser = synthesis.Synthesizer(synthesis.MLSADF(order=order, alpha=alpha), hop)
    made = synthesiser.synthesis(excitation, pysptk.mc2b(cepstra, alpha)) / 32768
    return fitted(made, samples.size), 16000
