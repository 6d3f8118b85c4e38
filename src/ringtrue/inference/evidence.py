"""Blocks of a recording -> measurements that a person can check, and where they stand among real speech."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringtrue.audio import SAMPLE_RATE_HZ
from ringtrue.errors import CheckpointError
from ringtrue.inference.speech import FRAME_S, SILENCE_DB, VOICED_FLATNESS, find_speech

_FRAME = round(FRAME_S * SAMPLE_RATE_HZ)  # samples
_FLOOR_DB = 60.0  # below the strongest part of the spectrum; what is weaker is not there
_VOICE_BINS = slice(5, 81)  # 250 Hz to 4 kHz, at 50 Hz a bin
_FULL = 0.99  # of full scale
_ENVELOPE_POINTS = 120
_PEAKY = np.uint16(1 << 15)
_BLOCK = 1 << 12  # frames that are kept together: 82 s

RANKS = (
    0.0,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    20.0,
    30.0,
    40.0,
    50.0,
    60.0,
    70.0,
    80.0,
    90.0,
    95.0,
    97.5,
    99.0,
    99.5,
    100.0,
)
"""Percent ranks at which a `Reference` keeps the value of each measurement."""


class Evidence:
    """Measures a recording while it arrives, in memory that grows by 300 bytes a second.

    Attributes:
        samples: Samples heard so far.
    """

    def __init__(self) -> None:
        self.samples = 0
        self._frames = 0
        self._levels: list[
            NDArray[np.float32]
        ] = []  # of all frames, in blocks: what grows in place leaves holes
        self._peaks: list[NDArray[np.uint16]] = []  # thousandths of full scale; the highest bit: it is peaky
        self._spectrum = np.zeros(_FRAME // 2 + 1)
        self._full = 0
        self._rest = np.empty(0, dtype=np.float32)

    def push(self, block: NDArray[np.float32]) -> None:
        """Take the next samples.

        Args:
            block: `(t,)`, any size.
        """
        self.samples += len(block)
        held = np.concatenate([self._rest, block]) if len(self._rest) else block
        whole = len(held) // _FRAME * _FRAME
        self._rest = held[whole:].copy()
        if whole == 0:
            return
        frames = held[:whole].reshape(-1, _FRAME)
        peaks = np.maximum(frames.max(axis=1), -frames.min(axis=1))
        if peaks.max() >= _FULL:
            self._full += int(np.count_nonzero(np.abs(frames) >= _FULL))
        level = np.einsum("lt,lt->l", frames, frames) / np.float32(_FRAME)
        level = 10 * np.log10(level + np.float32(1e-12))
        squares = np.fft.rfft(frames * _hann()).view(np.float32)  # real and imaginary parts take turns
        squares *= squares
        power = squares[:, 0::2] + squares[:, 1::2]
        self._spectrum += power.sum(axis=0)
        voice = power[:, _VOICE_BINS] + np.float32(1e-12)
        arithmetic = np.add.reduce(voice, axis=1) / np.float32(voice.shape[1])
        np.log(voice, out=voice)
        geometric = np.exp(np.add.reduce(voice, axis=1) / np.float32(voice.shape[1]))
        kept = (1000 * peaks.astype(np.float64)).round().astype(np.uint16)
        kept[geometric < VOICED_FLATNESS * arithmetic] |= _PEAKY
        self._keep(level, kept)

    def _keep(self, levels: NDArray[np.float32], peaks: NDArray[np.uint16]) -> None:
        done = 0
        while done < len(levels):
            at = self._frames % _BLOCK
            if at == 0:
                self._levels.append(np.empty(_BLOCK, np.float32))
                self._peaks.append(np.empty(_BLOCK, np.uint16))
            count = min(len(levels) - done, _BLOCK - at)
            self._levels[-1][at : at + count] = levels[done : done + count]
            self._peaks[-1][at : at + count] = peaks[done : done + count]
            self._frames += count
            done += count

    def _heard(self, blocks: list[NDArray[Any]]) -> list[NDArray[Any]]:
        """Leave out what the last block has room for."""
        return [*blocks[:-1], blocks[-1][: (self._frames - 1) % _BLOCK + 1]]

    def summary(self) -> dict[str, float]:
        """Give the measurements of what has been heard so far.

        Returns:
            ``speech_s`` and ``speech_share``: how much of it is speech. ``bandwidth_hz``: highest frequency within
            60 dB of the strongest. ``level_db``: level of the speech in dBFS. ``full_scale_share``: share of samples
            within 1 % of full scale. ``pauses_per_min``, ``pause_mean_s``, ``pause_sd_s``: silences of at least
            0.2 s inside the speech. ``snr_db``: speech over what is left. What cannot be said is left out.
        """
        if not self._levels:
            return {"speech_s": 0.0, "speech_share": 0.0, "bandwidth_hz": 0.0, "level_db": SILENCE_DB}
        levels = self._heard(self._levels)
        peaky = np.concatenate([block >= _PEAKY for block in self._heard(self._peaks)])
        speech = find_speech(levels, peaky)
        spoken, spoken_power, rest_power = _powers(levels, speech.frames)
        rest = self._frames - spoken
        present = np.flatnonzero(self._spectrum > self._spectrum.max() * 10 ** (-_FLOOR_DB / 10))
        speech_s = spoken * FRAME_S
        found = {
            "speech_s": speech_s,
            "speech_share": spoken / self._frames,
            "bandwidth_hz": float(present.max(initial=0) * SAMPLE_RATE_HZ / _FRAME),
            "level_db": _db(spoken_power, spoken) if spoken else SILENCE_DB,
            "full_scale_share": self._full / self.samples,
        }
        if speech_s >= 1.0:
            span_s = speech_s + float(speech.pauses_s.sum())
            found["pauses_per_min"] = 60 * len(speech.pauses_s) / span_s
            if rest >= 10:
                found["snr_db"] = min(80.0, found["level_db"] - _db(rest_power, rest))
        if len(speech.pauses_s) >= 2:
            found["pause_mean_s"] = float(speech.pauses_s.mean())
            found["pause_sd_s"] = float(speech.pauses_s.std())
        return found

    def envelope(self) -> tuple[float, ...]:
        """Give the recording's outline: the peak of each of at most 120 equal parts, for a picture."""
        if not self._peaks:
            return ()
        peaks = np.concatenate(self._heard(self._peaks))
        peaks &= ~_PEAKY
        count = min(_ENVELOPE_POINTS, len(peaks))
        starts = np.arange(count) * len(peaks) // count
        return tuple((np.maximum.reduceat(peaks, starts) / 1000).tolist())


