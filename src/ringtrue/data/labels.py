"""A system's name -> what it is made of: acoustic model, vocoder, whether it is one network, what it is fed.

The table is ``labels.csv`` beside this file: a source in every row, and what other sources say differently. A cell
that is empty is not known, which for commercial systems is all there is to know.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources

from ringtrue.data.trials import Trial

INPUT_TYPES = ("text", "speech", "tts_speech")
"""What a system starts from: text, a person's speech, or another synthesiser's speech."""

REVIEWS = ("checked", "recalled", "open")
"""How far a row can be trusted: its source was looked at; it is named from memory; or little is known yet."""


@dataclass(frozen=True)
class SystemLabels:
    """One row of the table.

    Attributes:
        system: MLAAD's ``model_name`` or folder, or ASVspoof 2019's attack.
        acoustic_model: What makes the features; ``none`` for copy-synthesis; empty if not known.
        vocoder: What makes the waveform; empty if not known.
        end_to_end: Whether both were trained as one network; None if not known.
        input_type: One of `INPUT_TYPES`, or empty.
        source: Where the row comes from.
        review: One of `REVIEWS`.
        conflict: What another source says, and why we do not; empty if none does.
    """

    system: str
    acoustic_model: str
    vocoder: str
    end_to_end: bool | None
    input_type: str
    source: str
    review: str
    conflict: str

    @property
    def vocoder_class(self) -> str:
        """The vocoder as a class to tell apart: an end-to-end system's decoder is not the stand-alone vocoder."""
        return self.acoustic_model if self.end_to_end else self.vocoder


@cache
def table() -> dict[str, SystemLabels]:
    """Read the whole table, once.

    Returns:
        Rows by `key` of their system.
    """
    text = resources.files("ringtrue.data").joinpath("labels.csv").read_text(encoding="utf-8")
    flags = {"true": True, "false": False, "": None}
    return {
        key(row["system"]): SystemLabels(**{**row, "end_to_end": flags[row["end_to_end"]]})  # type: ignore[arg-type]
        for row in csv.DictReader(text.splitlines())
    }


def key(system: str) -> str:
    """Give what names of one system have in common: MLAAD's folders have ``_`` where its names have ``/``.

    >>> key("suno/bark") == key("suno_bark")
    True
    """
    return system.replace("/", "_")


def labels_of(system: str) -> SystemLabels | None:
    """Look a system up.

    Args:
        system: Its name or MLAAD folder.

    Returns:
        Its labels, or None if the table does not have it.

    >>> labels_of("A03").vocoder
    'world'
    """
    return table().get(key(system))


def complete(trials: Sequence[Trial], progress: Callable[[str], None] = lambda line: None) -> list[Trial]:
    """Fill in acoustic model and vocoder where a corpus does not say them and the table does.

    Args:
        trials: Any trials. What they say themselves is kept.
        progress: Told one line if the table lacks systems: their clips, too, stay without the two labels.

    Returns:
        The trials, in order.
    """
    completed, unknown = [], Counter[str]()
    for trial in trials:
        if trial.is_bonafide or (trial.acoustic_model and trial.vocoder):
            completed.append(trial)
            continue
        labels = labels_of(trial.system)
        if labels is None:
            if not trial.acoustic_model and not trial.vocoder:
                unknown[trial.system] += 1
            completed.append(trial)
            continue
        completed.append(
            replace(
                trial,
                acoustic_model=trial.acoustic_model or labels.acoustic_model,
                vocoder=trial.vocoder or labels.vocoder,
            )
        )
    if unknown:
        names = ", ".join(name or "(no name)" for name, _ in unknown.most_common(5))
        progress(
            f"UNKNOWN SYSTEMS: {len(unknown)} systems with {unknown.total():,} clips are not in the label table "
            f"({names}{' …' if len(unknown) > 5 else ''}); their acoustic model and vocoder stay unknown"
        )
    return completed
