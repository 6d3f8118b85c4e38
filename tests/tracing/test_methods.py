"""Methods behind one interface, tasks, and the table that `ringtrue trace evaluate` prints."""

import dataclasses
import json
import re

import numpy as np
import pytest
import torch

from ringtrue.cli import main
from ringtrue.data import audit
from ringtrue.data.trials import Trial, write_manifest
from ringtrue.errors import AudioError, CorpusError
from ringtrue.models.frontend import FrontEndChoice
from ringtrue.models.frontends import LOG_MEL
from ringtrue.tracing.attributes import attribute_named, classes_of, labelled, value_of
from ringtrue.tracing.clips import Clips, thinned
from ringtrue.tracing.compare import judge, make_task
from ringtrue.tracing.learning import balanced_order, fit_temperature, train_mio
from ringtrue.tracing.methods import content_blind, end_to_end, nearest_neighbours, two_stage
from ringtrue.tracing.openset import SCORES
from ringtrue.tracing.report import figures

CHOICES = (FrontEndChoice(LOG_MEL, layer=0, pool=2), FrontEndChoice(LOG_MEL, layer=0, pool=8))


@pytest.fixture
def told():
    return []


@pytest.fixture
def clips(sounds, miniature, told):
    return Clips(miniature.trials(), CHOICES, lambda trial: sounds[trial.id], told.append)


@pytest.fixture
def task(clips, told):
    values = [trial.system for trial in clips.trials]
    return make_task(clips, values, "system", [trial.speaker for trial in clips.trials], told.append)


def test_a_task_keeps_the_sides_apart(task, told):
    assert task.classes == (
        "suno/bark",
        "tts_models/en/ljspeech/glow-tts",
        "tts_models/en/ljspeech/tacotron2-DDC",
    )
    sides = [set(side.tolist()) for side in (task.train, task.dev_known, task.dev_unknown, task.test)]
    assert [len(side) for side in sides] == [18, 9, 6, 15]
    assert sum(len(side) for side in sides) == len(set.union(*sides))
    assert any("NOT IN TRAIN: 6 test clips are of 1 classes of system" in line for line in told)


def test_where_dev_has_no_known_class_training_texts_are_held_out(clips, told):
    sides = ["test" if t.split.startswith("test") else "train" for t in clips.trials]
    trials = [dataclasses.replace(t, source_utterance=f"text {n}") for n, t in enumerate(clips.trials)]
    clips.trials = trials
    task = make_task(clips, [t.system for t in trials], "system", sides, told.append, sides)
    assert 0 < len(task.dev_known) < 15
    assert not set(task.dev_known) & set(task.train)


def methods(clips):
    train = np.array([n for n, trial in enumerate(clips.trials) if trial.split == "train"])
    binary = np.array([clips.trials[n].system == "suno/bark" for n in train]).astype(np.int64)
    stage_1 = train_mio(clips, train, binary, 2, epochs=4)
    surface = np.random.default_rng(0).standard_normal((len(clips), len(audit.FEATURE_NAMES)))
    return [
        two_stage({0: stage_1}, clips),
        end_to_end(clips, "gated", 6),
        end_to_end(clips.with_front_ends([1]), "concat", 6, "one alone"),
        nearest_neighbours(clips),
        content_blind(surface),
    ]


def test_every_method_is_judged_alike(task, clips):
    accuracies = {}
    for method in methods(clips):
        judged = judge(task, method, 0)
        found = figures(judged.outcome)
        assert set(judged.by_score) == set(SCORES)
        assert judged.score in SCORES
        assert {"accuracy", "f1", "auroc", "fpr95", "oscr", "unknown_rejected"} <= set(found)
        again = judge(task, method, 0)
        assert np.array_equal(again.outcome.familiarity, judged.outcome.familiarity)
        accuracies[method.name] = found["accuracy"]
    assert accuracies["end-to-end"] == accuracies["kNN"] == 1.0  # these systems sound different
    assert accuracies["two-stage"] >= 0.6
    assert accuracies["control: no speech heard"] < 0.9  # it was given noise


