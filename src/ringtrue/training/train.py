"""Trials and a configuration -> a run folder with `prosody_encoder_best.safetensors` in it.

One visible loop. Every batch, every dropout mask and every schedule value is a function of the step's number,
so a run that was killed and started again ends in the same bits as one that was not.
"""

from __future__ import annotations

import json
import math
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ringtrue import __version__
from ringtrue.config import RunConfig
from ringtrue.data.batches import Batch, TrainingBatches, Transform
from ringtrue.data.trials import Trial
from ringtrue.errors import ConfigError, CorpusError, RingtrueError, ScoresError
from ringtrue.evaluation import calibrate, metrics
from ringtrue.evaluation.scoring import ScoreBatch, score_trials
from ringtrue.files import stable_int, write_text
from ringtrue.models import checkpoint
from ringtrue.models.prosody_encoder import ProsodyEncoder
from ringtrue.models.registry import create
from ringtrue.training import state
from ringtrue.training.content import ContentAdversary, ContentUnits, ramp, reverse_gradient
from ringtrue.training.losses import detection_loss, detection_score
from ringtrue.windows import CONTENT_FRAME, CONTENT_STRIDE

BEST = "prosody_encoder_best.safetensors"
_LAST = "last.safetensors"
_ARCHITECTURE = "prosody_encoder"
_HEARD = 500  # frames of a dev clip that leakage is measured on: 10 s
_PATIENCE = 3  # steps in a row without a finite loss before the run stops

Load = Callable[[Trial], NDArray[np.float32]]
Progress = Callable[[str], None]


class TrainingError(RingtrueError):
    """A run that cannot go on; its last good checkpoint is kept."""


