"""MLAAD-tiny on disk or on the hub -> Trials: 64 speech synthesisers and the human recordings of the same texts.

Layout: ``original/<language>/<clip>.wav`` and ``fake/<language>/<system>/<clip>.wav``; a fake has the base name of the
recording whose text it speaks. Müller et al., "MLAAD: The Multi-Language Audio Anti-Spoofing Dataset", 2024.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ringtrue.data.corpora import hub, mlaad
from ringtrue.data.corpora.rows import Progress, Reading
from ringtrue.data.trials import Trial
from ringtrue.errors import CorpusError

NAME = "mlaad-tiny"
_REPOSITORY = "mueller91/MLAAD-tiny"
_LICENCE = "CC-BY-NC-4.0 (fake), M-AILABS licence (original)"


def fetch(root: Path, progress: Progress) -> list[Trial]:
    """Download what is missing from the hub (about 4 GB), then read it.

    Args:
        root: Folder to keep it in.
        progress: Takes one line now and then.

    Returns:
        The trials; see `read`.

    Raises:
        CorpusError: The hub cannot be reached, or asks for a login.
        MissingExtraError: huggingface_hub is absent.
    """
    hub.fetch(_REPOSITORY, ["original/*", "fake/*"], root, progress)
    return read(root, progress)


def read(root: Path, progress: Progress) -> list[Trial]:
    """Read a local copy.

    Args:
        root: Folder that holds ``original`` and ``fake``.
        progress: Takes one line for each bad row.

    Returns:
        The trials, without splits.

    Raises:
        CorpusError: One of the two folders is missing or empty, or too many rows are bad.
    """
    originals = sorted((root / "original").glob("*/[!.]*.wav"))
    fakes = sum(1 for _ in (root / "fake").glob("*/*/[!.]*.wav"))
    if not originals or not fakes:
        raise CorpusError(
            f"{root} holds {len(originals)} human and {fakes} machine clips; MLAAD-tiny has "
            "original/<language>/*.wav and fake/<language>/<system>/*.wav"
        )
    reading = Reading(NAME, progress)
    for number, path in enumerate(originals, 1):
        name = path.relative_to(root).as_posix()
        trial = Trial(name, str(path), "bonafide", language=path.parent.name)
        reading.add(_ours(trial), root / "original", number)
    for folder in mlaad.model_folders(root):
        for trial, line, _ in mlaad.folder_trials(root, folder, reading):
            reading.add(_ours(trial), folder / mlaad.META, line)
    return reading.finish()


def _ours(trial: Trial) -> Trial:
    """Name the source utterance as both halves can: originals lie flat here, not at their M-AILABS paths."""
    return replace(
        trial,
        source_utterance=f"{trial.language}/{Path(trial.audio).stem}",
        corpus=NAME,
        source=_REPOSITORY,
        licence=_LICENCE,
    )
