"""A frozen encoder and training clips -> what a linear detector on it thinks of each, for a small student to follow.

The mean and the spread of one low layer with logistic regression is the strongest cheap detector there is for
generators that nobody has trained on (Wang & Yamagishi, 2022; Truong et al., 2024). Each clip is judged by a detector
that never saw its speaker: a teacher who knows the answers by heart has nothing to teach. Before that, content may be
erased from what the teacher knows (LEACE), so that the student does not inherit its ear for words; erasing as many
random directions is the control.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ringtrue.data.trials import Trial, fingerprint
from ringtrue.errors import ConfigError, CorpusError
from ringtrue.evaluation.logistic import fit_logistic
from ringtrue.evaluation.probes.erase import leace, main_directions, random_eraser, within
from ringtrue.files import stable_int
from ringtrue.models.frontend import FrontEnd
from ringtrue.training.content import ContentUnits, cached_by_trial, hear
from ringtrue.training.step import Teaching

Erased = Literal["nothing", "content", "random"]
_FOLDS = 5
_RANK = 32  # directions of content that are erased
_RELATED = 64  # principal directions that relations between clips are taken in


def teach(
    trials: Sequence[Trial],
    load: Callable[[Trial], NDArray[np.float32]],
    teacher: FrontEnd,
    units: ContentUnits,
    folder: Path,
    *,
    layer: int,
    erase: Erased = "nothing",
    progress: Callable[[str], None] = lambda line: None,
) -> Teaching:
    """Let a frozen encoder judge the training clips.

    Args:
        trials: Trials of the train split.
        load: Reads a trial's `(T,)` wave.
        teacher: The frozen front end.
        units: Content units of the clips: what erasing is about.
        folder: Cache of the teacher's statistics; a sub-folder is named by everything that they depend on.
        layer: Layer of the teacher.
        erase: What to make it blind to first.
        progress: Takes one line now and then.

    Returns:
        Judgements and embeddings by trial id.

    Raises:
        ConfigError: The teacher has no such layer.
        CorpusError: There are too few speakers to judge anybody by the others.
    """
    if layer > teacher.num_layers:
        raise ConfigError(
            f"distillation.layer = {layer}: {teacher.name} has layers 0 to {teacher.num_layers}"
        )
    key = f"{stable_int(teacher.weights_sha256, layer, fingerprint(trials)):016x}"
    found = cached_by_trial(
        folder / key,
        "statistics",
        trials,
        lambda trial: _statistics(hear(teacher, layer, load(trial))),
        progress,
    )
    heard = [trial for trial in trials if len(found[trial.id])]
    features = np.stack([found[trial.id] for trial in heard]).astype(np.float64)
    features = (features - features.mean(0)) / (features.std(0) + 1e-8)
    labels = np.array([int(trial.is_bonafide) for trial in heard])
    features = _erased(features, labels, _bags(units, heard), erase)
    logits = _judged_by_others(features, labels, [trial.speaker or trial.id for trial in heard])
    embedding = main_directions(features, min(_RELATED, *features.shape)).astype(np.float32)
    judgement = np.stack([-logits / 2, logits / 2], axis=1).astype(np.float32)
    # A clip that is too short for the teacher gets no opinion: even odds, and no likeness to any other.
    opinion = {trial.id: np.zeros(2, np.float32) for trial in trials}
    place = {trial.id: np.zeros(embedding.shape[1], np.float32) for trial in trials}
    for row, trial in enumerate(heard):
        opinion[trial.id], place[trial.id] = judgement[row], embedding[row]
    return Teaching(opinion, place)


def _statistics(features: Tensor) -> NDArray[np.float32]:
    """Pool `(L, D)` to the mean and the standard deviation over time `(2 D,)`; nothing of nothing."""
    if len(features) < 2:
        return np.empty(0, dtype=np.float32)
    return torch.cat([features.mean(0), features.std(0)]).numpy()


def _bags(units: ContentUnits, trials: Sequence[Trial]) -> NDArray[np.float64]:
    counts = [np.bincount(units.by_trial[trial.id], minlength=units.count) for trial in trials]
    return np.stack([count / max(1, count.sum()) for count in counts])


def _erased(
    features: NDArray[np.float64], labels: NDArray[np.int64], bags: NDArray[np.float64], erase: Erased
) -> NDArray[np.float64]:
    """Make features blind to what is said given the label, or to as many random directions."""
    if erase == "nothing":
        return features
    rank = min(_RANK, bags.shape[1] - 1, features.shape[1])
    # The map is found where the label explains nothing, and applied to all: so it cannot erase the label.
    alone = within(features, labels)
    if erase == "random":
        eraser = random_eraser(alone, rank, np.random.default_rng(stable_int("random eraser")))
    else:
        eraser = leace(alone, main_directions(within(bags, labels), rank))
    return eraser(features)


def _judged_by_others(
    features: NDArray[np.float64], labels: NDArray[np.int64], speakers: Sequence[str]
) -> NDArray[np.float64]:
    """Judge every clip by a detector that was fitted on other speakers."""
    folds = np.array([stable_int("fold", speaker) % _FOLDS for speaker in speakers])
    logits = np.zeros(len(labels))
    for fold in np.unique(folds):
        rest, human = folds != fold, labels == 1
        if not (rest & human).any() or not (rest & ~human).any():
            raise CorpusError(
                f"the training clips come from {len(set(speakers))} speakers, too few to judge each by the others; "
                "distillation needs several of both labels"
            )
        weights = fit_logistic(features[rest & human], features[rest & ~human], prior=0.5)
        logits[folds == fold] = features[folds == fold] @ weights[:-1] + weights[-1]
    return logits
