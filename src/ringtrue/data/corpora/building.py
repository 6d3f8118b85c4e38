"""A folder that a corpus is built in: whose it is, and whether all of it is there."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path

from ringtrue.data.corpora.manifest import read_manifest
from ringtrue.errors import CorpusError
from ringtrue.files import is_half_written, write_json


def claim(root: Path, identity: Mapping[str, object]) -> None:
    """Mark a folder as this build's, or refuse one that holds anything else: nothing is ever overwritten.

    Args:
        root: The folder; made if needed.
        identity: All that decides what is built in it, and ``corpus``, its name.

    Raises:
        CorpusError: It holds another corpus, or something else.
    """
    marker = root / "build.json"
    if marker.is_file():
        if identity_of(root) == identity:
            return
        raise CorpusError(
            f"{root} holds a corpus that was built with other settings or by another version; wanted is "
            f"{identity}. Delete that folder or choose another"
        )
    if root.is_dir() and not all(
        map(is_half_written, root.iterdir())
    ):  # a build was killed, or has just begun
        kind = str(identity["corpus"]).partition("-")[0]
        raise CorpusError(f"{root} is not empty and not a {kind} corpus: choose another folder")
    write_json(marker, dict(identity))


def identity_of(root: Path) -> dict[str, object]:
    """Read what `claim` wrote.

    Args:
        root: A folder.

    Returns:
        The identity; empty where there is none.
    """
    with contextlib.suppress(OSError, ValueError):
        return dict(json.loads((root / "build.json").read_text(encoding="utf-8")))
    return {}


def is_complete(manifest: Path) -> bool:
    """Say whether a corpus is there, with every clip that its manifest names.

    Args:
        manifest: Its manifest. Where clips were deleted it goes too, so that nobody takes it for complete.

    Returns:
        Whether nothing is left to do.
    """
    if not manifest.is_file():
        return False
    if all(Path(trial.audio).is_file() for trial in read_manifest(manifest, check_audio=False)):
        return True
    manifest.unlink()
    return False
