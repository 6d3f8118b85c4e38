"""Development scores -> two more maps to log-likelihood ratios: any monotone one, and one of several models' scores.

Like `calibrate.fit_affine` they are fitted on development trials only and applied to test trials unseen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ringtrue.errors import ScoresError
from ringtrue.evaluation.calibrate import (
    Calibration,
    abstention_band,
    bonafide_rejection_rate,
    spoof_acceptance_rate,
    threshold_for_bonafide_rejection,
)
from ringtrue.evaluation.hull import pool
from ringtrue.evaluation.logistic import fit_logistic
from ringtrue.evaluation.metrics import as_scores
from ringtrue.evaluation.stored import Stored

Array = NDArray[np.float64]
_FEW_TRIALS = 100  # of a class: below, a monotone map follows the accidents of the development set


@dataclass(frozen=True)
class Monotone(Stored):
    """A rising map from raw scores to natural-log likelihood ratios, linear between knots, flat beyond them.

    Attributes:
        scores: Where the knots are, rising.
        llrs: What they map to, rising.
        bonafide_trials: How many bona fide trials it was fitted on.
        spoof_trials: How many spoof trials.
    """

    scores: tuple[float, ...]
    llrs: tuple[float, ...]
    bonafide_trials: int
    spoof_trials: int

    def apply(self, scores: ArrayLike) -> Array:
        """Turn raw scores into log-likelihood ratios.

        Args:
            scores: Raw scores of the model that this was fitted on.

        Returns:
            Log-likelihood ratios; scores beyond the first and the last knot become equal, which can change
            the EER where an affine map cannot.
        """
        return np.interp(np.asarray(scores, dtype=np.float64), self.scores, self.llrs)

    def __post_init__(self) -> None:
        """Refuse knots that do not rise."""
        if len(self.scores) != len(self.llrs) or any(
            np.any(np.diff(side) <= 0) for side in (self.scores, self.llrs)
        ):
            raise ScoresError(
                f"the monotone map has {len(self.scores)} and {len(self.llrs)} knots; both must rise alike"
            )


def fit_monotone(bonafide: ArrayLike, spoof: ArrayLike) -> Monotone:
    """Fit the best rising map by PAV, for scores that no straight line makes log-likelihood ratios.

    It needs more trials than `calibrate.fit_affine`. One trial of each class is added at either end, after
    Laplace, so that no score is worth infinitely much.

    Args:
        bonafide: Raw development scores of bona fide trials.
        spoof: The same of spoof trials.

    Returns:
        The map.

    Raises:
        ScoresError: Scores are unfit, of fewer than 100 trials of a class, or rise with nothing: constant, or
            pointing the wrong way.
    """
    bonafide, spoof = as_scores(bonafide, "bona fide"), as_scores(spoof, "spoof")
    if min(bonafide.size, spoof.size) < _FEW_TRIALS:
        raise ScoresError(
            f"{bonafide.size} bona fide and {spoof.size} spoof development trials; a monotone map needs "
            f"{_FEW_TRIALS} of each, an affine one far fewer"
        )
    both = np.concatenate([bonafide, spoof])
    ends = [float(both.min()), float(both.max())]
    blocks = pool(np.append(bonafide, ends), np.append(spoof, ends))
    if blocks.highest.size < 2:
        raise ScoresError("scores are constant or point the wrong way: no rising map makes anything of them")
    llrs = np.log(blocks.bonafide / (bonafide.size + 2)) - np.log(blocks.spoof / (spoof.size + 2))
    distinct = np.unique(both)
    firsts = np.append(0, np.searchsorted(distinct, blocks.highest[:-1]) + 1)
    knots = (distinct[firsts] + blocks.highest) / 2
    return Monotone(tuple(knots.tolist()), tuple(llrs.tolist()), bonafide.size, spoof.size)


@dataclass(frozen=True)
class Fusion(Stored):
    """A weighted sum of several models' scores that is a log-likelihood ratio.

    Attributes:
        models: Names of the models, in the order of the weights.
        weights: One for each.
        offset: Added.
        prior: Share of bona fide that the fit was weighted for; the LLRs themselves assume none.
        bonafide_trials: How many bona fide trials it was fitted on.
        spoof_trials: How many spoof trials.
    """

    models: tuple[str, ...]
    weights: tuple[float, ...]
    offset: float
    prior: float
    bonafide_trials: int
    spoof_trials: int

    def apply(self, scores: Sequence[ArrayLike]) -> Array:
        """Fuse scores.

        Args:
            scores: The scores of each model, in the order of `models`, on the same trials.

        Returns:
            Log-likelihood ratios.

        Raises:
            ScoresError: There are more or fewer models.
        """
        if len(scores) != len(self.weights):
            raise ScoresError(f"{len(scores)} models' scores; this fusion takes {', '.join(self.models)}")
        return np.asarray(
            np.stack([np.asarray(s, dtype=np.float64) for s in scores], axis=1) @ self.weights + self.offset
        )

    def __post_init__(self) -> None:
        """Refuse weights of nobody."""
        if len(self.models) != len(self.weights):
            raise ScoresError(f"the fusion has {len(self.models)} models and {len(self.weights)} weights")


def fit_fusion(
    models: Sequence[str], bonafide: Sequence[ArrayLike], spoof: Sequence[ArrayLike], prior: float = 0.5
) -> Fusion:
    """Fit the weighted sum of several models' scores by logistic regression, each class weighted to the prior.

    A model that adds nothing gets a weight near 0, and one that is wrong where the others are right a
    negative one: that is no error.

    Args:
        models: Their names.
        bonafide: Raw development scores of bona fide trials by each model, in the same order of trials.
        spoof: The same of spoof trials.
        prior: Share of bona fide that the fit should care for, in (0, 1).

    Returns:
        The fusion.

    Raises:
        ScoresError: Scores are unfit, fewer than two models, of different trials, or a model's are constant.
    """
    if not 0 < prior < 1:
        raise ScoresError(f"prior {prior}; a share of bona fide between 0 and 1 is accepted")
    if not 2 <= len(models) == len(bonafide) == len(spoof):
        raise ScoresError(
            f"{len(models)} models; a fusion takes two or more, each with scores of both classes"
        )
    sides = [
        [as_scores(scores, f"{name}'s {label}") for name, scores in zip(models, side, strict=True)]
        for label, side in (("bona fide", bonafide), ("spoof", spoof))
    ]
    if any(len({scores.size for scores in side}) > 1 for side in sides):
        raise ScoresError("two models must have scored the same trials, in the same order")
    human, machine = (np.stack(side, axis=1) for side in sides)
    both = np.concatenate([human, machine])
    centre, spread = both.mean(axis=0), both.std(axis=0)
    for name, wide, middle in zip(models, spread, centre, strict=True):
        if wide <= 1e-12 * max(1.0, abs(middle)):
            raise ScoresError(f"all development scores of {name} are equal: leave it out")
    *weights, shift = fit_logistic((human - centre) / spread, (machine - centre) / spread, prior)
    scaled = np.array(weights) / spread
    return Fusion(
        tuple(models), tuple(scaled.tolist()), float(shift - scaled @ centre), prior, len(human), len(machine)
    )


SHOWN_RATES = (0.01, 0.05, 0.1)
"""Shares of people called machines, whose thresholds a card shows where it has trials enough to promise them."""

Map = Calibration | Monotone | Fusion
_KINDS: dict[str, type[Calibration] | type[Monotone] | type[Fusion]] = {
    "affine": Calibration,
    "monotone": Monotone,
    "fusion": Fusion,
}


def map_from(stored: Mapping[str, Any]) -> Map:
    """Rebuild the map that a calibration holds, in a file or in a model's card.

    Args:
        stored: With ``kind`` and ``map``; a card without a kind holds an affine map.

    Returns:
        The map.

    Raises:
        ScoresError: The kind is unknown, or the map is damaged.
    """
    kind = stored.get("kind", "affine")
    if kind not in _KINDS or "map" not in stored:
        raise ScoresError(f"the calibration holds a {kind!r:.60} and no map; accepted: {', '.join(_KINDS)}")
    return _KINDS[kind].from_dict(stored["map"])


def operating_point(fitted: Map, bonafide: Array, spoof: Array, rate: float) -> dict[str, Any]:
    """Describe how a model decides: its map, its band of doubt, and the errors they make on development trials.

    Args:
        fitted: The map.
        bonafide: Log-likelihood ratios of bona fide development trials.
        spoof: The same of spoof trials.
        rate: The share of each class that the band may miscall.

    Returns:
        Plain values for a model's card.

    Raises:
        ScoresError: There are too few trials to promise so low a rate.
    """
    band = abstention_band(bonafide, spoof, rate)
    return {
        "kind": next(kind for kind, cls in _KINDS.items() if isinstance(fitted, cls)),
        "map": fitted.to_dict(),
        "band": band.to_dict(),
        "bonafide_rejection_rate": bonafide_rejection_rate(bonafide, band.lower),
        "spoof_acceptance_rate": spoof_acceptance_rate(spoof, band.upper),
        "thresholds": {
            f"{shown:g}": threshold_for_bonafide_rejection(bonafide, shown)
            for shown in SHOWN_RATES
            if shown * (bonafide.size + 1) >= 1
        },
        "measured_on": f"{bonafide.size} bona fide and {spoof.size} spoof development trials",
    }
