"""Settings, a corpus and a detector -> the installed tracer that `ringtrue check` names sources with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ringtrue.data.corpora import load_corpus, load_samples
from ringtrue.data.trials import fingerprint
from ringtrue.files import sha256_file
from ringtrue.models.mio import MiO
from ringtrue.tracing.attributes import labelled
from ringtrue.tracing.clips import Clips, thinned
from ringtrue.tracing.compare import Task, make_task
from ringtrue.tracing.distil import distil, load_detector, trunk_statistics
from ringtrue.tracing.export import export_tracer, set_on
from ringtrue.tracing.learning import as_rows
from ringtrue.tracing.methods import Listen, Method, two_stage
from ringtrue.tracing.openset import Heard
from ringtrue.tracing.settings import Settings
from ringtrue.tracing.two_stage import load_frozen_mio_model, train_and_save_mio_model

Progress = Callable[[str], None]


def build_tracer(settings: Settings, detector: Path, target: Path, progress: Progress) -> Path:
    """Train stage 1 and a system head, distil both into a head on the detector's trunk, and write it as ONNX.

    Args:
        settings: What is trained, on what.
        detector: Checkpoint of the Prosody Encoder.
        target: The ``.onnx`` file to write.
        progress: Takes a line now and then.

    Returns:
        The target.

    Raises:
        CorpusError: A corpus cannot be had, or has too little of what is needed.
        CheckpointError: A front end or the detector cannot be loaded.
    """
    encoder = load_detector(detector)
    stage_1 = load_frozen_mio_model(train_and_save_mio_model(settings, progress))
    trials = load_corpus(settings.tracing_corpus, progress)
    for attribute in ("acoustic_model", "vocoder", "system"):  # all three are named, so all must be known
        trials, values = labelled(trials, attribute, progress)
    value = dict(zip([trial.id for trial in trials], values, strict=True))
    clips = Clips(thinned(trials, settings.most_clips), settings.front_ends, load_samples, progress)
    values = [value[trial.id] for trial in clips.trials]
    task = make_task(clips, values, "system", [trial.id for trial in clips.trials], progress)
    statistics = trunk_statistics(encoder, clips.trials, load_samples, progress)
    made = distil(
        encoder,
        statistics,
        clips.trials,
        task.train,
        teacher_logits(stage_1, task, settings.seed),
        seed=settings.seed,
    )
    taught = [clips.trials[place] for place in task.train]
    record = {
        "trained_on": {"clips": len(taught), "fingerprint": fingerprint(taught)},
        "detector_sha256": sha256_file(detector),
    }
    held_out = set_on(made, clips.trials, task.dev_known, task.dev_unknown)
    return export_tracer(made, clips.trials, task.train, held_out, record, target)


def distilled_method(
    encoder_path: Path,
    countermeasures: Mapping[int, MiO],
    clips: Clips,
    progress: Progress,
    name: str,
) -> Method:
    """Make the small tracer a row of the table.

    Args:
        encoder_path: Checkpoint of the detector.
        countermeasures: For each seed the one whose head teaches; without any, it learns from labels alone.
        clips: The clips.
        progress: Takes a line now and then.
        name: What to call it.

    Returns:
        The method; for systems only.
    """
    encoder = load_detector(encoder_path)
    statistics = trunk_statistics(encoder, clips.trials, load_samples, progress)
    teaching = two_stage(countermeasures, clips)

    def fit(places: NDArray[np.int64], labels: NDArray[np.int64], num_classes: int, seed: int) -> Listen:
        teacher = None
        if countermeasures:
            teacher = teaching.fit(places, labels, num_classes, seed)(np.arange(len(clips))).logits
        made = distil(encoder, statistics, clips.trials, places, teacher, seed=seed)

        def hear(heard: NDArray[np.int64]) -> Heard:
            return Heard(made.embeddings[heard], made.logits["system"][heard])

        return hear

    return Method(name, fit)


def teacher_logits(stage_1: MiO, task: Task, seed: int) -> NDArray[np.float64]:
    """Fit the two-stage head on the training clips; give its logits of every clip."""
    labels = as_rows(task.values[task.train].tolist(), task.classes)
    listen = two_stage({seed: stage_1}, task.clips).fit(task.train, labels, len(task.classes), seed)
    return listen(np.arange(len(task.clips))).logits
