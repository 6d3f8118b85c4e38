import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file

from ringtrue.data.batches import TrainingBatches, pieces_of
from ringtrue.errors import CheckpointError, ConfigError, CorpusError
from ringtrue.models import checkpoint
from ringtrue.training import step as step_room
from ringtrue.training import train as room
from ringtrue.training.optimise import schedule
from ringtrue.training.parallel import Team
from ringtrue.training.step import Lesson
from ringtrue.training.train import BEST, TrainingError, train
from ringtrue.training.validation import development


def weights(run):
    """Copied: what is loaded may lie in the file still, and change with it."""
    held = load_file(run / "last.safetensors") | {f"best/{k}": v for k, v in load_file(run / BEST).items()}
    return {name: tensor.clone() for name, tensor in held.items()}


def assert_same(left, right):
    assert left.keys() == right.keys()
    assert [name for name in left if not torch.equal(left[name], right[name])] == []


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Killed(BaseException):
    """What a test raises where a kill would fall."""


def test_a_run_learns_and_keeps_its_best(trials, loader, units, config, tmp_path):
    lines = []
    best = train(config(epochs=4), trials, loader, units, tmp_path, progress=lines.append)
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in log] == [4, 8, 12, 16]
    model, card = checkpoint.load(best)
    assert card.metrics["dev_eer"] == min(row["dev_eer"] for row in log) < 0.3
    assert not model.training
    assert len([line for line in lines if "dev EER" in line]) == 4
    assert list((tmp_path / "events").iterdir())


@pytest.mark.parametrize("killed_in_epoch", [0, 1, 2])
def test_killed_and_resumed_is_uninterrupted_bit_for_bit(
    trials, loader, units, config, tmp_path, killed_in_epoch
):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train(config(epochs=3), trials, loader, units, whole)
    calls = 0
    deadline = [5, 140, 230][killed_in_epoch]

    def deadly(trial):
        nonlocal calls
        calls += 1
        if calls == deadline:
            raise Killed
        return loader(trial)

    with pytest.raises(Killed):
        train(config(epochs=3), trials, deadly, units, broken)
    train(config(epochs=3), trials, loader, units, broken)
    assert_same(weights(whole), weights(broken))
    assert (whole / "log.jsonl").read_text() == (broken / "log.jsonl").read_text()


def test_a_kill_inside_an_epoch_costs_only_what_came_after_the_checkpoint(
    trials, loader, units, config, tmp_path, monkeypatch
):
    """With everything on that keeps state of its own: readers, queue, steered lambda, averaged weights."""
    settings = {
        "epochs": 2, "steps_per_epoch": 6, "checkpoint_steps": 4, "average": 0.9, "validation_clips": 8,
        "adversary": {"leakage_target": 0.5, "level": "both", "refresh": 0.2},
        "decorrelation": {"frame": 1.0, "utterance": 1.0},
    }  # fmt: skip
    monkeypatch.setattr(room, "_STEER_STEPS", 3)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train(config(**settings), trials, loader, units, whole)
    honest, taken = Lesson.learn, []

    def deadly(self, batch, step, steps):
        if len(taken) == 5:
            raise Killed
        taken.append(step)
        return honest(self, batch, step, steps)

    monkeypatch.setattr(Lesson, "learn", deadly)
    with pytest.raises(Killed):
        train(config(**settings), trials, loader, units, broken)
    assert not (broken / "log.jsonl").exists()
    taken = [-1] * 100
    train(config(**settings), trials, loader, units, broken)
    assert taken[100] == 4  # not from the start of the epoch
    assert_same(weights(whole), weights(broken))
    for name in ("log.jsonl", "steps.jsonl"):
        assert (whole / name).read_text() == (broken / name).read_text()