@dataclass(frozen=True)
class Reference:
    """How measurements are spread among real speech, so that one recording can be placed among it.

    Attributes:
        measured_on: What speech, in words.
        values: For each measurement its value at every rank of `RANKS`.
    """

    measured_on: str
    values: Mapping[str, Sequence[float]]

    @classmethod
    def of(cls, summaries: Iterable[Mapping[str, float]], measured_on: str) -> Reference:
        """Make a reference.

        Args:
            summaries: `Evidence.summary` of bona fide recordings.
            measured_on: What they are, in words.

        Returns:
            The reference; a measurement that fewer than 20 of them have is left out.
        """
        columns: dict[str, list[float]] = {}
        for summary in summaries:
            for name, value in summary.items():
                columns.setdefault(name, []).append(value)
        return cls(
            measured_on,
            {
                name: [round(float(value), 4) for value in np.percentile(column, RANKS)]
                for name, column in columns.items()
                if len(column) >= 20
                and name not in ("speech_s",)  # length is the recorder's, not the voice's
            },
        )

    def percentiles(self, summary: Mapping[str, float]) -> dict[str, float]:
        """Place a recording among real speech.

        Args:
            summary: Its measurements.

        Returns:
            For each, the percentage of real speech that lies below, 0 to 100; values that real speech shares,
            such as a full bandwidth, stand in the middle of those that share them.
        """
        placed = {}
        for name, values in self.values.items():
            if name in summary:
                left, right = _rank(summary[name] - 1e-9, values), _rank(summary[name] + 1e-9, values)
                placed[name] = round((left + right) / 2, 1)
        return placed

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for a card."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Reference:
        """Rebuild it from a card.

        Args:
            values: What `to_dict` gave.

        Returns:
            The same reference.

        Raises:
            CheckpointError: The values are not those of a reference; cards come from strangers.
        """
        try:
            table = {str(name): [float(x) for x in column] for name, column in values["values"].items()}
            fit = all(
                len(column) == len(RANKS) and all(map(math.isfinite, column)) and column == sorted(column)
                for column in table.values()
            )
            if fit:
                return cls(str(values["measured_on"]), table)
        except (KeyError, TypeError, ValueError, AttributeError):
            pass
        raise CheckpointError("the model's reference of real speech is damaged; export the model again")


def _rank(value: float, values: Sequence[float]) -> float:
    """Find what percentage lies below, on straight lines between `RANKS`; arrays would take longer to make."""
    place = bisect_right(values, value) - 1
    if not 0 <= place < len(RANKS) - 1:
        return RANKS[max(place, 0)]
    share = (value - values[place]) / (values[place + 1] - values[place])
    return RANKS[place] + share * (RANKS[place + 1] - RANKS[place])


@cache
def _hann() -> NDArray[np.float32]:
    return np.hanning(_FRAME).astype(np.float32)


def _powers(
    levels_db: Sequence[NDArray[np.float32]], is_speech: NDArray[np.bool_]
) -> tuple[int, float, float]:
    """Count the frames of speech; add up their powers, and those of the rest."""
    spoken, spoken_power, rest_power, at = 0, 0.0, 0.0, 0
    for block in levels_db:
        power = 10 ** (block.astype(np.float64) / 10)
        marks = is_speech[at : at + len(block)]
        spoken += int(np.count_nonzero(marks))
        spoken_power += float(power[marks].sum())
        rest_power += float(power[~marks].sum())
        at += len(block)
    return spoken, spoken_power, rest_power


def _db(power: float, frames: int) -> float:
    return 10 * math.log10(power / frames + 1e-12)
