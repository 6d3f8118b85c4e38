"""Unpacked Debian packages -> utterances that people recorded, with their words, speaker by speaker."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import resources
from pathlib import Path

from ringtrue.data.corpora.starter.texts import (
    FILLETS,
    STAMPS,
    captions,
    dialogues,
    drop_shared,
    sentence_key,
)
from ringtrue.files import stable_int

ASTERISK = Path("usr/share/asterisk/sounds")
FESTVOX_RU = Path("usr/share/festival/voices/russian/msu_ru_nsh_clunits")

_STAMP_LANGUAGES = ("fr", "bg", "ro", "es", "be", "da", "el", "ru")
_PROMPT = re.compile(r'\(\s*(\S+)\s+"((?:[^"\\]|\\.)*)"\s*\)')


@dataclass(frozen=True)
class Utterance:
    """One recording of a person, as its package ships it.

    Attributes:
        name: Unique in the corpus: the speaker, a hyphen, where in the package it lies.
        path: The recording.
        speaker: A key of `SPEAKERS`.
        language: ISO 639 code.
        text: What is said.
        sentence: Key of the sentence, made by `texts.sentence_key`: it decides the split.
    """

    name: str
    path: Path
    speaker: str
    language: str
    text: str
    sentence: str


@dataclass(frozen=True)
class Speaker:
    """Where to find one person's recordings.

    Attributes:
        language: ISO 639 code.
        packages: Debian packages that are needed; the first holds the recordings.
        licence: Licence of the recordings.
        read: (prefix, speaker name, language) -> utterances.
    """

    language: str
    packages: tuple[str, ...]
    licence: str
    read: Callable[[Path, str, str], Iterator[Utterance]]


def utterances(speaker: str, prefix: Path) -> list[Utterance]:
    """List one speaker's recordings with their words.

    Args:
        speaker: A key of `SPEAKERS`.
        prefix: Folder that the packages are unpacked in; what is not there is left out.

    Returns:
        Utterances whose words are known and occur in one split only, in a stable order that is random in
        content, so that the first n are a fair choice.
    """
    source = SPEAKERS[speaker]
    found = (item for item in source.read(prefix, speaker, source.language) if item.text)
    return sorted(
        drop_shared(found, lambda item: (item.sentence, item.text)), key=lambda item: stable_int(item.name)
    )


def _fillets(prefix: Path, speaker: str, language: str, role: str) -> Iterator[Utterance]:
    """Game dialogue; the second word of a file's name is the role: ``m`` the small fish, ``v`` the big."""
    for name, line in dialogues(prefix, language):
        level, stem = name.split("/")
        path = prefix / FILLETS / "sound" / level / language / f"{stem}.ogg"
        if stem.split("-")[1:2] == [role] and path.is_file():
            yield Utterance(_name(speaker, name), path, speaker, language, line.text, line.sentence)


def _tuxpaint(prefix: Path, speaker: str, language: str) -> Iterator[Utterance]:
    """Spoken captions: ``lemon_desc_da.ogg`` reads the Danish line of ``lemon.txt``."""
    folder, ending = prefix / STAMPS, f"_desc_{language}.ogg"
    for path in sorted(folder.rglob(f"*{ending}")):
        stem = path.name.removesuffix(ending)
        caption = path.with_name(f"{stem}.txt")
        line = captions(caption).get(language) if caption.is_file() else None
        if line:
            name = _name(speaker, path.with_name(stem).relative_to(folder).as_posix())
            yield Utterance(name, path, speaker, language, line.text, line.sentence)


def _asterisk(prefix: Path, speaker: str, language: str, voice: str) -> Iterator[Utterance]:
    """Telephone prompts; the packages carry no words, so ours come with ringtrue."""
    table = resources.files(__package__).joinpath("asterisk_transcripts.tsv").read_text(encoding="utf-8")
    rows = (row for row in table.splitlines() if not row.startswith("#"))
    for row in csv.DictReader(rows, delimiter="\t", quoting=csv.QUOTE_NONE):
        folder, _, name = row["path"].partition("/")
        path = prefix / ASTERISK / folder / f"{name}.g722"
        if folder == voice and path.is_file():
            # One prompt has one file name in all languages, so the name stands for the original wording.
            key = sentence_key("asterisk", name)
            yield Utterance(_name(speaker, name), path, speaker, language, row["text"], key)


def _festvox_ru(prefix: Path, speaker: str, language: str) -> Iterator[Utterance]:
    """Studio sentences with the prompts they were read from, where ``+`` marks stress."""
    prompts = prefix / FESTVOX_RU / "etc" / "txt.done.data"
    text = prompts.read_text(encoding="utf-8") if prompts.is_file() else ""
    for name, words in _PROMPT.findall(text):
        path = prefix / FESTVOX_RU / "wav" / f"{name}.wav"
        if path.is_file():
            words = words.replace("+", "")
            key = sentence_key("festvox-ru", words)
            yield Utterance(_name(speaker, name), path, speaker, language, words, key)


def _name(speaker: str, place: str) -> str:
    return f"{speaker}-{re.sub(r'[^A-Za-z0-9]+', '-', place).strip('-')}"


def _fillets_speaker(language: str, role: str) -> Speaker:
    packages = (f"fillets-ng-data-{language}", "fillets-ng-data")
    return Speaker(language, packages, "GPL-2.0-only", partial(_fillets, role=role))


def _asterisk_speaker(language: str, voice: str, licence: str) -> Speaker:
    return Speaker(
        language, (f"asterisk-core-sounds-{language}-g722",), licence, partial(_asterisk, voice=voice)
    )


def _tuxpaint_speaker(language: str) -> Speaker:
    return Speaker(language, ("tuxpaint-stamps-default",), "GPL-2.0-or-later", _tuxpaint)


SPEAKERS: dict[str, Speaker] = {
    "fillets_cs_m": _fillets_speaker("cs", "m"),
    "fillets_cs_v": _fillets_speaker("cs", "v"),
    "fillets_nl_m": _fillets_speaker("nl", "m"),
    "fillets_nl_v": _fillets_speaker("nl", "v"),
    # Allison also recorded the Spanish prompts: she may be on one side of a split only, so they stay out.
    "asterisk_en_allison": _asterisk_speaker("en", "en_US_f_Allison", "CC-BY-SA-3.0"),
    "asterisk_fr_june": _asterisk_speaker("fr", "fr_CA_f_June", "CC-BY-SA-3.0"),
    "asterisk_it_carlo": _asterisk_speaker("it", "it_IT_m_Carlo", "CC-BY-3.0"),
    "asterisk_ru": _asterisk_speaker("ru", "ru_RU_f_IvrvoiceRU", "CC-BY-3.0"),
    "festvox_ru_shmyrev": Speaker("ru", ("festvox-ru",), "LicenseRef-festvox-ru-BSD-like", _festvox_ru),
    # Tuxpaint credits nobody by file; embeddings say about one person per language.
    **{f"tuxpaint_{language}": _tuxpaint_speaker(language) for language in _STAMP_LANGUAGES},
}
