"""Trials sorted once -> figures of any draw of their clusters, without sorting anew.

Drawing a cluster twice is giving its trials weight 2, so a draw only weighs what is sorted already. Up to `MANY`
trials every score is a threshold and a draw's figures are exact. Above, thresholds lie at some thousand quantiles of
either class, denser towards the ends, and a draw costs the same however many trials there are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ringtrue.errors import ScoresError
from ringtrue.evaluation.metrics import as_scores
from ringtrue.evaluation.resampling import MANY, Counts, Numbers, Resampling

Array = NDArray[np.float64]

_BLOCK = 1024  # trials summed at once while searching for the equal error point
_RUNGS = 4096  # thresholds of a coarse ladder, where there are few cells
_ROOM = 1 << 25  # rungs times cells of a coarse ladder, at most: 512 MiB for both classes
_PIECE = 1 << 22  # trials counted at once


class Ladder(ABC):
    """One model's trials from low to high, ready to be weighed by draws; `ladder` chooses which.

    Args:
        bonafide: Scores of bona fide trials.
        spoof: Scores of spoof trials.
        resampling: Their clusters.

    Attributes:
        is_exact: Whether figures of a draw are those of its trials to the last digit.
    """

    is_exact: ClassVar[bool] = True

    def __init__(self, bonafide: Array, spoof: Array, resampling: Resampling) -> None:
        self._scores, self._resampling = (bonafide, spoof), resampling
        cells = resampling.bonafide, resampling.spoof
        self._sizes = [np.bincount(side, minlength=resampling.size) for side in cells]

    @abstractmethod
    def eer(self, counts: Counts) -> float:
        """Compute the EER with trial weights given by their cells' counts."""

    @abstractmethod
    def steps(self, counts: Counts) -> tuple[Counts, Counts]:
        """Weigh each threshold: how much bona fide and how much spoof of the draw lies there, rising."""

    def weigh(self, counts: Counts) -> Draw:
        """Look at a draw.

        Args:
            counts: The weight of each cell, of `Resampling.draw`.

        Returns:
            The draw; use it before the next one is made.
        """
        return Draw(self, counts)

    def whole(self) -> Draw:
        """Look at all trials, each with weight 1."""
        return Draw(self, np.ones(self._resampling.size, dtype=np.int64))

    def means(
        self, losses: Callable[[Array, Array], tuple[NDArray[Any], NDArray[Any]]]
    ) -> Callable[[Draw], Array]:
        """Prepare the mean loss of each class as a function of a draw: two short dot products a draw.

        Args:
            losses: Gives the loss of each bona fide and of each spoof trial from their scores.

        Returns:
            A function of a draw that returns ``(bona fide mean, spoof mean)``.
        """
        cells = (self._resampling.bonafide, self._resampling.spoof)
        sums = [
            np.bincount(cell, weights=loss, minlength=self._resampling.size)
            for cell, loss in zip(cells, losses(*self._scores), strict=True)
        ]
        return lambda draw: np.array([draw.counts @ sums[i] / (draw.counts @ self._sizes[i]) for i in (0, 1)])


class Draw:
    """The trials of a ladder with the weights of one draw.

    Attributes:
        counts: The weight of each cell.
    """

    def __init__(self, ladder: Ladder, counts: Counts) -> None:
        self._ladder, self.counts = ladder, counts

    @property
    def eer(self) -> float:
        """The equal error rate, as a fraction."""
        return self._ladder.eer(self.counts)

    @cached_property
    def steps(self) -> tuple[Counts, Counts]:
        """Bona fide and spoof weight at each threshold, rising; several figures share them."""
        return self._ladder.steps(self.counts)


def ladder(bonafide: ArrayLike, spoof: ArrayLike, resampling: Resampling) -> Ladder:
    """Sort trials, exactly or, above `MANY` of them, by quantiles.

    Args:
        bonafide: Scores of bona fide trials.
        spoof: Scores of spoof trials.
        resampling: Their clusters.

    Returns:
        The ladder.

    Raises:
        ScoresError: The clusters are those of other trials.
    """
    bonafide, spoof = as_scores(bonafide, "bona fide"), as_scores(spoof, "spoof")
    if (bonafide.size, spoof.size) != (resampling.bonafide.size, resampling.spoof.size):
        raise ScoresError("two models must have scored the same trials, in the same order")
    kind = FineLadder if bonafide.size + spoof.size <= MANY else CoarseLadder
    return kind(bonafide, spoof, resampling)


