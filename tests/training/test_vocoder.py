"""Small neural vocoders: shapes, what is analytic in them, training that learns and resumes, and a zoo with one."""

import json

import numpy as np
import pytest
import soundfile
import torch

from ringtrue import cli
from ringtrue.data.corpora import zoo
from ringtrue.data.corpora.zoo import spectra
from ringtrue.data.corpora.zoo.methods import METHODS
from ringtrue.data.trials import Trial, write_manifest
from ringtrue.errors import CheckpointError, ConfigError, CorpusError
from ringtrue.training import vocoder
from ringtrue.training.vocoder import VocoderSettings, spectral_loss, train_vocoder
from ringtrue.vocoders import generators, stored
from ringtrue.vocoders.generators import BANDS, FFT, HOP, KINDS, LogMel, create


def inputs(frames=40, batch=2):
    rng = torch.Generator().manual_seed(0)
    mels = torch.randn(batch, BANDS, frames, generator=rng)
    pitch_hz = torch.full((batch, frames), 150.0)
    pitch_hz[:, : frames // 4] = 0
    return mels, pitch_hz, torch.randn(batch, frames * HOP, generator=rng)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_speaks_as_long_as_its_mels_and_learns_everywhere(kind):
    torch.manual_seed(0)
    generator = create(kind)
    said = generator(*inputs())
    assert said.shape == (2, 40 * HOP)
    assert torch.isfinite(said).all()
    spectral_loss(said, inputs()[2] * 0.05).backward()
    assert all(w.grad is not None and torch.isfinite(w.grad).all() for w in generator.parameters())
    assert sum(w.numel() for w in generator.parameters()) < 2_000_000


def test_mels_are_those_of_the_zoo(speechlike):
    wave = speechlike(1.024, seed=1)[: 60 * HOP]
    ours = LogMel()(torch.from_numpy(wave)[None])[0].numpy()
    padded = np.pad(wave, (FFT - HOP) // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, FFT)[::HOP]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FFT) / FFT)
    theirs = np.abs(np.fft.rfft(frames * window)) @ spectra.mel_of(BANDS, (FFT, HOP)).T
    assert ours.shape == (BANDS, 60)
    assert np.allclose(ours, np.log(np.maximum(theirs, 1e-5)).T, atol=1e-3)


def test_frames_of_a_wave_add_up_to_it_again():
    wave = torch.randn(1, 20 * HOP, generator=torch.Generator().manual_seed(0))
    margin, window = (FFT - HOP) // 2, torch.hann_window(FFT)
    frames = torch.nn.functional.pad(wave, (margin, margin)).unfold(1, FFT, HOP) * window
    assert torch.allclose(generators._overlap_add(frames * window, window), wave, atol=1e-5)


def test_the_source_follows_the_pitch():
    """An untrained source-filter model hums what it is told to: the strongest line of its spectrum is a harmonic."""
    torch.manual_seed(0)
    mels, _, noise = inputs(64, 1)
    said = create("nsf")(0 * mels, torch.full((1, 64), 200.0), 0 * noise).detach().numpy()[0]
    size = 8000  # bins of 2 Hz
    spectrum = np.abs(np.fft.rfft(said[-size:] - said[-size:].mean()))[50:]
    assert (2 * (50 + spectrum.argmax())) % 200 in (0, 2, 198)


def test_the_spectral_loss_is_nothing_for_the_same_and_grows_with_the_difference():
    wave = inputs()[2] * 0.05
    other = torch.roll(inputs()[2], 1, dims=0) * 0.05
    losses = [spectral_loss((1 - share) * wave + share * other, wave).item() for share in (0, 0.3, 0.9)]
    assert losses[0] == 0
    assert losses == sorted(losses)


@pytest.fixture
def people(tmp_path, speechlike):
    trials = []
    for number in range(6):
        path = tmp_path / f"{number}.flac"
        soundfile.write(path, speechlike(1.0 + 0.1 * number, seed=number), 16_000)
        split = "train" if number < 4 else "test"
        trials.append(Trial(str(number), str(path), "bonafide", speaker=f"p{number}", split=split))
    return trials


def settings(kind="istft", **more):
    given = {"steps": 4, "adversary_from": 2, "batch": 2, "piece_s": 0.25, "checkpoint_steps": 2, **more}
    return VocoderSettings(kind, **given)


def losses_of(lines):
    return [float(line.rpartition(" ")[2]) for line in lines if "spectral loss" in line]


def test_the_loss_falls(people, tmp_path):
    told = []
    wanted = settings(steps=40, adversary_from=40, checkpoint_steps=10, learning_rate=2e-3)
    train_vocoder(wanted, people, tmp_path / "run", told.append)
    losses = losses_of(told)
    assert len(losses) == 4
    assert losses[-1] < 0.75 * losses[0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_is_killed_goes_on_to_the_same_bits(kind, people, tmp_path, monkeypatch):
    whole = train_vocoder(settings(kind), people, tmp_path / "whole", lambda line: None)
    batch = vocoder._batch

    def killed(people, settings, step):
        if step == 3:
            raise KeyboardInterrupt
        return batch(people, settings, step)

    with monkeypatch.context() as killing:
        killing.setattr(vocoder, "_batch", killed)
        with pytest.raises(KeyboardInterrupt):
            train_vocoder(settings(kind), people, tmp_path / "run", lambda line: None)
    assert not (tmp_path / "run" / f"{kind}.safetensors").exists()
    told = []
    made = train_vocoder(settings(kind), people, tmp_path / "run", told.append)
    assert told[0] == "going on from step 2"
    assert made.read_bytes() == whole.read_bytes()


def test_only_people_of_the_train_split_are_heard(people, tmp_path, monkeypatch):
    heard, load = set(), vocoder.load_piece

    def listening(trial, place):
        heard.add(trial.id)
        return load(trial, place)

    monkeypatch.setattr(vocoder, "load_piece", listening)
    machine = Trial("m", people[0].audio, "spoof", system="x", split="train")
    train_vocoder(
        settings(steps=12, adversary_from=12), [*people, machine], tmp_path / "run", lambda line: None
    )
    assert heard == {"0", "1", "2", "3"}


def test_what_is_wrong_is_said(people, tmp_path):
    def train(wanted, trials=people):
        train_vocoder(wanted, trials, tmp_path / "run", lambda line: None)

    with pytest.raises(ConfigError, match="no vocoder of kind 'wavenet'; accepted: hifigan, istft, nsf"):
        train(settings("wavenet"))
    with pytest.raises(ConfigError, match="steps is 0; accepted: 1 and more"):
        train(settings(steps=0))
    with pytest.raises(CorpusError, match="no bona fide trials in its train split"):
        train(settings(), people[4:])
    train(settings())
    with pytest.raises(ConfigError, match="holds a run with another seed; give another folder"):
        train(settings(seed=1))
    with pytest.raises(CheckpointError, match="is no vocoder; give a file that `ringtrue vocoder` wrote"):
        stored.load(tmp_path / "run" / "state.safetensors")


def test_a_zoo_speaks_by_a_trained_vocoder(people, tmp_path, monkeypatch, capsys):
    for name, method in list(METHODS.items()):
        if method.needs:
            monkeypatch.delitem(METHODS, name)
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    manifest = tmp_path / "people.tsv"
    write_manifest(manifest, people)
    words = ["vocoder", "istft", "--corpus", str(manifest), "--out", str(tmp_path / "run"), "--steps", "1"]
    assert cli.main(words) == 0
    file = capsys.readouterr().out.strip()
    assert file == str(tmp_path / "run" / "istft.safetensors")
    source = f"zoo:{tmp_path / 'zoo'}?of={manifest}&copies=2&dev=none&test=neural&vocoders={file}"
    assert cli.main(["corpus", "prepare", source]) == 0
    trials = [t for t in zoo.build(_wish(manifest, file), tmp_path / "zoo", 1, print) if t.system]
    assert {t.system for t in trials if t.split == "test"} == {"neural_istft"}
    assert "neural_istft" not in {t.system for t in trials if t.split == "train"}
    assert list(json.loads((tmp_path / "zoo" / "build.json").read_text())["vocoders"]) == ["istft"]
    (tmp_path / "broken.safetensors").write_bytes(b"no tensors")
    with pytest.raises(CheckpointError, match="broken.safetensors"):
        zoo.build(_wish(manifest, tmp_path / "broken.safetensors"), tmp_path / "new", 1, print)
    with pytest.raises(CorpusError, match="zoo: no vocoder at nothing; `ringtrue vocoder` trains one"):
        zoo.wish_of({"vocoders": "nothing"})
    with pytest.raises(CorpusError, match="two vocoders are called istft; rename one file"):
        zoo.wish_of({"vocoders": f"{file},{file}"})


def _wish(manifest, file):
    return zoo.wish_of(
        {"of": str(manifest), "copies": "2", "dev": "none", "test": "neural", "vocoders": str(file)}
    )
