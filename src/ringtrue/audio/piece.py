"""A recording, and a place that follows from its length -> the samples there, decoded alone where that is exact."""

from __future__ import annotations

import os
from collections.abc import Callable
from io import BytesIO
from typing import TypeAlias

from ringtrue.audio.decode import QuietFile, Source
from ringtrue.audio.resample import SAMPLE_RATE_HZ, Samples, to_mono
from ringtrue.audio.wave import MAX_DURATION_S, load

Place: TypeAlias = Callable[[int], tuple[int, int]]
"""Length of a recording in samples at 16 kHz -> first sample of a piece, and one past its last."""

# Here a decoder gives the same samples after a jump as on the way: each stands for itself, or each frame does.
_CONTAINERS = ("WAV", "WAVEX", "FLAC")
_CODINGS = ("PCM_U8", "PCM_S8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW")
_MOST_SAMPLES = int(MAX_DURATION_S * SAMPLE_RATE_HZ)


def load_piece(source: Source, place: Place) -> Samples:
    """Decode a piece of a recording: ``load(source).samples[start:stop]``, bit for bit.

    Of WAV and FLAC at 16 kHz only the piece is decoded, and the file is not hashed. Where such a file turns out to be
    cut short or damaged at that place, and for everything else, the whole is decoded; `place` is then asked again.

    Args:
        source: As for `load`; for a jump a path, or the bytes of a file.
        place: Chooses the piece, ``0 <= start <= stop <= T``; the same for the same T.

    Returns:
        ``(stop - start,)`` float32 in [-1, 1] at 16 kHz.

    Raises:
        AudioError: It cannot be read as audio, or holds none.

    >>> load_piece(([0.0, 0.25, 0.5], 16_000), lambda count: (count - 2, count)).tolist()
    [0.25, 0.5]
    """
    piece = _jump(source, place) if isinstance(source, str | os.PathLike | bytes) else None
    if piece is None:
        samples = load(source).samples
        start, stop = place(len(samples))
        piece = samples[start:stop]
    return piece


def _jump(source: str | os.PathLike[str] | bytes, place: Place) -> Samples | None:
    """Decode just the piece; None where the whole must be."""
    import soundfile

    file = QuietFile(BytesIO(source)) if isinstance(source, bytes) else os.fspath(source)
    try:
        with soundfile.SoundFile(file, "r") as sound:
            is_plain = sound.format in _CONTAINERS and sound.subtype in _CODINGS and sound.channels <= 2
            if not is_plain or sound.samplerate != SAMPLE_RATE_HZ or not 0 < sound.frames <= _MOST_SAMPLES:
                return None
            start, stop = place(sound.frames)
            if start:
                sound.seek(start)
            block = sound.read(stop - start, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError:
        return None
    if len(block) != stop - start or not len(block):
        return None
    name = "bytes" if isinstance(source, bytes) else os.fspath(source)
    return to_mono(block, name)[0]
