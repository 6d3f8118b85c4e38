"""Figures of outcomes: by hand, joined over folds, and their intervals."""

import numpy as np
import pytest

from ringtrue.tracing.report import Outcome, figures, intervals, joined, known_confusion, worst_system


def outcome(truth, called, scores, threshold=0.5, classes=("a", "b"), group="one", clusters=None):
    scores = np.array(scores, dtype=float)
    return Outcome(
        np.array(truth), np.array(called), classes, scores, scores >= threshold,
        np.full(len(truth), group), np.array(clusters or range(len(truth))).astype(str),
    )  # fmt: skip


def test_figures_by_hand():
    one = outcome(["a", "a", "b", "x", "y"], ["a", "b", "b", "a", "b"], [0.9, 0.8, 0.4, 0.3, 0.7])
    found = figures(one)
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["f1"] == pytest.approx((2 / 3 + 2 / 3) / 2)
    assert found["known_accepted"] == pytest.approx(2 / 3)
    assert found["known_right"] == pytest.approx(1 / 3)
    assert found["unknown_rejected"] == 0.5
    assert found["auroc"] == pytest.approx(5 / 6)
    assert worst_system(one) == ("y", 1.0)
    names, counts = known_confusion(one)
    assert names[:2] == ("a", "b")
    assert counts[:2, :2].tolist() == [[1, 1], [0, 1]]


def test_classes_that_do_not_occur_cost_only_who_is_called_so():
    one = outcome(["a", "a", "b"], ["a", "c", "b"], [1, 1, 1], classes=("a", "b", "c"))
    found = figures(one)
    assert found["recall"] == pytest.approx((0.5 + 1) / 2)
    assert "auroc" not in found


def test_a_class_may_be_known_in_one_fold_and_unknown_in_another():
    first = outcome(["a", "b", "c"], ["a", "b", "a"], [1, 1, 0.2], classes=("a", "b"), group="1")
    second = outcome(["c", "b"], ["c", "c"], [0.9, 0.1], classes=("a", "c"), group="2")
    both = joined([first, second])
    assert both.is_known.tolist() == [True, True, False, True, False]
    found = figures(both)
    assert found["accuracy"] == 1.0
    assert found["auroc"] == 1.0
    assert worst_system(both) == ("b", 0.0)


def test_scores_of_two_folds_are_not_compared():
    high = outcome(["a", "x"], ["a", "a"], [100, 99], group="1")
    low = outcome(["a", "x"], ["a", "a"], [2, 1], group="2")
    assert figures(joined([high, low]))["auroc"] == 1.0


def test_intervals_grow_with_clustering_and_cover():
    rng = np.random.default_rng(0)
    truth = ["a", "b"] * 60
    called = [t if i // 10 % 3 else "a" for i, t in enumerate(truth)]  # whole tens of clips fail together
    scores = rng.normal(size=120)
    alone = outcome(truth, called, scores)
    grouped = outcome(truth, called, scores, clusters=[i // 10 for i in range(120)])
    widths = []
    for one in (alone, grouped):
        low, high = intervals(one, np.random.default_rng(1), 300)["accuracy"]
        assert low <= figures(one)["accuracy"] <= high
        widths.append(high - low)
    assert widths[1] > 1.3 * widths[0]