def test_two_processes_take_the_steps_of_one_though_one_is_killed(trials, loader, units, config, tmp_path):
    """Started by torchrun, over gloo, and started again from the last checkpoint when the second is killed in step 3.

    The same weights within rounding, written once.
    """
    settings = {
        "epochs": 1, "checkpoint_steps": 2, "validation_clips": 8, "prosody_task": 0.0,
        "model": {"dropout": 0.0, "prosody": True}, "adversary": {"level": "both"},
        "decorrelation": {"frame": 1.0, "utterance": 1.0},
    }  # fmt: skip
    one = config(**settings)
    train(one, trials, loader, units, tmp_path / "one")
    (tmp_path / "two.yaml").write_text(one.to_yaml())
    script = Path(__file__).with_name("two_processes.py")
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--rdzv-backend", "c10d",
         "--rdzv-endpoint", f"127.0.0.1:{free_port()}", "--max-restarts", "1", script, tmp_path],
        capture_output=True, text=True, timeout=900, env={**os.environ, "GLOO_SOCKET_IFNAME": "lo"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    # Not weight by weight: Adam blows the rounding up where a gradient is zero but for it, as at a softmax's bias.
    wave = torch.from_numpy(loader(trials[1]))[None]
    heard = [checkpoint.load(tmp_path / name / BEST)[0].judge(wave) for name in ("one", "two")]
    for ours, theirs in zip(*heard, strict=True):
        assert torch.allclose(ours, theirs, atol=2e-3)
    logs = [json.loads((tmp_path / name / "log.jsonl").read_text()) for name in ("one", "two")]
    assert logs[0]["loss"] == pytest.approx(logs[1]["loss"], rel=1e-4)
    assert done.stdout.count("going on at step 2") == 1
    assert done.stdout.count("epoch 1/1") == 1


def test_a_batch_that_cannot_be_shared_out_is_refused(trials, loader):
    with pytest.raises(CorpusError, match="multiple of 6"):
        TrainingBatches(trials, pieces_of(loader), 8, 0.5, 0, ranks=3)


@pytest.mark.parametrize("before", [True, False])
def test_a_kill_around_the_save_loses_and_doubles_nothing(
    trials, loader, units, config, tmp_path, monkeypatch, before
):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train(config(epochs=3), trials, loader, units, whole)
    honest, saves = room.state.save, 0

    def deadly(*arguments):
        nonlocal saves
        saves += 1
        if saves == 2 and before:
            raise Killed
        honest(*arguments)
        if saves == 2:
            raise Killed

    monkeypatch.setattr(room.state, "save", deadly)
    with pytest.raises(Killed):
        train(config(epochs=3), trials, loader, units, broken)
    monkeypatch.undo()
    train(config(epochs=3), trials, loader, units, broken)
    assert_same(weights(whole), weights(broken))
    assert (whole / "log.jsonl").read_text() == (broken / "log.jsonl").read_text()


def test_a_finished_run_is_left_alone(trials, loader, units, config, tmp_path):
    train(config(), trials, loader, units, tmp_path)
    before = weights(tmp_path)

    def forbidden(trial):
        raise AssertionError("a finished run read audio again")

    train(config(), trials, forbidden, units, tmp_path)
    assert_same(before, weights(tmp_path))


def test_loader_workers_change_nothing(trials, loader, units, config, tmp_path):
    runs = [tmp_path / "none", tmp_path / "two"]
    for run, workers in zip(runs, (0, 2), strict=True):
        train(config(workers=workers), trials, loader, units, run)
    assert_same(*(weights(run) for run in runs))


def test_another_seed_is_another_run(trials, loader, units, config, tmp_path):
    for seed in (0, 1):
        train(config(epochs=1).model_copy(update={"seed": seed}), trials, loader, units, tmp_path / str(seed))
    left, right = weights(tmp_path / "0"), weights(tmp_path / "1")
    assert not torch.equal(left["lesson/model.head.weight"], right["lesson/model.head.weight"])


def test_the_adversary_changes_the_encoder_only_through_lambda(trials, loader, units, config, tmp_path):
    """Lambda 0 leaves the encoder as if there were no adversary; lambda above 0 does not."""
    for name, strength in (("baseline", 0.0), ("hero", 1.0)):
        train(config(strength=strength), trials, loader, units, tmp_path / name)
    scrambled = replace(
        units, by_trial={name: (value + 3) % units.count for name, value in units.by_trial.items()}
    )
    train(config(strength=0.0), trials, loader, scrambled, tmp_path / "other units")
    encoders = [
        {k: v for k, v in weights(tmp_path / run).items() if k.startswith("lesson/model.")}
        for run in ("baseline", "hero", "other units")
    ]
    assert_same(encoders[0], encoders[2])
    assert any(not torch.equal(encoders[0][key], encoders[1][key]) for key in encoders[0])


def test_calibration_comes_from_dev_and_is_in_the_checkpoint(trials, loader, units, config, tmp_path):
    _, card = checkpoint.load(train(config(epochs=4), trials, loader, units, tmp_path))
    assert card.calibration["map"]["bonafide_trials"] == 24
    assert card.calibration["map"]["slope"] > 0
    assert card.calibration["band"]["lower"] <= card.calibration["band"]["upper"]


def test_a_folder_of_another_run_is_refused(trials, loader, units, config, tmp_path):
    train(config(epochs=1), trials, loader, units, tmp_path)
    with pytest.raises(ConfigError, match="holds a run with another configuration"):
        train(config(epochs=2), trials, loader, units, tmp_path)


def test_a_run_does_not_go_on_with_other_units(trials, loader, units, config, tmp_path):
    train(config(epochs=1), trials, loader, units, tmp_path)
    with pytest.raises(ConfigError, match="began with other recordings or content units"):
        train(config(epochs=1), trials, loader, replace(units, key="other"), tmp_path)


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[-20] ^= 0x10
    path.write_bytes(content)


def test_of_a_damaged_state_the_one_before_is_used(trials, loader, units, config, tmp_path):
    train(config(), trials, loader, units, tmp_path)
    before = weights(tmp_path)
    lines = []
    last, older = tmp_path / "last.safetensors", tmp_path / "last.before.safetensors"
    for damage, said in (
        (flip_a_bit, "its content has another hash"),
        (lambda path: path.write_bytes(path.read_bytes()[:1000]), "not a whole safetensors file"),
        (lambda path: path.unlink(), "there is no file"),  # killed between two renames
    ):
        damage(last)
        lines.clear()
        train(config(), trials, loader, units, tmp_path, progress=lines.append)
        assert said in lines[0]
        assert "going on from the state before it" in lines[0]
        assert lines[1] == "toy: going on at step 4"
        assert_same(before, weights(tmp_path))
    flip_a_bit(last)
    flip_a_bit(older)
    with pytest.raises(CheckpointError, match="no other state is whole; remove it to train from the start"):
        train(config(), trials, loader, units, tmp_path)


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        (lambda t: t.split != "train" or t.is_bonafide, "0 spoof training trials"),
        (lambda t: t.split != "train" or not t.is_bonafide, "0 bona fide and"),
        (lambda t: t.split != "dev" or t.is_bonafide, "no spoof trials"),
        (lambda t: t.split != "dev" or not t.is_bonafide, "no bona fide trials"),
    ],
)
def test_a_missing_class_stops_before_the_first_step(trials, loader, units, config, tmp_path, keep, message):
    with pytest.raises(CorpusError, match=message):
        train(config(), [trial for trial in trials if keep(trial)], loader, units, tmp_path)


