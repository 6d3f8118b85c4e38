"""Bootstrap intervals: exact weights, the law of the draws, coverage, and a published interval."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from ringtrue.errors import ScoresError
from ringtrue.evaluation.clustering import count_note, known_clusters, resampling_of
from ringtrue.evaluation.figures import tandem_figures
from ringtrue.evaluation.intervals import (
    Interval,
    detectable_difference,
    eer_difference_interval,
    eer_interval,
    figure_intervals,
    holm,
    pairwise_differences,
    seed_spread,
)
from ringtrue.evaluation.ladder import CoarseLadder, FineLadder
from ringtrue.evaluation.metrics import eer
from ringtrue.evaluation.quantities import FIGURES, frr_figure, hter_figure
from ringtrue.evaluation.resampling import Resampling
from ringtrue.evaluation.scores import Scores, read_scores
from ringtrue.evaluation.tandem import VerifierRates

CONFORMANCE = Path(__file__).parents[3] / "shared" / "conformance" / "asvspoof2019_la"


def speakers(rng: np.random.Generator, count: int, trials: int, shift: float, spread: float = 0.7):
    """Scores of several speakers, each with an offset of its own, and the speakers' numbers."""
    names = np.repeat(np.arange(count), trials)
    return rng.normal(shift, 1, count * trials) + np.repeat(rng.normal(0, spread, count), trials), names


def exact_eer(bonafide: list[float], spoof: list[float]) -> Fraction:
    """The definition in rational numbers: no rounding, the first of equal minima."""
    points = [(Fraction(0), Fraction(1))]
    for threshold in sorted({*bonafide, *spoof}):
        rejected = sum(score <= threshold for score in bonafide)
        accepted = sum(score > threshold for score in spoof)
        points.append((Fraction(rejected, len(bonafide)), Fraction(accepted, len(spoof))))
    frr, far = min(points, key=lambda point: abs(point[0] - point[1]))
    return (frr + far) / 2


@pytest.mark.parametrize("seed", range(12))
def test_a_draw_equals_the_eer_of_the_repeated_trials(seed: int) -> None:
    """Weights on presorted scores, with ties that span the search blocks, against actually repeating trials."""
    rng = np.random.default_rng(seed)
    bonafide = rng.integers(0, 12 if seed % 2 else 4000, 900).astype(float)
    spoof = rng.integers(-4, 9 if seed % 2 else 3000, 2450).astype(float)
    clusters = rng.integers(0, 7, 900), rng.integers(3, 15, 2450)
    resampling = Resampling(bonafide, spoof, *clusters)
    trials = FineLadder(bonafide, spoof, resampling)
    for counts in resampling.draw(rng, 2):
        repeated = [
            np.repeat(scores, counts[names]).tolist()
            for scores, names in zip((bonafide, spoof), clusters, strict=True)
        ]
        assert trials.eer(counts) == pytest.approx(float(exact_eer(*repeated)), abs=1e-12)


@pytest.mark.parametrize("name", [*FIGURES, "min_tdcf_2019", "min_tdcf_2021", "hter", "frr"])
@pytest.mark.parametrize("distinct", [6, 10_000])
def test_every_figure_of_a_draw_equals_that_of_the_repeated_trials(name: str, distinct: int) -> None:
    """Two ways of clustering, ties, and trials that a draw leaves out."""
    rng = np.random.default_rng(distinct)
    bonafide = (rng.integers(0, distinct, 200) / distinct * 6 - 2).round(6)
    spoof = (rng.integers(0, distinct, 300) / distinct * 6 - 4).round(6)
    clusters = (
        np.char.add("s", rng.integers(0, 7, 200).astype(str)),
        np.stack(
            [np.char.add("s", rng.integers(3, 9, 300).astype(str)), rng.integers(0, 5, 300).astype(str)], 1
        ),
    )
    others = {"hter": hter_figure(0.5), "frr": frr_figure(0.1)}
    figure = {**FIGURES, **tandem_figures(VerifierRates(0.02, 0.03, 0.6)), **others}[name]
    resampling = Resampling(bonafide, spoof, *clusters)
    trials = FineLadder(bonafide, spoof, resampling)
    of = figure.of_draws(trials)
    for counts in resampling.draw(rng, 6):
        repeated = (
            np.repeat(bonafide, counts[resampling.bonafide]),
            np.repeat(spoof, counts[resampling.spoof]),
        )
        assert of(trials.weigh(counts)) == pytest.approx(figure.value(*repeated), abs=1e-10)
    assert of(trials.whole()) == pytest.approx(figure.value(bonafide, spoof), abs=1e-12)