class FineLadder(Ladder):
    """Trials sorted so that figures of any draw are exact.

    With ``B`` of ``B_all`` the weight of the bona fide trials at or below a threshold, and ``S`` of ``S_all`` the
    same for spoof, ``frr - far`` is ``B / B_all + S / S_all - 1``. It crosses 0 where ``B * S_all + S * B_all``
    reaches ``B_all * S_all``: exact integers. The search sums blocks of trials first, from how many each cell has in
    them, and then looks into one block only.
    """

    def __init__(self, bonafide: Array, spoof: Array, resampling: Resampling) -> None:
        super().__init__(bonafide, spoof, resampling)
        scores = np.concatenate([bonafide, spoof])
        order = np.argsort(scores, kind="stable")
        scores = scores[order]
        self._is_bonafide = order < bonafide.size
        # Even codes are bona fide, odd ones spoof: one look-up gives a trial's weight for its own class.
        codes = np.concatenate([2 * resampling.bonafide, 2 * resampling.spoof + 1])[order]
        self._codes = codes.astype(np.int32)
        self._bonafide_clusters = codes[self._is_bonafide] // 2
        self._bonafide_below = np.append(0, np.cumsum(self._is_bonafide))
        inside_block = np.arange(codes.size) // _BLOCK * (2 * resampling.size) + codes
        parts, self._part_trials = np.unique(inside_block, return_counts=True)
        self._part_codes = parts % (2 * resampling.size)
        self._block_starts = np.flatnonzero(np.diff(parts // (2 * resampling.size), prepend=-1))
        # A threshold takes all equal scores or none: for each trial, where its ties begin and end.
        self._firsts = np.flatnonzero(np.append(True, scores[1:] != scores[:-1]))
        ties = np.diff(np.append(self._firsts, scores.size))
        self._tie_begin = np.repeat(self._firsts, ties)
        self._tie_end = np.repeat(self._firsts + ties, ties)

    def eer(self, counts: Counts) -> float:
        """Compute the EER, by its step definition."""
        bonafide_all, spoof_all = (int(counts @ sizes) for sizes in self._sizes)
        steps = np.stack([counts * spoof_all, counts * bonafide_all], axis=1).ravel()
        parts = steps[self._part_codes] * self._part_trials
        blocks = np.append(0, np.cumsum(np.add.reduceat(parts, self._block_starts)))
        goal = bonafide_all * spoof_all

        def total(trials: int) -> int:
            block = trials // _BLOCK
            return int(blocks[block] + steps[self._codes[block * _BLOCK : trials]].sum())

        begin = _BLOCK * (int(np.searchsorted(blocks, goal)) - 1)
        inside = total(begin) + np.cumsum(steps[self._codes[begin : begin + _BLOCK]])
        crossing = begin + int(np.searchsorted(inside, goal))
        before, after = int(self._tie_begin[crossing]), int(self._tie_end[crossing])
        point = before if goal - total(before) <= total(after) - goal else after
        bonafide_below = int(counts[self._bonafide_clusters[: self._bonafide_below[point]]].sum())
        frr = bonafide_below / bonafide_all
        gap = (total(point) - goal) / goal
        return frr - gap / 2  # the mean of frr and far

    def steps(self, counts: Counts) -> tuple[Counts, Counts]:
        """Weigh each distinct score."""
        weights = counts[self._codes >> 1]
        return (
            np.add.reduceat(np.where(self._is_bonafide, weights, 0), self._firsts),
            np.add.reduceat(np.where(self._is_bonafide, 0, weights), self._firsts),
        )


class CoarseLadder(Ladder):
    """Trials counted between quantiles, by cell: a draw is one product of a matrix for each class.

    What the rungs round away is nearly the same in every draw: take it off by how far `whole` is from the truth, as
    `quantities.Figure.prepare` does.
    """

    is_exact = False

    def __init__(self, bonafide: Array, spoof: Array, resampling: Resampling) -> None:
        super().__init__(bonafide, spoof, resampling)
        rungs = max(64, min(_RUNGS, _ROOM // resampling.size))
        edges = np.unique(np.concatenate([_quantiles(side, rungs // 2) for side in self._scores]))
        cells = resampling.bonafide, resampling.spoof
        self._cells = [np.flatnonzero(sizes) for sizes in self._sizes]  # a class is commonly not in all
        self._tables = [
            _count(edges, scores, numbers, there)
            for scores, numbers, there in zip(self._scores, cells, self._cells, strict=True)
        ]

    def eer(self, counts: Counts) -> float:
        """Compute the EER, on a straight line between the two rungs that it lies between."""
        bonafide, spoof = (np.append(0, np.cumsum(side)) for side in self.steps(counts))
        frr, far = bonafide / bonafide[-1], 1 - spoof / spoof[-1]
        return float(np.interp(0, frr - far, frr))

    def steps(self, counts: Counts) -> tuple[Counts, Counts]:
        """Weigh each rung."""
        bonafide, spoof = (
            table @ counts[there].astype(np.float64)
            for table, there in zip(self._tables, self._cells, strict=True)
        )
        return bonafide.astype(np.int64), spoof.astype(np.int64)  # whole numbers far below 2^53


def _quantiles(scores: Array, count: int) -> Array:
    """Scores at about `count` levels: half of them evenly, the others ever denser towards either end."""
    tail = np.geomspace(1 / scores.size, 0.05, count // 4)
    levels = np.concatenate([tail, 1 - tail, np.linspace(0, 1, count // 2)])
    ordered = np.sort(scores)
    kept: Array = ordered[np.minimum((levels * scores.size).astype(np.int64), scores.size - 1)]
    return kept


def _count(edges: Array, scores: Array, cells: Numbers, there: Counts) -> Array:
    """Count the trials of each cell that there is from each edge to the next: ``(edges + 1, cells)``."""
    size, place = there.size, np.zeros(1 + int(there[-1]), dtype=np.int64)
    place[there] = np.arange(size)
    table = np.zeros((edges.size + 1) * size)
    for begin in range(0, scores.size, _PIECE):
        piece = slice(begin, begin + _PIECE)
        rungs = np.searchsorted(edges, scores[piece], side="right")
        table += np.bincount(rungs * size + place[cells[piece]], minlength=table.size)
    return table.reshape(-1, size)
