"""(B, F, L) log mels, with pitch and noise -> (B, L * HOP) waves: three generators with one signature.

One of each kind that is in use: transposed convolutions, an inverse transform, a filtered source. They are small, to be
trained in hours on a processor, and so are audible: what they leave in the wave is what they are for.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ringtrue.audio import SAMPLE_RATE_HZ
from ringtrue.errors import ConfigError
from ringtrue.models.features import filterbank

HOP = 256  # samples from frame to frame
FFT = 1024  # samples in a frame
BANDS = 80

_SLOPE = 0.1  # of leaky rectifiers
_QUIETEST = 1e-5  # mel magnitude that counts as silence


class LogMel(nn.Module):
    """Waves -> log mel spectrograms, as all of the generators here see speech."""

    filters: Tensor
    window: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("filters", torch.from_numpy(_mel_filters()), persistent=False)
        self.register_buffer("window", torch.hann_window(FFT), persistent=False)

    def forward(self, wave: Tensor) -> Tensor:
        """Compute them.

        Args:
            wave: `(B, T)` float32, 16 kHz, T a multiple of `HOP` and more than `FFT`.

        Returns:
            `(B, F, T // HOP)`, natural logarithms; frame i is centred on hop i.
        """
        padded = functional.pad(wave[:, None], ((FFT - HOP) // 2,) * 2, mode="reflect")[:, 0]
        power = torch.stft(padded, FFT, HOP, window=self.window, center=False, return_complex=True).abs()
        return torch.log(torch.clamp(self.filters @ power, min=_QUIETEST))


class Transposed(nn.Module):
    """HiFi-GAN's generator, small: transposed convolutions, each followed by residual blocks of two widths.

    Kong, Kim and Bae, "HiFi-GAN" (NeurIPS 2020), arXiv:2010.05646.

    Args:
        channels: Of the first layer; every later one has half as many.
    """

    def __init__(self, channels: int = 128) -> None:
        super().__init__()
        self.first = nn.Conv1d(BANDS, channels, 7, padding=3)
        self.ups, self.blocks = nn.ModuleList(), nn.ModuleList()
        for factor in (8, 8, 4):  # their product is HOP
            self.ups.append(
                nn.ConvTranspose1d(channels, channels // 2, 2 * factor, factor, padding=factor // 2)
            )
            channels //= 2
            self.blocks.append(_Blocks(channels))
        self.last = nn.Conv1d(channels, 1, 7, padding=3)

    def forward(self, mels: Tensor, pitch_hz: Tensor, noise: Tensor) -> Tensor:
        """Speak; pitch and noise are not needed. See `create`."""
        x = self.first(mels)
        for up, blocks in zip(self.ups, self.blocks, strict=True):
            x = blocks(up(functional.leaky_relu(x, _SLOPE)))
        return torch.tanh(self.last(functional.leaky_relu(x, _SLOPE)))[:, 0]


class Inverse(nn.Module):
    """Vocos, small: a network at the frame rate predicts magnitudes and phases, the inverse transform does the rest.

    Siuzdak, "Vocos" (ICLR 2024), arXiv:2306.00814.

    Args:
        channels: Of every layer.
        layers: How many.
    """

    window: Tensor

    def __init__(self, channels: int = 192, layers: int = 5) -> None:
        super().__init__()
        self.first = nn.Conv1d(BANDS, channels, 7, padding=3)
        self.layers = nn.ModuleList(_ConvNeXt(channels) for _ in range(layers))
        self.norm = nn.LayerNorm(channels)
        self.head = nn.Linear(channels, FFT + 2)
        self.register_buffer("window", torch.hann_window(FFT), persistent=False)

    def forward(self, mels: Tensor, pitch_hz: Tensor, noise: Tensor) -> Tensor:
        """Speak; pitch and noise are not needed. See `create`."""
        x = self.first(mels)
        for layer in self.layers:
            x = layer(x)
        level, phase = self.head(self.norm(x.transpose(1, 2))).chunk(2, dim=-1)
        magnitude = torch.exp(torch.clamp(level, max=6.0))
        frames = torch.fft.irfft(torch.polar(magnitude, phase), FFT) * self.window
        return _overlap_add(frames, self.window)


class SourceFilter(nn.Module):
    """A neural source-filter model, small: harmonics of the pitch and noise through dilated convolutions.

    Wang, Takaki and Yamagishi, "Neural source-filter-based waveform model" (ICASSP 2019), arXiv:1810.11946.

    Args:
        channels: Of every layer.
        blocks: Filters one after the other.
        harmonics: Of the source.
    """

    def __init__(self, channels: int = 24, blocks: int = 2, harmonics: int = 8) -> None:
        super().__init__()
        self.harmonics = harmonics
        self.condition = nn.Sequential(
            nn.Conv1d(BANDS, 64, 5, padding=2), nn.LeakyReLU(_SLOPE), nn.Conv1d(64, channels, 5, padding=2)
        )
        self.merge = nn.Linear(harmonics + 1, 1)
        self.blocks = nn.ModuleList(_Filter(channels) for _ in range(blocks))

    def forward(self, mels: Tensor, pitch_hz: Tensor, noise: Tensor) -> Tensor:
        """Speak. See `create`."""
        hz = pitch_hz.repeat_interleave(HOP, dim=1)
        turns = torch.cumsum(hz.double() / SAMPLE_RATE_HZ, dim=1)[..., None]
        order = torch.arange(1, self.harmonics + 1, device=hz.device)
        heard = (hz[..., None] > 0) & (hz[..., None] * order < SAMPLE_RATE_HZ / 2)
        sines = 0.1 * torch.sin(2 * math.pi * torch.frac(turns * order)).float() * heard
        source = torch.tanh(self.merge(torch.cat([sines, 0.03 * noise[..., None]], dim=-1)))
        x = source.transpose(1, 2)
        condition = self.condition(mels).repeat_interleave(HOP, dim=2)
        for block in self.blocks:
            x = block(x, condition)
        return x[:, 0]


KINDS: dict[str, type[nn.Module]] = {"hifigan": Transposed, "istft": Inverse, "nsf": SourceFilter}
"""Generators by name."""


def create(kind: str) -> nn.Module:
    """Make a generator with fresh weights.

    Args:
        kind: A key of `KINDS`.

    Returns:
        A module that takes log mels `(B, F, L)`, pitch in Hz `(B, L)`, 0 where unvoiced, and unit noise
        `(B, L * HOP)`, and gives waves `(B, L * HOP)`.

    Raises:
        ConfigError: There is no such kind.
    """
    if kind not in KINDS:
        raise ConfigError(f"no vocoder of kind {kind!r}; accepted: {', '.join(KINDS)}")
    return KINDS[kind]()


class _Blocks(nn.Module):
    """The mean of residual blocks of two widths: one hears details, one hears further."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.narrow, self.wide = _Residual(channels, 3, (1, 3)), _Residual(channels, 7, (1, 3))

    def forward(self, x: Tensor) -> Tensor:
        return (self.narrow(x) + self.wide(x)) / 2


