"""A trained model -> the same function in fewer steps, for export: what is linear is done once, on the weights."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from ringtrue.models.layers import ChannelNorm

Conv = nn.Conv1d | nn.Conv2d


class FoldedNorm(nn.Module):
    """A `ChannelNorm` of which a neighbour has taken over a part.

    Args:
        norm: The original.
        centred: Its input has no mean over channels any more: the convolution before it sees to that.
        scaled: The convolution behind it has taken weight and bias.
    """

    def __init__(self, norm: ChannelNorm, centred: bool, scaled: bool):
        super().__init__()
        self.norm, self.centred, self.scaled = norm, centred, scaled

    def forward(self, x: Tensor) -> Tensor:
        """Normalise over dimension 1; same shape out."""
        if not self.centred:
            x = x - x.mean(dim=1, keepdim=True)
        x = x * torch.rsqrt((x * x).mean(dim=1, keepdim=True) + 1e-5)  # x * x: ONNX Runtime's power is slow
        if self.scaled:
            return x
        shape = (-1,) + (1,) * (x.dim() - 2)
        return x * self.norm.weight.view(shape) + self.norm.bias.view(shape)


def folded(model: nn.Module) -> nn.Module:
    """Copy a model and fold the linear parts of its channel norms into the convolutions next to them.

    The mean over channels is subtracted from the weights of a dense convolution instead of from what comes out of it;
    weight and bias of a norm go into the pointwise convolution that reads it.

    Args:
        model: In evaluation mode; left alone.

    Returns:
        A model whose outputs differ by float rounding only.
    """
    model = copy.deepcopy(model)
    for sequence in [module for module in model.modules() if isinstance(module, nn.Sequential)]:
        steps = list(sequence)
        for place, step in enumerate(steps):
            if not isinstance(step, ChannelNorm):
                continue
            before = steps[place - 1] if place else None
            after = steps[place + 1] if place + 1 < len(steps) else None
            centred = scaled = False
            if isinstance(before, Conv) and before.groups == 1:
                centred = True
                _centre(before)
            if isinstance(after, Conv) and after.groups == 1 and set(after.kernel_size) == {1}:
                scaled = True
                _absorb(step, after)
            sequence[place] = FoldedNorm(step, centred, scaled)
    return model.eval()


@torch.no_grad()
def _centre(conv: Conv) -> None:
    conv.weight -= conv.weight.mean(dim=0, keepdim=True)
    if conv.bias is not None:
        conv.bias -= conv.bias.mean()


@torch.no_grad()
def _absorb(norm: ChannelNorm, conv: Conv) -> None:
    shape = (1, -1) + (1,) * (conv.weight.dim() - 2)
    assert conv.bias is not None, "the convolutions of every trunk have one"
    conv.bias += (conv.weight * norm.bias.view(shape)).flatten(1).sum(dim=1)
    conv.weight *= norm.weight.view(shape)
