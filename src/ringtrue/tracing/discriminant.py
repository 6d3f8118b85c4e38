"""Statistics of clips and their systems -> a tracer in closed form: directions in which systems lie apart, and where.

Fisher's discriminant ("The use of multiple measurements in taxonomic problems", 1936) for many classes (Rao, 1948): the
space is turned and scaled so that clips of one system spread alike in all directions, and only the directions between
systems are kept. Plain distance then is what tells systems apart, and probabilities follow from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ringtrue.errors import CorpusError
from ringtrue.tracing.texture import Texture

Array = NDArray[np.float64]

_SHRINKAGE = 0.1  # share of the spread that is taken to be alike in all directions
_PEOPLE = 0.2  # share of the spread that people teach: what differs among them is no trace of a system
_FARTHEST = 5.0  # standard deviations at which a statistic is cut off
_NEGLIGIBLE = 1e-6  # of the largest: a direction in which systems do not differ


@dataclass(frozen=True)
class Discriminant:
    """A fitted discriminant.

    Attributes:
        centre: Mean of each statistic `(S,)`, systems counted alike.
        scale: Its standard deviation `(S,)`.
        directions: `(S, D)`.
        positions: Where the systems lie `(K, D)`.
    """

    centre: Array
    scale: Array
    directions: Array
    positions: Array

    def embed(self, statistics: NDArray[np.float32]) -> Array:
        """Map statistics `(n, S)` to `(n, D)`, in standard deviations within systems."""
        return _standard(statistics, self.centre, self.scale) @ self.directions

    def logits(self, embeddings: Array) -> Array:
        """Give log-likelihoods of the systems `(n, K)`, but for a constant, of embeddings `(n, D)`."""
        gaps = embeddings[:, None] - self.positions[None]
        return np.asarray(-0.5 * np.square(gaps).sum(2))


def fit(
    statistics: NDArray[np.float32], labels: NDArray[np.int64], people: NDArray[np.float32] | None = None
) -> Discriminant:
    """Fit a discriminant; every system counts as much as any other.

    Args:
        statistics: Of the training clips, `(n, S)`.
        labels: System of each, 0 to K - 1; every one occurs.
        people: Statistics of people's clips, `(m, S)`: what differs among these is discounted.

    Returns:
        The discriminant.

    Raises:
        CorpusError: There are fewer than two systems, or one has no clip.
    """
    counts = np.bincount(labels)
    if len(counts) < 2 or not counts.all():
        raise CorpusError(
            f"clips by system: {counts.tolist()}; a tracer needs two systems or more, and clips of every one"
        )
    weights = (1 / counts[labels] / len(counts))[:, None]
    centre = (weights * statistics).sum(0)
    scale = np.sqrt((weights * np.square(statistics - centre)).sum(0)) + 1e-4
    rows = _standard(statistics, centre, scale)
    means = np.stack([rows[labels == k].mean(0) for k in range(len(counts))])
    within = _scatter(rows - means[labels], weights)
    if people is not None:
        heard = _standard(people, centre, scale)
        spread = _scatter(heard - heard.mean(0), np.full((len(heard), 1), 1 / len(heard)))
        within = (1 - _PEOPLE) * within + _PEOPLE * spread
    size = len(within)
    within = (1 - _SHRINKAGE) * within + _SHRINKAGE * np.trace(within) / size * np.eye(size)
    apart = means - means.mean(0)
    raw = np.linalg.solve(within, apart.T)  # (S, K): the directions between systems, of rank K - 1
    values, vectors = np.linalg.eigh(apart @ raw)
    kept = np.flatnonzero(values > _NEGLIGIBLE * values.max())[::-1]  # what tells most comes first
    directions = raw @ vectors[:, kept] / np.sqrt(values[kept])
    return Discriminant(centre, scale, directions, means @ directions)


def family_logits(logits: Array, members: Mapping[str, Sequence[int]]) -> Array:
    """Add up the probabilities of the systems of each family.

    Args:
        logits: Of systems, `(n, K)`.
        members: Places of each family's systems.

    Returns:
        `(n, families)`, in the order of `members`.
    """
    return np.stack([np.logaddexp.reduce(logits[:, list(some)], axis=1) for some in members.values()], axis=1)


class DiscriminantGraph(nn.Module):
    """The whole tracer: waves in; embedding, and logits of systems and of families of them, out.

    Args:
        discriminant: On statistics of `Texture`.
        families: For each further output, places of the systems of each class.
    """

    def __init__(self, discriminant: Discriminant, families: Sequence[Mapping[str, Sequence[int]]]):
        super().__init__()
        self.texture = Texture()
        self.families = [[list(some) for some in members.values()] for members in families]
        self.centre: Tensor
        self.scale: Tensor
        self.directions: Tensor
        self.positions: Tensor
        for name in ("centre", "scale", "directions", "positions"):
            self.register_buffer(name, torch.from_numpy(getattr(discriminant, name)).float())

    def forward(self, wave: Tensor) -> tuple[Tensor, ...]:
        """Give the embedding `(B, D)`, logits of systems `(B, K)`, then those of each attribute's families."""
        statistics = (self.texture(wave) - self.centre) / self.scale
        embedding = statistics.clamp(-_FARTHEST, _FARTHEST) @ self.directions
        logits = -0.5 * (embedding[:, None] - self.positions[None]).square().sum(2)
        grouped = [
            torch.stack([torch.logsumexp(logits[:, some], dim=1) for some in members], dim=1)
            for members in self.families
        ]
        return embedding, logits, *grouped


def _standard(statistics: NDArray[np.float32], centre: Array, scale: Array) -> Array:
    return np.clip((statistics - centre) / scale, -_FARTHEST, _FARTHEST)


def _scatter(rows: Array, weights: Array) -> Array:
    """Weighted products of rows with themselves; in single precision, which is where all the time goes."""
    scaled = (rows * np.sqrt(weights)).astype(np.float32)
    return np.asarray(scaled.T @ scaled, dtype=np.float64)
