"""Methods and labelled clips -> one outcome a method: fitted on train, its threshold set on dev, judged on test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ringtrue.evaluation.openset import auroc, fpr_at_tpr
from ringtrue.files import stable_int
from ringtrue.tracing.attributes import classes_of, report_missing
from ringtrue.tracing.clips import Clips
from ringtrue.tracing.learning import Places, as_rows
from ringtrue.tracing.methods import Method
from ringtrue.tracing.openset import SCORES, Known, rejection_threshold
from ringtrue.tracing.report import Outcome

Progress = Callable[[str], None]

_HELD_OUT = 0.15  # share of the training texts that thresholds are set on, where dev has no known system


@dataclass(frozen=True)
class Task:
    """What is to be told apart, and on which clips.

    Attributes:
        clips: All clips.
        values: Class of each clip.
        classes: Those that are learned.
        train: Places of training clips of these classes.
        dev_known: Places of clips of these classes that are not trained on; thresholds are set on them.
        dev_unknown: Places of clips of systems held out of training; thresholds are set on them.
        test: Places of test clips, of known and unknown classes.
        clusters: For each clip what it has in common with others.
        name: Names the group that its outcomes belong to.
    """

    clips: Clips
    values: NDArray[np.str_]
    classes: tuple[str, ...]
    train: Places
    dev_known: Places
    dev_unknown: Places
    test: Places
    clusters: NDArray[np.str_]
    name: str


def make_task(
    clips: Clips,
    values: Sequence[str],
    attribute: str,
    clusters: Sequence[str],
    progress: Progress,
    sides: Sequence[str] | None = None,
    name: str = "",
) -> Task:
    """Sort clips into what a task needs.

    Args:
        clips: Spoof clips whose class is known.
        values: Class of each.
        attribute: What they are classes of.
        clusters: For each clip what it has in common with others.
        progress: Told of classes that are not learned.
        sides: ``train``, ``dev`` or ``test`` for each clip; by default its trial's split. Where no dev clip is of a
            known class, 15 % of the training texts are kept for the threshold.
        name: Of the group.

    Returns:
        The task.

    Raises:
        CorpusError: Fewer than two classes can be learned.
    """
    sides = sides or [trial.split.removesuffix("_seen") for trial in clips.trials]
    side, value = np.array(sides), np.array(values)
    classes = classes_of(value[side == "train"].tolist(), attribute, progress)
    is_known = np.isin(value, classes)
    is_dev = side == "dev"
    if not (is_dev & is_known).any():
        texts = np.array([trial.source_utterance or trial.id for trial in clips.trials])
        kept = np.array([stable_int("threshold", text) % 1000 < 1000 * _HELD_OUT for text in texts])
        held_out = (side == "train") & is_known & kept
        side = np.where(held_out, "dev", side)
        is_dev = side == "dev"
    for where in ("dev", "test"):
        report_missing(value[side == where].tolist(), classes, attribute, where, progress)
    if not (is_dev & ~is_known).any():
        progress(
            f"no dev clip is of a {attribute} that training lacks: no threshold can be set, so none is refused"
        )
    return Task(
        clips,
        value,
        classes,
        train=np.flatnonzero((side == "train") & is_known),
        dev_known=np.flatnonzero(is_dev & is_known),
        dev_unknown=np.flatnonzero(is_dev & ~is_known),
        test=np.flatnonzero(side == "test"),
        clusters=np.array(clusters),
        name=name,
    )


@dataclass(frozen=True)
class Judged:
    """One method on one task.

    Attributes:
        outcome: With the familiarity score that told held-out systems apart best on dev.
        score: Its name.
        threshold: Of that score, set on dev.
        by_score: AUROC and FPR95 on test of every score, for the record.
    """

    outcome: Outcome
    score: str
    threshold: float
    by_score: dict[str, tuple[float, float]]


def judge(task: Task, method: Method, seed: int) -> Judged:
    """Fit a method and judge it.

    Args:
        task: What is to be told apart.
        method: How.
        seed: Seed of the fit.

    Returns:
        What came of it. Test clips are heard after everything has been chosen.
    """
    labels = as_rows(task.values[task.train].tolist(), task.classes)
    listen = method.fit(task.train, labels, len(task.classes), seed)
    known = Known(listen(task.train), labels)
    inside, outside = listen(task.dev_known), listen(task.dev_unknown) if len(task.dev_unknown) else None
    score, threshold = "energy", -np.inf  # without held-out systems nothing can be refused
    if outside is not None:
        found = {name: (of(inside, known), of(outside, known)) for name, of in SCORES.items()}
        score = max(found, key=lambda name: auroc(*found[name]))
        threshold = rejection_threshold(*found[score])
    heard = listen(task.test)
    familiarity = SCORES[score](heard, known)
    truth = task.values[task.test]
    outcome = Outcome(
        truth=truth,
        called=np.array(task.classes)[heard.logits.argmax(axis=1)],
        classes=task.classes,
        familiarity=familiarity,
        is_accepted=familiarity >= threshold,
        group=np.full(len(task.test), f"{task.name} seed {seed}"),
        cluster=task.clusters[task.test],
    )
    by_score = {}
    if 0 < outcome.is_known.sum() < len(truth):
        for name, of in SCORES.items():
            values = of(heard, known)
            sides = values[outcome.is_known], values[~outcome.is_known]
            by_score[name] = (auroc(*sides), fpr_at_tpr(*sides))
    return Judged(outcome, score, threshold, by_score)
