"""Models, a corpus and content units -> one report a model; what all models share is made once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ringtrue import __version__
from ringtrue.data.trials import Trial, fingerprint
from ringtrue.errors import CorpusError, MissingExtraError
from ringtrue.evaluation.probes import construct, erase, leakage, stimuli
from ringtrue.evaluation.probes.readers import KINDS, Kind
from ringtrue.files import sha256_file, stable_int

if TYPE_CHECKING:
    from torch import nn

SCHEMA = 1
"""Version of the layout of ``probe.json``."""

Samples = NDArray[np.float32]
Load = Callable[[Trial], Samples]
Say = Callable[[str], None]
_SHORTEST = 8_000  # samples: clips shorter than 0.5 s are not probed
_QUICK: tuple[Kind, ...] = ("linear", "mlp")
_ERASED_SHARE = 4  # content may take a quarter of the embedding's dimensions


@dataclass(frozen=True)
class Plan:
    """What to probe with.

    Attributes:
        quick: Leakage by linear and perceptron probes only; no erasure, no stimuli.
        clips: Clips of the development split that leakage is probed with, at most.
        stimuli: Clips of people that stimuli are made of, at most.
        seed: Of everything random.
    """

    quick: bool = False
    clips: int = 400
    stimuli: int = 40
    seed: int = 0

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """Probes to train."""
        return _QUICK if self.quick else KINDS


@dataclass
class Bench:
    """A corpus laid out for probing: waves decoded once, comparators and stimuli made once, for any number of models.

    Args:
        trials: The corpus, screened.
        load: Reads a trial's wave.
        units: Content units of development clips by trial id; may be empty.
        units_key: Names what the units depend on.
        plan: What to probe with.
        say: Takes one line now and then.
    """

    trials: Sequence[Trial]
    load: Load
    units: leakage.Units
    units_key: str
    plan: Plan
    say: Say
    _waves: dict[str, list[Samples]] = field(default_factory=dict)
    _answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    _versions: list[dict[str, Samples]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.heard = self._choose("dev", self.plan.clips)
        self.judged = [] if self.plan.quick else self._choose("test", self.plan.clips)
        people = [trial for trial in self.trials if trial.split in ("test", "dev") and trial.is_bonafide]
        people.sort(key=lambda trial: (trial.split != "test", stable_int("probe", self.plan.seed, trial.id)))
        self.people = [t for t in people if t.duration_s == 0 or t.duration_s >= 1.0][: self.plan.stimuli]
        if not self.heard:
            raise CorpusError(
                "no clips to probe with: the corpus has none in its dev split; `ringtrue corpus describe` lists splits"
            )

    def key(self, subject: str) -> str:
        """Name everything that a report depends on, besides the version of this software."""
        heard = fingerprint([*self.heard, *self.judged, *self.people])
        return f"{stable_int(SCHEMA, subject, heard, self.units_key, *asdict(self.plan).values()):016x}"

    def _choose(self, split: str, count: int) -> list[Trial]:
        """Take clips of a split by a stable lottery: half of them people's, where there are as many."""
        drawn = sorted(
            (trial for trial in self.trials if trial.split == split),
            key=lambda trial: stable_int("probe", self.plan.seed, trial.id),
        )
        people = [trial for trial in drawn if trial.is_bonafide][: count // 2]
        machines = [trial for trial in drawn if not trial.is_bonafide][: count - len(people)]
        return [*people, *machines]

    def waves(self, which: str) -> list[Samples]:
        """Give the waves of ``heard`` or ``judged``; those too short are repeated to half a second."""
        if which not in self._waves:
            loaded = [self.load(trial) for trial in getattr(self, which)]
            self._waves[which] = [np.resize(wave, max(len(wave), _SHORTEST)) for wave in loaded]
        return self._waves[which]

    def versions(self) -> list[dict[str, Samples]]:
        """Give the stimuli, all versions of all clips."""
        if not self._versions:
            waves = [self.load(trial) for trial in self.people]
            vocoder = True
            for trial, wave in zip(self.people, waves, strict=True):
                rng = np.random.default_rng(stable_int("stimuli", self.plan.seed, trial.id))
                wave = np.resize(wave, max(len(wave), _SHORTEST))
                try:
                    self._versions.append(stimuli.make(wave, rng, vocoder=vocoder))
                except MissingExtraError as error:
                    self.say(f"no prosody and artefact stimuli: {error}")
                    vocoder = False
                    self._versions.append(stimuli.make(wave, rng, vocoder=False))
            self.say(f"stimuli: {len(self._versions)} clips, {len(self._versions[0])} versions each")
        return self._versions

    def comparators(self, card: Any) -> dict[str, dict[str, Any]]:
        """Give the leakage of the log-mel image and of the untrained network, from memory where it is there."""
        untrained = f"untrained {card.architecture} {sorted(card.arguments.items())}"
        for name in ("log_mel", untrained):
            if name not in self._answers:
                self.say(f"probing {name.split()[0]}")
                model = (
                    None
                    if name == "log_mel"
                    else leakage.untrained(card.architecture, card.arguments, self.plan.seed)
                )
                self._answers[name] = self.leak(leakage.listen(model, self.waves("heard")))
        return {"log_mel": self._answers["log_mel"], "untrained": self._answers[untrained]}

    def leak(self, heard: leakage.Heard) -> dict[str, Any]:
        """Ask what these features give away."""
        return leakage.probe_leakage(heard, self.heard, self.units, self.plan.kinds, self.plan.seed)

    def bags(self) -> tuple[list[int], NDArray[np.float64]]:
        """Give the places of the clips with units, and their histograms of units `(n, K)`."""
        places = [i for i, trial in enumerate(self.heard) if len(self.units.get(trial.id, ()))]
        if not places:
            return [], np.empty((0, 0))
        count = 1 + max(int(self.units[self.heard[i].id].max()) for i in places)
        bags = [np.bincount(self.units[self.heard[i].id].clip(min=0), minlength=count) for i in places]
        return places, np.array([bag / bag.sum() for bag in bags])


def probe_model(bench: Bench, checkpoint: Path, against: Path | None = None) -> dict[str, Any]:
    """Probe a ringtrue model.

    Args:
        bench: What it is probed with.
        checkpoint: Its ``.safetensors`` file.
        against: The checkpoint of a baseline to show beside it.

    Returns:
        The report, plain JSON values.

    Raises:
        CheckpointError: A checkpoint is unfit.
    """
    from ringtrue.models.checkpoint import load as load_checkpoint

    model, card = load_checkpoint(checkpoint)
    heard = leakage.listen(model, bench.waves("heard"))
    answers = {"model": bench.leak(heard), **bench.comparators(card)}
    if against:
        name = f"against {sha256_file(against)}"
        if name not in bench._answers:
            baseline, _ = load_checkpoint(against)
            bench._answers[name] = bench.leak(leakage.listen(baseline, bench.waves("heard")))
        answers["against"] = bench._answers[name]
    report: dict[str, Any] = {
        **_head(bench, card.name, sha256_file(checkpoint)),
        "leakage": answers,
        "normalised_leakage": {
            name: leakage.normalised(answers[name], answers["log_mel"])
            for name in answers
            if name != "log_mel"
        },
    }
    if not bench.plan.quick:
        report["erasure"] = _erasure(bench, model, heard)
        report.update(_construct(bench, construct.of_windows(_score_batch(model))))
    return report


def probe_scorer(bench: Bench, command: str) -> dict[str, Any]:
    """Probe anybody's scorer by stimuli alone: nothing can be read from inside a command.

    Args:
        bench: What it is probed with.
        command: See `construct.of_command`.

    Returns:
        The report, plain JSON values.

    Raises:
        RingtrueError: The command fails or prints something else than scores.
    """
    bench.say("leakage and erasure are left out: they read evidence, and a command gives scores only")
    report = _head(bench, command, "")
    report.update(_construct(bench, construct.of_command(command)))
    return report


def _head(bench: Bench, name: str, sha256: str) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "ringtrue": __version__,
        "subject": name,
        "sha256": sha256,
        "key": bench.key(sha256 or name),
        "plan": asdict(bench.plan),
        "clips": {
            "heard": len(bench.heard),
            "with_units": len(bench.bags()[0]),
            "judged": len(bench.judged),
            "people": len(bench.people),
        },
    }


