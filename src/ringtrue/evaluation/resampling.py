"""Trials and the clusters they come from -> random draws of clusters, and figures of a draw without sorting anew.

Trials of one speaker, or of one generator, resemble each other: ten thousand clips of ten speakers carry far
less than ten thousand clips' worth of evidence about speakers in general. Resampling single trials ignores
that and gives intervals that are much too narrow; resampling whole clusters does not.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ringtrue.errors import ScoresError
from ringtrue.evaluation.metrics import as_scores

Counts = NDArray[np.int64]
Array = NDArray[np.float64]

_BLOCK = 1024  # trials summed at once while searching for the equal error point
_TRIES = 1000  # draws in a row that may lose a class before the clusters are called too few


class Resampling:
    """The clusters of a set of trials, and random draws of them.

    Each trial belongs to one cluster in each *way* of clustering (its speaker; its speaker and its system).
    Drawing a cluster twice gives its trials weight 2; a trial's weights of several ways multiply. Trials that
    belong to the same clusters in every way form a *cell*, and a draw is one count for each cell.

    A name that occurs on both sides is one cluster (a speaker with human and cloned clips) and is drawn for
    both at once. Names shared by both sides, names of bona fide only and names of spoof only are drawn
    separately, each as often as there are. In one way no draw can lose a class; in two ways a draw that does
    is drawn again.

    Args:
        bonafide: Scores of bona fide trials; only their number matters.
        spoof: Scores of spoof trials.
        bonafide_clusters: ``(trials,)`` names, or ``(trials, ways)``; None makes each trial its own cluster.
        spoof_clusters: The same for spoof trials. The first ways of both sides belong together, and so on;
            a side with fewer ways is not resampled in the others.

    Attributes:
        bonafide: The cell of each bona fide trial.
        spoof: The cell of each spoof trial.
        size: How many cells there are.
        clusters: How many clusters the bona fide and the spoof trials come from, in the way with the fewest.
    """

    def __init__(
        self,
        bonafide: ArrayLike,
        spoof: ArrayLike,
        bonafide_clusters: ArrayLike | None,
        spoof_clusters: ArrayLike | None,
    ) -> None:
        sizes = as_scores(bonafide, "bona fide").size, as_scores(spoof, "spoof").size
        sides = (
            _ways(bonafide_clusters, sizes[0], "bona fide"),
            _ways(spoof_clusters, sizes[1], "spoof"),
        )
        ways = max(len(side) for side in sides)
        namesakes = bonafide_clusters is not None and spoof_clusters is not None
        codes = np.full((sum(sizes), ways), -1, dtype=np.int64)
        self._strata: list[list[Counts]] = []
        fewest = [max(sizes), max(sizes)]
        for way in range(ways):
            columns: list[NDArray[Any]] = [side[way] if way < len(side) else np.empty(0) for side in sides]
            here = [slice(0, columns[0].size), slice(sizes[0], sizes[0] + columns[1].size)]
            numbers = _number(columns[0], columns[1], namesakes)
            on = [np.zeros(1 + max(side.max(initial=-1) for side in numbers), dtype=bool) for _ in sides]
            for side in (0, 1):
                codes[here[side], way] = numbers[side]
                on[side][numbers[side]] = True
                if columns[side].size:
                    fewest[side] = min(fewest[side], int(on[side].sum()))
            strata = [np.flatnonzero((on[0] == a) & (on[1] == b)) for a, b in ((1, 1), (1, 0), (0, 1))]
            self._strata.append([members for members in strata if members.size])
        if ways == 1:
            cells, self._codes = codes[:, 0], None
            self.size = 1 + int(cells.max())
        else:
            self._codes, cells = np.unique(codes, axis=0, return_inverse=True)
            cells = cells.reshape(-1)
            self.size = len(self._codes)
        self.bonafide, self.spoof = cells[: sizes[0]], cells[sizes[0] :]
        self.clusters = fewest[0], fewest[1]
        self._trials = [np.bincount(side, minlength=self.size) for side in (self.bonafide, self.spoof)]

    def draw(self, rng: np.random.Generator, draws: int) -> Iterator[Counts]:
        """Yield the weight of each cell, `draws` times; do not keep an array, it may be used again.

        Args:
            rng: Where the draws come from.
            draws: How many.

        Raises:
            ScoresError: The clusters are so few that draws keep losing a class.
        """
        if draws < 1:
            raise ScoresError(f"{draws} draws; at least one is needed, and some hundreds for an interval")
        counts = [np.zeros(1 + max(int(m.max()) for m in strata), dtype=np.int64) for strata in self._strata]
        for _ in range(draws):
            for _ in range(_TRIES):
                for way, strata in zip(counts, self._strata, strict=True):
                    for members in strata:
                        drawn = rng.integers(members.size, size=members.size)
                        way[members] = np.bincount(drawn, minlength=members.size)
                weights = self._multiply(counts)
                if self.holds(weights):
                    break
            else:
                raise ScoresError(
                    f"{self.clusters[0]} bona fide and {self.clusters[1]} spoof clusters are so few that draws "
                    "lose a whole class; cluster by fewer columns"
                )
            yield weights

    def part(self, bonafide: NDArray[np.bool_], spoof: NDArray[np.bool_]) -> Resampling:
        """Keep some trials, with the cells of the whole, so that a draw of the whole weighs the part too.

        Args:
            bonafide: Which bona fide trials to keep.
            spoof: Which spoof trials.

        Returns:
            A resampling for a `Ladder` of these trials; draw from the whole.
        """
        part = copy.copy(self)
        part.bonafide, part.spoof = self.bonafide[bonafide], self.spoof[spoof]
        part._trials = [np.bincount(side, minlength=self.size) for side in (part.bonafide, part.spoof)]
        return part

    def holds(self, counts: Counts) -> bool:
        """Whether both classes of these trials have weight in a draw."""
        return all(counts @ trials > 0 for trials in self._trials)

    def _multiply(self, counts: list[Counts]) -> Counts:
        if self._codes is None:
            return counts[0]
        weights = np.ones(self.size, dtype=np.int64)
        for way, numbers in enumerate(self._codes.T):
            weights *= np.where(numbers >= 0, counts[way][numbers], 1)
        return weights


class Ladder:
    """One model's trials sorted once, so that figures of any draw need no sorting.

    Drawing a cluster twice is giving its trials weight 2. With ``B`` of ``B_all`` the weight of the bona fide
    trials at or below a threshold, and ``S`` of ``S_all`` the same for spoof, ``frr - far`` is ``B / B_all +
    S / S_all - 1``. It crosses 0 where ``B * S_all + S * B_all`` reaches ``B_all * S_all``: exact integers.
    The search sums blocks of trials first, from how many each cell has in them, and then looks into one
    block only.

    Args:
        bonafide: Scores of bona fide trials.
        spoof: Scores of spoof trials.
        resampling: Their clusters.
    """

    def __init__(self, bonafide: ArrayLike, spoof: ArrayLike, resampling: Resampling) -> None:
        bonafide, spoof = as_scores(bonafide, "bona fide"), as_scores(spoof, "spoof")
        if (bonafide.size, spoof.size) != (resampling.bonafide.size, resampling.spoof.size):
            raise ScoresError("two models must have scored the same trials, in the same order")
        self._scores, self._resampling = (bonafide, spoof), resampling
        scores = np.concatenate([bonafide, spoof])
        order = np.argsort(scores, kind="stable")
        scores = scores[order]
        self._is_bonafide = order < bonafide.size
        # Even codes are bona fide, odd ones spoof: one look-up gives a trial's weight for its own class.
        codes = np.concatenate([2 * resampling.bonafide, 2 * resampling.spoof + 1])[order]
        self._codes = codes.astype(np.int32)
        self._bonafide_clusters = codes[self._is_bonafide] // 2
        self._bonafide_below = np.append(0, np.cumsum(self._is_bonafide))
        self._sizes = np.bincount(codes, minlength=2 * resampling.size)
        inside_block = np.arange(codes.size) // _BLOCK * self._sizes.size + codes
        parts, self._part_trials = np.unique(inside_block, return_counts=True)
        self._part_codes = parts % self._sizes.size
        self._block_starts = np.flatnonzero(np.diff(parts // self._sizes.size, prepend=-1))
        # A threshold takes all equal scores or none: for each trial, where its ties begin and end.
        self._firsts = np.flatnonzero(np.append(True, scores[1:] != scores[:-1]))
        ties = np.diff(np.append(self._firsts, scores.size))
        self._tie_begin = np.repeat(self._firsts, ties)
        self._tie_end = np.repeat(self._firsts + ties, ties)

    def eer(self, counts: Counts) -> float:
        """Compute the EER with trial weights given by their cells' counts."""
        bonafide_all, spoof_all = int(counts @ self._sizes[0::2]), int(counts @ self._sizes[1::2])
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
        """Weigh each distinct score: how much bona fide and how much spoof of the draw has it, rising."""
        weights = counts[self._codes >> 1]
        return (
            np.add.reduceat(np.where(self._is_bonafide, weights, 0), self._firsts),
            np.add.reduceat(np.where(self._is_bonafide, 0, weights), self._firsts),
        )

    def means(
        self, losses: Callable[[Array, Array], tuple[NDArray[Any], NDArray[Any]]]
    ) -> Callable[[Counts], Array]:
        """Prepare the mean loss of each class as a function of a draw: two short dot products a draw.

        Args:
            losses: Gives the loss of each bona fide and of each spoof trial from their scores.

        Returns:
            A function of a draw's counts that returns ``(bona fide mean, spoof mean)``.
        """
        cells = (self._resampling.bonafide, self._resampling.spoof)
        sums = [
            np.bincount(cell, weights=loss, minlength=self._resampling.size)
            for cell, loss in zip(cells, losses(*self._scores), strict=True)
        ]
        trials = self._sizes[0::2], self._sizes[1::2]
        return lambda counts: np.array([counts @ sums[i] / (counts @ trials[i]) for i in (0, 1)])


def _ways(clusters: ArrayLike | None, trials: int, name: str) -> list[NDArray[Any]]:
    """Give one side's cluster names, a column for each way."""
    if clusters is None:
        return [np.arange(trials)]
    names = np.asarray(clusters)
    names = names[:, None] if names.ndim == 1 else names
    if names.ndim != 2 or len(names) != trials or not names.shape[1]:
        raise ScoresError(f"{len(names)} {name} cluster names for {trials} trials; one each is needed")
    return list(names.T)


def _number(bonafide: NDArray[Any], spoof: NDArray[Any], namesakes: bool) -> tuple[Counts, Counts]:
    """Number the clusters of one way from 0; trials of their own are nobody's namesakes."""
    if namesakes and bonafide.size and spoof.size:
        both = np.unique(np.concatenate([bonafide, spoof]), return_inverse=True)[1]
        return both[: bonafide.size], both[bonafide.size :]
    first, second = (
        np.unique(names, return_inverse=True)[1] if names.size else np.empty(0, dtype=np.int64)
        for names in (bonafide, spoof)
    )
    return first, second + 1 + first.max(initial=-1)
