"""Detector scores with a speaker verifier's, or one system's scores that does both -> what they cost together.

In tandem the detector stands before a speaker verifier: it may turn away the right speaker, and only the
spoofs that the verifier would have accepted matter (t-DCF). A single system that verifies speakers and
withstands spoofs is judged by the a-DCF and by the three SASV error rates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ringtrue.errors import ScoresError
from ringtrue.evaluation.metrics import as_scores, det_curve, eer, eer_threshold


@dataclass(frozen=True)
class TandemCosts:
    """Priors and costs of the tandem; the defaults are those of ASVspoof 2019 and 2021.

    Attributes:
        spoof_prior: Expected share of spoofs.
        nontarget_share: Share of other speakers among human claimants.
        miss: Cost of turning away the right speaker, by either system.
        accept_nontarget: Cost of the verifier accepting another speaker.
        accept_spoof: Cost of accepting a spoof.
    """

    spoof_prior: float = 0.05
    nontarget_share: float = 0.01
    miss: float = 1.0
    accept_nontarget: float = 10.0
    accept_spoof: float = 10.0

    @property
    def target_prior(self) -> float:
        """Expected share of the right speaker."""
        return (1 - self.spoof_prior) * (1 - self.nontarget_share)

    @property
    def nontarget_prior(self) -> float:
        """Expected share of other speakers."""
        return (1 - self.spoof_prior) * self.nontarget_share


ASVSPOOF2019_COSTS = TandemCosts()


@dataclass(frozen=True)
class VerifierRates:
    """Error rates of the speaker verifier (ASV) in the tandem, as fractions.

    Attributes:
        miss: Target trials rejected.
        accept_nontarget: Trials of other speakers accepted.
        accept_spoof: Spoof trials accepted.
    """

    miss: float
    accept_nontarget: float
    accept_spoof: float


def verifier_rates(target: ArrayLike, nontarget: ArrayLike, spoof: ArrayLike) -> VerifierRates:
    """Measure a speaker verifier at its own EER threshold, as the t-DCF of ASVspoof prescribes.

    Args:
        target: Verifier scores of the right speaker; higher means "the same speaker".
        nontarget: Verifier scores of other speakers.
        spoof: Verifier scores of spoofs.

    Returns:
        The three rates; here a score equal to the threshold is accepted.

    Raises:
        ScoresError: See `as_scores`.
    """
    target, nontarget = as_scores(target, "target"), as_scores(nontarget, "nontarget")
    threshold = eer_threshold(target, nontarget)
    return VerifierRates(
        miss=float(np.mean(target < threshold)),
        accept_nontarget=float(np.mean(nontarget >= threshold)),
        accept_spoof=float(np.mean(as_scores(spoof, "verifier's spoof") >= threshold)),
    )


def min_tdcf_2019(
    bonafide: ArrayLike, spoof: ArrayLike, verifier: VerifierRates, costs: TandemCosts = ASVSPOOF2019_COSTS
) -> float:
    """Compute the least normalised tandem cost in the form of the ASVspoof 2019 challenge.

    Kinnunen et al., "t-DCF: a detection cost function for the tandem assessment of spoofing
    countermeasures and automatic speaker verification", 2018. Its numbers are *not* comparable with those
    of `min_tdcf_2021` for the same scores.

    Args:
        bonafide: Detector scores of bona fide trials.
        spoof: Detector scores of spoof trials.
        verifier: Rates of the verifier behind it.
        costs: Priors and costs.

    Returns:
        A cost in [0, 1], lower is better.

    Raises:
        ScoresError: See `as_scores`; or the verifier is so poor that the cost has no meaning.
    """
    reject = costs.target_prior * costs.miss * (1 - verifier.miss)
    reject -= costs.nontarget_prior * costs.accept_nontarget * verifier.accept_nontarget
    accept = costs.accept_spoof * costs.spoof_prior * verifier.accept_spoof
    _check_tandem(reject, accept)
    frr, far, _ = det_curve(bonafide, spoof)
    return float(np.min(reject * frr + accept * far) / min(reject, accept))


def min_tdcf_2021(
    bonafide: ArrayLike, spoof: ArrayLike, verifier: VerifierRates, costs: TandemCosts = ASVSPOOF2019_COSTS
) -> float:
    """Compute the least normalised tandem cost in the revised form of ASVspoof 2021 and 5.

    Kinnunen et al., "Tandem assessment of spoofing countermeasures and automatic speaker verification:
    fundamentals", 2020. It also counts the verifier's own errors.

    Args:
        bonafide: Detector scores of bona fide trials.
        spoof: Detector scores of spoof trials.
        verifier: Rates of the verifier behind it.
        costs: Priors and costs.

    Returns:
        A cost in [0, 1], lower is better; the verifier alone sets a floor above 0.

    Raises:
        ScoresError: See `as_scores`; or the verifier is so poor that the cost has no meaning.
    """
    base, reject, accept = tandem_weights(verifier, costs)
    _check_tandem(reject, accept)
    frr, far, _ = det_curve(bonafide, spoof)
    return float((base + np.min(reject * frr + accept * far)) / (base + min(reject, accept)))


def tandem_weights(
    verifier: VerifierRates, costs: TandemCosts = ASVSPOOF2019_COSTS
) -> tuple[float, float, float]:
    """Compute the constants of the revised tandem cost, published by the organisers as C0, C1 and C2.

    Args:
        verifier: Rates of the verifier.
        costs: Priors and costs.

    Returns:
        ``(C0, C1, C2)``: the verifier's own cost, the factor of ``frr`` and the factor of ``far``.
    """
    base = costs.target_prior * costs.miss * verifier.miss
    base += costs.nontarget_prior * costs.accept_nontarget * verifier.accept_nontarget
    reject = costs.target_prior * costs.miss - base
    accept = costs.accept_spoof * costs.spoof_prior * verifier.accept_spoof
    return base, reject, accept


def min_adcf(
    target: ArrayLike, nontarget: ArrayLike, spoof: ArrayLike, costs: TandemCosts = ASVSPOOF2019_COSTS
) -> float:
    """Compute the least normalised architecture-agnostic cost of one system that rejects impostors and spoofs.

    Shim et al., "a-DCF: an architecture agnostic metric with application to spoofing-robust speaker
    verification", 2024; the default costs are those of ASVspoof 5, track 2, and not the library's own.

    Args:
        target: Scores of the right speaker; higher means "accept".
        nontarget: Scores of other human speakers.
        spoof: Scores of spoofs.
        costs: Priors and costs.

    Returns:
        A cost in [0, 1], lower is better; 1 is the better of accepting all and rejecting all, and what
        constant scores get, as equal scores share one threshold.

    Raises:
        ScoresError: See `as_scores`.

    >>> min_adcf([2.0, 3.0], [0.0], [1.0])
    0.0
    """
    classes = [
        np.sort(as_scores(scores, name))
        for scores, name in ((target, "target"), (nontarget, "nontarget"), (spoof, "spoof"))
    ]
    thresholds = np.append(-np.inf, np.unique(np.concatenate(classes)))
    rejected = [np.searchsorted(scores, thresholds, side="right") / scores.size for scores in classes]
    miss = costs.miss * costs.target_prior
    accept = costs.accept_nontarget * costs.nontarget_prior, costs.accept_spoof * costs.spoof_prior
    cost = miss * rejected[0] + accept[0] * (1 - rejected[1]) + accept[1] * (1 - rejected[2])
    return float(np.min(cost) / min(miss, sum(accept)))


@dataclass(frozen=True)
class SasvRates:
    """Equal error rates of a spoofing-robust speaker verifier, as fractions; lower is better.

    Attributes:
        sv: Right speaker against other speakers.
        spf: Right speaker against spoofs.
        sasv: Right speaker against both together.
    """

    sv: float
    spf: float
    sasv: float


def sasv_eers(target: ArrayLike, nontarget: ArrayLike, spoof: ArrayLike) -> SasvRates:
    """Compute the three equal error rates of the SASV challenge 2022, by the definition of `metrics.eer`.

    Args:
        target: Scores of the right speaker; higher means "accept".
        nontarget: Scores of other human speakers.
        spoof: Scores of spoofs.

    Returns:
        The three rates.

    Raises:
        ScoresError: See `as_scores`.
    """
    nontarget, spoof = as_scores(nontarget, "nontarget"), as_scores(spoof, "spoof")
    return SasvRates(
        eer(target, nontarget), eer(target, spoof), eer(target, np.concatenate([nontarget, spoof]))
    )


def _check_tandem(reject: float, accept: float) -> None:
    if reject <= 0 or accept <= 0:
        raise ScoresError(
            f"the tandem cost has the weights {reject:.3g} and {accept:.3g}; both must be positive. "
            "The speaker verifier is worse than none, or accepts no spoof at all"
        )
