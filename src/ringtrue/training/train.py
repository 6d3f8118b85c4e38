"""Trials and a configuration -> a run folder with `prosody_encoder_best.safetensors` in it.

One visible loop. Every batch, every dropout mask and every schedule value is a function of the step's number,
so a run that was killed and started again, in the middle of an epoch too, ends in the same bits as one that was not.
"""

from __future__ import annotations

import math
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ringtrue import __version__
from ringtrue.config import RunConfig
from ringtrue.data.batches import Batch, Batches, Cut, Load, TrainingBatches, Transform, pieces_of
from ringtrue.data.streaming import StreamingBatches
from ringtrue.data.trials import Trial
from ringtrue.errors import ConfigError, RingtrueError
from ringtrue.files import write_text
from ringtrue.models import checkpoint
from ringtrue.models.prosody_encoder import ProsodyEncoder
from ringtrue.models.registry import create
from ringtrue.training import state, validation
from ringtrue.training.content import ContentUnits
from ringtrue.training.log import RunLog
from ringtrue.training.optimise import schedule
from ringtrue.training.parallel import Team, join_team
from ringtrue.training.spoken import Said
from ringtrue.training.step import Lesson, Teaching

BEST = "prosody_encoder_best.safetensors"
_LAST = "last.safetensors"
_ARCHITECTURE = "prosody_encoder"
_PATIENCE = 3  # steps in a row without a finite loss before the run stops
_STEER_STEPS = 200  # between two measurements of leakage, where lambda is steered by it
_SPEAK_S = 30.0  # between two lines of progress inside an epoch

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
    cut: Cut | None = None,
    augment: Transform | None = None,
    teaching: Teaching | None = None,
    trained_on: dict[str, Any] | None = None,
    progress: Progress = lambda line: None,
) -> Path:
    """Train one Prosody Encoder, or go on with the run that the folder holds.

    Started by torchrun, its processes share every batch; the first of them writes and speaks.

    Args:
        config: What to train.
        trials: The corpus. Its test splits are dropped before anything else sees them.
        load: Reads a trial's `(T,)` wave.
        units: Content units of the train and dev clips.
        run: Run folder: ``config.yaml``, ``log.jsonl``, ``steps.jsonl``, TensorBoard events, ``last`` and best
            checkpoints.
        cut: Reads pieces of recordings to train on; if None, out of what `load` gives.
        augment: Applied to training crops of both labels alike.
        teaching: What a large teacher thinks of the training clips, where the configuration asks for one.
        trained_on: What to say of the corpus in the model's card.
        progress: Takes one line per epoch and now and then one between.

    Returns:
        The best checkpoint by equal error rate on dev, calibrated on dev.

    Raises:
        ConfigError: The folder holds a run of another configuration.
        CorpusError: A label is missing from train or dev, or training knows every dev system.
        TrainingError: The loss stopped being a number.
    """
    # ---- what may be seen ---------------------------------------------------------------------------------------
    team = join_team()
    say = progress if team.leads else _say_nothing
    settings = config.training
    heard = [trial for trial in trials if trial.split == "train"]
    dev = validation.development(trials, settings.validation_clips)
    batches = _batches(
        config, heard, cut or pieces_of(load), units, augment if settings.augment else None, team
    )
    _claim(run, config, team)

    # ---- who learns ---------------------------------------------------------------------------------------------
    device = _device(settings.device)
    arguments = config.model.model_dump()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = create(_ARCHITECTURE, **arguments)
        assert isinstance(model, ProsodyEncoder)
        lesson = Lesson(config, model.to(device), heard, units, team, teaching).to(device)
    players: dict[str, state.Player] = {
        "lesson": lesson,
        "optimiser": lesson.optimiser,
        "readers_optimiser": lesson.readers_optimiser,
    }
    last = run / _LAST
    kept: dict[str, Any] = {"step": 0, "best": None, "epoch": _NOTHING}
    if (saved := team.share(lambda: state.read(last, say))) is not None:
        state.restore(saved, players)
        kept = saved.counters
        say(f"{config.name}: going on at step {kept['step']}")
        _refuse_another(kept, run, units, team, settings.streaming)
    step, best = int(kept["step"]), kept["best"]
    sums: dict[str, float] = dict(kept["epoch"])
    steps = settings.epochs * settings.steps_per_epoch
    log = RunLog(run, step) if team.leads else None
    content: tuple[Tensor, Said] | None = None
    clock = _Clock(config, step, steps)

    # ---- the loop -----------------------------------------------------------------------------------------------
    failures = 0
    while step < steps:
        epoch_end = min(steps, (step // settings.steps_per_epoch + 1) * settings.steps_per_epoch)
        lesson.train()
        for batch in _loader(batches, step, epoch_end, settings.workers):
            rate = settings.learning_rate * schedule(step, steps, settings.warmup)
            for group in lesson.optimiser.param_groups:
                group["lr"] = rate
            for fault in batch.faults:
                say(f"{config.name}: stood in for: {fault}")
            figures = lesson.learn(batch, step, steps)
            step += 1
            failures = 0 if figures else failures + 1
            if failures == _PATIENCE:
                remedy = (
                    f"the checkpoint of step {kept['step']} is kept in {last}"
                    if last.exists()
                    else "none was saved"
                )
                raise TrainingError(
                    f"{config.name}: the loss was not a finite number {_PATIENCE} steps in a row, at step {step - 1}; "
                    f"{remedy}. Try a lower training.learning_rate, and look at the recordings of that step"
                )
            figures = figures if figures is not None else {"skipped_steps": 1.0}
            for name, value in figures.items():
                sums[name] = sums.get(name, 0.0) + value
            sums["steps"] = sums.get("steps", 0.0) + 1.0
            if log is not None:
                log.step(step, {**figures, "lr": rate, "lambda": float(lesson.disentangler.strength)})
            if step % _STEER_STEPS == 0 and config.adversary.leakage_target is not None:
                content = content or _content(dev, load, units, device)
                leakage = _leakage(lesson, content)["dev_content_information"]
                lesson.disentangler.steer(leakage, step / steps)
                lesson.train()
            if step % settings.checkpoint_steps == 0 and step < epoch_end:
                kept = _counters(step, best, units, team, sums)
                _save(last, players, kept, log)
            clock.tick(step, figures, say)

        # ---- once an epoch: how well does it tell unseen systems and speakers apart? -----------------------
        lesson.eval()
        scores = validation.score_dev(lesson.judged, dev, load)
        content = content or _content(dev, load, units, device)
        found = validation.figures(dev, scores) | _leakage(lesson, content)
        if best is None or validation.rank(found) < validation.rank(best):
            best = {**found, "step": step}
            if team.leads:
                card = _card(config, arguments, best, units, trained_on)
                card.calibration = validation.calibration(dev, scores, say)
                checkpoint.save(run / BEST, lesson.judged, card)
        means = _means(sums)
        if log is not None:
            log.epoch(step, {**means, "lr": rate, "lambda": float(lesson.disentangler.strength), **found})
        sums = dict(_NOTHING)
        kept = _counters(step, best, units, team, sums)
        _save(last, players, kept, log)
        clock.epoch(step, means, found, best, say)
        team.wait()
    if log is not None:
        log.close()
    return run / BEST


_NOTHING: dict[str, float] = {"skipped_steps": 0.0}


def _means(sums: dict[str, float]) -> dict[str, float]:
    """Average an epoch's figures over the steps that were taken; count the others."""
    steps = sums.get("steps", 0.0) - sums["skipped_steps"]
    means = {
        name: value / steps
        for name, value in sums.items()
        if name not in ("steps", "skipped_steps") and steps
    }
    return {**means, "skipped_steps": sums["skipped_steps"]}


def _counters(
    step: int, best: dict[str, float] | None, units: ContentUnits, team: Team, sums: dict[str, float]
) -> dict[str, Any]:
    """Say where a run is, and what it may not go on without."""
    return {"step": step, "best": best, "units": units.key, "processes": team.size, "epoch": sums}


def _refuse_another(
    kept: dict[str, Any], run: Path, units: ContentUnits, team: Team, streaming: bool
) -> None:
    """Refuse to go on with other recordings, or where a pass would lose or repeat some."""
    if kept["units"] != units.key:
        raise ConfigError(
            f"{run} began with other recordings or content units; give another folder, or remove it"
        )
    if streaming and kept.get("processes", team.size) != team.size:
        raise ConfigError(
            f"{run} streams its corpus and began with {kept['processes']} processes, not {team.size}: a pass is shared "
            "out among them. Go on with as many, or give another folder"
        )


def _save(last: Path, players: dict[str, state.Player], kept: dict[str, Any], log: RunLog | None) -> None:
    """Keep what the run goes on from. The log comes first: what a kill leaves unsaved is logged again."""
    if log is not None:
        log.save()
        state.save(last, players, kept)


def _content(
    dev: Sequence[Trial], load: Load, units: ContentUnits, device: torch.device
) -> tuple[Tensor, Said]:
    """Hold the slice of dev that leakage is measured on: its waves, and what is said in them."""
    waves, said, labels = (
        torch.from_numpy(value).to(device) for value in validation.content_slice(dev, load, units)
    )
    return waves, Said(labels, said, torch.zeros_like(labels), waves[:, :0])


@torch.no_grad()
def _leakage(lesson: Lesson, content: tuple[Tensor, Said]) -> dict[str, float]:
    lesson.eval()
    waves, said = content
    found = lesson.disentangler.leakage(lesson.judged.evidence(waves), said)
    return {f"dev_{name}": value for name, value in found.items()}


class _Clock:
    """One readable line now and then: step, loss, rate, time left."""

    def __init__(self, config: RunConfig, step: int, steps: int):
        self._config, self._first, self._steps = config, step, steps
        self._started = self._spoke = time.monotonic()

    def tick(self, step: int, figures: dict[str, float], say: Progress) -> None:
        if time.monotonic() - self._spoke >= _SPEAK_S:
            say(
                f"{self._config.name}: step {step}/{self._steps} | "
                f"loss {figures.get('loss', math.nan):.3f} | {self._pace(step)}"
            )
            self._spoke = time.monotonic()

    def epoch(
        self,
        step: int,
        means: dict[str, float],
        found: dict[str, float],
        best: dict[str, float],
        say: Progress,
    ) -> None:
        training = self._config.training
        say(
            f"{self._config.name}: epoch {step // training.steps_per_epoch}/{training.epochs} | "
            f"loss {means.get('loss', math.nan):.3f} | "
            f"dev EER {100 * found['dev_eer']:.2f} % (best {100 * best['dev_eer']:.2f}) | "
            f"content read {100 * found['dev_content_accuracy']:.1f} % | {self._pace(step)}"
        )
        self._spoke = time.monotonic()

    def _pace(self, step: int) -> str:
        rate = (time.monotonic() - self._started) / max(1, step - self._first)
        return (
            f"{rate:.2f} s/step | {self._config.training.batch_size / rate:.0f} clips/s | "
            f"ETA {rate * (self._steps - step):.0f} s"
        )


def _batches(
    config: RunConfig,
    heard: Sequence[Trial],
    cut: Cut,
    units: ContentUnits,
    augment: Transform | None,
    team: Team,
) -> Batches:
    """Choose how clips are heard: drawn evenly over systems and speakers, or streamed as they lie."""
    settings = config.training
    if settings.streaming:
        return StreamingBatches(
            heard,
            settings.batch_size // team.size,
            settings.crop_s,
            config.seed,
            units.by_trial,
            augment,
            rank=team.rank,
            ranks=team.size,
            lanes=max(1, settings.workers),
        )
    return TrainingBatches(
        heard,
        cut,
        settings.batch_size,
        settings.crop_s,
        config.seed,
        units.by_trial,
        augment,
        pairs=settings.pairs,
        rank=team.rank,
        ranks=team.size,
    )


class _Steps(torch.utils.data.Dataset[Batch]):
    """`Batches` as the data loader wants it: a module-level class, so that workers can be spawned."""

    def __init__(self, batches: Batches):
        self.batches = batches

    def __getitem__(self, number: int) -> Batch:
        return self.batches[number]


def _loader(batches: Batches, start: int, stop: int, workers: int) -> Iterator[Batch]:
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


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("training.device = cuda, but torch sees no GPU here; set it to auto or cpu")
    return torch.device(name)


def _say_nothing(line: str) -> None:
    pass


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


def _claim(run: Path, config: RunConfig, team: Team) -> None:
    """Write the resolved configuration, or refuse a folder that holds another run."""
    path = run / "config.yaml"
    text = config.to_yaml()
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise ConfigError(
            f"{run} holds a run with another configuration; give another folder, or remove it to start afresh"
        )
    team.wait()  # nobody writes before everybody has looked
    if team.leads:
        write_text(path, text)
