"""Cached features and classes -> a trained MiO or a trained head; what is learned with torch in this room.

Every draw comes from a seed, the number of epochs is fixed beforehand and the last one is kept: nothing here looks at
clips that it does not train on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ringtrue.errors import CheckpointError
from ringtrue.models.mio import Fusion, MiO
from ringtrue.models.registry import create
from ringtrue.tracing.clips import Clips

Places = NDArray[np.int64]
Progress = Callable[[str], None]

_SMOOTHING = 0.05
_HEARD_AT_ONCE = 64


def train_mio(
    clips: Clips,
    places: Places,
    labels: NDArray[np.int64],
    num_classes: int,
    *,
    fusion: Fusion = "outer",
    epochs: int = 12,
    batch_size: int = 32,
    learning_rate: float = 1e-3,
    seed: int = 0,
    progress: Progress = lambda line: None,
) -> MiO:
    """Train a MiO on cached features: a detector with two classes, or end to end on an attribute.

    Args:
        clips: The clips.
        places: Which of them to train on.
        labels: Class of each of these, 0 to K - 1.
        num_classes: K.
        fusion: See `MiO`.
        epochs: Times that as many clips are drawn as there are.
        batch_size: Clips a step.
        learning_rate: Peak of a cosine schedule.
        seed: Seed of weights, dropout and draws.
        progress: Takes a line now and then.

    Returns:
        The model in evaluation mode.
    """
    choices = [vars(choice) for choice in clips.choices]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = create("mio", front_ends=choices, fusion=fusion, num_classes=num_classes)
        assert isinstance(model, MiO)

        def logits(rows: Places) -> Tensor:
            out: Tensor = model.head(model.embed_features(clips.batch(places[rows])))
            return out

        _fit(model, logits, labels, epochs, batch_size, learning_rate, seed, progress)
    return model


def make_head(dim: int, num_classes: int, seed: int = 0) -> nn.Sequential:
    """Make a light head: normalisation, 128 hidden units, logits.

    Args:
        dim: D of the embeddings.
        num_classes: K.
        seed: Seed of the weights.

    Returns:
        A fresh head.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, 128), nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, num_classes)
        )


def train_head(
    head: nn.Module,
    embeddings: Tensor,
    labels: NDArray[np.int64],
    *,
    epochs: int = 40,
    batch_size: int = 64,
    learning_rate: float = 3e-3,
    seed: int = 0,
    progress: Progress = lambda line: None,
) -> None:
    """Train a head on embeddings that stay as they are.

    Args:
        head: Maps `(B, D)` to logits `(B, K)`; left in evaluation mode.
        embeddings: `(n, D)`.
        labels: Class of each, 0 to K - 1.
        epochs: As in `train_mio`.
        batch_size: As in `train_mio`.
        learning_rate: As in `train_mio`.
        seed: As in `train_mio`.
        progress: As in `train_mio`.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        _fit(
            head,
            lambda rows: head(embeddings[rows]),
            labels,
            epochs,
            batch_size,
            learning_rate,
            seed,
            progress,
        )


@torch.inference_mode()
def hear(model: MiO, clips: Clips, places: Places) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Embed cached clips.

    Args:
        model: A trained MiO.
        clips: The clips.
        places: Which of them.

    Returns:
        Embeddings `(n, 128)` and logits `(n, K)`.
    """
    embeddings, logits = [], []
    for start in range(0, len(places), _HEARD_AT_ONCE):
        embedded = model.embed_features(clips.batch(places[start : start + _HEARD_AT_ONCE]))
        embeddings.append(embedded.numpy())
        logits.append(model.head(embedded).numpy())
    return np.concatenate(embeddings), np.concatenate(logits)


@torch.inference_mode()
def logits_of(head: nn.Module, embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """Apply a head to embeddings `(n, D)`; gives `(n, K)`."""
    out: NDArray[np.float32] = head(torch.from_numpy(embeddings)).numpy()
    return out


def fit_temperature(logits: NDArray[Any], labels: NDArray[np.int64]) -> float:
    """Find the temperature that makes probabilities of held-out clips as true as one number can.

    Guo et al., "On calibration of modern neural networks", 2017.

    Args:
        logits: `(n, K)` of clips that were not trained on.
        labels: Their classes.

    Returns:
        T > 0; logits are to be divided by it. 1 where there is nothing to fit on.
    """
    if not len(labels):
        return 1.0
    scores, classes = torch.from_numpy(np.asarray(logits, dtype=np.float64)), torch.from_numpy(labels)
    grid = np.geomspace(0.1, 100, 500)
    losses = [float(functional.cross_entropy(scores / t, classes)) for t in grid]
    return float(grid[int(np.argmin(losses))])


def balanced_order(labels: NDArray[np.int64], rng: np.random.Generator) -> Places:
    """Draw as many clips as there are, each class as often as any other.

    Args:
        labels: Class of each clip.
        rng: Where the draws come from.

    Returns:
        Rows.
    """
    by_class = [np.flatnonzero(labels == one) for one in np.unique(labels)]
    rows = []
    for number in range(len(labels)):
        if number % len(by_class) == 0:
            order = rng.permutation(len(by_class))
        members = by_class[order[number % len(by_class)]]
        rows.append(members[rng.integers(len(members))])
    return np.array(rows, dtype=np.int64)


def _fit(
    model: nn.Module,
    logits: Callable[[Places], Tensor],
    labels: NDArray[np.int64],
    epochs: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
    progress: Progress,
) -> None:
    optimiser = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.01)
    steps_per_epoch = math.ceil(len(labels) / batch_size)
    total, done = epochs * steps_per_epoch, 0
    model.train()
    for epoch in range(epochs):
        order = balanced_order(labels, np.random.default_rng([seed, epoch]))
        losses: list[float] = []
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            for group in optimiser.param_groups:
                group["lr"] = learning_rate * _schedule(done / total)
            loss = functional.cross_entropy(
                logits(rows), torch.from_numpy(labels[rows]), label_smoothing=_SMOOTHING
            )
            if not torch.isfinite(loss):
                raise CheckpointError(
                    "the loss is no longer a number: the features are unfit, or the learning rate too high"
                )
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            losses.append(float(loss.detach()))
            done += 1
        progress(f"epoch {epoch + 1}/{epochs}: loss {np.mean(losses):.3f}")
    model.eval()


def _schedule(share: float) -> float:
    """Rise over the first twentieth, then fall as a cosine."""
    return min(1.0, share / 0.05) * 0.5 * (1 + math.cos(math.pi * share)) if share else 0.05


def as_rows(values: Sequence[str], classes: Sequence[str]) -> NDArray[np.int64]:
    """Number classes by their place in `classes`; -1 for one that is not there."""
    place = {name: number for number, name in enumerate(classes)}
    return np.array([place.get(value, -1) for value in values], dtype=np.int64)
