"""Scores and the clusters they come from -> figures with confidence intervals, differences, and what survives Holm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ringtrue.errors import ScoresError
from ringtrue.evaluation.ladder import ladder
from ringtrue.evaluation.quantities import FIGURES, Figure
from ringtrue.evaluation.resampling import Resampling

FEW_CLUSTERS = 10
"""Below this many clusters on a side a percentile interval is descriptive only: see `eer_interval`."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """An estimate with its bootstrap percentile interval.

    Attributes:
        estimate: The figure on all trials; rates are fractions.
        low: Lower end.
        high: Upper end.
        level: Nominal coverage, for example 0.95.
        bonafide_clusters: How many clusters the bona fide trials came from; in several ways, the fewest.
        spoof_clusters: The same for the spoof trials.
        p_value: Of a difference, two-sided: how often draws this far from 0 would come if there were none.
        deviation: Of a mean over training runs that differ by their seed: standard deviation of single runs.
    """

    estimate: float
    low: float
    high: float
    level: float
    bonafide_clusters: int
    spoof_clusters: int
    p_value: float | None = None
    deviation: float | None = None

    @property
    def is_descriptive(self) -> bool:
        """Whether a side has too few clusters for the nominal level to hold."""
        return min(self.bonafide_clusters, self.spoof_clusters) < FEW_CLUSTERS


def eer_interval(
    bonafide: ArrayLike,
    spoof: ArrayLike,
    bonafide_clusters: ArrayLike | None,
    spoof_clusters: ArrayLike | None,
    rng: np.random.Generator,
    draws: int = 1000,
    level: float = 0.95,
) -> Interval:
    """Bootstrap the EER by drawing whole clusters with replacement, and take percentiles.

    How clusters are drawn, in one way or two, is told by `Resampling`.

    The percentile interval is honest with some dozens of clusters. With fewer it is too narrow: with ten a
    side a nominal 95 % held the truth in 90 % of simulated sets, with five in 86 %, with three in 76 %, and
    one cluster has no interval at all. Below `FEW_CLUSTERS` on either side call it descriptive, as
    `Interval.is_descriptive` does.

    Args:
        bonafide: Scores of bona fide trials.
        spoof: Scores of spoof trials.
        bonafide_clusters: One name or number a trial, commonly the speaker, or a row of several; None makes
            each trial its own.
        spoof_clusters: The same for spoof trials, commonly speaker and system.
        rng: Where the draws come from.
        draws: How many.
        level: Nominal coverage in (0, 1).

    Returns:
        The EER with its interval, as fractions.

    Raises:
        ScoresError: Scores are unfit (see `metrics.as_scores`) or the clusters do not match them.
    """
    resampling = Resampling(bonafide, spoof, bonafide_clusters, spoof_clusters)
    return figure_intervals([FIGURES["eer"]], bonafide, spoof, resampling, rng, draws, level)[0]


def figure_intervals(
    figures: Sequence[Figure],
    bonafide: ArrayLike,
    spoof: ArrayLike,
    resampling: Resampling,
    rng: np.random.Generator,
    draws: int = 1000,
    level: float = 0.95,
) -> list[Interval]:
    """Bootstrap several figures with the same draws.

    Args:
        figures: Which.
        bonafide: Scores of bona fide trials.
        spoof: Scores of spoof trials.
        resampling: Their clusters.
        rng: Where the draws come from.
        draws: How many.
        level: Nominal coverage in (0, 1).

    Returns:
        An interval for each figure.

    Raises:
        ScoresError: As `eer_interval`.
    """
    values = [figure.value(bonafide, spoof) for figure in figures]
    trials = ladder(bonafide, spoof, resampling)
    functions = [figure.prepare(trials, value) for figure, value in zip(figures, values, strict=True)]
    weighed = (trials.weigh(counts) for counts in resampling.draw(rng, draws))
    resampled = np.array([[of(draw) for of in functions] for draw in weighed])
    return [
        percentiles(value, drawn, level, resampling) for value, drawn in zip(values, resampled.T, strict=True)
    ]


def eer_difference_interval(
    bonafide: tuple[ArrayLike, ArrayLike],
    spoof: tuple[ArrayLike, ArrayLike],
    bonafide_clusters: ArrayLike | None,
    spoof_clusters: ArrayLike | None,
    rng: np.random.Generator,
    draws: int = 1000,
    level: float = 0.95,
) -> Interval:
    """Bootstrap the difference of two models' EERs on the same trials, with the same draws for both.

    Pairing removes what both models find hard alike, so it can tell apart models whose own intervals
    overlap. A negative difference means that the first model is better; an interval that contains 0 means
    that these trials cannot say which is.

    Args:
        bonafide: Scores of the bona fide trials by the first and by the second model, in the same order.
        spoof: The same for the spoof trials.
        bonafide_clusters: See `eer_interval`.
        spoof_clusters: See `eer_interval`.
        rng: Where the draws come from.
        draws: How many.
        level: Nominal coverage in (0, 1).

    Returns:
        First EER minus second, as a fraction, with its interval.

    Raises:
        ScoresError: As `eer_interval`, or the two models scored different numbers of trials.
    """
    resampling = Resampling(bonafide[0], spoof[0], bonafide_clusters, spoof_clusters)
    pair = list(zip(bonafide, spoof, strict=True))
    return pairwise_differences(FIGURES["eer"], pair, resampling, rng, draws, level)[0, 1]


def pairwise_differences(
    figure: Figure,
    models: Sequence[tuple[ArrayLike, ArrayLike]],
    resampling: Resampling,
    rng: np.random.Generator,
    draws: int = 1000,
    level: float = 0.95,
) -> dict[tuple[int, int], Interval]:
    """Bootstrap the difference of every two models on the same trials, with the same draws for all.

    Args:
        figure: What to compare.
        models: Bona fide and spoof scores of each model, in the same order of trials.
        resampling: The clusters of these trials.
        rng: Where the draws come from.
        draws: How many.
        level: Nominal coverage in (0, 1).

    Returns:
        For each pair of positions, first minus second with interval and uncorrected p-value, see `two_sided`.

    Raises:
        ScoresError: As `eer_interval`, or the models scored different numbers of trials.
    """
    values = [figure.value(*scores) for scores in models]
    sides = [ladder(*scores, resampling) for scores in models]
    functions = [figure.prepare(trials, value) for trials, value in zip(sides, values, strict=True)]
    resampled = np.array(
        [
            [of(trials.weigh(counts)) for of, trials in zip(functions, sides, strict=True)]
            for counts in resampling.draw(rng, draws)
        ]
    )
    differences = {}
    for first in range(len(models)):
        for second in range(first + 1, len(models)):
            drawn = resampled[:, first] - resampled[:, second]
            differences[first, second] = percentiles(
                values[first] - values[second], drawn, level, resampling, two_sided(drawn)
            )
    return differences


def two_sided(drawn: Array) -> float:
    """Ask how often draws of a difference as far from 0 would come if there were none.

    Args:
        drawn: The difference in each draw.

    Returns:
        Twice the share of draws on the other side of 0, counting the figure itself as a draw, so never 0.

    >>> two_sided(np.array([-0.2, 0.1, 0.3, 0.4, 0.5, 0.2, 0.1]))
    0.5
    """
    tail = min(np.count_nonzero(drawn <= 0), np.count_nonzero(drawn >= 0))
    return float(min(1.0, 2 * (1 + tail) / (1 + drawn.size)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number, so that the chance of *any* false finding stays at the level.

    Holm, "A simple sequentially rejective multiple test procedure", 1979.

    Args:
        p_values: One for each comparison that was made, all of them and not only the good ones.

    Returns:
        Corrected p-values in the same order.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    corrected, highest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = highest
    return corrected


@dataclass(frozen=True)
class Spread:
    """How a figure varies between training runs that differ by their seed only.

    Attributes:
        mean: Mean over seeds.
        deviation: Standard deviation of single runs (n - 1).
        lowest: Least.
        highest: Greatest.
        runs: How many.
    """

    mean: float
    deviation: float
    lowest: float
    highest: float
    runs: int


def seed_spread(values: Sequence[float]) -> Spread:
    """Measure the spread of one figure over seeds; it is apart from, and adds to, the spread over trials.

    Args:
        values: The figure of each run, two runs at least.

    Returns:
        The spread.

    Raises:
        ScoresError: There are fewer than two runs, or a value is not finite.

    >>> seed_spread([1.0, 2.0, 6.0]).mean
    3.0
    """
    if len(values) < 2 or not all(math.isfinite(value) for value in values):
        raise ScoresError(f"{len(values)} runs; the spread over seeds takes two finite figures at least")
    mean = math.fsum(values) / len(values)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))
    return Spread(mean, deviation, min(values), max(values), len(values))


def detectable_difference(interval: Interval, power: float = 0.8) -> float:
    """Estimate the least true difference that such trials would probably have shown.

    Args:
        interval: Of a difference; its width stands for the spread of the draws.
        power: Wanted chance of an interval that leaves 0 out.

    Returns:
        A difference in the figure's own unit: print it beside an interval that contains 0.
    """
    normal = NormalDist()
    wide = normal.inv_cdf((1 + interval.level) / 2)
    return (interval.high - interval.low) / (2 * wide) * (wide + normal.inv_cdf(power))


def percentiles(
    estimate: float, resampled: Array, level: float, resampling: Resampling, p_value: float | None = None
) -> Interval:
    """Take the percentiles of resampled figures.

    Args:
        estimate: The figure on all trials.
        resampled: The figure of each draw.
        level: Nominal coverage in (0, 1).
        resampling: Where the draws came from.
        p_value: Of a difference.

    Returns:
        The interval.

    Raises:
        ScoresError: The level is no share, or there are no figures.
    """
    if not 0 < level < 1:
        raise ScoresError(f"level {level}; a share between 0 and 1 is accepted, such as 0.95")
    if resampled.size == 0:
        raise ScoresError("every draw lost a class of this group: it has too few clusters for an interval")
    low, high = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate, float(low), float(high), level, *resampling.clusters, p_value)
