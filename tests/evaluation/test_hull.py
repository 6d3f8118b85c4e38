"""Hull, PAV and least Cllr against scikit-learn's isotonic regression, exact brute force and published figures."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from ringtrue.errors import ScoresError
from ringtrue.evaluation import hull
from ringtrue.evaluation.hull import eer_convex_hull, hull_points, min_cllr, pool
from ringtrue.evaluation.metrics import cllr, det_curve, eer

scores_strategy = st.lists(st.integers(-6, 6).map(float), min_size=1, max_size=25)


def exact_hull_eer(bonafide: list[float], spoof: list[float]) -> Fraction:
    """The least (frr = far) on any chord between two points of the curve, in rational numbers."""
    thresholds = [min(bonafide + spoof) - 1, *sorted({*bonafide, *spoof})]
    points = [
        (
            Fraction(sum(s <= t for s in bonafide), len(bonafide)),
            Fraction(sum(s > t for s in spoof), len(spoof)),
        )
        for t in thresholds
    ]
    crossings = [frr for frr, far in points if frr == far]
    for (frr, far), (later_frr, later_far) in combinations(points, 2):
        before, after = frr - far, later_frr - later_far
        if before < 0 < after:
            crossings.append(frr + before / (before - after) * (later_frr - frr))
    return min(crossings)


@settings(deadline=None, max_examples=120)
@given(scores_strategy, scores_strategy)
def test_convex_hull_eer_is_the_least_over_all_chords(bonafide: list[float], spoof: list[float]) -> None:
    assert eer_convex_hull(bonafide, spoof) == pytest.approx(
        float(exact_hull_eer(bonafide, spoof)), abs=1e-12
    )


@settings(deadline=None, max_examples=120)
@given(scores_strategy, scores_strategy)
def test_blocks_are_those_of_isotonic_regression(bonafide: list[float], spoof: list[float]) -> None:
    blocks = pool(bonafide, spoof)
    scores, truth = np.array(bonafide + spoof), np.array([1.0] * len(bonafide) + [0.0] * len(spoof))
    fitted = IsotonicRegression().fit(scores, truth).predict(scores)
    share = blocks.bonafide / (blocks.bonafide + blocks.spoof)
    assert np.all(np.diff(share) > 0)
    assert share[np.searchsorted(blocks.highest, scores)] == pytest.approx(fitted, abs=1e-9)
    assert (blocks.bonafide.sum(), blocks.spoof.sum()) == (len(bonafide), len(spoof))


@settings(deadline=None, max_examples=60)
@given(scores_strategy, scores_strategy)
def test_least_cllr_is_the_cllr_of_the_pooled_log_likelihood_ratios(
    bonafide: list[float], spoof: list[float]
) -> None:
    blocks = pool(bonafide, spoof)
    with np.errstate(divide="ignore"):
        llr = np.log(blocks.bonafide / len(bonafide)) - np.log(blocks.spoof / len(spoof))
    llr = np.clip(llr, -700, 700)  # blocks of one class: as good as infinite
    pooled = [llr[np.searchsorted(blocks.highest, side)] for side in (bonafide, spoof)]
    assert min_cllr(bonafide, spoof) == pytest.approx(cllr(*pooled), abs=1e-9)
    for slope, shift in ((1, 0), (0.3, 1), (4, -2)):
        raw = [slope * np.array(side) + shift for side in (bonafide, spoof)]
        assert min_cllr(bonafide, spoof) <= cllr(*raw) + 1e-12


def test_true_log_likelihood_ratios_leave_little_to_recalibrate() -> None:
    rng = np.random.default_rng(0)
    bonafide, spoof = rng.normal(1, 2**0.5, 20_000), rng.normal(-1, 2**0.5, 20_000)  # x is its own LLR
    assert 0 < cllr(bonafide, spoof) - min_cllr(bonafide, spoof) < 0.005
    assert abs(eer_convex_hull(bonafide, spoof) - eer(bonafide, spoof)) < 0.002


def test_wrong_way_and_constant_scores_are_useless_and_not_flipped() -> None:
    assert eer_convex_hull([0.0, 1.0], [2.0, 3.0]) == 0.5
    assert min_cllr([0.0, 1.0], [2.0, 3.0]) == 1.0
    assert (eer_convex_hull([4.0] * 3, [4.0]), min_cllr([4.0] * 3, [4.0])) == (0.5, 1.0)
    assert (eer_convex_hull([3.0], [1.0]), min_cllr([3.0], [1.0])) == (0.0, 0.0)


@pytest.mark.parametrize("metric", [pool, eer_convex_hull, min_cllr])
def test_unfit_scores_are_refused(metric) -> None:
    for scores, said in (([], "no spoof"), ([np.nan], "NaN"), ([np.inf], "infinite")):
        with pytest.raises(ScoresError, match=said):
            metric([1.0], scores)


def test_awkward_curves_are_finished_by_the_plain_scan(monkeypatch) -> None:
    """Without a single whole-array pass the hull is the same."""
    rng = np.random.default_rng(0)
    curves = [np.cumsum(rng.integers(0, 3, (2, 400)), axis=1) for _ in range(20)]
    whole = [hull_points(*curve).tolist() for curve in curves]
    monkeypatch.setattr(hull, "_PASSES", 0)
    assert [hull_points(*curve).tolist() for curve in curves] == whole


def test_hull_holds_every_point_of_the_curve() -> None:
    rng = np.random.default_rng(3)
    bonafide, spoof = rng.normal(1, 1, 300), rng.normal(0, 1, 500)
    frr, far, _ = det_curve(bonafide, spoof)
    blocks = pool(bonafide, spoof)
    hull_frr = np.append(0, np.cumsum(blocks.bonafide)) / 300
    hull_far = 1 - np.append(0, np.cumsum(blocks.spoof)) / 500
    assert np.all(frr >= np.interp(far, hull_far[::-1], hull_frr[::-1]) - 1e-12)