def train(
    config: RunConfig,
    trials: Sequence[Trial],
    load: Load,
    units: ContentUnits,
    run: Path,
    *,
    augment: Transform | None = None,
    trained_on: dict[str, Any] | None = None,
    progress: Progress = lambda line: None,
) -> Path:
    """Train one Prosody Encoder, or go on with the run that the folder holds.

    Args:
        config: What to train.
        trials: The corpus. Its test splits are dropped before anything else sees them.
        load: Reads a trial's `(T,)` wave.
        units: Content units of the train and dev clips.
        run: Run folder: ``config.yaml``, ``log.jsonl``, TensorBoard events, ``last`` and best checkpoints.
        augment: Applied to training crops of both labels alike.
        trained_on: What to say of the corpus in the model's card.
        progress: Takes one line per epoch and now and then one between.

    Returns:
        The best checkpoint by equal error rate on dev, calibrated on dev.

    Raises:
        ConfigError: The folder holds a run of another configuration.
        CorpusError: A label is missing from train or dev.
        TrainingError: The loss stopped being a number.
    """
    # ---- what may be seen ---------------------------------------------------------------------------------------
    heard = [trial for trial in trials if trial.split == "train"]
    dev = _development(config, trials)
    settings = config.training
    batches = TrainingBatches(
        heard,
        load,
        settings.batch_size,
        settings.crop_s,
        config.seed,
        units.by_trial,
        augment if settings.augment else None,
    )
    _claim(run, config)

    # ---- the two players, each with its own optimiser -----------------------------------------------------------
    arguments = config.model.model_dump()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = create(_ARCHITECTURE, **arguments)
        assert isinstance(model, ProsodyEncoder)
        adversary = ContentAdversary(model.evidence_dim, units.count)
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=settings.learning_rate, betas=(0.9, 0.98), weight_decay=settings.weight_decay
    )
    adversary_optimiser = torch.optim.AdamW(
        adversary.parameters(), lr=config.content.learning_rate, weight_decay=1e-4
    )
    players: dict[str, state.Player] = {
        "model": model,
        "adversary": adversary,
        "optimiser": optimiser,
        "adversary_optimiser": adversary_optimiser,
    }
    last = run / _LAST
    kept: dict[str, Any] = state.load(last, players) if last.exists() else {"step": 0, "best": None}
    if step := int(kept["step"]):
        progress(f"{config.name}: going on at step {step}")
    if step and kept["units"] != units.key:
        raise ConfigError(
            f"{run} began with other recordings or content units; give another folder, or remove it"
        )
    best = kept["best"]
    steps = settings.epochs * settings.steps_per_epoch
    log = _Log(run, step)

    # ---- the loop -----------------------------------------------------------------------------------------------
    started, first, failures = time.monotonic(), step, 0
    while step < steps:
        epoch_end = min(steps, (step // settings.steps_per_epoch + 1) * settings.steps_per_epoch)
        model.train()
        epoch_start, learned = step, list[dict[str, float]]()
        for batch in _loader(batches, step, epoch_end, settings.workers):
            for group in optimiser.param_groups:
                group["lr"] = settings.learning_rate * schedule(step, steps, settings.warmup)
            strength = config.content.lambda_adv * ramp(step / steps)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(stable_int(config.seed, "dropout", step))
                figures = _learn(model, adversary, optimiser, adversary_optimiser, batch, strength, config)
            failures = 0 if figures else failures + 1
            if failures == _PATIENCE:
                saved = (
                    f"the checkpoint of step {kept['step']} is kept in {last}"
                    if last.exists()
                    else "none was saved"
                )
                raise TrainingError(
                    f"{config.name}: the loss was not a finite number {_PATIENCE} steps in a row, at step {step}; "
                    f"{saved}. Try a lower training.learning_rate, and look at the recordings of that step"
                )
            if figures:
                learned.append(figures)
            step += 1

        # ---- once an epoch: how well does it tell unseen systems and speakers apart? -----------------------
        means = {
            name: float(np.mean([row[name] for row in learned])) for name in (learned[0] if learned else ())
        }
        means["skipped_steps"] = epoch_end - epoch_start - len(learned)
        scores = _score_dev(model, dev, load)
        validation = _validate(dev, scores) | _leakage(model, adversary, dev, load, units)
        if best is None or _rank(validation) < _rank(best):
            best = {**validation, "step": step}
            card = _card(config, arguments, best, units, trained_on)
            card.calibration = _calibration(dev, scores, progress)
            checkpoint.save(run / BEST, model, card)
        # The log comes first: what a kill leaves unsaved is logged again, what it leaves unlogged would be lost.
        log.write(step, {**means, "lr": optimiser.param_groups[0]["lr"], "lambda": strength, **validation})
        kept = {"step": step, "best": best, "units": units.key}
        state.save(last, players, kept)
        rate = (time.monotonic() - started) / (step - first)
        progress(
            f"{config.name}: epoch {step // settings.steps_per_epoch}/{settings.epochs} | "
            f"loss {means.get('loss', math.nan):.3f} | "
            f"dev EER {100 * validation['dev_eer']:.2f} % (best {100 * best['dev_eer']:.2f}) | "
            f"content read {100 * validation['dev_content_accuracy']:.1f} % | {rate:.2f} s/step | "
            f"{settings.batch_size / rate:.0f} clips/s | ETA {rate * (steps - step):.0f} s"
        )
    log.close()
    return run / BEST


def schedule(step: int, steps: int, warmup: float) -> float:
    """Scale the learning rate: a linear warm-up, then half a cosine down to a hundredth.

    Args:
        step: Step number, from 0.
        steps: Number of steps in the run.
        warmup: Share of them that warms up.

    Returns:
        A factor in (0, 1].

    >>> schedule(0, 100, 0.1), schedule(10, 100, 0.1), round(schedule(100, 100, 0.1), 3)
    (0.1, 1.0, 0.01)
    """
    warm = round(warmup * steps)
    if step < warm:
        return (step + 1) / warm
    progress = (step - warm) / max(1, steps - warm)
    return 0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * progress))


def torch_scorer(model: nn.Module) -> ScoreBatch:
    """Make a scorer of windows from a detector in evaluation mode.

    Args:
        model: A detector with two classes.

    Returns:
        A function from windows `(B, WINDOW)` to scores `(B,)`.
    """

    @torch.inference_mode()
    def score(windows: NDArray[np.float32]) -> NDArray[np.float64]:
        return detection_score(model(torch.from_numpy(windows))).double().numpy()

    return score


