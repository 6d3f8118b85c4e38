"""Scores -> what the best monotone recalibration could make of them: convex-hull EER, least Cllr, pooled blocks.

The pool-adjacent-violators algorithm (PAV) and the lower convex hull of the error curve are one thing seen
twice: each edge of the hull is a block of scores that no monotone map may tell apart. Everything is counted
in whole trials, so the hull is exact. Brümmer and du Preez, "Application-independent evaluation of speaker
detection", 2006; Fawcett and Niculescu-Mizil, "PAV and the ROC convex hull", 2007.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ringtrue.evaluation.metrics import as_scores, corners

Counts = NDArray[np.int64]
_PASSES = 60  # of whole-array pruning; what is left is finished point by point


@dataclass(frozen=True)
class Blocks:
    """Runs of scores that PAV pools, from low to high.

    Attributes:
        highest: The highest score of each block.
        bonafide: How many bona fide trials are in each.
        spoof: How many spoof trials.
    """

    highest: NDArray[np.float64]
    bonafide: Counts
    spoof: Counts


def pool(bonafide: ArrayLike, spoof: ArrayLike) -> Blocks:
    """Pool scores into blocks whose share of bona fide strictly rises.

    Args:
        bonafide: Scores of bona fide trials.
        spoof: Scores of spoof trials.

    Returns:
        The blocks; equal scores are always in one.

    Raises:
        ScoresError: See `metrics.as_scores`.

    >>> blocks = pool([1.0, 3.0], [0.0, 2.0])
    >>> blocks.highest.tolist(), blocks.bonafide.tolist(), blocks.spoof.tolist()
    ([0.0, 2.0, 3.0], [0, 1, 1], [1, 1, 0])
    """
    bonafide, spoof = np.sort(as_scores(bonafide, "bona fide")), np.sort(as_scores(spoof, "spoof"))
    bonafide_below, spoof_below = corners(bonafide, spoof)
    kept = hull_points(spoof_below, bonafide_below)
    below = bonafide_below[kept], spoof_below[kept]
    highest = [
        np.where(counts[1:] > 0, scores[counts[1:] - 1], -np.inf)
        for scores, counts in zip((bonafide, spoof), below, strict=True)
    ]
    return Blocks(np.maximum(*highest), *(np.diff(counts) for counts in below))


def eer_convex_hull(bonafide: ArrayLike, spoof: ArrayLike) -> float:
    """Compute the EER on the convex hull of the ROC, as ROCCH and pyBOSARIS do. Lower is better.

    It is what an optimal monotone recalibration with randomised decisions would reach, never above
    `metrics.eer` by more than a step, and commonly below: name it whenever you print it.

    Args:
        bonafide: Scores of bona fide trials.
        spoof: Scores of spoof trials.

    Returns:
        A fraction in [0, 0.5]: the hull holds the chance diagonal, so that scores which point the wrong way
        come out as 0.5 and cannot be told from useless ones. Ties share a threshold; constants give 0.5.

    Raises:
        ScoresError: See `metrics.as_scores`.

    >>> round(eer_convex_hull([2.0, 1.0, 1.0, 0.5], [1.0, 1.0, 0.0, -1.0]), 6)
    0.3
    """
    blocks = pool(bonafide, spoof)
    return _hull_eer(blocks.bonafide, blocks.spoof)


def min_cllr(bonafide: ArrayLike, spoof: ArrayLike) -> float:
    """Compute the Cllr that is left after the best monotone recalibration: discrimination alone.

    The difference ``cllr - min_cllr`` is what calibration costs.

    Args:
        bonafide: Scores of bona fide trials; any scale, only their order matters.
        spoof: The same for spoof trials.

    Returns:
        Bits in [0, 1], lower is better; 0 for separated classes, 1 for constant scores, and for scores that
        point the wrong way.

    Raises:
        ScoresError: See `metrics.as_scores`.

    >>> min_cllr([2.0, 3.0], [0.0, 1.0]), min_cllr([5.0], [5.0])
    (0.0, 1.0)
    """
    blocks = pool(bonafide, spoof)
    return cllr_of_blocks(blocks.bonafide, blocks.spoof)


def cllr_of_blocks(bonafide: Counts, spoof: Counts) -> float:
    """Compute the Cllr of blocks at their own log-likelihood ratios.

    Args:
        bonafide: Bona fide trials (or weight) in each block.
        spoof: Spoof trials in each block.

    Returns:
        Bits.
    """
    share_bonafide, share_spoof = bonafide / bonafide.sum(), spoof / spoof.sum()
    total = share_bonafide + share_spoof
    bits = 0.0
    for share in (share_bonafide, share_spoof):
        some = share > 0  # a block without this class costs this class nothing
        bits += float(np.sum(share[some] * np.log2(total[some] / share[some])))
    return bits / 2


def _hull_eer(bonafide: Counts, spoof: Counts) -> float:
    """Cut the hull with the line where both error rates are equal."""
    frr = np.append(0, np.cumsum(bonafide)) / bonafide.sum()
    far = 1 - np.append(0, np.cumsum(spoof)) / spoof.sum()
    after = int(np.argmax(frr >= far))  # the last point has frr 1 and far 0
    gaps = frr[after - 1] - far[after - 1], frr[after] - far[after]
    share = gaps[0] / (gaps[0] - gaps[1])
    return float(frr[after - 1] + share * (frr[after] - frr[after - 1]))


def hull_points(x: Counts, y: Counts) -> NDArray[np.intp]:
    """Find the vertices of the lower convex hull of a staircase that never falls.

    A point on or above the chord of any two others is no vertex, so all such points of a pass may go at
    once; a few passes leave little, and a plain scan finishes what an awkward curve leaves.

    Args:
        x: Whole numbers, never falling.
        y: The same.

    Returns:
        Positions of the vertices, rising, from the first point to the last that differs from the one before.
    """
    moved = np.append(0, 1 + np.flatnonzero((np.diff(x) > 0) | (np.diff(y) > 0)))
    # Only where the curve turns from running right to running up can a vertex be.
    turn = 1 + np.flatnonzero((np.diff(x[moved])[:-1] > 0) & (np.diff(y[moved])[1:] > 0))
    kept = moved[np.concatenate([[0], turn, [moved.size - 1]])]
    for _ in range(_PASSES):
        across, up = np.diff(x[kept]), np.diff(y[kept])
        convex = up[:-1] * across[1:] < up[1:] * across[:-1]
        if convex.all():
            return kept
        kept = kept[np.concatenate([[True], convex, [True]])]
    stack: list[int] = []
    for point in kept.tolist():
        while len(stack) > 1 and not _turns_left(x, y, stack[-2], stack[-1], point):
            stack.pop()
        stack.append(point)
    return np.array(stack)


def _turns_left(x: Counts, y: Counts, first: int, second: int, third: int) -> bool:
    return bool(
        (y[second] - y[first]) * (x[third] - x[second]) < (y[third] - y[second]) * (x[second] - x[first])
    )