@pytest.mark.parametrize("name", [*FIGURES, "min_tdcf_2019", "hter", "frr"])
def test_a_coarse_ladder_follows_the_exact_one(name: str) -> None:
    """Every draw's figure, once what the rungs round away of all trials is taken off."""
    rng = np.random.default_rng(4)
    (bonafide, human), (spoof, machine) = speakers(rng, 12, 3000, 1.5), speakers(rng, 14, 4000, -1.5)
    resampling = Resampling(
        bonafide, spoof, human, np.stack([machine + 99, rng.integers(0, 6, spoof.size)], 1)
    )
    others = {"hter": hter_figure(0.5), "frr": frr_figure(0.01)}
    figure = {**FIGURES, **tandem_figures(VerifierRates(0.02, 0.03, 0.6)), **others}[name]
    sides = [kind(bonafide, spoof, resampling) for kind in (FineLadder, CoarseLadder)]
    value = figure.value(bonafide, spoof)
    exact, coarse = (figure.prepare(side, value) for side in sides)
    assert coarse(sides[1].whole()) == pytest.approx(value, abs=1e-12)
    drawn = np.array(
        [
            [exact(sides[0].weigh(counts)), coarse(sides[1].weigh(counts))]
            for counts in resampling.draw(rng, 40)
        ]
    )
    off = np.abs(drawn[:, 0] - drawn[:, 1]).max()
    assert 0 <= off < 0.03 * drawn[:, 0].std(), "far less than draws differ"


def test_scores_that_are_few_numbers_make_a_coarse_ladder_exact() -> None:
    rng = np.random.default_rng(5)
    bonafide, spoof = rng.integers(0, 9, 500) / 4, rng.integers(-3, 5, 700) / 4
    resampling = Resampling(bonafide, spoof, rng.integers(0, 9, 500), rng.integers(10, 30, 700))
    fine, coarse = FineLadder(bonafide, spoof, resampling), CoarseLadder(bonafide, spoof, resampling)
    for counts in resampling.draw(rng, 5):
        for one, other in zip(fine.steps(counts), coarse.steps(counts), strict=True):
            assert one.tolist() == other[other.size - one.size :].tolist()


@pytest.mark.parametrize("clusters", [None, "ways"])
def test_clusters_merged_at_random_give_the_same_interval(
    monkeypatch: pytest.MonkeyPatch, clusters: str | None
) -> None:
    """Many trials alone, or of many speakers and systems: merged, the interval is as wide as before."""
    rng = np.random.default_rng(6)
    bonafide, spoof = rng.normal(1, 1, 4000), rng.normal(-1, 1, 9000)
    names = (None, None)
    if clusters:
        human, machine, system = (
            rng.integers(0, many, size) for many, size in ((700, 4000), (700, 9000), (500, 9000))
        )
        names = (human, np.stack([machine + 1000, system], 1))
        bonafide += rng.normal(0, 1, 700)[human]
        spoof += rng.normal(0, 1, 700)[machine] + rng.normal(0, 1, 500)[system]
    whole = eer_interval(bonafide, spoof, *names, np.random.default_rng(0), 800)
    monkeypatch.setattr("ringtrue.evaluation.resampling.MANY", 5000)
    resampling = Resampling(bonafide, spoof, *names)
    assert resampling.clusters == (whole.bonafide_clusters, whole.spoof_clusters), "the true numbers are told"
    assert resampling.size <= (256 * 512 if clusters else 2048)
    for counts in resampling.draw(rng, 3):
        assert counts[resampling.bonafide].sum() == pytest.approx(4000, rel=0.15)
    merged = eer_interval(bonafide, spoof, *names, np.random.default_rng(0), 800)
    assert merged.estimate == whole.estimate
    assert merged.high - merged.low == pytest.approx(whole.high - whole.low, rel=0.2)


