import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from ringtrue.evaluation.probes.erase import compare_erasures, leace, main_directions, random_eraser, within


@pytest.fixture
def planted():
    """600 points of 12 dimensions, correlated, in which a concept of four classes is planted along two."""
    rng = np.random.default_rng(0)
    concept = np.eye(4)[rng.integers(4, size=600)]
    mixing = rng.normal(size=(12, 12))
    features = rng.normal(size=(600, 12)) @ mixing + concept @ rng.normal(0, 4, size=(4, 12))
    return features, concept


def reads(features, concept):
    classes = concept.argmax(axis=1)
    return LogisticRegression(max_iter=2000).fit(features, classes).score(features, classes)


def test_no_linear_probe_reads_what_was_erased(planted):
    features, concept = planted
    erased = leace(features, concept)(features)
    majority = concept.mean(axis=0).max()
    assert reads(features, concept) > 0.9
    assert reads(erased, concept) < majority + 0.02
    covariance = (erased - erased.mean(axis=0)).T @ (concept - concept.mean(axis=0)) / len(erased)
    assert np.abs(covariance).max() < 1e-9


def test_features_are_moved_no_more_than_they_must_be(planted):
    """Among oblique projections that kill the covariance, LEACE's moves the points least; the orthogonal one more."""
    features, concept = planted
    centred = features - features.mean(axis=0)
    across = centred.T @ (concept - concept.mean(axis=0))
    basis = np.linalg.svd(across, full_matrices=False)[0][:, :3]
    orthogonal = centred - centred @ basis @ basis.T
    moved = np.square(leace(features, concept)(features) - features).sum()
    assert moved < 0.999 * np.square(orthogonal - centred).sum()
    rng = np.random.default_rng(1)
    for _ in range(20):  # any other projection with the same kernel's image
        tilt = basis + 0.05 * np.linalg.norm(basis) * (np.eye(12) - basis @ basis.T) @ rng.normal(
            size=(12, 3)
        )
        other = basis @ np.linalg.inv(tilt.T @ basis) @ tilt.T
        assert np.abs((np.eye(12) - other) @ across).max() < 1e-6
        assert np.square(centred @ other.T).sum() > moved


def test_erasing_twice_is_erasing_once(planted):
    features, concept = planted
    eraser = leace(features, concept)
    assert np.allclose(eraser(eraser(features)), eraser(features), atol=1e-8)
    assert np.linalg.matrix_rank(eraser.projection) == 3  # four classes have three degrees of freedom


def test_directions_without_variance_do_no_harm(planted):
    features, concept = planted
    flat = np.column_stack([features, np.zeros(len(features)), features[:, 0]])
    assert reads(leace(flat, concept)(flat), concept) < 0.35
    assert np.isfinite(random_eraser(flat, 3, np.random.default_rng(0))(flat)).all()


def test_a_random_eraser_has_the_rank_it_was_asked_for(planted):
    features, _ = planted
    eraser = random_eraser(features, 4, np.random.default_rng(0))
    assert np.linalg.matrix_rank(eraser.projection) == 4
    assert np.allclose(eraser.projection @ eraser.projection, eraser.projection)


def clips(rng, count, content_of):
    """Embeddings of 10 dimensions: 0 tells real from fake weakly, 1 carries what is said."""
    human = np.arange(count) % 2 == 0
    said = rng.normal(size=count) + content_of(human)
    features = rng.normal(size=(count, 10))
    features[:, 0] += 1.5 * human
    features[:, 1] = said + 0.1 * rng.normal(size=count)
    return features, human, np.column_stack([said, -said])


def test_content_that_misleads_is_better_gone_than_a_random_subspace():
    rng = np.random.default_rng(0)
    # Given the label, what is said varies; in the fitting half it also goes with the label, later against it.
    features, human, bags = clips(rng, 400, lambda human: 1.5 * human)
    judged, judged_human, _ = clips(rng, 400, lambda human: -1.5 * human)
    found = compare_erasures((features, human), bags, (judged, judged_human), 1, rng, draws=40)
    assert found.eer > 0.3
    assert found.eer_content < 0.3
    assert found.percentile < 0.05


def test_content_that_nothing_depends_on_is_erased_like_anything_else():
    rng = np.random.default_rng(1)
    features, human, bags = clips(rng, 400, lambda human: 0.0)
    judged, judged_human, _ = clips(rng, 400, lambda human: 0.0)
    found = compare_erasures((features, human), bags, (judged, judged_human), 1, rng, draws=40)
    assert abs(found.eer_content - found.eer) < 0.03
    assert found.percentile > 0.01


def test_within_and_main_directions():
    values, labels = np.array([[1.0, 5.0], [3.0, 5.0], [10.0, 0.0]]), np.array([0, 0, 1])
    assert within(values, labels).tolist() == [[-1.0, 0.0], [1.0, 0.0], [0.0, 0.0]]
    assert main_directions(np.random.default_rng(0).normal(size=(9, 4)), 2).shape == (9, 2)
