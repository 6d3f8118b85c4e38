"""Embeddings and logits of a clip, and what training knows -> how familiar the clip is; **higher = more familiar**.

A clip that is less familiar than a threshold gets the answer *unknown*. The threshold comes from systems held out of
training (`rejection_threshold`), never from test clips.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringtrue.errors import CorpusError
from ringtrue.evaluation.metrics import eer_threshold

Array = NDArray[np.float64]

_PIECE = 2048  # clips


@dataclass(frozen=True)
class Heard:
    """What a tracer makes of clips.

    Attributes:
        embeddings: `(n, D)`.
        logits: `(n, K)`.
    """

    embeddings: Array
    logits: Array


@dataclass(frozen=True)
class Known:
    """What training leaves behind.

    Attributes:
        heard: The training clips, as the trained tracer hears them.
        labels: Class of each, 0 to K - 1.
    """

    heard: Heard
    labels: NDArray[np.int64]

    @property
    def means(self) -> Array:
        """Mean embedding of each class `(K, D)`."""
        return np.stack(
            [self.heard.embeddings[self.labels == k].mean(axis=0) for k in range(self.labels.max() + 1)]
        )


def energy(heard: Heard, known: Known, temperature: float = 1.0) -> Array:
    """``T log sum exp(logits / T)``, the negative free energy (Liu et al., 2020)."""
    return temperature * _log_sum_exp(heard.logits / temperature)


def softmax_energy(heard: Heard, known: Known) -> Array:
    """Energy of the softmax outputs instead of the logits: from ``log(K - 1 + e)`` for one class alone downwards.

    Klein, Tak & Khoury, "Open-set source tracing", 2025, name this score; the formula is ours to the letter of its name
    and was not checked against the paper.
    """
    return _log_sum_exp(_softmax(heard.logits))


def max_softmax(heard: Heard, known: Known) -> Array:
    """Probability of the likeliest class (Hendrycks & Gimpel, 2017)."""
    return _softmax(heard.logits).max(axis=1)


def knn(heard: Heard, known: Known, k: int = 10) -> Array:
    """Cosine to the k-th most similar training clip (Sun et al., "Deep nearest neighbors", 2022)."""
    bank = _unit(known.heard.embeddings).T
    k = min(k, bank.shape[1])
    pieces = in_pieces(_unit(heard.embeddings))
    return np.concatenate([np.partition(piece @ bank, -k, axis=1)[:, -k] for piece in pieces])


def mahalanobis(heard: Heard, known: Known) -> Array:
    """Negative squared distance to the nearest class mean, in units of the spread within classes (Lee et al., 2018)."""
    transform = whitening(known)
    clips, means = heard.embeddings @ transform, known.means @ transform
    return -_squared_distances(clips, means).min(axis=1)


def prototype_cosine(heard: Heard, known: Known) -> Array:
    """Cosine to the most similar class mean, both seen from the mean of all training clips."""
    centre = known.heard.embeddings.mean(axis=0)
    return (_unit(heard.embeddings - centre) @ _unit(known.means - centre).T).max(axis=1)


def nsd(heard: Heard, known: Known) -> Array:
    """Mean similarity to the training clips, each weighted by its energy and by that of the clip itself.

    As in the published MLAAD source-tracing baseline (after Xie et al., 2024), whose README reads it the other way
    round: there, too, known clips score higher.
    """
    bank = _unit(known.heard.embeddings) * _log_sum_exp(known.heard.logits)[:, None]
    return (_unit(heard.embeddings) @ bank.mean(axis=0)) * _log_sum_exp(heard.logits)


SCORES: dict[str, Callable[[Heard, Known], Array]] = {
    "energy": energy,
    "softmax_energy": softmax_energy,
    "max_softmax": max_softmax,
    "knn": knn,
    "mahalanobis": mahalanobis,
    "prototype_cosine": prototype_cosine,
    "nsd": nsd,
}
"""Every score, by name; all are higher for what looks known."""


def rejection_threshold(known_scores: Array, unknown_scores: Array) -> float:
    """Choose where *unknown* begins: as many known clips are refused as clips of held-out systems are let in.

    Args:
        known_scores: Of clips of known systems that were not trained on.
        unknown_scores: Of clips of systems that were held out of training.

    Returns:
        The threshold; a score of at least this is familiar.

    Raises:
        CorpusError: A side is empty: the threshold takes systems that training never heard.
    """
    if not len(known_scores) or not len(unknown_scores):
        raise CorpusError(
            f"{len(known_scores)} held-out clips of known and {len(unknown_scores)} of unknown systems; a threshold "
            "for 'unknown' takes both: keep whole systems out of training"
        )
    return float(eer_threshold(known_scores, unknown_scores))


def in_pieces(rows: NDArray[Any]) -> list[NDArray[Any]]:
    """Cut rows into pieces: all clips of a large corpus against all of its training clips do not fit in memory."""
    return np.array_split(rows, max(1, math.ceil(len(rows) / _PIECE)))


def whitening(known: Known, ridge: float = 0.1) -> Array:
    """Find the map after which the spread within classes is alike in all directions.

    Args:
        known: The training clips.
        ridge: Share of the mean variance that every direction is given, since classes have fewer clips than dimensions.

    Returns:
        `(D, D)`, to multiply embeddings by from the right.
    """
    centred = known.heard.embeddings - known.means[known.labels]
    spread = centred.T @ centred / len(centred)
    level = np.trace(spread) / len(spread)
    values, vectors = np.linalg.eigh((1 - ridge) * spread + (ridge * level + 1e-12) * np.eye(len(spread)))
    return np.asarray(vectors / np.sqrt(values))


def _softmax(logits: Array) -> Array:
    return np.exp(logits - _log_sum_exp(logits)[:, None])


def _log_sum_exp(logits: Array) -> Array:
    top = logits.max(axis=1)
    return top + np.log(np.exp(logits - top[:, None]).sum(axis=1))


def _unit(vectors: Array) -> Array:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))


def _squared_distances(clips: Array, means: Array) -> Array:
    products = clips @ means.T
    return np.asarray((clips**2).sum(1)[:, None] - 2 * products + (means**2).sum(1))
