"""Schedules and weights: learning rate by step, averaged weights, steps towards flat minima."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

_FLOOR = 0.01  # ASAM's eta: a weight of zero may still be moved


def schedule(step: int, steps: int, warmup: float) -> float:
    """Scale the learning rate: a linear warm-up, then half a cosine down to a hundredth.

    Args:
        step: Step number, from 0.
        steps: Number of steps in the run.
        warmup: Share of them that warms up.

    Returns:
        A factor in (0, 1].

    >>> schedule(0, 100, 0.1), schedule(10, 100, 0.1), round(schedule(100, 100, 0.1), 3)
    (0.1, 1.0, 0.01)
    """
    warm = round(warmup * steps)
    if step < warm:
        return (step + 1) / warm
    progress = (step - warm) / max(1, steps - warm)
    return 0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * progress))


@torch.no_grad()
def average_into(average: nn.Module, model: nn.Module, decay: float, step: int) -> None:
    """Move averaged weights towards a model's (an exponential moving average).

    Args:
        average: A copy of the model, changed in place.
        model: The model that learns.
        decay: Share of the average that stays. Early steps keep less, or the average would remember its start.
        step: Steps done, from 0.
    """
    kept = min(decay, (1.0 + step) / (10.0 + step))
    for old, new in zip(average.parameters(), model.parameters(), strict=True):
        old.lerp_(new, 1.0 - kept)
    for old_buffer, new_buffer in zip(average.buffers(), model.buffers(), strict=True):
        old_buffer.copy_(new_buffer)


@torch.no_grad()
def climb(model: nn.Module, rho: float) -> list[tuple[nn.Parameter, Tensor]]:
    """Move weights to where the loss is worst nearby, in a ball that scales with each weight.

    Kwon et al., "ASAM: Adaptive Sharpness-Aware Minimization", 2021, equation 7: the step is
    ``rho T^2 g / |T g|`` with T the weights' magnitudes.

    Args:
        model: A model that has gradients.
        rho: Radius of the ball, relative to the weights.

    Returns:
        Each parameter with the value that it had, for `come_back`.
    """
    scaled = [
        (parameter, (parameter.abs() + _FLOOR) * parameter.grad)
        for parameter in model.parameters()
        if parameter.grad is not None
    ]
    norm = torch.stack([value.norm() for _, value in scaled]).norm().clamp(min=1e-12)
    left = [(parameter, parameter.detach().clone()) for parameter, _ in scaled]
    for parameter, value in scaled:
        parameter.add_(rho / norm * (parameter.abs() + _FLOOR) * value)
    return left


@torch.no_grad()
def come_back(left: list[tuple[nn.Parameter, Tensor]]) -> None:
    """Give parameters the values that they had before `climb`, to the bit."""
    for parameter, value in left:
        parameter.copy_(value)
