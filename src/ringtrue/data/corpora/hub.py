"""A data set repository on the Hugging Face hub -> files on disk, one at a time; what is there is not fetched again."""

from __future__ import annotations

import fnmatch
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ringtrue.data.corpora.rows import Progress
from ringtrue.errors import AudioError, CorpusError, require
from ringtrue.files import stable_int, write_text

_WAITS_S = (5.0, 20.0, 60.0, 180.0, 300.0)  # the free tier counts requests over five minutes
_BUSY = (408, 429, 500, 502, 503, 504)
_BROKE_OFF = {"ReadTimeout", "WriteTimeout", "PoolTimeout", "ReadError", "WriteError", "RemoteProtocolError"}
"""What HTTP libraries call an answer that stops or stays away; the hub's client has changed its library before. A hub
that is never reached is another matter: nothing says that waiting helps."""


def fetch(
    repository: str,
    patterns: Sequence[str],
    root: Path,
    progress: Progress,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Fetch the files of a data set that match, resuming where an earlier run stopped.

    The list of files comes first, then each file by itself: a file on disk with the size that the list states is
    kept, one that broke off is made whole. Where the hub says that it is asked too often, it is left alone for a while.
    Once all of it is there the hub is not asked again.

    Args:
        repository: Such as ``"openslr/librispeech_asr"``.
        patterns: Shell patterns of paths in it, such as ``"fake/en/*"``; ``*`` matches ``/`` too.
        root: Folder to put them in, under the same paths.
        progress: Takes one line now and then.
        sleep: Waits for so many seconds.

    Returns:
        How many files were fetched now.

    Raises:
        CorpusError: The hub cannot be reached, the data set is gated and the terms are not accepted, or no file
            matches.
        MissingExtraError: huggingface_hub is not installed.
    """
    done = root / f".fetched-{stable_int(repository, *patterns):016x}"
    if done.exists():  # no network is needed for what is here
        return 0
    hub = require("huggingface_hub", "hub")
    wanted = list_files(repository, patterns, progress, sleep)
    missing = [entry for entry in wanted if _size(root / entry.path) != entry.size]
    total_gb = sum(entry.size for entry in missing) / 1e9
    progress(f"{repository}: {len(missing)} of {len(wanted)} files to fetch into {root}, {total_gb:.1f} GB")
    for number, entry in enumerate(missing, 1):
        patiently(
            repository,
            progress,
            sleep,
            lambda name=entry.path: hub.hf_hub_download(  # type: ignore[misc]
                repository, name, repo_type="dataset", local_dir=root
            ),
        )
        if number % 500 == 0:
            progress(f"{repository}: {number} of {len(missing)} files fetched")
    write_text(done, f"{repository} {' '.join(patterns)}\n")
    return len(missing)


def is_yes(corpus: str, option: str, word: str) -> bool:
    """Read an option that is yes or no.

    Args:
        corpus: For the message.
        option: Its name, for the message.
        word: What the user wrote; empty for no.

    Returns:
        Whether it is yes.

    Raises:
        CorpusError: It is neither.
    """
    if word not in ("yes", "no", ""):
        raise CorpusError(f"{corpus}: ?{option}={word}; accepted: yes or no")
    return word == "yes"


def list_files(
    repository: str,
    patterns: Sequence[str],
    progress: Progress,
    sleep: Callable[[float], None] = time.sleep,
    revision: str | None = None,
) -> list[Any]:
    """List the files of a data set that match.

    Args:
        repository: As for `fetch`.
        patterns: As for `fetch`.
        progress: As for `fetch`.
        sleep: As for `fetch`.
        revision: A commit; the newest if None.

    Returns:
        The hub's entries, with ``path`` and ``size``.

    Raises:
        CorpusError: As for `fetch`.
    """
    hub = require("huggingface_hub", "hub")
    entries = patiently(repository, progress, sleep, lambda: list(_list(hub, repository, patterns, revision)))
    wanted = [
        entry for entry in entries if any(fnmatch.fnmatchcase(entry.path, pattern) for pattern in patterns)
    ]
    if not wanted:
        raise CorpusError(f"{repository} has no file that matches {' or '.join(patterns)}")
    return wanted


def _list(hub: Any, repository: str, patterns: Sequence[str], revision: str | None) -> Any:
    """List only the folder that all patterns lie in: a large data set has half a million files elsewhere."""
    folders = {pattern.split("*")[0].rpartition("/")[0] for pattern in patterns}
    for folder in sorted(folders):
        if not any(folder.startswith(f"{other}/") or other == "" for other in folders - {folder}):
            entries = hub.HfApi().list_repo_tree(
                repository, folder or None, recursive=True, repo_type="dataset", revision=revision
            )
            yield from (entry for entry in entries if hasattr(entry, "size"))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def patiently(
    repository: str, progress: Progress, sleep: Callable[[float], None], ask: Callable[[], Any]
) -> Any:
    """Ask the hub for something, waiting where it says that it is asked too often, and where an answer breaks off.

    Args:
        repository: For messages.
        progress: Told of every wait.
        sleep: Waits for so many seconds.
        ask: Asks.

    Returns:
        What `ask` gives.

    Raises:
        CorpusError: The hub refuses, cannot be reached or stays busy.
    """
    for wait_s in (*_WAITS_S, None):
        try:
            return ask()
        except AudioError:
            raise  # says itself what is wrong with the recording, and would be so again
        except Exception as error:  # the hub's and the network's exceptions share no root
            status = getattr(getattr(error, "response", None), "status_code", None)
            if wait_s is not None and (fault := _passing_fault(error, status)):
                progress(f"{repository}: the hub {fault}; going on in {wait_s:.0f} s")
                sleep(wait_s)
                continue
            raise CorpusError(_explain(repository, error, status)) from error
    raise AssertionError("the last wait is None")


def _passing_fault(error: BaseException | None, status: int | None) -> str:
    """Say what may be over in a while; nothing otherwise."""
    if status in _BUSY:
        return f"is busy ({status})"
    while error is not None:
        if type(error).__name__ in _BROKE_OFF:
            return f"did not answer to the end ({type(error).__name__})"
        error = error.__cause__
    return ""


def _explain(repository: str, error: Exception, status: int | None) -> str:
    if status in (401, 403) or "Gated" in type(error).__name__:
        return (
            f"{repository} is gated: (1) log in at https://huggingface.co/datasets/{repository} and accept the "
            "terms; (2) make a token with read access at https://huggingface.co/settings/tokens; (3) set the "
            "environment variable HF_TOKEN to it and run the same command again. A copy on disk needs no token"
        )
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return (
        f"{repository} cannot be fetched ({reason}). Check the network and the name; run the same command again and "
        "it goes on where it stopped. A copy on disk works without: give its folder"
    )
