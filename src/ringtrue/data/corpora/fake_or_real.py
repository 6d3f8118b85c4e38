"""Fake-or-Real on disk -> Trials in its own training, validation and testing sets; systems are not told apart.

Reimao and Tzerpos, "FoR: A dataset for synthetic speech detection", SpeD 2019.
"""

from __future__ import annotations

from pathlib import Path

from ringtrue.data.corpora.rows import Progress, Reading, audio_files, find_folder, label_of
from ringtrue.data.trials import Trial

NAME = "fake-or-real"
_SETS = {"training": "train", "validation": "dev", "testing": "test"}


def read(root: Path, progress: Progress) -> list[Trial]:
    """Read one variant, such as ``for-norm``.

    Args:
        root: Folder that holds ``training``, ``validation`` and ``testing``, each with ``real`` and ``fake``; or the
            one around it, since the pack has ``for-norm`` twice.
        progress: Takes one line for each bad row.

    Returns:
        The trials.

    Raises:
        CorpusError: It is not this corpus.
    """
    root = find_folder(root, "testing", NAME)
    reading = Reading(NAME, progress)
    for folder, split in _SETS.items():
        for kind in ("real", "fake"):
            for number, path in enumerate(audio_files(root / folder / kind), 1):
                label = label_of(kind)
                trial = Trial(
                    id=path.relative_to(root).as_posix(),
                    audio=str(path),
                    label=label,
                    system="unknown" if label == "spoof" else "",
                    language="en",
                    split=split,
                    corpus=NAME,
                    source="https://bil.eecs.yorku.ca/datasets/",
                )
                reading.add(trial, root / folder / kind, number)
    return reading.finish()
