"""Miniature corpora with real layouts, whose systems differ in sound, and a tracer made from them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from ringtrue.data.trials import Trial

SYSTEMS = {  # real names, so that the label table knows them; what it makes of a wave
    "tts_models/en/ljspeech/glow-tts": lambda wave, t: np.convolve(wave, [0.5, 0.5], "same"),
    "tts_models/en/ljspeech/tacotron2-DDC": lambda wave, t: wave + 0.05 * np.sin(2 * np.pi * 3_000 * t),
    "suno/bark": lambda wave, t: np.sign(wave) * np.abs(wave) ** 0.5 * 0.2,
    "f5-tts": lambda wave, t: wave * (1 + 0.9 * np.sin(2 * np.pi * 60 * t)),
}


def render(speechlike, system: str, seed: int, duration_s: float = 1.0) -> NDArray[np.float32]:
    wave = speechlike(duration_s, seed)
    if system:
        wave = SYSTEMS[system](wave, np.arange(len(wave)) / 16_000)
    return np.clip(wave, -1, 1).astype(np.float32)


@pytest.fixture(scope="session")
def miniature(speechlike):
    """Names of the systems; `render(system, seed, duration_s=1.0)`; `trials()`."""
    return SimpleNamespace(
        systems=list(SYSTEMS),
        render=lambda system, seed, duration_s=1.0: render(speechlike, system, seed, duration_s),
        effects=list(SYSTEMS.values()),
        trials=make_trials,
    )


@pytest.fixture(autouse=True)
def private_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RINGTRUE_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def sounds(speechlike):
    """`sounds[trial.id]` of `trials`: 12 clips of each system, the last of which is never in train."""
    return {
        f"{system}/{number}": render(speechlike, system, number) for system in SYSTEMS for number in range(12)
    }


def make_trials() -> list[Trial]:
    """Three systems in train, dev and test; the fourth in dev and test only."""
    listed = []
    for system in SYSTEMS:
        for number in range(12):
            split = "train" if number < 6 else "dev" if number < 9 else "test_seen"
            if system == "f5-tts":
                split = "dev" if number < 6 else "test"
            listed.append(
                Trial(
                    f"{system}/{number}", "", "spoof", system=system, speaker=f"v{number}", split=split,
                    source_utterance=f"u{number}", corpus="miniature",
                )
            )  # fmt: skip
    return listed


@pytest.fixture
def seed_world(tmp_path, monkeypatch, encode, speechlike):
    """ASVspoof 2019 LA and MLAAD in miniature below the current folder, and settings that name tiny front ends."""
    monkeypatch.chdir(tmp_path)
    la = tmp_path / "data/LA"
    (la / "ASVspoof2019_LA_cm_protocols").mkdir(parents=True)
    (la / "ASVspoof2019_LA_train/flac").mkdir(parents=True)
    lines = []
    for number in range(16):
        system = ["", "suno/bark"][number % 2]
        name = f"LA_T_{number:07d}"
        sound = encode("flac", render(speechlike, system, 100 + number, 0.6))
        (la / f"ASVspoof2019_LA_train/flac/{name}.flac").write_bytes(sound)
        lines.append(
            f"LA_00{number % 3} {name} - {'A01' if system else '-'} {'spoof' if system else 'bonafide'}"
        )
    protocol = la / "ASVspoof2019_LA_cm_protocols/ASVspoof2019.LA.cm.train.trn.txt"
    protocol.write_text("\n".join(lines) + "\n")
    rows = {"train": [], "eval": []}
    for system in list(SYSTEMS)[:3]:
        folder = tmp_path / "data/MLAAD/fake/en" / system.replace("/", "_")
        folder.mkdir(parents=True)
        for number in range(6):
            (folder / f"{number}.wav").write_bytes(encode("wav", render(speechlike, system, number, 0.6)))
            rows["train" if number < 4 else "eval"].append(
                {
                    "file_path": f"./fake/en/{folder.name}/{number}.wav",
                    "model": system,
                    "architecture": system.rpartition("/")[2],
                }
            )
    (tmp_path / "two_stage.yaml").write_text(
        "front_ends: [{name: log-mel, layer: 0}, {name: log-mel, layer: 0, pool: 4}]\nepochs: 2\n"
    )
    return tmp_path, rows
