"""Parquet files that hold recordings as bytes -> rows without the sound, and the sound of one row.

A trial's audio is then written ``file.parquet#row``, rows counted from 0. Nothing else knows of this but
`ringtrue.data.corpora.sound`. No torchcodec, no ``datasets``: pyarrow and our own decoder. The file may be on the hub
or in an object store: then its footer, the columns asked for and the row groups listened to are all that is fetched.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any

from ringtrue.data.corpora import remote, store
from ringtrue.errors import AudioError, CorpusError, require

_MARK = ".parquet#"
_BATCH = 1_024  # rows read at a time
_KEPT_GROUPS = 2  # row groups kept in memory; readers walk through files, and a group is some ten MB


def is_reference(audio: str) -> bool:
    """Say whether a trial's audio is a row of a Parquet file.

    >>> is_reference("a/b.parquet#12"), is_reference("a/b#1.wav")
    (True, False)
    """
    path, mark, row = audio.rpartition(_MARK)
    return bool(path and mark) and row.isdecimal()


def rows(path: Path | str, wanted: Sequence[str] = ()) -> Iterator[tuple[int, dict[str, Any], str]]:
    """Read a file's rows without their sound.

    Args:
        path: A Parquet file, or its address on the hub.
        wanted: Columns to read; all that hold no sound if empty. One that is not there is left out.

    Yields:
        Number of the row from 0, its cells by column, and the reference to its sound (empty if it has none).

    Raises:
        CorpusError: It is not a Parquet file.
        MissingExtraError: pyarrow is not installed.
    """
    file = _open(path)
    sound = _sound_column(file)
    there = [name for name in file.schema_arrow.names if name != sound and (not wanted or name in wanted)]
    number = 0
    for batch in file.iter_batches(_BATCH, columns=there):
        for row in batch.to_pylist():
            yield number, row, f"{path}#{number}" if sound else ""
            number += 1
    if not there:  # nothing but sound: there are rows all the same
        yield from ((number, {}, f"{path}#{number}") for number in range(file.metadata.num_rows))


def audio_bytes(reference: str) -> bytes:
    """Give the encoded recording of a row.

    Args:
        reference: ``file.parquet#row``.

    Returns:
        The bytes of an audio file.

    Raises:
        AudioError: The file cannot be read, or has no such row or no sound in it.
    """
    path, group = group_of(reference)
    number = int(reference.rpartition("#")[2])
    try:
        starts, sound = _layout(path)
        sounding = _sounding(_group(path, group, sound)[number - starts[group]].as_py())
    except (CorpusError, OSError, ValueError) as error:
        raise AudioError(f"{reference}: {error}") from error
    if not sounding:
        raise AudioError(f"{reference}: the row holds no recording")
    return sounding


def group_of(reference: str) -> tuple[str, int]:
    """Say which row group a row is in.

    Args:
        reference: ``file.parquet#row``.

    Returns:
        The file, and the number of the row group in it.

    Raises:
        AudioError: The file cannot be read, or has no such row.
    """
    path, _, row = reference.rpartition("#")
    try:
        starts, _ = _layout(path)
    except (CorpusError, OSError) as error:
        raise AudioError(f"{reference}: {error}") from error
    if int(row) >= starts[-1]:
        raise AudioError(f"{reference}: the file has {starts[-1]} rows")
    return path, bisect_right(starts, int(row)) - 1


def read_run(references: list[str]) -> list[bytes]:
    """Give the encoded recordings of rows of one row group, which is read once and not kept.

    Args:
        references: ``file.parquet#row``, all of one `group_of`.

    Returns:
        The bytes of audio files; none (``b""``) for a row without sound.

    Raises:
        AudioError: The file cannot be read, or has no such row.
    """
    path, group = group_of(references[0])
    try:
        starts, sound = _layout(path)
        column = _read_group(path, group, sound)
    except (CorpusError, OSError, ValueError) as error:
        raise AudioError(f"{references[0]}: {error}") from error
    numbers = (int(reference.rpartition("#")[2]) for reference in references)
    return [_sounding(column[number - starts[group]].as_py()) for number in numbers]


def _sounding(value: Any) -> bytes:
    return bytes((value.get("bytes") if isinstance(value, dict) else value) or b"")


@lru_cache(maxsize=4096)
def _layout(path: str) -> tuple[tuple[int, ...], str]:
    """Give the first row of each row group, with the number of rows at the end; and the column with the sound."""
    file = _open(path)
    sound = _sound_column(file)
    if not sound:
        raise CorpusError(f"no column holds recordings; it has {', '.join(file.schema_arrow.names)}")
    sizes = (file.metadata.row_group(index).num_rows for index in range(file.metadata.num_row_groups))
    return tuple(accumulate(sizes, initial=0)), sound


@lru_cache(maxsize=_KEPT_GROUPS)
def _group(path: str, group: int, sound: str) -> Any:
    return _read_group(path, group, sound)


def _read_group(path: str, group: int, sound: str) -> Any:
    def read() -> Any:
        return _open(path).read_row_group(group, columns=[sound]).column(0)

    return remote.patiently(path, read) if remote.is_remote(path) else read()


def _open(path: Path | str) -> Any:
    parquet, arrow = require("pyarrow.parquet", "hub"), require("pyarrow", "hub")
    try:
        if remote.is_remote(str(path)):
            return parquet.ParquetFile(remote.open_file(str(path)), pre_buffer=True)
        if store.is_address(str(path)):
            return parquet.ParquetFile(store.open_file(str(path)), pre_buffer=True)
        return parquet.ParquetFile(path)
    except (OSError, arrow.ArrowInvalid) as error:
        raise CorpusError(f"{path} cannot be read as Parquet: {error}") from error


def _sound_column(file: Any) -> str:
    """Find the column of sound: a structure with ``bytes``, as the hub writes it, or plain bytes."""
    types = require("pyarrow", "hub").types
    for field in file.schema_arrow:
        is_structure = types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0
        if is_structure or types.is_binary(field.type) or types.is_large_binary(field.type):
            return str(field.name)
    return ""
