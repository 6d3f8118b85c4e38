"""A bare machine -> real speech, two detectors, The Table and two verdicts: the whole story in one run."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ringtrue import __version__
from ringtrue.config import RunConfig, load_config
from ringtrue.data.corpora import load_corpus
from ringtrue.data.trials import Trial
from ringtrue.errors import CorpusError
from ringtrue.evaluation.report import write_report
from ringtrue.evaluation.scores import Scores
from ringtrue.evaluation.table import Table, evaluation, system_table, the_table
from ringtrue.files import cache_dir, sha256_file, write_json, write_text
from ringtrue.inference.runtime import Detector, installed_model
from ringtrue.inference.verdict import Verdict
from ringtrue.models.frontends import LOG_MEL
from ringtrue.pipeline import content_blind_scores, prepare_units, score_split, train_and_export

Say = Callable[[str], None]

BASELINE, HERO = "baseline", "hero"
_WHISPER_LAYER = 5  # of 6: the last but one, where words are and the decoder's habits are not yet


def run_demo(out: Path, corpus: str, *, smoke: bool, say: Say) -> Table:
    """Build or find a corpus, train baseline and hero, make The Table, judge one clip of either kind.

    Every step keeps what it made: a second run reuses all of it, a killed one goes on.

    Args:
        out: Folder of the run: both models' run folders, scores, ``table.md``, ``table.html``, ``timings.json``.
        corpus: What `load_corpus` takes.
        smoke: Train two short epochs only.
        say: Takes every line for the user.

    Returns:
        The Table.

    Raises:
        RingtrueError: Something that cannot be done without cannot be had; the message says what.
    """
    watch = _Watch(say)
    with watch.stage("corpus"):
        trials = load_corpus(corpus, say)
        judged = [trial for trial in trials if trial.split in ("test", "test_seen")]
        if not judged:
            raise CorpusError(
                f"{corpus} has no test split: The Table needs systems and speakers unseen in training"
            )
        say(_summary(trials))

    with watch.stage("content units"):
        teacher = _teacher(say)
        configs = [_config(name, teacher, smoke) for name in (BASELINE, HERO)]
        units = prepare_units(configs[0].content, trials, say)

    models: dict[str, Detector] = {}
    for config in configs:
        with watch.stage(f"train {config.name}"):
            models[config.name] = Detector(train_and_export(config, trials, units, out / config.name, say))

    with watch.stage("score"):
        scores: dict[str, Scores] = {}
        unreadable: list[str] = []
        for name, detector in models.items():
            scores[name], errors = score_split(detector, judged, out / "scores" / f"{name}.tsv", say)
            unreadable += errors
        floor = content_blind_scores(trials, judged, out / "scores" / "floor.tsv", say)

    with watch.stage("table"):
        side_by_side = evaluation(scores, floor)
        table = the_table(side_by_side, contrast=(HERO, BASELINE))
        systems = system_table(side_by_side)
        made = {"command": " ".join(["ringtrue", *sys.argv[1:]]), "ringtrue": __version__, "corpus": corpus}
        write_text(out / "table.md", table.to_markdown() + "\n" + systems.to_markdown())
        write_report(out / "table.html", side_by_side, table, systems, made)
        say("\n" + table.to_text())

    with watch.stage("check"):
        chosen = min(models, key=lambda name: models[name].card["metrics"]["dev_eer"])
        _install(out / chosen)
        say(f"{chosen} was better on the development set, and is now the model that `ringtrue check` uses")
        for label in ("bonafide", "spoof"):
            clip = next(trial for trial in judged if trial.label == label and trial.split == "test")
            say(_line(clip, models[chosen].check(clip.audio)))
    watch.report(out / "timings.json")
    say(f"\nThe Table: {out / 'table.md'} and {out / 'table.html'}")
    return table


def _teacher(say: Say) -> tuple[str, int]:
    """Find the real content teacher, or fall back to clustered log-mel, saying so."""
    from ringtrue.data.corpora.starter.packages import whisper_base

    try:
        return str(whisper_base(cache_dir(), say)), _WHISPER_LAYER
    except CorpusError as error:
        say(
            f"no Whisper encoder ({error}); content units are clustered on speaker-normalised log-mel instead"
        )
        return LOG_MEL, 0


def _config(recipe: str, teacher: tuple[str, int], smoke: bool) -> RunConfig:
    config = load_config(recipe, [f"content.teacher={teacher[0]}", f"content.layer={teacher[1]}"])
    return config.smoke() if smoke else config


def _summary(trials: Sequence[Trial]) -> str:
    human = [trial for trial in trials if trial.is_bonafide]
    machine = [trial for trial in trials if not trial.is_bonafide]
    return (
        f"corpus: {len(human)} human clips of {len({t.speaker for t in human})} speakers, "
        f"{len(machine)} machine clips of {len({t.system for t in machine})} systems, "
        f"{sum(t.duration_s for t in trials) / 60:.0f} minutes"
    )


def _install(run: Path) -> None:
    """Make a run's model the default of `ringtrue check`, whole or not at all."""
    from ringtrue.files import atomic_path

    source, target = run / "prosody_encoder_best.onnx", installed_model("default")
    if target.exists() and sha256_file(target) == sha256_file(source):
        return
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)


def _line(trial: Trial, verdict: Verdict) -> str:
    truth = "a person" if trial.is_bonafide else f"made by {trial.system}"
    evidence = "not calibrated" if verdict.llr is None else f"LLR {verdict.llr:+.2f}"
    return f"check {trial.audio} ({truth}): {verdict.decision}, {evidence}"


class _Watch:
    """Says which stage runs, and how long each took."""

    def __init__(self, say: Say):
        self._say = say
        self._seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a block."""
        self._say(f"== {name}")
        started = time.monotonic()
        yield
        self._seconds[name] = time.monotonic() - started

    def report(self, path: Path) -> None:
        """Print the times, and keep those of the run that did the work, not of one that found it done."""
        import resource

        peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        total = sum(self._seconds.values())
        self._say(
            "\n".join(
                ["", "stage            seconds", *(f"{n:16} {s:7.1f}" for n, s in self._seconds.items())]
            )
        )
        self._say(f"{'total':16} {total:7.1f}   peak memory {peak_gib:.1f} GiB")
        if not path.exists():
            write_json(path, {"seconds": self._seconds, "total_s": total, "peak_gib": peak_gib})
