"""A clip of a person -> versions of it that differ in one thing: melody and timing, vocoder, words, band, silence.

The vocoder is WORLD (Morise et al., 2016) by way of pyworld, driven by our own pitch. `natural` and `synthetic`
prosody go through it alike, so between those two nothing differs but prosody; between the clip and `natural`, nothing
but the vocoder.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringtrue.audio import SAMPLE_RATE_HZ
from ringtrue.errors import require
from ringtrue.prosody import FRAMES_A_SECOND, LOWEST_HZ, syllables, track_pitch

Samples = NDArray[np.float32]
Array = NDArray[np.float64]
VOCODED = ("vocoded_natural", "vocoded_synthetic", "vocoded_flat")
"""Stimuli that need pyworld (``pip install 'ringtrue[probe]'``)."""

_PERIOD_MS = 5.0
_RANGE_DB = 40.0  # below the loudest 20 ms; what is quieter at either end is silence
_SILENCE_S = 0.5
_SHUFFLED_S = 0.2
_FADE = 80  # samples: 5 ms, against clicks at the seams


def trimmed(samples: Samples) -> Samples:
    """Cut off silence at both ends, down to 50 ms of it.

    Args:
        samples: `(T,)`.

    Returns:
        `(t,)`, t <= T.
    """
    frames = len(samples) // 320
    power = np.square(samples[: 320 * frames].reshape(-1, 320), dtype=np.float64).mean(axis=1)
    loud = np.flatnonzero(power > power.max(initial=0.0) * 10 ** (-_RANGE_DB / 10))
    if len(loud) == 0:
        return samples
    return samples[max(0, 320 * loud[0] - 800) : 320 * (loud[-1] + 1) + 800]


def padded(samples: Samples, rng: np.random.Generator) -> Samples:
    """Put half a second of faint noise, 60 dB below the clip, at both ends."""
    level = np.sqrt(np.mean(np.square(samples, dtype=np.float64))) * 1e-3
    ends = level * rng.standard_normal((2, int(_SILENCE_S * SAMPLE_RATE_HZ)))
    return np.concatenate([ends[0], samples, ends[1]]).astype(np.float32)


def reversed_in_time(samples: Samples, rng: np.random.Generator) -> Samples:
    """Play it backwards: the spectrum over the clip stays, the words go."""
    return np.ascontiguousarray(samples[::-1])


def shuffled(samples: Samples, rng: np.random.Generator) -> Samples:
    """Cut it into pieces of 200 ms and change their order; seams are faded over 5 ms."""
    size = int(_SHUFFLED_S * SAMPLE_RATE_HZ)
    pieces = [samples[start : start + size].copy() for start in range(0, len(samples), size)]
    ramp = np.linspace(0.0, 1.0, _FADE, dtype=np.float32)
    for piece in pieces:
        if len(piece) > 2 * _FADE:
            piece[:_FADE] *= ramp
            piece[-_FADE:] *= ramp[::-1]
    return np.concatenate([pieces[place] for place in rng.permutation(len(pieces))])


def delexicalised(samples: Samples, rng: np.random.Generator) -> Samples:
    """Keep what lies below 400 Hz: melody and rhythm stay, words go."""
    return _band(samples, 0.0, 400.0)


def telephone(samples: Samples, rng: np.random.Generator) -> Samples:
    """Keep 300 to 3400 Hz: another channel, the same speech."""
    return _band(samples, 300.0, 3400.0)


def _band(samples: Samples, low_hz: float, high_hz: float) -> Samples:
    """Pass a band with edges of raised cosines, 100 Hz wide."""
    spectrum = np.fft.rfft(samples)
    hz = np.fft.rfftfreq(len(samples), 1 / SAMPLE_RATE_HZ)
    above = np.clip((hz - low_hz) / 100 + 0.5, 0, 1) if low_hz else np.ones_like(hz)
    below = np.clip((high_hz - hz) / 100 + 0.5, 0, 1)
    gain = np.sin(np.pi / 2 * above) ** 2 * np.sin(np.pi / 2 * below) ** 2
    return np.fft.irfft(spectrum * gain, len(samples)).astype(np.float32)


@dataclass(frozen=True)
class Analysis:
    """WORLD's view of a clip, every 5 ms.

    Attributes:
        pitch_hz: `(L,)`, 0 where unvoiced.
        envelope: `(L, bins)`.
        aperiodicity: `(L, bins)`.
        syllables: `(n,)` places of syllable nuclei, in frames.
        count: Samples of the clip.
    """

    pitch_hz: Array
    envelope: Array
    aperiodicity: Array
    syllables: Array
    count: int


def analyse(samples: Samples) -> Analysis:
    """Take a clip apart for resynthesis.

    Args:
        samples: `(T,)`, at least 0.1 s.

    Returns:
        Its parts.

    Raises:
        MissingExtraError: pyworld is absent.
    """
    world: Any = require("pyworld", "probe")
    wave = np.ascontiguousarray(samples, dtype=np.float64)
    times_s = np.arange(int(1000 * len(wave) / SAMPLE_RATE_HZ / _PERIOD_MS) + 1) * _PERIOD_MS / 1000
    track = track_pitch(samples)
    centres_s = (200 + 320 * np.arange(len(track.pitch))) / SAMPLE_RATE_HZ
    voiced = np.interp(times_s, centres_s, track.voicing) > 0.5
    pitch_hz = np.where(voiced, LOWEST_HZ * 2 ** np.interp(times_s, centres_s, track.pitch), 0.0)
    pitch_hz = np.ascontiguousarray(pitch_hz)
    return Analysis(
        pitch_hz=pitch_hz,
        envelope=world.cheaptrick(wave, pitch_hz, times_s, SAMPLE_RATE_HZ),
        aperiodicity=world.d4c(wave, pitch_hz, times_s, SAMPLE_RATE_HZ),
        syllables=syllables(samples) * 1000 / FRAMES_A_SECOND / _PERIOD_MS,
        count=len(wave),
    )


def natural(parts: Analysis) -> Samples:
    """Put a clip together again: vocoder artefacts, the person's own prosody."""
    return _synthesised(parts, parts.pitch_hz, np.arange(len(parts.pitch_hz), dtype=np.float64))


