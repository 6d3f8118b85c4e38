"""(B, T) waves -> (B, S) statistics of their texture: how bands rise, fall and keep step, whatever is said, by whom.

A generator leaves its grain in every frame: where spectra are smooth, how fast they change, how phases follow each
other. Averages over a clip keep that and lose the words, as they do for rain and applause (McDermott & Simoncelli,
"Sound texture perception via statistics of the auditory periphery", 2011). No mean level of any band is among them:
microphones and voices differ in that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ringtrue.audio import SAMPLE_RATE_HZ
from ringtrue.models.features import LogFilterbank

_BANDS, _CEPSTRA = 128, 24  # of 25 ms frames, 10 ms apart
_FRAMES_APART = (1, 2, 4, 8, 16)
_FILTERS, _TAPS, _STEP = 32, 128, 16  # of 8 ms filters, heard every millisecond
_MILLISECONDS_APART = (
    1,
    2,
    3,
    4,
    5,
    6,
    8,
    10,
    12,
    16,
    20,
)  # pitch periods, and the frames that vocoders work in
_HIGHEST_HZ = 7600.0
_EMPHASIS = 0.97
_AT_ONCE = 16  # clips


class Texture(nn.Module):
    """Statistics of a wave's texture; nothing in it is learned."""

    def __init__(self) -> None:
        super().__init__()
        self.features = LogFilterbank("lfb", bands=_BANDS)
        self.cosines: Tensor
        self.kernels: Tensor
        steps = np.pi * np.arange(_CEPSTRA)[:, None] * (np.arange(_BANDS) + 0.5) / _BANDS
        turns = (
            (np.arange(_FILTERS)[:, None] + 0.5) / _FILTERS * _HIGHEST_HZ / SAMPLE_RATE_HZ * np.arange(_TAPS)
        )
        gabor = np.hanning(_TAPS + 2)[1:-1] * np.exp(2j * np.pi * turns)
        kernels = np.concatenate([gabor.real, gabor.imag])[:, None]
        self.register_buffer("cosines", torch.from_numpy(np.cos(steps) * math.sqrt(2 / _BANDS)).float())
        self.register_buffer("kernels", torch.from_numpy(kernels).float())
        above = np.triu_indices(_CEPSTRA, 1)
        self.pairs: Tensor
        self.register_buffer("pairs", torch.from_numpy(above[0] * _CEPSTRA + above[1]))

    def forward(self, wave: Tensor) -> Tensor:
        """Map waves `(B, T)`, 16 kHz, to statistics `(B, S)`."""
        flat = (
            wave[:, 1:] - _EMPHASIS * wave[:, :-1]
        )  # rounding of loud low bands must not drown soft high ones
        return torch.cat([*self._spectral(flat), *self._fine(flat)], dim=1)

    def _spectral(self, wave: Tensor) -> list[Tensor]:
        """Describe the spectrum from frame to frame."""
        image = torch.log(self.features.energies(wave) + 1e-7)[:, 0]  # (B, F, L)
        mean = image.mean(2)
        centred = image - mean[:, :, None]
        found = [
            *_shape(centred),
            *((image[:, :, k:] - image[:, :, :-k]).abs().mean(2) for k in _FRAMES_APART[:4]),
            *((image[:, k:] - image[:, :-k]).abs().mean(2) for k in (1, 2)),
            torch.log(torch.exp(-centred).mean(2)),  # how deep it falls
            torch.log(torch.exp(centred).mean(2)),  # how high it rises
        ]
        cepstra = torch.einsum("cf,bfl->bcl", self.cosines, centred)
        spread = cepstra.square().mean(2).sqrt()
        cepstra = cepstra / (spread[:, :, None] + 1e-3)
        together = (cepstra @ cepstra.transpose(1, 2)).flatten(1) / cepstra.shape[2]
        return [
            *found,
            torch.log(spread + 1e-3),
            together[:, self.pairs],
            *(
                torch.log((cepstra[:, :, k:] - cepstra[:, :, :-k]).square().mean(2) + 1e-3)
                for k in _FRAMES_APART
            ),
        ]

    def _fine(self, wave: Tensor) -> list[Tensor]:
        """Describe envelopes and phases from millisecond to millisecond."""
        heard = functional.conv1d(wave[:, None], self.kernels, stride=_STEP)
        real, imaginary = heard[:, :_FILTERS], heard[:, _FILTERS:]
        power = real * real + imaginary * imaginary + 1e-7
        level = torch.log(power)
        centred = level - level.mean(2, keepdim=True)
        spread, lean, tails = _shape(centred)
        turn = _phase_step(real[:, :, 1:], imaginary[:, :, 1:], real[:, :, :-1], imaginary[:, :, :-1], power)
        across = _phase_step(real[:, 1:], imaginary[:, 1:], real[:, :-1], imaginary[:, :-1], power)
        found = [
            *(
                torch.log((level[:, :, k:] - level[:, :, :-k]).square().mean(2) + 1e-3)
                for k in _MILLISECONDS_APART
            ),
            lean,
            tails,
            *(part.mean(2) for part in (*turn, *across)),
            (centred[:, 1:] * centred[:, :-1]).mean(2) / (spread[:, 1:] * spread[:, :-1] + 1e-3),
        ]
        one, other = turn
        for k in (1, 2, 5):  # how evenly the phase turns
            found.append((one[:, :, k:] * one[:, :, :-k] + other[:, :, k:] * other[:, :, :-k]).mean(2))
            found.append((other[:, :, k:] * one[:, :, :-k] - one[:, :, k:] * other[:, :, :-k]).mean(2))
        return found


@torch.inference_mode()
def textures(waves: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Measure clips.

    Args:
        waves: `(WINDOW,)` each, as `ringtrue.inference.source.prepare` gives them.

    Returns:
        `(n, S)`.
    """
    texture = Texture().eval()
    parts = [
        texture(torch.from_numpy(np.stack(waves[start : start + _AT_ONCE]))).numpy()
        for start in range(0, len(waves), _AT_ONCE)
    ]
    return np.concatenate(parts)


def _shape(centred: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Give spread, skewness and kurtosis over time of `(B, F, L)`, `(B, F)` each."""
    spread = centred.square().mean(2).sqrt()
    scaled = centred / (spread[:, :, None] + 0.1)
    return spread, (scaled * scaled * scaled).mean(2), (scaled * scaled).square().mean(2)


def _phase_step(
    real: Tensor, imaginary: Tensor, real_before: Tensor, imaginary_before: Tensor, power: Tensor
) -> tuple[Tensor, Tensor]:
    """Give cosine and sine of the phase between neighbours in time or frequency."""
    if real.shape[2] < power.shape[2]:
        scale = torch.rsqrt(power[:, :, 1:] * power[:, :, :-1])
    else:
        scale = torch.rsqrt(power[:, 1:] * power[:, :-1])
    cosine = (real * real_before + imaginary * imaginary_before) * scale
    return cosine, (imaginary * real_before - real * imaginary_before) * scale
