"""MLAAD on the hub (gated) -> files in a folder -> Trials, as `mlaad` reads them.

Not through ``datasets``: its audio folders lose ``meta.csv`` and need torchcodec even to stream undecoded bytes.
"""

from __future__ import annotations

from pathlib import Path

from ringtrue.data.corpora import hub, mlaad
from ringtrue.data.corpora.rows import Progress
from ringtrue.data.trials import Trial


def read(root: Path, progress: Progress, languages: str = "") -> list[Trial]:
    """Fetch what is missing, then read it.

    Args:
        root: Folder to keep it in. The whole corpus is about 240 GB.
        progress: Takes one line now and then.
        languages: Folder names to fetch and read, parted by commas; all if empty.

    Returns:
        The trials, without splits.

    Raises:
        CorpusError: The hub refuses; the message has the steps.
    """
    wanted = [name.strip() for name in languages.split(",") if name.strip()]
    hub.fetch(mlaad.REPOSITORY, [f"fake/{name}/*" for name in wanted] or ["fake/*"], root, progress)
    return mlaad.read(root, progress, languages)
