"""True and predicted classes -> accuracy, precision, recall, F1 and the confusion matrix of source tracing.

The set of classes is always given by the caller: a macro average over "the classes that happened to occur"
is not comparable between two models. What a ratio without a denominator is worth must be given as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ringtrue.errors import ScoresError


def confusion_matrix(
    truth: Sequence[str], predicted: Sequence[str], classes: Sequence[str]
) -> NDArray[np.int64]:
    """Count how often each class was called each class.

    Args:
        truth: The true class of each clip.
        predicted: The called class of each clip.
        classes: All classes, in the order of rows and columns.

    Returns:
        int64 ``(K, K)``: rows are truth, columns calls.

    Raises:
        ScoresError: No clips, two lengths, a class twice, or a name outside `classes`.

    >>> confusion_matrix(["a", "a", "b"], ["a", "b", "b"], ["a", "b"]).tolist()
    [[1, 1], [0, 1]]
    """
    place = {name: row for row, name in enumerate(classes)}
    if len(place) != len(classes):
        raise ScoresError(f"a class occurs twice in {list(classes)}")
    if not len(truth) or len(truth) != len(predicted):
        raise ScoresError(f"{len(truth)} true classes and {len(predicted)} calls; as many of each are needed")
    if unknown := sorted({*truth, *predicted} - set(place)):
        raise ScoresError(
            f"{len(unknown)} class names are not among the {len(place)} given: {unknown[:3]}; restrict the "
            "clips to known classes, or name all of them"
        )
    rows = np.array([place[name] for name in truth])
    columns = np.array([place[name] for name in predicted])
    counts = np.bincount(rows * len(place) + columns, minlength=len(place) ** 2)
    return counts.reshape(len(place), len(place)).astype(np.int64)


def accuracy(truth: Sequence[str], predicted: Sequence[str]) -> float:
    """Compute the share of clips that were called right. Higher is better.

    Args:
        truth: The true class of each clip.
        predicted: The called class of each clip.

    Returns:
        A fraction in [0, 1].

    Raises:
        ScoresError: No clips, or two lengths.

    >>> accuracy(["a", "a", "b", "b"], ["a", "b", "b", "b"])
    0.75
    """
    counts = confusion_matrix(truth, predicted, sorted({*truth, *predicted}))
    return float(np.trace(counts) / counts.sum())


@dataclass(frozen=True)
class ClassReport:
    """Precision, recall and F1 of each class; all in [0, 1], higher is better.

    Attributes:
        classes: The classes.
        precision: Of the clips called this class, the share that is.
        recall: Of the clips of this class, the share called so.
        f1: Harmonic mean of both.
        support: How many clips of each class there were.
    """

    classes: tuple[str, ...]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]
    support: NDArray[np.int64]

    @property
    def macro_precision(self) -> float:
        """Mean precision over all classes given, each counting alike."""
        return float(np.mean(self.precision))

    @property
    def macro_recall(self) -> float:
        """Mean recall over all classes given: balanced accuracy."""
        return float(np.mean(self.recall))

    @property
    def macro_f1(self) -> float:
        """Mean of the classes' F1 (and not the F1 of the means)."""
        return float(np.mean(self.f1))


def class_report(
    truth: Sequence[str], predicted: Sequence[str], classes: Sequence[str], zero_division: float = 0.0
) -> ClassReport:
    """Compute precision, recall and F1 of each class.

    Args:
        truth: The true class of each clip.
        predicted: The called class of each clip.
        classes: The label set to average over; one that never occurs counts too, at `zero_division`.
        zero_division: What a ratio with an empty denominator is worth, 0 or 1. The published MLAAD
            source-tracing baseline counts 1, which flatters; say which you use.

    Returns:
        The report.

    Raises:
        ScoresError: See `confusion_matrix`.

    >>> round(class_report(["a", "a", "b"], ["a", "b", "b"], ["a", "b"]).macro_f1, 4)
    0.6667
    """
    counts = confusion_matrix(truth, predicted, classes)
    hits = np.diag(counts)
    called, support = counts.sum(axis=0), counts.sum(axis=1)
    return ClassReport(
        tuple(classes),
        _ratio(hits, called, zero_division),
        _ratio(hits, support, zero_division),
        _ratio(2 * hits, called + support, zero_division),
        support,
    )


def _ratio(part: NDArray[np.int64], whole: NDArray[np.int64], empty: float) -> NDArray[np.float64]:
    return np.where(whole > 0, part / np.maximum(whole, 1), empty)
