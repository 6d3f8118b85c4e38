"""A folder tree -> Trials: ``bonafide/**`` for people, ``spoof/<system>/**`` for machines."""

from __future__ import annotations

from pathlib import Path

from ringtrue.audio import AUDIO_SUFFIXES
from ringtrue.data.splits import assign_splits
from ringtrue.data.trials import Trial
from ringtrue.errors import CorpusError


def read(root: Path) -> list[Trial]:
    """Read a tree of recordings and split it.

    Args:
        root: Folder with ``bonafide`` (sub-folders are speakers) and ``spoof`` (sub-folders are systems).

    Returns:
        The trials with splits by `assign_splits`.

    Raises:
        CorpusError: One of the two is missing or holds no audio.
    """
    trials = []
    for label in ("bonafide", "spoof"):
        inside = [path for path in sorted((root / label).rglob("*")) if path.suffix.lower() in AUDIO_SUFFIXES]
        if not inside:
            raise CorpusError(
                f"{root / label} holds no audio; a corpus folder has bonafide/ and spoof/<system>/"
            )
        for path in inside:
            name = path.relative_to(root)
            group = name.parts[1] if len(name.parts) > 2 else ""
            trials.append(
                Trial(
                    id=name.as_posix(),
                    audio=str(path),
                    label=label,
                    speaker=group if label == "bonafide" else "",
                    system=(group or "unknown") if label == "spoof" else "",
                    corpus=root.name,
                )
            )
    return assign_splits(trials)
