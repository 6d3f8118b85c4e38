"""Two arrays of scores, bona fide and spoof -> one number; a higher score means "more likely bona fide".

Two kinds of error, and each function says which one it means:

* a bona fide trial rejected, rate ``frr`` (field papers: miss; a product's user: false alarm);
* a spoof trial accepted, rate ``far`` (field papers: false alarm; a product's user: miss).

All rates and costs are fractions, never percent. Nothing is clipped, flipped or rescaled: a detector that
points the wrong way shows an EER above 0.5. Definitions follow the evaluation package of ASVspoof 5
(github.com/asvspoof-challenge/asvspoof5), except that *equal scores share one threshold*. The official code
makes one threshold per trial and sorts bona fide first among equals, which lets a constant score have an
EER of 1.0; here it has 0.5, as no threshold can tell equal scores apart. Where no two scores are equal, the
two agree to the last bit.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ringtrue.errors import ScoresError

Array = NDArray[np.float64]


def as_scores(scores: ArrayLike, name: str) -> Array:
    """Check one class's scores: the only place where metrics validate their input.

    Args:
        scores: Anything that converts to a one-dimensional array of numbers.
        name: What to call them in the message, for example ``"bona fide"``.

    Returns:
        The same numbers as float64, not copied where they already are.

    Raises:
        ScoresError: There are none, they are no vector of real numbers, or some are NaN or infinite.
            Infinity is refused too: it marks an overflow upstream, and no calibration survives it.
    """
    try:
        array = np.asarray(scores, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ScoresError(f"the {name} scores are not numbers: {error}") from error
    if array.ndim != 1:
        raise ScoresError(
            f"the {name} scores have shape {array.shape}; a vector, one score a trial, is accepted"
        )
    if array.size == 0:
        raise ScoresError(f"no {name} scores: a metric needs at least one trial of each class")
    broken = array.size - int(np.count_nonzero(np.isfinite(array)))
    if broken:
        raise ScoresError(
            f"{broken} of {array.size} {name} scores are NaN or infinite; find the trials that gave them, "
            "do not drop them"
        )
    return array


def det_curve(bonafide: ArrayLike, spoof: ArrayLike) -> tuple[Array, Array, Array]:
    """Trace both error rates over every threshold that the scores can tell apart.

    Point ``i`` rejects what scores at or below ``thresholds[i]``. The first point rejects nothing.

    Args:
        bonafide: Scores of bona fide trials.
        spoof: Scores of spoof trials.

    Returns:
        ``(frr, far, thresholds)``: bona fide rejected (rising from 0 to 1), spoof accepted (falling from 1
        to 0), and strictly rising thresholds; one more than there are distinct scores.

    Raises:
        ScoresError: See `as_scores`.

    >>> frr, far, thresholds = det_curve([1.0, 3.0], [0.0, 1.0])
    >>> frr.tolist(), far.tolist()
    ([0.0, 0.0, 0.5, 1.0], [1.0, 0.5, 0.0, 0.0])
    """
    bonafide, spoof = as_scores(bonafide, "bona fide"), as_scores(spoof, "spoof")
    scores = np.concatenate([bonafide, spoof])
    order = np.argsort(scores, kind="stable")
    scores = scores[order]
    rejected_bonafide = np.cumsum(order < bonafide.size)
    last_of_tie = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))
    bonafide_below = rejected_bonafide[last_of_tie]
    spoof_below = last_of_tie + 1 - bonafide_below
    frr = np.append(0.0, bonafide_below / bonafide.size)
    far = np.append(1.0, (spoof.size - spoof_below) / spoof.size)
    thresholds = np.append(_below(scores[0]), scores[last_of_tie])
    return frr, far, thresholds


def corners(bonafide: Array, spoof: Array) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count what is rejected at the points of `det_curve` that can be best at any cost, in a fraction of its memory.

    Between two scores of one class a threshold can move past the other class for nothing, so the best points lie just
    below a bona fide score, and just above a spoof one: the smaller class has all of them.

    Args:
        bonafide: Scores of bona fide trials, rising.
        spoof: Scores of spoof trials, rising.

    Returns:
        ``(bonafide, spoof)`` trials rejected at each point, from none to all; neither ever falls.

    >>> below = corners(np.array([1.0, 3.0]), np.array([0.0, 2.0, 4.0]))
    >>> below[0].tolist(), below[1].tolist()
    ([0, 0, 1, 2], [0, 1, 2, 3])
    """
    if bonafide.size <= spoof.size:
        bonafide_below = np.flatnonzero(np.append(True, bonafide[1:] != bonafide[:-1]))
        spoof_below = np.searchsorted(spoof, bonafide[bonafide_below])
    else:
        spoof_below = 1 + np.flatnonzero(np.append(spoof[1:] != spoof[:-1], True))
        bonafide_below = np.searchsorted(bonafide, spoof[spoof_below - 1], side="right")
    return np.r_[0, bonafide_below, bonafide.size], np.r_[0, spoof_below, spoof.size]


