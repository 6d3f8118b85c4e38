"""Names of files and folders -> recordings, one at a time, so that the first of a million is judged at once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from ringtrue.errors import AudioError

AUDIO_SUFFIXES = frozenset(
    [
        ".wav",
        ".flac",
        ".mp3",
        ".ogg",
        ".oga",
        ".opus",
        ".m4a",
        ".aac",
        ".mp4",
        ".mov",
        ".webm",
        ".mkv",
        ".amr",
        ".aif",
        ".aiff",
        ".wma",
        ".au",
        ".caf",
        ".w64",
        ".ulaw",
        ".ul",
        ".alaw",
        ".al",
        ".g722",
    ]
)
"""What to look for in a folder; a file that is named itself may have any suffix."""


def find_recordings(names: Iterable[str | os.PathLike[str]]) -> Iterator[Path | AudioError]:
    """Replace folders by the recordings in them, whatever their depth, in order of name.

    Hidden files are passed over: other systems leave ``._clip.wav`` beside ``clip.wav``, which is no sound.

    Args:
        names: Files and folders. What is not a folder is given back as it is, to say itself what is wrong.

    Yields:
        A path, or an error for a folder that cannot be read or holds no recording.
    """
    for name in names:
        try:
            is_folder = Path(name).is_dir()
        except OSError as error:
            yield AudioError(f"{os.fspath(name)[:80]} cannot be looked at ({error.strerror}); check the name")
            continue
        if is_folder:
            yield from _inside(Path(name))
        else:
            yield Path(name)


def _inside(root: Path) -> Iterator[Path | AudioError]:
    unreadable: list[OSError] = []
    found = False
    for folder, folders, files in os.walk(root, onerror=unreadable.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if not name.startswith(".") and Path(name).suffix.lower() in AUDIO_SUFFIXES:
                found = True
                yield Path(folder) / name
    for error in unreadable:
        yield AudioError(f"the folder {error.filename} cannot be read ({error.strerror})")
    if not found and not unreadable:
        yield AudioError(f"the folder {root} holds no audio; accepted: {' '.join(sorted(AUDIO_SUFFIXES))}")