def test_neighbours_by_hand():
    class Stub:
        choices = (None,)
        angles = torch.tensor([0.0, 0.1, 0.2, 0.3, 1.2, 1.3, 1.4, 1.5, 0.4])
        features = torch.stack([torch.cos(angles), torch.sin(angles)], 1)

        def __len__(self):
            return 9

        def batch(self, places):
            return [self.features[places][:, None, None]]

    listen = nearest_neighbours(Stub()).fit(np.arange(8), np.array([0] * 4 + [1] * 4), 2, 0)
    assert listen(np.array([8])).logits.argmax() == 0
    own = listen(np.arange(8)).logits  # of itself and its kind three are left, and two others
    assert own.argmax(1).tolist() == [0] * 4 + [1] * 4
    assert np.exp(own[0, 0]) == pytest.approx(3 / 5, abs=0.05)


def test_unreadable_recordings_are_left_out_and_said(sounds, miniature, told):
    trials = miniature.trials()

    def load(trial):
        if trial.id.endswith("bark/0"):
            raise AudioError("bark/0 is no audio")
        return sounds[trial.id]

    clips = Clips(trials, CHOICES[:1], load, told.append)
    assert len(clips) == len(trials) - 1
    assert any("left out: bark/0 is no audio" in line for line in told)

    def nothing(trial):
        raise AudioError("silence")

    with pytest.raises(CorpusError, match="more than 5%"):
        Clips(trials, CHOICES[:1], nothing, told.append)


def test_features_that_vanish_are_computed_again(clips, tmp_path):
    before = clips.batch([3])
    for path in (tmp_path / "cache/features").rglob("*.safetensors"):
        path.unlink()
    clips._caches = [type(cache)({"other": n}, tmp_path / "new") for n, cache in enumerate(clips._caches)]
    assert all(torch.equal(one, other) for one, other in zip(before, clips.batch([3]), strict=True))


@pytest.mark.parametrize(
    "damage", [lambda blob: blob[:-50], lambda blob: b"", lambda blob: b"\xff" * len(blob)]
)
def test_a_corrupted_shard_costs_its_own_clips_and_no_other(
    sounds, miniature, told, tmp_path, monkeypatch, damage
):
    monkeypatch.setattr("ringtrue.tracing.clips._GROUP", 12)  # four shards of twelve clips
    trials = miniature.trials()
    before = Clips(trials, CHOICES[:1], lambda trial: sounds[trial.id], told.append).batch(range(48))
    shards = sorted((tmp_path / "cache/features").rglob("*.safetensors"))
    assert len(shards) == 4
    shards[0].write_bytes(damage(shards[0].read_bytes()))
    heard = []
    original = FrontEndChoice.features
    monkeypatch.setattr(
        FrontEndChoice, "features", lambda *given: heard.append(len(given[2])) or original(*given)
    )
    after = Clips(trials, CHOICES[:1], lambda trial: sounds[trial.id], told.append).batch(range(48))
    assert sum(heard) == 12
    assert torch.equal(before[0], after[0])
    assert sum(f"the shard {shards[0].name} is damaged" in line for line in told) == 1


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ("no_weights", "no file named model.safetensors found in directory.*accepted: a hub name"),
        ("someone/secret", "'someone/secret' is gated: accept its terms on its hub page, then set HF_TOKEN"),
    ],
)
def test_a_front_end_that_cannot_be_had_costs_nothing_that_was_extracted(
    seed_world, capsys, monkeypatch, second, message
):
    """A folder without weights; a model whose terms were not accepted."""
    import transformers

    root, _ = seed_world
    (root / "no_weights").mkdir()
    (root / "no_weights/config.json").write_text('{"model_type": "wav2vec2"}')
    assert main(["trace", "train"]) == 0
    features = {path: path.read_bytes() for path in (root / "cache/features").rglob("*.safetensors")}
    assert features
    if "/" in second:

        def refuse(*_, **__):
            raise OSError(
                "You are trying to access a gated repo.\nMake sure to have access to it at its page."
            )

        monkeypatch.setattr(transformers.AutoModel, "from_pretrained", refuse)
    settings = (
        f"front_ends: [{{name: log-mel, layer: 0}}, {{name: {second}}}]\ncheckpoint: other.safetensors\n"
    )
    (root / "two_stage.yaml").write_text(settings)
    capsys.readouterr()
    assert main(["trace", "train"]) == 2
    assert re.search(message, capsys.readouterr().err)
    assert features == {path: path.read_bytes() for path in features}
    assert not (root / "other.safetensors").exists()


