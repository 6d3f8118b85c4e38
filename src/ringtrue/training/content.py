"""A frozen teacher and clips -> what is said in each: a unit per frame, and mean vectors of one layer.

The teacher's frame features are normalised per recording (which drops speaker and channel), clustered on bona fide
training speech into K units, and cached once: nothing trains through a live teacher.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ringtrue.data.trials import Trial, fingerprint
from ringtrue.errors import CheckpointError, ConfigError, CorpusError, require
from ringtrue.files import stable_int, write_json
from ringtrue.models.frontend import FrontEnd
from ringtrue.tensors import load_tensors, save_tensors
from ringtrue.windows import CONTENT_FRAME, CONTENT_STRIDE, content_frames

IGNORED = -1  # unit of a frame that has none
_SHARD = 256  # clips whose units share a file: what a kill can cost
_SHORTEST = 3200  # samples: 0.2 s, below which no teacher is asked
BLOCK = 25  # frames that a mean vector stands for: half a second
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
        pooled: Trial id to means `(N, D)` float16 of another layer over blocks of `BLOCK` frames, not normalised; empty
            where no run reads them.
    """

    count: int
    by_trial: Mapping[str, NDArray[np.int16]]
    key: str
    made_by: Mapping[str, Any]
    pooled: Mapping[str, NDArray[np.float16]] = field(default_factory=dict)

    @property
    def pooled_dim(self) -> int:
        """D of the mean vectors; 0 where there are none."""
        return next((means.shape[1] for means in self.pooled.values() if len(means)), 0)

    def pooled_over(self, trial: str, start: int, frames: int) -> NDArray[np.float32]:
        """Give the mean vector `(D,)` of a crop, from the blocks that it lies in."""
        blocks = self.pooled[trial][start // BLOCK : -(-(start + frames) // BLOCK)]
        if len(blocks) == 0:
            return np.zeros(self.pooled_dim, dtype=np.float32)
        return blocks.astype(np.float32).mean(axis=0)

    def shuffled(self, seed: int) -> ContentUnits:
        """Give every clip the units of another: a placebo, with the same units as often and nothing to be read.

        Args:
            seed: Seed of the exchange.

        Returns:
            Units of the same lengths; a shorter clip's are repeated.
        """
        names = sorted(name for name, said in self.by_trial.items() if len(said))
        order = np.random.default_rng(stable_int("placebo", seed)).permutation(len(names))
        # Clip i of the order speaks for clip i + 1: nobody speaks for themselves.
        gives = {names[order[i]]: names[order[i - 1]] for i in range(len(names))}
        exchanged = {
            name: np.resize(self.by_trial[gives[name]], len(said)) if len(said) else said
            for name, said in self.by_trial.items()
        }
        return replace(self, by_trial=exchanged, key=f"{stable_int(self.key, 'placebo', seed):016x}")


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
    pooled_layer: int | None = None,
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
        pooled_layer: Layer whose mean vectors are wanted too.
        progress: Takes one line now and then.

    Returns:
        The units; trials too short for the teacher have none.

    Raises:
        ConfigError: The teacher has no such layer.
        CorpusError: There is no bona fide training speech, or too little for K units.
    """
    for name, wanted in (("layer", layer), ("pooled_layer", pooled_layer or 0)):
        if wanted > teacher.num_layers:
            raise ConfigError(
                f"content.{name} = {wanted}: {teacher.name} has layers 0 to {teacher.num_layers}"
            )
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
    units = cached_by_trial(
        folder,
        "units",
        trials,
        lambda trial: _nearest(_features(teacher, layer, load_samples(trial)), centroids),
        progress,
    )
    pooled = {}
    if pooled_layer is not None:
        pooled = cached_by_trial(
            folder,
            f"layer{pooled_layer}",
            trials,
            lambda trial: _block_means(hear(teacher, pooled_layer, load_samples(trial))),
            progress,
        )
    return ContentUnits(count, units, key, made_by, pooled)


def hear(teacher: FrontEnd, layer: int, samples: NDArray[np.float32]) -> Tensor:
    """Give a recording's teacher features.

    A long recording is read in pieces: Whisper knows no more than 30 s, and self-attention's memory grows with
    the square of the length.

    Args:
        teacher: The frozen front end.
        layer: Layer of the teacher.
        samples: `(T,)`.

    Returns:
        `(L, D)`; `(0, 0)` of a recording that is too short for any teacher.
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
        with torch.inference_mode():
            pieces.append(teacher(piece, layer)[0])
        if stop == frames:
            break
    features = torch.cat(pieces)
    assert len(features) == frames, "the teacher's frames are not the evidence's"
    return features


def _features(teacher: FrontEnd, layer: int, samples: NDArray[np.float32]) -> Tensor:
    """Teacher features with each dimension normalised over the recording."""
    features = hear(teacher, layer, samples)
    return (features - features.mean(0)) / (features.std(0) + 1e-5) if len(features) else features


def _block_means(features: Tensor) -> NDArray[np.float16]:
    if len(features) == 0:
        return np.empty((0, 0), dtype=np.float16)
    return torch.stack([block.mean(0) for block in features.split(BLOCK)]).numpy().astype(np.float16)


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


def cached_by_trial(
    folder: Path,
    prefix: str,
    trials: Sequence[Trial],
    make: Callable[[Trial], NDArray[Any]],
    progress: Callable[[str], None],
) -> dict[str, NDArray[Any]]:
    """Make an array for every trial, from the shards in a folder where it is in them.

    Args:
        folder: Where the shards are; its name must say everything that the arrays depend on.
        prefix: What they hold.
        trials: The recordings.
        make: Makes the array of one.
        progress: Takes one line a shard.

    Returns:
        The arrays by trial id. A kill costs one shard, a damaged one is made again.
    """
    done: dict[str, NDArray[Any]] = {}
    for path in sorted(folder.glob(f"{prefix}-*.safetensors")):
        try:
            done.update({name: tensor.numpy() for name, tensor in load_tensors(path)[0].items()})
        except CheckpointError:
            progress(f"{prefix}: {path} is damaged and is made again")
            path.unlink()
    todo = [trial for trial in trials if trial.id not in done]
    for start in range(0, len(todo), _SHARD):
        shard = {trial.id: make(trial) for trial in todo[start : start + _SHARD]}
        # Named by what is in it: no second writer and no gap left by a damaged shard can make two names meet.
        name = f"{prefix}-{stable_int(*sorted(shard)):016x}.safetensors"
        save_tensors(folder / name, {key: torch.from_numpy(value) for key, value in shard.items()}, {})
        done.update(shard)
        progress(f"{prefix}: {len(done)}/{len(trials)} clips")
    return done
