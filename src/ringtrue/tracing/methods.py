"""Ways to trace, all behind one interface: fitted on training clips, each hears any clip as an embedding and logits.

Two-stage and end-to-end MiO, nearest neighbours without any training, and a control that hears no speech at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ringtrue.errors import require
from ringtrue.models.mio import Fusion, MiO
from ringtrue.tracing.clips import Clips
from ringtrue.tracing.learning import Places, hear, logits_of, make_head, train_head, train_mio
from ringtrue.tracing.openset import Heard, in_pieces

Listen = Callable[[Places], Heard]
"""Places of clips in; what the fitted tracer makes of them out."""

Fit = Callable[[Places, NDArray[np.int64], int, int], Listen]
"""Places of the training clips, their classes (0 to K - 1), K, seed in; a fitted tracer out."""

NEIGHBOURS = 5
"""k of the nearest neighbours; TADA (Stan et al., 2025) uses 21, more than many classes here have clips."""


@dataclass(frozen=True)
class Method:
    """One row of a table: its name and how it is fitted."""

    name: str
    fit: Fit


def two_stage(countermeasures: Mapping[int, MiO], clips: Clips, name: str = "two-stage") -> Method:
    """Make the method of two stages: a frozen countermeasure's embeddings, and a light head on them.

    Args:
        countermeasures: For each seed that will be fitted with, a MiO that was trained to tell bona fide from spoof.
        clips: The clips; each is embedded once.
        name: What to call it.

    Returns:
        The method.
    """
    everything = np.arange(len(clips))
    by_seed = {seed: hear(model, clips, everything)[0] for seed, model in countermeasures.items()}

    def fit(places: Places, labels: NDArray[np.int64], num_classes: int, seed: int) -> Listen:
        embeddings = by_seed[seed]
        head = make_head(embeddings.shape[1], num_classes, seed)
        train_head(head, torch.from_numpy(embeddings[places]), labels, seed=seed)

        def listen(heard: Places) -> Heard:
            chosen = embeddings[heard]
            return Heard(chosen.astype(np.float64), logits_of(head, chosen).astype(np.float64))

        return listen

    return Method(name, fit)


def end_to_end(clips: Clips, fusion: Fusion, epochs: int, name: str = "end-to-end") -> Method:
    """Make a MiO that is trained on the classes themselves.

    Args:
        clips: The clips.
        fusion: See `MiO`.
        epochs: See `train_mio`.
        name: What to call it.

    Returns:
        The method.
    """

    def fit(places: Places, labels: NDArray[np.int64], num_classes: int, seed: int) -> Listen:
        model = train_mio(clips, places, labels, num_classes, fusion=fusion, epochs=epochs, seed=seed)

        def listen(heard: Places) -> Heard:
            embeddings, logits = hear(model, clips, heard)
            return Heard(embeddings.astype(np.float64), logits.astype(np.float64))

        return listen

    return Method(name, fit)


def nearest_neighbours(clips: Clips, name: str = "kNN") -> Method:
    """Make the training-free baseline: neighbours by cosine among pooled features.

    Features are averaged over layers and time, every dimension brought to zero mean and unit variance on the training
    clips, every front end to the same length. After TADA (Stan et al., Interspeech 2025), which pools one layer.

    Args:
        clips: The clips.
        name: What to call it.

    Returns:
        The method.
    """
    pooled = _pooled(clips)

    def fit(places: Places, labels: NDArray[np.int64], num_classes: int, seed: int) -> Listen:
        moments = [(part[places].mean(0), part[places].std(0) + 1e-6) for part in pooled]

        def place(rows: Places) -> NDArray[np.float64]:
            parts = [
                (part[rows] - mean) / spread for part, (mean, spread) in zip(pooled, moments, strict=True)
            ]
            return np.concatenate([p / np.linalg.norm(p, axis=1, keepdims=True) for p in parts], axis=1)

        bank = place(places)

        count = min(NEIGHBOURS, len(places) - 1)

        def votes(rows: Places) -> NDArray[np.float64]:
            similar = place(rows) @ bank.T
            # A training clip is not its own neighbour.
            similar[rows[:, None] == places[None, :]] = -np.inf
            closest = np.argsort(-similar, axis=1)[:, :count]
            cast = np.full((len(rows), num_classes), 0.1)
            for rank in range(count):
                # Nearer neighbours count a little more, so that equal votes are settled by distance.
                cast[np.arange(len(rows)), labels[closest[:, rank]]] += 1 + 0.01 * (count - rank)
            return cast

        def listen(heard: Places) -> Heard:
            cast = np.concatenate([votes(piece) for piece in in_pieces(heard)])
            return Heard(place(heard), np.log(cast / cast.sum(1, keepdims=True)))

        return listen

    return Method(name, fit)


def content_blind(surface: NDArray[np.float64], name: str = "control: no speech heard") -> Method:
    """Make the control: a random forest on level, silence, bandwidth and duration.

    Args:
        surface: `(clips, 15)`, `ringtrue.data.audit.measure` of the untouched recordings.
        name: What to call it.

    Returns:
        The method.
    """

    def fit(places: Places, labels: NDArray[np.int64], num_classes: int, seed: int) -> Listen:
        ensemble = require("sklearn.ensemble", "train")
        forest = ensemble.RandomForestClassifier(
            300, min_samples_leaf=2, class_weight="balanced", random_state=seed, n_jobs=1
        ).fit(surface[places], labels)
        mean, spread = surface[places].mean(0), surface[places].std(0) + 1e-6

        def listen(heard: Places) -> Heard:
            chances = np.full((len(heard), num_classes), 1e-3)
            chances[:, forest.classes_] += forest.predict_proba(surface[heard])
            return Heard((surface[heard] - mean) / spread, np.log(chances))

        return listen

    return Method(name, fit)


def _pooled(clips: Clips) -> list[NDArray[np.float64]]:
    """Mean over layers and frames of every clip, `(n, D)` for each front end."""
    parts: list[list[NDArray[np.float64]]] = [[] for _ in clips.choices]
    for start in range(0, len(clips), 64):
        places = np.arange(start, min(start + 64, len(clips)))
        for part, features in zip(parts, clips.batch(places), strict=True):
            part.append(features.mean((1, 2)).double().numpy())
    return [np.concatenate(part) for part in parts]
