"""Runs -> trained models and scores of every test set; what is done stays done, and one failure costs one run.

Several processes, of one command or of several, share the work through a lock in each run folder. The lock belongs to
the process, so that a killed one leaves its run to the next.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ringtrue.data.corpora import load_corpus
from ringtrue.data.trials import Trial, leaks
from ringtrue.errors import ConfigError, CorpusError, RingtrueError
from ringtrue.evaluation.scores import Scores, read_scores
from ringtrue.experiment.plan import Experiment, Run, fill
from ringtrue.files import locked, sha256_file, stable_int, write_json, write_text
from ringtrue.pipeline import content_blind_scores, prepare_units, score_split, screen, train_and_export
from ringtrue.workers import one_thread_each

Say = Callable[[str], None]
_DONE, _FAILED = "done.json", "failed.json"
_HYPOTHESES = "hypotheses.json"
PROBED = "probe_content_above_majority"
"""Share of frames that the best fresh probe names right beyond the commonest unit's: `ringtrue probe` on a run."""


@dataclass
class Desk:
    """What a process has read for its runs: each corpus once.

    Attributes:
        experiment: What is to be done.
        variables: Values for the ``${NAME}`` of sources.
        say: Takes one line now and then.
    """

    experiment: Experiment
    variables: Mapping[str, str]
    say: Say
    _read: dict[str, list[Trial]] = field(default_factory=dict)

    def trials(self, corpus: str) -> list[Trial]:
        """Give the trials of a training corpus, its own tests among them."""
        return self._screened(fill(self.experiment.corpora[corpus].source, self.variables))

    def judged(self, corpus: str, test: str) -> list[Trial]:
        """Give the trials of a test set for models that were trained on a corpus.

        Raises:
            CorpusError: It lacks a label, or shares speakers, recordings or unseen systems with training.
        """
        chosen = self.experiment.tests[test]
        trained = self.trials(corpus)
        source = chosen.source and fill(chosen.source, self.variables)
        trials = self._screened(source) if source else trained
        judged = [trial for trial in trials if trial.split == chosen.split]
        if chosen.split == "test_seen":  # its people are those of test, as everywhere
            judged += [trial for trial in trials if trial.split == "test" and trial.is_bonafide]
        if len({trial.label for trial in judged}) < 2:
            raise CorpusError(f"the test set {test} ({chosen.split}) has no trials of both labels")
        if not source and (found := [leak for leak in leaks(trained) if leak.startswith(chosen.split)]):
            raise CorpusError(f"{corpus} leaks, so figures on {test} would be untrue: {'; '.join(found)}")
        return judged

    def _screened(self, source: str) -> list[Trial]:
        if source not in self._read:
            self._read[source] = screen(load_corpus(source, self.say), self.say)
        return self._read[source]


def register(experiment: Experiment, out: Path, runs: Sequence[Run]) -> str:
    """Write down what is expected, before the first run.

    Args:
        experiment: With the hypotheses.
        out: The experiment's folder.
        runs: Its runs.

    Returns:
        The hash of what was written, in hexadecimal.

    Raises:
        ConfigError: Runs were made under other expectations, or under none.
    """
    path = out / _HYPOTHESES
    expected = {
        "experiment": experiment.name,
        "baseline": experiment.baseline,
        "contrasts": [list(pair) for pair in experiment.pairs],
        "hypotheses": {name: one.model_dump(mode="json") for name, one in experiment.hypotheses.items()},
    }
    text = json.dumps(expected, indent=2, ensure_ascii=False) + "\n"
    before = path.read_text(encoding="utf-8") if path.exists() else None
    if before != text:
        if begun := [str(run) for run in runs if (run.folder / "config.yaml").exists()]:
            raise ConfigError(
                f"{path} {'says otherwise' if before else 'is missing'} and {len(begun)} runs were begun ({begun[0]}): "
                "a hypothesis may not change once there are results. Give another --out to start anew"
            )
        write_text(path, text)
    return sha256_file(path)


def carry_out(
    experiment: Experiment, runs: Sequence[Run], variables: Mapping[str, str], jobs: int, say: Say
) -> None:
    """Do what is not done yet; failures are told, and kept in the run folders.

    Args:
        experiment: What is to be done.
        runs: Its runs.
        variables: Values for the ``${NAME}`` of sources.
        jobs: How many processes; each computes with one thread if there are several.
        say: Takes one line now and then; a function of a module, since other processes call it too.

    Raises:
        RingtrueError: A corpus cannot be had: then no run could be.
    """
    desk = Desk(experiment, variables, say)
    todo = [run for run in runs if not is_done(run, experiment)]
    if not todo:
        return
    say(f"{experiment.name}: {len(runs) - len(todo)} of {len(runs)} runs are done")
    for run in todo:
        (run.folder / _FAILED).unlink(missing_ok=True)  # it is tried again
    for corpus in dict.fromkeys(run.corpus for run in todo):
        for test in experiment.tests:
            desk.judged(corpus, test)
    if jobs == 1:
        _work(experiment, todo, variables, say, desk)
        return
    for run in {(r.corpus, r.config.content.model_dump_json()): r for r in todo}.values():
        _try(run, _prepare, desk)  # once, and not in each process
    with one_thread_each():
        spawn = multiprocessing.get_context("spawn")
        workers = [spawn.Process(target=_work, args=(experiment, todo, variables, say)) for _ in range(jobs)]
        for worker in workers:
            worker.start()
    try:
        for worker in workers:
            worker.join()
    finally:
        for worker in workers:
            worker.terminate()
    for run in todo:
        if not is_settled(run, experiment):
            _fail(run, "its process ended without a word, as the system does where memory runs out", say)


