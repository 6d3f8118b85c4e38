"""Where a trial's recording lies -> the recording: a file, a row of Parquet, a sample in a tar; here or elsewhere.

The one place that knows how such places are written. Readers of many recordings take them by the *run*: what is read
together because it lies together (a Parquet row group, a stretch of a tar file, one file).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ringtrue.audio import Place
from ringtrue.data.corpora import parquet, remote, store, tar
from ringtrue.data.trials import Trial
from ringtrue.errors import AudioError

_TAR_RUN_BYTES = 4 << 20  # a stretch of a tar file that is read in one go


def run_of(audio: str) -> tuple[str, int]:
    """Say which run a recording belongs to.

    Args:
        audio: A trial's audio.

    Returns:
        The file, and the number of the run in it: equal for recordings that are best read together.

    Raises:
        AudioError: The file that should hold it cannot be read.
    """
    if parquet.is_reference(audio):
        return parquet.group_of(audio)
    if tar.is_reference(audio):
        path, offset, _ = tar.place(audio)
        return path, offset // _TAR_RUN_BYTES
    return audio, 0


def read_run(audios: Sequence[str]) -> list[str | bytes]:
    """Give the recordings of one run.

    Args:
        audios: Of one `run_of`, in the order in which they lie.

    Returns:
        What `ringtrue.audio.load` takes, for each: a path, or the bytes of a file.

    Raises:
        AudioError: The file that holds them cannot be read.
    """
    if parquet.is_reference(audios[0]):
        return list(parquet.read_run(list(audios)))
    if tar.is_reference(audios[0]):
        return list(tar.read_run(list(audios)))
    return [_file(audio) for audio in audios]


def _file(audio: str) -> str | bytes:
    if remote.is_remote(audio):
        return remote.read_bytes(audio)
    return store.read_bytes(audio) if store.is_address(audio) else audio


def audio_source(trial: Trial) -> str | bytes:
    """Give what `ringtrue.audio.load` takes for a trial.

    Args:
        trial: Any trial; its audio is a path, ``file.parquet#row``, ``file.tar#offset+size``, or an address (``hf://``,
            ``s3://`` …).

    Returns:
        The path, or the bytes of the recording.

    Raises:
        AudioError: It cannot be read.
    """
    if parquet.is_reference(trial.audio):
        return parquet.audio_bytes(trial.audio)
    return read_run([trial.audio])[0]


def load_samples(trial: Trial) -> NDArray[np.float32]:
    """Read a trial's recording.

    Args:
        trial: Any trial of a corpus that `load_corpus` gave.

    Returns:
        `(T,)` float32, 16 kHz.

    Raises:
        AudioError: It cannot be read as audio.
    """
    from ringtrue import audio

    return _named(trial.audio, audio_source(trial), lambda source: audio.load(source).samples)


def load_piece(trial: Trial, place: Place) -> NDArray[np.float32]:
    """Read a piece of a trial's recording.

    Args:
        trial: As for `load_samples`.
        place: Where it is, from the recording's length: see `ringtrue.audio.load_piece`.

    Returns:
        That slice of `load_samples`, bit for bit.

    Raises:
        AudioError: It cannot be read as audio.
    """
    return decode_piece(trial.audio, audio_source(trial), place)


def decode_piece(audio: str, source: str | bytes, place: Place) -> NDArray[np.float32]:
    """Decode a piece of what `read_run` gave.

    Args:
        audio: The trial's audio, for the message.
        source: A path, or the bytes of a file.
        place: As for `load_piece`.

    Returns:
        As `load_piece`.

    Raises:
        AudioError: It cannot be read as audio.
    """
    from ringtrue.audio import load_piece

    return _named(audio, source, lambda source: load_piece(source, place))


def _named(
    audio: str, source: str | bytes, read: Callable[[str | bytes], NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Read, and where it fails say what of: the decoder knows no name for bytes."""
    try:
        return read(source)
    except AudioError as error:
        if isinstance(source, bytes):
            raise AudioError(f"{audio}: {error}") from error
        raise