def test_a_model_is_not_chosen_on_systems_that_it_was_trained_on(trials, loader, units, config, tmp_path):
    known = [replace(t, system="noise1") if t.system.startswith("dev") else t for t in trials]
    with pytest.raises(CorpusError, match="training knows every system of the dev split"):
        train(config(), known, loader, units, tmp_path)
    some = [replace(t, system="noise1") if t.system == "dev1" else t for t in trials]
    chosen = development(some, None)
    assert {t.system for t in chosen} == {"", "dev0", "dev2"}


def test_a_loss_that_is_no_number_skips_steps_and_then_stops(
    trials, loader, units, config, tmp_path, monkeypatch
):
    train(config(epochs=1), trials, loader, units, tmp_path / "good")
    honest, steps = step_room.detection_loss, 0

    def poisoned(*arguments, bad, **options):
        nonlocal steps
        steps += 1
        loss = honest(*arguments, **options)
        return loss * float("nan") if steps in bad else loss

    monkeypatch.setattr(step_room, "detection_loss", lambda *a, **o: poisoned(*a, bad={2, 3}, **o))
    train(config(epochs=1), trials, loader, units, tmp_path / "skipped")
    row = json.loads((tmp_path / "skipped" / "log.jsonl").read_text())
    assert row["skipped_steps"] == 2
    assert all(bool(torch.isfinite(value).all()) for value in weights(tmp_path / "skipped").values())

    steps = 0
    monkeypatch.setattr(step_room, "detection_loss", lambda *a, **o: poisoned(*a, bad={6, 7, 8}, **o))
    with pytest.raises(TrainingError, match="checkpoint of step 4 is kept"):
        train(config(epochs=2), trials, loader, units, tmp_path / "stopped")
    assert (tmp_path / "stopped" / "last.safetensors").exists()