def test_what_cannot_be_learned_is_said(told):
    trials = [Trial(str(n), "", "spoof", system=s) for n, s in enumerate(["A01", "A01", "A03", "made-up"])]
    kept, values = labelled(trials, "vocoder", told.append)
    assert values == ["wavenet", "wavenet", "world"]
    assert told[0].startswith("UNKNOWN LABEL: 1 clips of 1 systems (made-up)")
    with pytest.raises(CorpusError, match="1 classes of vocoder with 2 training clips"):
        classes_of(values, "vocoder", told.append)
    assert "ONE-CLIP CLASS: vocoder world" in told[1]
    assert len(kept) == 3
    with pytest.raises(CorpusError, match="none is machine speech with a known vocoder"):
        labelled([Trial("x", "", "bonafide")], "vocoder", told.append)
    assert attribute_named("input") == "input_type"
    assert value_of(trials[0], "input_type") == "text"
    assert value_of(Trial("x", "", "spoof", system="mine", vocoder="v"), "vocoder") == "v"


def test_thinning_is_stable_and_by_group():
    trials = [
        Trial(f"{s}{n}", "", "spoof", system=s, split=p)
        for s in "ab"
        for p in ("train", "dev")
        for n in range(9)
    ]
    taken = thinned(trials, 4)
    assert len(taken) == 16
    assert taken == thinned(trials[::-1], 4)[::-1] or {t.id for t in taken} == {
        t.id for t in thinned(trials[::-1], 4)
    }
    assert thinned(trials, 0) == trials


def test_classes_are_drawn_evenly():
    labels = np.array([0] * 90 + [1] * 10)
    drawn = labels[balanced_order(labels, np.random.default_rng(0))]
    assert np.bincount(drawn).tolist() == [50, 50]


def test_temperature_recovers_overconfidence():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(5_000, 3))
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (chances.cumsum(1) > rng.random((5_000, 1))).argmax(1)
    assert fit_temperature(4 * logits, labels) == pytest.approx(4, rel=0.1)
    assert fit_temperature(logits[:0], labels[:0]) == 1.0


def test_the_command_line_trains_and_evaluates(tmp_path, monkeypatch, capsys, encode, sounds, miniature):
    monkeypatch.chdir(tmp_path)
    trials = []
    for trial in miniature.trials():
        name = trial.id.replace("/", "_") + ".flac"
        (tmp_path / name).write_bytes(encode("flac", sounds[trial.id]))
        trials.append(dataclasses.replace(trial, audio=name))
    bonafide = [
        Trial(f"b{n}", trials[n].audio, "bonafide", speaker="p", split="train", source_utterance=f"b{n}")
        for n in range(8)
    ]
    write_manifest(tmp_path / "manifest.tsv", [*trials, *bonafide])
    (tmp_path / "two_stage.yaml").write_text(
        "countermeasure_corpus: manifest.tsv\ntracing_corpus: manifest.tsv\nepochs: 2\n"
        "front_ends: [{name: log-mel, layer: 0, pool: 4}, {name: log-mel, layer: 0, pool: 8}]\n"
    )
    assert main(["trace", "train"]) == 0
    assert main(["trace", "evaluate", "--attribute", "vocoder", "--csv", "table.csv"]) == 0
    printed = capsys.readouterr().out
    for name in (
        "MiO two-stage, outer",
        "MiO end-to-end, outer",
        "log-mel (1) alone",
        "log-mel (2) alone",
        "kNN, all",
        "control: no speech",
    ):
        assert name in printed
    header, *rows = (tmp_path / "table.csv").read_text().splitlines()
    assert {"method", "accuracy", "f1_low", "auroc", "fpr95_high", "score_chosen_on_dev"} <= set(
        header.split(",")
    )
    assert len(rows) >= 6
    assert main(["trace", "evaluate", "--attribute", "colour"]) == 2
    assert "no attribute 'colour'" in capsys.readouterr().err
    json.dumps(rows)
