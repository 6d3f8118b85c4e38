"""Figures over seeds: means, paired draws, spreads, and what a correlation over runs may count as evidence."""

import math

import numpy as np
import pytest
from scipy.stats import spearmanr, ttest_1samp

from ringtrue.errors import ScoresError
from ringtrue.evaluation.clustering import known_clusters
from ringtrue.evaluation.intervals import eer_difference_interval, eer_interval
from ringtrue.evaluation.metrics import eer
from ringtrue.evaluation.quantities import FIGURES
from ringtrue.evaluation.scores import Scores
from ringtrue.evaluation.seeds import draw_figure, rank_correlation, spread_over_seeds

LABELS = np.repeat(["bonafide", "spoof"], [120, 240])
SPEAKERS = np.array([f"s{i % 15}" for i in range(360)])
SYSTEMS = np.where(LABELS == "spoof", np.array([f"A{i % 12}" for i in range(360)]), "")


def run(seed, shift):
    """Trials that are as hard for every run, and a little noise of its own."""
    hard = np.random.default_rng(99).normal(size=360)
    values = hard + np.random.default_rng(seed).normal(size=360) / 3 + shift * (LABELS == "bonafide")
    trials = np.array([f"t{i}" for i in range(360)])
    return Scores(trials, LABELS, values, {"speaker": SPEAKERS, "system": SYSTEMS})


RUNS = {
    ("c", "good"): {s: run(s, 2.2) for s in range(3)},
    ("c", "bad"): {s: run(10 + s, 1.8) for s in range(2)},
}


@pytest.fixture(scope="module")
def drawn():
    first = RUNS["c", "good"][0]
    return draw_figure(FIGURES["eer"], RUNS, known_clusters(first), seed=5, draws=400)


def test_means_and_spread_over_seeds(drawn):
    values = [eer(one.bonafide, one.spoof) for one in RUNS["c", "good"].values()]
    interval = drawn.combine({("c", "good"): 1.0})
    assert interval.estimate == pytest.approx(np.mean(values))
    assert interval.deviation == pytest.approx(np.std(values, ddof=1))
    assert interval.low < interval.estimate < interval.high
    assert interval.p_value is None


def test_one_run_has_the_interval_that_it_has_alone():
    one = RUNS["c", "good"][1]
    found = draw_figure(FIGURES["eer"], {("x",): {1: one}}, (("speaker",), ("speaker",)), seed=3, draws=200)
    human = LABELS == "bonafide"
    alone = eer_interval(
        one.bonafide, one.spoof, SPEAKERS[human], SPEAKERS[~human], np.random.default_rng(3), draws=200
    )
    both = found.combine({("x",): 1.0})
    assert (both.estimate, both.low, both.high) == (alone.estimate, alone.low, alone.high)
    assert both.deviation is None


def test_a_difference_takes_the_seeds_that_both_have_and_the_same_draws(drawn):
    weights = {("c", "good"): 1.0, ("c", "bad"): -1.0}
    difference = drawn.combine(weights)
    assert drawn.seeds(weights) == [0, 1]
    assert difference.estimate == pytest.approx(np.mean(drawn.by_seed(weights)))
    apart = [drawn.combine({key: 1.0}) for key in weights]
    assert difference.high - difference.low < min(one.high - one.low for one in apart)
    assert 0 < difference.p_value <= 1
    human = LABELS == "bonafide"
    pair = [RUNS["c", name][0] for name in ("good", "bad")]
    alone = draw_figure(
        FIGURES["eer"], {(n,): {0: RUNS["c", n][0]} for n in ("good", "bad")}, (("speaker",),) * 2, 3, 200
    )
    expected = eer_difference_interval(
        (pair[0].bonafide, pair[1].bonafide), (pair[0].spoof, pair[1].spoof),
        SPEAKERS[human], SPEAKERS[~human], np.random.default_rng(3), draws=200,
    )  # fmt: skip
    found = alone.combine({("good",): 1.0, ("bad",): -1.0})
    assert (found.estimate, found.low, found.high, found.p_value) == (
        expected.estimate, expected.low, expected.high, expected.p_value,
    )  # fmt: skip


def test_what_was_not_run_has_no_figure(drawn):
    assert drawn.combine({("c", "good"): 1.0, ("c", "never"): -1.0}) is None


def test_runs_of_other_trials_are_refused():
    other = run(0, 1).select(np.arange(300))
    with pytest.raises(ScoresError, match="must have scored the same trials"):
        draw_figure(FIGURES["eer"], {("a",): {0: run(0, 1)}, ("b",): {0: other}}, ((), ()), draws=2)


def test_students_interval_over_seeds():
    values = [0.1, 0.12, 0.2, 0.15]
    interval = spread_over_seeds(values)
    low, high = ttest_1samp(values, 0).confidence_interval(0.95)
    assert (interval.low, interval.high) == (pytest.approx(low), pytest.approx(high))
    assert math.isnan(spread_over_seeds([0.3]).low)


def test_rank_correlation_is_spearmans_and_counts_variants_not_runs():
    rng = np.random.default_rng(0)
    groups = [f"v{i}" for i in range(5) for _ in range(20)]
    centre = np.repeat(rng.normal(size=5), 20)
    x, y = centre + rng.normal(size=100) / 50, centre + rng.normal(size=100) / 50
    rho = rank_correlation(x, y, groups)
    assert rho.estimate == pytest.approx(spearmanr(x, y).statistic)
    assert rho.estimate == pytest.approx(spearmanr(np.round(x, 12), y).statistic)
    apart = rank_correlation(x, y, [str(i) for i in range(100)])
    assert rho.high - rho.low > 2 * (apart.high - apart.low)
    with pytest.raises(ScoresError, match="ranking takes 5"):
        rank_correlation([1.0, 2.0], [1.0, 2.0], ["a", "b"])
