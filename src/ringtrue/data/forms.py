"""A corpus with copy-synthesis -> the same corpus with another training side: matched, or confounded on purpose.

Two training sets of one size that differ in one thing. In the matched form every recording is there with a copy of
itself, so that words, voice, language and channel say nothing of the label. In the confounded form people speak some
languages and machines the others, as where fakes of forty languages meet English recordings. What a method is worth
under each says whether it or the data does the work. Nothing but the train split is changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from ringtrue.data.trials import Trial
from ringtrue.errors import CorpusError
from ringtrue.files import stable_int

_FEWEST = 20  # clips of a label below which nothing can be learnt


def matched(trials: Sequence[Trial]) -> list[Trial]:
    """Keep training pairs only: recordings and the copy-synthesis that was made of them, as many as `confounded` has.

    Args:
        trials: The corpus.

    Returns:
        Its trials, with fewer in the train split.

    Raises:
        CorpusError: There are too few pairs, or the confounded form cannot be made.
    """
    couples = _couples(trials)
    count = len(_confounded_sides(couples)[0])
    chosen = _some(couples, count, lambda couple: couple[1].id)
    return [*_others(trials), *(trial for couple in chosen for trial in couple)]


def confounded(trials: Sequence[Trial]) -> list[Trial]:
    """Keep people of some languages and copies of people of the others.

    Args:
        trials: The corpus.

    Returns:
        Its trials, with fewer in the train split.

    Raises:
        CorpusError: There are pairs of one language only, or too few.
    """
    human, machine = _confounded_sides(_couples(trials))
    return [*_others(trials), *human, *machine]


FORMS: dict[str, Callable[[Sequence[Trial]], list[Trial]]] = {"matched": matched, "confounded": confounded}
"""What may stand behind ``?form=`` of a corpus with copy-synthesis."""


def _couples(trials: Sequence[Trial]) -> list[tuple[Trial, Trial]]:
    heard = [trial for trial in trials if trial.split == "train"]
    people = [trial for trial in heard if trial.is_bonafide]
    originals = {trial.source_utterance: trial for trial in people} | {trial.id: trial for trial in people}
    couples: dict[str, tuple[Trial, Trial]] = {}
    for trial in sorted(heard, key=lambda trial: trial.id):
        if not trial.is_bonafide and trial.source_utterance and trial.source_utterance in originals:
            human = originals[trial.source_utterance]
            couples.setdefault(human.id, (human, trial))  # who was copied twice is still one pair
    return list(couples.values())


def _confounded_sides(couples: Sequence[tuple[Trial, Trial]]) -> tuple[list[Trial], list[Trial]]:
    """Deal languages out, the largest first, to people and machines in turn; then take as many clips of each."""
    spoken = Counter(human.language for human, _ in couples)
    dealt = sorted(spoken, key=lambda language: (-spoken[language], language))
    if len(dealt) < 2:
        raise CorpusError(
            f"training pairs of {len(dealt)} language(s): label and language cannot be tied together; give a corpus "
            "with copy-synthesis of people of two languages or more"
        )
    human = [one for one, _ in couples if one.language in dealt[0::2]]
    machine = [copy for _, copy in couples if copy.language in dealt[1::2]]
    count = min(len(human), len(machine))
    if count < _FEWEST:
        raise CorpusError(
            f"{count} clips of a label are left in the confounded form; at least {_FEWEST} are needed"
        )
    return _some(human, count, lambda trial: trial.id), _some(machine, count, lambda trial: trial.id)


def _some(items: Sequence, count: int, name: Callable) -> list:  # type: ignore[type-arg]
    """Take so many, always the same."""
    return sorted(items, key=lambda item: stable_int("form", name(item)))[:count]


def _others(trials: Sequence[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.split != "train"]
