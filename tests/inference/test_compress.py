"""Smaller copies of a model, and what recordings say of it."""

import json

import numpy as np
import onnx
import pytest
import torch

from ringtrue import cli, packing
from ringtrue.data.trials import Trial, write_manifest
from ringtrue.errors import AudioError, CheckpointError
from ringtrue.inference import compress, export
from ringtrue.inference.compress import write_half, write_int8
from ringtrue.inference.fold import folded
from ringtrue.inference.runtime import Detector
from ringtrue.models import checkpoint
from ringtrue.models.registry import create


@pytest.fixture(scope="module")
def windows(speechlike):
    return np.stack([speechlike(4.0, seed=seed) for seed in range(16)])


@pytest.mark.parametrize("trunk", ["tcn", "resnet"])
def test_a_folded_model_is_the_same_function(trunk, windows):
    torch.manual_seed(0)
    model = create("prosody_encoder", trunk=trunk, size="XS").eval()
    for name, parameter in model.named_parameters():  # biases and norms that do something
        if parameter.dim() == 1:
            parameter.data += 0.3 * torch.randn_like(parameter)
        assert torch.isfinite(parameter).all(), name
    before = {name: value.clone() for name, value in model.state_dict().items()}
    wave = torch.from_numpy(windows[:3])
    with torch.inference_mode():
        assert torch.allclose(folded(model)(wave), model(wave), atol=1e-4)
        assert torch.allclose(folded(model).frame_logits(wave), model.frame_logits(wave), atol=1e-4)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_int8_and_half_are_near_and_small_and_say_what_they_are(tiny_onnx, tmp_path, windows):
    full = Detector(tiny_onnx)
    for write, more, precision, nearest in (
        (write_int8, [windows], "int8", 0.2),
        (write_half, [], "fp16", 0.01),
    ):
        path = write(tiny_onnx, tmp_path / f"{precision}.onnx", *more)
        smaller = Detector(path)
        assert smaller.card == {**full.card, "precision": precision}
        assert path.stat().st_size < tiny_onnx.stat().st_size
        error = np.abs(smaller.score_windows(windows) - full.score_windows(windows)).max()
        assert 0 < error < nearest


def test_int8_leaves_features_and_heads_in_full_precision(tiny_onnx, tmp_path, windows):
    graph = onnx.load(str(write_int8(tiny_onnx, tmp_path / "int8.onnx", windows))).graph
    quantised = {t.name for t in graph.initializer if t.data_type == onnx.TensorProto.INT8}
    assert quantised
    assert all("trunk" in name for name in quantised)


def test_int8_refuses_too_little_speech_and_foreign_models(tiny_onnx, tmp_path, windows):
    with pytest.raises(CheckpointError, match="16 windows of speech to take ranges from, not 2"):
        write_int8(tiny_onnx, tmp_path / "a.onnx", windows[:2])
    model = onnx.load(str(tiny_onnx))
    del model.metadata_props[:]
    onnx.save(model, str(tmp_path / "foreign.onnx"))
    with pytest.raises(CheckpointError, match="ringtrue did not write"):
        write_half(tmp_path / "foreign.onnx", tmp_path / "b.onnx")
    assert not (tmp_path / "a.onnx").exists()
    assert not (tmp_path / "b.onnx").exists()


def test_half_precision_that_differs_is_not_written(tiny_onnx, tmp_path, monkeypatch):
    monkeypatch.setattr(compress, "HALF_TOLERANCE", 0.0)
    with pytest.raises(CheckpointError, match="not written: logits of half-precision"):
        write_half(tiny_onnx, tmp_path / "half.onnx")
    assert list(tmp_path.iterdir()) == []


def test_size_s_is_small(tiny_onnx):
    """What size S takes, without exporting one: its weights, the features' kernels and the graph around them."""
    parameters = sum(p.numel() for p in create("prosody_encoder", size="S").parameters())
    small = create("prosody_encoder", size="XS")
    graph_bytes = tiny_onnx.stat().st_size - 4 * sum(p.numel() for p in small.parameters())
    assert 4 * parameters + 1.5 * graph_bytes < 2_000_000
    assert parameters + 1.5 * graph_bytes < 1_000_000


# --- packing ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trials():
    rows = []
    for split, speakers in (("train", 24), ("dev", 20), ("test", 20)):
        for label in ("bonafide", "spoof"):
            for speaker in range(speakers):
                name = f"{split}-{label}-{speaker}"
                rows += [
                    Trial(f"{name}-{part}", name, label, system="" if label == "bonafide" else f"s{speaker % 3}",
                          speaker=name, split=split, corpus="made")
                    for part in range(2 if split != "train" else 1)
                ]  # fmt: skip
    return rows


@pytest.fixture(scope="module")
def load(speechlike):
    """Half the recordings of a speaker each; bona fide speech louder, so that its level can be told apart."""
    sounds = {seed: speechlike(6.5, seed=seed) for seed in range(8)}

    def load(trial):
        if trial.id == "train-spoof-0-0":
            raise AudioError("broken")
        return sounds[hash_of(trial.id) % 8] * np.float32(1.5 if trial.is_bonafide else 1.0)

    return load


def hash_of(text):
    return sum(map(ord, text))


