"""(B, T) waves -> frame evidence -> embedding -> logits: the light student that is the whole shipped detector.

    wave -> log filterbank -> trunk (TCN or ResNet) at 50 Hz -> evidence e_t -> attentive statistics -+-> z -> logits
    wave -> pitch, voicing, energy, tilt, pauses at 25 Hz -> slow trunk -> statistics, where asked for -'

The narrow evidence layer is where an adversary or a decorrelation may act: the trunk must be free to know the
phone, because vocoder artefacts are phone-conditional, but what leaves it should not carry the words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ringtrue.models.features import FrontEnd, LogFilterbank
from ringtrue.models.layers import AttentiveStatistics, ChannelNorm, SqueezeExcite
from ringtrue.models.prosody import ProsodyContours

Trunk = Literal["tcn", "resnet"]
Size = Literal["XS", "S", "M"]


@dataclass(frozen=True)
class _Widths:
    """What a size means; parameters come to 0.10, 0.28 and 0.50 million."""

    stem: tuple[int, int]  # TCN: channels of the two stem convolutions
    channels: int  # TCN: D of the residual blocks
    blocks: int
    images: tuple[int, int, int]  # ResNet: channels of its three stages
    tap: int
    evidence: int
    embedding: int


_INNER = 240  # inner width of every temporal block
_SLOW = 32  # channels of the prosody stream
_SLOW_DILATIONS = (1, 2, 4, 8, 16, 32)  # at 25 Hz: it hears 10 s
_ABSENT = 0.15  # share of training clips that lose one of the two streams, so that neither starves the other

_SIZES: dict[str, _Widths] = {
    "XS": _Widths((8, 12), 40, 4, (16, 26, 40), 48, 16, 32),
    "S": _Widths((16, 24), 72, 6, (24, 42, 66), 96, 16, 64),
    "M": _Widths((16, 24), 96, 8, (32, 58, 88), 128, 24, 64),
}


class ProsodyEncoder(nn.Module):
    """The Prosody Encoder: a small convolutional detector with frame evidence.

    Args:
        trunk: ``"tcn"`` or ``"resnet"``.
        size: ``"XS"``, ``"S"`` or ``"M"``.
        front_end: ``"mel"``, ``"lfb"`` or ``"dual"``; see `LogFilterbank`.
        prosody: Add the slow stream that hears prosody only.
        num_classes: K. A detector has 2 (spoof, bona fide), a tracer one per system.
        dropout: Share of trunk activations dropped while training, in [0, 1).
    """

    def __init__(
        self,
        trunk: Trunk = "tcn",
        size: Size = "S",
        front_end: FrontEnd = "dual",
        prosody: bool = False,
        num_classes: int = 2,
        dropout: float = 0.1,
    ):
        super().__init__()
        widths = _SIZES[size]
        self.features = LogFilterbank(front_end)
        build = {"tcn": _TemporalTrunk, "resnet": _ResidualTrunk}[trunk]
        self.trunk = build(self.features.channels, self.features.bands, widths, dropout)
        self.to_evidence = nn.Sequential(
            nn.Conv1d(widths.tap, widths.evidence, 1), ChannelNorm(widths.evidence)
        )
        self.pool = AttentiveStatistics(widths.evidence, hidden=widths.embedding)
        self.to_embedding = nn.Sequential(
            nn.Linear(2 * widths.evidence, widths.embedding), nn.SiLU(), nn.LayerNorm(widths.embedding)
        )
        self.frame_head = nn.Conv1d(widths.evidence, num_classes, 1)
        self.slow = ProsodyStream(dropout) if prosody else None
        self.parts = (widths.embedding, _SLOW) if prosody else (widths.embedding,)
        self.evidence_dim = widths.evidence
        self.num_features = sum(self.parts)
        self.head = nn.Linear(self.num_features, num_classes)
        self.num_classes = num_classes

    def evidence(self, wave: Tensor) -> Tensor:
        """Compute frame evidence.

        Args:
            wave: `(B, T)`, 16 kHz, T at least 400.

        Returns:
            `(B, D, L)` at 50 Hz: frame i is centred on sample 200 + 320 i.
        """
        out: Tensor = self.to_evidence(self.trunk(self.features(wave)))
        return out

    def perceive(self, wave: Tensor) -> tuple[Tensor, Tensor | None]:
        """Compute all that is heard in time order: evidence, and `(B, D, L)` at 25 Hz of the prosody stream."""
        return self.evidence(wave), None if self.slow is None else self.slow(wave)

    def pooled(self, evidence: Tensor, prosody: Tensor | None = None) -> Tensor:
        """Pool what `perceive` gave to embeddings `(B, D)`: one part for each stream, see `parts`."""
        heard: Tensor = self.to_embedding(self.pool(evidence))
        if self.slow is None:
            return heard
        assert prosody is not None, "a model with a prosody stream pools both streams"
        spoken = self.slow.pooled(prosody)
        if self.training:
            chance = torch.rand(len(heard), 1, device=heard.device)
            heard = heard * (chance > _ABSENT)
            spoken = spoken * (chance < 1.0 - _ABSENT)
        return torch.cat([heard, spoken], dim=1)

    def judge(self, wave: Tensor) -> tuple[Tensor, Tensor]:
        """Compute logits of every clip `(B, K)` and of every frame `(B, K, L)` in one pass."""
        evidence, prosody = self.perceive(wave)
        return self.head(self.pooled(evidence, prosody)), self.frame_head(evidence)

    def embed(self, wave: Tensor) -> Tensor:
        """Compute embeddings `(B, D)` of waves `(B, T)`."""
        return self.pooled(*self.perceive(wave))

    def frame_logits(self, wave: Tensor) -> Tensor:
        """Compute logits of every frame: waves `(B, T)` to `(B, K, L)`."""
        out: Tensor = self.frame_head(self.evidence(wave))
        return out

    def forward(self, wave: Tensor) -> Tensor:
        """Compute logits of every clip: waves `(B, T)` to `(B, K)`."""
        out: Tensor = self.head(self.embed(wave))
        return out

    def perceiving(self) -> list[nn.Parameter]:
        """List the parameters that `perceive` uses; the others come after."""
        modules = [self.trunk, self.to_evidence] + ([] if self.slow is None else [self.slow.trunk])
        return [parameter for module in modules for parameter in module.parameters()]

    def reset_head(self, num_classes: int) -> None:
        """Replace both heads by fresh ones for another task.

        Args:
            num_classes: The new K.
        """
        self.num_classes = num_classes
        self.head = nn.Linear(self.num_features, num_classes)
        self.frame_head = nn.Conv1d(self.evidence_dim, num_classes, 1)


class ProsodyStream(nn.Module):
    """A slow stream that cannot hear timbre: contours of pitch, energy and pauses, and what changes in them.

    Args:
        dropout: Share of activations dropped while training, in [0, 1).
    """

    def __init__(self, dropout: float):
        super().__init__()
        self.width = _SLOW
        self.contours = ProsodyContours()
        self.trunk = nn.Sequential(
            nn.Conv2d(self.contours.channels, _SLOW, 1),
            *(_TemporalBlock(_SLOW, dilation, dropout, inner=2 * _SLOW) for dilation in _SLOW_DILATIONS),
            ChannelNorm(_SLOW),
        )
        self.to_embedding = nn.Sequential(nn.Linear(2 * _SLOW, _SLOW), nn.SiLU(), nn.LayerNorm(_SLOW))

    def forward(self, wave: Tensor) -> Tensor:
        """Map waves `(B, T)` to `(B, D, L)` at 25 Hz."""
        return self.listen(self.contours(wave))

    def listen(self, contours: Tensor) -> Tensor:
        """Map contours `(B, C, L)` to `(B, D, L)`."""
        out: Tensor = self.trunk(_as_image(contours)).squeeze(2)
        return out

    def pooled(self, frames: Tensor) -> Tensor:
        """Pool `(B, D, L)` to `(B, D)` by mean and standard deviation over time."""
        spread = torch.sqrt(frames.var(dim=2, correction=0) + 1e-5)
        out: Tensor = self.to_embedding(torch.cat([frames.mean(dim=2), spread], dim=1))
        return out


class _TemporalTrunk(nn.Module):
    """2-D stem, then dilated depthwise-separable residual blocks at 50 Hz; receptive field of S: 2.5 s."""

    def __init__(self, channels: int, bands: int, widths: _Widths, dropout: float):
        super().__init__()
        first, second = widths.stem
        self.stem = nn.Sequential(
            nn.Conv2d(channels, first, 3, stride=(2, 1), padding=1),
            ChannelNorm(first),
            nn.SiLU(),
            nn.Conv2d(first, first, 3, stride=2, padding=1, groups=first),
            nn.Conv2d(first, second, 1),
            ChannelNorm(second),
            nn.SiLU(),
        )
        self.to_frames = nn.Conv2d(second, widths.channels, (bands // 4, 1))
        self.blocks = nn.ModuleList(
            [_TemporalBlock(widths.channels, 2 ** (index % 6), dropout) for index in range(widths.blocks)]
        )
        last = widths.blocks - 1
        self.taps = (last // 3, 2 * last // 3, last)  # blocks whose outputs are aggregated
        self.aggregate = nn.Sequential(
            nn.Conv2d(len(self.taps) * widths.channels, widths.tap, 1), ChannelNorm(widths.tap), nn.SiLU()
        )

    def forward(self, image: Tensor) -> Tensor:
        """Map `(B, C, F, L)` at 100 Hz to `(B, D, L)` at 50 Hz."""
        frames = self.to_frames(self.stem(image.contiguous(memory_format=torch.channels_last)))
        heard = []
        for index, block in enumerate(self.blocks):
            frames = block(frames)
            if index in self.taps:
                heard.append(frames)
        out: Tensor = self.aggregate(torch.cat(heard, dim=1)).squeeze(2)
        return out


def _as_image(frames: Tensor) -> Tensor:
    """Give frames `(B, D, L)` as `(B, D, 1, L)` with channels last in memory.

    Convolutions in two dimensions on such tensors train two to four times faster on a CPU than those in one.
    """
    return frames[:, :, None].contiguous(memory_format=torch.channels_last)


class _TemporalBlock(nn.Module):
    def __init__(self, channels: int, dilation: int, dropout: float, inner: int = _INNER):
        super().__init__()
        self.path = nn.Sequential(
            nn.Conv2d(
                channels, channels, (1, 5), padding=(0, 2 * dilation), dilation=(1, dilation), groups=channels
            ),
            ChannelNorm(channels),
            nn.Conv2d(channels, inner, 1),
            nn.SiLU(),
            nn.Conv2d(inner, channels, 1),
            SqueezeExcite(channels),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.path(x)
        return out


class _ResidualTrunk(nn.Module):
    """Pre-activation 2-D residual stages that halve frequency; time is halved once, to 50 Hz."""

    def __init__(self, channels: int, bands: int, widths: _Widths, dropout: float):
        super().__init__()
        first, second, third = widths.images
        self.stem = nn.Conv2d(channels, first, 3, stride=2, padding=1)
        self.stages = nn.Sequential(
            _ResidualBlock(first, first, 1, dropout),
            _ResidualBlock(first, second, 2, dropout),
            _ResidualBlock(second, second, 1, dropout),
            _ResidualBlock(second, third, 2, dropout),
            _ResidualBlock(third, third, 1, dropout),
        )
        self.to_tap = nn.Sequential(
            nn.Conv2d(third, widths.tap, (bands // 8, 1)), ChannelNorm(widths.tap), nn.SiLU()
        )

    def forward(self, image: Tensor) -> Tensor:
        """Map `(B, C, F, L)` at 100 Hz to `(B, D, L)` at 50 Hz."""
        heard = self.stages(self.stem(image.contiguous(memory_format=torch.channels_last)))
        out: Tensor = self.to_tap(heard).squeeze(2)
        return out


class _ResidualBlock(nn.Module):
    def __init__(self, channels: int, out_channels: int, frequency_stride: int, dropout: float):
        super().__init__()
        self.path = nn.Sequential(
            ChannelNorm(channels),
            nn.SiLU(),
            nn.Conv2d(channels, out_channels, 3, stride=(frequency_stride, 1), padding=1),
            ChannelNorm(out_channels),
            nn.SiLU(),
            nn.Conv2d(out_channels, out_channels, 3, padding=1),
            SqueezeExcite(out_channels),
            nn.Dropout(dropout),
        )
        self.skip = (
            nn.Identity()
            if channels == out_channels and frequency_stride == 1
            else nn.Conv2d(channels, out_channels, 1, stride=(frequency_stride, 1))
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.skip(x) + self.path(x)
        return out
