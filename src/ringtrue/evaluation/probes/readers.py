"""Features and what they might give away -> how well fresh networks read it from clips that they never heard.

A probe is trained after the model is frozen, on one half of the clips, and judged on the other; the halves share
no speaker, or no text, as the question demands; then they change places, so every clip is judged once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ringtrue.files import stable_int

Kind = Literal["linear", "mlp", "recurrent"]
KINDS: tuple[Kind, ...] = ("linear", "mlp", "recurrent")
UNKNOWN = -1  # target of a frame that has none

_STEPS = {"linear": 120, "mlp": 120, "recurrent": 80}
_BATCH_FRAMES = 4_000  # heard in a step
_LEARNING_RATE = 1e-2
_CHECKS = 6  # times that a fit looks at clips held out of it, to stop where they are read best
_DRAWS = 500


@dataclass(frozen=True)
class Reading:
    """How well something can be read.

    Attributes:
        accuracy: Share of frames (or clips) named right.
        low: Lower end of its 95 % interval, by resampling whole speakers.
        high: Upper end.
        majority: Accuracy of always naming what is commonest in the fitting half.
        macro_f1: F1 averaged over classes: a probe that only knows the common ones does not shine.
        bits: Usable information: cross-entropy of the fitting half's frequencies less the probe's, per frame.
        classes: How many there are to tell apart.
        judged: How many frames or clips were judged.
    """

    accuracy: float
    low: float
    high: float
    majority: float
    macro_f1: float
    bits: float
    classes: int
    judged: int


def halves(groups: Sequence[str], seed: int) -> NDArray[np.int64]:
    """Deal clips into two halves that share no group.

    Args:
        groups: Of each clip: a speaker, a text. Empty names stand for themselves alone.
        seed: Of the order.

    Returns:
        `(n,)` of 0 and 1, as even as the groups allow.
    """
    names = [name or f"\x1f{place}" for place, name in enumerate(groups)]
    members: dict[str, int] = {}
    for name in names:
        members[name] = members.get(name, 0) + 1
    sizes, half_of = [0, 0], {}
    for name in sorted(members, key=lambda name: (-members[name], stable_int("halves", seed, name))):
        half_of[name] = int(sizes[1] < sizes[0])
        sizes[half_of[name]] += members[name]
    return np.array([half_of[name] for name in names])


def read(
    features: Sequence[NDArray[np.float32]],
    targets: Sequence[NDArray[np.int64]],
    groups: Sequence[str],
    clusters: Sequence[str],
    kind: Kind,
    seed: int,
) -> Reading | None:
    """Train fresh probes and judge them on groups that they never met.

    Args:
        features: Of each clip `(D, L)`; L is 1 for a whole clip.
        targets: Of each clip `(L,)`, classes from 0, `UNKNOWN` where there is none.
        groups: What the halves must not share.
        clusters: What is resampled for the interval, mostly the speaker.
        kind: Of probe.
        seed: Of halves, weights and batches.

    Returns:
        The reading; None if one half alone holds everything, or there is one class only.
    """
    half = halves(groups, seed)
    classes = 1 + max(int(target.max(initial=UNKNOWN)) for target in targets)
    if classes < 2 or len(set(half.tolist())) < 2:
        return None
    right, count = np.zeros(len(targets)), np.zeros(len(targets))
    majority = entropy = cross_entropy = 0.0
    confusion = np.zeros((classes, classes), dtype=np.int64)
    for side in (0, 1):
        fitted, judged = np.flatnonzero(half != side), np.flatnonzero(half == side)
        known = np.concatenate([targets[place][targets[place] >= 0] for place in fitted])
        frequency = (np.bincount(known, minlength=classes) + 1.0) / (len(known) + classes)
        probe = _fit([features[i] for i in fitted], [targets[i] for i in fitted], classes, kind, seed + side)
        logits = _apply(probe, [features[i] for i in judged])
        for place, scores in zip(judged, logits, strict=True):
            here = targets[place] >= 0
            truth, named = targets[place][here], scores[:, here].argmax(axis=0)
            np.add.at(confusion, (truth, named), 1)
            right[place], count[place] = (truth == named).sum(), here.sum()
            majority += float((truth == frequency.argmax()).sum())
            entropy -= float(np.log(frequency[truth]).sum())
            cross_entropy -= float(scores[truth, np.flatnonzero(here)].sum())
    total = count.sum()
    low, high = ratio_interval(right, count, clusters, np.random.default_rng(seed))
    return Reading(
        accuracy=float(right.sum() / total),
        low=low,
        high=high,
        majority=majority / total,
        macro_f1=_macro_f1(confusion),
        bits=(entropy - cross_entropy) / total / math.log(2),
        classes=classes,
        judged=int(total),
    )


def ratio_interval(
    top: NDArray[np.float64], bottom: NDArray[np.float64], clusters: Sequence[str], rng: np.random.Generator
) -> tuple[float, float]:
    """Give the 95 % interval of ``sum(top) / sum(bottom)`` when whole clusters are drawn with replacement.

    Args:
        top: Of each clip.
        bottom: Of each clip.
        clusters: Of each clip.
        rng: Of the draws.

    Returns:
        Its ends.
    """
    _, number = np.unique(np.array(clusters), return_inverse=True)
    tops, bottoms = np.bincount(number, top), np.bincount(number, bottom)
    draws = rng.integers(len(tops), size=(_DRAWS, len(tops)))
    ratios = tops[draws].sum(axis=1) / np.maximum(bottoms[draws].sum(axis=1), 1e-12)
    low, high = np.quantile(ratios, [0.025, 0.975])
    return float(low), float(high)


class _Recurrent(nn.Module):
    """A small convolution, then a recurrence both ways: content is read from its context."""

    def __init__(self, channels: int, classes: int):
        super().__init__()
        self.near = nn.Conv1d(channels, 64, 5, padding=2)
        self.far = nn.GRU(64, 32, batch_first=True, bidirectional=True)
        self.name = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        heard, _ = self.far(functional.silu(self.near(x)).transpose(1, 2))
        out: Tensor = self.name(heard).transpose(1, 2)
        return out


def _network(kind: Kind, channels: int, classes: int) -> nn.Module:
    if kind == "linear":
        return nn.Conv1d(channels, classes, 1)
    if kind == "mlp":
        return nn.Sequential(nn.Conv1d(channels, 96, 1), nn.SiLU(), nn.Conv1d(96, classes, 1))
    return _Recurrent(channels, classes)


class _Probe(nn.Module):
    """A network behind the standardisation that its fitting half gave."""

    def __init__(self, network: nn.Module, mean: Tensor, scale: Tensor):
        super().__init__()
        self.network, self.mean, self.scale = network, mean, scale

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.network((x - self.mean) / self.scale)
        return out


def _fit(
    features: Sequence[NDArray[np.float32]],
    targets: Sequence[NDArray[np.int64]],
    classes: int,
    kind: Kind,
    seed: int,
) -> nn.Module:
    """Train one probe; every sixth clip is held out to say when to stop."""
    every = np.concatenate(features, axis=1)
    mean, scale = every.mean(axis=1)[:, None], every.std(axis=1)[:, None] + 1e-5
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        probe = _Probe(_network(kind, len(every), classes), torch.from_numpy(mean), torch.from_numpy(scale))
    sound, wanted = _padded(features), _wanted(targets)
    order = torch.from_numpy(rng.permutation(len(features)))
    held, used = order[: len(order) // 6], order[len(order) // 6 :]
    batch = max(1, min(len(used), _BATCH_FRAMES // sound.shape[2]))
    steps = _STEPS[kind]
    optimiser = torch.optim.AdamW(probe.parameters(), _LEARNING_RATE, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    best, best_loss = {name: value.clone() for name, value in probe.state_dict().items()}, math.inf
    for step in range(1, steps + 1):
        chosen = used[torch.from_numpy(rng.choice(len(used), batch, replace=False))]
        loss = _loss(probe, sound[chosen], wanted[chosen])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % (steps // _CHECKS) == 0 and len(held):
            with torch.inference_mode():
                held_loss = float(_loss(probe, sound[held], wanted[held]))
            if held_loss < best_loss:
                best_loss = held_loss
                best = {name: value.clone() for name, value in probe.state_dict().items()}
    if best_loss < math.inf:
        probe.load_state_dict(best)
    return probe.eval()


def _loss(probe: nn.Module, sound: Tensor, wanted: Tensor) -> Tensor:
    return functional.cross_entropy(probe(sound), wanted, ignore_index=UNKNOWN)


def _padded(features: Sequence[NDArray[np.float32]]) -> Tensor:
    clips = [torch.from_numpy(np.ascontiguousarray(clip.T)) for clip in features]
    return nn.utils.rnn.pad_sequence(clips, batch_first=True).transpose(1, 2).contiguous()


def _wanted(targets: Sequence[NDArray[np.int64]]) -> Tensor:
    clips = [torch.from_numpy(target) for target in targets]
    return nn.utils.rnn.pad_sequence(clips, batch_first=True, padding_value=UNKNOWN)


@torch.inference_mode()
def _apply(probe: nn.Module, features: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    """Log-probabilities `(K, L)` of every clip."""
    out: list[NDArray[np.float32]] = []
    for start in range(0, len(features), 32):
        batch = features[start : start + 32]
        scores = torch.log_softmax(probe(_padded(batch)), dim=1).numpy()
        out += [clip[:, : given.shape[1]] for clip, given in zip(scores, batch, strict=True)]
    return out


def _macro_f1(confusion: NDArray[np.int64]) -> float:
    """Mean F1 of the classes that occur."""
    hits = np.diag(confusion).astype(np.float64)
    occurring = confusion.sum(axis=1) > 0
    f1 = 2 * hits / np.maximum(confusion.sum(axis=0) + confusion.sum(axis=1), 1)
    return float(f1[occurring].mean())
