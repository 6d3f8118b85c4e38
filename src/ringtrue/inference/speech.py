"""Levels and peakiness of 20 ms frames -> which of them are speech, and the pauses between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FRAME_S = 0.02
SILENCE_DB = -60.0  # dBFS; quieter frames are never speech
VOICED_FLATNESS = (
    0.35  # geometric over arithmetic mean of the power spectrum; white noise has 0.56 on average
)

_RANGE_DB = 35.0  # below the loud frames; what is quieter is a pause
_ABOVE_FLOOR_DB = 6.0  # speech stands out of what is there all the time
_REACH = round(0.24 / FRAME_S)  # frames: how far from a voiced frame a consonant may be
_GAP = round(0.2 / FRAME_S)  # frames: a shorter silence is a stop consonant and no pause


@dataclass(frozen=True)
class Speech:
    """Where there is speech.

    Attributes:
        frames: `(L,)` bool, one for 20 ms.
        pauses_s: Lengths of the silences of at least 0.2 s between the first and the last speech.
    """

    frames: NDArray[np.bool_]
    pauses_s: NDArray[np.floating[Any]]


def quantiles(values: NDArray[np.floating[Any]], *shares: float) -> list[float]:
    """Find the values that shares of all lie below, on straight lines between neighbours.

    `numpy.quantile` does the same and imports masked arrays for it, which is a twentieth of a short check.

    Args:
        values: One at least; they are put into another order.
        shares: In [0, 1].

    Returns:
        A value for each share.

    >>> quantiles(np.array([3.0, 1.0, 2.0]), 0.5, 0.75)
    [2.0, 2.5]
    """
    found = []
    for share in shares:
        place = share * (len(values) - 1)
        below = int(place)
        above = min(below + 1, len(values) - 1)
        values.partition((below, above))
        low, high = float(values[below]), float(values[above])
        found.append(low + (place - below) * (high - low))
    return found


def find_speech(levels_db: Sequence[NDArray[np.float32]], is_peaky: NDArray[np.bool_]) -> Speech:
    """Tell speech from silence, steady noise and steady tones.

    A frame is active if it stands out of the recording's own floor and is not far below its loud frames. Active
    frames are speech where a voiced one, whose spectrum is peaky, is near: breath and clicks alone are not. It
    is a measure of how much there is to judge, not a transcript; singing and most music pass for speech.

    Args:
        levels_db: Level of each frame in dBFS, in blocks `(l,)` that are `(L,)` together.
        is_peaky: Whether the flatness of each frame's power spectrum from 250 Hz to 4 kHz lies below
            `VOICED_FLATNESS`, `(L,)`: harmonics and formants do.

    Returns:
        The speech.
    """
    if len(is_peaky) == 0:
        return Speech(np.zeros(0, bool), np.zeros(0))
    floor_db, loud_db = quantiles(np.concatenate(levels_db), 0.1, 0.95)
    # Tightly cut speech has no floor to see: its quietest tenth is still speech, 15 dB below the rest.
    stands_out_db = min(floor_db + _ABOVE_FLOOR_DB, max(floor_db + 1.0, loud_db - 12.0))
    least_db = max(SILENCE_DB, loud_db - _RANGE_DB, stands_out_db)
    active = np.concatenate([block > least_db for block in levels_db])
    speech = _near(active & is_peaky, _REACH)
    speech &= active
    del active
    edges = _edges(speech)  # speech and silence take turns
    ends, starts = edges[2:-1:2], edges[1:-2:2]  # of the silences inside
    short = ends - starts < _GAP
    steps = np.zeros(len(speech), np.int8)
    steps[starts[short]] = 1
    steps[ends[short]] = -1
    speech |= np.cumsum(steps, dtype=np.int8).view(bool)
    return Speech(speech, (ends - starts)[~short] * FRAME_S)


def _near(marks: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """Mark every place within reach of a mark."""
    wide = np.zeros(len(marks) + 2 * reach, bool)
    wide[: len(marks)] = marks
    width, wanted = 1, 2 * reach + 1
    while width < wanted:
        step = min(width, wanted - width)
        wide[step:] |= wide[:-step].copy()
        width += step
    return wide[reach : reach + len(marks)]


def _edges(marks: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Find where runs of marks start and end, in turn: an even number of places."""
    bordered = np.zeros(len(marks) + 2, bool)
    bordered[1:-1] = marks
    return np.flatnonzero(bordered[1:] != bordered[:-1])
