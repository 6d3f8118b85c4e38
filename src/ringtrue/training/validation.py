"""A model mid-run and development trials -> which epoch is best, what it gives away, and how to read its scores.

Development systems are unknown to training by construction or by choice: a model that is chosen on generators it was
trained on is chosen for knowing them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ringtrue.data.batches import Load
from ringtrue.data.trials import Trial
from ringtrue.errors import CorpusError, ScoresError
from ringtrue.evaluation import calibrate, mappings, metrics
from ringtrue.evaluation.scoring import ScoreBatch, score_trials
from ringtrue.files import stable_int
from ringtrue.training.content import IGNORED, ContentUnits
from ringtrue.training.losses import detection_score
from ringtrue.windows import CONTENT_FRAME, CONTENT_STRIDE, repeat_to

_RATE = 0.05  # of either error that the band of verdicts promises, as calibration's default
_SLICE = 64  # development clips that leakage is measured on
_SLICE_FRAMES = 150  # of each: 3 s


def development(trials: Sequence[Trial], limit: int | None) -> list[Trial]:
    """Choose the development trials: all, or an even and stable share of each label.

    Args:
        trials: The corpus.
        limit: How many, at most.

    Returns:
        Trials of the dev split, without spoof trials of systems that training hears.

    Raises:
        CorpusError: A label is missing, or no system is left that training does not know.
    """
    known = {trial.system for trial in trials if trial.split == "train"} - {""}
    chosen: list[Trial] = []
    for human in (True, False):
        side = [trial for trial in trials if trial.split == "dev" and trial.is_bonafide is human]
        if not side:
            label = "bona fide" if human else "spoof"
            raise CorpusError(
                f"the dev split has no {label} trials; without them no model can be chosen. A corpus that is "
                "split by ringtrue needs at least three speakers and three systems"
            )
        unknown = [trial for trial in side if trial.system not in known]
        if not unknown:
            raise CorpusError(
                f"training knows every system of the dev split ({', '.join(sorted(known)[:5])} …), so a model chosen "
                "there would be chosen for knowing them; hold systems back: give them split dev alone"
            )
        unknown.sort(key=lambda trial: stable_int("dev", trial.id))
        chosen += unknown[: limit // 2 if limit else None]
    return chosen


def torch_scorer(model: nn.Module) -> ScoreBatch:
    """Make a scorer of windows from a detector in evaluation mode.

    Args:
        model: A detector with two classes.

    Returns:
        A function from windows `(B, WINDOW)` to scores `(B,)`.
    """
    device = next(model.parameters()).device

    @torch.inference_mode()
    def score(windows: NDArray[np.float32]) -> NDArray[np.float64]:
        return detection_score(model(torch.from_numpy(windows).to(device))).double().cpu().numpy()

    return score


def score_dev(model: nn.Module, dev: Sequence[Trial], load: Load) -> NDArray[np.float64]:
    """Score development trials `(N,)`; one that cannot be read stops the run, since it would bend the choice."""
    scored = list(score_trials(torch_scorer(model), dev, load))
    if broken := [outcome.error for outcome in scored if outcome.error]:
        raise CorpusError(f"{len(broken)} development clips cannot be read; the first: {broken[0]}")
    return np.array([outcome.score for outcome in scored])


def figures(dev: Sequence[Trial], scores: NDArray[np.float64]) -> dict[str, float]:
    """Give what epochs are compared by."""
    human = np.array([trial.is_bonafide for trial in dev])
    bonafide, spoof = scores[human], scores[~human]
    return {"dev_eer": metrics.eer(bonafide, spoof), "dev_auc": metrics.auc(bonafide, spoof)}


def rank(found: dict[str, float]) -> tuple[float, float]:
    """Order epochs by error rate, which moves in steps of a clip; among equals the better ranking wins.

    Not the loss: scores grow while a model learns, and an uncalibrated loss would favour timid early epochs.
    """
    return found["dev_eer"], -found["dev_auc"]


def content_slice(
    dev: Sequence[Trial], load: Load, units: ContentUnits
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """Cut one batch of development clips that leakage is measured on, always the same.

    Args:
        dev: Development trials.
        load: Reads a trial's wave.
        units: Their content units.

    Returns:
        Waves `(B, T)`, units `(B, L)` and labels `(B,)`.
    """
    length = CONTENT_STRIDE * (_SLICE_FRAMES - 1) + CONTENT_FRAME
    chosen = dev[:: max(1, len(dev) // _SLICE)][:_SLICE]
    said = np.full((len(chosen), _SLICE_FRAMES), IGNORED, dtype=np.int64)
    for row, trial in enumerate(chosen):
        known = units.by_trial[trial.id][:_SLICE_FRAMES]
        said[row, : len(known)] = known
    waves = np.stack([repeat_to(load(trial)[:length], length) for trial in chosen])
    return waves, said, np.array([int(trial.is_bonafide) for trial in chosen], dtype=np.int64)


def calibration(
    dev: Sequence[Trial], scores: NDArray[np.float64], progress: Callable[[str], None]
) -> dict[str, Any]:
    """Fit scores to log-likelihood ratios and an abstention band, both on dev; nothing if dev cannot carry it.

    Args:
        dev: Development trials.
        scores: Their scores `(N,)`.
        progress: Is told where nothing can be fitted.

    Returns:
        What the model card keeps.
    """
    human = np.array([trial.is_bonafide for trial in dev])
    try:
        mapping = calibrate.fit_affine(scores[human], scores[~human])
        llr = mapping.apply(scores)
        return mappings.operating_point(mapping, llr[human], llr[~human], _RATE)
    except ScoresError as error:
        progress(f"not calibrated, so it will give scores and no verdicts: {error}")
        return {}
