"""Splicing: pieces of recordings, moved, repeated and joined in the time domain."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringtrue.data.corpora.zoo import spectra
from ringtrue.data.corpora.zoo.speech import HOP, RATE_HZ, Samples, Speech

Array = NDArray[Any]


def psola(speech: Speech, rng: np.random.Generator) -> Samples:
    """Set the periods of the voice nearer together or further apart, by a factor that wanders.

    Moulines and Charpentier, "Pitch-synchronous waveform processing techniques" (1990), in the time domain.
    """
    marks, periods = _pitch_marks(speech)
    factor = 2 ** (rng.uniform(0.08, 0.4) * rng.choice([-1, 1]))
    knots = rng.uniform(-0.1, 0.1, speech.wave.size // 4000 + 2)
    factors = factor * 2 ** np.interp(marks, 4000 * np.arange(len(knots)), knots)
    voiced = speech.sample_pitch_hz[np.minimum(marks, speech.wave.size - 1)] > 0
    steps = np.where(voiced, periods / factors, periods)
    longest = int(periods.max()) + 1
    padded = np.pad(speech.wave, 2 * longest)
    out, weight = np.zeros(padded.size), np.full(padded.size, 1e-3)
    windows: dict[int, Array] = {}
    at = float(marks[0])
    while at < speech.wave.size:
        nearest = int(np.searchsorted(marks, at))
        if nearest == len(marks) or (nearest and at - marks[nearest - 1] < marks[nearest] - at):
            nearest -= 1
        half = int(periods[nearest])
        window = windows.setdefault(half, np.hanning(2 * half + 1))
        taken, put = marks[nearest] + 2 * longest - half, round(at) + 2 * longest - half
        out[put : put + window.size] += window * padded[taken : taken + window.size]
        weight[put : put + window.size] += window
        at += max(float(steps[nearest]), 16.0)
    whole = out / np.maximum(weight, 0.3)  # where grains thin out they stay apart
    return spectra.fitted(whole[2 * longest :], speech.wave.size)


def wsola(speech: Speech, rng: np.random.Generator) -> Samples:
    """Stretch the time by moving pieces where they fit, and shrink it back.

    Verhelst and Roelands, "An overlap-add technique based on waveform similarity" (ICASSP 1993).
    """
    frame = int(rng.choice([320, 480, 640]))
    reach = int(rng.choice([80, 120, 160]))
    there = _stretched(speech.wave, 2 ** (rng.uniform(0.15, 0.7) * rng.choice([-1, 1])), frame, reach)
    return spectra.fitted(_stretched(there, speech.wave.size / there.size, frame, reach), speech.wave.size)


def concatenation(speech: Speech, rng: np.random.Generator) -> Samples:
    """Replace pieces of 60 to 140 ms by the likest of the speaker's other recordings, with cross-fades.

    Hunt and Black, "Unit selection in a concatenative speech synthesis system" (ICASSP 1996), with the target costs
    only. A quarter to three fifths of the pieces are replaced: those that something is most like. Without other
    recordings, pieces come from elsewhere in the same one.
    """
    others = [np.asarray(wave) for wave in speech.others() if wave.size >= RATE_HZ // 2]
    bank = np.concatenate(others) if others else speech.wave
    wanted, found = _features(speech.wave), _features(bank)
    distance = (wanted**2).sum(axis=1)[:, None] + (found**2).sum(axis=1) - 2 * wanted @ found.T
    if not others:  # a piece must not find itself
        apart = np.abs(np.arange(len(wanted))[:, None] - np.arange(len(found)))
        distance = np.where(apart < 20, np.inf, distance)
    lengths: list[int] = []
    while sum(lengths) < len(wanted):
        lengths.append(int(rng.integers(6, 15)))
    starts = np.cumsum([0, *lengths[:-1]])
    picks = [_best(distance, start, length) for start, length in zip(starts, lengths, strict=True)]
    costs = np.array([cost for cost, _ in picks])
    like = costs[np.isfinite(costs)]
    usable = costs <= (np.quantile(like, rng.uniform(0.25, 0.6)) if like.size else -np.inf)
    fade = int(rng.integers(40, 161))
    out, weight = np.zeros(speech.wave.size + 2 * fade), np.full(speech.wave.size + 2 * fade, 1e-9)
    own, padded = np.pad(speech.wave, fade), np.pad(bank, fade)
    for start, length, (_, place), is_usable in zip(starts, lengths, picks, usable, strict=True):
        put = int(start) * 160
        count = min(length * 160 + 2 * fade, out.size - put)
        if count <= 2 * fade:
            break
        piece = own[put : put + count]
        if is_usable and len(taken := padded[place * 160 : place * 160 + count]) == count:
            gain = np.sqrt((np.mean(piece**2) + 1e-9) / (np.mean(taken**2) + 1e-9))
            piece = np.clip(gain, 0.25, 4) * taken
        ramp = np.minimum(1, (np.arange(count) + 1) / (2 * fade))
        window = np.minimum(ramp, ramp[::-1])
        out[put : put + count] += window * piece
        weight[put : put + count] += window
    return (out / weight)[fade:-fade].astype(np.float32)


def _best(distance: Array, start: int, length: int) -> tuple[float, int]:
    """Find where in the bank a piece begins that is most like the wanted frames -> cost a frame, frame."""
    length = min(length, distance.shape[0] - start)
    count = distance.shape[1] - length + 1
    if count < 1:
        return np.inf, 0
    cost = sum(distance[start + step, step : step + count] for step in range(length))
    place = int(np.argmin(cost))
    return float(np.asarray(cost)[place]) / length, place


def _features(wave: Samples) -> Array:
    """Give log mels of frames of 10 ms that say what is spoken, without the level, `(L, 24)`."""
    grid = (640, 160)
    mels = np.log(np.abs(spectra.spectrum_of(wave, grid)) @ spectra.mel_of(24, grid).T + 1e-4)
    level = mels.mean(axis=1, keepdims=True)
    return np.asarray(mels - 0.5 * level, np.float32)[: -(-wave.size // 160)]


def _stretched(wave: Samples, factor: float, frame: int, reach: int) -> Samples:
    """Make a wave longer at the same pitch: each frame is taken where it best goes on from the one before."""
    hop = frame // 2
    count = int(np.ceil(wave.size * factor / hop)) + 1
    padded = np.pad(wave, (reach, frame + hop + 2 * reach)).astype(np.float32)
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(frame) / frame)).astype(np.float32)
    out = np.zeros(count * hop + frame, np.float32)
    last = padded.size - frame - 2 * reach
    taken = reach
    for number in range(count):
        wish = min(round(number * hop / factor), last)  # where the search begins, in padded samples
        if number:
            goes_on = padded[taken + hop : taken + hop + frame]
            region = padded[wish : wish + goes_on.size + 2 * reach]
            taken = (
                wish + int(np.argmax(np.correlate(region, goes_on)))
                if goes_on.size == frame
                else wish + reach
            )
        out[number * hop : number * hop + frame] += window * padded[taken : taken + frame]
    return out[: round(wave.size * factor)]


def _pitch_marks(speech: Speech) -> tuple[Array, Array]:
    """Set a mark on the highest sample of each period, and one every 10 ms where it is unvoiced -> marks, periods."""
    wave, pitch_hz = speech.wave, speech.pitch_hz
    marks: list[int] = []
    periods: list[int] = []
    at = 0
    while at < wave.size:
        hz = pitch_hz[min(at // HOP, len(pitch_hz) - 1)]
        period = round(RATE_HZ / hz) if hz > 0 else 160
        if hz > 0:
            first = max(at - period // 4, 0)
            at = first + int(np.argmax(wave[first : at + period // 4 + 1]))
            at = max(at, marks[-1] + period // 2) if marks else at
        marks.append(min(at, wave.size - 1))
        periods.append(period)
        at += period
    return np.array(marks), np.array(periods)