def test_two_ways_multiply_and_share_speakers() -> None:
    """A spoof trial's weight is its speaker's count times its system's; a bona fide trial's its speaker's."""
    human = np.array(["ann", "bo", "cy"])
    machine = np.array([["ann", "vits"], ["ann", "flite"], ["dee", "vits"], ["dee", "flite"]])
    resampling = Resampling(np.zeros(3), np.zeros(4), human, machine)
    assert resampling.clusters == (3, 2)
    for counts in resampling.draw(np.random.default_rng(0), 50):
        ann, bo, cy = counts[resampling.bonafide]
        weights = counts[resampling.spoof].reshape(2, 2)
        assert (ann, bo + cy) == (1, 2)  # the only shared name is alone in its stratum
        vits, flite = weights[0]
        assert (vits + flite, weights[1].tolist()) == (2, [vits, flite])  # dee, too, is drawn once


def test_two_way_intervals_are_wider_where_systems_differ() -> None:
    rng = np.random.default_rng(8)
    (bonafide, human), system = speakers(rng, 20, 30, 1.0), np.repeat(np.arange(12), 50)
    spoof = rng.normal(-1, 1, 600) + rng.normal(0, 1, 12)[system]
    voices = rng.integers(0, 20, 600) + 99
    one = eer_interval(bonafide, spoof, human, voices, np.random.default_rng(0), 300)
    both = eer_interval(bonafide, spoof, human, np.stack([voices, system], 1), np.random.default_rng(0), 300)
    assert both.high - both.low > 1.3 * (one.high - one.low)
    assert both.estimate == one.estimate


def test_draws_that_lose_a_class_are_drawn_again() -> None:
    machine = np.array([["a", "x"], ["b", "y"], ["c", "z"]])
    resampling = Resampling(np.zeros(2), np.zeros(3), ["p", "q"], machine)
    for counts in resampling.draw(np.random.default_rng(0), 100):
        assert counts[resampling.spoof].sum() > 0


def test_strata_keep_both_classes_and_share_names() -> None:
    """Names on both sides, on one side and on the other are drawn separately, each as often as there are."""
    resampling = Resampling(np.zeros(3), np.zeros(4), ["ann", "bo", "cy"], ["ann", "bo", "tts", "vits"])
    for counts in resampling.draw(np.random.default_rng(0), 50):
        shared, human, machine = counts[[0, 1]], counts[2], counts[[3, 4]]
        assert (shared.sum(), human, machine.sum()) == (2, 1, 2)
    apart = Resampling(np.zeros(2), np.zeros(2), None, [0, 1])
    assert apart.size == 4  # numbered trials are nobody's namesakes


def test_own_cluster_for_each_trial_is_the_trial_bootstrap() -> None:
    rng = np.random.default_rng(3)
    bonafide, spoof = rng.normal(1, 1, 150), rng.normal(-1, 1, 200)
    names = np.arange(150), np.arange(150, 350)
    trial = eer_interval(bonafide, spoof, None, None, np.random.default_rng(5))
    assert eer_interval(bonafide, spoof, *names, np.random.default_rng(5)) == trial
    assert trial.estimate == eer(bonafide, spoof)
    assert trial.low <= trial.estimate <= trial.high
    assert (trial.bonafide_clusters, trial.spoof_clusters) == (150, 200)


def test_same_seed_same_interval_and_wider_level_wider_interval() -> None:
    rng = np.random.default_rng(0)
    (bonafide, human), (spoof, machine) = speakers(rng, 15, 20, 1.0), speakers(rng, 15, 20, -1.0)
    intervals = [
        eer_interval(bonafide, spoof, human, machine + 99, np.random.default_rng(1), 300, level)
        for level in (0.95, 0.95, 0.5)
    ]
    assert intervals[0] == intervals[1]
    assert intervals[0].low < intervals[2].low < intervals[2].high < intervals[0].high


