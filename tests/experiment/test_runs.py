"""Runs are done once, by one process each; a failure costs one run; hypotheses come first."""

import json
import threading
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

from ringtrue.data.trials import Trial
from ringtrue.errors import ConfigError, CorpusError
from ringtrue.evaluation.scores import scores_of_trials, write_scores
from ringtrue.experiment import runs as module
from ringtrue.experiment.plan import Experiment, resolve
from ringtrue.experiment.runs import (
    PROBED,
    carry_out,
    content_metrics,
    failure,
    is_done,
    register,
    run_scores,
)
from ringtrue.files import sha256_file

TRIALS = [
    Trial(f"{split}{i}", "", "spoof" if i % 2 else "bonafide", f"sys-{split}" if i % 2 else "", split=split)
    for split in ("train", "dev", "test")
    for i in range(8)
]


def experiment(**changes):
    values = {
        "name": "e",
        "corpora": {"c": {"source": "toy"}},
        "tests": {"unseen": {}, "trimmed": {"trim": True}},
        "variants": {"base": {}, "hero": {"recipe": "hero"}},
        "baseline": "base",
        "seeds": [0, 1],
    }
    return Experiment.model_validate({**values, **changes})


class Bench:
    """Stands for training and scoring, and counts what it is asked to do."""

    def __init__(self):
        self.trained, self.scored, self.breaks = Counter(), Counter(), set()
        self.pause = threading.Event()

    def train(self, config, trials, units, folder, say, measured):
        assert not measured, "scores do not need it"
        self.trained[config.name, config.seed] += 1
        self.pause.wait(0.05)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.yaml").write_text(config.to_yaml())
        if (config.name, config.seed) in self.breaks:
            raise MemoryError("no\nroom")
        return folder / "model.onnx"

    def score(self, detector, judged, out, say, trim=False):
        self.scored[out.stem, trim] += 1
        write_scores(out, scores_of_trials(judged, np.arange(len(judged), dtype=float)))


@pytest.fixture
def bench(monkeypatch):
    bench = Bench()
    detector = SimpleNamespace(
        card={"metrics": {"dev_eer": 0.2, "dev_content_accuracy": 0.1}}, sha256="f" * 64
    )
    for name, stub in {
        "load_corpus": lambda source, say: TRIALS,
        "screen": lambda trials, say: trials,
        "prepare_units": lambda config, trials, say: None,
        "train_and_export": bench.train,
        "score_split": bench.score,
    }.items():
        monkeypatch.setattr(module, name, stub)
    monkeypatch.setattr("ringtrue.inference.runtime.Detector", lambda path: detector)
    return bench


@pytest.fixture
def told():
    return []


def do(what, out, told, **more):
    runs = resolve(what, out)
    carry_out(what, runs, {}, jobs=1, say=told.append, **more)
    return runs


def test_every_run_is_done_once_and_again_where_its_settings_changed(bench, tmp_path, told):
    runs = do(experiment(), tmp_path, told)
    assert all(is_done(run, experiment()) for run in runs)
    assert set(bench.trained.values()) == {1}
    assert bench.scored == {("unseen", False): 4, ("trimmed", True): 4}
    assert len(run_scores(runs[0], "unseen")) == 8
    assert content_metrics(runs[0]) == {"dev_content_accuracy": 0.1}
    do(experiment(), tmp_path, told)
    assert set(bench.trained.values()) == {1}
    do(experiment(seeds=[0, 1, 2]), tmp_path, told)
    assert bench.trained["hero", 2] == 1
    assert bench.trained["hero", 0] == 1
    do(experiment(defaults={"training": {"epochs": 3}}), tmp_path, told)
    assert bench.trained["hero", 0] == 2


def test_a_failed_run_is_told_and_costs_only_itself(bench, tmp_path, told):
    bench.breaks.add(("base", 1))
    runs = do(experiment(), tmp_path, told)
    assert [is_done(run, experiment()) for run in runs] == [True, True, False, True]
    assert failure(runs[2]) == "MemoryError: no room"
    assert "c/base/seed-1: FAILED: MemoryError: no room" in told
    bench.breaks.clear()
    do(experiment(), tmp_path, told)
    assert is_done(runs[2], experiment())
    assert bench.trained["base", 0] == 1


def test_two_writers_share_the_work(bench, tmp_path, told):
    errors = []

    def command():
        try:
            do(experiment(), tmp_path, told)
        except BaseException as error:
            errors.append(error)

    writers = [threading.Thread(target=command) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(timeout=60)
    assert errors == []
    assert set(bench.trained.values()) == {1}
    assert all(is_done(run, experiment()) for run in resolve(experiment(), tmp_path))


def test_fresh_probes_of_this_very_model_know_better(bench, tmp_path, told):
    run = do(experiment(), tmp_path, told)[0]
    checkpoint = run.folder / "prosody_encoder_best.safetensors"
    checkpoint.write_bytes(b"weights")
    content = {"linear": {"accuracy": 0.3, "majority": 0.1}, "mlp": {"accuracy": 0.5, "majority": 0.1}}
    report = {"leakage": {"model": {"content": content}}, "sha256": sha256_file(checkpoint)}
    (run.folder / "probe.json").write_text(json.dumps(report))
    assert content_metrics(run)[PROBED] == pytest.approx(0.4)
    checkpoint.write_bytes(b"other weights")
    assert PROBED not in content_metrics(run)
    (run.folder / "probe.json").write_text("nonsense")
    assert PROBED not in content_metrics(run)


def test_a_corpus_that_leaks_or_lacks_a_label_stops_everything(bench, tmp_path, told, monkeypatch):
    leaky = [*TRIALS, Trial("x", "", "spoof", "sys-train", split="test")]
    monkeypatch.setattr(module, "load_corpus", lambda source, say: leaky)
    with pytest.raises(
        CorpusError, match=r"c leaks, so figures on unseen would be untrue: test and train share"
    ):
        do(experiment(), tmp_path, told)
    monkeypatch.setattr(module, "load_corpus", lambda source, say: [t for t in TRIALS if t.is_bonafide])
    with pytest.raises(CorpusError, match="has no trials of both labels"):
        do(experiment(), tmp_path, told)
    assert not bench.trained


def test_hypotheses_are_written_first_and_may_not_change(bench, tmp_path, told):
    def claim(margin):
        return experiment(
            hypotheses={"H": {"text": "better", "contrast": ["hero", "base"], "margin": margin}}
        )

    first = register(claim(0.0), tmp_path, resolve(claim(0.0), tmp_path))
    second = register(
        claim(0.1), tmp_path, resolve(claim(0.1), tmp_path)
    )  # nothing has run: minds may change
    assert first != second
    runs = do(claim(0.1), tmp_path, told)
    assert register(claim(0.1), tmp_path, runs) == second
    with pytest.raises(ConfigError, match=r"says otherwise and 4 runs were begun \(c/base/seed-0\)"):
        register(claim(0.0), tmp_path, runs)
    (tmp_path / "hypotheses.json").unlink()
    with pytest.raises(ConfigError, match="is missing and 4 runs were begun"):
        register(claim(0.1), tmp_path, runs)


def test_the_bona_fide_of_test_serve_seen_systems_too(monkeypatch, bench):
    seen = [Trial("s", "", "spoof", "sys-train", split="test_seen")]
    monkeypatch.setattr(module, "load_corpus", lambda source, say: [*TRIALS, *seen])
    desk = module.Desk(experiment(tests={"seen": {"split": "test_seen"}}), {}, print)
    assert sorted(trial.id for trial in desk.judged("c", "seen")) == ["s", "test0", "test2", "test4", "test6"]
