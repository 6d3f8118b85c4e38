"""Calibration against the analytic truth, and thresholds that keep their promise in simulation."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from ringtrue.errors import ScoresError
from ringtrue.evaluation.calibrate import (
    Band,
    Calibration,
    abstention_band,
    bonafide_rejection_rate,
    fit_affine,
    spoof_acceptance_rate,
    threshold_for_bonafide_rejection,
    threshold_for_spoof_acceptance,
)
from ringtrue.evaluation.metrics import act_dcf, cllr, eer, min_dcf


def normals(rng: np.random.Generator, bonafide: int, spoof: int) -> tuple[np.ndarray, np.ndarray]:
    """Two normals of spread 2 at 3 and -1: their true LLR is the score less 1."""
    return rng.normal(3, 2, bonafide), rng.normal(-1, 2, spoof)


@pytest.mark.parametrize("prior", [0.5, 0.9])
@pytest.mark.parametrize("sizes", [(50_000, 50_000), (60_000, 8_000)])
def test_the_fit_finds_the_true_llr_whatever_prior_and_class_sizes(prior: float, sizes) -> None:
    calibration = fit_affine(*normals(np.random.default_rng(0), *sizes), prior=prior)
    assert calibration.slope == pytest.approx(1.0, abs=0.06)
    assert calibration.offset == pytest.approx(-1.0, abs=0.1)
    assert (calibration.bonafide_trials, calibration.spoof_trials) == sizes


def test_calibration_beats_raw_scores_on_held_out_trials_and_leaves_the_eer() -> None:
    rng = np.random.default_rng(1)
    calibration = fit_affine(*(5 * side + 40 for side in normals(rng, 400, 600)))
    raw = tuple(5 * side + 40 for side in normals(rng, 3000, 3000))
    calibrated = calibration.apply(raw[0]), calibration.apply(raw[1])
    assert cllr(*calibrated) < 0.6 < cllr(*raw)
    assert act_dcf(*calibrated) < 1.05 * min_dcf(*calibrated) < act_dcf(*raw)
    assert eer(*calibrated) == eer(*raw)


def test_the_fit_is_a_minimum_of_its_loss() -> None:
    """Against a plain grid around the solution: no neighbour has a lower weighted cost."""
    bonafide, spoof = normals(np.random.default_rng(2), 200, 300)
    fit = fit_affine(bonafide, spoof)
    best = cllr(fit.apply(bonafide), fit.apply(spoof))
    for slope, offset in ((1.05, 0), (0.95, 0), (1, 0.05), (1, -0.05)):
        other = Calibration(fit.slope * slope, fit.offset + offset)
        assert cllr(other.apply(bonafide), other.apply(spoof)) > best


@pytest.mark.parametrize("shift", [0.0, 1e6, -3e-4])
def test_separable_scores_give_a_finite_map_that_moves_with_the_scale(shift: float) -> None:
    bonafide, spoof = np.array([5.0, 6.0, 7.0]), np.array([1.0, 2.0, 3.0])
    base = fit_affine(bonafide, spoof)
    moved = fit_affine(10 * bonafide + shift, 10 * spoof + shift)
    assert 0 < base.slope < 100
    assert moved.apply(10 * bonafide + shift) == pytest.approx(base.apply(bonafide), rel=1e-6)


def test_scores_that_cannot_be_calibrated_are_refused() -> None:
    bonafide, spoof = normals(np.random.default_rng(0), 100, 100)
    with pytest.raises(ScoresError, match="wrong way"):
        fit_affine(spoof, bonafide)
    with pytest.raises(ScoresError, match="all development scores are equal"):
        fit_affine([0.1] * 3, [0.1] * 5)
    with pytest.raises(ScoresError, match="prior 1"):
        fit_affine(bonafide, spoof, prior=1)
    with pytest.raises(ScoresError, match="no spoof scores"):
        fit_affine(bonafide, [])


@pytest.mark.parametrize(("size", "rate"), [(19, 0.05), (40, 0.1), (200, 0.01)])
def test_promised_rates_hold_on_average_over_development_sets(size: int, rate: float) -> None:
    """Rejection chance of a fresh clip, averaged over many small development sets, is at most the promise."""
    rng = np.random.default_rng(size)
    rejected, accepted = [], []
    for _ in range(4000):
        rejected.append(rng.normal() < threshold_for_bonafide_rejection(rng.normal(size=size), rate))
        accepted.append(rng.normal() >= threshold_for_spoof_acceptance(rng.normal(size=size), rate))
    error = math.sqrt(rate / 4000)
    for observed in (np.mean(rejected), np.mean(accepted)):
        assert observed <= rate + 4 * error
        assert observed >= rate / 2 - 4 * error  # and not by rejecting nothing at all


def test_thresholds_by_hand() -> None:
    scores = np.arange(19.0)
    assert threshold_for_bonafide_rejection(scores, 0.05) == 0.0  # rank 1 of 20 gaps
    assert bonafide_rejection_rate(scores, 0.0) == 0.0
    threshold = threshold_for_spoof_acceptance(scores, 0.05)
    assert threshold == math.nextafter(18.0, math.inf)
    assert spoof_acceptance_rate(scores, threshold) == 0.0
    assert spoof_acceptance_rate(scores, 18.0) == pytest.approx(1 / 19)
    ties = np.ones(40)
    assert bonafide_rejection_rate(ties, threshold_for_bonafide_rejection(ties, 0.1)) == 0
    assert spoof_acceptance_rate(ties, threshold_for_spoof_acceptance(ties, 0.1)) == 0


def test_too_few_scores_for_a_promise_say_how_many_are_needed() -> None:
    with pytest.raises(
        ScoresError, match=r"18 bona fide scores cannot promise a rate of 0\.05: give at least 19"
    ):
        threshold_for_bonafide_rejection(np.zeros(18), 0.05)
    with pytest.raises(ScoresError, match="rate 5"):
        threshold_for_spoof_acceptance(np.zeros(18), 5)


def test_the_band_keeps_both_rates_and_calls_the_rest_inconclusive() -> None:
    bonafide, spoof = normals(np.random.default_rng(5), 500, 800)
    band = abstention_band(bonafide, spoof, 0.05)
    assert band.lower < band.upper
    assert bonafide_rejection_rate(bonafide, band.lower) <= 0.05
    assert spoof_acceptance_rate(spoof, band.upper) <= 0.05
    words = [band.verdict(score) for score in (band.lower - 1, band.lower, band.upper, band.upper + 1)]
    assert words == ["spoof", "inconclusive", "bonafide", "bonafide"]


def test_no_band_where_the_classes_lie_far_apart() -> None:
    band = abstention_band(np.linspace(5, 6, 50), np.linspace(-6, -5, 50))
    assert -5 < band.lower == band.upper < 5.1


@pytest.mark.parametrize("stored", [Calibration(1.5, -0.25, 0.5, 10, 20), Band(-1.0, 2.5, 0.05)])
def test_round_trip_through_json(stored) -> None:
    again = type(stored).from_dict(json.loads(json.dumps(stored.to_dict())))
    assert again == stored
    for damage in ({"slope": 1.0}, {**stored.to_dict(), "rate": "high"}, {**stored.to_dict(), "extra": 1}):
        with pytest.raises(ScoresError, match="damaged"):
            type(stored).from_dict(damage)
