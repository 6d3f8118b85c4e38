"""Every penalty against what it must be: closed forms, planted dependence, finite differences."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch.nn import functional

from ringtrue.training import invariance
from ringtrue.training.content import IGNORED


@pytest.fixture
def rng():
    return torch.Generator().manual_seed(0)


def slope(function, at, direction, step=1e-3):
    """Central difference of a scalar function along a direction."""
    return float(function(at + step * direction) - function(at - step * direction)) / (2 * step)


def assert_gradient(function, at, rng):
    """Hold autograd's slope along random directions against finite differences, in double precision."""
    at = at.double().requires_grad_()
    (gradient,) = torch.autograd.grad(function(at), at)
    for _ in range(3):
        direction = torch.randn(at.shape, generator=rng, dtype=torch.float64)
        expected = slope(function, at.detach(), direction, 1e-5)
        assert float((gradient * direction).sum()) == pytest.approx(expected, rel=1e-4, abs=1e-8)


def test_lambda_is_the_share_of_the_tasks_gradient(rng):
    task, other = (torch.randn(4, 3, 5, generator=rng) for _ in range(2))
    for size in (1e-6, 1.0, 1e6):  # whatever the other loss's own scale
        weight = invariance.share_of_gradient(task, size * other, 0.25)
        assert float((weight * size * other).norm() / task.norm()) == pytest.approx(0.25, rel=1e-4)
    assert invariance.share_of_gradient(task, torch.zeros_like(task), 0.0) == 0.0
    assert math.isfinite(invariance.share_of_gradient(task, torch.zeros_like(task), 1.0))


def test_the_ramp_waits_then_rises_to_one():
    values = [invariance.ramp(progress) for progress in np.linspace(0, 1, 50)]
    assert values[:5] == [0.0] * 5
    assert all(a <= b for a, b in pairwise(values))
    assert values[-1] > 0.999


def test_reversal_sits_at_the_feature_and_points_away_from_the_reader(rng):
    """A step down the reversed loss raises the reader's own loss: finite differences at the evidence."""
    reader = torch.nn.Conv1d(4, 6, 1)
    evidence, units = torch.randn(2, 4, 10, generator=rng), torch.randint(0, 6, (2, 10), generator=rng)

    def reading(at):
        return functional.cross_entropy(reader(at), units) / math.log(6)

    at = evidence.requires_grad_()
    (own,) = torch.autograd.grad(reading(at), at)
    (reversed_,) = torch.autograd.grad(invariance.reversal(reading(at), 5.0), at)
    assert torch.allclose(reversed_, -own / 5.0, atol=1e-7)
    with torch.no_grad():
        assert reading(evidence - 10 * reversed_) > reading(evidence)


def test_reversal_stops_where_the_reader_knows_nothing():
    assert float(invariance.reversal(torch.tensor(0.0), 2.0)) == 1.0
    loss = torch.tensor(2.5, requires_grad=True)
    won = invariance.reversal(loss, 2.0)
    won.backward()
    assert (won.item(), loss.grad.item()) == (0.0, 0.0)


def test_confusion_is_zero_at_the_prior_and_a_divergence_elsewhere(rng):
    prior = torch.tensor([[0.5, 0.25, 0.25]])
    known = torch.ones(1, 4, dtype=torch.bool)
    at_prior = prior.log()[:, :, None].expand(1, 3, 4)
    assert float(invariance.confusion(at_prior, prior, known)) == pytest.approx(0.0, abs=1e-6)
    uniform = torch.zeros(1, 3, 4)
    entropy = -(0.5 * math.log(0.5) + 0.5 * math.log(0.25))
    assert float(invariance.confusion(uniform, prior, known)) == pytest.approx(
        (math.log(3) - entropy) / math.log(3), rel=1e-5
    )
    half = known.clone()
    half[:, 2:] = False
    logits = torch.randn(1, 3, 4, generator=rng)
    assert float(invariance.confusion(logits, prior, half)) == pytest.approx(
        float(invariance.confusion(logits[:, :, :2], prior, known[:, :2])), rel=1e-6
    )
    assert_gradient(lambda at: invariance.confusion(at, prior.double(), known), logits, rng)


def test_club_is_the_entropy_for_a_perfect_reader_and_nothing_for_a_blind_one(rng):
    units = torch.arange(8).repeat(2, 5)
    perfect = 50.0 * functional.one_hot(units, 8).transpose(1, 2).float()
    # log q(u|e) is 0 where it is right; -50 anywhere else, where seven of eight shuffled units are
    assert float(invariance.club(perfect, units)) == pytest.approx(50 * 7 / 8 / math.log(8), rel=1e-3)
    blind = torch.zeros(2, 8, 40)
    assert float(invariance.club(blind, units)) == pytest.approx(0.0, abs=1e-6)
    assert float(invariance.club(perfect, torch.full_like(units, IGNORED))) == 0.0
    # gentle logits, so that the bound is not saturated
    assert_gradient(
        lambda at: invariance.club(at, units), 0.1 * perfect + torch.randn(2, 8, 40, generator=rng), rng
    )


def test_frame_correlation_is_the_explained_variance(rng):
    """For two units, the squared correlation with both indicators is twice the explained share of the variance."""
    units = torch.randint(0, 2, (4, 500), generator=rng)
    labels = torch.zeros(4, dtype=torch.long)
    said = units.float()
    noise = torch.randn(4, 500, generator=rng)
    for share in (0.0, 0.5, 1.0):
        evidence = (math.sqrt(share) * 2 * (said - said.mean()) + math.sqrt(1 - share) * noise)[:, None]
        found = float(invariance.frame_correlation(evidence, units, labels, 2, conditional=True))
        assert found == pytest.approx(2 * share, abs=0.08)