def _learn(
    model: ProsodyEncoder,
    adversary: ContentAdversary,
    optimiser: torch.optim.Optimizer,
    adversary_optimiser: torch.optim.Optimizer,
    batch: Batch,
    strength: float,
    config: RunConfig,
) -> dict[str, float] | None:
    """Take one step; give its figures, or nothing if its loss or gradient was not finite and it was skipped."""
    labels = torch.from_numpy(batch.label)
    optimiser.zero_grad()
    adversary_optimiser.zero_grad()
    evidence = model.evidence(torch.from_numpy(batch.wave))

    # Each loss is taken at its own copy of the evidence, so that the two gradients can be weighed there.
    for_task = evidence.detach().requires_grad_()
    loss = detection_loss(
        model.head(model.pooled(for_task)),
        model.frame_head(for_task),
        labels,
        smoothing=config.training.label_smoothing,
        frame_weight=config.training.frame_loss,
    )
    loss.backward()
    for_adversary = evidence.detach().requires_grad_()
    content_loss, content_accuracy = adversary(for_adversary, labels, torch.from_numpy(batch.units))
    content_loss.backward()
    assert for_task.grad is not None and for_adversary.grad is not None
    evidence.backward(reverse_gradient(for_task.grad, for_adversary.grad, strength))

    norm = nn.utils.clip_grad_norm_(model.parameters(), config.training.clip_norm)
    nn.utils.clip_grad_norm_(adversary.parameters(), config.training.clip_norm)
    if not bool(torch.isfinite(norm + loss.detach() + content_loss.detach())):
        return None
    optimiser.step()
    adversary_optimiser.step()
    return {
        "loss": loss.item(),
        "content_loss": content_loss.item(),
        "content_accuracy": content_accuracy.item(),
        "gradient_norm": norm.item(),
    }


class _Steps(torch.utils.data.Dataset[Batch]):
    """`TrainingBatches` as the data loader wants it: a module-level class, so that workers can be spawned."""

    def __init__(self, batches: TrainingBatches):
        self.batches = batches

    def __getitem__(self, number: int) -> Batch:
        return self.batches[number]


def _loader(batches: TrainingBatches, start: int, stop: int, workers: int) -> Iterator[Batch]:
    if workers == 0:
        return batches.between(start, stop)
    loader = torch.utils.data.DataLoader(
        _Steps(batches),
        sampler=range(start, stop),
        batch_size=None,
        num_workers=workers,
        prefetch_factor=4,
        collate_fn=_as_it_is,
        generator=torch.Generator().manual_seed(0),
    )
    return iter(loader)


def _as_it_is(batch: Any) -> Any:
    return batch


