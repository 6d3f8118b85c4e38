"""The steps that commands are made of: a corpus trained on, a split scored; each goes on where it stopped."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ringtrue import __version__
from ringtrue.config import ContentConfig, RunConfig
from ringtrue.data.corpora import load_samples
from ringtrue.data.trials import Trial
from ringtrue.errors import CorpusError
from ringtrue.evaluation.scores import Scores, read_scores, scores_of_trials, write_scores
from ringtrue.evaluation.scoring import score_resumably
from ringtrue.files import cache_dir

if TYPE_CHECKING:
    from ringtrue.inference.runtime import Detector
    from ringtrue.training.content import ContentUnits

Progress = Callable[[str], None]
MOST_FAILURES = 0.05  # share of recordings that may be unreadable before figures mean something else


def prepare_units(config: ContentConfig, trials: Sequence[Trial], progress: Progress) -> ContentUnits:
    """Give the train and dev clips their content units, from the cache where they are in it.

    Args:
        config: Which teacher, layer and how many units.
        trials: The corpus; test splits are left alone.
        progress: Takes one line now and then.

    Returns:
        The units.

    Raises:
        CheckpointError: The teacher cannot be loaded.
        CorpusError: There is too little bona fide training speech.
    """
    from ringtrue.models.frontends import load_frontend
    from ringtrue.training.content import make_units

    heard = [trial for trial in trials if trial.split in ("train", "dev")]
    return make_units(
        heard,
        load_samples,
        load_frontend(config.teacher),
        cache_dir() / "units",
        layer=config.layer,
        count=config.units,
        fit_clips=config.fit_clips,
        seed=0,
        progress=progress,
    )


def train_and_export(
    config: RunConfig, trials: Sequence[Trial], units: ContentUnits, run: Path, progress: Progress
) -> Path:
    """Train one model in its run folder and export the best checkpoint.

    Args:
        config: The resolved configuration.
        trials: The corpus.
        units: Content units of the train and dev clips.
        run: Run folder.
        progress: Takes one line an epoch.

    Returns:
        The best checkpoint as ONNX; the safetensors file lies beside it.
    """
    from ringtrue.data.augment import augment
    from ringtrue.inference.export import export_onnx
    from ringtrue.training.train import train

    heard = [trial for trial in trials if trial.split == "train"]
    trained_on = {
        "corpora": sorted({trial.corpus for trial in heard}),
        "licences": sorted({trial.licence for trial in heard} - {""}),
        "systems": sorted({trial.system for trial in heard} - {""}),
        "clips": len(heard),
    }
    best = train(
        config, trials, load_samples, units, run, augment=augment, trained_on=trained_on, progress=progress
    )
    exported = best.with_suffix(".onnx")
    if not exported.exists() or exported.stat().st_mtime < best.stat().st_mtime:
        export_onnx(best, exported)
    return exported


def score_split(
    detector: Detector, trials: Sequence[Trial], out: Path, progress: Progress
) -> tuple[Scores, list[str]]:
    """Score trials into a file, or read the file if this model has scored these trials before.

    Args:
        detector: The model.
        trials: What to score.
        out: The scores file. A journal beside it lets a killed run go on.
        progress: Takes one line now and then.

    Returns:
        The scores of the readable trials, and one message for each of the others.

    Raises:
        CorpusError: There is nothing to score, or more than `MOST_FAILURES` of it cannot be read.
    """
    if not trials:
        raise CorpusError("no trials to score: the corpus has none in this split")
    if out.exists():
        scores = read_scores(out)
        wanted = {trial.id for trial in trials}
        if scores.metadata.get("model_sha256") == detector.sha256 and set(scores.trials.tolist()) == wanted:
            return scores, []
    journal = out.with_name(f".{out.stem}-{detector.sha256[:16]}.jsonl")
    kept, errors = {}, []
    for scored in score_resumably(detector.score_windows, trials, load_samples, journal):
        if scored.error:
            errors.append(scored.error)
        else:
            kept[scored.trial.id] = scored.score
        if (len(kept) + len(errors)) % 500 == 0:
            progress(f"scored {len(kept)} of {len(trials)} trials, {len(errors)} unreadable")
    if len(errors) > MOST_FAILURES * len(trials):
        raise CorpusError(
            f"{len(errors)} of {len(trials)} recordings cannot be read, more than {MOST_FAILURES:.0%}; "
            f"the first: {errors[0]}"
        )
    readable = [trial for trial in trials if trial.id in kept]
    scores = scores_of_trials(readable, [kept[trial.id] for trial in readable], provenance(detector))
    write_scores(out, scores)
    journal.unlink()
    return scores, errors


def content_blind_scores(
    trials: Sequence[Trial], judged: Sequence[Trial], out: Path, progress: Progress
) -> Scores:
    """Score trials by their surface alone, into a file, as `score_split` does with a model.

    Args:
        trials: The corpus, whose training split the classifier learns from.
        judged: What to score.
        out: The scores file.
        progress: Takes one line now and then.

    Returns:
        The scores.
    """
    from ringtrue.data import audit

    if out.exists():
        scores = read_scores(out)
        if scores.trials.tolist() == [trial.id for trial in judged]:
            return scores
    heard = [trial for trial in trials if trial.split == "train"]
    features = audit.measure([*heard, *judged], load_samples, progress)
    floor = audit.content_blind_floor(heard, features[: len(heard)], features[len(heard) :])
    scores = scores_of_trials(judged, floor.tolist(), {"model": "random forest on surface features"})
    write_scores(out, scores)
    return scores


def audit_corpus(source: str, progress: Progress) -> list[str]:
    """Say whether a corpus can be solved without listening, and what is tied to the label.

    Args:
        source: As `load_corpus` takes it.
        progress: Takes one line now and then.

    Returns:
        Lines to print.
    """
    from tempfile import TemporaryDirectory

    from ringtrue.data import audit
    from ringtrue.data.corpora import load_corpus
    from ringtrue.evaluation.metrics import eer

    trials = load_corpus(source, progress)
    lines = []
    judged = [trial for trial in trials if trial.split == "test"]
    with TemporaryDirectory() as folder:
        floor = content_blind_scores(trials, judged, Path(folder) / "floor.tsv", progress)
    lines.append(audit.floor_verdict(eer(floor.bonafide, floor.spoof)))
    for split in ("train", "test"):
        side = [trial for trial in trials if trial.split == split]
        labels = [trial.label for trial in side]
        for field in ("language", "codec", "speaker"):
            tie = audit.cramers_v(labels, [getattr(trial, field) for trial in side])
            lines.append(f"{split}: Cramer's V of label and {field}: {tie:.2f}")
    return lines


def provenance(detector: Detector) -> dict[str, str]:
    """Say how scores came about, for the comment line of their file."""
    import onnxruntime
    import soundfile
    import soxr

    return {
        "model": detector.card["name"],
        "model_sha256": detector.sha256,
        "decoder": f"soundfile {soundfile.__version__}, soxr {soxr.__version__} HQ to 16 kHz mono",
        "runtime": f"onnxruntime {onnxruntime.__version__}",
        "ringtrue": __version__,
        "command": shlex.join(["ringtrue", *sys.argv[1:]]),
    }