def test_coverage_of_clusters_and_its_lack_for_single_trials() -> None:
    """95 % intervals of 30 speakers a side must hold the true EER nearly always; trial intervals do not."""
    rng = np.random.default_rng(11)
    truth = eer(*(speakers(rng, 100_000, 1, shift)[0] for shift in (1.0, -1.0)))
    clustered, single, repeats = 0, 0, 80
    for _ in range(repeats):
        (bonafide, human), (spoof, machine) = speakers(rng, 30, 30, 1.0), speakers(rng, 30, 30, -1.0)
        interval = eer_interval(bonafide, spoof, human, machine + 99, rng, draws=120)
        clustered += interval.low <= truth <= interval.high
        interval = eer_interval(bonafide, spoof, None, None, rng, draws=120)
        single += interval.low <= truth <= interval.high
    assert clustered / repeats >= 0.85  # 95 %, less four standard errors
    assert single / repeats <= 0.70


def test_few_clusters_are_called_descriptive() -> None:
    scores = np.random.default_rng(0).normal(size=60)
    for systems, descriptive in ((9, True), (10, False)):
        names = np.arange(60) % 20, 100 + np.arange(60) % systems
        interval = eer_interval(scores, scores - 1, *names, np.random.default_rng(0), 50)
        assert interval.is_descriptive == descriptive
    one = eer_interval(scores, scores - 1, np.zeros(60), np.ones(60), np.random.default_rng(0), 50)
    assert one.low == one.estimate == one.high  # one cluster a side carries no information on spread


def test_paired_difference_sees_what_separate_intervals_miss() -> None:
    rng = np.random.default_rng(4)
    (bonafide, human), (spoof, machine) = speakers(rng, 20, 40, 0.8), speakers(rng, 20, 40, -0.8)
    better = bonafide + 0.25, spoof - 0.25
    pair = (better[0], bonafide), (better[1], spoof)
    difference = eer_difference_interval(*pair, human, machine + 99, np.random.default_rng(0))
    assert difference.high < 0
    assert difference.estimate == eer(*better) - eer(bonafide, spoof)
    one, other = (
        eer_interval(*scores, human, machine + 99, np.random.default_rng(0))
        for scores in (better, (bonafide, spoof))
    )
    assert one.high > other.low  # overlapping, though one is plainly better
    same = eer_difference_interval(
        (bonafide, bonafide), (spoof, spoof), human, machine, np.random.default_rng(0)
    )
    assert (same.estimate, same.low, same.high) == (0, 0, 0)


