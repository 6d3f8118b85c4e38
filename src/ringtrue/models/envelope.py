"""(B, T) waves -> how far their spectral envelopes move -> logits: thirty numbers that synthesisers leave too small.

    wave -> energies of 64 linear bands at 100 Hz -> cepstrum -> spread over speech frames, order by order -> logits

A synthesiser is trained to the mean of what a person might have done, so its envelopes move less than a person's: Toda
and Tokuda ("A speech parameter generation algorithm considering global variance", 2007) measured the spread over time
of each cepstral order and repaired it. Bands of equal width keep fine structure at high frequencies, which mel bands
smear: there lies most of the difference. What moves more than people do counts against a clip as what moves less does.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from ringtrue.models.features import LogFilterbank

_BANDS = 64
_ACTIVE_BEL = -2.0  # a frame this far below the mean power counts half
_ACTIVE_SLOPE = 4.0  # of that weight, per bel
_FLOOR = 1e-6  # of a band's own mean energy: what lies lower is rounding, not speech
_DEAD = (
    10**-4.5
)  # of the mean energy of all bands: one as weak as this counts half, since a channel has cut it off
_AROUND = 101  # frames at 100 Hz that a frame's own logits are computed from: a second
_SHARE = 0.1  # of the whole clip among them: where nothing is said, a frame is judged as the clip is
_NEVER = 1e3  # standard deviations
_LEAST = 1e-8  # variance of a constant


class EnvelopeDetector(nn.Module):
    """A detector that hears nothing but how far a spectral envelope moves.

    Args:
        orders: Cepstral orders, from 0 on.
        num_classes: K.
    """

    def __init__(self, orders: int = 30, num_classes: int = 2):
        super().__init__()
        self.features = LogFilterbank("lfb", _BANDS)
        self.cosines: Tensor
        self.centre: Tensor
        self.scale: Tensor
        self.peak: Tensor
        self.register_buffer("cosines", _cosines(orders, _BANDS), persistent=False)
        self.num_features = orders
        self.register_buffer("centre", torch.zeros(orders))
        self.register_buffer("scale", torch.ones(orders))
        self.register_buffer(
            "peak", torch.full((orders,), _NEVER)
        )  # of scaled spreads: more is unlike people
        self.head = nn.Linear(self.num_features, num_classes)
        self.num_classes = num_classes

    def statistics(self, wave: Tensor) -> Tensor:
        """Measure clips.

        Args:
            wave: `(B, T)`, 16 kHz, T at least 400.

        Returns:
            `(B, D)`: the natural logarithm of the standard deviation over speech frames of each cepstral order.
        """
        return _summary(self._sums(wave).mean(dim=2, keepdim=True)).squeeze(2)

    def embed(self, wave: Tensor) -> Tensor:
        """Compute embeddings `(B, D)` of waves `(B, T)`: see `place`."""
        return self.place(self.statistics(wave))

    def place(self, statistics: Tensor) -> Tensor:
        """Place statistics among those that the detector was fitted to.

        Args:
            statistics: `(..., D)`.

        Returns:
            `(..., D)`, centred and of unit spread there; what is above the peak is as far below it.
        """
        return self.peak - torch.abs((statistics - self.centre) / self.scale - self.peak)

    def judge(self, wave: Tensor) -> tuple[Tensor, Tensor]:
        """Compute logits of every clip `(B, K)` and of every frame `(B, K, L)` in one pass."""
        sums = self._sums(wave)
        whole = sums.mean(dim=2, keepdim=True)
        near = functional.avg_pool1d(sums, _AROUND, stride=2, padding=_AROUND // 2, count_include_pad=False)
        return self._decide(whole).squeeze(2), self._decide(near + _SHARE * whole)

    def frame_logits(self, wave: Tensor) -> Tensor:
        """Compute logits of every frame at 50 Hz from the second around it: waves `(B, T)` to `(B, K, L)`."""
        return self.judge(wave)[1]

    def forward(self, wave: Tensor) -> Tensor:
        """Compute logits of every clip: waves `(B, T)` to `(B, K)`."""
        out: Tensor = self.head(self.embed(wave))
        return out

    def reset_head(self, num_classes: int) -> None:
        """Replace the head by a fresh one for another task.

        Args:
            num_classes: The new K.
        """
        self.num_classes = num_classes
        self.head = nn.Linear(self.num_features, num_classes)

    def _sums(self, wave: Tensor) -> Tensor:
        """Frames of weight, and of first and second weighted powers of the cepstrum: `(B, 1 + 2 D, L)`."""
        energies = self.features.energies(wave)[:, 0]
        power = energies.sum(dim=1, keepdim=True)
        bels = torch.log10(power / (power.mean(dim=2, keepdim=True) + 1e-12) + 1e-9)
        weight = torch.sigmoid(_ACTIVE_SLOPE * (bels - _ACTIVE_BEL))
        weight = weight / weight.mean(dim=2, keepdim=True)
        mean = (weight * energies).mean(dim=2, keepdim=True)
        log_energies = torch.log(energies / (mean + 1e-12) + _FLOOR)
        alive = mean / (mean + _DEAD * mean.mean(dim=1, keepdim=True) + 1e-12)  # (B, F, 1)
        share = alive.mean(dim=1, keepdim=True) + 1e-6
        level = (alive * log_energies).mean(dim=1, keepdim=True) / share
        filled = level + alive * (log_energies - level)  # a band that a channel cut off moves with the others
        cepstrum = torch.matmul(self.cosines, filled) * torch.rsqrt(share)
        cepstrum = cepstrum - (weight * cepstrum).mean(dim=2, keepdim=True)
        moved = weight * cepstrum
        return torch.cat([weight, moved, moved * cepstrum], dim=1)

    def _decide(self, sums: Tensor) -> Tensor:
        out: Tensor = self.head(self.place(_summary(sums).transpose(1, 2))).transpose(1, 2)
        return out


def _summary(sums: Tensor) -> Tensor:
    """Turn sums over any stretches of time `(B, 1 + 2 D, L)` into statistics `(B, D, L)`."""
    orders = sums.shape[1] // 2
    weight, first, second = sums.split([1, orders, orders], dim=1)
    variance = torch.relu(second / weight - (first / weight).square())
    return 0.5 * torch.log(variance + _LEAST)


def _cosines(orders: int, bands: int) -> Tensor:
    """Rows of the cosine transform, `(orders, bands)`."""
    centres = (torch.arange(bands, dtype=torch.float64) + 0.5) / bands
    rows = torch.cos(math.pi * torch.arange(orders, dtype=torch.float64)[:, None] * centres)
    return (math.sqrt(2 / bands) * rows).float()
