"""A Prosody Encoder and labelled clips -> a tracer that needs no torch: its trunk, pooled, and three small heads.

The trunk stays as the detector trained it. What its frames are like on average and how much they vary is enough for a
light head, which learns from the labels and from a teacher's probabilities (Hinton et al., "Distilling the knowledge in
a neural network", 2015). The embedding that it gives is whitened, so that plain distance tells systems apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ringtrue.data.trials import Trial
from ringtrue.errors import CheckpointError, CorpusError
from ringtrue.inference.source import NAMED, prepare
from ringtrue.models import checkpoint
from ringtrue.models.prosody_encoder import ProsodyEncoder
from ringtrue.tracing.attributes import value_of
from ringtrue.tracing.export import TrainedTracer
from ringtrue.tracing.learning import as_rows, balanced_order
from ringtrue.tracing.openset import Heard, Known, whitening

Load = Callable[[Trial], NDArray[np.float32]]
Progress = Callable[[str], None]

_EMBEDDING = 64
_EPOCHS, _BATCH, _RATE = 60, 64, 3e-3
_SOFTNESS = 2.0  # temperature of the teacher's probabilities


class SourceHead(nn.Module):
    """Statistics of trunk frames -> an embedding and logits of every attribute.

    Args:
        channels: Of the trunk.
        classes: Number of classes of each attribute in `NAMED`.
    """

    def __init__(self, channels: int, classes: Mapping[str, int]):
        super().__init__()
        self.normalise = nn.LayerNorm(2 * channels)
        self.to_embedding = nn.Sequential(nn.Linear(2 * channels, 128), nn.SiLU(), nn.Linear(128, _EMBEDDING))
        self.heads = nn.ModuleDict({name: nn.Linear(_EMBEDDING, count) for name, count in classes.items()})
        self.whiten: Tensor
        self.register_buffer("whiten", torch.eye(_EMBEDDING))

    def embed(self, statistics: Tensor) -> Tensor:
        """Map `(B, 2 C)` to `(B, D)`."""
        out: Tensor = self.to_embedding(self.normalise(statistics))
        return out

    def logits(self, embeddings: Tensor) -> dict[str, Tensor]:
        """Map `(B, D)` to `(B, K)` for every attribute."""
        return {name: head(functional.silu(embeddings)) for name, head in self.heads.items()}


class SourceGraph(nn.Module):
    """The whole tracer: waves in, whitened embedding and logits out.

    Args:
        encoder: The detector whose trunk hears.
        head: What is made of it.
    """

    def __init__(self, encoder: ProsodyEncoder, head: SourceHead):
        super().__init__()
        self.features = encoder.features
        self.trunk = encoder.trunk
        self.head = head

    def statistics(self, wave: Tensor) -> Tensor:
        """Map waves `(B, T)` to mean and spread of the trunk's frames `(B, 2 C)`."""
        frames = self.trunk(self.features(wave))
        mean = frames.mean(2)
        variance = (frames - mean[:, :, None]).square().mean(2)
        return torch.cat([mean, torch.sqrt(variance + 1e-5)], dim=1)

    def forward(self, wave: Tensor) -> tuple[Tensor, ...]:
        """Give the embedding `(B, D)`, then logits in the order of `NAMED`."""
        embedding = self.head.embed(self.statistics(wave))
        logits = self.head.logits(embedding)
        return embedding @ self.head.whiten, *(logits[name] for name in NAMED)


def trunk_statistics(
    encoder: ProsodyEncoder, trials: Sequence[Trial], load: Load, progress: Progress
) -> Tensor:
    """Hear every clip once.

    Args:
        encoder: The detector.
        trials: The clips, all readable.
        load: Reads a trial's wave.
        progress: Takes a line now and then.

    Returns:
        `(n, 2 C)`.
    """
    graph = SourceGraph(encoder, SourceHead(1, dict.fromkeys(NAMED, 1))).eval()
    parts = []
    with torch.inference_mode():
        for start in range(0, len(trials), 16):
            waves = np.stack([prepare(load(trial)) for trial in trials[start : start + 16]])
            parts.append(graph.statistics(torch.from_numpy(waves)))
            if start and start % 800 == 0:
                progress(f"trunk: {start} of {len(trials)} clips")
    return torch.cat(parts).clone()