def test_holm_by_hand_and_by_its_law() -> None:
    assert holm([0.01, 0.02, 0.03, 0.04]) == pytest.approx([0.04, 0.06, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
    # With no true difference at all, any finding is false: at most 5 % of families may have one.
    rng = np.random.default_rng(0)
    assert np.mean([min(holm(rng.uniform(size=6).tolist())) < 0.05 for _ in range(2000)]) < 0.065


def test_p_values_find_differences_and_hold_their_level() -> None:
    rng = np.random.default_rng(6)
    false, found = 0, 0
    for _ in range(60):
        (bonafide, human), (spoof, machine) = speakers(rng, 15, 12, 1.0), speakers(rng, 15, 12, -1.0)
        noise = [rng.normal(0, 0.4, (2, 180)) for _ in range(2)]
        models = [(bonafide + a, spoof + b) for a, b in noise]
        models.append((models[0][0] + 0.6, models[0][1] - 0.6))
        resampling = Resampling(bonafide, spoof, human, machine + 99)
        pairs = pairwise_differences(FIGURES["auc"], models, resampling, rng, 99)
        false += (pairs[0, 1].p_value or 0) < 0.05
        found += (pairs[0, 2].p_value or 1) < 0.05
    assert false <= 8  # 5 % of 60, and three standard errors
    assert found >= 57


def test_seed_spread() -> None:
    spread = seed_spread([0.10, 0.12, 0.17])
    assert (spread.mean, spread.lowest, spread.highest, spread.runs) == (pytest.approx(0.13), 0.10, 0.17, 3)
    assert spread.deviation == pytest.approx(np.std([0.10, 0.12, 0.17], ddof=1))
    for values in ([0.1], [0.1, float("nan")]):
        with pytest.raises(ScoresError, match="two finite figures"):
            seed_spread(values)


def test_detectable_difference_of_a_known_spread() -> None:
    """A spread of 1: 95 % interval 3.92 wide; 1.96 + 0.84 spreads are shown four times out of five."""
    assert detectable_difference(Interval(0.0, -1.96, 1.96, 0.95, 20, 20)) == pytest.approx(2.80, abs=0.005)


def test_clusters_are_what_the_scores_know() -> None:
    labels = np.array(["bonafide"] * 2 + ["spoof"] * 3)
    columns = {
        "speaker": np.array(["a", "b", "", "", ""]),
        "system": np.array(["", "", "x", "y", "y"]),
        "source_utterance": np.array(["u", "v", "u", "u", "w"]),
    }
    scores = Scores(np.arange(5).astype(str), labels, np.arange(5.0), columns)
    assert known_clusters(scores) == (("speaker",), ("system",))
    assert known_clusters(scores, ["trial"]) == ((), ())
    ways = known_clusters(scores, ["speaker", "source_utterance"])
    assert ways == (("speaker", "source_utterance"), ("source_utterance",))
    assert count_note(scores, ways) == (
        "2 bona fide trials of 2 speakers x 2 source_utterances and 3 spoof trials of 2 source_utterances"
    )
    resampling = resampling_of(
        scores, ways
    )  # the shared column comes first: u is one cluster in both classes
    for counts in resampling.draw(np.random.default_rng(0), 20):
        assert counts[resampling.spoof][0] == counts[resampling.spoof][1]
    with pytest.raises(ScoresError, match="no column 'accent'"):
        known_clusters(scores, ["accent"])


def test_several_figures_share_draws() -> None:
    rng = np.random.default_rng(0)
    (bonafide, human), (spoof, machine) = speakers(rng, 12, 20, 1.0), speakers(rng, 12, 20, -1.0)
    resampling = Resampling(bonafide, spoof, human, machine + 99)
    together = figure_intervals(
        list(FIGURES.values()), bonafide, spoof, resampling, np.random.default_rng(1), 40
    )
    alone = figure_intervals([FIGURES["cllr"]], bonafide, spoof, resampling, np.random.default_rng(1), 40)
    assert together[4] == alone[0]
    assert all(interval.low <= interval.estimate <= interval.high for interval in together)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (([1.0], [0.0], ["a", "b"], None), "2 bona fide cluster names for 1 trials"),
        (([1.0], [], None, None), "no spoof scores"),
        (([1.0, np.nan], [0.0], None, None), "NaN"),
    ],
)
def test_unfit_input_is_refused(arguments, said: str) -> None:
    with pytest.raises(ScoresError, match=said):
        eer_interval(*arguments, np.random.default_rng(0))


def test_models_with_different_trials_and_odd_levels_are_refused() -> None:
    with pytest.raises(ScoresError, match="the same trials"):
        eer_difference_interval(([1.0], [1.0, 2.0]), ([0.0], [0.0]), None, None, np.random.default_rng(0))
    with pytest.raises(ScoresError, match="level 95"):
        eer_interval([1.0], [0.0], None, None, np.random.default_rng(0), level=95)


@pytest.mark.skipif(
    not CONFORMANCE.is_dir(), reason="no ../shared/conformance: published scores are not ours"
)
def test_published_interval_of_aasist() -> None:
    """Trial-level [0.734, 0.968] and by 67 speakers [0.594, 1.235] percent, within Monte Carlo error."""
    scores = read_scores(CONFORMANCE / "aasist_eval_scores.txt")
    protocol = (CONFORMANCE / "ASVspoof2019.LA.cm.eval.trl.txt").read_text().splitlines()
    speaker_of = {line.split()[1]: line.split()[0] for line in protocol}
    names = np.array([speaker_of[trial] for trial in scores.trials.tolist()])
    clusters = names[scores.is_bonafide], names[~scores.is_bonafide]
    rng = np.random.default_rng(0)
    interval = eer_interval(scores.bonafide, scores.spoof, *clusters, rng)
    assert interval.low * 100 == pytest.approx(0.594, abs=0.04)
    assert interval.high * 100 == pytest.approx(1.235, abs=0.06)
    interval = eer_interval(scores.bonafide, scores.spoof, None, None, rng, draws=500)
    assert interval.low * 100 == pytest.approx(0.734, abs=0.02)
    assert interval.high * 100 == pytest.approx(0.968, abs=0.03)