def test_the_schedule_warms_up_and_falls():
    factors = np.array([schedule(step, 200, 0.1) for step in range(200)])
    assert (np.diff(factors[:20]) > 0).all()
    assert (np.diff(factors[20:]) < 0).all()
    assert factors.max() == 1.0
    assert factors[-1] < 0.02


@pytest.fixture(scope="module")
def written(trials, loader, tmp_path_factory):
    """The same corpus with its training recordings on disk."""
    folder = tmp_path_factory.mktemp("written")
    written = [replace(trial, audio=str(folder / f"{trial.id}.wav")) for trial in trials]
    for trial in written:
        if trial.split == "train":
            soundfile.write(trial.audio, loader(trial), 16_000, subtype="FLOAT")
    return written


def test_processes_that_stream_share_every_pass(written, loader, units, config):
    """What training is given in each of two processes: no clip twice in a pass, and none left out."""
    settings = config(streaming=True)
    heard = [trial for trial in written if trial.split == "train"]
    names = []
    for rank in range(2):
        batches = room._batches(settings, heard, loader, units, None, Team(rank, 2))
        names += [name for batch in batches.between(0, 3) for name in batch.ids]
    assert sorted(names) == sorted(trial.id for trial in heard)


def test_a_streamed_run_goes_on_with_as_many_processes(written, loader, units, config, tmp_path, monkeypatch):
    settings = config(epochs=1, streaming=True, validation_clips=8)
    honest = room._counters
    monkeypatch.setattr(room, "_counters", lambda *given: {**honest(*given), "processes": 2})
    train(settings, written, loader, units, tmp_path)
    with pytest.raises(ConfigError, match="began with 2 processes, not 1: a pass is shared out among them"):
        train(settings, written, loader, units, tmp_path)


def test_a_run_streams_files_as_they_lie_and_resumes_inside_a_pass(
    written, loader, units, config, tmp_path, monkeypatch
):
    settings = {
        "epochs": 1,
        "steps_per_epoch": 6,
        "checkpoint_steps": 2,
        "streaming": True,
        "validation_clips": 8,
    }
    train(config(**settings), written, loader, units, tmp_path / "whole")
    honest, taken = Lesson.learn, []

    def deadly(self, batch, step, steps):
        if len(taken) == 3:
            raise Killed
        taken.append(batch.ids)
        return honest(self, batch, step, steps)

    monkeypatch.setattr(Lesson, "learn", deadly)
    with pytest.raises(Killed):
        train(config(**settings), written, loader, units, tmp_path / "broken")
    heard = [name for ids in taken for name in ids]
    assert len(set(heard)) == len(heard) == 24  # three batches of eight are the whole corpus, each clip once
    taken = [()] * 100
    train(config(**settings), written, loader, units, tmp_path / "broken")
    assert_same(weights(tmp_path / "whole"), weights(tmp_path / "broken"))


def test_streaming_and_what_it_cannot_do_are_not_asked_for_together(config):
    with pytest.raises(ConfigError, match="training.streaming hears clips as they lie"):
        config(streaming=True, pairs=0.5)
