"""Embeddings and a concept -> embeddings that no linear probe can read it from, and random ones to compare with.

LEACE (Belrose et al., "LEACE: Perfect linear concept erasure in closed form", 2023): among all affine maps after
which features and concept are uncorrelated, the one that moves the features least. Zero correlation is just what
keeps every linear classifier at chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringtrue.evaluation.logistic import fit_logistic
from ringtrue.evaluation.metrics import eer

Array = NDArray[np.float64]
_TOLERANCE = 1e-8  # of the largest eigenvalue: directions with less variance than that are none


@dataclass(frozen=True)
class Eraser:
    """The map ``x - (x - mean) @ projection.T``.

    Attributes:
        mean: `(D,)`.
        projection: `(D, D)`, of the rank that is erased.
    """

    mean: Array
    projection: Array

    def __call__(self, features: NDArray[np.floating]) -> Array:
        """Erase from `(n, D)` features; same shape out."""
        return features - (features - self.mean) @ self.projection.T


def leace(features: NDArray[np.floating], concept: NDArray[np.floating]) -> Eraser:
    """Find the least change after which no linear probe reads a concept.

    Args:
        features: `(n, D)`.
        concept: `(n, R)`: one-hot classes, a bag of units, any numbers.

    Returns:
        The eraser; its rank is that of the covariance of features and concept.
    """
    centred = features - features.mean(axis=0)
    whiten, colour = _whitening(centred)
    across = whiten @ centred.T @ (concept - concept.mean(axis=0)) / len(centred)
    left, sizes, _ = np.linalg.svd(across, full_matrices=False)
    return _eraser(features, whiten, colour, left[:, sizes > 1e-6 * max(1e-300, sizes.max(initial=0.0))])


def random_eraser(features: NDArray[np.floating], rank: int, rng: np.random.Generator) -> Eraser:
    """Erase random directions of the whitened features: what any loss of that rank costs.

    Args:
        features: `(n, D)`.
        rank: How many directions, at most D.
        rng: Chooses them.

    Returns:
        The eraser.
    """
    whiten, colour = _whitening(features - features.mean(axis=0))
    # Within the span of the features: directions without variance cost nothing and would flatter the comparison.
    drawn = whiten @ colour @ rng.standard_normal((features.shape[1], rank))
    return _eraser(features, whiten, colour, np.linalg.qr(drawn)[0])


def within(values: NDArray[np.floating], labels: NDArray[np.integer[Any]]) -> Array:
    """Take each label's mean off, so that what is left is the variation given the label."""
    out = np.asarray(values, dtype=np.float64).copy()
    for label in np.unique(labels):
        out[labels == label] -= out[labels == label].mean(axis=0)
    return out


def main_directions(values: NDArray[np.floating], rank: int) -> Array:
    """Bring `(n, R)` to its first principal components `(n, rank)`, so that an eraser's rank is known."""
    centred = values - values.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    return centred @ axes[:rank].T


@dataclass(frozen=True)
class Erasure:
    """What erasing content does to detection, beside erasing as much at random.

    Attributes:
        rank: Directions erased.
        eer: Of the untouched embeddings, with the logistic fitted anew.
        eer_content: After erasing content given the label.
        eer_random: Mean after erasing random subspaces.
        random_low: 5th percentile of those.
        random_high: 95th percentile.
        percentile: Share of random erasures that end at least as low as the content's. Below 0.05, content was
            in the way of detection; around 0.5, it was neither used nor in the way; near 1, it was of use.
        draws: How many random subspaces.
    """

    rank: int
    eer: float
    eer_content: float
    eer_random: float
    random_low: float
    random_high: float
    percentile: float
    draws: int


def compare_erasures(
    fitted: tuple[Array, NDArray[np.bool_]],
    content: Array,
    judged: tuple[Array, NDArray[np.bool_]],
    rank: int,
    rng: np.random.Generator,
    draws: int = 100,
) -> Erasure:
    """Erase content from embeddings, or random subspaces of equal rank, and refit only the final logistic.

    Args:
        fitted: Embeddings `(n, D)` and which of them are bona fide; erasers and logistic are fitted on these.
        content: `(n, R)` bags of units of the same clips.
        judged: Embeddings and labels of clips of unseen generators.
        rank: Directions to erase.
        rng: Of the random subspaces.
        draws: How many of them.

    Returns:
        The comparison.
    """
    features, human = fitted
    labels = human.astype(np.int64)
    inside = within(features, labels)
    said = main_directions(within(content, labels), rank)
    from_content = Eraser(features.mean(axis=0), leace(inside, said).projection)
    at_random = []
    for _ in range(draws):
        eraser = Eraser(features.mean(axis=0), random_eraser(inside, rank, rng).projection)
        at_random.append(_eer_after(eraser, features, human, *judged))
    after = _eer_after(from_content, features, human, *judged)
    nothing = Eraser(features.mean(axis=0), np.zeros((features.shape[1],) * 2))
    low, high = np.quantile(at_random, [0.05, 0.95])
    return Erasure(
        rank=rank,
        eer=_eer_after(nothing, features, human, *judged),
        eer_content=after,
        eer_random=float(np.mean(at_random)),
        random_low=float(low),
        random_high=float(high),
        percentile=float(np.mean(np.array(at_random) <= after)),
        draws=draws,
    )


def _eer_after(
    eraser: Eraser, features: Array, human: NDArray[np.bool_], judged: Array, judged_human: NDArray[np.bool_]
) -> float:
    fitted = eraser(features)
    mean, scale = fitted.mean(axis=0), fitted.std(axis=0)
    scale = np.where(
        scale > 1e-6 * scale.max(), scale, np.inf
    )  # what was erased must not come back as rounding
    fitted, judged = (fitted - mean) / scale, (eraser(judged) - mean) / scale
    weights = fit_logistic(fitted[human], fitted[~human], 0.5)
    scores = judged @ weights[:-1] + weights[-1]
    return eer(scores[judged_human], scores[~judged_human])


def _whitening(centred: Array) -> tuple[Array, Array]:
    """Square roots of the covariance: its pseudo-inverse's, and its own, both `(D, D)`."""
    sizes, axes = np.linalg.eigh(centred.T @ centred / len(centred))
    kept = sizes > _TOLERANCE * sizes.max(initial=0.0)
    axes, roots = axes[:, kept], np.sqrt(sizes[kept])
    return axes / roots @ axes.T, axes * roots @ axes.T


def _eraser(features: NDArray[np.floating], whiten: Array, colour: Array, directions: Array) -> Eraser:
    return Eraser(features.mean(axis=0), colour @ directions @ directions.T @ whiten)
