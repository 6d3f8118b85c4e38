"""A folder tree -> Trials: ``bonafide/**`` for people, ``spoof/<system>/**`` for machines."""

from __future__ import annotations

from pathlib import Path

from ringtrue.data.corpora.rows import Progress, Reading, audio_files
from ringtrue.data.trials import Trial
from ringtrue.errors import CorpusError

NAMES = {
    "bonafide": ("bonafide", "bona-fide", "real", "genuine", "human"),
    "spoof": ("spoof", "fake", "synthetic"),
}


def read(root: Path, progress: Progress) -> list[Trial]:
    """Read a tree of recordings.

    Args:
        root: Folder with ``bonafide`` (sub-folders are speakers) and ``spoof`` (sub-folders are systems); ``real``,
            ``fake`` and the other names in `NAMES` do as well.
        progress: Takes one line for each bad row.

    Returns:
        The trials, without splits.

    Raises:
        CorpusError: One of the two is missing or holds no audio.
    """
    reading = Reading(root.name, progress)
    for label, names in NAMES.items():
        inside = [path for name in names for path in audio_files(root / name)]
        if not inside:
            raise CorpusError(
                f"{root / label} holds no audio; a corpus folder has bonafide/ and spoof/<system>/"
            )
        for number, path in enumerate(inside, 1):
            name = path.relative_to(root)
            group = name.parts[1] if len(name.parts) > 2 else ""
            trial = Trial(
                id=name.as_posix(),
                audio=str(path),
                label=label,
                speaker=group if label == "bonafide" else "",
                system=(group or "unknown") if label == "spoof" else "",
                corpus=root.name,
            )
            reading.add(trial, root / name.parts[0], number)
    return reading.finish()
