"""Features of several pretrained front ends -> one embedding -> logits: MiO, "merge into one".

    each front end -> its own CNN branch -> 120 dimensions; branches -> fusion -> embedding (B, 128) -> logits (B, K)

Phukan et al., "Heterogeneity over Homogeneity: Investigating Multilingual Speech Pre-Trained Models for Detecting Audio
Deepfake", Findings of NAACL 2024. Of that paper we know the front ends, the projection to 120 and the fusion by an
outer product. Widths, recipe and figures of its tables are not known to us (no code was published), and no claim is
made to reproduce them: the branch follows the public description of one re-implementation, the rest is ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ringtrue.errors import CheckpointError
from ringtrue.models.frontend import FrontEnd, FrontEndChoice
from ringtrue.models.frontends import load_choice
from ringtrue.windows import content_frames

Fusion = Literal["outer", "bilinear", "concat", "gated"]

PROJECTION = 120  # dimensions that every branch is brought to
_EMBEDDING = 128


class MiO(nn.Module):
    """The MiO countermeasure or tracer.

    Its front ends are not part of it: they are named, with the hashes of their weights, and loaded when a wave is first
    heard. Whoever has cached features needs none of them; see `embed_features`.

    Args:
        front_ends: Complete choices, as `complete` gives them: one or more. With one, only ``"concat"`` makes sense: it
            is that front end alone.
        fusion: ``"outer"``: the paper's parameter-free outer product, of every two branches; ``"bilinear"``: a learned
            tensor for every two (as in the public re-implementation, not in the paper); ``"concat"``: side by side;
            ``"gated"``: a mean whose weights are chosen for every dimension.
        num_classes: K. A detector has 2 (spoof, bona fide), a tracer one per system.
        channels: Width of the branches' convolutions.
        dropout: Share of fused dimensions dropped while training, in [0, 1).
    """

    def __init__(
        self,
        front_ends: Sequence[Mapping[str, Any]],
        fusion: Fusion = "outer",
        num_classes: int = 2,
        channels: int = PROJECTION,
        dropout: float = 0.2,
    ):
        super().__init__()
        self.choices = tuple(FrontEndChoice(**choice) for choice in front_ends)
        if any(not (choice.dim and choice.weights_sha256) for choice in self.choices):
            raise CheckpointError(
                "MiO needs complete front ends, with dim and weights_sha256: see mio.complete"
            )
        self.branches = nn.ModuleList([_Branch(choice, channels) for choice in self.choices])
        self.fusion = _make_fusion(fusion, len(self.choices))
        self.to_embedding = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(self.fusion.width, _EMBEDDING), nn.ReLU()
        )
        self.head = nn.Linear(_EMBEDDING, num_classes)
        self.num_features = _EMBEDDING
        self.num_classes = num_classes
        self._loaded: list[FrontEnd] = []  # a list, so that they are no part of the state

    def front_ends(self) -> Sequence[FrontEnd]:
        """Load the front ends, once.

        Returns:
            One for each choice.

        Raises:
            CheckpointError: One cannot be loaded, or is not the one that the model was trained with.
        """
        if not self._loaded:
            loaded = [load_choice(choice)[0] for choice in self.choices]
            device = self.head.weight.device
            self._loaded = [front_end.to(device) for front_end in loaded]
        return self._loaded

    def features(self, wave: Tensor) -> list[Tensor]:
        """Compute the features of waves `(B, T)`: `(B, N, L, D)` for each front end, without gradients."""
        pairs = zip(self.choices, self.front_ends(), strict=True)
        return [choice.features(front_end, wave).clone() for choice, front_end in pairs]

    def embed_features(self, features: Sequence[Tensor]) -> Tensor:
        """Embed features.

        Args:
            features: `(B, N, L, D)` for each front end.

        Returns:
            `(B, 128)`.
        """
        pooled = [branch(heard) for branch, heard in zip(self.branches, features, strict=True)]
        out: Tensor = self.to_embedding(self.fusion(pooled))
        return out

    def embed(self, wave: Tensor) -> Tensor:
        """Compute embeddings `(B, 128)` of waves `(B, T)`."""
        return self.embed_features(self.features(wave))

    def frame_logits(self, wave: Tensor) -> Tensor:
        """Compute logits of every frame: waves `(B, T)` to `(B, K, L)`.

        What the clip's path does after its mean over time is done to every frame instead. Front ends with fewer frames
        are heard for as long as each of theirs lasts.
        """
        length = content_frames(wave.shape[1])
        branches: Any = self.branches
        frames = [
            _stretch(branch.frames(heard), length)
            for branch, heard in zip(branches, self.features(wave), strict=True)
        ]
        out: Tensor = self.head(self.to_embedding(self.fusion(frames)))
        return out.transpose(1, 2)

    def forward(self, wave: Tensor) -> Tensor:
        """Compute logits of every clip: waves `(B, T)` to `(B, K)`. Logits: the softmax belongs to the loss."""
        out: Tensor = self.head(self.embed(wave))
        return out

    def reset_head(self, num_classes: int) -> None:
        """Replace the head by a fresh one for another task.

        Args:
            num_classes: The new K.
        """
        self.num_classes = num_classes
        self.head = nn.Linear(self.num_features, num_classes)


def complete(choices: Sequence[FrontEndChoice]) -> list[dict[str, Any]]:
    """Load front ends once to learn what MiO must know of them.

    Args:
        choices: Which.

    Returns:
        The argument `front_ends` of `MiO`, in plain values.

    Raises:
        CheckpointError: One cannot be loaded.
    """
    from dataclasses import asdict

    return [asdict(load_choice(choice)[1]) for choice in choices]


class _Branch(nn.Module):
    """Layer weights, normalisation, convolution, ReLU, max-pooling by two, mean over time, projection."""

    def __init__(self, choice: FrontEndChoice, channels: int):
        super().__init__()
        self.layer_weights = nn.Parameter(torch.zeros(choice.layers)) if choice.layers > 1 else None
        self.norm = nn.LayerNorm(choice.dim)
        # A vector has no neighbours to be convolved with.
        self.conv = nn.Conv1d(choice.dim, channels, 1 if choice.utterance_level else 3, padding="same")
        self.project = nn.Linear(channels, PROJECTION)

    def forward(self, features: Tensor) -> Tensor:
        """Map `(B, N, L, D)` to `(B, P)`."""
        pooled = functional.max_pool1d(self._convolved(features), 2, ceil_mode=True).mean(2)
        out: Tensor = self.project(pooled)
        return out

    def frames(self, features: Tensor) -> Tensor:
        """Map `(B, N, L, D)` to `(B, L, P)`."""
        out: Tensor = self.project(self._convolved(features).transpose(1, 2))
        return out

    def _convolved(self, features: Tensor) -> Tensor:
        if self.layer_weights is None:
            mixed = features[:, 0]
        else:
            mixed = torch.einsum("n,bnld->bld", torch.softmax(self.layer_weights, dim=0), features)
        return torch.relu(self.conv(self.norm(mixed).transpose(1, 2)))


class _Outer(nn.Module):
    def __init__(self, branches: int):
        super().__init__()
        self.pairs = list(combinations(range(branches), 2))
        self.width = len(self.pairs) * PROJECTION**2

    def forward(self, parts: Sequence[Tensor]) -> Tensor:
        products = [(parts[i][..., :, None] * parts[j][..., None, :]).flatten(-2) for i, j in self.pairs]
        return torch.cat(products, dim=-1)


class _Bilinear(nn.Module):
    def __init__(self, branches: int):
        super().__init__()
        self.pairs = list(combinations(range(branches), 2))
        self.maps = nn.ModuleList([nn.Bilinear(PROJECTION, PROJECTION, PROJECTION) for _ in self.pairs])
        self.width = len(self.pairs) * PROJECTION

    def forward(self, parts: Sequence[Tensor]) -> Tensor:
        products = [
            learned(parts[i].contiguous(), parts[j].contiguous())
            for learned, (i, j) in zip(self.maps, self.pairs, strict=True)
        ]
        return torch.cat(products, dim=-1)


class _Concat(nn.Module):
    def __init__(self, branches: int):
        super().__init__()
        self.width = branches * PROJECTION

    def forward(self, parts: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(parts), dim=-1)


class _Gated(nn.Module):
    def __init__(self, branches: int):
        super().__init__()
        self.gate = nn.Linear(branches * PROJECTION, branches * PROJECTION)
        self.width = PROJECTION

    def forward(self, parts: Sequence[Tensor]) -> Tensor:
        stacked = torch.stack(list(parts), dim=-2)
        gates = self.gate(torch.cat(list(parts), dim=-1)).view(stacked.shape)
        return (torch.softmax(gates, dim=-2) * stacked).sum(-2)


_FUSIONS: dict[str, type[nn.Module]] = {
    "outer": _Outer,
    "bilinear": _Bilinear,
    "concat": _Concat,
    "gated": _Gated,
}
FUSIONS = tuple(_FUSIONS)
"""Names of the fusions."""


def _make_fusion(name: str, branches: int) -> Any:
    if name not in _FUSIONS:
        raise CheckpointError(f"no fusion {name!r}; accepted: {', '.join(_FUSIONS)}")
    if branches < (1 if name == "concat" else 2):
        raise CheckpointError(
            f"fusion {name!r} of {branches} front ends; it takes two or more. One alone goes with 'concat'"
        )
    return _FUSIONS[name](branches)


def _stretch(frames: Tensor, length: int) -> Tensor:
    """Repeat frames `(B, L', P)` to `(B, L, P)`."""
    if frames.shape[1] == length:
        return frames
    return functional.interpolate(frames.transpose(1, 2), size=length, mode="nearest").transpose(1, 2)