def roc_curve(bonafide: ArrayLike, spoof: ArrayLike) -> tuple[Array, Array, Array]:
    """Trace the receiver operating characteristic: the points of `det_curve` with bona fide as positive class.

    Args:
        bonafide: Scores of bona fide trials.
        spoof: Scores of spoof trials.

    Returns:
        ``(far, accepted, thresholds)``: spoof accepted (falling from 1 to 0), bona fide accepted (falling
        from 1 to 0), strictly rising thresholds; what scores at or below a threshold is rejected.

    Raises:
        ScoresError: See `as_scores`.

    >>> roc_curve([1.0, 3.0], [0.0, 1.0])[1].tolist()
    [1.0, 1.0, 0.5, 0.0]
    """
    frr, far, thresholds = det_curve(bonafide, spoof)
    return far, 1 - frr, thresholds


def eer(bonafide: ArrayLike, spoof: ArrayLike) -> float:
    """Compute the equal error rate: where as many bona fide are rejected as spoof accepted. Lower is better.

    The official step definition: among the points of `det_curve`, the first with the least ``|frr - far|``,
    and there the mean of both; no interpolation and no convex hull, which give other third digits. Only the
    order of scores matters. The convex-hull form has a name of its own: `hull.eer_convex_hull`.

    Args:
        bonafide: Scores of bona fide trials.
        spoof: Scores of spoof trials.

    Returns:
        A fraction in [0, 1]; 0.5 is chance, above it the scores point the wrong way.

    Raises:
        ScoresError: See `as_scores`.

    >>> eer([0.1, 0.4, 0.35, 0.8], [0.2, 0.3, 0.05, 0.6])
    0.25
    >>> eer([7.0, 7.0], [7.0, 7.0, 7.0])
    0.5
    """
    frr, far, _ = _equal_error_point(bonafide, spoof)
    return (frr + far) / 2


def eer_threshold(bonafide: ArrayLike, spoof: ArrayLike) -> float:
    """Find the threshold that `eer` is read at: scores at or below it are rejected.

    Args:
        bonafide: Scores of bona fide trials.
        spoof: Scores of spoof trials.

    Returns:
        One of the scores, or a number just below all of them.

    Raises:
        ScoresError: See `as_scores`.

    >>> eer_threshold([0.1, 0.4, 0.35, 0.8], [0.2, 0.3, 0.05, 0.6])
    0.3
    """
    return _equal_error_point(bonafide, spoof)[2]