def _erasure(bench: Bench, model: nn.Module, heard: leakage.Heard) -> dict[str, Any] | None:
    """Compare erasing content with erasing as much at random; None where a class or the units are missing."""
    places, bags = bench.bags()
    human = np.array([bench.heard[i].is_bonafide for i in places], dtype=bool)
    judged_human = np.array([trial.is_bonafide for trial in bench.judged], dtype=bool)
    if not all(len(set(labels.tolist())) == 2 for labels in (human, judged_human)):
        return None
    features = heard.clips[places].astype(np.float64)
    judged = leakage.listen(model, bench.waves("judged")).clips.astype(np.float64)
    rank = max(1, features.shape[1] // _ERASED_SHARE)
    rng = np.random.default_rng(bench.plan.seed)
    return asdict(erase.compare_erasures((features, human), bags, (judged, judged_human), rank, rng))


def _construct(bench: Bench, score: construct.ScoreClips) -> dict[str, Any]:
    if len(bench.people) < 2:
        bench.say("no stimuli: fewer than two clips of people in the dev and test splits")
        return {}
    scores = construct.score_stimuli(score, bench.versions())
    speakers = [leakage.speaker_of(trial) for trial in bench.people]
    found = construct.sensitivities(scores, speakers, bench.plan.seed)
    moved = construct.shifts(scores, speakers, bench.plan.seed)
    return {
        "sensitivity": {name: asdict(value) for name, value in found.items()},
        "shift": {name: asdict(value) for name, value in moved.items()},
    }


def _score_batch(model: nn.Module) -> Callable[[Samples], NDArray[np.float64]]:
    import torch

    def score(windows: Samples) -> NDArray[np.float64]:
        with torch.inference_mode():
            logits = model(torch.from_numpy(windows)).double()
        return (logits[:, 1] - logits[:, 0]).numpy()

    return score


def kept(path: Path, key: str) -> Mapping[str, Any] | None:
    """Read a report if it was made in just this way.

    Args:
        path: A ``probe.json``.
        key: `Bench.key` of the subject.

    Returns:
        The report, or None.
    """
    import json

    try:
        report = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return report if isinstance(report, dict) and report.get("key") == key else None
