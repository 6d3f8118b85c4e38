import numpy as np
import pytest
import torch

from ringtrue.errors import ConfigError, CorpusError
from ringtrue.models.frontends import load_frontend
from ringtrue.training.content import BLOCK, ContentUnits, hear, make_units
from ringtrue.windows import content_frames


def test_units_are_cached_and_survive_a_kill(trials, loader, tmp_path, monkeypatch):
    from ringtrue.training import content

    monkeypatch.setattr(content, "_SHARD", 10)
    heard = [trial for trial in trials if trial.split in ("train", "dev")]
    teacher = load_frontend("log-mel")

    def make(folder, load):
        return make_units(heard, load, teacher, folder, layer=0, count=8, fit_clips=5, seed=0)

    whole = make(tmp_path / "whole", loader)
    calls = 0

    def deadly(trial):
        nonlocal calls
        calls += 1
        if calls == 40:
            raise KeyboardInterrupt
        return loader(trial)

    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "broken", deadly)
    calls = -10_000
    resumed = make(tmp_path / "broken", deadly)
    assert calls < -10_000 + len(heard)  # what was there was not made again
    assert all(np.array_equal(whole.by_trial[t.id], resumed.by_trial[t.id]) for t in heard)

    def forbidden(trial):
        raise AssertionError("the cache was not used")

    cached = make(tmp_path / "whole", forbidden)
    assert all(np.array_equal(whole.by_trial[t.id], cached.by_trial[t.id]) for t in heard)


def test_damaged_shards_and_centroids_are_made_again(trials, loader, tmp_path):
    heard = [trial for trial in trials if trial.split == "train"]
    teacher, lines = load_frontend("log-mel"), []

    def make():
        return make_units(
            heard, loader, teacher, tmp_path, layer=0, count=8, fit_clips=5, seed=0, progress=lines.append
        )

    whole = make()
    for pattern in ("units-*", "centroids*"):
        for path in tmp_path.rglob(pattern):
            path.write_bytes(path.read_bytes()[:20])
        again = make()
        assert any("damaged and is made again" in line for line in lines)
        assert all(np.array_equal(whole.by_trial[t.id], again.by_trial[t.id]) for t in heard)
        lines.clear()


def test_a_long_recording_is_read_in_pieces(monkeypatch):
    from ringtrue.training import content

    teacher = load_frontend("log-mel")
    wave = (0.1 * np.random.default_rng(0).standard_normal(70_123)).astype(np.float32)
    whole = hear(teacher, 0, wave)
    lengths = []
    monkeypatch.setattr(content, "_PIECE", 60)
    honest = teacher.forward
    monkeypatch.setattr(
        teacher, "forward", lambda w, layer: (lengths.append(w.shape[1]), honest(w, layer))[1]
    )
    pieces = hear(teacher, 0, wave)
    assert len(lengths) == 4
    assert pieces.shape == whole.shape
    assert (pieces - whole).abs().median() < 1e-5  # only frames at the joints lack a neighbour of context


def test_a_layer_that_is_not_there_is_refused(trials, loader, tmp_path):
    with pytest.raises(ConfigError, match=r"content\.layer = 3: log-mel has layers 0 to 0"):
        make_units(trials, loader, load_frontend("log-mel"), tmp_path, layer=3, count=8, fit_clips=5, seed=0)


def test_units_have_the_frames_of_the_evidence_and_use_their_range(trials, loader, units):
    heard = [trial for trial in trials if trial.split in ("train", "dev")]
    for trial in heard:
        assert len(units.by_trial[trial.id]) == content_frames(len(loader(trial)))
    used = np.unique(np.concatenate([units.by_trial[trial.id] for trial in heard]))
    assert used.min() >= 0
    assert used.max() < units.count
    assert len(used) > units.count // 2


def test_units_do_not_depend_on_machine_speech(trials, loader, tmp_path):
    """Clusters come from bona fide training clips only: other spoof clips move no unit of a person's."""
    heard = [trial for trial in trials if trial.split == "train"]

    def make(folder, load):
        return make_units(
            heard, load, load_frontend("log-mel"), folder, layer=0, count=8, fit_clips=20, seed=0
        )

    def louder(trial):
        return loader(trial) if trial.is_bonafide else np.ones(16_000, np.float32)

    first, second = make(tmp_path / "a", loader), make(tmp_path / "b", louder)
    assert all(np.array_equal(first.by_trial[t.id], second.by_trial[t.id]) for t in heard if t.is_bonafide)


def test_too_little_speech_for_the_units_is_said(trials, loader, tmp_path):
    spoof = [trial for trial in trials if not trial.is_bonafide and trial.split == "train"]
    with pytest.raises(CorpusError, match="0 frames of bona fide training speech"):
        make_units(spoof, loader, load_frontend("log-mel"), tmp_path, layer=0, count=8, fit_clips=20, seed=0)


def test_mean_vectors_are_of_the_crop_and_cached(trials, loader, tmp_path):
    heard = [trial for trial in trials if trial.split == "train"]
    teacher = load_frontend("log-mel")

    def make(load):
        return make_units(
            heard, load, teacher, tmp_path, layer=0, count=8, fit_clips=5, seed=0, pooled_layer=0
        )

    units = make(loader)
    trial = max(heard, key=lambda trial: len(loader(trial)))
    truth = teacher(torch.from_numpy(loader(trial))[None], 0)[0]
    assert units.pooled_dim == truth.shape[1]
    found = units.pooled_over(trial.id, BLOCK, 2 * BLOCK)
    assert np.allclose(found, truth[BLOCK : 3 * BLOCK].mean(0).numpy(), atol=0.01)  # kept in half precision

    def forbidden(trial):
        raise AssertionError("the cache was not used")

    again = make(forbidden)
    assert all(np.array_equal(units.pooled[t.id], again.pooled[t.id]) for t in heard)


def test_the_placebo_keeps_units_and_lengths_and_gives_nobody_their_own():
    rng = np.random.default_rng(0)
    said = {f"clip{i}": rng.integers(0, 50, 40 + i).astype(np.int16) for i in range(30)} | {
        "mute": np.empty(0, np.int16)
    }
    units = ContentUnits(50, said, "key", {})
    placebo = units.shuffled(seed=1)
    assert {name: len(value) for name, value in placebo.by_trial.items()} == {
        n: len(v) for n, v in said.items()
    }
    agree = [np.mean(placebo.by_trial[n] == v) for n, v in said.items() if len(v)]
    assert np.mean(agree) < 0.05  # 1 in 50 is chance
    givers = [
        next(n for n, v in said.items() if np.array_equal(v[:30], p[:30]))
        for p in placebo.by_trial.values()
        if len(p)
    ]
    assert len(set(givers)) == 30
    assert placebo.key != units.key
    assert np.array_equal(placebo.by_trial["clip3"], units.shuffled(seed=1).by_trial["clip3"])
