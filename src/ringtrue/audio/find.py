"""Names of files, folders and patterns -> recordings, one at a time: the first of a million is judged at once."""

from __future__ import annotations

import glob
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
    """Replace folders by the recordings in them, whatever their depth, and patterns by what fits, in order of name.

    Hidden files are passed over: other systems leave ``._clip.wav`` beside ``clip.wav``, which is no sound.

    Args:
        names: Files, folders and patterns with ``*``, ``?``, ``[`` or ``**``. What is neither a folder nor a pattern
            is given back as it is, to say itself what is wrong; so is a file whose own name looks like a pattern.

    Yields:
        A path, or an error for a folder that cannot be read or holds no recording, or a pattern that fits nothing.
    """
    for name in names:
        try:
            is_folder = Path(name).is_dir()
        except OSError as error:
            yield AudioError(f"{os.fspath(name)[:80]} cannot be looked at ({error.strerror}); check the name")
            continue
        if is_folder:
            yield from _inside(Path(name))
        elif glob.has_magic(text := os.fspath(name)) and not os.path.lexists(text):
            fitting = sorted(glob.iglob(text, recursive=True))
            yield from (Path(found) for found in fitting if not Path(found).is_dir())
            if not fitting:
                yield AudioError(
                    f"nothing fits the pattern {text}; check it, and quote it if the shell reads it first"
                )
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
