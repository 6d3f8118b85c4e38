"""A recording of any origin -> the same recording with every cue removed that is not in the speech itself.

Corpora differ by class in trivial ways: level, bandwidth, codec, silence around the words, noise floor. A
countermeasure learns those first. So both classes pass through one chain, and whatever is random in it is
drawn from the *source utterance*: a human clip and its copy-synthesised twin get the same codec, the same
noise and the same level, and differ by the vocoder alone.

The constants were chosen on train and dev of the small corpus by the content-blind floor: a random forest on
level, band energies, silence and duration, five folds grouped by speaker. Text-to-speech against people: EER
23.5 % with the band cut at 3.8 kHz and 24.5 % at 7 kHz (noise at -66 to -48 dB), 22.6 % without the codecs,
27.3 % with noise at -56 to -40 dB; 27.8 % as it is now, and 43.2 % for copy-synthesis. A narrow band hides
nothing more, so the wide one stays. What is left is in the speech: its crest factor, its spectral tilt.
"""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from ringtrue.data.augment import band_limit, codec_round_trip
from ringtrue.files import stable_int

Samples = npt.NDArray[np.float32]

RATE_HZ = 16_000
BAND_HZ = (80.0, 7_000.0)
LEVEL_DB = -26.0  # RMS over speech frames, dB re full scale (the ITU-T P.56 habit)
NOISE_DB = (-60.0, -44.0)  # range that the level of the added noise is drawn from, dB re full scale
MARGIN_S = 0.035  # kept around the speech: shorter than any codec's pre-echo, longer than a stop's burst
CODECS = ("none", "vorbis", "g722", "opus", "amr_nb", "mp3")

_HOP = 160  # samples: 10 ms
_FRAME = 400  # samples: 25 ms
_PEAK = 0.98


def harmonise(samples: Samples, source: str, seed: int) -> Samples:
    """Fade, level, add the noise floor, pass through the drawn codec and limit the band.

    Args:
        samples: One clip, (T,), 16 kHz, that `trim` made or that was re-synthesised from one.
        source: Id of the human recording that it is or was made from; of itself where there is none.
        seed: The corpus's seed.

    Returns:
        (T,) samples, 16 kHz, at `LEVEL_DB`, never clipped.
    """
    clean = to_level(_faded(samples))
    rng = np.random.default_rng(stable_int(seed, "noise", source))
    noise_db = rng.uniform(*NOISE_DB)
    noise = 10 ** (noise_db / 20) * rng.standard_normal(len(clean))
    noisy = band_limit((clean + noise).astype(np.float32), *BAND_HZ)
    codec = codec_of(source, seed)
    coded = noisy if codec == "none" else codec_round_trip(noisy, codec)
    # The codec may shift the level and leave noise above the band: both are set once more, last.
    return to_level(band_limit(coded, *BAND_HZ))


def codec_of(source: str, seed: int) -> str:
    """Draw the codec of a source utterance.

    Args:
        source: Id of the source utterance: twins share it, so they share the codec.
        seed: The corpus's seed.

    Returns:
        One of `CODECS`, each equally likely.
    """
    return CODECS[stable_int(seed, "codec", source) % len(CODECS)]


def to_level(samples: Samples) -> Samples:
    """Bring the speech to `LEVEL_DB`.

    Args:
        samples: (T,), 16 kHz.

    Returns:
        (T,) samples; lower than `LEVEL_DB` where a peak would clip, since a limiter would leave a trace.
    """
    power = _frame_power(samples)[speech_frames(samples)]
    if not power.size or power.mean() <= 0:
        return samples
    gain = 10 ** (LEVEL_DB / 20) / np.sqrt(power.mean())
    peak = float(np.abs(samples).max())
    return (min(gain, _PEAK / peak) * samples).astype(np.float32)


def trim(samples: Samples) -> Samples:
    """Cut the silence before and after the speech, down to `MARGIN_S`.

    Args:
        samples: (T,), 16 kHz.

    Returns:
        The part with speech; empty where nothing is speech.
    """
    frames = np.flatnonzero(speech_frames(samples))
    if not frames.size:
        return samples[:0]
    margin = round(MARGIN_S * RATE_HZ)
    start = max(0, frames[0] * _HOP - margin)
    return samples[start : frames[-1] * _HOP + _FRAME + margin]


def _faded(samples: Samples) -> Samples:
    """Fade in and out over half the margins, so that where a clip was cut cannot be heard."""
    ramp = (0.5 - 0.5 * np.cos(np.linspace(0, np.pi, round(MARGIN_S * RATE_HZ) // 2))).astype(np.float32)
    faded = samples.copy()
    faded[: len(ramp)] *= ramp
    faded[-len(ramp) :] *= ramp[::-1]
    return faded


def speech_frames(samples: Samples) -> npt.NDArray[np.bool_]:
    """Find speech by its energy alone: no model, so the same everywhere and for every language.

    A frame is speech when it is within 30 dB of the loud frames and clear of the floor by 40 % of the
    distance between the two; pauses under 0.2 s inside speech count as speech, bursts under 50 ms do not.

    Args:
        samples: (T,), 16 kHz.

    Returns:
        (L,) one flag for each 10 ms hop of 25 ms frames; empty for clips shorter than a frame.
    """
    level_db = 10 * np.log10(_frame_power(samples) + 1e-10)
    if not level_db.size or level_db.max() < -70.0:
        return np.zeros(len(level_db), bool)
    floor_db, loud_db = np.percentile(level_db, [5, 95])
    range_db = loud_db - floor_db
    # A clip without a pause shows no floor: its range is small, and only the first rule can be used.
    above_floor_db = floor_db + 0.4 * range_db if range_db > 12.0 else -np.inf
    threshold_db = max(loud_db - 30.0, above_floor_db)
    return _without_short(_without_short(level_db > threshold_db, 20, False), 5, True)


def is_speech(samples: Samples) -> bool:
    """Say whether a trimmed clip is worth having: long enough, loud enough, and moving as speech moves.

    Args:
        samples: (T,), 16 kHz.

    Returns:
        True for 1.2 to 10 s, at least 55 % of it speech, whose level varies (music beds and hum do not).
    """
    if not 1.2 <= len(samples) / RATE_HZ <= 10.0:
        return False
    power = _frame_power(samples)
    frames = speech_frames(samples)
    level_db = 10 * np.log10(power + 1e-10)
    loud_enough = np.percentile(level_db, 95) > -50.0
    return bool(loud_enough and frames.mean() >= 0.55 and level_db.std() >= 4.0)


def _frame_power(samples: Samples) -> npt.NDArray[np.float64]:
    if len(samples) < _FRAME:
        return np.zeros(0)
    frames = np.lib.stride_tricks.sliding_window_view(samples, _FRAME)[::_HOP]
    return np.square(frames, dtype=np.float64).mean(axis=1)


def _without_short(flags: npt.NDArray[np.bool_], shortest: int, value: bool) -> npt.NDArray[np.bool_]:
    """Flip runs of `value` that are shorter than `shortest` frames; for False, only runs inside."""
    flags = flags.copy()
    edges = np.flatnonzero(np.diff(flags, prepend=~flags[:1], append=~flags[-1:]))
    for start, stop in itertools.pairwise(edges):
        inside = start > 0 and stop < len(flags)
        if flags[start] == value and stop - start < shortest and (inside or value):
            flags[start:stop] = not value
    return flags
