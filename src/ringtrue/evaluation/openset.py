"""Scores of known and of unknown generators -> how well the unknown are told apart; **known is positive**.

A score says how familiar a clip looks: higher = more likely made by a generator of the training set ("in
domain", ID); unknown generators are "out of domain" (OOD). With OOD as the positive class FPR95 and AUPR are
other numbers; to have them, negate all scores and swap the two arrays.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ringtrue.errors import ScoresError
from ringtrue.evaluation.metrics import as_scores, auc


def fpr_at_tpr(known: ArrayLike, unknown: ArrayLike, tpr: float = 0.95) -> float:
    """Compute the share of unknown clips accepted where at least a wanted share of known ones is (FPR95).

    The threshold is a score of a known clip: the highest that accepts the wanted share. Equal scores share
    its fate, so constant scores give 1. Lower is better.

    Args:
        known: Scores of clips of known generators.
        unknown: Scores of clips of unknown generators.
        tpr: Wanted share of known clips accepted, in (0, 1].

    Returns:
        A fraction in [0, 1].

    Raises:
        ScoresError: See `metrics.as_scores`; or `tpr` is no share.

    >>> fpr_at_tpr([1.0, 2.0, 3.0, 4.0], [0.0, 1.5, 2.5], tpr=0.75)
    0.3333333333333333
    """
    if not 0 < tpr <= 1:
        raise ScoresError(f"tpr {tpr}; a share above 0 and up to 1 is accepted, not percent")
    known, unknown = np.sort(as_scores(known, "known")), as_scores(unknown, "unknown")
    needed = int(np.ceil(tpr * known.size * (1 - 1e-12)))  # 0.95 * 20 must not round up to 20
    return float(np.mean(unknown >= known[known.size - needed]))


def auroc(known: ArrayLike, unknown: ArrayLike) -> float:
    """Compute the area under the ROC curve: how often a known clip outscores an unknown one.

    Args:
        known: Scores of clips of known generators.
        unknown: Scores of clips of unknown generators.

    Returns:
        A fraction in [0, 1], higher is better; equal scores count half.

    Raises:
        ScoresError: See `metrics.as_scores`.
    """
    return auc(known, unknown)


def aupr(known: ArrayLike, unknown: ArrayLike) -> float:
    """Compute the area under the precision-recall curve as average precision, without interpolation.

    Args:
        known: Scores of clips of known generators, the positive class.
        unknown: Scores of clips of unknown generators.

    Returns:
        A fraction in [0, 1], higher is better; chance is the share of known clips, so figures of sets with
        other shares do not compare.

    Raises:
        ScoresError: See `metrics.as_scores`.

    >>> aupr([3.0, 1.0], [2.0])
    0.8333333333333333
    """
    accepted_known, accepted_unknown = _accepted(as_scores(known, "known"), as_scores(unknown, "unknown"))
    precision = accepted_known / (accepted_known + accepted_unknown)
    recall = accepted_known / accepted_known[-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def oscr(known: ArrayLike, is_right: ArrayLike, unknown: ArrayLike) -> float:
    """Compute the area under the open-set classification rate: naming known clips against accepting unknown ones.

    Dhamija et al., "Reducing network agnostophobia", 2018. A known clip counts where it is accepted *and*
    its generator is named rightly. Trapezoids between thresholds; equal scores share one.

    Args:
        known: Scores of clips of known generators.
        is_right: Whether the called generator of each known clip is the true one.
        unknown: Scores of clips of unknown generators.

    Returns:
        A fraction from 0 to the closed-set accuracy, higher is better; equal to `auroc` where every call is
        right.

    Raises:
        ScoresError: See `metrics.as_scores`; or the calls do not match the known clips.

    >>> oscr([2.0, 3.0], [True, False], [0.0, 1.0])
    0.5
    """
    known, unknown = as_scores(known, "known"), as_scores(unknown, "unknown")
    right = np.asarray(is_right)
    if right.dtype != np.bool_ or right.shape != known.shape:
        raise ScoresError(
            f"{right.size} calls of type {right.dtype} for {known.size} known clips; give a bool each"
        )
    named, accepted = _accepted(known[right], unknown, known[~right])
    rate, fpr = np.append(0, named) / known.size, np.append(0, accepted) / unknown.size
    return float(np.sum(np.diff(fpr) * (rate[1:] + rate[:-1]) / 2))


def _accepted(
    first: NDArray[np.float64], second: NDArray[np.float64], other: NDArray[np.float64] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count both classes at or above each distinct score, thresholds falling."""
    scores = np.concatenate([first, second] if other is None else [first, second, other])
    thresholds = np.unique(scores)[::-1]
    counts = [part.size - np.searchsorted(np.sort(part), thresholds) for part in (first, second)]
    return counts[0], counts[1]
