"""Features, content and label -> how much of the content is in the features, as losses an encoder can lower.

Each is a pure function, bounded where it can be, and about 1 where content is read as well as can be and 0 where it
is not read at all, so that one weight means a similar thing for each. `conditional` asks for independence *given*
the label: real or fake causes the sound, so content that one label says more often must not be held against the
encoder (Veitch et al., "Counterfactual Invariance to Spurious Correlations", 2021).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional

from ringtrue.training.content import IGNORED

_RARE = 4  # frames or clips of one label below which nothing is said of it
_HSIC_FRAMES = 256  # frames of a label that HSIC looks at: its cost grows with the square


def ramp(progress: float) -> float:
    """Raise a strength from 0 to 1 over training, after a tenth in which only the readers learn.

    Args:
        progress: Share of training done, in [0, 1].

    Returns:
        Ganin & Lempitsky's ``2 / (1 + exp(-10 p)) - 1``, p counted from the end of the warm-up.

    >>> ramp(0.05), round(ramp(1.0), 3)
    (0.0, 1.0)
    """
    return 2.0 / (1.0 + math.exp(-10.0 * max(0.0, (progress - 0.1) / 0.9))) - 1.0


def share_of_gradient(task: Tensor, other: Tensor, strength: float) -> float:
    """Weigh a loss so that its gradient at the features has a given share of the task's.

    This makes a lambda mean the same in every experiment. A bare weight does not: a squared error against a pooled
    embedding is a hundred times weaker than the task and inert, a frame-level cross-entropy can erase the task.

    Args:
        task: Gradient of the task's loss at the features, any shape.
        other: Gradient of the other loss at the same place.
        strength: Lambda, at least 0.

    Returns:
        The weight of the other loss.

    >>> share_of_gradient(torch.tensor([3.0, 4.0]), torch.tensor([0.0, 2.0]), 0.5)
    1.25
    """
    return float(strength * task.norm() / other.norm().clamp(min=1e-12))


def reversal(loss: Tensor, knows_nothing: float) -> Tensor:
    """Turn a reader's loss against it, as a gradient-reversal layer does, and stop where the reader knows nothing.

    Ganin & Lempitsky, "Unsupervised Domain Adaptation by Backpropagation", 2015. The clamp bounds what the encoder
    can win: without it, it may go on to make the reader confidently wrong, or its own features huge.

    Args:
        loss: The reader's loss.
        knows_nothing: That loss for a reader who knows the label only.

    Returns:
        ``max(0, 1 - loss / knows_nothing)``: 1 for a perfect reader.
    """
    return functional.relu(1.0 - loss / knows_nothing)


def confusion(logits: Tensor, prior: Tensor, known: Tensor) -> Tensor:
    """Ask that a reader fall back on what it would say without features.

    Args:
        logits: `(B, K, ...)` of the reader.
        prior: `(B, K)` how often each unit is said under the clip's label.
        known: `(B, ...)` bool, where it counts.

    Returns:
        Mean ``KL(prior || reader) / log K``.
    """
    log_read = functional.log_softmax(logits, dim=1)
    wanted = prior.view(*prior.shape, *(1,) * (logits.dim() - 2)).expand_as(logits)
    divergence = (wanted * (wanted.clamp(min=1e-9).log() - log_read)).sum(dim=1)
    return (divergence * known).sum() / known.sum().clamp(min=1) / math.log(logits.shape[1])


def club(logits: Tensor, units: Tensor) -> Tensor:
    """Bound the mutual information of features and units from above by a reader of one from the other.

    Cheng et al., "CLUB: A Contrastive Log-ratio Upper Bound of Mutual Information", 2020: the mean log-probability
    of what was said less that of what was said anywhere else in the batch.

    Args:
        logits: `(B, K, L)` of the reader.
        units: `(B, L)` int64, `IGNORED` where unknown.

    Returns:
        The bound as a share of log K, cut at 0: an untrained reader's estimate can be negative and means nothing.
    """
    known = units != IGNORED
    log_read = functional.log_softmax(logits, dim=1).transpose(1, 2)[known]  # (N, K)
    said = functional.one_hot(units[known], logits.shape[1]).to(log_read.dtype)
    if len(said) == 0:
        return logits.sum() * 0.0
    together = (log_read * said).sum(dim=1).mean()
    apart = (log_read.mean(dim=0) * said.mean(dim=0)).sum()
    return functional.relu(together - apart) / math.log(logits.shape[1])


def frame_correlation(
    evidence: Tensor, units: Tensor, labels: Tensor, count: int, *, conditional: bool
) -> Tensor:
    """Measure how much of the evidence's variance the units explain linearly.

    The squared Frobenius norm of the cross-correlation of evidence and unit indicators, per evidence dimension: for
    one dimension it is, up to the indicators' own variance, the correlation ratio of the evidence given the unit.

    Args:
        evidence: `(B, D, L)`.
        units: `(B, L)` int64, `IGNORED` where unknown.
        labels: `(B,)` int64.
        count: K.
        conditional: Within each label, and then summed over the labels.

    Returns:
        A scalar, at least 0.
    """
    frames = evidence.transpose(1, 2)
    known = units != IGNORED
    total = evidence.sum() * 0.0
    for group in _groups(labels, conditional):
        mask = known & group[:, None]
        if int(mask.sum()) >= _RARE:
            said = functional.one_hot(units[mask], count).to(evidence.dtype)
            total = total + _correlation(frames[mask], said).square().sum() / evidence.shape[1]
    return total


def embedding_correlation(embedding: Tensor, content: Tensor, labels: Tensor, *, conditional: bool) -> Tensor:
    """Measure the linear correlation of embeddings and what was said in their clips.

    Args:
        embedding: `(N, D)`.
        content: `(N, C)`, such as principal components of bags of units.
        labels: `(N,)` int64.
        conditional: Within each label, and then summed over the labels.

    Returns:
        The mean squared correlation, a scalar in [0, 1] for each label.
    """
    total = embedding.sum() * 0.0
    for group in _groups(labels, conditional):
        if int(group.sum()) >= _RARE:
            total = total + _correlation(embedding[group], content[group]).square().mean()
    return total


def hsic(features: Tensor, same: Tensor) -> Tensor:
    """Measure any dependence, linear or not, by the normalised Hilbert-Schmidt independence criterion.

    Gretton et al., "Measuring Statistical Dependence with Hilbert-Schmidt Norms", 2005; normalised as in centred
    kernel alignment (Cortes et al., 2012), so that scale drops out.

    Args:
        features: `(N, D)`, under a Gaussian kernel as wide as their median distance.
        same: `(N, N)` kernel of the content: symmetric, positive semi-definite.

    Returns:
        A scalar in [0, 1]; 0 where one of the two does not vary.
    """
    squared = torch.cdist(features, features).square()
    spread = squared.median().clamp(min=1e-6)  # not detached: features cannot escape by growing or shrinking
    left, right = _centred(torch.exp(-squared / spread)), _centred(same)
    scale = left.norm() * right.norm()
    return (left * right).sum() / scale.clamp(min=1e-9)


def frame_hsic(evidence: Tensor, units: Tensor, labels: Tensor, *, conditional: bool) -> Tensor:
    """Measure the dependence of evidence and units by `hsic`, on evenly spaced known frames.

    Args:
        evidence: `(B, D, L)`.
        units: `(B, L)` int64, `IGNORED` where unknown.
        labels: `(B,)` int64.
        conditional: Within each label, and then summed over the labels.

    Returns:
        A scalar, at least 0.
    """
    frames = evidence.transpose(1, 2)
    total = evidence.sum() * 0.0
    for group in _groups(labels, conditional):
        mask = (units != IGNORED) & group[:, None]
        heard, said = frames[mask], units[mask]
        if len(said) >= _RARE:
            chosen = torch.linspace(0, len(said) - 1, min(len(said), _HSIC_FRAMES), device=said.device).long()
            said = said[chosen]
            total = total + hsic(heard[chosen], (said[:, None] == said[None, :]).to(evidence.dtype))
    return total


def embedding_hsic(embedding: Tensor, content: Tensor, labels: Tensor, *, conditional: bool) -> Tensor:
    """Measure the dependence of embeddings and what was said in their clips by `hsic`.

    Args:
        embedding: `(N, D)`.
        content: `(N, C)`.
        labels: `(N,)` int64.
        conditional: Within each label, and then summed over the labels.

    Returns:
        A scalar, at least 0.
    """
    total = embedding.sum() * 0.0
    for group in _groups(labels, conditional):
        if int(group.sum()) >= _RARE:
            squared = torch.cdist(content[group], content[group]).square()
            kernel = torch.exp(-squared / squared.median().clamp(min=1e-6))
            total = total + hsic(embedding[group], kernel)
    return total


def bottleneck(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Charge an embedding for every bit that it carries.

    Alemi et al., "Deep Variational Information Bottleneck", 2017.

    Args:
        mean: `(B, D)`.
        log_variance: `(B, D)`.

    Returns:
        ``KL(N(mean, variance) || N(0, 1))`` per clip in nats.
    """
    return 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).sum(dim=1).mean()


