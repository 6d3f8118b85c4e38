"""Calls and familiarity of test clips -> the figures of source tracing, each with a cluster-bootstrap interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ringtrue.evaluation.classification import ClassReport, class_report, confusion_matrix
from ringtrue.evaluation.metrics import eer
from ringtrue.evaluation.openset import aupr, auroc, fpr_at_tpr, oscr

_ANOTHER = "(another)"
_UNKNOWN = "unknown: "  # stands before the name of a class that was unknown to the model that judged the clip
OPEN_FIGURES = ("auroc", "fpr95", "eer", "aupr", "oscr")


@dataclass(frozen=True)
class Outcome:
    """What a tracer said of test clips.

    Attributes:
        truth: The true class of each clip.
        called: The class it was called, among the known.
        classes: The known classes.
        familiarity: A score each, higher = looks more like a known class.
        is_accepted: Whether its familiarity reached the threshold.
        group: Clips of one group were judged by one model with one threshold; scores of two do not compare.
        cluster: What clips have in common that makes them no independent evidence: a page, a speaker.
    """

    truth: NDArray[np.str_]
    called: NDArray[np.str_]
    classes: tuple[str, ...]
    familiarity: NDArray[np.float64]
    is_accepted: NDArray[np.bool_]
    group: NDArray[np.str_]
    cluster: NDArray[np.str_]

    @cached_property
    def is_known(self) -> NDArray[np.bool_]:
        """Whether each clip's class was among the known of its model."""
        return np.isin(self.truth, self.classes)

    def take(self, rows: NDArray[np.int64]) -> Outcome:
        """Give the outcome of some clips, repeated or not."""
        return Outcome(
            self.truth[rows],
            self.called[rows],
            self.classes,
            self.familiarity[rows],
            self.is_accepted[rows],
            self.group[rows],
            self.cluster[rows],
        )


def joined(outcomes: Sequence[Outcome]) -> Outcome:
    """Join the outcomes of folds.

    Args:
        outcomes: One a fold. A class that one fold knows and another does not is marked by its fold, so that it is
            known where it was learned and unknown where it was not.

    Returns:
        One outcome; clips of classes that were unknown in their fold get the truth ``"unknown: CLASS"``.
    """
    truth = [np.where(one.is_known, one.truth, np.char.add(_UNKNOWN, one.truth)) for one in outcomes]
    columns = {
        name: np.concatenate([getattr(one, name) for one in outcomes])
        for name in ("called", "familiarity", "is_accepted", "group", "cluster")
    }
    classes = tuple(sorted({name for one in outcomes for name in one.classes}))
    return Outcome(truth=np.concatenate(truth), classes=classes, **columns)


def figures(outcome: Outcome) -> dict[str, float]:
    """Compute all figures of an outcome.

    Args:
        outcome: Of test clips.

    Returns:
        ``accuracy``, ``precision``, ``recall`` and ``f1`` of the known clips, macro averages over the known classes
        that occur; where there are unknown clips too, `OPEN_FIGURES`, means over groups, and at the threshold
        ``known_accepted``, ``known_right`` (accepted and called right) and ``unknown_rejected``. What a side without
        clips leaves undefined is not there.
    """
    known, right, accepted = outcome.is_known, outcome.truth == outcome.called, outcome.is_accepted
    values = {}
    if known.any():
        report = known_report(outcome)
        values = {
            "accuracy": float(right[known].mean()),
            "precision": report.macro_precision,
            "recall": report.macro_recall,
            "f1": report.macro_f1,
        }
    if known.all():
        return values
    if known.any():
        values["known_accepted"] = float(accepted[known].mean())
        values["known_right"] = float((accepted & right)[known].mean())
    values["unknown_rejected"] = float((~accepted[~known]).mean())
    per_group = []
    for group in np.unique(outcome.group):
        here = outcome.group == group
        inside, outside = outcome.familiarity[here & known], outcome.familiarity[here & ~known]
        if len(inside) and len(outside):
            per_group.append(_open_figures(inside, right[here & known], outside))
    if per_group:
        values |= dict(zip(OPEN_FIGURES, np.mean(per_group, axis=0).tolist(), strict=True))
    return values


