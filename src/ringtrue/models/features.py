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
        self.outer: Tensor
        self.inner: Tensor
        self.folded_banks: Tensor
        self.channels = len(banks)
        self.bands = bands
        self.for_onnx = False  # the exporter switches this on: see `_energies_by_convolution`
        self.register_buffer("banks", torch.from_numpy(np.stack(banks)), persistent=False)  # (C, F, bins)
        self.register_buffer("window", torch.hann_window(FRAME), persistent=False)
        kernels = _two_step_kernels(np.stack(banks))
        for name, kernel in zip(("outer", "inner", "folded_banks"), kernels, strict=True):
            self.register_buffer(name, torch.from_numpy(kernel), persistent=False)

    def forward(self, wave: Tensor) -> Tensor:
        """Compute the image.

        Args:
            wave: `(B, T)`, T at least `FRAME`.

        Returns:
            `(B, C, F, L)` with L = ``frame_count(T)``, zero mean over time in every band.
        """
        image = torch.log(self.energies(wave) + 1e-6)
        return image - image.mean(dim=3, keepdim=True)

    def energies(self, wave: Tensor) -> Tensor:
        """Compute what the image is the logarithm of.

        Args:
            wave: `(B, T)`, T at least `FRAME`.

        Returns:
            Energies `(B, C, F, L)` of bands of the levelled wave.
        """
        wave = wave - wave.mean(dim=1, keepdim=True)
        rms = wave.square().mean(dim=1, keepdim=True).sqrt()
        wave = wave * (LEVEL / (rms + 1e-5))  # the floor keeps digital silence silent
        energies = self._energies_by_convolution(wave) if self.for_onnx else self._energies(wave)
        # training may run the products above in bfloat16
        return energies if energies.dtype == torch.float64 else energies.float()

    def _energies(self, wave: Tensor) -> Tensor:
        """Band energies `(B, C, F, L)` by the FFT, which is what torch does best."""
        frames = wave.unfold(1, FRAME, HOP) * self.window
        spectrum = torch.fft.rfft(frames, n=FFT)
        power = (spectrum.real.square() + spectrum.imag.square()).transpose(1, 2)
        return torch.einsum("cfk,bkl->bcfl", self.banks, power)

    def _energies_by_convolution(self, wave: Tensor) -> Tensor:
        """The same energies by grouped convolutions, which is what ONNX Runtime does best.

        Its own DFT is slow, and a convolution with every cosine and sine costs 205,600 products a frame. The two
        steps of Cooley and Tukey ("An algorithm for the machine calculation of complex Fourier series", 1965)
        cost 31,000, and their kernels take 0.1 MB where that one's take 0.8.
        """
        chunks = wave.shape[1] // _CHUNK  # every frame begins and ends between two of them
        grid = wave[:, : chunks * _CHUNK].view(-1, chunks, _CHUNK).transpose(1, 2)
        grid = grid.reshape(-1, _CHUNK // _INNER, _INNER, chunks).transpose(1, 2)
        half = functional.conv1d(grid.flatten(1, 2), self.outer, stride=HOP // _CHUNK, groups=_INNER)
        frames = half.shape[2]
        half = half.view(-1, _INNER, 2 * _OUTER, frames).transpose(1, 2).flatten(1, 2)  # (B, 34 x 16, L)
        real, imaginary = (functional.conv1d(half, part, groups=_OUTER) for part in self.inner)
        energies = functional.conv1d(real * real + imaginary * imaginary, self.folded_banks)
        return energies.view(-1, self.channels, self.bands, frames)


_CHUNK = math.gcd(FRAME, HOP)  # samples: frames begin and end between two of them
_INNER = 16  # b runs over 0 .. 15 in sample n = 16 a + b
_OUTER = FFT // _INNER // 2 + 1  # j runs over 0 .. 16 in bin k = j + 32 i; the other half is conjugate


def _two_step_kernels(banks: NDArray[np.float32]) -> tuple[NDArray[np.float32], ...]:
    """Make the kernels of a windowed DFT in two steps, and the filters for the order of its results.

    Args:
        banks: Filters over the bins, `(C, F, bins)`.

    Returns:
        Over a = 5 c + i, `(16 x 34, 5, 5)`, window included: cosine and sine of each j, for each b. Over b, with the
        twiddle factors, `(2, 17 x 16, 32, 1)`: real and imaginary part of each i, for each j. The filters over
        these results, `(C x F, 17 x 16, 1)`.
    """
    a, b = np.arange(FRAME // _INNER), np.arange(_INNER)
    j, i = np.arange(_OUTER), np.arange(_INNER)
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / FRAME)).reshape(-1, _INNER)
    steps = np.exp(-2j * np.pi * np.outer(j, a) * _INNER / FFT)
    outer = np.einsum("ja,ab->bja", steps, window)
    turns = np.exp(-2j * np.pi * (j[:, None, None] / FFT + i[:, None] / _INNER) * b)  # (j, i, b)
    inner = np.stack([np.stack([turns.real, -turns.imag], 2), np.stack([turns.imag, turns.real], 2)])
    bins = (j[:, None] + FFT // _INNER * i).ravel()
    bins = np.minimum(bins, FFT - bins)
    folded = banks[:, :, bins]
    _, first = np.unique(bins, return_index=True)
    folded[:, :, np.setdiff1d(np.arange(bins.size), first)] = 0  # a bin that comes twice counts once
    kernels = (
        np.stack([outer.real, outer.imag], 2)
        .reshape(-1, FRAME // _CHUNK, _CHUNK // _INNER)
        .swapaxes(1, 2)
        .copy(),
        inner.reshape(2, -1, 2 * b.size, 1),
        folded.reshape(-1, bins.size, 1),
    )
    return tuple(kernel.astype(np.float32) for kernel in kernels)


_LINEAR_HZ_PER_MEL = 200.0 / 3.0
_LOG_STEP = math.log(6.4) / 27.0  # Slaney: 27 mels from 1 kHz to 6.4 kHz


def _hz_to_mel(hz: float) -> float:
    return hz / _LINEAR_HZ_PER_MEL if hz < 1000.0 else 15.0 + math.log(hz / 1000.0) / _LOG_STEP


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(mel < 15.0, mel * _LINEAR_HZ_PER_MEL, 1000.0 * np.exp(_LOG_STEP * (mel - 15.0)))
