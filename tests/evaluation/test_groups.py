"""Breakdowns: which trials a group is judged on, what macro and worst mean, and their intervals."""

from __future__ import annotations

import numpy as np
import pytest

from ringtrue.errors import ScoresError
from ringtrue.evaluation.clustering import known_clusters, resampling_of
from ringtrue.evaluation.groups import divide, group_intervals, group_values
from ringtrue.evaluation.metrics import auc, eer
from ringtrue.evaluation.quantities import FIGURES
from ringtrue.evaluation.scores import Scores


def make() -> Scores:
    rng = np.random.default_rng(0)
    system = np.array([""] * 120 + ["easy"] * 60 + ["hard"] * 60 + ["wrong"] * 60)
    shift = np.select([system == "", system == "easy", system == "wrong"], [1.5, -3, 2], 0.0)
    codec = np.array(["none", "opus", "gsm"])[np.arange(300) % 3]
    codec[(system != "") & (codec == "gsm")] = "amr"  # gsm: human only; amr: machine only
    speaker = np.array([f"s{i % 12}" for i in range(300)])
    columns = {"system": system, "codec": codec, "speaker": speaker, "language": np.full(300, "en")}
    labels = np.where(system == "", "bonafide", "spoof")
    return Scores(np.arange(300).astype(str), labels, rng.normal(size=300) + shift, columns)


def test_attacks_are_judged_against_all_bona_fide() -> None:
    """A column that bona fide trials know nothing of."""
    scores = make()
    values = group_values(scores, "system", FIGURES["eer"])
    each = {
        name: eer(scores.bonafide, scores.scores[scores.column("system") == name])
        for name in ("easy", "hard", "wrong")
    }
    assert {name: values[name] for name in each} == each
    assert values["pooled"] == eer(scores.bonafide, scores.spoof)
    assert values["macro"] == pytest.approx(np.mean(list(each.values())), abs=1e-15)
    assert values["worst"] == max(each.values()) > 0.5
    assert group_values(scores, "system", FIGURES["auc"])["worst"] == auc(
        scores.bonafide, scores.scores[scores.column("system") == "wrong"]
    )


def test_codecs_are_judged_against_bona_fide_of_the_same_codec() -> None:
    scores = make()
    groups = divide(scores, "codec")
    assert groups.lacking == ("amr", "gsm")
    values = group_values(scores, "codec", FIGURES["eer"])
    opus = scores.select(scores.column("codec") == "opus")
    assert values["opus"] == eer(opus.bonafide, opus.spoof)
    assert set(values) == {"none", "opus", "pooled", "macro", "worst"}


def test_one_group_is_all_of_them() -> None:
    values = group_values(make(), "language", FIGURES["eer"])
    assert len(set(values.values())) == 1


def test_a_column_without_a_judgeable_value_is_refused() -> None:
    scores = make()
    with pytest.raises(ScoresError, match="no column 'accent'"):
        divide(scores, "accent")
    apart = {"corpus": np.where(scores.is_bonafide, "a", "b")}
    with pytest.raises(ScoresError, match="no value of 'corpus' has both"):
        divide(Scores(scores.trials, scores.labels, scores.scores, apart), "corpus")


def test_intervals_share_draws_and_hold_their_estimates() -> None:
    scores = make()
    resampling = resampling_of(scores, known_clusters(scores, ("speaker",)))
    rng = np.random.default_rng(0)
    intervals = group_intervals(scores, "system", FIGURES["eer"], resampling, rng, 200)
    values = group_values(scores, "system", FIGURES["eer"])
    assert {name: interval.estimate for name, interval in intervals.items()} == values
    assert all(interval.low <= interval.estimate <= interval.high for interval in intervals.values())
    assert intervals["worst"].high >= intervals["wrong"].high - 1e-12  # the worst, whichever it is
    width = {name: interval.high - interval.low for name, interval in intervals.items()}
    assert width["macro"] < max(width["easy"], width["hard"], width["wrong"])


def test_groups_that_a_draw_loses_have_no_part_in_it() -> None:
    """Clustering by the very system: the macro figure still has an interval."""
    scores = make()
    resampling = resampling_of(scores, ((), ("system",)))
    intervals = group_intervals(scores, "system", FIGURES["eer"], resampling, np.random.default_rng(0), 60)
    assert intervals["macro"].low < intervals["macro"].high
    assert np.isfinite([interval.low for interval in intervals.values()]).all()