def is_done(run: Run, experiment: Experiment) -> bool:
    """Whether a run of just this configuration was trained and has scores of every test set."""
    done, wanted = _read(run.folder / _DONE), _done(run, experiment)
    return {name: done.get(name) for name in wanted} == wanted and all(
        scores_path(run, test).exists() for test in experiment.tests
    )


def content_metrics(run: Run) -> dict[str, float]:
    """Give what a run that is done says of the content in its features.

    Args:
        run: The run.

    Returns:
        The figures of its own readers on dev, and under `PROBED` what fresh probes found, if they were asked.
    """
    metrics = _read(run.folder / _DONE).get("metrics", {})
    found = {name: float(value) for name, value in metrics.items() if name.startswith("dev_content_")}
    report, checkpoint = _read(run.folder / "probe.json"), run.folder / "prosody_encoder_best.safetensors"
    probed = report.get("leakage", {}).get("model", {}).get("content", {})
    if probed and checkpoint.is_file() and report.get("sha256") == sha256_file(checkpoint):
        found[PROBED] = max(reading["accuracy"] - reading["majority"] for reading in probed.values())
    return found


def is_settled(run: Run, experiment: Experiment) -> bool:
    """Whether a run is done, or failed since the command began."""
    return is_done(run, experiment) or failure(run) is not None


def failure(run: Run) -> str | None:
    """Say why a run failed, if it did."""
    return _read(run.folder / _FAILED).get("error")


def scores_path(run: Run, test: str) -> Path:
    """Say where a run's scores of a test set lie."""
    return run.folder / "scores" / f"{test}.tsv"


def run_scores(run: Run, test: str) -> Scores:
    """Read a run's scores of a test set."""
    return read_scores(scores_path(run, test))


def floor_scores(
    experiment: Experiment, out: Path, variables: Mapping[str, str], say: Say
) -> Mapping[tuple[str, str], Scores]:
    """Judge each test set by its surface alone, with what each corpus teaches about that.

    Args:
        experiment: What is to be done.
        out: The experiment's folder.
        variables: Values for the ``${NAME}`` of sources.
        say: Takes one line now and then.

    Returns:
        Scores by corpus and test set; a failure is told and left out.
    """
    desk = Desk(experiment, variables, say)
    floors: dict[tuple[str, str], Scores] = {}
    for corpus in experiment.corpora:
        for test, chosen in experiment.tests.items():
            path = out / "floor" / corpus / f"{test}.tsv"
            try:
                with locked(path.parent):
                    floors[corpus, test] = content_blind_scores(
                        desk.trials(corpus), desk.judged(corpus, test), path, say, chosen.trim
                    )
            except RingtrueError as error:
                if path.exists():  # the corpus is not at hand any more, and what it gave is
                    floors[corpus, test] = read_scores(path)
                    continue
                say(f"no content-blind floor for {corpus}, {test}: {error}")
    return floors


def _work(
    experiment: Experiment,
    runs: Sequence[Run],
    variables: Mapping[str, str],
    say: Say,
    desk: Desk | None = None,
) -> None:
    """Do what no other process is doing; then wait for what others do, and do it if they died."""
    import torch

    if desk is None:
        torch.set_num_threads(1)
    desk = desk or Desk(experiment, variables, say)
    for patient in (False, True):
        for run in runs:
            if is_settled(run, experiment):
                continue
            with locked(run.folder, wait=patient) as is_ours:
                if is_ours and not is_settled(run, experiment):
                    _try(run, _perform, desk)


def _perform(run: Run, desk: Desk) -> None:
    """Train a run, or go on with it, and score every test set with the epoch that dev preferred."""
    from ringtrue.inference.runtime import Detector

    def say(line: str) -> None:
        desk.say(f"{run}: {line.removeprefix(f'{run.config.name}: ')}")

    trials = desk.trials(run.corpus)
    units = prepare_units(run.config.content, trials, say)
    detector = Detector(train_and_export(run.config, trials, units, run.folder, say, measured=False))
    for test, chosen in desk.experiment.tests.items():
        judged = desk.judged(run.corpus, test)
        score_split(detector, judged, scores_path(run, test), say, trim=chosen.trim)
    made = {"metrics": detector.card["metrics"], "model_sha256": detector.sha256}
    write_json(run.folder / _DONE, {**_done(run, desk.experiment), **made})


def _done(run: Run, experiment: Experiment) -> dict[str, Any]:
    """Describe what a finished run is a run of."""
    return {
        "config": f"{stable_int(run.config.to_yaml()):016x}",
        "corpus": experiment.corpora[run.corpus].model_dump(mode="json"),
        "tests": {name: test.model_dump(mode="json") for name, test in experiment.tests.items()},
    }


def _read(path: Path) -> dict[str, Any]:
    """Read a JSON object; what is not there, or is none, is empty."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def _prepare(run: Run, desk: Desk) -> None:
    prepare_units(run.config.content, desk.trials(run.corpus), desk.say)


def _try(run: Run, work: Callable[[Run, Desk], None], desk: Desk) -> None:
    try:
        work(run, desk)
    except Exception as error:  # whatever it is, it is this run's own
        _fail(
            run,
            f"{type(error).__name__}: {error}" if not isinstance(error, RingtrueError) else str(error),
            desk.say,
        )


def _fail(run: Run, reason: str, say: Say) -> None:
    reason = " ".join(reason.split())
    write_json(run.folder / _FAILED, {"error": reason})
    say(f"{run}: FAILED: {reason}")