def _development(config: RunConfig, trials: Sequence[Trial]) -> list[Trial]:
    """Choose the development trials: all, or an even and stable share of each label."""
    chosen: list[Trial] = []
    limit = config.training.validation_clips
    for human in (True, False):
        side = [trial for trial in trials if trial.split == "dev" and trial.is_bonafide is human]
        if not side:
            label = "bona fide" if human else "spoof"
            raise CorpusError(
                f"the dev split has no {label} trials; without them no model can be chosen. A corpus that is "
                "split by ringtrue needs at least three speakers and three systems"
            )
        side.sort(key=lambda trial: stable_int("dev", trial.id))
        chosen += side[: limit // 2 if limit else None]
    return chosen


def _score_dev(model: nn.Module, dev: Sequence[Trial], load: Load) -> NDArray[np.float64]:
    model.eval()
    scored = list(score_trials(torch_scorer(model), dev, load))
    if broken := [outcome.error for outcome in scored if outcome.error]:
        raise CorpusError(f"{len(broken)} development clips cannot be read; the first: {broken[0]}")
    return np.array([outcome.score for outcome in scored])


def _validate(dev: Sequence[Trial], scores: NDArray[np.float64]) -> dict[str, float]:
    human = np.array([trial.is_bonafide for trial in dev])
    bonafide, spoof = scores[human], scores[~human]
    return {"dev_eer": metrics.eer(bonafide, spoof), "dev_auc": metrics.auc(bonafide, spoof)}


@torch.inference_mode()
def _leakage(
    model: ProsodyEncoder, adversary: ContentAdversary, dev: Sequence[Trial], load: Load, units: ContentUnits
) -> dict[str, float]:
    """Share of dev frames whose content unit the adversary reads from the evidence."""
    right, known = 0.0, 0
    for trial in dev[:: max(1, len(dev) // 64)]:
        truth = torch.from_numpy(units.by_trial[trial.id].astype(np.int64))[None, :_HEARD]
        if truth.shape[1] == 0:
            continue
        heard = load(trial)[: CONTENT_STRIDE * (truth.shape[1] - 1) + CONTENT_FRAME]
        evidence = model.evidence(torch.from_numpy(heard)[None])
        label = torch.tensor([int(trial.is_bonafide)])
        right += float(adversary(evidence, label, truth)[1]) * truth.shape[1]
        known += truth.shape[1]
    return {"dev_content_accuracy": right / max(1, known)}


def _rank(figures: dict[str, float]) -> tuple[float, float]:
    """Order epochs by error rate, which moves in steps of a clip; among equals the better ranking wins.

    Not the loss: scores grow while a model learns, and an uncalibrated loss would favour timid early epochs.
    """
    return figures["dev_eer"], -figures["dev_auc"]


def _calibration(dev: Sequence[Trial], scores: NDArray[np.float64], progress: Progress) -> dict[str, Any]:
    """Fit scores to log-likelihood ratios and an abstention band, both on dev; nothing if dev cannot carry it."""
    human = np.array([trial.is_bonafide for trial in dev])
    try:
        mapping = calibrate.fit_affine(scores[human], scores[~human])
        llr = mapping.apply(scores)
        band = calibrate.abstention_band(llr[human], llr[~human])
    except ScoresError as error:
        progress(f"not calibrated, so it will give scores and no verdicts: {error}")
        return {}
    return {
        "map": mapping.to_dict(),
        "band": band.to_dict(),
        "bonafide_rejection_rate": calibrate.bonafide_rejection_rate(llr[human], band.lower),
        "spoof_acceptance_rate": calibrate.spoof_acceptance_rate(llr[~human], band.upper),
        "measured_on": f"{human.sum()} bona fide and {(~human).sum()} spoof development clips",
    }


def _card(
    config: RunConfig,
    arguments: dict[str, Any],
    best: dict[str, Any],
    units: ContentUnits,
    trained_on: dict[str, Any] | None,
) -> checkpoint.ModelCard:
    return checkpoint.ModelCard(
        name=config.name,
        architecture=_ARCHITECTURE,
        arguments=arguments,
        trained_on=trained_on or {},
        metrics=best,
        provenance={
            "ringtrue": __version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
            "seed": config.seed,
            "config": config.model_dump(),
            "content_units": dict(units.made_by),
            "command": " ".join(["ringtrue", *sys.argv[1:]]),
        },
    )


def _claim(run: Path, config: RunConfig) -> None:
    """Write the resolved configuration, or refuse a folder that holds another run."""
    path = run / "config.yaml"
    text = config.to_yaml()
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise ConfigError(
            f"{run} holds a run with another configuration; give another folder, or remove it to start afresh"
        )
    write_text(path, text)


class _Log:
    """Figures of every epoch: `log.jsonl` and TensorBoard events."""

    def __init__(self, run: Path, step: int):
        from torch.utils.tensorboard import SummaryWriter

        self.path = run / "log.jsonl"
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []
        # An epoch that was logged but not saved runs again: its line goes, or it would stand twice.
        self.lines = [line for line in lines if json.loads(line)["step"] <= step]
        self.board = SummaryWriter(str(run / "events"), purge_step=step + 1 if step else None)

    def write(self, step: int, figures: dict[str, float]) -> None:
        self.lines.append(json.dumps({"step": step, **figures}))
        write_text(self.path, "\n".join(self.lines) + "\n")
        for name, value in figures.items():
            self.board.add_scalar(name, value, step)
        self.board.flush()

    def close(self) -> None:
        self.board.close()
