"""Blocks that more than one trunk uses; none keeps running statistics, so train and eval mode agree.

BatchNorm is banned here: with log-mel inputs, small batches and two classes per batch its running averages
drift from its batch statistics, and a model that validates at 16 % EER scores exactly 50 % an epoch later.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of each position alone, for `(B, D, L)` or `(B, D, F, L)`.

    Frames never see each other through it, so a prediction does not change with what else is in the batch.

    Args:
        channels: D.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise over dimension 1; same shape out."""
        last = functional.layer_norm(x.movedim(1, -1), self.weight.shape, self.weight, self.bias, 1e-5)
        return last.movedim(-1, 1)


class SqueezeExcite(nn.Module):
    """Gates channels by their mean over the clip (Hu et al., "Squeeze-and-Excitation Networks", 2018).

    Args:
        channels: D.
        reduction: D is squeezed to D // reduction.
    """

    def __init__(self, channels: int, reduction: int = 8):
        super().__init__()
        hidden = max(4, channels // reduction)
        self.gate = nn.Sequential(
            nn.Linear(channels, hidden), nn.SiLU(), nn.Linear(hidden, channels), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Scale `(B, D, ...)` by a gate per channel; same shape out."""
        gate: Tensor = self.gate(x.flatten(2).mean(dim=2))
        return x * gate.view(*gate.shape, *(1,) * (x.dim() - 2))


class AttentiveStatistics(nn.Module):
    """Attention-weighted mean and standard deviation over frames (Okabe et al., 2018).

    Args:
        channels: D.
        hidden: Width of the attention network.
    """

    def __init__(self, channels: int, hidden: int):
        super().__init__()
        self.attention = nn.Sequential(
            nn.Conv1d(channels, hidden, 1), nn.Tanh(), nn.Conv1d(hidden, channels, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Pool `(B, D, L)` to `(B, 2 D)`."""
        weights = torch.softmax(self.attention(x), dim=2)
        mean = (weights * x).sum(dim=2)
        variance = (weights * (x - mean[:, :, None]).square()).sum(dim=2)
        return torch.cat([mean, torch.sqrt(variance + 1e-5)], dim=1)
