"""Trials and the clusters they come from -> random draws of whole clusters.

Trials of one speaker, or of one generator, resemble each other: ten thousand clips of ten speakers carry far
less than ten thousand clips' worth of evidence about speakers in general. Resampling single trials ignores
that and gives intervals that are much too narrow; resampling whole clusters does not.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ringtrue.errors import ScoresError
from ringtrue.evaluation.metrics import as_scores

Counts = NDArray[np.int64]
Numbers = NDArray[np.int32]
"""Numbers of clusters or cells, of which there are fewer than 2^31."""
MANY = 1_000_000
"""Above so many trials a draw costs too much trial by trial: clusters are merged, and `ladder.CoarseLadder` is used."""

_GROUPS = 1024, 256  # clusters that are kept apart among `MANY` trials, in one way and in each of several
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
        codes = np.full((sum(sizes), ways), -1, dtype=np.int32)
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
            strata = [members for members in strata if members.size]
            if sum(sizes) > MANY:
                strata, groups = _merge(strata, _GROUPS[ways > 1])
                known = codes[:, way] >= 0
                codes[known, way] = groups[codes[known, way]]
            self._strata.append(strata)
        if ways == 1:
            cells, self._codes = codes[:, 0], None
            self.size = 1 + int(cells.max())
        else:
            cells, firsts = _number_rows(codes)
            self._codes, self.size = codes[firsts], len(firsts)
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


def _ways(clusters: ArrayLike | None, trials: int, name: str) -> list[NDArray[Any]]:
    """Give one side's cluster names, a column for each way."""
    if clusters is None:
        return [np.arange(trials, dtype=np.int32)]
    names = np.asarray(clusters)
    names = names[:, None] if names.ndim == 1 else names
    if names.ndim != 2 or len(names) != trials or not names.shape[1]:
        raise ScoresError(f"{len(names)} {name} cluster names for {trials} trials; one each is needed")
    return list(names.T)


def _number(bonafide: NDArray[Any], spoof: NDArray[Any], namesakes: bool) -> tuple[Numbers, Numbers]:
    """Number the clusters of one way from 0; trials of their own are nobody's namesakes."""
    if namesakes and bonafide.size and spoof.size:
        both = _number_names(np.concatenate([bonafide, spoof]))
        return both[: bonafide.size], both[bonafide.size :]
    first, second = (_number_names(names) for names in (bonafide, spoof))
    return first, second + np.int32(1 + first.max(initial=-1))


def _number_names(names: NDArray[Any]) -> Numbers:
    """Number distinct names in their order, from 0; small whole numbers are not sorted for it."""
    if not names.size:
        return np.empty(0, dtype=np.int32)
    if names.dtype.kind == "i" and names.min() >= 0 and names.max() <= 4 * names.size:
        places = np.zeros(1 + int(names.max()), dtype=bool)
        places[names] = True
        numbers: Numbers = (np.cumsum(places, dtype=np.int32) - 1)[names]
        return numbers
    return np.unique(names, return_inverse=True)[1].astype(np.int32)


def _merge(strata: list[Counts], most: int) -> tuple[list[Counts], Counts]:
    """Merge clusters at random into groups of as many: the groups of each stratum, and the group of each cluster."""
    rng = np.random.default_rng(0)  # which clusters are merged must not depend on the draws
    groups = np.zeros(1 + max(int(members.max()) for members in strata), dtype=np.int64)
    merged, begin = [], 0
    for members in strata:
        here = min(most, members.size)
        groups[rng.permutation(members)] = begin + np.arange(members.size) % here
        merged.append(np.arange(begin, begin + here))
        begin += here
    return merged, groups


def _number_rows(codes: Numbers) -> tuple[Numbers, Counts]:
    """Number the distinct rows of whole numbers from -1 up: the number of each row, and a row of each number."""
    numbers = codes[:, 0] + np.int32(1)
    for column in codes.T[1:]:
        pairs = numbers.astype(np.int64)
        pairs *= 2 + int(column.max())
        pairs += column
        pairs += 1
        numbers = _number_names(pairs)
    firsts = np.empty(1 + int(numbers.max()), dtype=np.int64)
    firsts[numbers] = np.arange(numbers.size)
    return numbers, firsts