def _equal_error_point(bonafide: ArrayLike, spoof: ArrayLike) -> tuple[float, float, float]:
    """Find ``(frr, far, threshold)`` of the equal error point without tracing the curve.

    ``frr - far`` never falls as the threshold rises, so its least absolute value lies at the first score
    where it is not negative, or one point before. Bisection in each sorted class finds that score: the cost
    is two small sorts, where a full curve would need an argsort of everything.
    """
    classes = np.sort(as_scores(bonafide, "bona fide")), np.sort(as_scores(spoof, "spoof"))

    def rates(threshold: float) -> tuple[float, float]:
        below = [int(np.searchsorted(scores, threshold, side="right")) for scores in classes]
        return below[0] / classes[0].size, (classes[1].size - below[1]) / classes[1].size

    def gap(threshold: float) -> float:
        frr, far = rates(threshold)
        return frr - far

    # The greatest score of all has frr = 1 and far = 0, so at least one class has a crossing.
    firsts = [(scores, bisect_left(scores, 0.0, key=gap)) for scores in classes]  # type: ignore[type-var]
    crossing = min(float(scores[first]) for scores, first in firsts if first < scores.size)
    lower = [float(scores[rank - 1]) for scores in classes if (rank := np.searchsorted(scores, crossing))]
    before = max(lower, default=_below(crossing))
    # On a draw the lower threshold, as officially: the first minimum.
    threshold = before if abs(gap(before)) <= abs(gap(crossing)) else crossing
    return *rates(threshold), threshold


def auc(bonafide: ArrayLike, spoof: ArrayLike) -> float:
    """Compute the area under the ROC curve: how often a bona fide trial outscores a spoof one.

    Args:
        bonafide: Scores of bona fide trials.
        spoof: Scores of spoof trials.

    Returns:
        A fraction in [0, 1], higher is better; equal scores count half, so 0.5 is chance.

    Raises:
        ScoresError: See `as_scores`.

    >>> auc([0.1, 0.4, 0.35, 0.8], [0.2, 0.3, 0.05, 0.6])
    0.6875
    """
    bonafide = np.sort(as_scores(bonafide, "bona fide"))
    spoof = np.sort(as_scores(spoof, "spoof"))
    outscored = sum(int(np.searchsorted(spoof, bonafide, side=side).sum()) for side in ("left", "right"))  # type: ignore[call-overload]
    return outscored / (2 * bonafide.size * spoof.size)


def hter(bonafide: ArrayLike, spoof: ArrayLike, threshold: float) -> float:
    """Compute the half total error rate at a threshold that was fixed beforehand, on other trials.

    Where the EER is measured with hindsight, this is what a deployed threshold pays. Lower is better.

    Args:
        bonafide: Scores of bona fide trials.
        spoof: Scores of spoof trials.
        threshold: Scores below it are rejected, at or above it accepted, as in `act_dcf`. Note that
            `eer_threshold` itself still rejects: to carry it over, use the next number above it.

    Returns:
        The mean of ``frr`` and ``far``, a fraction in [0, 1]; 0.5 is chance.

    Raises:
        ScoresError: See `as_scores`; or the threshold is NaN. Infinite thresholds are meaningful: 0.5.

    >>> hter([0.1, 0.4, 0.35, 0.8], [0.2, 0.3, 0.05, 0.6], threshold=0.35)
    0.25
    """
    if math.isnan(threshold):
        raise ScoresError("the threshold is NaN; give the number that was fixed on development trials")
    bonafide, spoof = as_scores(bonafide, "bona fide"), as_scores(spoof, "spoof")
    return float(np.mean(bonafide < threshold) + np.mean(spoof >= threshold)) / 2


def frr_at_far(bonafide: ArrayLike, spoof: ArrayLike, far: float) -> float:
    """Compute how many bona fide are rejected where at most a wanted share of spoofs is accepted.

    Like the EER it is read off with hindsight. No interpolation: among thresholds that the scores can tell
    apart, the lowest that keeps the wanted rate. Equal scores share one threshold, so constant scores give 1.

    Args:
        bonafide: Scores of bona fide trials.
        spoof: Scores of spoof trials.
        far: Wanted share of spoofs accepted, in [0, 1].

    Returns:
        A fraction in [0, 1], lower is better.

    Raises:
        ScoresError: See `as_scores`; or `far` is no share.

    >>> frr_at_far([0.1, 0.4, 0.35, 0.8], [0.2, 0.3, 0.05, 0.6], far=0.25)
    0.25
    """
    if not 0 <= far <= 1:
        raise ScoresError(f"far {far}; a share between 0 and 1 is accepted, not percent")
    frr, reached, _ = det_curve(bonafide, spoof)
    return float(frr[np.argmax(reached <= far)])


