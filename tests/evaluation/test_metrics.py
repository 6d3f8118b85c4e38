"""Metrics against analytic truths, independent implementations, invariances and published figures."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from sklearn.metrics import roc_curve as sk_roc_curve

from ringtrue.errors import ScoresError
from ringtrue.evaluation.hull import eer_convex_hull, min_cllr
from ringtrue.evaluation.metrics import (
    DetectionCosts,
    act_dcf,
    as_scores,
    auc,
    cllr,
    det_curve,
    eer,
    eer_threshold,
    frr_at_far,
    hter,
    min_dcf,
    roc_curve,
)
from ringtrue.evaluation.scores import read_scores
from ringtrue.evaluation.tandem import (
    TandemCosts,
    VerifierRates,
    min_adcf,
    min_tdcf_2019,
    min_tdcf_2021,
    sasv_eers,
    tandem_weights,
    verifier_rates,
)

CONFORMANCE = Path(__file__).parents[3] / "shared" / "conformance"
needs_conformance = pytest.mark.skipif(
    not CONFORMANCE.is_dir(), reason="no ../shared/conformance: published scores are not part of ringtrue"
)

TINY = [0.1, 0.4, 0.35, 0.8], [0.2, 0.3, 0.05, 0.6]
scores_strategy = st.lists(st.integers(-6, 6).map(float), min_size=1, max_size=25)


def untied(seed: int, bonafide: int = 300, spoof: int = 200) -> tuple[np.ndarray, np.ndarray]:
    scores = np.random.default_rng(seed).permutation(bonafide + spoof).astype(float)
    return scores[:bonafide] + 60, scores[bonafide:] + 0.5


def official_eer(bonafide: np.ndarray, spoof: np.ndarray) -> tuple[float, float]:
    """The step definition with a point per trial, written as a plain walk up the sorted trials."""
    trials = sorted([(score, 0) for score in bonafide] + [(score, 1) for score in spoof])
    best, below = (2.0, 0.0, 0.0), [0, 0]
    for score, side in [(trials[0][0] - 0.001, None), *trials]:
        if side is not None:
            below[side] += 1
        frr, far = below[0] / len(bonafide), (len(spoof) - below[1]) / len(spoof)
        if abs(frr - far) < best[0]:
            best = abs(frr - far), (frr + far) / 2, score
    return best[1], best[2]


def exact_det(bonafide: list[float], spoof: list[float]) -> list[tuple[Fraction, Fraction]]:
    """Both error rates at every distinct threshold, in rational numbers."""
    thresholds = [min(bonafide + spoof) - 1, *sorted(set(bonafide + spoof))]
    return [
        (
            Fraction(sum(score <= threshold for score in bonafide), len(bonafide)),
            Fraction(sum(score > threshold for score in spoof), len(spoof)),
        )
        for threshold in thresholds
    ]


def test_tiny_vectors_computed_by_hand() -> None:
    assert eer(*TINY) == 0.25
    assert eer_threshold(*TINY) == 0.3
    assert auc(*TINY) == 0.6875
    turned = [[-score for score in side] for side in TINY]
    assert eer(*turned) == 0.75
    assert auc(*turned) == 1 - 0.6875


def test_two_normals_give_the_analytic_error() -> None:
    """Two unit normals two apart: EER = Phi(-1) = 15.87 %, AUC = Phi(sqrt 2), and LLR = 2 x - 2."""
    normal = NormalDist()
    grid = np.array([normal.inv_cdf((i + 0.5) / 40_000) for i in range(40_000)])
    bonafide, spoof = grid + 2, grid
    assert eer(bonafide, spoof) == pytest.approx(normal.cdf(-1), abs=5e-5)
    assert eer_threshold(bonafide, spoof) == pytest.approx(1.0, abs=1e-3)
    assert auc(bonafide, spoof) == pytest.approx(normal.cdf(2**0.5), abs=5e-5)
    costs = DetectionCosts(spoof_prior=0.5, reject_bonafide=1, accept_spoof=1)
    assert min_dcf(bonafide, spoof, costs) == pytest.approx(2 * normal.cdf(-1), abs=1e-4)
    # At true LLRs theory's threshold is the best one, for any costs.
    llr = 2 * bonafide - 2, 2 * spoof - 2
    assert act_dcf(*llr) == pytest.approx(min_dcf(*llr), abs=2e-4)


@pytest.mark.parametrize("sizes", [(1, 1), (1, 50), (4, 4), (50, 1)])
def test_constant_scores_are_chance(sizes: tuple[int, int]) -> None:
    bonafide, spoof = np.zeros(sizes[0]), np.zeros(sizes[1])
    assert eer(bonafide, spoof) == 0.5
    assert auc(bonafide, spoof) == 0.5
    assert min_dcf(bonafide, spoof) == 1.0
    assert cllr(bonafide, spoof) == 1.0


def test_perfect_and_perfectly_wrong_scores() -> None:
    assert eer([2.0, 3.0], [0.0, 1.0]) == 0.0
    assert eer([0.0, 1.0], [2.0, 3.0]) == 1.0  # never flipped silently
    assert min_dcf([2.0, 3.0], [0.0, 1.0]) == 0.0


@pytest.mark.parametrize("seed", range(30))
def test_untied_scores_agree_with_the_official_form_to_the_last_bit(seed: int) -> None:
    bonafide, spoof = untied(seed, *np.random.default_rng(seed).integers(1, 60, size=2))
    assert (eer(bonafide, spoof), eer_threshold(bonafide, spoof)) == official_eer(bonafide, spoof)


@settings(deadline=None, max_examples=150)
@given(scores_strategy, scores_strategy)
def test_eer_and_curve_agree_with_exact_brute_force(bonafide: list[float], spoof: list[float]) -> None:
    points = exact_det(bonafide, spoof)
    frr, far, thresholds = det_curve(bonafide, spoof)
    assert frr.tolist() == [float(point[0]) for point in points]
    assert far.tolist() == [float(point[1]) for point in points]
    assert np.all(np.diff(thresholds) > 0)
    least = min(abs(frr - far) for frr, far in points)
    # Two neighbours may be equally far from equality; rounding decides officially too.
    candidates = [float(frr + far) / 2 for frr, far in points if abs(frr - far) == least]
    assert any(eer(bonafide, spoof) == pytest.approx(candidate, abs=1e-12) for candidate in candidates)
    threshold = eer_threshold(bonafide, spoof)
    at = (np.mean(np.array(bonafide) <= threshold) + np.mean(np.array(spoof) > threshold)) / 2
    assert eer(bonafide, spoof) == pytest.approx(at, abs=1e-12)


@settings(deadline=None, max_examples=60)
@given(scores_strategy, scores_strategy)
def test_auc_agrees_with_scikit_learn(bonafide: list[float], spoof: list[float]) -> None:
    labels = [1] * len(bonafide) + [0] * len(spoof)
    assert auc(bonafide, spoof) == pytest.approx(roc_auc_score(labels, bonafide + spoof), abs=1e-12)


@settings(deadline=None, max_examples=80)
@given(scores_strategy, scores_strategy)
def test_roc_agrees_with_scikit_learn(bonafide: list[float], spoof: list[float]) -> None:
    far, accepted, thresholds = roc_curve(bonafide, spoof)
    fpr, tpr, _ = sk_roc_curve(
        [1] * len(bonafide) + [0] * len(spoof), bonafide + spoof, drop_intermediate=False
    )
    assert far[::-1] == pytest.approx(fpr)
    assert accepted[::-1] == pytest.approx(tpr)
    assert thresholds.size == far.size


@settings(deadline=None, max_examples=80)
@given(scores_strategy, scores_strategy, st.sampled_from([0.0, 0.01, 0.1, 0.5, 1.0]))
def test_frr_at_far_is_the_least_that_keeps_the_rate(bonafide, spoof, far: float) -> None:
    kept = [frr for frr, reached in exact_det(bonafide, spoof) if reached <= far]
    assert frr_at_far(bonafide, spoof, far) == float(min(kept))


@settings(deadline=None, max_examples=80)
@given(scores_strategy, scores_strategy, st.integers(-7, 7))
def test_hter_is_the_mean_of_both_errors(bonafide, spoof, threshold: int) -> None:
    errors = (
        sum(s < threshold for s in bonafide) / len(bonafide),
        sum(s >= threshold for s in spoof) / len(spoof),
    )
    assert hter(bonafide, spoof, threshold) == pytest.approx(sum(errors) / 2, abs=1e-15)


def test_a_fixed_threshold_pays_what_hindsight_does_not() -> None:
    """The EER threshold carried over with the next number above it; a shift of the channel costs."""
    bonafide, spoof = untied(1)
    threshold = np.nextafter(eer_threshold(bonafide, spoof), np.inf)
    assert hter(bonafide, spoof, threshold) == pytest.approx(eer(bonafide, spoof))
    louder = np.random.default_rng(0).normal(size=(2, 500)) + np.array([[3.0], [0.0]])
    threshold = np.nextafter(eer_threshold(*louder), np.inf)
    assert hter(*(louder + 1), threshold) > eer(*louder) + 0.05
    assert hter(bonafide, spoof, np.inf) == hter(bonafide, spoof, -np.inf) == 0.5
    for call, said in (
        (lambda: hter(bonafide, spoof, np.nan), "threshold is NaN"),
        (lambda: frr_at_far(bonafide, spoof, 5), "not percent"),
    ):
        with pytest.raises(ScoresError, match=said):
            call()


def test_order_and_monotone_maps_change_nothing_and_the_sign_turns_it() -> None:
    bonafide, spoof = untied(7)
    rng = np.random.default_rng(1)
    for metric in (eer, auc, min_dcf):
        value = metric(bonafide, spoof)
        assert metric(rng.permutation(bonafide), rng.permutation(spoof)) == value
        assert metric(np.arctan(bonafide / 300), np.arctan(spoof / 300)) == value
    assert eer(-bonafide, -spoof) == pytest.approx(1 - eer(bonafide, spoof), abs=1 / 200)
    assert auc(-bonafide, -spoof) == pytest.approx(1 - auc(bonafide, spoof), abs=1e-12)


def test_cllr_and_the_curve_survive_extreme_scores() -> None:
    assert cllr([1e4], [-1e4]) == 0.0
    assert cllr([-1e4], [1e4]) == pytest.approx(1e4 / np.log(2))
    huge = np.finfo(np.float64).max
    assert det_curve([huge], [-huge])[2].size == 3
    assert eer([1e300, 2e300], [-1e300]) == 0.0


@given(scores_strategy, scores_strategy, st.floats(0.01, 0.99), st.floats(0.1, 20))
def test_the_least_cost_is_that_of_the_whole_curve(bonafide, spoof, prior, cost) -> None:
    """Ties and either class in the minority: corners are found from the smaller one."""
    costs = DetectionCosts(prior, 1.0, cost)
    frr, far, _ = det_curve(bonafide, spoof)
    reject, accept = costs.weights
    assert min_dcf(bonafide, spoof, costs) == np.min(reject * frr + accept * far)


def test_dcf_thresholds_and_scale() -> None:
    """beta = 1.9: scores between -ln 1.9 and 0 are accepted; rejecting all costs 1.9, accepting all 1."""
    assert act_dcf([-0.64], [-0.65]) == 0.0
    assert act_dcf([-9.0], [-9.0]) == pytest.approx(1.9)
    assert act_dcf([9.0], [9.0]) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ([], "no spoof scores"),
        ([1.0, np.nan, np.inf], "2 of 3 spoof scores are NaN or infinite"),
        ([-np.inf], "1 of 1 spoof scores"),
        ([[1.0, 2.0]], r"shape \(1, 2\)"),
        (["high"], "are not numbers"),
    ],
)
@pytest.mark.parametrize("metric", [det_curve, roc_curve, eer, eer_threshold, auc, min_dcf, act_dcf, cllr])
def test_unfit_scores_are_refused_by_every_metric(metric, scores, said) -> None:
    with pytest.raises(ScoresError, match=said):
        metric([1.0, 2.0], scores)
    with pytest.raises(ScoresError):
        metric(scores, [1.0, 2.0])


def test_float64_scores_are_not_copied() -> None:
    scores = np.array([1.0, 2.0])
    assert as_scores(scores, "spoof") is scores


def test_tandem_refuses_a_useless_verifier() -> None:
    with pytest.raises(ScoresError, match="must be positive"):
        min_tdcf_2021([1.0], [0.0], VerifierRates(miss=1.0, accept_nontarget=1.0, accept_spoof=1.0))
    with pytest.raises(ScoresError, match="must be positive"):
        min_tdcf_2019([1.0], [0.0], VerifierRates(miss=0.0, accept_nontarget=0.0, accept_spoof=0.0))


def test_tandem_of_a_perfect_detector_is_the_verifiers_own_share() -> None:
    verifier = VerifierRates(miss=0.02, accept_nontarget=0.03, accept_spoof=0.6)
    assert min_tdcf_2019([2.0, 3.0], [0.0, 1.0], verifier) == 0.0
    base = 0.9405 * 0.02 + 0.0095 * 10 * 0.03
    floor = base / (base + min(0.9405 - base, 0.05 * 10 * 0.6))
    assert min_tdcf_2021([2.0, 3.0], [0.0, 1.0], verifier) == pytest.approx(floor, rel=1e-12)


@settings(deadline=None, max_examples=60)
@given(scores_strategy, scores_strategy, scores_strategy)
def test_adcf_is_the_least_over_all_thresholds(target, nontarget, spoof) -> None:
    costs = TandemCosts(0.05, 0.1, 1, 10, 20)
    sums = []
    for threshold in [-99.0, *target, *nontarget, *spoof]:
        shares = [np.mean(np.array(side) > threshold) for side in (target, nontarget, spoof)]
        weights = costs.target_prior, 10 * costs.nontarget_prior, 20 * 0.05
        sums.append(weights[0] * (1 - shares[0]) + weights[1] * shares[1] + weights[2] * shares[2])
    least = min(sums) / min(costs.target_prior, 10 * costs.nontarget_prior + 1)
    assert min_adcf(target, nontarget, spoof, costs) == pytest.approx(least, abs=1e-12)


def test_adcf_of_perfect_useless_and_unfit_scores() -> None:
    assert min_adcf([3.0], [1.0], [0.0]) == 0.0
    assert min_adcf([1.0], [1.0], [1.0]) == 1.0
    assert min_adcf([0.0], [1.0], [2.0]) == 1.0
    with pytest.raises(ScoresError, match="no nontarget"):
        min_adcf([1.0], [], [0.0])
    assert sasv_eers([2.0, 3.0], [0.0], [9.0]).spf == 1.0


# Small vectors with analytic truths: hold without ../shared.


def test_normal_quantiles_hold_every_figure() -> None:
    """Bona fide N(d, 1) and spoof N(0, 1) at 20,000 quantiles each, so that sums stand for integrals."""
    normal, distance = NormalDist(), 3.0
    grid = np.array([normal.inv_cdf((i + 0.5) / 20_000) for i in range(20_000)])
    bonafide, spoof = grid + distance, grid
    assert eer(bonafide, spoof) == pytest.approx(normal.cdf(-distance / 2), abs=1e-4)
    assert eer_convex_hull(bonafide, spoof) == pytest.approx(normal.cdf(-distance / 2), abs=1e-4)
    assert frr_at_far(bonafide, spoof, 0.01) == pytest.approx(
        normal.cdf(normal.inv_cdf(0.99) - distance),
        abs=1e-3,  # a step of far is many of frr here
    )
    assert hter(bonafide, spoof, 1.0) == pytest.approx(
        (normal.cdf(1 - distance) + 1 - normal.cdf(1)) / 2, abs=1e-4
    )
    # The best threshold of a cost is where the LLR d x - d^2 / 2 equals its logarithm.
    best = (-np.log(1.9) + distance**2 / 2) / distance
    least = 1.9 * normal.cdf(best - distance) + 1 - normal.cdf(best)
    assert min_dcf(bonafide, spoof) == pytest.approx(least, abs=5e-4)  # the least of steps lies below
    llr = [distance * side - distance**2 / 2 for side in (bonafide, spoof)]
    assert act_dcf(*llr) == pytest.approx(least, abs=5e-4)
    steps = np.linspace(-12, 12, 200_001)
    density = np.exp(-(steps**2) / 2) / np.sqrt(2 * np.pi) * (steps[1] - steps[0])
    integral = float(np.sum(density * np.logaddexp(0, -(distance * steps + distance**2 / 2))) / np.log(2))
    assert cllr(*llr) == pytest.approx(integral, abs=2e-4)
    assert min_cllr(bonafide, spoof) == pytest.approx(integral, abs=2e-3)
    rates = VerifierRates(0.02, 0.03, 0.6)
    base, reject, accept = tandem_weights(rates)
    best = (np.log(reject / accept) * -1 + distance**2 / 2) / distance
    cost = base + reject * normal.cdf(best - distance) + accept * (1 - normal.cdf(best))
    assert min_tdcf_2021(bonafide, spoof, rates) == pytest.approx(
        cost / (base + min(reject, accept)), abs=1e-4
    )


# Published figures: relative agreement of 1e-6, or as many digits as were printed.


def matches(value: float) -> object:
    return pytest.approx(value, rel=1e-6)


def verifier_scores(part: str) -> list[np.ndarray]:
    path = CONFORMANCE / "asvspoof2019_la" / f"ASVspoof2019.LA.asv.{part}.gi.trl.scores.txt"
    rows = [line.split() for line in path.read_text().splitlines()]
    keys, values = np.array([row[1] for row in rows]), np.array([float(row[2]) for row in rows])
    return [values[keys == key] for key in ("target", "nontarget", "spoof")]


@needs_conformance
def test_asvspoof5_tool_scores() -> None:
    table = np.loadtxt(CONFORMANCE / "asvspoof5_tool" / "dev_scores_label.csv", delimiter=",", skiprows=1)
    verifier, detector, label = table.T
    bonafide, spoof = detector[label > 0], detector[label == 0]
    assert eer(bonafide, spoof) * 100 == matches(0.619731789960915)
    assert eer_threshold(bonafide, spoof) == matches(-0.6093828678)
    assert min_dcf(bonafide, spoof) == matches(0.0163198116066)
    assert cllr(bonafide, spoof) == matches(0.0281906183414)
    assert act_dcf(bonafide, spoof) == matches(0.0180241531925)
    assert auc(bonafide, spoof) == matches(0.9994233616)
    target, nontarget, spoofed = (verifier[label == key] for key in (1, 2, 0))
    assert eer(target, nontarget) * 100 == matches(1.87092743)
    assert eer(target, spoofed) * 100 == matches(20.28234187)
    assert eer(target, verifier[label != 1]) * 100 == matches(17.37822693)
    rates = verifier_rates(target, nontarget, spoofed)
    assert (rates.accept_nontarget, rates.miss, rates.accept_spoof) == matches(
        (0.018550624, 0.018194070, 0.417967348)
    )
    assert eer_threshold(target, nontarget) == matches(0.442594051)
    assert min_adcf(target, nontarget, spoofed) == matches(0.33363685676)
    rates_of = sasv_eers(target, nontarget, spoofed)
    assert (100 * rates_of.sv, 100 * rates_of.spf, 100 * rates_of.sasv) == matches(
        (1.87092743, 20.28234187, 17.37822693)
    )
    fused = [(verifier + detector)[label == key] for key in (1, 2, 0)]
    assert 100 * sasv_eers(*fused).sasv == matches(13.865943)
    assert 100 * eer_convex_hull(bonafide, spoof) == pytest.approx(0.571812, abs=5e-7)


@needs_conformance
def test_aasist_on_asvspoof2019() -> None:
    scores = read_scores(CONFORMANCE / "asvspoof2019_la" / "aasist_eval_scores.txt")
    assert (scores.bonafide.size, scores.spoof.size) == (7355, 63882)
    verifier = verifier_rates(*verifier_scores("eval"))
    assert round(eer(scores.bonafide, scores.spoof) * 100, 6) == 0.829511
    assert min_dcf(scores.bonafide, scores.spoof) == matches(0.02385874)
    assert cllr(scores.bonafide, scores.spoof) == matches(0.09149469)
    assert act_dcf(scores.bonafide, scores.spoof) == matches(0.07103006)
    assert min_tdcf_2019(scores.bonafide, scores.spoof, verifier) == matches(0.0275294779)
    assert min_tdcf_2021(scores.bonafide, scores.spoof, verifier) == matches(0.0885353537)
    assert 100 * eer_convex_hull(scores.bonafide, scores.spoof) == pytest.approx(0.822946, abs=5e-7)
    assert auc(scores.bonafide, scores.spoof) == pytest.approx(0.99925007, abs=5e-9)
    published = [
        0.5297,
        0.4244,
        0,
        0.8556,
        0.1800,
        0.7096,
        0.1460,
        0.1630,
        0.5534,
        0.6519,
        1.2631,
        2.6076,
        0.6519,
    ]
    attacks = [f"A{number:02d}" for number in range(7, 20)]
    for attack, figure in zip(attacks, published, strict=True):
        spoof = scores.scores[scores.column("system") == attack]
        assert round(100 * eer(scores.bonafide, spoof), 4) == figure


@needs_conformance
def test_asvspoof2019_verifier() -> None:
    target, nontarget, spoof = verifier_scores("eval")
    assert eer(target, nontarget) * 100 == matches(2.457783738686887)
    assert eer_threshold(target, nontarget) == matches(-5.680051)
    rates = verifier_rates(target, nontarget, spoof)
    assert 100 * rates.accept_nontarget == matches(2.4604674889)
    assert 100 * rates.miss == matches(2.4581005587)
    assert 100 * rates.accept_spoof == matches(76.0652452960)
    assert tandem_weights(rates) == matches((0.025455879868571674, 0.9150441201314283, 0.38032622648007264))
    target, nontarget, _ = verifier_scores("dev")
    assert eer(target, nontarget) * 100 == matches(2.4265302384)
    assert eer_threshold(target, nontarget) == matches(-3.548998)