def test_the_conditional_form_forgives_what_the_label_explains(rng):
    """Evidence that is the label, and units that one label says more often: dependent, but not given the label."""
    labels = torch.tensor([0, 1]).repeat(8)
    skew = torch.rand(16, 400, generator=rng) < 0.9
    units = torch.where(skew, labels[:, None], 1 - labels[:, None])
    evidence = labels[:, None, None] + 0.1 * torch.randn(16, 1, 400, generator=rng)
    given = float(invariance.frame_correlation(evidence, units, labels, 2, conditional=True))
    marginal = float(invariance.frame_correlation(evidence, units, labels, 2, conditional=False))
    assert given < 0.02
    assert marginal > 1.0
    given = float(invariance.frame_hsic(evidence, units, labels, conditional=True))
    marginal = float(invariance.frame_hsic(evidence, units, labels, conditional=False))
    assert given < 0.05 * 2
    assert marginal > 0.3


def test_embedding_correlation_finds_a_planted_column(rng):
    labels = torch.tensor([0, 1]).repeat(300)
    embedding, content = torch.randn(600, 4, generator=rng), torch.randn(600, 3, generator=rng)
    apart = float(invariance.embedding_correlation(embedding, content, labels, conditional=True))
    embedding[:, 2] = content[:, 1]
    together = float(invariance.embedding_correlation(embedding, content, labels, conditional=True))
    # one of twelve pairs of columns correlates by 1, under both labels
    assert together - apart == pytest.approx(2 / 12, abs=0.02)


def test_hsic_sees_what_correlation_cannot(rng):
    """A circle: its coordinate is uncorrelated with a radius that determines it."""
    angle = 2 * math.pi * torch.rand(200, generator=rng)
    features, content = torch.cos(angle)[:, None], torch.sin(angle)[:, None].abs()
    labels = torch.zeros(200, dtype=torch.long)
    assert float(invariance.embedding_correlation(features, content, labels, conditional=True)) < 0.02
    dependent = float(invariance.embedding_hsic(features, content, labels, conditional=True))
    shuffled = content[torch.randperm(200, generator=rng)]
    independent = float(invariance.embedding_hsic(features, shuffled, labels, conditional=True))
    assert dependent > 5 * independent
    same = (content @ content.T).double()
    assert float(invariance.hsic(features, torch.ones(200, 200))) == pytest.approx(0.0, abs=1e-6)
    assert_gradient(lambda at: invariance.hsic(at, same[:20, :20]), features[:20] + 0.1, rng)


@pytest.mark.parametrize("conditional", [True, False])
def test_frame_penalties_have_the_slope_that_they_say(rng, conditional):
    evidence, units = torch.randn(4, 3, 12, generator=rng), torch.randint(0, 5, (4, 12), generator=rng)
    units[0, :3] = IGNORED
    labels = torch.tensor([0, 1, 0, 1])
    assert_gradient(
        lambda at: invariance.frame_correlation(at, units, labels, 5, conditional=conditional), evidence, rng
    )
    embedding, content = torch.randn(12, 4, generator=rng), torch.randn(12, 3, generator=rng).double()
    many = labels.repeat(3)
    assert_gradient(
        lambda at: invariance.embedding_correlation(at, content, many, conditional=conditional),
        embedding,
        rng,
    )


def test_penalties_of_silence_and_of_constant_features_are_zero_with_a_finite_slope():
    units = torch.full((2, 10), IGNORED)
    labels = torch.tensor([0, 1])
    for evidence, said in ((torch.randn(2, 3, 10), units), (torch.ones(2, 3, 10), units.clamp(min=0))):
        at = evidence.requires_grad_()
        total = invariance.frame_correlation(at, said, labels, 4, conditional=True)
        total = total + invariance.frame_hsic(at, said, labels, conditional=True)
        total.backward()
        assert total.item() == pytest.approx(0.0, abs=1e-6)
        assert bool(torch.isfinite(at.grad).all())


def test_the_bottleneck_is_the_divergence_of_gaussians(rng):
    assert float(invariance.bottleneck(torch.zeros(3, 5), torch.zeros(3, 5))) == 0.0
    mean, log_variance = torch.randn(2, 4, generator=rng), torch.randn(2, 4, generator=rng)
    one = torch.distributions.Normal(mean, torch.exp(0.5 * log_variance))
    truth = torch.distributions.kl_divergence(one, torch.distributions.Normal(0.0, 1.0)).sum(1).mean()
    assert float(invariance.bottleneck(mean, log_variance)) == pytest.approx(float(truth), rel=1e-5)
    assert_gradient(lambda at: invariance.bottleneck(at, log_variance.double()), mean, rng)


def test_content_directions_find_where_content_was_planted(rng):
    content = torch.randn(2000, 3, generator=rng)
    mixing, _ = torch.linalg.qr(torch.randn(10, 10, generator=rng))
    hidden = torch.randn(2000, 10, generator=rng)
    hidden[:, :2] = content[:, :2] + 0.1 * hidden[:, :2]
    directions = invariance.content_directions(hidden @ mixing.T, content, rank=2)
    assert torch.allclose(directions.T @ directions, torch.eye(2), atol=1e-5)
    planted = mixing[:, :2]
    # the two planes are the same: every planted direction lies in the one found
    assert float((directions.T @ planted).norm() ** 2) == pytest.approx(2.0, abs=0.05)
