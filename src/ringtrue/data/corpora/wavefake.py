"""WaveFake on disk -> Trials: LJSpeech and JSUT through seven vocoders, and one speech synthesiser.

Machine speech only; LJSpeech itself, which is to be had elsewhere, is the human half. The folder's name is the
system. Frank and Schönherr, "WaveFake: A data set to facilitate audio deepfake detection", 2021, arXiv:2111.02813.
"""

from __future__ import annotations

import re
from pathlib import Path

from ringtrue.data.corpora.rows import Progress, Reading, audio_files, find_folder
from ringtrue.data.trials import Trial

NAME = "wavefake"
_AUDIO = "generated_audio"
_TTS = "common_voices"  # its files are numbered, their texts are of no recording here
_LANGUAGES = {"ljspeech": "en", "jsut": "ja", "common": "en"}


def read(root: Path, progress: Progress, ljspeech: str = "") -> list[Trial]:
    """Read every folder of ``generated_audio``.

    Args:
        root: Folder that holds ``generated_audio``, or the one around it.
        progress: Takes one line for each bad row.
        ljspeech: Folder ``LJSpeech-1.1``; its recordings become the bona fide half.

    Returns:
        The trials, without splits. No speaker is named: one woman reads nearly everything, so that nothing could
        be held out by speaker; what is held out is texts and systems.

    Raises:
        CorpusError: There is no such folder, or too many rows are bad.
    """
    root = find_folder(root, _AUDIO, NAME)
    reading = Reading(NAME, progress)
    for number, path in enumerate(audio_files(root / _AUDIO), 1):
        system = path.relative_to(root / _AUDIO).parts[0]
        text = "" if system.startswith(_TTS) else re.sub(r"_gen(erated)?$", "", path.stem)
        corpus = system.partition("_")[0]
        trial = Trial(
            id=path.relative_to(root).as_posix(),
            audio=str(path),
            label="spoof",
            system=system,
            language=_LANGUAGES.get(corpus, ""),
            source_utterance=f"{corpus}/{text}" if text else "",
            corpus=NAME,
            source="https://zenodo.org/records/5642694",
            licence="CC BY-SA 4.0",
        )
        reading.add(trial, root, number)
    if ljspeech:
        wavs = find_folder(Path(ljspeech), "wavs", "LJSpeech") / "wavs"
        for number, path in enumerate(audio_files(wavs), 1):
            reading.add(_human(path), wavs, number)
    return reading.finish()


def _human(path: Path) -> Trial:
    return Trial(
        id=f"ljspeech/{path.name}",
        audio=str(path),
        label="bonafide",
        language="en",
        source_utterance=f"ljspeech/{path.stem}",
        corpus="ljspeech",
        source="https://keithito.com/LJ-Speech-Dataset/",
        licence="public domain",
    )
