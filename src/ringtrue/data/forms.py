"""A corpus with copy-synthesis -> the same corpus with another training side: matched, or confounded on purpose.

Two training sets of as many recordings that differ in one thing. In the matched form every person's recording is there
with the copies of itself, and synthesisers speak the same languages, so that language says next to nothing of the
label, and of a recording and its copies words, voice and channel say nothing. In the confounded form people speak some
languages and machines the others, as where fakes of forty languages meet English recordings. What a method is worth
under each says whether it or the data does the work. Nothing but the train split is changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

from ringtrue.data.trials import Trial
from ringtrue.errors import CorpusError
from ringtrue.files import stable_int

_Item = TypeVar("_Item", Trial, "_Family")
_FEWEST = 20  # recordings below which nothing can be learnt


def matched(trials: Sequence[Trial]) -> list[Trial]:
    """Keep training recordings with the copies of them, and synthesisers, as many of each as `confounded` has.

    Args:
        trials: The corpus.

    Returns:
        Its trials, with fewer in the train split.

    Raises:
        CorpusError: There are too few copies, or the confounded form cannot be made.
    """
    families = _families(trials)
    people, _, tongues = _confounded_sides(families)
    chosen = _some(families, len(people))
    spoken = _spoken(trials)
    read = _some(spoken, sum(trial.language in tongues for trial in spoken))
    return [
        *_others(trials),
        *(trial for family in chosen for trial in (family.human, *family.copies)),
        *read,
    ]


def confounded(trials: Sequence[Trial]) -> list[Trial]:
    """Keep people of some languages, and copies of people and synthesisers of the others.

    Args:
        trials: The corpus.

    Returns:
        Its trials, with fewer in the train split.

    Raises:
        CorpusError: There are copies of one language only, or too few.
    """
    people, copied, tongues = _confounded_sides(_families(trials))
    machines = [copy for family in copied for copy in family.copies]
    machines += [trial for trial in _spoken(trials) if trial.language in tongues]
    return [*_others(trials), *(family.human for family in people), *machines]


FORMS: dict[str, Callable[[Sequence[Trial]], list[Trial]]] = {"matched": matched, "confounded": confounded}
"""What may stand behind ``?form=`` of a corpus with copy-synthesis."""


class _Family(NamedTuple):
    """A recording and all copies of it."""

    human: Trial
    copies: tuple[Trial, ...]

    @property
    def id(self) -> str:
        return self.human.id


def _families(trials: Sequence[Trial]) -> list[_Family]:
    heard = sorted((trial for trial in trials if trial.split == "train"), key=lambda trial: trial.id)
    people = [trial for trial in heard if trial.is_bonafide]
    originals = {trial.source_utterance: trial for trial in people} | {trial.id: trial for trial in people}
    copies: dict[str, list[Trial]] = {}
    for trial in heard:
        if not trial.is_bonafide and trial.source_utterance and trial.source_utterance in originals:
            copies.setdefault(originals[trial.source_utterance].id, []).append(trial)
    return [_Family(human, tuple(copies[human.id])) for human in people if human.id in copies]


def _spoken(trials: Sequence[Trial]) -> list[Trial]:
    """List what synthesisers read in the training split: machine speech that copies nobody."""
    heard = [trial for trial in trials if trial.split == "train" and not trial.is_bonafide]
    return [trial for trial in heard if not trial.source_utterance]


def _confounded_sides(families: Sequence[_Family]) -> tuple[list[_Family], list[_Family], set[str]]:
    """Deal languages out, the largest first, to people and machines in turn; then take as many families of each.

    Returns:
        The people's families, the machines', and the machines' languages.
    """
    spoken = Counter(family.human.language for family in families)
    dealt = sorted(spoken, key=lambda language: (-spoken[language], language))
    if len(dealt) < 2:
        raise CorpusError(
            f"copy-synthesis of {len(dealt)} language(s): label and language cannot be tied together; give a corpus "
            "with copy-synthesis of people of two languages or more"
        )
    people = [family for family in families if family.human.language in dealt[0::2]]
    copied = [family for family in families if family.human.language in dealt[1::2]]
    count = min(len(people), len(copied))
    if count < _FEWEST:
        raise CorpusError(
            f"{count} people's clips are left in the confounded form; at least {_FEWEST} are needed"
        )
    return _some(people, count), _some(copied, count), set(dealt[1::2])


def _some(items: Sequence[_Item], count: int) -> list[_Item]:
    """Take so many, always the same."""
    return sorted(items, key=lambda item: stable_int("form", item.id))[:count]


def _others(trials: Sequence[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.split != "train"]
