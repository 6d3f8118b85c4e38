"""(B, T) waves -> (B, C, F, L) log filterbank images, inside the model so that every caller computes the same.

Frames are 25 ms long and 10 ms apart with no padding at the edges, so mel frame 2i is centred on the same
sample as frame i of wav2vec 2.0, HuBERT and WavLM (window 400, stride 320): content targets align with
evidence frames without interpolation.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ringtrue.audio import SAMPLE_RATE_HZ

FRAME = 400  # samples in one analysis window: 25 ms
HOP = 160  # samples between frames: 10 ms
FFT = 512  # FRAME, zero-padded to a power of two
LEVEL = 0.05  # RMS that every wave is brought to: -26 dBFS

FrontEnd = Literal["mel", "lfb", "dual"]


def frame_count(samples: int) -> int:
    """Count the frames of a wave.

    Args:
        samples: T, at least `FRAME`.

    Returns:
        L at 100 Hz.

    >>> frame_count(16_000)
    98
    """
    return (samples - FRAME) // HOP + 1


def filterbank(
    bands: int,
    low_hz: float,
    high_hz: float,
    *,
    fft: int = FFT,
    scale: Literal["slaney", "linear"] = "slaney",
    area_normalised: bool = False,
) -> NDArray[np.float32]:
    """Make triangular filters over the bins of a power spectrum.

    Args:
        bands: F, number of filters.
        low_hz: Lower edge of the first filter.
        high_hz: Upper edge of the last filter.
        fft: FFT length that gives ``fft // 2 + 1`` bins.
        scale: ``"slaney"``: mel scale of Slaney's Auditory Toolbox (linear below 1 kHz), which Whisper
            and librosa use; ``"linear"``: equal widths, which keep high-frequency vocoder cues that mel
            smears (Müller et al., "Does audio deepfake detection generalize?", 2022).
        area_normalised: Divide each filter by its bandwidth, as Whisper expects.

    Returns:
        `(F, fft // 2 + 1)` float32.
    """
    if scale == "slaney":
        edges_hz = _mel_to_hz(np.linspace(_hz_to_mel(low_hz), _hz_to_mel(high_hz), bands + 2))
    else:
        edges_hz = np.linspace(low_hz, high_hz, bands + 2)
    bins_hz = np.linspace(0, SAMPLE_RATE_HZ / 2, fft // 2 + 1)
    left, centre, right = edges_hz[:-2, None], edges_hz[1:-1, None], edges_hz[2:, None]
    rising = (bins_hz - left) / (centre - left)
    falling = (right - bins_hz) / (right - centre)
    weights = np.maximum(0.0, np.minimum(rising, falling))
    if area_normalised:
        weights *= 2.0 / (right - left)
    return weights.astype(np.float32)


class LogFilterbank(nn.Module):
    """Level-free, channel-free log filterbank image of a wave.

    The wave loses its offset and its level, the image the mean over time of every band: what is left cannot
    depend on gain and hardly on a microphone's colour.

    Args:
        front_end: ``"mel"`` (20-7600 Hz), ``"lfb"`` (linear, same range) or ``"dual"`` (both, as two channels).
        bands: F.
    """

    def __init__(self, front_end: FrontEnd = "dual", bands: int = 64):
        super().__init__()
        scales: dict[str, list[Literal["slaney", "linear"]]] = {
            "mel": ["slaney"],
            "lfb": ["linear"],
            "dual": ["slaney", "linear"],
        }
        banks = [filterbank(bands, 20.0, 7600.0, scale=scale) for scale in scales[front_end]]
        self.banks: Tensor
        self.window: Tensor
        self.channels = len(banks)
        self.bands = bands
        self.as_convolution = False  # the ONNX exporter switches this on: see `_power`
        self.register_buffer("banks", torch.from_numpy(np.stack(banks)), persistent=False)  # (C, F, bins)
        self.register_buffer("window", torch.hann_window(FRAME), persistent=False)

    def forward(self, wave: Tensor) -> Tensor:
        """Compute the image.

        Args:
            wave: `(B, T)`, T at least `FRAME`.

        Returns:
            `(B, C, F, L)` with L = ``frame_count(T)``, zero mean over time in every band.
        """
        wave = wave - wave.mean(dim=1, keepdim=True)
        rms = wave.square().mean(dim=1, keepdim=True).sqrt()
        wave = wave * (LEVEL / (rms + 1e-5))  # the floor keeps digital silence silent
        energies = torch.einsum("cfk,bkl->bcfl", self.banks, self._power(wave))
        image = torch.log(energies.float() + 1e-6)  # training may run the product above in bfloat16
        return image - image.mean(dim=3, keepdim=True)

    def _power(self, wave: Tensor) -> Tensor:
        """Power spectrum `(B, FFT // 2 + 1, L)`.

        Two roads to the same numbers (a test holds them together): an FFT, four times faster in torch, and
        a convolution with windowed cosines and sines, three times faster in ONNX Runtime.
        """
        if self.as_convolution:
            parts = functional.conv1d(wave[:, None], self._fourier_kernels(), stride=HOP)
            cosine, sine = parts.chunk(2, dim=1)
            return cosine.square() + sine.square()
        frames = wave.unfold(1, FRAME, HOP) * self.window
        spectrum = torch.fft.rfft(frames, n=FFT)
        return (spectrum.real.square() + spectrum.imag.square()).transpose(1, 2)

    def _fourier_kernels(self) -> Tensor:
        """Windowed cosine and sine kernels `(2 * (FFT // 2 + 1), 1, FRAME)`, made in float64."""
        time = torch.arange(FRAME, dtype=torch.float64)
        bins = torch.arange(FFT // 2 + 1, dtype=torch.float64)
        angle = 2 * math.pi * bins[:, None] * time[None, :] / FFT
        kernels = torch.cat([torch.cos(angle), torch.sin(angle)]) * self.window.double()
        return kernels.float()[:, None]


_LINEAR_HZ_PER_MEL = 200.0 / 3.0
_LOG_STEP = math.log(6.4) / 27.0  # Slaney: 27 mels from 1 kHz to 6.4 kHz


def _hz_to_mel(hz: float) -> float:
    return hz / _LINEAR_HZ_PER_MEL if hz < 1000.0 else 15.0 + math.log(hz / 1000.0) / _LOG_STEP


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(mel < 15.0, mel * _LINEAR_HZ_PER_MEL, 1000.0 * np.exp(_LOG_STEP * (mel - 15.0)))