def content_directions(embedding: Tensor, content: Tensor, rank: int) -> Tensor:
    """Find the directions of an embedding that say most about the content (canonical correlation analysis).

    Args:
        embedding: `(N, D)`.
        content: `(N, C)`.
        rank: How many directions, at most.

    Returns:
        `(D, rank)` orthonormal.
    """
    centred, said = (value - value.mean(dim=0) for value in (embedding, content))
    left, right = _whitener(centred), _whitener(said)
    cross = left.T @ (centred.T @ said / len(centred)) @ right
    directions = left @ torch.linalg.svd(cross).U[:, :rank]
    return torch.linalg.qr(directions).Q


def _whitener(centred: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(centred))
    floor = 1e-3 * values[-1].clamp(min=1e-12)  # directions with hardly any variance would be noise blown up
    return vectors / (values.clamp(min=0) + floor).sqrt()


def _correlation(left: Tensor, right: Tensor) -> Tensor:
    """Correlate the columns of `(N, D)` and `(N, C)`: `(D, C)`; a column that does not vary correlates with none."""
    left, right = (
        (value - value.mean(dim=0)) * torch.rsqrt(value.var(dim=0, correction=0) + 1e-8)
        for value in (left, right)
    )
    return left.T @ right / len(left)


def _centred(kernel: Tensor) -> Tensor:
    rows = kernel.mean(dim=0, keepdim=True)
    return kernel - rows - rows.T + kernel.mean()


def _groups(labels: Tensor, conditional: bool) -> Iterator[Tensor]:
    """Give the clips of each label, or all."""
    if not conditional:
        yield torch.ones_like(labels, dtype=torch.bool)
        return
    for label in (0, 1):
        yield labels == label
