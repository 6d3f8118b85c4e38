"""A recipe, the human clips that were found and the engines that are there -> the spoof Trials to make."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TypeVar

from ringtrue.data.corpora.starter.harmonise import codec_of
from ringtrue.data.corpora.starter.recipe import Copies, Recipe, Speech
from ringtrue.data.corpora.starter.systems import Engine
from ringtrue.data.corpora.starter.texts import Line, is_readable, plain, split_of
from ringtrue.data.trials import Trial
from ringtrue.files import stable_int

Item = TypeVar("Item")


def plan_spoof(
    recipe: Recipe,
    bonafide: Sequence[Trial],
    lines: Sequence[Line],
    engines: Mapping[str, Engine],
    seed: int,
    corpus: str,
    unmakeable: Collection[str] = (),
) -> list[Trial]:
    """Choose what each engine makes.

    Args:
        recipe: The size to build.
        bonafide: The human Trials.
        lines: Sentences beyond those of the human clips.
        engines: The engines that can be had; the recipe's rows for others are left out.
        seed: The corpus's seed, which draws the codecs.
        corpus: Name of the corpus.
        unmakeable: Ids of spoof clips that turned out not to be possible: others take their places, and
            everything else stays.

    Returns:
        Trials without durations, `audio` relative to the corpus's folder.
    """
    texts = _texts(bonafide, lines)
    trials: dict[str, Trial] = {}
    taken: dict[str, int] = defaultdict(int)
    for row in recipe.copies:
        if row.engine in engines:
            made = _copies(row, engines[row.engine], bonafide, taken[row.split], unmakeable)
            taken[row.split] += row.count
            trials |= {trial.id: trial for trial in made}
    for reading in recipe.speech:
        if reading.engine in engines:
            made = _speech(reading, engines[reading.engine], texts, seed, corpus, unmakeable)
            trials |= {trial.id: trial for trial in made}
    return list(trials.values())


def audio_path(split: str, system: str, identifier: str) -> str:
    """Say where a clip lies.

    Args:
        split: Its split.
        system: Its system, or empty for bona fide.
        identifier: Its id.

    Returns:
        A path relative to the corpus's folder.
    """
    return f"audio/{split}/{system or 'bonafide'}/{identifier}.flac"


def voice_of(trial: Trial) -> str:
    """Give the engine's name of the voice that a text-to-speech Trial is spoken by.

    Args:
        trial: A Trial that `plan_spoof` made.

    Returns:
        The voice; empty for copy-synthesis.
    """
    return "" if trial.source_utterance else trial.speaker.removeprefix(f"{trial.system}:")


def _copies(
    row: Copies, engine: Engine, bonafide: Sequence[Trial], start: int, unmakeable: Collection[str]
) -> list[Trial]:
    """Start where the split's previous vocoder stopped, so that as many human clips as can be have a twin."""
    humans = [trial for trial in bonafide if trial.split == row.split.removesuffix("_seen")]
    humans = _interleave([trial for trial in humans if trial.speaker == name] for name in _names(humans))
    start %= max(1, len(humans))
    made: list[Trial] = []
    for human in [*humans[start:], *humans[:start]]:
        identifier = f"{row.engine}-{human.id}"
        if identifier in unmakeable or len(made) == row.count:
            continue
        made.append(
            Trial(
                id=identifier,
                audio=audio_path(row.split, row.engine, identifier),
                label="spoof",
                system=row.engine,
                acoustic_model=engine.acoustic_model,
                vocoder=engine.vocoder,
                speaker=human.speaker,
                language=human.language,
                transcript=human.transcript,
                source_utterance=human.id,
                codec=human.codec,
                split=row.split,
                corpus=human.corpus,
                source=human.source,
                licence=human.licence,
            )
        )
    return made


def _speech(
    row: Speech,
    engine: Engine,
    texts: Mapping[tuple[str, str], list[str]],
    seed: int,
    corpus: str,
    unmakeable: Collection[str],
) -> list[Trial]:
    side = row.split.removesuffix("_seen")
    readings = []
    for language in row.languages:
        voices = [v for v in engine.voices.get(language, ()) if not row.voices or v in row.voices]
        if voices:
            spoken = zip(itertools.cycle(voices), texts.get((side, language), []), strict=False)
            named = [
                (f"{row.engine}-{voice}-{language}-{stable_int(text):016x}", language, voice, text)
                for voice, text in spoken
            ]
            readings.append([reading for reading in named if reading[0] not in unmakeable])
    made = []
    for identifier, language, voice, text in _interleave(readings)[: row.count]:
        made.append(
            Trial(
                id=identifier,
                audio=audio_path(row.split, row.engine, identifier),
                label="spoof",
                system=row.engine,
                acoustic_model=engine.acoustic_model,
                vocoder=engine.vocoder,
                speaker=f"{row.engine}:{voice}",
                language=language,
                transcript=text,
                codec=codec_of(identifier, seed),
                split=row.split,
                corpus=corpus,
                source=engine.source,
                licence=engine.licence,
            )
        )
    return made


def _texts(bonafide: Sequence[Trial], lines: Sequence[Line]) -> dict[tuple[str, str], list[str]]:
    """List what may be read, by (split, language): first what people of that split say, then other lines.

    The same words from people and machines leave a countermeasure nothing to learn from the words.
    """
    texts: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    side_of = {plain(trial.transcript): trial.split for trial in bonafide}
    for trial in sorted(bonafide, key=lambda trial: stable_int("text", trial.transcript)):
        if is_readable(trial.transcript):
            texts[trial.split, trial.language][trial.transcript] = None
    for line in lines:
        split = split_of(line.sentence)
        if side_of.get(plain(line.text), split) == split:
            texts[split, line.language][line.text] = None
    return {key: list(found) for key, found in texts.items()}


def _names(trials: Sequence[Trial]) -> list[str]:
    return list(dict.fromkeys(trial.speaker for trial in trials))


def _interleave(groups: Iterable[Sequence[Item]]) -> list[Item]:
    """Deal one item from each group in turn until all are dealt."""
    rounds = itertools.zip_longest(*groups, fillvalue=None)
    return [item for dealt in rounds for item in dealt if item is not None]
