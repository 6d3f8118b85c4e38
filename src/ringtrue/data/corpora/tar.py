"""Tar shards of recordings (as WebDataset writes them) -> rows without the sound, and the sound of any of them.

A sample is the run of members whose names agree up to the first dot after the folder: ``a/0001.flac``, ``a/0001.json``.
A trial's audio is then written ``file.tar#offset+size``, in bytes: tar does not compress, so a sample is a range of
the file, and a run of samples is one read.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from ringtrue.errors import AudioError, CorpusError

_MARK = ".tar#"
_SOUND = {"flac", "wav", "mp3", "ogg", "opus", "m4a", "aac", "aiff", "webm"}
_TEXT = {"txt": "transcript", "cls": "label"}  # members that are one cell
_LARGEST_CELLS = 1 << 20  # bytes that a sample's text may take; a sparse member can claim any number

FAULT = "\0fault"
"""Cell of a sample that cannot be read, with what is wrong with it."""


def is_reference(audio: str) -> bool:
    """Say whether a trial's audio lies in a tar file.

    >>> is_reference("a/b.tar#512+100"), is_reference("a/b.tar")
    (True, False)
    """
    path, mark, place = audio.rpartition(_MARK)
    return bool(path and mark) and place.replace("+", "", 1).isdecimal()


def rows(path: Path) -> Iterator[tuple[int, dict[str, Any], str]]:
    """Read a shard's samples without their sound.

    Args:
        path: A tar file that is not compressed.

    Yields:
        Number of the sample from 0, its cells (``id``, those of its ``.json``, ``.txt``, ``.cls``), and the reference
        to its sound (empty if it has none). A sample with a member that cannot be read has the cell `FAULT`.

    Raises:
        CorpusError: It is no such file, or breaks off.
    """
    try:
        with tarfile.open(path, "r:") as shard:
            row: dict[str, Any] = {}
            sound, number = "", 0
            for member in shard:
                if not member.isfile():
                    continue
                name = PurePosixPath(member.name)
                key, _, suffix = name.name.partition(".")
                key = (name.parent / key).as_posix()
                if row and row["id"] != key:
                    yield number, row, sound
                    row, sound, number = {}, "", number + 1
                row.setdefault("id", key)
                if suffix.lower() in _SOUND:
                    sound = f"{path}#{member.offset_data}+{member.size}"
                    continue
                try:
                    row |= _cells(shard, member, suffix.lower())
                except ValueError as error:
                    row[FAULT] = f"{member.name}: {error}"
            if row:
                yield number, row, sound
    except (OSError, tarfile.TarError, ValueError, RecursionError) as error:
        raise CorpusError(
            f"{path} cannot be read as a tar file: {error}; a compressed one must be unpacked"
        ) from error


def _cells(shard: tarfile.TarFile, member: tarfile.TarInfo, suffix: str) -> dict[str, Any]:
    if suffix != "json" and suffix not in _TEXT:
        return {}
    if member.size > _LARGEST_CELLS:
        raise ValueError(f"{member.name} says that it holds {member.size} bytes of text")
    file = shard.extractfile(member)
    text = file.read().decode("utf-8-sig") if file else ""
    if suffix in _TEXT:
        return {_TEXT[suffix]: text.strip()}
    cells = json.loads(text)
    if not isinstance(cells, dict):
        raise ValueError("no JSON object")
    return {name: value for name, value in cells.items() if name != "id" or value}


def place(audio: str) -> tuple[str, int, int]:
    """Give file, first byte and number of bytes of a reference."""
    path, _, span = audio.rpartition("#")
    offset, _, size = span.partition("+")
    return path, int(offset), int(size)


def read_run(audios: list[str]) -> list[bytes]:
    """Read samples that lie close together in one file, in one go.

    Args:
        audios: References into one tar file, in its order.

    Returns:
        The encoded recordings.

    Raises:
        AudioError: The file cannot be read, or ends before them.
    """
    spans = [place(audio) for audio in audios]
    path, first, _ = spans[0]
    try:
        with open(path, "rb") as file:
            file.seek(first)
            run = file.read(spans[-1][1] + spans[-1][2] - first)
    except OSError as error:
        raise AudioError(f"{audios[0]}: {error.strerror}") from error
    found = [run[offset - first : offset - first + size] for _, offset, size in spans]
    for audio, content, (_, _, size) in zip(audios, found, spans, strict=True):
        if len(content) != size:
            raise AudioError(f"{audio}: the tar file ends before the recording does")
    return found
