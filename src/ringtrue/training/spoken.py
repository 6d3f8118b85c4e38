"""Content units of the training clips -> what is said there, counted once; and what is known of one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ringtrue.data.trials import Trial
from ringtrue.training.content import ContentUnits

_COMPONENTS = 32  # of the bags of units that embeddings are held against


@dataclass(frozen=True)
class Said:
    """What is known of the clips of a batch.

    Attributes:
        labels: `(B,)` int64, 1 for bona fide.
        units: `(B, L)` int64, `IGNORED` where unknown.
        speakers: `(B,)` int64 among the training speakers.
        pooled: `(B, P)` the teacher's mean vector, or `(B, 0)` where no run asks for it.
        ids: Trial ids.
        twins: So many couples come first, each a recording and its copy.
    """

    labels: Tensor
    units: Tensor
    speakers: Tensor
    pooled: Tensor
    ids: tuple[str, ...] = ()
    twins: int = 0


@dataclass(frozen=True)
class Statistics:
    """What the training side says, counted once.

    Attributes:
        prior: `(2, K)` share of each unit under either label.
        centre: `(K,)` mean bag of units.
        basis: `(K, C)` principal directions of the bags.
        speakers: Number of each training speaker.
        speakers_of: `(2, S)` bool, who speaks under either label.
    """

    prior: Tensor
    centre: Tensor
    basis: Tensor
    speakers: Mapping[str, int]
    speakers_of: Tensor


def count_content(units: ContentUnits, trials: Sequence[Trial]) -> Statistics:
    """Count what the training clips say.

    Args:
        units: Their content units.
        trials: Trials of the train split.

    Returns:
        The statistics. Units that were never heard get a small share, so that no divergence is infinite.
    """
    bags = np.zeros((len(trials), units.count))
    for row, trial in enumerate(trials):
        said = units.by_trial.get(trial.id)
        if said is not None and len(said):
            bags[row] = np.bincount(said, minlength=units.count)
    labels = np.array([int(trial.is_bonafide) for trial in trials])
    prior = np.stack([1.0 + bags[labels == label].sum(axis=0) for label in (0, 1)])
    spoken = bags[bags.sum(axis=1) > 0]
    spoken = (
        spoken / spoken.sum(axis=1, keepdims=True)
        if len(spoken)
        else np.full((1, units.count), 1 / units.count)
    )
    centre = spoken.mean(axis=0)
    _, _, directions = np.linalg.svd(spoken - centre, full_matrices=False)
    speakers = {name: index for index, name in enumerate(sorted({_voice(trial) for trial in trials}))}
    speakers_of = torch.zeros(2, len(speakers), dtype=torch.bool)
    for trial, label in zip(trials, labels, strict=True):
        speakers_of[label, speakers[_voice(trial)]] = True
    return Statistics(
        prior=_tensor(prior / prior.sum(axis=1, keepdims=True)),
        centre=_tensor(centre),
        basis=_tensor(directions[:_COMPONENTS].T),
        speakers=speakers,
        speakers_of=speakers_of,
    )


def speaker_numbers(statistics: Statistics, trials: Sequence[Trial]) -> list[int]:
    """Number the speakers of training trials."""
    return [statistics.speakers[_voice(trial)] for trial in trials]


def _voice(trial: Trial) -> str:
    return trial.speaker or trial.id


def _tensor(values: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))
