"""Logits and labels -> the losses that teach an encoder to tell a person from a machine."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_MARGIN = 0.5  # by which a recording's score should exceed its copy's


def detection_loss(
    logits: Tensor, frame_logits: Tensor, labels: Tensor, *, smoothing: float, frame_weight: float
) -> Tensor:
    """Join the loss of the clip and the loss of its frames.

    Args:
        logits: `(B, K)`.
        frame_logits: `(B, K, L)`; every frame carries its clip's label.
        labels: `(B,)` int64.
        smoothing: Label smoothing, in [0, 0.5).
        frame_weight: Weight of the frames' part.

    Returns:
        A scalar.
    """
    clip = functional.cross_entropy(logits, labels, label_smoothing=smoothing)
    every_frame = labels[:, None].expand(-1, frame_logits.shape[2])
    frames = functional.cross_entropy(frame_logits, every_frame, label_smoothing=smoothing)
    return clip + frame_weight * frames


def detection_score(logits: Tensor) -> Tensor:
    """Turn a detector's logits into scores.

    Args:
        logits: `(B, 2)`: spoof, bona fide.

    Returns:
        `(B,)`, higher = more likely bona fide.
    """
    return logits[:, 1] - logits[:, 0]


def twin_loss(logits: Tensor, embedding: Tensor, directions: Tensor) -> Tensor:
    """Rank a recording above its copy, and let the two say the same.

    Inside a pair content cancels exactly: only what the copying did is left to rank by.

    Args:
        logits: `(2 N, 2)` of N couples, each a recording followed by its copy.
        embedding: `(2 N, D)`.
        directions: `(D, rank)` orthonormal, where the embedding says what is said; zeros while that is unknown.

    Returns:
        Mean hinge of the score difference, plus half the squared distance of the twins along `directions`.
    """
    score = detection_score(logits)
    ranking = functional.relu(_MARGIN - (score[0::2] - score[1::2])).mean()
    apart = (embedding[0::2] - embedding[1::2]) @ directions
    return ranking + 0.5 * apart.square().sum(dim=1).mean()


def distillation_loss(
    logits: Tensor, embedding: Tensor, teacher_logits: Tensor, teacher_embedding: Tensor, temperature: float
) -> Tensor:
    """Follow a teacher's judgement, and its idea of which clips are alike.

    Hinton et al., "Distilling the Knowledge in a Neural Network", 2015; Park et al., "Relational Knowledge
    Distillation", 2019, with cosines for relations.

    Args:
        logits: `(B, 2)` of the student.
        embedding: `(B, D)` of the student.
        teacher_logits: `(B, 2)`.
        teacher_embedding: `(B, E)`.
        temperature: Above 1 softens both judgements.

    Returns:
        A scalar; 0 if judgement and relations agree.
    """
    wanted = torch.log_softmax(teacher_logits / temperature, dim=1)
    given = torch.log_softmax(logits / temperature, dim=1)
    judgement = temperature**2 * functional.kl_div(given, wanted, reduction="batchmean", log_target=True)
    relations = _cosines(embedding) - _cosines(teacher_embedding)
    return judgement + relations.square().mean()


def _cosines(embedding: Tensor) -> Tensor:
    direction = functional.normalize(embedding, dim=1)
    return direction @ direction.T
