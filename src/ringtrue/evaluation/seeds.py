"""Scores of runs that differ by their seed -> figures averaged over seeds, with intervals over trials and their spread.

Two spreads are kept apart. What other speakers and systems would give is bootstrapped, with the same draws for all
runs; what other seeds would give is the standard deviation between runs. Neither contains the other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ringtrue.errors import ScoresError
from ringtrue.evaluation.clustering import Clusters, resampling_of
from ringtrue.evaluation.intervals import FEW_CLUSTERS, Interval, percentiles, two_sided
from ringtrue.evaluation.ladder import ladder
from ringtrue.evaluation.quantities import Figure
from ringtrue.evaluation.resampling import Resampling
from ringtrue.evaluation.scores import Scores

Array = NDArray[np.float64]
_FEW_GROUPS = 5  # to rank: draws from fewer would call chance a finding
Key = tuple[str, ...]
"""Names what a set of runs has in common: a variant, or a corpus and a variant."""


@dataclass(frozen=True)
class Drawn:
    """One figure of many runs, and of the same bootstrap draws of each.

    Attributes:
        values: The figure of each run on all trials, by what it is a run of, then by seed.
        draws: The figure of each draw, likewise.
        resampling: Where the draws come from.
    """

    values: Mapping[Key, Mapping[int, float]]
    draws: Mapping[Key, Mapping[int, Array]]
    resampling: Resampling

    def combine(self, weights: Mapping[Key, float], level: float = 0.95) -> Interval | None:
        """Average a weighted sum over the seeds that all of its parts have.

        Args:
            weights: What to add up: 1 for a figure itself; 1 and -1 for a difference; two of each for a difference
                of differences.
            level: Nominal coverage.

        Returns:
            The mean with its interval, and the spread of single seeds; of a difference, a p-value too. None where
            no seed has all parts.
        """
        seeds = self.seeds(weights)
        if not seeds:
            return None
        sums = [sum(w * self.values[key][seed] for key, w in weights.items()) for seed in seeds]
        sums_drawn = [sum((w * self.draws[key][seed] for key, w in weights.items()), 0.0) for seed in seeds]
        drawn: Array = np.mean(np.array(sums_drawn), axis=0)
        p_value = two_sided(drawn) if sum(weights.values()) == 0 else None
        interval = percentiles(math.fsum(sums) / len(sums), drawn, level, self.resampling, p_value)
        return replace(interval, deviation=_deviation(sums))

    def seeds(self, weights: Mapping[Key, float]) -> list[int]:
        """List the seeds that all parts of a sum have."""
        return sorted(set.intersection(*(set(self.values.get(key, ())) for key in weights)))

    def by_seed(self, weights: Mapping[Key, float]) -> list[float]:
        """Give a weighted sum for each seed that all of its parts have."""
        return [sum(w * self.values[key][seed] for key, w in weights.items()) for seed in self.seeds(weights)]


def draw_figure(
    figure: Figure,
    runs: Mapping[Key, Mapping[int, Scores]],
    clusters: Clusters,
    seed: int = 0,
    draws: int = 1000,
) -> Drawn:
    """Bootstrap a figure of many runs with the same draws for all.

    Args:
        figure: Which.
        runs: Scores of the same trials by each run.
        clusters: By what to resample.
        seed: Seed of the draws.
        draws: How many.

    Returns:
        The figures.

    Raises:
        ScoresError: There is no run, or two scored different trials.
    """
    first = next((scores for seeds in runs.values() for scores in seeds.values()), None)
    if first is None:
        raise ScoresError("no run has scores")
    resampling = resampling_of(first, clusters)
    values: dict[Key, dict[int, float]] = {}
    drawn: dict[Key, dict[int, Array]] = {}
    for key, seeds in runs.items():
        values[key], drawn[key] = {}, {}
        for number, scores in seeds.items():
            # One run at a time is sorted; the generator begins anew, so that all have the same draws.
            aligned = scores.align(first.trials)
            value = values[key][number] = figure.value(aligned.bonafide, aligned.spoof)
            trials = ladder(aligned.bonafide, aligned.spoof, resampling)
            of = figure.prepare(trials, value)
            rng = np.random.default_rng(seed)
            drawn[key][number] = np.array(
                [of(trials.weigh(counts)) for counts in resampling.draw(rng, draws)]
            )
    return Drawn(values, drawn, resampling)


def spread_over_seeds(values: Sequence[float], level: float = 0.95) -> Interval:
    """Average something that has no trials to resample, such as a leakage, over seeds.

    Args:
        values: One a run.
        level: Nominal coverage.

    Returns:
        The mean with Student's interval over seeds; from one seed there is none, and the ends are unknown.
    """
    mean = math.fsum(values) / len(values)
    deviation = _deviation(values)
    half = math.nan
    if deviation is not None:
        from scipy.stats import t

        half = float(t.ppf((1 + level) / 2, len(values) - 1)) * deviation / math.sqrt(len(values))
    return Interval(mean, mean - half, mean + half, level, FEW_CLUSTERS, FEW_CLUSTERS, None, deviation)


def rank_correlation(
    x: Sequence[float], y: Sequence[float], groups: Sequence[str], seed: int = 0
) -> Interval:
    """Correlate ranks (Spearman), with an interval by drawing whole groups.

    Args:
        x: Something of each run.
        y: Something else of each run.
        groups: What each is a run of: runs that differ by their seed only are not independent evidence.
        seed: Seed of the draws.

    Returns:
        Spearman's rho with its 95 % interval.

    Raises:
        ScoresError: There are fewer than five groups, too few to draw from, or one of the two never changes.
    """
    first, second, names = np.asarray(x), np.asarray(y), np.asarray(groups)
    members = [np.flatnonzero(names == name) for name in sorted(set(groups))]
    if len(members) < _FEW_GROUPS or np.ptp(first) == 0 or np.ptp(second) == 0:
        raise ScoresError(f"{len(members)} variants with a difference; ranking takes {_FEW_GROUPS}")
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(2000):
        chosen = np.concatenate([members[i] for i in rng.integers(len(members), size=len(members))])
        if np.ptp(first[chosen]) and np.ptp(second[chosen]):
            drawn.append(_spearman(first[chosen], second[chosen]))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(_spearman(first, second), float(low), float(high), 0.95, len(members), len(members))


def _spearman(x: Array, y: Array) -> float:
    ranks = [np.unique(side, return_inverse=True, return_counts=True)[1:] for side in (x, y)]
    mid = [(np.cumsum(counts) - (counts - 1) / 2)[place] for place, counts in ranks]
    return float(np.corrcoef(mid[0], mid[1])[0, 1])


def _deviation(values: Sequence[float]) -> float | None:
    return float(np.std(values, ddof=1)) if len(values) > 1 else None