def known_report(outcome: Outcome) -> ClassReport:
    """Compute precision, recall and F1 of every known class that occurs among the clips."""
    truth, called, classes = _known_calls(outcome)
    report = class_report(truth, called, [*classes, _ANOTHER])
    return ClassReport(
        classes, report.precision[:-1], report.recall[:-1], report.f1[:-1], report.support[:-1]
    )


def known_confusion(outcome: Outcome) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Count which known class was called which.

    Returns:
        Names, the last for every class that does not occur, and counts ``(K, K)`` with the truth in rows.
    """
    truth, called, classes = _known_calls(outcome)
    names = (*classes, _ANOTHER)
    return names, confusion_matrix(truth, called, names)


def worst_system(outcome: Outcome) -> tuple[str, float]:
    """Find the unknown system that is let in most often.

    Returns:
        Its name and the share of its clips that were accepted.
    """
    unknown = ~outcome.is_known
    names = np.unique(outcome.truth[unknown])
    shares = {name: float(outcome.is_accepted[outcome.truth == name].mean()) for name in names}
    worst = max(shares, key=lambda name: shares[name])
    return str(worst).removeprefix(_UNKNOWN), shares[worst]


def by_class(outcome: Outcome) -> list[dict[str, object]]:
    """Say of every class that occurs how its clips were called: the confusion matrix, one row a class.

    Args:
        outcome: Of test clips.

    Returns:
        Rows with ``class``, ``is_known``, ``clips``, ``accepted`` (share at the threshold), where it is known
        ``precision``, ``recall`` and ``f1``, and for each class that occurs in a call ``called CLASS``: how many.
    """
    report = known_report(outcome) if outcome.is_known.any() else None
    place = {name: number for number, name in enumerate(report.classes)} if report else {}
    columns = sorted(set(outcome.called.tolist()))
    rows = []
    for name in sorted(set(outcome.truth.tolist()), key=lambda name: (name not in place, name)):
        here = outcome.truth == name
        row: dict[str, object] = {
            "class": name.removeprefix(_UNKNOWN),
            "is_known": name in place,
            "clips": int(here.sum()),
            "accepted": round(float(outcome.is_accepted[here].mean()), 4),
        }
        if report and name in place:
            for figure in ("precision", "recall", "f1"):
                row[figure] = round(float(getattr(report, figure)[place[name]]), 4)
        row |= {f"called {column}": int((outcome.called[here] == column).sum()) for column in columns}
        rows.append(row)
    return rows


def intervals(
    outcome: Outcome, rng: np.random.Generator, draws: int = 500, level: float = 0.95
) -> dict[str, tuple[float, float]]:
    """Bootstrap all figures by drawing whole clusters with replacement, and take percentiles.

    With few clusters (pages, speakers) the intervals are too narrow; see `ringtrue.evaluation.intervals.eer_interval`.

    Args:
        outcome: Of test clips.
        rng: Where the draws come from.
        draws: How many.
        level: Nominal coverage in (0, 1).

    Returns:
        Low and high end of each figure of `figures`.
    """
    names, places = np.unique(outcome.cluster, return_inverse=True)
    members = [np.flatnonzero(places == number) for number in range(len(names))]
    drawn: dict[str, list[float]] = {}
    for _ in range(draws):
        chosen = rng.integers(len(members), size=len(members))
        rows = np.concatenate([members[number] for number in chosen])
        for name, value in figures(outcome.take(rows)).items():
            drawn.setdefault(name, []).append(value)
    ends = [(1 - level) / 2, (1 + level) / 2]
    return {name: tuple(np.quantile(values, ends).tolist()) for name, values in drawn.items()}


def _open_figures(
    inside: NDArray[np.float64], is_right: NDArray[np.bool_], outside: NDArray[np.float64]
) -> tuple[float, ...]:
    """Compute `OPEN_FIGURES` of one group."""
    return (
        auroc(inside, outside),
        fpr_at_tpr(inside, outside),
        eer(inside, outside),
        aupr(inside, outside),
        oscr(inside, is_right, outside),
    )


def _known_calls(outcome: Outcome) -> tuple[list[str], list[str], tuple[str, ...]]:
    """Truth and calls of known clips, and the classes that occur; calls of any other are one wrong class."""
    known = outcome.is_known
    truth = outcome.truth[known].tolist()
    occurring = set(truth)
    called = [name if name in occurring else _ANOTHER for name in outcome.called[known].tolist()]
    return truth, called, tuple(sorted(occurring))
