"""Trials -> how many there are of what: split, label, system; their languages, speakers, lengths, rates, codecs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from ringtrue.data.corpora import audio_source
from ringtrue.data.trials import Trial
from ringtrue.errors import AudioError
from ringtrue.files import stable_int

NOT_KNOWN = "?"


@dataclass(frozen=True)
class Group:
    """What a corpus holds of one system in one split.

    Attributes:
        split: Name of the split; empty without one.
        label: ``"bonafide"`` or ``"spoof"``.
        system: Generator; empty for bona fide.
        trials: How many.
        speakers: How many different known ones.
        languages: Trials by language.
        codecs: Trials by the codec they went through, as the corpus says; by how the file is coded where it was probed
            and the corpus says nothing.
        rates: Trials by native sample rate, in Hz.
        durations_s: The known lengths, sorted.
        faults: One line for each probed recording that cannot be read, ends early or is damaged.
    """

    split: str
    label: str
    system: str
    trials: int
    speakers: int
    languages: Counter[str]
    codecs: Counter[str]
    rates: Counter[str]
    durations_s: tuple[float, ...]
    faults: tuple[str, ...]

    def lengths(self) -> str:
        """Say shortest, median and longest in one cell."""
        if not self.durations_s:
            return NOT_KNOWN
        known = self.durations_s
        return f"{known[0]:.1f}/{median(known):.1f}/{known[-1]:.1f}"


def contents(trials: Sequence[Trial], probed: int = 0) -> list[Group]:
    """Count what a corpus holds.

    Args:
        trials: The corpus.
        probed: How many recordings of each group to decode, for what the corpus does not say; 0 reads none. They are
            drawn by a stable hash of their ids.

    Returns:
        One group for each split, label and system, sorted by these.
    """
    members: dict[tuple[str, str, str], list[Trial]] = defaultdict(list)
    for trial in trials:
        members[trial.split, trial.label, trial.system].append(trial)
    return [_group(key, group, probed) for key, group in sorted(members.items())]


def _group(key: tuple[str, str, str], members: Sequence[Trial], probed: int) -> Group:
    durations = {trial.id: trial.duration_s for trial in members if trial.duration_s}
    codecs = {trial.id: trial.codec for trial in members if trial.codec}
    rates: dict[str, str] = {}
    faults: list[str] = []
    for trial in sorted(members, key=lambda trial: stable_int(trial.id))[:probed] if probed else ():
        for rate, codec, duration_s in _probe(trial, faults.append):
            rates[trial.id] = rate
            codecs.setdefault(trial.id, codec)
            durations.setdefault(trial.id, duration_s)
    return Group(
        *key,
        trials=len(members),
        speakers=len({trial.speaker for trial in members} - {""}),
        languages=Counter(trial.language or NOT_KNOWN for trial in members),
        codecs=Counter(codecs.get(trial.id, NOT_KNOWN) for trial in members),
        rates=Counter(rates.get(trial.id, NOT_KNOWN) for trial in members),
        durations_s=tuple(sorted(durations.values())),
        faults=tuple(faults),
    )


def _probe(trial: Trial, tell: Callable[[str], None]) -> Iterator[tuple[str, str, float]]:
    """Decode one recording; give its native rate, coding and length if it can be read."""
    from ringtrue.audio import load

    try:
        wave = load(audio_source(trial))
    except AudioError as error:
        tell(f"{trial.id}: {error}")
        return
    for warning in wave.warnings:
        tell(f"{trial.id}: {warning}")
    yield str(wave.native_rate_hz), wave.codec, wave.duration_s