class _Residual(nn.Module):
    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv1d(channels, channels, kernel, dilation=d, padding=d * (kernel - 1) // 2)
            for d in dilations
        )

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.convs:
            x = x + conv(functional.leaky_relu(x, _SLOPE))
        return x


class _ConvNeXt(nn.Module):
    """Depthwise convolution, norm, two pointwise layers, residual (Liu et al., CVPR 2022)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv1d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels)
        self.wide = nn.Linear(channels, 3 * channels)
        self.narrow = nn.Linear(3 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.depthwise(x).transpose(1, 2))
        return x + self.narrow(functional.gelu(self.wide(y))).transpose(1, 2)


class _Filter(nn.Module):
    """Dilated convolutions that are told the mels, and add what they find to their source."""

    def __init__(self, channels: int, layers: int = 6) -> None:
        super().__init__()
        self.first = nn.Conv1d(1, channels, 1)
        self.convs = nn.ModuleList(
            nn.Conv1d(channels, channels, 3, dilation=2**k, padding=2**k) for k in range(layers)
        )
        self.last = nn.Conv1d(channels, 1, 1)

    def forward(self, source: Tensor, condition: Tensor) -> Tensor:
        x = self.first(source)
        for conv in self.convs:
            x = x + torch.tanh(conv(x) + condition)
        return source + 0.03 * self.last(x)  # a fresh filter changes its source little


def _overlap_add(frames: Tensor, window: Tensor) -> Tensor:
    """Add windowed frames `(B, L, FFT)`, centred on their hops -> `(B, L * HOP)`."""
    count = frames.shape[1]
    length = (count - 1) * HOP + FFT

    def fold(pieces: Tensor) -> Tensor:
        return functional.fold(pieces.transpose(1, 2), (1, length), (1, FFT), stride=(1, HOP))[:, 0, 0]

    weight = fold((window**2).expand(1, count, FFT))
    margin = (FFT - HOP) // 2
    kept = slice(margin, margin + count * HOP)
    return fold(frames)[:, kept] / torch.clamp(weight[:, kept], min=1e-3)


def _mel_filters() -> NDArray[np.float32]:
    return filterbank(BANDS, 0.0, 8000.0, fft=FFT, area_normalised=True)
