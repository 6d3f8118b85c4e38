"""Development scores -> log-likelihood ratios, thresholds that keep a promised error rate, a band of doubt.

Everything here is fitted on development trials, stored with the model, and applied to test trials unseen.
"False alarm" and "miss" mean opposite things in the field's papers and in a product, so neither word is
used: a clip is *rejected* (called spoof) below a threshold and *accepted* (called bona fide) at or above it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ringtrue.errors import ScoresError
from ringtrue.evaluation.logistic import fit_logistic
from ringtrue.evaluation.metrics import as_scores
from ringtrue.evaluation.stored import Stored

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Calibration(Stored):
    """An affine map from raw scores to natural-log likelihood ratios, and what it was fitted on.

    Attributes:
        slope: Above 0, so the order of scores and the EER cannot change.
        offset: Added after scaling.
        prior: Share of bona fide that the fit was weighted for; the LLRs themselves assume none.
        bonafide_trials: How many bona fide trials it was fitted on.
        spoof_trials: How many spoof trials.
    """

    slope: float
    offset: float
    prior: float = 0.5
    bonafide_trials: int = 0
    spoof_trials: int = 0

    def apply(self, scores: ArrayLike) -> Array:
        """Turn raw scores into log-likelihood ratios.

        Args:
            scores: Raw scores of the model that this was fitted on.

        Returns:
            ``ln p(score | bona fide) - ln p(score | spoof)`` as far as an affine map can tell.
        """
        return self.slope * np.asarray(scores, dtype=np.float64) + self.offset


def fit_affine(bonafide: ArrayLike, spoof: ArrayLike, prior: float = 0.5) -> Calibration:
    """Fit slope and offset by logistic regression, each class weighted to the given prior.

    Weighting makes the fit independent of how many trials of each class the development set has. Newton's
    method on two parameters; the slope carries a light ridge penalty on standardised scores, so that
    perfectly separated development scores give a steep map and not an infinite one.

    Brümmer and du Preez, "Application-independent evaluation of speaker detection", 2006.

    Args:
        bonafide: Raw development scores of bona fide trials.
        spoof: The same of spoof trials.
        prior: Share of bona fide that the fit should care for, in (0, 1).

    Returns:
        The calibration.

    Raises:
        ScoresError: Scores are unfit, constant, or point the wrong way: bona fide must score higher.
    """
    if not 0 < prior < 1:
        raise ScoresError(f"prior {prior}; a share of bona fide between 0 and 1 is accepted")
    bonafide, spoof = as_scores(bonafide, "bona fide"), as_scores(spoof, "spoof")
    scores = np.concatenate([bonafide, spoof])
    centre, spread = float(np.mean(scores)), float(np.std(scores))
    if spread <= 1e-12 * max(1.0, abs(centre)):
        raise ScoresError("all development scores are equal: there is nothing to calibrate")
    human, machine = (((side - centre) / spread)[:, None] for side in (bonafide, spoof))
    slope, shift = (float(value) for value in fit_logistic(human, machine, prior))
    if slope <= 0:
        raise ScoresError(
            f"scores point the wrong way: bona fide mean {bonafide.mean():.4g}, spoof {spoof.mean():.4g}; "
            "higher must mean more likely bona fide. Look for swapped labels before turning the sign"
        )
    slope /= spread
    return Calibration(slope, shift - slope * centre, prior, bonafide.size, spoof.size)


def bonafide_rejection_rate(bonafide: ArrayLike, threshold: float) -> float:
    """Measure how many bona fide clips a threshold calls spoof.

    Args:
        bonafide: Scores of bona fide trials.
        threshold: Scores below it are rejected.

    Returns:
        A fraction in [0, 1].
    """
    return float(np.mean(as_scores(bonafide, "bona fide") < threshold))


def spoof_acceptance_rate(spoof: ArrayLike, threshold: float) -> float:
    """Measure how many spoof clips a threshold calls bona fide.

    Args:
        spoof: Scores of spoof trials.
        threshold: Scores at or above it are accepted.

    Returns:
        A fraction in [0, 1].
    """
    return float(np.mean(as_scores(spoof, "spoof") >= threshold))


def threshold_for_bonafide_rejection(bonafide: ArrayLike, rate: float) -> float:
    """Find the highest threshold that calls at most a given share of bona fide clips spoof.

    The promise is conformal, not just a quantile of the data: if new bona fide clips come from where these
    did, the chance that one is rejected is at most `rate`, averaged over development sets of this size,
    whatever the distribution. A few dozen recordings of one's own are enough for a rate of 5 %.

    Args:
        bonafide: Development scores of bona fide trials.
        rate: Wanted rate in (0, 1).

    Returns:
        The threshold: reject below it.

    Raises:
        ScoresError: Scores are unfit, or too few to promise so low a rate: ``1 / rate - 1`` are needed.
    """
    scores = np.sort(as_scores(bonafide, "bona fide"))
    return float(scores[_promised_rank(scores.size, rate, "bona fide") - 1])


def threshold_for_spoof_acceptance(spoof: ArrayLike, rate: float) -> float:
    """Find the lowest threshold that calls at most a given share of spoof clips bona fide.

    The promise is that of `threshold_for_bonafide_rejection`, and holds for generators like those of the
    development set: no threshold promises anything about a generator that nobody has heard.

    Args:
        spoof: Development scores of spoof trials.
        rate: Wanted rate in (0, 1).

    Returns:
        The threshold: accept at or above it.

    Raises:
        ScoresError: Scores are unfit, or too few to promise so low a rate.
    """
    scores = np.sort(as_scores(spoof, "spoof"))
    highest = scores[scores.size - _promised_rank(scores.size, rate, "spoof")]
    return float(np.nextafter(highest, np.inf))  # that score itself must still be rejected


def _promised_rank(trials: int, rate: float, name: str) -> int:
    """The rank k with k / (n + 1) <= rate: a new score is as likely to fall in each of the n + 1 gaps."""
    if not 0 < rate < 1:
        raise ScoresError(f"rate {rate}; a share between 0 and 1 is accepted")
    rank = math.floor(rate * (trials + 1) * (1 + 1e-12))  # 0.05 * 20 must not round down to 0
    if rank < 1:
        needed = math.ceil(1 / rate - 1)
        raise ScoresError(
            f"{trials} {name} scores cannot promise a rate of {rate:g}: give at least {needed}, "
            f"or accept a rate of {1 / (trials + 1):.3g}"
        )
    return rank


@dataclass(frozen=True)
class Band(Stored):
    """Where a verdict is given and where it is withheld.

    Attributes:
        lower: Below it a clip is called spoof.
        upper: At or above it a clip is called bona fide; in between the answer is "inconclusive".
        rate: The share of each class that may be called the other one, as promised on development data.
    """

    lower: float
    upper: float
    rate: float

    def verdict(self, score: float) -> Literal["bonafide", "spoof", "inconclusive"]:
        """Call a clip, or decline to.

        Args:
            score: Its score, on the scale that the band was fitted on.

        Returns:
            One of three words.

        >>> Band(-1.0, 2.0, 0.05).verdict(0.0)
        'inconclusive'
        """
        if score >= self.upper:
            return "bonafide"
        return "spoof" if score < self.lower else "inconclusive"


def abstention_band(bonafide: ArrayLike, spoof: ArrayLike, rate: float = 0.05) -> Band:
    """Find the band in which to withhold a verdict so that each class is miscalled at most at a given rate.

    Args:
        bonafide: Development scores or log-likelihood ratios of bona fide trials.
        spoof: The same of spoof trials.
        rate: Wanted rate of either error, in (0, 1).

    Returns:
        The band. Where the classes lie so far apart that no band is needed, both ends are one threshold in
        the middle, and both promises still hold.

    Raises:
        ScoresError: Scores are unfit, or too few to promise so low a rate.
    """
    lower = threshold_for_bonafide_rejection(bonafide, rate)
    upper = threshold_for_spoof_acceptance(spoof, rate)
    if lower > upper:
        lower = upper = (lower + upper) / 2
    return Band(lower, upper, rate)
