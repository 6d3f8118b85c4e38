"""The chunks of a WAV file, looked at before FFmpeg does, which makes room for as long a text as a header claims."""

from __future__ import annotations

import os
from typing import BinaryIO

from ringtrue.errors import AudioError

_MOST_CHUNKS = 1_000  # before the sound


def refuse_claims(file: BinaryIO, name: str) -> None:
    """Refuse a WAV file whose texts claim to be longer than the file; others, and files of other kinds, may pass.

    Args:
        file: Seekable; it is left where it ends up.
        name: For the message.

    Raises:
        AudioError: A list of texts (`LIST`) before the sound ends beyond the end of the file.
    """
    end = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(12)
    if head[:4] not in (b"RIFF", b"RF64", b"RIFX") or head[8:] != b"WAVE":
        return
    at = 12
    for _ in range(_MOST_CHUNKS):
        file.seek(at)
        kind, size = file.read(4), int.from_bytes(file.read(4), "big" if head[:4] == b"RIFX" else "little")
        if len(kind) < 4 or kind == b"data":
            return
        if kind == b"LIST" and at + 8 + size > end:
            raise AudioError(
                f"{name} claims {size} bytes of texts where it holds {max(0, end - at - 8)}; check that it is whole"
            )
        at += 8 + size + size % 2
