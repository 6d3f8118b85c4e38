"""Trials without splits -> Trials with them: systems, speakers and source utterances of the test side unseen.

A clip's place follows from stable hashes of its system and of what it was made from, never from Python's salted
`hash` or from the order of files: the same corpus splits the same way on every machine, today and next year.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ringtrue.data.trials import Trial, check_disjoint
from ringtrue.files import stable_int

_DEV, _TEST = 0.15, 0.25  # shares of the systems, and of the speakers; the rest trains


def assign_splits(trials: Sequence[Trial], seed: int = 0) -> list[Trial]:
    """Split a corpus by speaker and source utterance, and by system, at once.

    Speakers and the utterances that they spoke stay together, and so does whatever was made from these: a machine's
    clip goes where the reader of its text goes, in another corpus too. A spoof clip of a training system made from a
    test utterance is `test_seen`. A clip whose system and source fall on different sides in any other way would
    leak, and is dropped.

    Args:
        trials: The corpus; splits that they carry are overwritten.
        seed: Another number gives another split.

    Returns:
        The trials that could be placed, in order.

    Raises:
        CorpusError: The result leaks, which would be an error here and not in the corpus.
    """
    system_side = _sides((trial.system for trial in trials if not trial.is_bonafide), "system", seed)
    groups = _groups(trials)
    # People are dealt out by themselves: among thousands of lone machine clips, five speakers could all fall
    # on one side.
    people = {group for trial, group in zip(trials, groups, strict=True) if trial.is_bonafide}
    source_side = _sides(people, "source", seed) | _sides(set(groups) - people, "source", seed)
    placed = []
    for trial, group in zip(trials, groups, strict=True):
        source = source_side[group]
        system = source if trial.is_bonafide else system_side[trial.system]
        if system == source:
            placed.append(replace(trial, split=source))
        elif (system, source) == ("train", "test"):
            placed.append(replace(trial, split="test_seen"))
    check_disjoint(placed)
    return placed


def _groups(trials: Sequence[Trial]) -> list[str]:
    """Name each trial's group: all that hangs together by speakers and source utterances, called after its first."""
    first: dict[tuple[int, str], tuple[int, str]] = {}

    def find(name: tuple[int, str]) -> tuple[int, str]:
        while first.setdefault(name, name) != name:
            first[name] = first[first[name]]
            name = first[name]
        return name

    ties = [
        [(rank, name) for rank, name in enumerate((trial.speaker, trial.source_utterance)) if name]
        or [(2, trial.id)]
        for trial in trials
    ]
    for names in ties:
        one, other = find(names[0]), find(names[-1])
        first[max(one, other)] = min(one, other)
    return [find(names[0])[1] for names in ties]


def _sides(names: Iterable[str], kind: str, seed: int) -> dict[str, str]:
    """Deal distinct names, in a stable shuffled order, out to train, dev and test: one each where there are three."""
    dealt = sorted(set(names), key=lambda name: stable_int(kind, seed, name))
    some = int(len(dealt) >= 3)
    dev = max(some, round(_DEV * len(dealt)))
    test = max(some, round(_TEST * len(dealt)))
    splits = ["test"] * test + ["dev"] * dev + ["train"] * (len(dealt) - test - dev)
    return dict(zip(dealt, splits, strict=True))
