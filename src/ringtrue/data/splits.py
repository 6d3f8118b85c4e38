"""Trials without splits -> Trials with them: systems, speakers and source utterances of the test side unseen.

A clip's place follows from stable hashes of its system and of what it was made from, never from Python's salted
`hash` or from the order of files: the same corpus splits the same way on every machine, today and next year.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ringtrue.data.trials import Trial, check_disjoint
from ringtrue.files import stable_int

_TRAIN, _DEV = 0.6, 0.15  # shares of the systems, and of the speakers; the rest is for testing


def assign_splits(trials: Sequence[Trial], seed: int = 0) -> list[Trial]:
    """Split a corpus by speaker (or source utterance, where no speaker is known) and by system at once.

    A spoof clip of a training system made from a test utterance is `test_seen`. A clip whose system and source
    fall on different sides in any other way would leak, and is dropped.

    Args:
        trials: The corpus; splits that they carry are overwritten.
        seed: Another number gives another split.

    Returns:
        The trials that could be placed, in order.

    Raises:
        CorpusError: The result leaks, which would be an error here and not in the corpus.
    """
    system_side = _sides((trial.system for trial in trials if not trial.is_bonafide), "system", seed)
    source_side = _sides((_source(trial) for trial in trials), "source", seed)
    placed = []
    for trial in trials:
        source = source_side[_source(trial)]
        system = source if trial.is_bonafide else system_side[trial.system]
        if system == source:
            placed.append(replace(trial, split=source))
        elif (system, source) == ("train", "test"):
            placed.append(replace(trial, split="test_seen"))
    check_disjoint(placed)
    return placed


def _source(trial: Trial) -> str:
    return trial.speaker or trial.source_utterance or trial.id


def _sides(names: Iterable[str], kind: str, seed: int) -> dict[str, str]:
    """Deal distinct names, in a stable shuffled order, out to train, dev and test."""
    dealt = sorted(set(names), key=lambda name: stable_int(kind, seed, name))
    train_end, dev_end = (round(share * len(dealt)) for share in (_TRAIN, _TRAIN + _DEV))
    splits = ["train"] * train_end + ["dev"] * (dev_end - train_end) + ["test"] * (len(dealt) - dev_end)
    return dict(zip(dealt, splits, strict=True))
