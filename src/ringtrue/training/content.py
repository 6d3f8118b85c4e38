"""A frozen teacher -> content units per frame -> an adversary that reads them out of the student's evidence.

The teacher's frame features are normalised per recording (which drops speaker and channel), clustered on bona fide
training speech into K units, and cached once. While the encoder learns real from fake, a small network learns to
name the unit of every frame from its evidence; the gradient that would help that network is reversed before it
reaches the encoder (Ganin & Lempitsky, "Unsupervised Domain Adaptation by Backpropagation", 2015).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ringtrue.data.trials import Trial, fingerprint
from ringtrue.errors import CheckpointError, ConfigError, CorpusError, require
from ringtrue.files import stable_int, write_json
from ringtrue.models.frontend import FrontEnd
from ringtrue.models.layers import ChannelNorm
from ringtrue.tensors import load_tensors, save_tensors
from ringtrue.windows import CONTENT_FRAME, CONTENT_STRIDE, content_frames

IGNORED = -1  # unit of a frame that has none
_SHARD = 256  # clips whose units share a file: what a kill can cost
_SHORTEST = 3200  # samples: 0.2 s, below which no teacher is asked
_PIECE = 1000  # frames that the teacher hears at once: 20 s


@dataclass(frozen=True)
class ContentUnits:
    """What is being said, frame by frame.

    Attributes:
        count: K, number of units.
        by_trial: Trial id to units `(L,)` int16 at 50 Hz.
        key: Names everything that they depend on, recordings included; a run goes on only with the units
            that it began with.
        made_by: Teacher, hash of its weights, layer and clustering, for the model's card.
    """

    count: int
    by_trial: Mapping[str, NDArray[np.int16]]
    key: str
    made_by: Mapping[str, Any]


class ContentAdversary(nn.Module):
    """Names the content unit of every frame from evidence and label; its failure is the encoder's success.

    It is told the label because what should be independent of content is the evidence *given* the label:
    real or fake causes the sound, and marginal independence would punish the encoder for any unit that
    one class says more often (Veitch et al., "Counterfactual Invariance to Spurious Correlations", 2021).

    Args:
        evidence_dim: D of the evidence.
        units: K.
        classes: Number of labels.
    """

    def __init__(self, evidence_dim: int, units: int, classes: int = 2):
        super().__init__()
        self.units = units
        self.classes = classes
        self.network = nn.Sequential(
            nn.Conv1d(evidence_dim + classes, 128, 5, padding=2),
            ChannelNorm(128),
            nn.SiLU(),
            nn.Conv1d(128, units, 1),
        )

    def forward(self, evidence: Tensor, labels: Tensor, units: Tensor) -> tuple[Tensor, Tensor]:
        """Score its reading of the content.

        Args:
            evidence: `(B, D, L)`.
            labels: `(B,)` int64.
            units: `(B, L)` int64, `IGNORED` where unknown.

        Returns:
            Cross-entropy as a share of log K (1: knows nothing), and the share of frames named right.
        """
        told = functional.one_hot(labels, self.classes).to(evidence.dtype)
        told = told[:, :, None].expand(-1, -1, evidence.shape[2])
        logits = self.network(torch.cat([evidence, told], dim=1))
        total = functional.cross_entropy(logits, units, ignore_index=IGNORED, reduction="sum")
        known = units != IGNORED
        count = known.sum().clamp(min=1)  # clips too short for the teacher may leave none
        right = ((logits.argmax(dim=1) == units) & known).sum() / count
        return total / count / math.log(self.units), right.detach()


def reverse_gradient(task: Tensor, adversary: Tensor, strength: float) -> Tensor:
    """Join the task's gradient and the reversed gradient of the adversary at the evidence.

    This is a gradient-reversal layer with a portable scale: the reversed part has `strength` times the norm of
    the task's part whatever the adversary's loss, its size or its learning rate, so a lambda means the same in
    every experiment. Raw reversal does not: a squared error against a pooled embedding is a hundred times
    weaker than the task and is inert, a frame-level cross-entropy is strong enough to erase the task.

    Args:
        task: Gradient of the classification loss at the evidence `(B, D, L)`.
        adversary: Gradient of the adversary's own loss at the same place.
        strength: Lambda, at least 0; 0 leaves the task's gradient untouched.

    Returns:
        The gradient to hand to the encoder `(B, D, L)`.

    >>> reverse_gradient(torch.tensor([3.0, 4.0]), torch.tensor([0.0, 2.0]), 0.5)
    tensor([3.0000, 1.5000])
    """
    if strength == 0.0:
        return task
    scale = strength * task.norm() / adversary.norm().clamp(min=1e-12)
    return task - scale * adversary


def ramp(progress: float) -> float:
    """Raise the adversary's strength from 0 to 1 over training, after a tenth in which it only learns.

    Args:
        progress: Share of training done, in [0, 1].

    Returns:
        Ganin & Lempitsky's ``2 / (1 + exp(-10 p)) - 1``, p counted from the end of the warm-up.

    >>> ramp(0.05), round(ramp(1.0), 3)
    (0.0, 1.0)
    """
    return 2.0 / (1.0 + math.exp(-10.0 * max(0.0, (progress - 0.1) / 0.9))) - 1.0


def make_units(
    trials: Sequence[Trial],
    load_samples: Callable[[Trial], NDArray[np.float32]],
    teacher: FrontEnd,
    folder: Path,
    *,
    layer: int,
    count: int,
    fit_clips: int,
    seed: int,
    progress: Callable[[str], None] = lambda line: None,
) -> ContentUnits:
    """Give every frame of every clip its content unit, from the cache or by asking the teacher.

    Args:
        trials: Clips of the train and dev splits; units are clustered on bona fide train clips only.
        load_samples: Reads a trial's `(T,)` wave.
        teacher: The frozen front end.
        folder: Cache of this corpus; a sub-folder is named by everything that the units depend on.
        layer: Layer of the teacher.
        count: K.
        fit_clips: How many clips to cluster on, at most.
        seed: Seed of the clustering.
        progress: Takes one line now and then.

    Returns:
        The units; trials too short for the teacher have none.

    Raises:
        ConfigError: The teacher has no such layer.
        CorpusError: There is no bona fide training speech, or too little for K units.
    """
    if layer > teacher.num_layers:
        raise ConfigError(f"content.layer = {layer}: {teacher.name} has layers 0 to {teacher.num_layers}")
    made_by = {
        "teacher": teacher.name,
        "weights_sha256": teacher.weights_sha256,
        "layer": layer,
        "units": count,
        "fit_clips": fit_clips,
        "seed": seed,
    }
    recordings = fingerprint(trials)
    depends_on = [value for name, value in made_by.items() if name != "teacher"]  # a folder may be moved
    key = f"{stable_int(*depends_on, recordings):016x}"
    folder = folder / key
    write_json(folder / "made_by.json", {**made_by, "recordings": recordings})
    centroids = _fit_or_load(folder, trials, load_samples, teacher, layer, count, fit_clips, seed, progress)
    done = _load_shards(folder, progress)
    todo = [trial for trial in trials if trial.id not in done]
    for start in range(0, len(todo), _SHARD):
        shard = {}
        for trial in todo[start : start + _SHARD]:
            features = _features(teacher, layer, load_samples(trial))
            shard[trial.id] = _nearest(features, centroids)
        _save_shard(folder, shard)
        done.update(shard)
        progress(f"content units: {len(done)}/{len(trials)} clips")
    return ContentUnits(count, done, key, made_by)


@torch.inference_mode()
def _features(teacher: FrontEnd, layer: int, samples: NDArray[np.float32]) -> Tensor:
    """Teacher features `(L, D)`, each dimension normalised over the recording; none of one that is too short.

    A long recording is read in pieces: Whisper knows no more than 30 s, and self-attention's memory grows with
    the square of the length.
    """
    frames = content_frames(len(samples))
    if len(samples) < _SHORTEST:
        return torch.empty(0, 0)
    wave = torch.from_numpy(samples)[None]
    pieces = []
    for start in range(0, frames, _PIECE):
        stop = min(start + _PIECE, frames)
        if frames - stop < _PIECE // 10:  # a rest too short to be understood goes with the piece before it
            stop = frames
        piece = wave[:, CONTENT_STRIDE * start : CONTENT_STRIDE * (stop - 1) + CONTENT_FRAME]
        pieces.append(teacher(piece, layer)[0])
        if stop == frames:
            break
    features = torch.cat(pieces)
    assert len(features) == frames, "the teacher's frames are not the evidence's"
    return (features - features.mean(0)) / (features.std(0) + 1e-5)


def _nearest(features: Tensor, centroids: Tensor) -> NDArray[np.int16]:
    if len(features) == 0:
        return np.empty(0, dtype=np.int16)
    # |x - c|^2 without the term that is the same for every centroid
    distances = centroids.square().sum(1) - 2.0 * features @ centroids.T
    return distances.argmin(dim=1).numpy().astype(np.int16)


def _fit_or_load(
    folder: Path,
    trials: Sequence[Trial],
    load_samples: Callable[[Trial], NDArray[np.float32]],
    teacher: FrontEnd,
    layer: int,
    count: int,
    fit_clips: int,
    seed: int,
    progress: Callable[[str], None],
) -> Tensor:
    path = folder / "centroids.safetensors"
    if path.exists():
        try:
            return load_tensors(path)[0]["centroids"]
        except (CheckpointError, KeyError):
            progress(f"content units: {path} is damaged and is made again")
            for shard in folder.glob("units-*"):
                shard.unlink()  # what was named by lost centroids has lost its meaning
    human = [trial for trial in trials if trial.is_bonafide and trial.split == "train"]
    chosen = sorted(human, key=lambda trial: stable_int("units", seed, trial.id))[:fit_clips]
    progress(
        f"content units: clustering {count} units of {teacher.name}, layer {layer}, on {len(chosen)} clips"
    )
    features = [_features(teacher, layer, load_samples(trial)) for trial in chosen]
    features = [clip for clip in features if len(clip)]
    frames = sum(len(clip) for clip in features)
    if frames < 2 * count:
        raise CorpusError(
            f"{frames} frames of bona fide training speech for {count} content units; "
            "give more bona fide clips in the train split, or fewer units"
        )
    cluster: Any = require("sklearn.cluster", "train")
    fitted = cluster.MiniBatchKMeans(count, random_state=seed, n_init=3, batch_size=4096)
    fitted.fit(torch.cat(features).numpy())
    centroids = torch.from_numpy(fitted.cluster_centers_.astype(np.float32))
    save_tensors(path, {"centroids": centroids}, {})
    return centroids


def _load_shards(folder: Path, progress: Callable[[str], None]) -> dict[str, NDArray[np.int16]]:
    units: dict[str, NDArray[np.int16]] = {}
    for path in sorted(folder.glob("units-*.safetensors")):
        try:
            tensors, _ = load_tensors(path)
        except CheckpointError:
            progress(f"content units: {path} is damaged and is made again")
            path.unlink()
            continue
        units.update({name: tensor.numpy() for name, tensor in tensors.items()})
    return units


def _save_shard(folder: Path, shard: Mapping[str, NDArray[np.int16]]) -> None:
    # Named by what is in it: no second writer and no gap left by a damaged shard can make two names meet.
    name = f"units-{stable_int(*sorted(shard)):016x}.safetensors"
    save_tensors(folder / name, {key: torch.from_numpy(value) for key, value in shard.items()}, {})
