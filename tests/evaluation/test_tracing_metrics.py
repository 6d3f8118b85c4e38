"""Classification and open-set metrics against scikit-learn, brute force and numbers computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st

from ringtrue.errors import ScoresError
from ringtrue.evaluation.classification import accuracy, class_report, confusion_matrix
from ringtrue.evaluation.openset import aupr, auroc, fpr_at_tpr, oscr

CLASSES = ["f5", "flite", "vits", "xtts"]
calls = st.lists(
    st.tuples(st.sampled_from(CLASSES[:3]), st.sampled_from(CLASSES[:3])), min_size=1, max_size=30
)
scores_strategy = st.lists(st.integers(-5, 5).map(float), min_size=1, max_size=25)


@settings(deadline=None, max_examples=60)
@given(calls, st.sampled_from([0.0, 1.0]))
def test_classification_agrees_with_scikit_learn(pairs, zero_division: float) -> None:
    truth, called = (list(side) for side in zip(*pairs, strict=True))
    assert (
        confusion_matrix(truth, called, CLASSES).tolist()
        == sk.confusion_matrix(truth, called, labels=CLASSES).tolist()
    )
    assert accuracy(truth, called) == pytest.approx(sk.accuracy_score(truth, called))
    report = class_report(truth, called, CLASSES, zero_division)
    expected = sk.precision_recall_fscore_support(truth, called, labels=CLASSES, zero_division=zero_division)
    for ours, theirs in zip(
        (report.precision, report.recall, report.f1, report.support), expected, strict=True
    ):
        assert ours == pytest.approx(theirs)
    assert report.macro_f1 == pytest.approx(np.mean(expected[2]))
    assert report.macro_precision == pytest.approx(np.mean(expected[0]))
    assert report.macro_recall == pytest.approx(np.mean(expected[1]))


def test_a_class_that_never_occurs_counts_as_stated() -> None:
    assert class_report(["a"], ["a"], ["a", "b"]).macro_f1 == 0.5
    assert class_report(["a"], ["a"], ["a", "b"], zero_division=1.0).macro_f1 == 1.0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((["a"], ["z"], ["a"]), r"1 class names are not among the 1 given: \['z'\]"),
        (([], [], ["a"]), "0 true classes"),
        ((["a"], [], ["a"]), "1 true classes and 0 calls"),
        ((["a"], ["a"], ["a", "a"]), "occurs twice"),
    ],
)
def test_unfit_calls_are_refused(arguments, said: str) -> None:
    with pytest.raises(ScoresError, match=said):
        confusion_matrix(*arguments)


@settings(deadline=None, max_examples=80)
@given(scores_strategy, scores_strategy)
def test_areas_agree_with_scikit_learn(known: list[float], unknown: list[float]) -> None:
    truth = [1] * len(known) + [0] * len(unknown)
    assert auroc(known, unknown) == pytest.approx(sk.roc_auc_score(truth, known + unknown), abs=1e-12)
    assert aupr(known, unknown) == pytest.approx(
        sk.average_precision_score(truth, known + unknown), abs=1e-12
    )
    assert oscr(known, [True] * len(known), unknown) == pytest.approx(auroc(known, unknown), abs=1e-12)
    assert oscr(known, [False] * len(known), unknown) == 0.0


@settings(deadline=None, max_examples=80)
@given(scores_strategy, scores_strategy, st.sampled_from([0.5, 0.8, 0.95, 1.0]))
def test_fpr_at_tpr_is_the_least_over_known_scores_that_keep_the_rate(known, unknown, tpr: float) -> None:
    kept = [t for t in known if sum(s >= t for s in known) >= tpr * len(known) - 1e-9]
    assert fpr_at_tpr(known, unknown, tpr) == min(sum(s >= t for s in unknown) / len(unknown) for t in kept)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.integers(-3, 3).map(float), st.booleans()), min_size=1, max_size=12),
    scores_strategy,
)
def test_oscr_counts_pairs(known, unknown: list[float]) -> None:
    """Its area is the share of (known, unknown) pairs where the known clip is named right and scores higher."""
    scores, right = [score for score, _ in known], [is_right for _, is_right in known]
    pairs = [is_right * ((s > u) + 0.5 * (s == u)) for s, is_right in known for u in unknown]
    assert oscr(scores, right, unknown) == pytest.approx(sum(pairs) / len(pairs), abs=1e-12)


def test_by_hand_and_the_other_positive_class() -> None:
    known, unknown = np.arange(20.0), np.array([-1.0, 0.0, 0.5, 1.0, 30.0])
    assert fpr_at_tpr(known, unknown) == 0.4  # 19 of 20 known clips score 1 or more: so do 2 of 5 unknown
    assert fpr_at_tpr(-unknown, -known) == 1.0  # OOD positive: another number
    assert fpr_at_tpr([1.0] * 5, [1.0] * 5) == 1.0
    assert aupr([1.0], [1.0] * 3) == 0.25  # ties: chance is the share of known clips


@pytest.mark.parametrize("metric", [fpr_at_tpr, auroc, aupr])
def test_unfit_open_set_scores_are_refused(metric) -> None:
    for scores in ([], [np.nan], [np.inf]):
        with pytest.raises(ScoresError):
            metric([1.0], scores)
        with pytest.raises(ScoresError):
            metric(scores, [1.0])
    with pytest.raises(ScoresError, match="a bool each"):
        oscr([1.0, 2.0], [True], [0.0])
    with pytest.raises(ScoresError, match="not percent"):
        fpr_at_tpr([1.0], [0.0], 95)
