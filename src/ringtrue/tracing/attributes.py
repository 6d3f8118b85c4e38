"""Trials -> the class of each under one attribute (system, acoustic model, vocoder, input type), and what has none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from ringtrue.data.labels import labels_of
from ringtrue.data.trials import Trial
from ringtrue.errors import CorpusError

Progress = Callable[[str], None]

ATTRIBUTES = ("system", "acoustic_model", "vocoder", "input_type")
LEAST_CLIPS = 2
"""Training clips below which a class cannot be learned: one clip says nothing of what its class has in common."""

_ALIASES = {"acoustic": "acoustic_model", "input": "input_type"}


def attribute_named(name: str) -> str:
    """Give an attribute its full name.

    Args:
        name: One of `ATTRIBUTES`, ``acoustic`` or ``input``.

    Returns:
        One of `ATTRIBUTES`.

    Raises:
        CorpusError: There is no such attribute.

    >>> attribute_named("acoustic")
    'acoustic_model'
    """
    full = _ALIASES.get(name, name)
    if full not in ATTRIBUTES:
        raise CorpusError(f"no attribute {name!r}; accepted: {', '.join([*ATTRIBUTES, *_ALIASES])}")
    return full


def value_of(trial: Trial, attribute: str) -> str:
    """Say which class a trial belongs to.

    Args:
        trial: A spoof trial.
        attribute: One of `ATTRIBUTES`.

    Returns:
        The class; empty where it is not known.
    """
    if attribute == "input_type":
        labels = labels_of(trial.system)
        return labels.input_type if labels else ""
    if attribute == "system":
        return trial.system
    if known := getattr(trial, attribute):
        return str(known)
    labels = labels_of(trial.system)
    return str(getattr(labels, attribute)) if labels else ""


def labelled(trials: Sequence[Trial], attribute: str, progress: Progress) -> tuple[list[Trial], list[str]]:
    """Keep the spoof trials whose class is known.

    Args:
        trials: Any trials.
        attribute: One of `ATTRIBUTES`.
        progress: Told how many are left out, and of which systems.

    Returns:
        The trials and their classes.

    Raises:
        CorpusError: None is left.
    """
    spoof = [trial for trial in trials if not trial.is_bonafide]
    values = [value_of(trial, attribute) for trial in spoof]
    if unknown := Counter(trial.system for trial, value in zip(spoof, values, strict=True) if not value):
        names = ", ".join(name or "(no name)" for name, _ in unknown.most_common(3))
        progress(
            f"UNKNOWN LABEL: {unknown.total():,} clips of {len(unknown)} systems ({names}"
            f"{' …' if len(unknown) > 3 else ''}) have no known {attribute}; they are left out"
        )
    kept = [(trial, value) for trial, value in zip(spoof, values, strict=True) if value]
    if not kept:
        raise CorpusError(
            f"of {len(trials):,} trials none is machine speech with a known {attribute}; give a corpus that says it, "
            "or one whose systems are in the label table"
        )
    return [trial for trial, _ in kept], [value for _, value in kept]


def classes_of(values: Sequence[str], attribute: str, progress: Progress) -> tuple[str, ...]:
    """List the classes that can be learned.

    Args:
        values: Classes of the training trials.
        attribute: What they are classes of, for messages.
        progress: Told of classes with too few clips.

    Returns:
        Names, sorted.

    Raises:
        CorpusError: Fewer than two classes have clips enough.
    """
    counts = Counter(values)
    if few := sorted(name for name, count in counts.items() if count < LEAST_CLIPS):
        progress(
            f"ONE-CLIP CLASS: {attribute} {', '.join(few[:5])}{' …' if len(few) > 5 else ''}: one training clip, where "
            f"{LEAST_CLIPS} are the least; not learned, and so unknown"
        )
    classes = tuple(sorted(name for name, count in counts.items() if count >= LEAST_CLIPS))
    if len(classes) < 2:
        raise CorpusError(
            f"{len(classes)} classes of {attribute} with {LEAST_CLIPS} training clips or more; two are the least that "
            "can be told apart"
        )
    return classes


def report_missing(
    values: Sequence[str], classes: Sequence[str], attribute: str, where: str, progress: Progress
) -> None:
    """Tell which classes are judged without having been learned: they count as unknown.

    Args:
        values: Classes of the judged trials.
        classes: What was learned.
        attribute: What they are classes of.
        where: Which trials, for the message.
        progress: Takes the line.
    """
    if missing := sorted(set(values) - set(classes)):
        count = sum(value in set(missing) for value in values)
        progress(
            f"NOT IN TRAIN: {count:,} {where} clips are of {len(missing)} classes of {attribute} that training lacks "
            f"({', '.join(missing[:5])}{' …' if len(missing) > 5 else ''}); the right answer for them is unknown"
        )
