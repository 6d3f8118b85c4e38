"""Logits and labels -> the loss that teaches an encoder to tell a person from a machine."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


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