@dataclass(frozen=True)
class DetectionCosts:
    """What errors cost; the defaults are those of ASVspoof 5, track 1.

    Attributes:
        spoof_prior: Expected share of spoofs, in (0, 1).
        reject_bonafide: Cost of rejecting a bona fide trial (officially ``Cmiss``).
        accept_spoof: Cost of accepting a spoof trial (officially ``Cfa``).
    """

    spoof_prior: float = 0.05
    reject_bonafide: float = 1.0
    accept_spoof: float = 10.0

    @property
    def weights(self) -> tuple[float, float]:
        """Factors of ``frr`` and ``far``, scaled so that the better blind decision costs exactly 1."""
        reject = self.reject_bonafide * (1 - self.spoof_prior)
        accept = self.accept_spoof * self.spoof_prior
        return reject / min(reject, accept), accept / min(reject, accept)


ASVSPOOF5_COSTS = DetectionCosts()


def min_dcf(bonafide: ArrayLike, spoof: ArrayLike, costs: DetectionCosts = ASVSPOOF5_COSTS) -> float:
    """Compute the least detection cost over all thresholds: what perfect calibration would pay.

    Args:
        bonafide: Scores of bona fide trials.
        spoof: Scores of spoof trials.
        costs: Prior and costs.

    Returns:
        A cost in [0, 1], lower is better; 1 is the best decision without listening.

    Raises:
        ScoresError: See `as_scores`.
    """
    bonafide, spoof = (
        np.sort(as_scores(side, name)) for side, name in ((bonafide, "bona fide"), (spoof, "spoof"))
    )
    bonafide_below, spoof_below = corners(bonafide, spoof)
    reject, accept = costs.weights
    frr, far = bonafide_below / bonafide.size, (spoof.size - spoof_below) / spoof.size
    return float(np.min(reject * frr + accept * far))


def act_dcf(bonafide: ArrayLike, spoof: ArrayLike, costs: DetectionCosts = ASVSPOOF5_COSTS) -> float:
    """Compute the detection cost at the threshold that theory prescribes for log-likelihood ratios.

    Args:
        bonafide: Natural-log likelihood ratios of bona fide trials. Softmax probabilities or raw logits
            give a number too, and it means nothing: calibrate first.
        spoof: The same for spoof trials.
        costs: Prior and costs; the threshold is ``-ln(weight of frr / weight of far)``.

    Returns:
        A cost >= `min_dcf`, lower is better; above 1 it would be better not to listen at all.

    Raises:
        ScoresError: See `as_scores`.
    """
    bonafide, spoof = as_scores(bonafide, "bona fide"), as_scores(spoof, "spoof")
    reject, accept = costs.weights
    threshold = -np.log(reject / accept)
    return float(reject * np.mean(bonafide < threshold) + accept * np.mean(spoof >= threshold))


def cllr(bonafide: ArrayLike, spoof: ArrayLike) -> float:
    """Compute the cost of log-likelihood ratios: discrimination and calibration in one number.

    Brümmer and du Preez, "Application-independent evaluation of speaker detection", 2006.

    Args:
        bonafide: Natural-log likelihood ratios of bona fide trials.
        spoof: The same for spoof trials.

    Returns:
        Bits >= 0, lower is better; 1 is what always answering 0 costs.

    Raises:
        ScoresError: See `as_scores`.

    >>> cllr([0.0], [0.0])
    1.0
    """
    bonafide, spoof = as_scores(bonafide, "bona fide"), as_scores(spoof, "spoof")
    # logaddexp, because exp alone overflows beyond 709.
    nats = np.mean(np.logaddexp(0.0, -bonafide)) + np.mean(np.logaddexp(0.0, spoof))
    return float(nats / 2 / np.log(2.0))


def _below(score: float) -> float:
    """The next number down: a threshold that rejects nothing, exact at any scale of scores."""
    return math.nextafter(score, -math.inf)