def flat(parts: Analysis) -> Samples:
    """The same with the pitch held at its median."""
    heard = parts.pitch_hz[parts.pitch_hz > 0]
    held = float(np.median(heard)) if len(heard) else 0.0
    pitch_hz = np.where(parts.pitch_hz > 0, held, 0.0)
    return _synthesised(parts, pitch_hz, np.arange(len(pitch_hz), dtype=np.float64))


def synthetic(parts: Analysis) -> Samples:
    """The same with machine-like prosody: pitch on its line of declination, syllables equally spaced."""
    frames = np.arange(len(parts.pitch_hz), dtype=np.float64)
    voiced = parts.pitch_hz > 0
    pitch_hz = parts.pitch_hz
    if voiced.sum() > 10:
        line = np.polyfit(frames[voiced], np.log2(pitch_hz[voiced]), 1)
        pitch_hz = np.where(voiced, 2 ** np.polyval(line, frames), 0.0)
    return _synthesised(parts, pitch_hz, _isochronous(parts.syllables, frames))


def _isochronous(nuclei: Array, frames: Array) -> Array:
    """Say which frame to speak when: nuclei move to equal distances, each by a factor of 2 at most."""
    if len(nuclei) < 4:
        return frames
    gaps = np.diff(nuclei)
    wanted = np.clip(np.full(len(gaps), gaps.mean()), gaps / 2, gaps * 2)
    wanted *= gaps.sum() / wanted.sum()
    moved = nuclei[0] + np.concatenate([[0.0], np.cumsum(wanted)])
    return np.interp(
        frames, np.concatenate([[0], moved, [frames[-1]]]), np.concatenate([[0], nuclei, [frames[-1]]])
    )


def _synthesised(parts: Analysis, pitch_hz: Array, places: Array) -> Samples:
    world: Any = require("pyworld", "probe")
    nearest = np.clip(np.round(places).astype(int), 0, len(pitch_hz) - 1)
    spoken = (np.ascontiguousarray(part[nearest]) for part in (pitch_hz, parts.envelope, parts.aperiodicity))
    made = world.synthesize(*spoken, SAMPLE_RATE_HZ, _PERIOD_MS)[: parts.count]
    made = np.pad(made, (0, parts.count - len(made)))
    return np.clip(made, -1.0, 1.0).astype(np.float32)


PLAIN: dict[str, Callable[[Samples, np.random.Generator], Samples]] = {
    "padded": padded,
    "reversed": reversed_in_time,
    "shuffled": shuffled,
    "delexicalised": delexicalised,
    "telephone": telephone,
}
"""Stimuli that need nothing but the clip; each is made of the trimmed clip."""


def make(samples: Samples, rng: np.random.Generator, *, vocoder: bool = True) -> dict[str, Samples]:
    """Make every version of a clip.

    Args:
        samples: `(T,)` of a person's speech, at least 0.5 s.
        rng: Of noise and order.
        vocoder: Make those that need pyworld.

    Returns:
        Name -> samples; ``untrimmed`` is the clip itself, ``real`` the clip without silence at its ends.
    """
    real = trimmed(samples)
    made = {"untrimmed": samples, "real": real, **{name: change(real, rng) for name, change in PLAIN.items()}}
    if vocoder:
        parts = analyse(real)
        for name, say in zip(VOCODED, (natural, synthetic, flat), strict=True):
            made[name] = say(parts)
    return made
