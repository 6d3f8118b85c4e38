"""(T,) samples -> how they are said: pitch, voicing, loudness and pauses over time, and statistics; numpy only.

This file is the definition. `ringtrue.models.prosody` computes the same contours with torch inside a model, from
the constants and matrices made here, and a test holds the two together.

Pitch is read off the autocorrelation of a window divided by the autocorrelation of the window itself (Boersma,
"Accurate short-term analysis of the fundamental frequency", 1993), evaluated on a grid of candidates that are
equally spaced in pitch. Every frame then hears its neighbours: a candidate gains what a candidate within reach
of it scores in the frames before and after, which is dynamic programming with a short memory and, unlike a
Viterbi search, has no loop over time. Nothing is decided by an argmax or a sort: where two candidates are equally
good, the last bit of a sum must not choose between them, or torch and ONNX Runtime would disagree by an octave.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ringtrue.audio import SAMPLE_RATE_HZ
from ringtrue.windows import CONTENT_FRAME, CONTENT_STRIDE

Array = NDArray[np.float64]

RATE_HZ = (
    25  # contour frames a second; frame j is centred on sample 200 + 640 j, on every second evidence frame
)
CHANNELS = (
    "pitch",  # octaves from the clip's median, carried over unvoiced frames
    "voicing",  # 0 to 1
    "pitch_delta",  # octaves a frame
    "level",  # bels from the clip's mean
    "level_delta",  # bels a frame
    "tilt",  # bels: level of the first difference less level, from the clip's mean; rises with treble
    "periodicity",  # height of the autocorrelation's peak, at most about 1; harmonics-to-noise r / (1 - r)
    "pause",  # 0 to 1: at least 0.2 s that are 35 dB below the loudest frame
)

LOWEST_HZ, HIGHEST_HZ = 60.0, 400.0  # range of pitch
DECIMATION = 4  # pitch is sought at 4 kHz
LOWPASS_TAPS = 61
WINDOW = 200  # samples at 4 kHz: 50 ms, three periods of the lowest pitch
STRIDE = CONTENT_STRIDE // DECIMATION
FFT = 256  # aliases lags above 56 samples onto the last percent of the window, where it is zero
BAND_HZ = (50.0, 80.0, 1000.0, 1250.0)  # trapezium that the spectrum is weighted with
PER_OCTAVE = 72  # candidates
OCTAVE_COST = 0.14  # what a candidate loses for each octave that it lies below the highest
REACH = 12  # candidates: pitch may move by two semitones in 20 ms
MEMORY = 3  # frames on either side that are heard
FADE = 0.8  # weight of a frame relative to the one after it
SHARPNESS = 80.0  # of the choice among candidates, per unit of score
SILENCE = 3e-3  # of the clip's mean power: added to a frame's, so that silence has no pitch
VOICED, VOICED_SPREAD = 0.5, 0.05  # periodicity at which voicing is one half; its scale
CARRY = 2.0  # frames within which the weight of a voiced frame for an unvoiced one falls to 1 / e
CARRY_FLOOR = 1e-3  # what all voiced frames must weigh together, or the clip's median takes over
MEDIAN_STEPS, MEDIAN_WIDTH = 8, 0.02  # Weiszfeld's iterations; octaves within which he takes the mean
PAUSE_BELOW_BEL, PAUSE_SPREAD, PAUSE_REACH = 3.5, 0.1, 2
FLOOR = 1e-7  # power of -70 dB, where a level is no longer told from silence, for a clip at -26 dB
LEVEL = 0.05  # RMS that every clip is brought to
MIX = np.array([0.25, 0.5, 0.25])  # from 50 to 25 frames a second


def lowpass() -> Array:
    """Make the filter before decimation: `(LOWPASS_TAPS,)`, a windowed sinc that passes what pitch is read from."""
    n = np.arange(LOWPASS_TAPS) - LOWPASS_TAPS // 2
    cutoff = 2 * 1600.0 / SAMPLE_RATE_HZ
    taps: Array = cutoff * np.sinc(cutoff * n) * np.hamming(LOWPASS_TAPS)
    return taps / taps.sum()


def fourier_kernels() -> Array:
    """Make windowed cosines, then sines, of the bins in the band: `(2 K, WINDOW)`."""
    angle = 2 * np.pi * _bins()[:, None] * np.arange(WINDOW) / FFT
    return np.concatenate([np.cos(angle), np.sin(angle)]) * _window()


def candidates() -> Array:
    """Give the candidates' pitch: `(G,)` octaves above `LOWEST_HZ`, from half a semitone below to as much above."""
    return np.arange(-3, round(PER_OCTAVE * np.log2(HIGHEST_HZ / LOWEST_HZ)) + 4) / PER_OCTAVE


