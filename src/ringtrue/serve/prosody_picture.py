"""A recording -> what a page draws of how it is spoken: pitch over time, pauses, figures, their place among people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringtrue.audio import SAMPLE_RATE_HZ, Source, open_stream
from ringtrue.inference.evidence import Reference
from ringtrue.prosody import CHANNELS, FRAMES_A_SECOND, RATE_HZ, VOICE, contours, statistics, track_pitch
from ringtrue.windows import CONTENT_FRAME, CONTENT_STRIDE

_PIECE = 20 * SAMPLE_RATE_HZ  # samples analysed at a time, for bounded memory
_POINTS = 600  # of the track at most: what a screen can show
_PAUSES = 500
_MEASURED = (
    60 * SAMPLE_RATE_HZ
)  # samples that the figures are taken from: pitch needs a voice, not a day of it
_PAUSE = CHANNELS.index("pause")
_SHORTEST_S = 0.2


def draw(source: Source, reference: Mapping[str, Any] | None) -> dict[str, Any]:
    """Draw how a recording is spoken.

    Args:
        source: A recording that can be decoded.
        reference: Of real speech, from the model's card.

    Returns:
        ``step_s`` and ``pitch_hz`` (a value every step, None where there is no voice), ``pauses`` (start and end in
        seconds), ``statistics`` of the voice in the first ``measured_s`` (see `ringtrue.prosody.ProsodyStatistics`) and
        ``percentiles`` among real speech, empty where the model came without them.

    Raises:
        AudioError: The source cannot be read as audio.
    """
    pitch: list[NDArray[np.float64]] = []
    quiet: list[NDArray[np.bool_]] = []
    first: list[NDArray[np.float32]] = []
    with open_stream(source) as stream:
        for piece in _pieces(stream):
            if sum(len(one) for one in first) < _MEASURED:
                first.append(piece)
            hz = track_pitch(piece).hz
            pitch.append(
                np.pad(hz, (0, len(piece) // CONTENT_STRIDE - len(hz)))
            )  # the last frame is not whole
            quiet.append(contours(piece)[_PAUSE] > 0.5)
    if not first:
        return {
            "step_s": 0.0,
            "pitch_hz": [],
            "pauses": [],
            "measured_s": 0.0,
            "statistics": {},
            "percentiles": {},
        }
    heard = np.concatenate(first)[:_MEASURED]
    figures = asdict(statistics(heard))
    measured = {name: figures[name] for name in VOICE if figures[name] is not None}
    step, points = _thinned(np.concatenate(pitch))
    placed = Reference.from_dict(reference).percentiles(measured) if reference else {}
    return {
        "step_s": step / FRAMES_A_SECOND,
        "pitch_hz": points,
        "pauses": _pauses(np.concatenate(quiet)),
        "measured_s": len(heard) / SAMPLE_RATE_HZ,
        "statistics": {name: round(value, 4) for name, value in measured.items()},
        "percentiles": placed,
    }


def _pieces(blocks: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    held: list[NDArray[np.float32]] = []
    for block in blocks:
        held.append(block)
        while sum(len(one) for one in held) >= _PIECE:
            joined = np.concatenate(held)
            yield joined[:_PIECE]
            held = [joined[_PIECE:]]
    rest = np.concatenate(held) if held else np.zeros(0, np.float32)
    if len(rest) >= CONTENT_FRAME:
        yield rest


def _thinned(hz: NDArray[np.float64]) -> tuple[int, list[float | None]]:
    """Keep the median of the voiced frames of each of at most `_POINTS` steps."""
    step = -(-len(hz) // _POINTS)
    points: list[float | None] = []
    for at in range(0, len(hz), step):
        voiced = hz[at : at + step][hz[at : at + step] > 0]
        points.append(round(float(np.median(voiced)), 1) if 2 * len(voiced) >= step else None)
    return step, points


def _pauses(quiet: NDArray[np.bool_]) -> list[tuple[float, float]]:
    """Find the pauses between the first and the last sound."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], quiet, [False]]).astype(np.int8)))
    inner = [(a, b) for a, b in edges.reshape(-1, 2) if a > 0 and b < len(quiet)]
    spans = [(float(a) / RATE_HZ, float(b) / RATE_HZ) for a, b in inner if b - a >= _SHORTEST_S * RATE_HZ]
    return spans[:_PAUSES]
