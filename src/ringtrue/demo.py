"""A bare machine -> real speech, two detectors, The Table and two verdicts: the whole story in one run."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ringtrue import __version__
from ringtrue.config import RunConfig, load_config
from ringtrue.data.corpora import audio_source, load_corpus
from ringtrue.data.trials import LABELS, Trial, leaks
from ringtrue.errors import CorpusError
from ringtrue.evaluation.report import write_report
from ringtrue.evaluation.scores import Scores
from ringtrue.evaluation.table import Table, evaluation, system_table, the_table
from ringtrue.files import atomic_path, sha256_file, write_json, write_text
from ringtrue.inference.runtime import Detector, installed_model
from ringtrue.inference.verdict import Verdict
from ringtrue.pipeline import content_blind_scores, prepare_units, score_split, screen, train_and_export

Say = Callable[[str], None]

BASELINE, HERO = "baseline", "hero"


def run_demo(out: Path, corpus: str, *, smoke: bool, say: Say, show: Say) -> Table:
    """Build or find a corpus, train baseline and hero, make The Table, judge one clip of either kind.

    Every step keeps what it made: a second run reuses all of it, a killed one goes on.

    Args:
        out: Folder of the run: both models' run folders, scores, ``table.md``, ``table.html``, ``timings.json``.
        corpus: What `load_corpus` takes.
        smoke: Train two short epochs only, and leave the installed model alone.
        say: Takes lines about how it goes.
        show: Takes the results: The Table and the verdicts.

    Returns:
        The Table.

    Raises:
        RingtrueError: Something that cannot be done without cannot be had; the message says what.
    """
    watch = _Watch(say, out / "timings.json")
    with watch.stage("corpus"):
        trials = screen(load_corpus(corpus, say), say)
        judged = [trial for trial in trials if trial.split in ("test", "test_seen")]
        if {trial.label for trial in judged if trial.split == "test"} != set(LABELS):
            raise CorpusError(
                f"{corpus} has no test split with both labels: The Table needs systems and speakers unseen in training"
            )
        if found := [leak for leak in leaks(trials) if leak.startswith("test")]:
            raise CorpusError(f"{corpus} leaks, so The Table would be untrue: {'; '.join(found)}")
        say(_summary(trials))

    with watch.stage("content units"):
        configs = [_config(name, smoke) for name in (BASELINE, HERO)]
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
        show("\n" + table.to_text())

    with watch.stage("check"):
        chosen = min(models, key=lambda name: models[name].card["metrics"]["dev_eer"])
        if not smoke:
            _install(out / chosen)
            say(f"{chosen} was better on the development set: `ringtrue check --model demo` uses it")
        for label in ("bonafide", "spoof"):
            clip = next(trial for trial in judged if trial.label == label and trial.split == "test")
            show(_line(clip, models[chosen].check(audio_source(clip))))
    watch.report()
    say(f"\nThe Table: {out / 'table.md'} and {out / 'table.html'}")
    return table


def _config(recipe: str, smoke: bool) -> RunConfig:
    config = load_config(recipe)
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
    """Install a run's model under the name ``demo``, whole or not at all."""
    source, target = run / "prosody_encoder_best.onnx", installed_model("demo")
    if target.exists() and sha256_file(target) == sha256_file(source):
        return
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)


def _line(trial: Trial, verdict: Verdict) -> str:
    truth = "a person" if trial.is_bonafide else f"made by {trial.system}"
    evidence = "not calibrated" if verdict.llr is None else f"LLR {verdict.llr:+.2f}"
    return f"check {trial.audio} ({truth}): {verdict.decision}, {evidence}"


class _Watch:
    """Says which stage runs, and keeps how long each took when it did its work.

    A stage that finds its work done takes a moment, and that is no news: the longest time of each stage stays.
    """

    def __init__(self, say: Say, path: Path):
        self._say = say
        self._path = path
        self._now: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a block."""
        self._say(f"== {name}")
        started = time.monotonic()
        yield
        self._now[name] = time.monotonic() - started
        kept = json.loads(self._path.read_text(encoding="utf-8")) if self._path.exists() else {}
        write_json(self._path, kept | {name: max(self._now[name], kept.get(name, 0.0))})

    def report(self) -> None:
        """Print the times of this run."""
        import resource

        kib = max(
            resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
        lines = [f"{name:16} {seconds:7.1f}" for name, seconds in self._now.items()]
        total = f"{'total':16} {sum(self._now.values()):7.1f}   largest process {kib / 2**20:.1f} GiB"
        self._say("\n".join(["", "stage            seconds", *lines, total]))
