"""(B, T) waves -> (B, 8, L) prosody contours at 25 Hz: the torch twin of `ringtrue.prosody`, for use inside a model.

Every step has a fixed shape for a given length and is smooth, so the graph exports to ONNX with dynamic batch and
length, and rounding cannot turn one pitch into another. Nothing here is learned.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ringtrue import prosody as definition
from ringtrue.windows import CONTENT_FRAME


class ProsodyContours(nn.Module):
    """Pitch, voicing, loudness, tilt, periodicity and pauses of a wave, free of its level and of the voice's height.

    The channels are `ringtrue.prosody.CHANNELS`; frame j is centred where evidence frame 2 j is.
    """

    channels = len(definition.CHANNELS)

    def __init__(self) -> None:
        super().__init__()
        self.lowpass: Tensor
        self.fourier: Tensor
        self.lags: Tensor
        self.candidates: Tensor
        self.mix: Tensor
        for name, values in {
            "lowpass": definition.lowpass()[None, None],
            "fourier": definition.fourier_kernels()[:, None],
            "lags": definition.lag_matrix().T[:, :, None],
            "candidates": definition.candidates()[:, None],
            "mix": definition.MIX[None, None],
        }.items():
            self.register_buffer(name, _constant(values), persistent=False)

    def forward(self, wave: Tensor) -> Tensor:
        """Compute the contours.

        Args:
            wave: `(B, T)`, 16 kHz, T at least 400.

        Returns:
            `(B, 8, L)` at 25 Hz, L = ``(content_frames(T) + 1) // 2``.
        """
        wave = wave - wave.mean(dim=1, keepdim=True)
        wave = wave * (definition.LEVEL / (wave.square().mean(dim=1, keepdim=True).sqrt() + 1e-5))
        track, periodicity = self._track(wave)
        heard = torch.sigmoid((periodicity - definition.VOICED) / definition.VOICED_SPREAD)
        voicing = self._halved(heard)
        pitch = self._halved(heard * track) / (voicing + 1e-6)
        pitch = _carried(pitch - _median(pitch, voicing), voicing)
        level = self._bels(wave)
        tilt = self._bels(functional.pad(wave, (1, 0))[:, 1:] - functional.pad(wave, (1, 0))[:, :-1]) - level
        loudest = level.amax(dim=1, keepdim=True)
        quiet = torch.sigmoid((loudest - definition.PAUSE_BELOW_BEL - level) / definition.PAUSE_SPREAD)
        stretch = -_widest(-quiet[:, :, None], definition.PAUSE_REACH)
        pause = _widest(stretch, definition.PAUSE_REACH)[:, :, 0]
        level = level - level.mean(dim=1, keepdim=True)
        tilt = tilt - tilt.mean(dim=1, keepdim=True)
        periodicity = self._halved(periodicity)
        rows = [pitch, voicing, _slope(pitch), level, _slope(level), tilt, periodicity, pause]
        return torch.stack(rows, dim=1)

    def _track(self, wave: Tensor) -> tuple[Tensor, Tensor]:
        """Pitch in octaves above the lowest and periodicity, both `(B, L)` at 50 Hz."""
        half, step = definition.LOWPASS_TAPS // 2, definition.DECIMATION
        padded = functional.pad(wave, (half, half + 1 - step))[:, None]
        slow = functional.conv1d(padded, self.lowpass, stride=step)
        parts = functional.conv1d(
            slow, self.fourier, stride=definition.STRIDE, padding=definition.WINDOW // 4
        )
        cosine, sine = parts.chunk(2, dim=1)
        correlation = functional.conv1d(cosine.square() + sine.square(), self.lags)  # (B, G + 1, L)
        strength = correlation[:, :-1] / (correlation[:, -1:] + definition.silence())
        chances = _choose(strength + definition.OCTAVE_COST * self.candidates)
        return (chances * self.candidates).sum(dim=1), (chances * strength).sum(dim=1)

    def _halved(self, x: Tensor) -> Tensor:
        """Bring `(B, L)` at 50 Hz to 25 Hz."""
        return functional.conv1d(_edged(x)[:, None], self.mix, stride=2)[:, 0]

    def _bels(self, wave: Tensor) -> Tensor:
        """Level of 25-ms frames `(B, L)` at 25 Hz."""
        # In two steps, so that the exporter sees the length that pitch has; it cannot prove others equal.
        power = functional.avg_pool1d(wave.square()[:, None], definition.DECIMATION)
        size = CONTENT_FRAME // definition.DECIMATION
        power = functional.avg_pool1d(power, size, definition.STRIDE)
        return torch.log10(self._halved(power[:, 0]) + definition.FLOOR)


def _constant(values: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))


def _choose(own: Tensor) -> Tensor:
    """Weigh candidates `(B, G, L)` by what they and their neighbours in time score; they add up to 1 in a frame."""
    both = torch.stack([own, own.flip(2)], dim=1)  # forwards and backwards in time: (B, 2, G, L)
    heard = torch.zeros_like(both)
    for _ in range(definition.MEMORY):
        reached = definition.FADE * _widest(both + heard, definition.REACH)
        heard = functional.pad(reached[..., :-1], (1, 0))  # every frame hears the one before it
    return torch.softmax(definition.SHARPNESS * (own + heard[:, 0] + heard[:, 1].flip(2)), dim=1)


def _median(pitch: Tensor, voicing: Tensor) -> Tensor:
    """Weighted median over time of `(B, L)`, as `(B, 1)`."""
    centre = (voicing * pitch).sum(dim=1, keepdim=True) / (voicing.sum(dim=1, keepdim=True) + 1e-6)
    for _ in range(definition.MEDIAN_STEPS):
        weights = voicing / torch.sqrt((pitch - centre).square() + definition.MEDIAN_WIDTH**2)
        centre = (weights * pitch).sum(dim=1, keepdim=True) / (weights.sum(dim=1, keepdim=True) + 1e-6)
    return centre


def _carried(pitch: Tensor, voicing: Tensor) -> Tensor:
    """Fill unvoiced frames of `(B, L)` from the voiced ones around them, near ones first."""
    frames = torch.arange(pitch.shape[1], device=pitch.device, dtype=pitch.dtype)
    near = torch.exp(-(frames[:, None] - frames).abs() / definition.CARRY)
    carried = (voicing * pitch) @ near / (voicing @ near + definition.CARRY_FLOOR)
    return voicing * pitch + (1 - voicing) * carried


def _slope(x: Tensor) -> Tensor:
    padded = _edged(x)
    return (padded[:, 2:] - padded[:, :-2]) / 2


def _edged(x: Tensor) -> Tensor:
    """Repeat the first and the last frame of `(B, L)`."""
    return torch.cat([x[:, :1], x, x[:, -1:]], dim=1)


def _widest(x: Tensor, reach: int) -> Tensor:
    """Give every place along the last dimension but one the largest of the `reach` places on either side of it.

    By doubling: five maxima of whole slices for a window of 25, where torch's own pooling takes ten times as
    long and its one-dimensional form nails the length down in an exported graph.
    """
    x = functional.pad(x, (0, 0, reach, reach), value=-torch.inf)
    covered, width = 1, 2 * reach + 1
    while covered < width:
        step = min(covered, width - covered)
        x = torch.maximum(x[..., step:, :], x[..., :-step, :])
        covered += step
    return x