def distil(
    encoder: ProsodyEncoder,
    statistics: Tensor,
    trials: Sequence[Trial],
    train: NDArray[np.int64],
    teacher: NDArray[np.float64] | None,
    *,
    weight: float = 0.5,
    seed: int = 0,
) -> TrainedTracer:
    """Train the head.

    Args:
        encoder: The detector.
        statistics: `trunk_statistics` of all trials.
        trials: The clips.
        train: Places of the training clips; acoustic model and vocoder of every one of them must be known.
        teacher: Logits `(n, K)` over the sorted systems of the training clips, of every trial; or None.
        weight: Share of the loss that is the teacher's.
        seed: Seed of weights and draws.

    Returns:
        The tracer.

    Raises:
        CorpusError: A training clip lacks a label.
    """
    values = {name: [value_of(trial, name) for trial in trials] for name in NAMED}
    classes = {name: tuple(sorted({column[place] for place in train})) for name, column in values.items()}
    for name, names in classes.items():
        if "" in names or len(names) < 2:
            raise CorpusError(
                f"a tracer needs the {name} of every training clip, and two of them; it has {names}"
            )
    labels = {name: as_rows(column, classes[name]) for name, column in values.items()}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = SourceHead(statistics.shape[1] // 2, {name: len(names) for name, names in classes.items()})
        _fit(head, statistics, labels, train, teacher, weight, seed)
    with torch.inference_mode():
        raw = head.embed(statistics)
        logits = {name: out.double().numpy() for name, out in head.logits(raw).items()}
    embeddings = raw.double().numpy()
    known = Known(Heard(embeddings[train], logits["system"][train]), labels["system"][train])
    transform = whitening(known) / np.sqrt(_EMBEDDING)
    head.whiten = torch.from_numpy(transform).float()
    embeddings = embeddings @ transform
    positions = Known(Heard(embeddings[train], logits["system"][train]), known.labels).means
    return TrainedTracer(SourceGraph(encoder, head).eval(), classes, positions, embeddings, logits)


def _fit(
    head: SourceHead,
    statistics: Tensor,
    labels: Mapping[str, NDArray[np.int64]],
    train: NDArray[np.int64],
    teacher: NDArray[np.float64] | None,
    weight: float,
    seed: int,
) -> None:
    optimiser = torch.optim.AdamW(head.parameters(), lr=_RATE, weight_decay=0.05)
    soft = None if teacher is None else torch.softmax(torch.from_numpy(teacher).float() / _SOFTNESS, dim=1)
    for epoch in range(_EPOCHS):
        for group in optimiser.param_groups:
            group["lr"] = _RATE * (1 - epoch / _EPOCHS)
        order = train[balanced_order(labels["system"][train], np.random.default_rng([seed, epoch]))]
        for start in range(0, len(order), _BATCH):
            places = torch.from_numpy(order[start : start + _BATCH])
            outputs = head.logits(head.embed(statistics[places]))
            loss = torch.stack(
                [
                    functional.cross_entropy(
                        out, torch.from_numpy(labels[name])[places], label_smoothing=0.05
                    )
                    for name, out in outputs.items()
                ]
            ).mean()
            if soft is not None:
                gap = functional.kl_div(
                    torch.log_softmax(outputs["system"] / _SOFTNESS, dim=1),
                    soft[places],
                    reduction="batchmean",
                )
                loss = (1 - weight) * loss + weight * _SOFTNESS**2 * gap
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    head.eval()


def load_detector(path: str | Path) -> ProsodyEncoder:
    """Load the detector whose trunk a tracer is built on.

    Args:
        path: A checkpoint.

    Returns:
        The model, frozen.

    Raises:
        CheckpointError: It is no Prosody Encoder.
    """
    model, card = checkpoint.load(path)
    if not isinstance(model, ProsodyEncoder):
        raise CheckpointError(f"{path} holds a {card.architecture}; a tracer is built on a prosody_encoder")
    return model.requires_grad_(False)
