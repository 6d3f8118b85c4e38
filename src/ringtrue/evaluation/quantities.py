"""Each metric that has an interval, twice: of two arrays of scores, and of a bootstrap draw of sorted trials."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ringtrue.evaluation import hull, metrics
from ringtrue.evaluation.ladder import Draw, Ladder
from ringtrue.evaluation.metrics import ASVSPOOF5_COSTS

OfDraw = Callable[[Draw], float]


@dataclass(frozen=True)
class Figure:
    """A metric that has an interval.

    Attributes:
        title: Heading of its column.
        is_percent: Whether it is a rate, shown in percent.
        higher_is_better: Its direction.
        value: The metric, of bona fide and spoof scores.
        of_draws: Prepares the same as a function of a draw.
    """

    title: str
    is_percent: bool
    higher_is_better: bool
    value: Callable[[ArrayLike, ArrayLike], float]
    of_draws: Callable[[Ladder], OfDraw]

    def prepare(self, ladder: Ladder, value: float) -> OfDraw:
        """Make the figure a function of draws that is exact of all trials.

        Args:
            ladder: The trials.
            value: The figure of all of them; how far a coarse ladder is off there is taken off every draw.

        Returns:
            The function.
        """
        of = self.of_draws(ladder)
        if ladder.is_exact:
            return of
        rounding = value - of(ladder.whole())
        return lambda draw: of(draw) + rounding


def _auc_of_draws(ladder: Ladder) -> OfDraw:
    def auc(draw: Draw) -> float:
        bonafide, spoof = draw.steps
        below = np.cumsum(spoof)
        return int(bonafide @ (2 * below - spoof)) / (2 * int(bonafide.sum()) * int(below[-1]))

    return auc


def weighted_cost_of_draws(reject: float, accept: float, base: float = 0.0) -> Callable[[Ladder], OfDraw]:
    """Make the least of ``base + reject * frr + accept * far`` a function of a draw.

    Args:
        reject: Factor of the share of bona fide rejected.
        accept: Factor of the share of spoof accepted.
        base: Added.

    Returns:
        What `Figure.of_draws` wants.
    """

    def of_draws(ladder: Ladder) -> OfDraw:
        def least(draw: Draw) -> float:
            bonafide, spoof = draw.steps
            frr, far = np.cumsum(bonafide) / bonafide.sum(), 1 - np.cumsum(spoof) / spoof.sum()
            return base + min(accept, float(np.min(reject * frr + accept * far)))

        return least

    return of_draws


def _act_dcf_of_draws(ladder: Ladder) -> OfDraw:
    reject, accept = ASVSPOOF5_COSTS.weights
    threshold = -math.log(reject / accept)
    means = ladder.means(
        lambda bonafide, spoof: (reject * (bonafide < threshold), accept * (spoof >= threshold))
    )
    return lambda draw: float(means(draw).sum())


def _cllr_of_draws(ladder: Ladder) -> OfDraw:
    means = ladder.means(lambda bonafide, spoof: (np.logaddexp(0.0, -bonafide), np.logaddexp(0.0, spoof)))
    return lambda draw: float(means(draw).sum()) / 2 / math.log(2.0)


def _min_cllr_of_draws(ladder: Ladder) -> OfDraw:
    def min_cllr(draw: Draw) -> float:
        bonafide, spoof = (np.append(0, np.cumsum(side)) for side in draw.steps)
        kept = hull.hull_points(spoof, bonafide)
        return hull.cllr_of_blocks(np.diff(bonafide[kept]), np.diff(spoof[kept]))

    return min_cllr


FIGURES: Mapping[str, Figure] = {
    "eer": Figure("EER %", True, False, metrics.eer, lambda ladder: lambda draw: draw.eer),
    "auc": Figure("AUC %", True, True, metrics.auc, _auc_of_draws),
    "min_dcf": Figure(
        "minDCF", False, False, metrics.min_dcf, weighted_cost_of_draws(*ASVSPOOF5_COSTS.weights)
    ),
    "act_dcf": Figure("actDCF", False, False, metrics.act_dcf, _act_dcf_of_draws),
    "cllr": Figure("Cllr", False, False, metrics.cllr, _cllr_of_draws),
    "min_cllr": Figure("minCllr", False, False, hull.min_cllr, _min_cllr_of_draws),
}
"""The figures of `ringtrue evaluate`, in its order; costs are those of ASVspoof 5, track 1."""


def hter_figure(threshold: float) -> Figure:
    """Make the half total error rate at a threshold that was fixed elsewhere a figure.

    Args:
        threshold: Scores below it are rejected.

    Returns:
        The figure.
    """

    def of_draws(ladder: Ladder) -> OfDraw:
        means = ladder.means(lambda bonafide, spoof: (bonafide < threshold, spoof >= threshold))
        return lambda draw: float(means(draw).sum()) / 2

    return Figure(
        f"HTER % at {threshold:g}", True, False, lambda b, s: metrics.hter(b, s, threshold), of_draws
    )


def frr_figure(far: float) -> Figure:
    """Make the share of bona fide rejected, where at most a wanted share of spoofs is accepted, a figure.

    Args:
        far: That share.

    Returns:
        The figure.
    """

    def of_draws(ladder: Ladder) -> OfDraw:
        def frr(draw: Draw) -> float:
            bonafide, spoof = (np.cumsum(side) for side in draw.steps)
            accepted = (spoof[-1] - np.append(0, spoof)) / spoof[-1]  # rounded as `frr_at_far` does
            return float(np.append(0, bonafide)[np.argmax(accepted <= far)] / bonafide[-1])

        return frr

    return Figure(
        f"FRR % at FAR {100 * far:g} %", True, False, lambda b, s: metrics.frr_at_far(b, s, far), of_draws
    )
