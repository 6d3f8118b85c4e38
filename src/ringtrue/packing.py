"""A checkpoint and a corpus -> the model file that ships: measured, compressed, refused unless it is as good.

What recordings must say of a model before strangers use it: where real speech lies (train), how early its evidence
may be trusted (dev), what its activations reach (train), and that a smaller copy is no worse (test, which decides
nothing but whether the copy is refused).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringtrue.audio import SAMPLE_RATE_HZ
from ringtrue.data.trials import Trial
from ringtrue.errors import AudioError, CheckpointError, CorpusError, require
from ringtrue.evaluation.metrics import eer
from ringtrue.evaluation.scoring import Load, score_trials
from ringtrue.files import atomic_path, stable_int
from ringtrue.inference.compress import write_half, write_int8
from ringtrue.inference.evidence import Evidence, Reference
from ringtrue.inference.export import export_onnx
from ringtrue.inference.runtime import Detector, Hearing
from ringtrue.inference.sequential import HORIZON_S, Extremes, decide, fit_extremes, looks
from ringtrue.inference.session import update_card
from ringtrue.prosody import VOICE, statistics
from ringtrue.windows import CONTENT_FRAME, split

Progress = Callable[[str], None]
FORMATS = ("onnx", "fp16", "int8")

WORST_EER_CHANGE = 0.5  # points by which the EER of an int8 copy may differ
_REFERENCE_CLIPS = 500  # enough for a percentile to be right to a few points
_SPEECH_WINDOWS = 64
_PATHS = 200  # recordings of either class that the sequential boundaries rest on; more promise nothing better
_LEAST_PATHS = 19  # fewer cannot promise 5 %


def pack(
    checkpoint: Path, target: Path, form: str, trials: Sequence[Trial], load: Load, progress: Progress
) -> Path:
    """Export a checkpoint with everything that recordings can say about it.

    Args:
        checkpoint: What `ringtrue train` wrote.
        target: The ``.onnx`` file to write.
        form: One of `FORMATS`.
        trials: A corpus; its train and dev splits are measured, its test split compares int8 with float32.
        load: Reads a trial's `(T,)` wave.
        progress: Takes one line a step.

    Returns:
        The target.

    Raises:
        CheckpointError: Outputs differ from torch's, or int8 is worse than the original by more than 0.5 points of
            EER, or the corpus lacks what a step needs.
    """
    train = [trial for trial in trials if trial.split == "train"]
    windows = speech_windows(train, load)
    if len(windows) == 0:
        raise CheckpointError("the corpus has no readable training clips to measure the model on")
    with TemporaryDirectory() as folder:
        full, smaller = Path(folder) / "full.onnx", Path(folder) / "smaller.onnx"
        export_onnx(checkpoint, full, speech=windows)
        progress(f"ONNX Runtime and torch agree on {len(windows)} windows of speech")
        detector = Detector(full)
        _stamp(full, measure(detector, trials, load, progress))
        if form == "fp16":
            write_half(full, smaller)
        elif form == "int8":
            write_int8(full, smaller, windows)
            _refuse_worse(detector, Detector(smaller), trials, load, progress)
        else:
            smaller = full
        with atomic_path(target) as temporary:
            temporary.write_bytes(smaller.read_bytes())
    return target


def measure(
    detector: Detector, trials: Sequence[Trial], load: Load, progress: Progress
) -> dict[str, dict[str, Any]]:
    """Measure what goes into a model's card beside its weights.

    Args:
        detector: The model.
        trials: A corpus with train and dev splits.
        load: Reads a trial's wave.
        progress: Takes one line a step.

    Returns:
        ``reference`` and, if there is enough development speech and a calibration, ``sequential``.
    """
    human = [trial for trial in trials if trial.split == "train" and trial.is_bonafide]
    chosen = _sample(human, _REFERENCE_CLIPS)
    words = (
        f"{len(chosen)} bona fide training clips of {', '.join(sorted({trial.corpus for trial in chosen}))}"
    )
    found = {"reference": Reference.of(_summaries(chosen, load), words).to_dict()}
    progress(f"measured {words}")
    if detector.judge.llr(0.0) is None:
        progress("no sequential boundaries: the model is not calibrated")
        return found
    paths = {
        label: [running_llrs(detector, wave) for wave in joined_recordings(trials, "dev", label, load)]
        for label in ("bonafide", "spoof")
    }
    counts = {label: len(rows) for label, rows in paths.items()}
    if min(counts.values()) < _LEAST_PATHS:
        progress(
            f"no sequential boundaries: {counts['bonafide']} bona fide and {counts['spoof']} spoof development "
            f"recordings of {HORIZON_S:g} s; {_LEAST_PATHS} of each are needed"
        )
        return found
    words = (
        f"{counts['bonafide']} bona fide and {counts['spoof']} spoof development recordings of {HORIZON_S:g} s, "
        "joined from clips of one speaker and system"
    )
    found["sequential"] = fit_extremes(np.array(paths["bonafide"]), np.array(paths["spoof"]), words).to_dict()
    progress(f"sequential boundaries from {words}")
    return found


def verify_sequential(
    detector: Detector, trials: Sequence[Trial], split_name: str, load: Load, rates: Sequence[float]
) -> list[dict[str, Any]]:
    """Count how often early decisions are wrong on recordings that their boundaries were not made from.

    Args:
        detector: A model with sequential boundaries.
        trials: A corpus.
        split_name: Which split to take, commonly test.
        load: Reads a trial's wave.
        rates: Promised error rates.

    Returns:
        For each rate and label: recordings, the share that is called the other label with its exact 95 % interval
        (Clopper and Pearson, 1934), the share that is decided at all, and the median seconds to a decision.

    Raises:
        CheckpointError: The model has no boundaries, or cannot promise a rate.
        CorpusError: The split is too small to join recordings from.
    """
    from scipy.stats import beta

    if not detector.card.get("sequential"):
        raise CheckpointError("the model came without sequential boundaries: export it with --corpus")
    extremes = Extremes.from_dict(detector.card["sequential"])
    paths = {
        label: [running_llrs(detector, wave) for wave in joined_recordings(trials, split_name, label, load)]
        for label in ("bonafide", "spoof")
    }
    for label, rows in paths.items():
        if not rows:
            raise CorpusError(
                f"no speaker and system has {HORIZON_S:g} s of {label} speech in the {split_name} split"
            )
    found = []
    for rate in rates:
        boundaries = extremes.boundaries(rate)
        result: dict[str, Any] = {"rate": rate}
        for label, opposite in (("bonafide", "spoof"), ("spoof", "bona fide")):
            decisions = [decide(row, boundaries) for row in paths[label]]
            count = len(decisions)
            wrong = sum(word == opposite for word, _ in decisions)
            times_s = [seconds for word, seconds in decisions if word != "inconclusive"]
            result[label] = {
                "recordings": count,
                "wrong": wrong / count,
                "low": float(beta.ppf(0.025, wrong, count - wrong + 1)) if wrong else 0.0,
                "high": float(beta.ppf(0.975, wrong + 1, count - wrong)) if wrong < count else 1.0,
                "decided": len(times_s) / count,
                "median_s": float(np.median(times_s)) if times_s else HORIZON_S,
            }
        found.append(result)
    return found


def running_llrs(detector: Detector, wave: NDArray[np.float32]) -> list[float]:
    """Give the running LLR of a recording at every look of the sequential test.

    Args:
        detector: A calibrated model.
        wave: `(T,)`, at least as long as the horizon.

    Returns:
        One for each of `looks()`.
    """
    hearing = Hearing(detector.score_windows)
    found, at = [], 0
    for look_s in looks():
        end = round(look_s * SAMPLE_RATE_HZ)
        hearing.push(wave[at:end])
        at = end
        llr = detector.judge.llr(float(hearing.scores()[1].mean()))
        assert llr is not None, "only calibrated models get here"
        found.append(llr)
    return found


def joined_recordings(
    trials: Sequence[Trial], split_name: str, label: str, load: Load
) -> Iterator[NDArray[np.float32]]:
    """Join clips of one speaker and system, in random order, to recordings as long as the horizon.

    Args:
        trials: A corpus.
        split_name: Which split to take.
        label: ``"bonafide"`` or ``"spoof"``.
        load: Reads a trial's wave; an unreadable one is passed over.

    Yields:
        `(T,)` waves; what is left of a group and is too short is dropped.
    """
    groups: dict[tuple[str, str], list[Trial]] = {}
    for trial in _sample([t for t in trials if t.split == split_name and t.label == label], len(trials)):
        groups.setdefault((trial.speaker, trial.system), []).append(trial)
    length, made = round(HORIZON_S * SAMPLE_RATE_HZ), 0
    for group in groups.values():
        held: list[NDArray[np.float32]] = []
        for _, wave in _readable(group, load):
            held.append(wave)
            if sum(map(len, held)) >= length:
                yield np.concatenate(held)[:length]
                held, made = [], made + 1
                if made == _PATHS:
                    return


def speech_windows(trials: Sequence[Trial], load: Load) -> NDArray[np.float32]:
    """Take one window each of as many bona fide as spoof clips.

    Args:
        trials: What may be heard.
        load: Reads a trial's wave.

    Returns:
        `(N, WINDOW)`, N at most 64.
    """
    sides = [[t for t in trials if t.is_bonafide], [t for t in trials if not t.is_bonafide]]
    chosen = [trial for side in sides for trial in _sample(side, _SPEECH_WINDOWS // 2)]
    windows = [split(wave)[1][0] for _, wave in _readable(chosen, load)]
    return np.stack(windows) if windows else np.zeros((0, 0), np.float32)


def _refuse_worse(
    full: Detector, smaller: Detector, trials: Sequence[Trial], load: Load, progress: Progress
) -> None:
    judged = [trial for trial in trials if trial.split in ("test", "test_seen")]
    if {trial.is_bonafide for trial in judged} != {True, False}:
        raise CheckpointError("int8 is compared on test trials of both labels, and the corpus has none")
    figures = []
    for detector in (full, smaller):
        scored = [
            outcome for outcome in score_trials(detector.score_windows, judged, load) if not outcome.error
        ]
        sides = [[o.score for o in scored if o.trial.is_bonafide is side] for side in (True, False)]
        figures.append(100 * eer(*sides))
    words = f"EER {figures[0]:.2f} % in float32, {figures[1]:.2f} % in int8, on {len(judged)} test trials"
    if abs(figures[1] - figures[0]) > WORST_EER_CHANGE:
        raise CheckpointError(f"not exported: {words}; accepted: a difference of {WORST_EER_CHANGE:g} points")
    progress(words)


def _stamp(path: Path, values: dict[str, dict[str, Any]]) -> None:
    onnx = require("onnx", "train")
    model = onnx.load(str(path))
    update_card(model, values)
    onnx.save(model, str(path))


def _summaries(trials: Sequence[Trial], load: Load) -> Iterator[dict[str, float]]:
    for _, wave in _readable(trials, load):
        evidence = Evidence()
        evidence.push(wave)
        voice = asdict(statistics(wave)) if len(wave) >= CONTENT_FRAME else {}
        yield {
            **evidence.summary(),
            **{name: voice[name] for name in VOICE if voice.get(name) is not None},
        }


def _readable(trials: Sequence[Trial], load: Load) -> Iterator[tuple[Trial, NDArray[np.float32]]]:
    for trial in trials:
        try:
            yield trial, load(trial)
        except AudioError:
            continue


def _sample(trials: Sequence[Trial], count: int) -> list[Trial]:
    """Choose trials that are the same on every machine, whatever order they come in."""
    return sorted(trials, key=lambda trial: stable_int("packing", trial.id))[:count]
