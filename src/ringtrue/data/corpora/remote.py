"""A file in a data set repository on the hub -> its bytes, or a part of them, without a copy on disk.

A recording there is written ``hf://datasets/<owner>/<name>@<revision>/<path>``: pinned, so that what was listed is what
is heard. Whole files and ranges are single requests; only Parquet goes through the hub's file system.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from ringtrue.data.corpora import hub, store
from ringtrue.errors import AudioError, CorpusError, require

_SCHEME = "hf://datasets/"
_LOG = logging.getLogger(__name__)
_PATIENCE_S = 60.0  # without a byte of an answer


def is_remote(audio: str) -> bool:
    """Say whether a recording, or the file that it is in, is on the hub.

    >>> is_remote("hf://datasets/a/b@c/d.wav"), is_remote("/data/d.wav")
    (True, False)
    """
    return audio.startswith(_SCHEME)


def address(repository: str, revision: str, path: str) -> str:
    """Name a file on the hub.

    >>> address("mueller91/MLAAD", "30c3dec", "fake/en/a b/1.wav")
    'hf://datasets/mueller91/MLAAD@30c3dec/fake/en/a b/1.wav'
    """
    return f"{_SCHEME}{repository}@{revision}/{path}"


def listing(
    repository: str, patterns: Sequence[str], progress: Callable[[str], None]
) -> tuple[str, list[str]]:
    """List the files of a data set that match, at its newest revision.

    Args:
        repository: Such as ``"openslr/librispeech_asr"``.
        patterns: Shell patterns of paths in it.
        progress: Told when the hub asks to wait.

    Returns:
        The revision, and the paths, sorted.

    Raises:
        CorpusError: The hub cannot be reached, or refuses, or no file matches.
    """
    api = require("huggingface_hub", "hub").HfApi()
    revision = str(hub.patiently(repository, progress, time.sleep, lambda: api.dataset_info(repository).sha))
    entries = hub.list_files(repository, patterns, progress, revision=revision)
    return revision, sorted(entry.path for entry in entries)


def read_bytes(audio: str, start: int = 0, stop: int | None = None) -> bytes:
    """Fetch a file, or a range of its bytes, in one request.

    Args:
        audio: Its `address`.
        start: First byte.
        stop: One past the last byte; None for the rest.

    Returns:
        The bytes.

    Raises:
        AudioError: The hub refuses or cannot be reached, or the file is too large; see `store.joined`.
    """
    client, tools = require("huggingface_hub", "hub"), require("huggingface_hub.utils", "hub")
    repository, revision, path = _parts(audio)
    wanted = (
        {} if start == 0 and stop is None else {"Range": f"bytes={start}-{'' if stop is None else stop - 1}"}
    )

    def get() -> bytes:
        url = client.hf_hub_url(repository, path, repo_type="dataset", revision=revision)
        headers = {**tools.build_hf_headers(), **wanted}
        with client.get_session().stream("GET", url, headers=headers, timeout=_PATIENCE_S) as answer:
            if answer.is_error:
                answer.read()  # it says why
            tools.hf_raise_for_status(answer)
            return store.joined(answer.iter_bytes(), audio)

    try:
        return bytes(patiently(audio, get))
    except CorpusError as error:
        raise AudioError(f"{audio}: {error}") from error


def open_file(audio: str) -> Any:
    """Open a file on the hub for reading in any order.

    Args:
        audio: Its `address`.

    Returns:
        A binary file.

    Raises:
        CorpusError: The hub refuses or cannot be reached.
    """
    file_system = require("huggingface_hub", "hub").HfFileSystem  # keeps its own instances, one a process
    return patiently(audio, lambda: file_system().open(audio, "rb"))


def patiently(audio: str, ask: Callable[[], Any]) -> Any:
    """Ask the hub for something of a file while listening: waits are logged, not told.

    Args:
        audio: The file's `address`.
        ask: Asks.

    Returns:
        What `ask` gives.

    Raises:
        CorpusError: The hub refuses, cannot be reached or stays busy.
    """
    return hub.patiently(_parts(audio)[0], _LOG.warning, time.sleep, ask)


def _parts(audio: str) -> tuple[str, str, str]:
    repository, _, rest = audio.removeprefix(_SCHEME).partition("@")
    revision, _, path = rest.partition("/")
    return repository, revision, path
