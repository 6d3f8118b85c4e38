"""Blocks of a recording -> measurements that a person can check: seconds of speech, bandwidth, level."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from ringtrue.audio import SAMPLE_RATE_HZ

_FRAME = 320  # samples: 20 ms
_SILENCE_DB = -60.0  # dBFS; quieter frames are never speech
_RANGE_DB = 35.0  # below the loud frames; what is quieter is a pause
_FLOOR_DB = 60.0  # below the strongest part of the spectrum; what is weaker is not there


class Evidence:
    """Measures a recording while it is read, in memory that grows by 200 bytes a second.

    Attributes:
        samples: Samples heard so far.
    """

    def __init__(self) -> None:
        self.samples = 0
        self._levels: list[NDArray[np.float32]] = []
        self._spectrum = np.zeros(_FRAME // 2 + 1)
        self._rest = np.empty(0, dtype=np.float32)

    def listen(self, blocks: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        """Pass blocks on unchanged and measure them.

        Args:
            blocks: Consecutive `(t,)` pieces of one recording.

        Yields:
            The same blocks.
        """
        window = np.hanning(_FRAME).astype(np.float32)
        for block in blocks:
            self.samples += len(block)
            held = np.concatenate([self._rest, block])
            whole = len(held) // _FRAME * _FRAME
            frames = held[:whole].reshape(-1, _FRAME)
            self._rest = held[whole:]
            self._levels.append(_level_db(frames))
            self._spectrum += np.square(np.abs(np.fft.rfft(frames * window))).sum(axis=0)
            yield block

    def summary(self) -> dict[str, float]:
        """Give the measurements.

        Returns:
            ``speech_s``: seconds louder than -60 dBFS and than 35 dB below the loud frames. An energy
            criterion: music counts. ``bandwidth_hz``: highest frequency within 60 dB of the strongest.
            ``level_db``: level of the speech in dBFS.
        """
        levels = np.concatenate(self._levels) if self._levels else np.empty(0)
        if len(levels) == 0:
            return {"speech_s": 0.0, "bandwidth_hz": 0.0, "level_db": _SILENCE_DB}
        loud = float(np.quantile(levels, 0.95))
        speech = levels[levels > max(_SILENCE_DB, loud - _RANGE_DB)]
        present = np.flatnonzero(self._spectrum > self._spectrum.max() * 10 ** (-_FLOOR_DB / 10))
        level = 10 * np.log10(np.mean(10 ** (speech.astype(np.float64) / 10))) if len(speech) else _SILENCE_DB
        return {
            "speech_s": len(speech) * _FRAME / SAMPLE_RATE_HZ,
            "bandwidth_hz": float(present.max(initial=0) * SAMPLE_RATE_HZ / _FRAME),
            "level_db": float(level),
        }


def _level_db(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    power = np.square(frames, dtype=np.float64).mean(axis=1)
    return (10 * np.log10(power + 1e-12)).astype(np.float32)
