"""DFADD on disk -> Trials: VCTK speakers by diffusion and flow-matching synthesisers, with the recordings of VCTK.

Layout: ``DATASET_<system>/{train,valid,test}/*`` with a list ``<set>.txt`` beside each, which adds nothing to the
names; ``DATASET_VCTK_BONAFIDE`` belongs to every system. Du et al., "DFADD", SLT 2024, arXiv:2409.08731.
"""

from __future__ import annotations

from pathlib import Path

from ringtrue.data.corpora.rows import Progress, Reading, audio_files
from ringtrue.data.trials import Trial
from ringtrue.errors import CorpusError

NAME = "dfadd"
_HUMAN = "VCTK_BONAFIDE"
_SETS = {"train": "train", "valid": "dev", "test": "test"}


def read(root: Path, progress: Progress) -> list[Trial]:
    """Read every system's folder, and the human recordings once.

    Args:
        root: Folder that holds ``DATASET_*``.
        progress: Takes one line for each bad row.

    Returns:
        The trials.

    Raises:
        CorpusError: The human recordings or all systems are missing.
    """
    folders = {path.name.removeprefix("DATASET_"): path for path in sorted(root.glob("DATASET_*"))}
    if _HUMAN not in folders or len(folders) == 1:
        raise CorpusError(
            f"{NAME}: {root} needs DATASET_{_HUMAN} and DATASET_<system> folders; "
            f"it has: {', '.join(folders) or 'none'}"
        )
    reading = Reading(NAME, progress)
    for system, folder in folders.items():
        for name, split in _SETS.items():
            for number, path in enumerate(audio_files(folder / name), 1):
                # p230_409, and p230_409_GradTTS for the machine's; the speaker comes first either way
                speaker, _, rest = path.stem.partition("_")
                trial = Trial(
                    id=path.relative_to(root).as_posix(),
                    audio=str(path),
                    label="bonafide" if system == _HUMAN else "spoof",
                    system="" if system == _HUMAN else system,
                    speaker=speaker,
                    language="en",
                    source_utterance=f"{speaker}_{rest.partition('_')[0]}",
                    split=split,
                    corpus=NAME,
                    source="isjwdu/DFADD",
                    licence="MIT",
                )
                reading.add(trial, folder / name, number)
    return reading.finish()
