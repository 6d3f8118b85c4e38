"""What is known of a recording: a Trial; and of many: a manifest to write, leaks to find, a name for them all."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from ringtrue.errors import CorpusError
from ringtrue.files import stable_int, write_text

LABELS = ("bonafide", "spoof")
SPLITS = ("train", "dev", "test_seen", "test")
"""`test_seen`: speakers that training never heard, systems that it did. `test`: neither was ever heard.
The bona fide trials of `test` serve both."""


@dataclass(frozen=True)
class Trial:
    """One recording and what is known of it; an unknown field is an empty string, never a guess.

    Attributes:
        id: Unique in its corpus.
        audio: Path of the recording, absolute or relative to the manifest's folder; ``file.parquet#row`` or
            ``file.tar#offset+size`` for one in a shard, ``hf://…`` for one on the hub: `audio_source` resolves them.
        label: ``"bonafide"`` or ``"spoof"``.
        system: Name of the generator; empty for bona fide.
        acoustic_model: What made the features (``vits``, ``diphone`` …); ``none`` for copy-synthesis.
        vocoder: What made the waveform (``hifigan``, ``world`` …).
        speaker: Speaker or synthetic voice.
        language: ISO 639 code.
        transcript: The words.
        source_utterance: The human recording that this one was made from; equal for both twins of a pair.
        codec: Codec the recording was passed through.
        split: One of `SPLITS`.
        corpus: Name of the corpus.
        source: Package or archive that it came from.
        licence: Licence of that source.
        duration_s: Length in seconds; 0 where unknown.
    """

    id: str
    audio: str
    label: str
    system: str = ""
    acoustic_model: str = ""
    vocoder: str = ""
    speaker: str = ""
    language: str = ""
    transcript: str = ""
    source_utterance: str = ""
    codec: str = ""
    split: str = ""
    corpus: str = ""
    source: str = ""
    licence: str = ""
    duration_s: float = 0.0

    @property
    def is_bonafide(self) -> bool:
        """Whether a person spoke it."""
        return self.label == "bonafide"


_SHARD = re.compile(r"(?<=\.parquet)#|(?<=\.tar)#")  # parts a file from the place of a recording in it
COLUMNS = [field.name for field in fields(Trial)]
"""Of a manifest, in order."""


def write_manifest(path: str | Path, trials: Iterable[Trial]) -> None:
    """Write Trials as a tab-separated table with a header, atomically.

    Args:
        path: The manifest to write.
        trials: What to write, in this order.
    """
    text = io.StringIO()
    table = csv.writer(text, delimiter="\t", lineterminator="\n")
    table.writerow(COLUMNS)
    for trial in trials:
        row = [getattr(trial, name) for name in COLUMNS]
        row[-1] = f"{trial.duration_s:.3f}"
        table.writerow(row)
    write_text(path, text.getvalue())


def is_manifest(path: Path) -> bool:
    """Say whether a file is a table that `write_manifest` wrote, by its header."""
    with path.open("rb") as file:
        return file.readline().rstrip(b"\r\n") == "\t".join(COLUMNS).encode()


def validate(trials: Sequence[Trial], name: str) -> None:
    """Refuse a set of Trials that would silently spoil an experiment.

    Args:
        trials: The whole corpus.
        name: What to call it in the message.

    Raises:
        CorpusError: It is empty, an id occurs twice, or a split has a name that is not in `SPLITS`.
    """
    if not trials:
        raise CorpusError(f"{name} holds no trials")
    identifier, count = Counter(trial.id for trial in trials).most_common(1)[0]
    if count > 1:
        raise CorpusError(f"{name}: the id {identifier!r} occurs {count} times; ids must be unique")
    unknown = {trial.split for trial in trials} - {*SPLITS, ""}
    if unknown:
        raise CorpusError(f"{name}: unknown split {sorted(unknown)}; accepted: {', '.join(SPLITS)}")


_NAMES = {"audio": "the file"}


def leaks(trials: Sequence[Trial], judged: Collection[str] = SPLITS) -> list[str]:
    """Find what the training side shares with the sides that judge it.

    Args:
        trials: The whole corpus.
        judged: The sides that are of interest.

    Returns:
        One line for each pair of splits and each of speaker, source utterance, system and file that they share.
        `test_seen` may share systems with train: that is its meaning.
    """
    sides = {split: [trial for trial in trials if trial.split == split] for split in SPLITS}
    found = []
    for split, other in (
        ("dev", "train"),
        ("test_seen", "train"),
        ("test_seen", "dev"),
        ("test", "train"),
        ("test", "dev"),
    ):
        for field in ("speaker", "source_utterance", "system", "audio"):
            if split not in judged or (split, field) == ("test_seen", "system"):
                continue
            if shared := _values(sides[split], field) & _values(sides[other], field):
                found.append(f"{split} and {other} share {_NAMES.get(field, field)} {sorted(shared)[:5]}")
    return found


def check_disjoint(trials: Sequence[Trial]) -> None:
    """Refuse a corpus whose training side shares speakers, source utterances or unseen systems with the rest.

    Args:
        trials: The whole corpus.

    Raises:
        CorpusError: Something that must be unseen is seen; the message names it.
    """
    if found := leaks(trials):
        raise CorpusError(f"{found[0]}: a leak")


def fingerprint(trials: Sequence[Trial]) -> str:
    """Name a set of trials by all that is known of them and by their files' sizes and times.

    What is computed from recordings is kept under this name, so that nothing is reused for other recordings
    that happen to have the same ids. Paths do not count: a corpus may be reached by another one.

    Args:
        trials: Any trials, in any order.

    Returns:
        16 hexadecimal digits.
    """
    names = []
    for trial in trials:
        known = [getattr(trial, name) for name in COLUMNS if name != "audio"]
        try:
            status = Path(_SHARD.split(trial.audio)[0]).stat()
            known += [status.st_size, status.st_mtime_ns]
        except OSError:
            if trial.audio.startswith("hf://"):  # the address names the revision
                known.append(trial.audio)
            # a missing file is found when it is read; in memory there is none
        names.append(stable_int(*known))
    return f"{stable_int(*sorted(names)):016x}"


def _values(trials: Sequence[Trial], field: str) -> set[str]:
    return {getattr(trial, field) for trial in trials} - {""}
