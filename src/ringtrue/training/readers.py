"""Features and label -> what was said, or by whom: small networks whose success measures what the features give away.

They are never shipped. Their inputs are normalised, so spectral normalisation of the layers before would change
nothing; what bounds the game is the objective (`training.invariance`), not a reader made weak on purpose.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from ringtrue.training.content import IGNORED

_CONTEXT = 5  # frames
_SMOOTHING = 0.1  # a reader that is sure of a cluster's border is wrong


class FrameReaders(nn.Module):
    """Name the content unit of every frame, each member in its own way.

    Several unlike readers, renewed in turn, because an encoder soon fools the one it trains against while a fresh one
    reads on (Elazar & Goldberg, "Adversarial Removal of Demographic Attributes from Text Data", 2018).

    Args:
        evidence_dim: D of the evidence.
        units: K.
        members: 1: a perceptron over five frames; 2: and a linear map; 3: and a perceptron over one.
        told: Whether they are told the label.
    """

    def __init__(self, evidence_dim: int, units: int, members: int, told: bool):
        super().__init__()
        self.units = units
        self.told = told
        width = evidence_dim + 2
        kinds = [
            lambda: _perceptron(_CONTEXT * width, units),
            lambda: _layers(nn.Linear(width, units)),
            lambda: _perceptron(width, units),
        ]
        self._make = kinds[:members]
        self.members = nn.ModuleList([make() for make in self._make])

    def forward(self, evidence: Tensor, labels: Tensor) -> list[Tensor]:
        """Read evidence `(B, D, L)` under labels `(B,)`: logits `(B, K, L)` of each member."""
        heard = torch.cat([evidence, _told(labels, evidence, self.told)], dim=1).transpose(1, 2)
        around = functional.pad(heard, (0, 0, _CONTEXT // 2, _CONTEXT // 2)).unfold(1, _CONTEXT, 1).flatten(2)
        # Frames as rows of a matrix product: three times faster on a CPU than convolutions over frames.
        return [
            member(around if index == 0 else heard).transpose(1, 2)
            for index, member in enumerate(self.members)
        ]

    def renew(self, index: int) -> nn.Module:
        """Give one member fresh weights, and return it."""
        fresh = self._make[index]()
        member = self.members[index]
        with torch.no_grad():
            for old, new in zip(member.parameters(), fresh.parameters(), strict=True):
                old.copy_(new)
        return member


class ClipReader(nn.Module):
    """Say something of a clip from its embedding: which units, which speaker, or the teacher's mean vector.

    Args:
        embedding_dim: D of the embedding.
        outputs: Number of units, speakers or dimensions.
        told: Whether it is told the label.
    """

    def __init__(self, embedding_dim: int, outputs: int, told: bool):
        super().__init__()
        self.told = told
        self.network = nn.Sequential(
            nn.Linear(embedding_dim + 2, 128), nn.LayerNorm(128), nn.SiLU(), nn.Linear(128, outputs)
        )

    def forward(self, embedding: Tensor, labels: Tensor) -> Tensor:
        """Read embeddings `(B, D)` under labels `(B,)`: `(B, outputs)`."""
        out: Tensor = self.network(torch.cat([embedding, _told(labels, embedding, self.told)], dim=1))
        return out


def frame_loss(logits: Tensor, units: Tensor, *, smoothing: float = _SMOOTHING) -> Tensor:
    """Score a frame reader.

    Args:
        logits: `(B, K, L)`.
        units: `(B, L)` int64, `IGNORED` where unknown.
        smoothing: Label smoothing.

    Returns:
        Mean cross-entropy as a share of log K; 0 if nothing is known.
    """
    total = functional.cross_entropy(
        logits.transpose(1, 2).flatten(0, 1),
        units.flatten(),
        ignore_index=IGNORED,
        reduction="sum",
        label_smoothing=smoothing,
    )
    known = (units != IGNORED).sum().clamp(min=1)  # clips too short for the teacher may leave none
    return total / known / math.log(logits.shape[1])


def frame_accuracy(logits: Tensor, units: Tensor) -> Tensor:
    """Give the share of known frames `(B, L)` whose unit the logits `(B, K, L)` put first."""
    known = units != IGNORED
    return ((logits.argmax(dim=1) == units) & known).sum() / known.sum().clamp(min=1)


def bag_loss(logits: Tensor, bag: Tensor) -> Tensor:
    """Score a clip reader of units.

    Args:
        logits: `(B, K)`.
        bag: `(B, K)` share of each unit in the clip; all zero where nothing is known.

    Returns:
        Mean ``KL(bag || reader) / log K``.
    """
    divergence = bag * (bag.clamp(min=1e-9).log() - functional.log_softmax(logits, dim=1))
    spoken = (bag.sum(dim=1) > 0).sum().clamp(min=1)
    return divergence.sum() / spoken / math.log(logits.shape[1])


def bag_of_units(units: Tensor, count: int) -> Tensor:
    """Count what is said.

    Args:
        units: `(B, L)` int64, `IGNORED` where unknown.
        count: K.

    Returns:
        `(B, K)`, each row the shares of the units in that clip, or zeros.

    >>> bag_of_units(torch.tensor([[0, 2, 2, -1], [-1, -1, -1, -1]]), 3).tolist()
    [[0.3333333432674408, 0.0, 0.6666666865348816], [0.0, 0.0, 0.0]]
    """
    said = functional.one_hot(units.clamp(min=0), count) * (units != IGNORED)[:, :, None]
    total = said.sum(dim=1)
    return total / total.sum(dim=1, keepdim=True).clamp(min=1)


def _told(labels: Tensor, features: Tensor, told: bool) -> Tensor:
    """Give the label as two more channels, or two silent ones, so that both kinds of reader have one size."""
    given = functional.one_hot(labels, 2).to(features.dtype) * float(told)
    return given.view(*given.shape, *(1,) * (features.dim() - 2)).expand(-1, -1, *features.shape[2:])


def _perceptron(inputs: int, outputs: int) -> nn.Module:
    return _layers(nn.Linear(inputs, 128), nn.LayerNorm(128), nn.SiLU(), nn.Linear(128, outputs))


def _layers(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(*layers)