def test_a_packed_model_carries_what_was_measured(tiny_onnx, tmp_path, trials, load, monkeypatch, speechlike):
    detector = Detector(tiny_onnx)
    monkeypatch.setattr(
        packing, "export_onnx", lambda source, target, speech: target.write_bytes(tiny_onnx.read_bytes())
    )
    said = []
    path = packing.pack(
        tmp_path / "x.safetensors", tmp_path / "packed.onnx", "onnx", trials, load, said.append
    )
    packed = Detector(path)
    assert {k: v for k, v in packed.card.items() if k in detector.card} == detector.card
    assert packed.card["reference"]["measured_on"] == "24 bona fide training clips of made"
    assert len(packed.card["sequential"]["bonafide"]) == 20
    verdict = packed.check((speechlike(5.0) * np.float32(1.5), 16_000))
    assert 0 <= verdict.percentiles["level_db"] <= 100
    running = packed.stream(error_rate=0.1).push(speechlike(3.0))
    assert running[-1].heard_s == 3.0
    (row,) = packing.verify_sequential(packed, trials, "test", load, [0.1])
    for label in ("bonafide", "spoof"):
        assert row[label]["recordings"] == 20
        assert row[label]["low"] <= row[label]["wrong"] <= row[label]["high"]
    assert "sequential boundaries from 20 bona fide and 20 spoof" in said[-1]


def test_an_int8_copy_that_is_worse_is_refused(tiny_onnx, tmp_path, trials, load, monkeypatch):
    monkeypatch.setattr(
        packing, "export_onnx", lambda source, target, speech: target.write_bytes(tiny_onnx.read_bytes())
    )
    monkeypatch.setattr(packing, "measure", lambda *_: {})
    monkeypatch.setattr(packing, "WORST_EER_CHANGE", -1.0)
    with pytest.raises(
        CheckpointError, match=r"not exported: EER .* in float32, .* in int8, on 80 test trials"
    ):
        packing.pack(tmp_path / "x", tmp_path / "int8.onnx", "int8", trials, load, lambda line: None)
    assert list(tmp_path.iterdir()) == []


def test_too_little_development_speech_promises_nothing(tiny_onnx, trials, load):
    said = []
    few = [trial for trial in trials if trial.split != "dev" or trial.speaker.endswith(("-1", "-2"))]
    assert set(packing.measure(Detector(tiny_onnx), few, load, said.append)) == {"reference"}
    assert "no sequential boundaries: 2 bona fide and 2 spoof" in said[-1]


def test_real_speech_takes_part_in_the_comparison(tiny_onnx, tmp_path, windows):
    model, _ = checkpoint.load(tiny_onnx.with_suffix(".safetensors"))
    compared = []

    class Graph(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, wave):
            compared.append(wave.shape)
            return self.model.judge(wave)

    export._compare(torch, Graph(), ("logits", "frame_logits"), tiny_onnx, windows, (16_000, 64_000))
    assert (
        compared[::2] == compared[1::2] == [(1, 16_000), (2, 64_000), (8, 16_000), (8, 64_000)]
    )  # single, double


def test_the_file_says_how_to_feed_it(tiny_onnx):
    card = Detector(tiny_onnx).card
    assert card["precision"] == "fp32"
    assert card["preprocessing"]["sample_rate_hz"] == 16_000
    assert card["preprocessing"]["window_samples"] == 64_000


# --- the commands -------------------------------------------------------------------------------------------------


def test_small_formats_need_recordings(tiny_onnx, capsys):
    assert cli.main(["export", str(tiny_onnx.with_suffix(".safetensors")), "--format", "int8"]) == 2
    assert "int8 needs --corpus" in capsys.readouterr().err


@pytest.fixture
def corpus(tmp_path, encode, speechlike):
    rows = []
    for index in range(6):
        name, human = f"{index}.flac", index % 2 == 0
        (tmp_path / name).write_bytes(encode("flac", speechlike(1.5, seed=index)))
        rows.append(Trial(f"t{index}", name, "bonafide" if human else "spoof", system="" if human else "s",
                          speaker=f"p{index}", split="test"))  # fmt: skip
    write_manifest(tmp_path / "manifest.tsv", rows)
    return tmp_path


def test_bench_robustness(tiny_onnx, corpus, tmp_path, capsys):
    words = ["bench", "robustness", str(tiny_onnx), str(corpus), "--condition", "as it is", "--condition"]
    assert cli.main([*words, "GSM full rate", "--json", "--out", str(tmp_path / "r.csv")]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["condition"] for row in rows] == ["as it is", "GSM full rate"]
    assert all(row["bonafide"] == row["spoof"] == 3 for row in rows)
    assert (tmp_path / "r.csv").read_text().startswith("condition,eer,low,high,bonafide_rejected")
    assert cli.main([*words, "nothing such"]) == 2
    assert "no condition 'nothing such'; there are: as it is, G.711" in capsys.readouterr().err


def test_bench_speed_takes_peers(tiny_onnx, corpus, capsys, monkeypatch):
    from ringtrue.inference import speed

    monkeypatch.setattr(speed, "_LIVE_HOPS", 4)
    words = ["bench", "speed", str(tiny_onnx), "--audio", str(corpus / "0.flac"), "--peer"]
    assert cli.main([*words, f"itself={tiny_onnx}"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert 0.2 < found["ratios"]["itself"] < 5
    assert cli.main([*words, "nameless.onnx"]) == 2


def test_every_condition_keeps_a_sound_a_sound(speechlike):
    from ringtrue.robustness import CONDITIONS

    silence = np.zeros(4_000, np.float32)
    samples = np.concatenate([silence, speechlike(1.3), silence])
    for name, change in CONDITIONS.items():
        once, again = (change(samples, np.random.default_rng(1)) for _ in range(2))
        assert once.dtype == np.float32, name
        assert np.array_equal(once, again), name
        assert np.abs(once).max() <= 1.0, name
        assert len(once) == len(samples) or name in ("silence trimmed", "1 s of it"), name
        assert np.array_equal(once, samples) == (name in ("as it is", "2 s of it")), name