def lag_matrix() -> Array:
    """Make what turns power spectra `(…, K)` into autocorrelations at the candidates' periods and 0: `(K, G + 1)`."""
    hz = _bins() * SAMPLE_RATE_HZ / DECIMATION / FFT
    weights = np.interp(hz, BAND_HZ, [0.0, 1.0, 1.0, 0.0])
    lags = np.append(SAMPLE_RATE_HZ / DECIMATION / (LOWEST_HZ * 2 ** candidates()), 0.0)
    own = np.abs(np.fft.rfft(_window(), 8 * FFT)) ** 2  # the window's autocorrelation at fractional lags
    window = np.cos(2 * np.pi * np.outer(lags, np.arange(len(own))) / (8 * FFT)) @ own
    return weights[:, None] * np.cos(2 * np.pi * np.outer(_bins(), lags) / FFT) / (window / window[-1])


def _window() -> Array:
    return np.hanning(WINDOW + 1)[:-1]


def _bins() -> Array:
    hz_a_bin = SAMPLE_RATE_HZ / DECIMATION / FFT
    return np.arange(np.ceil(BAND_HZ[0] / hz_a_bin), np.floor(BAND_HZ[-1] / hz_a_bin) + 1)


@dataclass(frozen=True)
class Track:
    """Pitch at 50 frames a second; frame i is centred on sample 200 + 320 i.

    Attributes:
        pitch: `(L,)` octaves above `LOWEST_HZ`; without meaning where there is no voice.
        periodicity: `(L,)` height of the autocorrelation's peak.
        voicing: `(L,)` in [0, 1].
    """

    pitch: Array
    periodicity: Array
    voicing: Array

    @property
    def hz(self) -> Array:
        """Pitch in Hz, 0 where voicing is below one half."""
        return np.where(self.voicing > 0.5, LOWEST_HZ * 2**self.pitch, 0.0)


def contours(samples: NDArray[np.floating]) -> Array:
    """Compute the contours that `ringtrue.models.prosody.ProsodyContours` gives a model.

    Args:
        samples: `(T,)`, 16 kHz, T at least 400.

    Returns:
        `(8, L)` at 25 Hz, rows as in `CHANNELS`, each with a spread of about one; L is
        ``(windows.content_frames(T) + 1) // 2``.
    """
    track = track_pitch(samples)
    voicing = _halved(track.voicing)
    pitch = _halved(track.voicing * track.pitch) / (voicing + 1e-6)
    pitch = _carried(pitch - _median(pitch, voicing), voicing)
    wave = _levelled(samples)
    level = _bels(wave)
    tilt = _bels(np.diff(wave, prepend=0.0)) - level
    quiet = _sigmoid((level.max() - PAUSE_BELOW_BEL - level) / PAUSE_SPREAD)
    pause = _widest(-_widest(-quiet, PAUSE_REACH), PAUSE_REACH)
    level, tilt = level - level.mean(), tilt - tilt.mean()
    periodicity = _halved(track.periodicity)
    return np.stack([pitch, voicing, _slope(pitch), level, _slope(level), tilt, periodicity, pause])


def _halved(x: Array) -> Array:
    """Bring `(L,)` at 50 Hz to 25 Hz."""
    return _framed(np.pad(x, 1, mode="edge"), 3, 2) @ MIX


def _median(pitch: Array, voicing: Array) -> float:
    """Weighted median by Weiszfeld's iterations: steady, where an order statistic would jump."""
    centre = (voicing * pitch).sum() / (voicing.sum() + 1e-6)
    for _ in range(MEDIAN_STEPS):
        weights = voicing / np.sqrt((pitch - centre) ** 2 + MEDIAN_WIDTH**2)
        centre = (weights * pitch).sum() / (weights.sum() + 1e-6)
    return float(centre)


def _carried(pitch: Array, voicing: Array) -> Array:
    """Fill unvoiced frames from the voiced ones around them, near ones first."""
    frames = np.arange(len(pitch))
    near = np.exp(-np.abs(frames[:, None] - frames) / CARRY) * voicing
    return voicing * pitch + (1 - voicing) * (near @ pitch) / (near.sum(axis=1) + CARRY_FLOOR)


def _bels(wave: Array) -> Array:
    """Level of 25-ms frames, at 25 Hz."""
    return np.log10(_halved((_framed(wave, CONTENT_FRAME, CONTENT_STRIDE) ** 2).mean(axis=1)) + FLOOR)


def _slope(x: Array) -> Array:
    padded = np.pad(x, 1, mode="edge")
    return (padded[2:] - padded[:-2]) / 2


def _widest(x: Array, reach: int) -> Array:
    """Give every place along the last dimension the largest of the `reach` places on either side of it."""
    padded = np.pad(x, [(0, 0)] * (x.ndim - 1) + [(reach, reach)], constant_values=-np.inf)
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=-1).max(axis=-1)


