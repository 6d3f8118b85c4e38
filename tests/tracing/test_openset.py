"""Familiarity scores against numbers by hand and against what they must do on clusters."""

import numpy as np
import pytest

from ringtrue.errors import CorpusError
from ringtrue.evaluation.openset import auroc
from ringtrue.tracing.openset import SCORES, Heard, Known, rejection_threshold, whitening

CENTRES = np.array([[6.0, 0, 0], [0, 6, 0], [0, 0, 6]])


def clusters(centres, count, seed):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(centres)), count)
    clips = centres[labels] + rng.standard_normal((len(labels), centres.shape[1]))
    return Heard(clips, 2 * clips @ CENTRES.T / 6), labels


@pytest.fixture
def known():
    return Known(*clusters(CENTRES, 30, 0))


@pytest.mark.parametrize("name", SCORES)
def test_every_score_is_higher_for_what_is_known(known, name):
    inside, _ = clusters(CENTRES, 40, 1)
    outside, _ = clusters(np.array([[-4.0, -4, -4], [0.5, 0.5, 0.5]]), 40, 2)
    scores = SCORES[name](inside, known), SCORES[name](outside, known)
    assert all(values.shape == (count,) for values, count in zip(scores, (120, 80), strict=True))
    assert auroc(*scores) > 0.75


def test_scores_by_hand():
    known = Known(
        Heard(np.array([[1.0, 0], [3, 0], [0, 1], [0, 3]]), np.eye(4)[:, :2]), np.array([0, 0, 1, 1])
    )
    heard = Heard(np.array([[2.0, 0.0]]), np.array([[np.log(3.0), 0.0]]))
    assert SCORES["energy"](heard, known) == pytest.approx(np.log(4))
    assert SCORES["max_softmax"](heard, known) == pytest.approx(0.75)
    assert SCORES["softmax_energy"](heard, known) == pytest.approx(np.log(np.exp(0.75) + np.exp(0.25)))
    assert SCORES["knn"](heard, known) == pytest.approx(
        0.0
    )  # of four neighbours the fourth is at a right angle
    assert SCORES["prototype_cosine"](heard, known) == pytest.approx(1.0)
    energies = np.log(np.exp(np.eye(4)[:, :2]).sum(1))
    bank = np.array([[1, 0], [1, 0], [0, 1], [0, 1]]) * energies[:, None]
    assert SCORES["nsd"](heard, known) == pytest.approx(bank.mean(0)[0] * np.log(4))


def test_mahalanobis_knows_the_spread(known):
    flat = Known(Heard(known.heard.embeddings * np.array([10.0, 1, 1]), known.heard.logits), known.labels)
    transform = whitening(flat, ridge=0.0)
    centred = (flat.heard.embeddings - flat.means[flat.labels]) @ transform
    assert np.cov(centred.T, bias=True) == pytest.approx(np.eye(3), abs=1e-6)
    along = SCORES["mahalanobis"](Heard(flat.means[:1] + np.array([[5, 0, 0]]), np.zeros((1, 3))), flat)
    across = SCORES["mahalanobis"](Heard(flat.means[:1] + np.array([[0, 5, 0]]), np.zeros((1, 3))), flat)
    assert along > across


def test_the_threshold_refuses_as_many_known_as_it_lets_in_unknown():
    rng = np.random.default_rng(0)
    inside, outside = rng.normal(2, 1, 4_000), rng.normal(0, 1, 4_000)
    threshold = rejection_threshold(inside, outside)
    assert threshold == pytest.approx(1.0, abs=0.1)
    assert np.mean(inside < threshold) == pytest.approx(np.mean(outside >= threshold), abs=0.01)
    with pytest.raises(CorpusError, match="keep whole systems out of training"):
        rejection_threshold(inside, np.empty(0))
