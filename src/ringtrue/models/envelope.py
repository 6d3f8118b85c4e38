"""(B, T) waves -> how spectral envelopes move, heard by one or two ears -> logits.

    wave -> energies of 64 linear bands at 100 Hz -> spread of cepstra over speech frames       } an ear each
                                                  `-> changes within 40 and 80 ms, and depth    } -> logits

A synthesiser is trained to the mean of what a person might have done, so its envelopes move less than a person's: Toda
and Tokuda ("A speech parameter generation algorithm considering global variance", 2007) measured the spread over time
of each cepstral order and repaired it. Bands of equal width keep fine structure at high frequencies, which mel bands
smear: there lies most of the difference. What moves more than people do counts against a clip as what moves less does.

That is one kind of machine. Rules, joined recordings and other vocoders move as far as people and at another pace,
which a second ear hears. A person convinces both, so the logits are those of the ear that is convinced least: what one
ear hears cannot be outvoted by another that was never taught to hear it.
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
_CHANGE, _STEP = 8, 4  # frames at 100 Hz between two whose cepstra, whose bands are compared
_DEEPEST = 8.0  # nepers of energy that a band may fall or rise from its mean
_AROUND = 101  # frames at 100 Hz that a frame's own logits are computed from: a second
_SHARE = 0.1  # of the whole clip among them: where nothing is said, a frame is judged as the clip is
_NEVER = 1e3  # standard deviations
_LEAST = 1e-6  # variance of a constant
_STILL = 1e-3  # nepers that a band changes by at least
_NO_ENERGY = (
    1e-7  # added where silence would divide or be a logarithm; exporters drop terms of 1e-8 and below
)
_NOTHING = 1e-6  # of the weight of a speech frame: so that silence alone has a weight as well


class EnvelopeDetector(nn.Module):
    """A detector that hears nothing but how a spectral envelope moves.

    Args:
        orders: Cepstral orders, from 0 on.
        ears: E, linear detectors side by side, of which the one that is least convinced of a person speaks.
        num_classes: K; with more than one ear 2.
    """

    def __init__(self, orders: int = 30, ears: int = 1, num_classes: int = 2):
        super().__init__()
        if ears > 1 and num_classes != 2:
            raise TypeError(f"{num_classes} classes for {ears} ears; several ears hear bona fide or spoof")
        self.features = LogFilterbank("lfb", _BANDS)
        self.cosines: Tensor
        self.centre: Tensor
        self.scale: Tensor
        self.peak: Tensor
        self.register_buffer("cosines", _cosines(orders, _BANDS), persistent=False)
        self.orders = orders
        sizes = {"spread": orders, "change": orders, "steps": _BANDS, "depth": _BANDS}
        ends = torch.tensor(list(sizes.values())).cumsum(0).tolist()
        self.places = {
            name: slice(end - size, end) for (name, size), end in zip(sizes.items(), ends, strict=True)
        }
        self.num_features = ends[-1]
        self.register_buffer("centre", torch.zeros(self.num_features))
        self.register_buffer("scale", torch.ones(self.num_features))
        self.register_buffer(
            "peak", torch.full((self.num_features,), _NEVER)
        )  # of scaled statistics: more is unlike people
        self.ears = ears
        self.num_classes = num_classes
        self.head = nn.Linear(self.num_features, ears * num_classes)

    def statistics(self, wave: Tensor) -> Tensor:
        """Measure clips.

        Args:
            wave: `(B, T)`, 16 kHz, T at least 400.

        Returns:
            `(B, D)`, natural logarithms of four families (`places` says where each lies), over speech frames: the
            standard deviation of each cepstral order; that of its change within 80 ms; the mean size of each band's
            change within 40 ms; the mean of each band's inverse energy, which falls far where valleys are deep.
        """
        return self._summary(self._sums(wave).mean(dim=2, keepdim=True)).squeeze(2)

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

    def decide(self, placed: Tensor) -> Tensor:
        """Compute logits.

        Args:
            placed: `(..., D)` that `place` gave.

        Returns:
            `(..., K)`: with several ears those of the one that finds a person least likely.
        """
        heard: Tensor = self.head(placed).unflatten(-1, (self.ears, self.num_classes))
        if self.ears == 1:
            return heard.squeeze(-2)
        return torch.stack([heard[..., 0].amax(dim=-1), heard[..., 1].amin(dim=-1)], dim=-1)

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
        return self.decide(self.embed(wave))

    def reset_head(self, num_classes: int) -> None:
        """Replace the head by a fresh one, of one ear, for another task.

        Args:
            num_classes: The new K.
        """
        self.ears, self.num_classes = 1, num_classes
        self.head = nn.Linear(self.num_features, num_classes)

    def _sums(self, wave: Tensor) -> Tensor:
        """Frames of weights and of weighted quantities, whose sums over any stretch make statistics: `(B, S, L)`."""
        energies = self.features.energies(wave)[:, 0]
        power = energies.sum(dim=1, keepdim=True)
        bels = torch.log10(power / (power.mean(dim=2, keepdim=True) + _NO_ENERGY) + _NO_ENERGY)
        weight = torch.sigmoid(_ACTIVE_SLOPE * (bels - _ACTIVE_BEL)) + _NOTHING
        weight = weight / weight.mean(dim=2, keepdim=True)
        mean = (weight * energies).mean(dim=2, keepdim=True)
        log_energies = torch.log(energies / (mean + _NO_ENERGY) + _FLOOR)
        alive = mean / (mean + _DEAD * mean.mean(dim=1, keepdim=True) + _NO_ENERGY)  # (B, F, 1)
        share = alive.mean(dim=1, keepdim=True) + 1e-6
        level = (alive * log_energies).mean(dim=1, keepdim=True) / share
        filled = level + alive * (log_energies - level)  # a band that a channel cut off moves with the others
        cepstrum = torch.matmul(self.cosines, filled) * torch.rsqrt(share)
        cepstrum = cepstrum - (weight * cepstrum).mean(dim=2, keepdim=True)
        moved = weight * cepstrum
        filled = filled - (weight * filled).mean(dim=2, keepdim=True)
        far = weight * _before(weight, _CHANGE)
        near = weight * _before(weight, _STEP)
        return torch.cat(
            [
                torch.cat([weight, far, near], dim=1),
                moved,
                moved * cepstrum,
                far * (cepstrum - _before(cepstrum, _CHANGE)).square(),
                near * (filled - _before(filled, _STEP)).abs(),
                weight * torch.exp(-filled.clamp(-_DEEPEST, _DEEPEST)),
            ],
            dim=1,
        )

    def _summary(self, sums: Tensor) -> Tensor:
        """Turn sums over any stretches of time `(B, S, L)` into statistics `(B, D, L)`."""
        orders = self.orders
        weights, first, second, change, step, depth = sums.split(
            [3, orders, orders, orders, _BANDS, _BANDS], dim=1
        )
        weight, far, near = (weights + _NOTHING).split(1, dim=1)
        variance = torch.relu(second / weight - (first / weight).square())
        return torch.cat(
            [
                0.5 * torch.log(variance + _LEAST),
                0.5 * torch.log(change / far + _LEAST),
                torch.log(step / near + _STILL),
                torch.log(depth / weight),
            ],
            dim=1,
        )

    def _decide(self, sums: Tensor) -> Tensor:
        return self.decide(self.place(self._summary(sums).transpose(1, 2))).transpose(1, 2)


def _before(frames: Tensor, count: int) -> Tensor:
    """Give what was so many frames earlier, `(..., L)`; nothing before the first."""
    return functional.pad(frames, (count, 0))[..., : frames.shape[-1]]


def _cosines(orders: int, bands: int) -> Tensor:
    """Rows of the cosine transform, `(orders, bands)`."""
    centres = (torch.arange(bands, dtype=torch.float64) + 0.5) / bands
    rows = torch.cos(math.pi * torch.arange(orders, dtype=torch.float64)[:, None] * centres)
    return (math.sqrt(2 / bands) * rows).float()
