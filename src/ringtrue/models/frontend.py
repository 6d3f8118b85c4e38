"""What every front end is: a frozen encoder of waves (B, T) with hidden layers (B, L, D), and how it is chosen.

A front end is never stored inside another model: a checkpoint names it and the hash of its weights.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ringtrue.errors import CheckpointError
from ringtrue.windows import content_frames

ALL_LAYERS: Literal["all"] = "all"
"""Stands where a layer's number may: all of them, to be weighted by what is learned on top."""


class FrontEnd(nn.Module):
    """A frozen encoder.

    Attributes:
        name: Hub name or folder that it was loaded from.
        num_layers: Highest layer; layer 0 is what the first transformer block reads.
        dim: D.
        utterance_level: Whether it gives one vector for a whole clip, as `(B, 1, D)`, instead of frames at 50 Hz.
        preprocessing: What is done to a wave first, for the record and for the name of cached features.
        weights_sha256: Hash of the weights, so that cached features can name their maker.
    """

    name: str
    num_layers: int
    dim: int
    utterance_level: bool = False
    preprocessing: Mapping[str, Any]
    weights_sha256: str

    def hidden(self, wave: Tensor, last: int) -> list[Tensor]:
        """Compute hidden layers, and no more than are asked for.

        Args:
            wave: `(B, T)`, 16 kHz, T at least `ringtrue.windows.CONTENT_FRAME`.
            last: 0 to `num_layers`.

        Returns:
            Layers 0 to `last`, each `(B, L, D)` with L = ``content_frames(T)``, or 1 at utterance level.
        """
        raise TypeError(f"{type(self).__name__} does not define hidden")

    def forward(self, wave: Tensor, layer: int) -> Tensor:
        """Compute one layer.

        Args:
            wave: `(B, T)`, as `hidden` takes it.
            layer: 0 to `num_layers`.

        Returns:
            `(B, L, D)`.

        Raises:
            CheckpointError: There is no such layer.
        """
        if not 0 <= layer <= self.num_layers:
            raise CheckpointError(f"layer {layer} of {self.name}: it has layers 0 to {self.num_layers}")
        return self.hidden(wave, layer)[layer]

    def freeze(self, name: str) -> None:
        """Finish loading: remember the name, hash the weights, switch gradients off.

        Args:
            name: What it was loaded as.
        """
        self.name = name
        self.weights_sha256 = _hash_weights(self.state_dict())
        self.eval().requires_grad_(False)


@dataclass(frozen=True)
class FrontEndChoice:
    """Which features of which front end: all plain values, to be kept in a checkpoint.

    Attributes:
        name: As `ringtrue.models.frontends.load_frontend` takes it.
        layer: A layer's number, or ``"all"``.
        pool: Neighbouring frames that are averaged into one; 1 keeps all 50 a second.
        whole_window: Pad to the 30 s that Whisper was trained on; see `ringtrue.models.whisper.WhisperEncoder`.
        dim: D, filled in by `resolved`.
        layers: Number of layers kept: 1, or all there are; filled in by `resolved`.
        utterance_level: Whether there is one vector a clip; filled in by `resolved`.
        weights_sha256: Hash of the weights; filled in by `resolved`, and then demanded.
    """

    name: str
    layer: int | Literal["all"] = ALL_LAYERS
    pool: int = 1
    whole_window: bool = False
    dim: int = 0
    layers: int = 0
    utterance_level: bool = False
    weights_sha256: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        is_layer = isinstance(self.layer, int) and self.layer >= 0
        if not (is_layer or self.layer == ALL_LAYERS) or self.pool < 1:
            raise CheckpointError(
                f"front end {self.name}: layer {self.layer!r}, pool {self.pool}; accepted: a layer's number or "
                f"{ALL_LAYERS!r}, and a pool of 1 frame or more"
            )

    def resolved(self, front_end: FrontEnd) -> FrontEndChoice:
        """Fill in what only the loaded front end knows, and check what was already filled in.

        Args:
            front_end: What `name` loads.

        Returns:
            The complete choice.

        Raises:
            CheckpointError: It is not the front end that was meant, or it has no such layer.
        """
        if self.weights_sha256 not in ("", front_end.weights_sha256):
            raise CheckpointError(
                f"the front end {self.name!r} has weights {front_end.weights_sha256[:12]}… where "
                f"{self.weights_sha256[:12]}… are needed: it is another model than the one trained with; name that one"
            )
        if isinstance(self.layer, int) and self.layer > front_end.num_layers:
            raise CheckpointError(
                f"layer {self.layer} of {self.name}: it has layers 0 to {front_end.num_layers}"
            )
        return FrontEndChoice(
            self.name,
            self.layer,
            self.pool,
            self.whole_window,
            dim=front_end.dim,
            layers=front_end.num_layers + 1 if self.layer == ALL_LAYERS else 1,
            utterance_level=front_end.utterance_level,
            weights_sha256=front_end.weights_sha256,
        )

    def made_by(self, front_end: FrontEnd) -> dict[str, Any]:
        """Name everything that features depend on besides the sound.

        Args:
            front_end: The loaded front end.

        Returns:
            Plain values; where a model lies is not among them.
        """
        known = asdict(self.resolved(front_end))
        del known["name"], known["whole_window"]  # a folder may be moved; the window is in `preprocessing`
        return {**known, "kind": type(front_end).__name__, "preprocessing": dict(front_end.preprocessing)}

    def clip_bytes(self, samples: int) -> int:
        """Compute what the cached features of a clip take.

        Args:
            samples: T.

        Returns:
            Bytes, in float16. The choice must be complete.
        """
        frames = 1 if self.utterance_level else math.ceil(content_frames(samples) / self.pool)
        return 2 * self.layers * frames * self.dim

    @torch.inference_mode()
    def features(self, front_end: FrontEnd, wave: Tensor) -> Tensor:
        """Compute the chosen features.

        Args:
            front_end: The loaded front end.
            wave: `(B, T)`, 16 kHz.

        Returns:
            `(B, N, L, D)` with N layers, L frames after pooling.
        """
        last = front_end.num_layers if self.layer == ALL_LAYERS else int(self.layer)
        hidden = front_end.hidden(wave, last)
        stacked = torch.stack(hidden if self.layer == ALL_LAYERS else hidden[-1:], dim=1)
        if self.pool == 1 or front_end.utterance_level:
            return stacked
        frames = stacked.flatten(0, 1).transpose(1, 2)
        pooled = functional.avg_pool1d(frames, self.pool, ceil_mode=True)
        return pooled.transpose(1, 2).unflatten(0, stacked.shape[:2])


def _hash_weights(weights: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(weights[name].detach().contiguous().numpy().tobytes())
    return digest.hexdigest()
