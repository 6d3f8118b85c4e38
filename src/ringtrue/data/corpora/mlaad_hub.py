"""MLAAD on the hub (gated) -> files in a folder, or their addresses -> Trials, as `mlaad` reads them.

Not through ``datasets``: its audio folders lose ``meta.csv`` and need torchcodec even to stream undecoded bytes.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ringtrue.data.corpora import hub, mlaad, remote
from ringtrue.data.corpora.rows import Progress, Reading
from ringtrue.data.trials import Trial


def read(root: Path, progress: Progress, languages: str = "", stream: str = "") -> list[Trial]:
    """Fetch what is missing, then read it; or fetch the tables only and leave the sound on the hub.

    Args:
        root: Folder to keep it in. The whole corpus is about 240 GB, its tables are some 100 MB.
        progress: Takes one line now and then.
        languages: Folder names to fetch and read, parted by commas; all if empty.
        stream: ``yes`` to fetch the tables only; recordings then come from the hub when they are listened to.

    Returns:
        The trials, without splits.

    Raises:
        CorpusError: The hub refuses; the message has the steps.
    """
    folders = [f"fake/{name.strip()}" for name in languages.split(",") if name.strip()] or ["fake"]
    if not hub.is_yes(mlaad.NAME, "stream", stream):
        hub.fetch(mlaad.REPOSITORY, [f"{folder}/*" for folder in folders], root, progress)
        return mlaad.read(root, progress, languages)
    hub.fetch(mlaad.REPOSITORY, [f"{folder}/*/{mlaad.META}" for folder in folders], root, progress)
    revision, sounds = remote.listing(mlaad.REPOSITORY, [f"{folder}/*.wav" for folder in folders], progress)
    reading = Reading(mlaad.NAME, progress, there=[f"{root}/{path}" for path in sounds])
    mlaad.add_folders(root, sorted({(root / path).parent for path in sounds}), reading)
    return [
        replace(trial, audio=remote.address(mlaad.REPOSITORY, revision, trial.audio.removeprefix(f"{root}/")))
        for trial in reading.finish()
    ]
