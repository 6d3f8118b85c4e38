"""Monotone calibration and fusion: held-out trials decide; damaged files are refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from ringtrue.errors import ScoresError
from ringtrue.evaluation.calibrate import fit_affine
from ringtrue.evaluation.fitting import apply_map, read_calibration
from ringtrue.evaluation.mappings import Fusion, Monotone, fit_fusion, fit_monotone
from ringtrue.evaluation.metrics import cllr, eer


def normals(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(1, 2**0.5, count), rng.normal(-1, 2**0.5, count)


def test_monotone_calibration_beats_affine_where_the_scale_is_bent() -> None:
    """The true LLR is the cube root of the score: no straight line finds it, a monotone map does."""
    fitted = fit_monotone(*(side**3 for side in normals(0, 4000)))
    affine = fit_affine(*(side**3 for side in normals(0, 4000)))
    test = normals(1, 4000)
    raw = tuple(side**3 for side in test)
    mapped = tuple(fitted.apply(side) for side in raw)
    assert cllr(*mapped) == pytest.approx(cllr(*test), abs=0.01)
    assert cllr(*mapped) < cllr(*(affine.apply(side) for side in raw)) < cllr(*raw)
    assert eer(*mapped) == pytest.approx(eer(*raw), abs=0.003)
    inside = np.linspace(-2, 2, 9)
    assert fitted.apply(inside**3) == pytest.approx(inside, abs=0.5)


def test_no_score_is_worth_infinitely_much() -> None:
    rng = np.random.default_rng(0)
    fitted = fit_monotone(rng.uniform(5, 6, 200), rng.uniform(0, 1, 300))
    ends = fitted.apply([-1e9, 1e9])
    # One trial of each class added at either end: 1 of 202 against 301 of 302, and the other way round.
    assert ends[1] == pytest.approx(np.log(201 / 202) - np.log(1 / 302))
    assert ends[0] == pytest.approx(np.log(1 / 202) - np.log(301 / 302))
    assert np.all(np.diff(fitted.llrs) > 0)


def test_unfit_development_scores_are_refused() -> None:
    bonafide, spoof = normals(0, 300)
    for arguments, said in (
        ((bonafide[:50], spoof), "50 bona fide and 300 spoof .* needs 100 of each"),
        ((spoof, bonafide), "constant or point the wrong way"),
        ((np.ones(100), np.ones(100)), "constant or point the wrong way"),
        ((np.append(bonafide, np.nan), spoof), "NaN"),
    ):
        with pytest.raises(ScoresError, match=said):
            fit_monotone(*arguments)


def two_views(seed: int, count: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Two models that hear different things, on different scales, and one that hears nothing."""
    rng = np.random.default_rng(seed)
    sides = []
    for sign in (1, -1):
        views = rng.normal(size=(3, count)) + np.array([[0.8 * sign], [0.6 * sign], [0]])
        sides.append([10 * views[0] + 3, views[1] / 10, views[2]])
    return sides[0], sides[1]


def test_fusion_beats_its_best_part_on_held_out_trials() -> None:
    fitted = fit_fusion(["a", "b", "noise"], *two_views(0, 3000))
    # True LLR: 2 * 0.8 of the first standardised view, 2 * 0.6 of the second, nothing of the third.
    assert fitted.weights == pytest.approx((0.16, 12, 0), abs=0.6)
    bonafide, spoof = two_views(1, 5000)
    fused = fitted.apply(bonafide), fitted.apply(spoof)
    assert eer(*fused) < min(eer(b, s) for b, s in zip(bonafide, spoof, strict=True)) - 0.03
    single = fit_affine(*(side[0] for side in two_views(0, 3000)))
    assert cllr(*fused) < cllr(single.apply(bonafide[0]), single.apply(spoof[0])) - 0.03


def test_fusion_agrees_with_scikit_learn() -> None:
    bonafide, spoof = two_views(3, 400)
    fitted = fit_fusion(["a", "b", "c"], bonafide, spoof)
    features = np.concatenate([np.stack(bonafide, 1), np.stack(spoof, 1)])
    truth = np.repeat([1, 0], 400)
    spread = features.std(axis=0)
    other = LogisticRegression(C=1 / (800 * 1e-4), tol=1e-12, max_iter=1000).fit(features / spread, truth)
    assert np.array(fitted.weights) * spread == pytest.approx(other.coef_[0], abs=1e-5)
    assert fitted.offset == pytest.approx(other.intercept_[0], abs=1e-5)


@pytest.mark.parametrize(
    ("models", "bonafide", "spoof", "said"),
    [
        (["a"], [[1.0]], [[0.0]], "1 models; a fusion takes two or more"),
        (["a", "b"], [[1.0, 2.0], [1.0]], [[0.0], [0.0]], "the same trials"),
        (["a", "b"], [[1.0], [1.0]], [[0.0], [1.0]], "all development scores of b are equal"),
    ],
)
def test_unfit_fusions_are_refused(models, bonafide, spoof, said: str) -> None:
    with pytest.raises(ScoresError, match=said):
        fit_fusion(models, bonafide, spoof)
    with pytest.raises(ScoresError, match="this fusion takes a, b"):
        Fusion(("a", "b"), (1.0, 2.0), 0.0, 0.5, 1, 1).apply([[1.0]])


STORED = [
    ("monotone", Monotone((0.0, 1.5), (-2.0, 3.0), 100, 120)),
    ("fusion", Fusion(("a", "b"), (0.5, 1.5), -0.25, 0.5, 10, 20)),
    ("affine", fit_affine([2.0, 3.0, 0.5], [0.0, 1.0])),
]


@pytest.mark.parametrize(("kind", "fitted"), STORED)
def test_a_stored_map_is_the_same_map_and_a_damaged_one_is_refused(kind: str, fitted, tmp_path) -> None:
    path = tmp_path / "calibration.json"
    good = {"kind": kind, "map": fitted.to_dict()}
    path.write_text(json.dumps(good))
    again = read_calibration(path)
    scores = [np.array([-1.0, 0.3, 7.0])] * (2 if kind == "fusion" else 1)
    assert apply_map(again, scores).tolist() == apply_map(fitted, scores).tolist()
    with pytest.raises(ScoresError, match="models' scores"):
        apply_map(again, scores * 3)
    damages = [{**good["map"], "extra": 1}, {}]
    damages += [
        {**good["map"], name: "x"} for name in good["map"] if name != "prior" and "trials" not in name
    ]
    for damage in damages:
        path.write_text(json.dumps({"kind": kind, "map": damage}))
        with pytest.raises(ScoresError):
            read_calibration(path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"kind": "pickle", "map": {}}', '{"kind": "threshold"}'])
def test_files_that_are_no_calibration(text: str, tmp_path) -> None:
    (tmp_path / "c.json").write_text(text)
    with pytest.raises(ScoresError, match="is no calibration|holds a"):
        read_calibration(tmp_path / "c.json")
    with pytest.raises(ScoresError, match="no calibration at"):
        read_calibration(tmp_path / "none.json")