def track_pitch(samples: NDArray[np.floating]) -> Track:
    """Follow the pitch of a voice.

    Args:
        samples: `(T,)`, 16 kHz, T at least 400.

    Returns:
        The track; its length is ``windows.content_frames(T)``.
    """
    wave = _levelled(samples)
    padded = np.pad(wave, (LOWPASS_TAPS // 2, LOWPASS_TAPS // 2 + 1 - DECIMATION))
    slow = _framed(padded, LOWPASS_TAPS, DECIMATION) @ lowpass()
    parts = _framed(np.pad(slow, WINDOW // 4), WINDOW, STRIDE) @ fourier_kernels().T
    cosine, sine = np.split(parts, 2, axis=1)
    correlation = (cosine**2 + sine**2) @ lag_matrix()
    strength = correlation[:, :-1] / (correlation[:, -1:] + silence())
    chances = _choose(strength + OCTAVE_COST * candidates())
    periodicity = (chances * strength).sum(axis=1)
    return Track(chances @ candidates(), periodicity, _sigmoid((periodicity - VOICED) / VOICED_SPREAD))


def _choose(own: Array) -> Array:
    """Weigh candidates `(L, G)` by what they and their neighbours in time score; they add up to 1 in a frame."""
    score = SHARPNESS * (own + _heard(own) + _heard(own[::-1])[::-1])
    weights = np.exp(score - score.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def _heard(own: Array) -> Array:
    """Give every frame what the frames before it say for each candidate; the first hears nothing."""
    heard = np.zeros_like(own)
    for _ in range(MEMORY):
        reached = FADE * _widest(own + heard, REACH)
        heard = np.concatenate([np.zeros_like(own[:1]), reached[:-1]])
    return heard


def _levelled(samples: NDArray[np.floating]) -> Array:
    wave = np.asarray(samples, np.float64) - np.mean(samples, dtype=np.float64)
    return wave * (LEVEL / (np.sqrt(np.mean(wave**2)) + 1e-5))


def _framed(x: Array, size: int, stride: int) -> Array:
    return np.lib.stride_tricks.sliding_window_view(x, size)[::stride]


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def silence() -> float:
    """Power added to every frame's autocorrelation at 0, in its units."""
    return float(SILENCE * LEVEL**2 * np.sum(_window() ** 2) * FFT / 2)


@dataclass(frozen=True)
class ProsodyStatistics:
    """How a clip is spoken, in figures that a person can check; None where there is too little to measure.

    Jitter and shimmer are measured from frame to frame (20 ms), not from cycle to cycle: proxies that rise and fall
    with the clinical figures but are not comparable to them.

    Attributes:
        duration_s: Length of the clip.
        voiced_share: Share of frames that are voiced, in [0, 1].
        pitch_hz: Median pitch.
        pitch_sd_semitones: Standard deviation of pitch: how lively the melody is.
        final_lowering_semitones: Pitch of the last 0.3 s of voice less the median: negative where it falls.
        jitter_cents: Median distance of a frame's pitch from the middle of its neighbours'.
        shimmer_db: The same for level.
        periodicity: Mean height of the autocorrelation's peak in voiced frames, in [0, 1].
        speech_rate_hz: Syllable nuclei a second of speech (pauses left out): voiced peaks of the level that
            stand 2 dB above the dips around them (de Jong & Wempe, 2009).
        rhythm_npvi: Normalised pairwise variability of the times between nuclei, percent (Grabe & Low, 2002).
        pause_rate_hz: Pauses of at least 0.2 s between the first and the last speech, a second.
        pause_mean_s: Their mean length.
        pause_sd_s: Standard deviation of their length.
    """

    duration_s: float
    voiced_share: float
    pitch_hz: float | None
    pitch_sd_semitones: float | None
    final_lowering_semitones: float | None
    jitter_cents: float | None
    shimmer_db: float | None
    periodicity: float | None
    speech_rate_hz: float | None
    rhythm_npvi: float | None
    pause_rate_hz: float | None
    pause_mean_s: float | None
    pause_sd_s: float | None


VOICE = (
    "pitch_hz", "pitch_sd_semitones", "final_lowering_semitones", "jitter_cents", "shimmer_db", "periodicity",
    "speech_rate_hz", "rhythm_npvi",
)  # fmt: skip
"""Those of `ProsodyStatistics` that describe a voice; the rest depends on where a clip was cut."""

FRAMES_A_SECOND = SAMPLE_RATE_HZ / CONTENT_STRIDE  # of a `Track`


def statistics(samples: NDArray[np.floating]) -> ProsodyStatistics:
    """Measure how a clip is spoken.

    Args:
        samples: `(T,)`, 16 kHz, T at least 400.

    Returns:
        The figures.

    >>> buzz = np.sign(np.sin(2 * np.pi * 120 * np.arange(32_000) / 16_000))
    >>> round(statistics(buzz).pitch_hz)
    120
    """
    track = track_pitch(samples)
    voiced = track.voicing > 0.5
    level_db = _level_db(samples)
    semitones = 12 * track.pitch
    heard = semitones[voiced]
    some = len(heard) >= 5
    median = float(np.median(heard)) if some else 0.0
    quiet = level_db < level_db.max() - 10 * PAUSE_BELOW_BEL
    pauses_s = _pauses_s(quiet)
    span_s = _span(quiet) / FRAMES_A_SECOND
    nuclei = _nuclei(level_db, voiced)
    spoken_s = span_s - sum(pauses_s)
    return ProsodyStatistics(
        duration_s=len(samples) / SAMPLE_RATE_HZ,
        voiced_share=float(voiced.mean()),
        pitch_hz=LOWEST_HZ * 2 ** (median / 12) if some else None,
        pitch_sd_semitones=float(heard.std()) if some else None,
        final_lowering_semitones=float(heard[-15:].mean()) - median if some else None,
        jitter_cents=_roughness(100 * semitones, voiced),
        shimmer_db=_roughness(level_db, voiced),
        periodicity=float(track.periodicity[voiced].mean()) if some else None,
        speech_rate_hz=len(nuclei) / spoken_s if spoken_s > 0.2 else None,
        rhythm_npvi=_npvi(np.diff(nuclei)),
        pause_rate_hz=len(pauses_s) / span_s if span_s > 0.2 else None,
        pause_mean_s=float(np.mean(pauses_s)) if pauses_s else None,
        pause_sd_s=float(np.std(pauses_s)) if len(pauses_s) > 1 else None,
    )


def _roughness(x: Array, voiced: NDArray[np.bool_]) -> float | None:
    inner = voiced[:-2] & voiced[1:-1] & voiced[2:]
    if inner.sum() < 5:
        return None
    return float(np.median(np.abs(x[1:-1] - (x[:-2] + x[2:]) / 2)[inner]))


def _span(quiet: NDArray[np.bool_]) -> int:
    """Count the frames from the first that is not quiet to the last."""
    loud = np.flatnonzero(~quiet)
    return int(loud[-1] - loud[0] + 1) if len(loud) else 0


def _pauses_s(quiet: NDArray[np.bool_]) -> list[float]:
    """Measure the quiet stretches of at least 0.2 s between the first and the last speech."""
    gaps = np.diff(np.flatnonzero(~quiet)) - 1
    return [float(gap / FRAMES_A_SECOND) for gap in gaps if gap / FRAMES_A_SECOND >= 0.2]


def syllables(samples: NDArray[np.floating]) -> Array:
    """Find syllable nuclei: voiced peaks of the level with a dip of 2 dB between any two.

    Args:
        samples: `(T,)`, 16 kHz, T at least 400.

    Returns:
        Their places, in frames of a `Track`, rising.
    """
    return _nuclei(_level_db(samples), track_pitch(samples).voicing > 0.5)


def _level_db(samples: NDArray[np.floating]) -> Array:
    """Level of 25-ms frames, 50 a second, of a clip at -26 dBFS."""
    frames = _framed(_levelled(samples), CONTENT_FRAME, CONTENT_STRIDE)
    return 10 * np.log10((frames**2).mean(axis=1) + FLOOR)


def _nuclei(level_db: Array, voiced: NDArray[np.bool_]) -> Array:
    """Find syllable nuclei: frames of voiced peaks of the smoothed level with a dip of 2 dB between any two."""
    smooth = np.convolve(np.pad(level_db, 2, mode="edge"), np.array([1, 2, 3, 2, 1]) / 9, mode="valid")
    nuclei: list[int] = []
    peak, dip, rising = (
        0,
        smooth[0],
        False,
    )  # the highest frame since the last dip; the lowest since that peak
    for frame, level in enumerate(smooth):
        if rising and level > smooth[peak]:
            peak = frame
        if rising and smooth[peak] - level >= 2.0:
            if voiced[peak] and smooth[peak] > smooth.max() - 25.0:
                nuclei.append(peak)
            rising, dip = False, level
        dip = min(dip, level)
        if not rising and level - dip >= 2.0:
            rising, peak = True, frame
    if rising and voiced[peak] and smooth[peak] > smooth.max() - 25.0:
        nuclei.append(peak)
    return np.array(nuclei, dtype=np.float64)


def _npvi(gaps: Array) -> float | None:
    near = (gaps[:-1] < 0.6 * FRAMES_A_SECOND) & (gaps[1:] < 0.6 * FRAMES_A_SECOND)  # no pause between them
    if near.sum() < 3:
        return None
    first, second = gaps[:-1][near], gaps[1:][near]
    return float(100 * np.mean(2 * np.abs(first - second) / (first + second)))
