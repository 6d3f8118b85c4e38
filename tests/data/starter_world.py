"""A miniature Debian for the starter corpus: package trees with a few recordings, and engines that hum."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import soundfile

from ringtrue.data.corpora.starter.engines import Result
from ringtrue.data.corpora.starter.human import FESTVOX_RU
from ringtrue.data.corpora.starter.recipe import Copies, Recipe, Speech
from ringtrue.data.corpora.starter.systems import Engine
from ringtrue.data.corpora.starter.texts import FILLETS, STAMPS

WORDS = "red fish swims under green ship while crab sleeps near white stone and blue eel waits".split()  # noqa: SIM905
RECIPE = Recipe(
    bonafide={
        "train": {"fillets_cs_m": 3, "fillets_cs_v": 3, "tuxpaint_fr": 2},
        "dev": {"fillets_nl_m": 2, "tuxpaint_ro": 2},
        "test": {"festvox_ru_shmyrev": 3, "tuxpaint_el": 2, "tuxpaint_es": 2},
    },
    copies=(
        Copies("copy_a", "train", 4),
        Copies("copy_b", "train", 4),
        Copies("copy_dev", "dev", 3),
        Copies("copy_test", "test", 3),
        Copies("copy_a", "test_seen", 2),
    ),
    speech=(
        Speech("tts_train", "train", 4, ("cs", "fr"), ("one",)),
        Speech("tts_other", "train", 2, ("en",)),
        Speech("tts_more", "train", 2, ("en",)),
        Speech("tts_dev", "dev", 2, ("en",)),
        Speech("tts_late", "dev", 2, ("nl",)),
        Speech("tts_test", "test", 3, ("ru", "en")),
        Speech("tts_train", "test_seen", 2, ("es", "en"), ("two",)),
    ),
)


def _engine(name: str, voices: tuple[str, ...]) -> Engine:
    languages = () if name.startswith("copy") else ("cs", "fr", "en", "nl", "ru", "es")
    return Engine(
        name=name,
        acoustic_model="none" if name.startswith("copy") else "hum",
        vocoder="buzz",
        voices=dict.fromkeys(languages, voices),
        licence="MIT",
        debs=(f"{name}-package",),
    )


ENGINES = {
    row.engine: _engine(row.engine, ("one", "two") if row.engine == "tts_train" else ("only",))
    for row in (*RECIPE.copies, *RECIPE.speech)
}


def speechlike(name: str, duration_s: float = 1.7, pitch_hz: float | None = None) -> np.ndarray:
    """Make a buzz whose syllables rise and fall, with pauses around, the same for the same name."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    time_s = np.arange(int(16_000 * duration_s)) / 16_000
    pitch_hz = pitch_hz or rng.uniform(90, 220)
    pitch_hz = pitch_hz * (1 + 0.1 * np.sin(2 * np.pi * 0.7 * time_s + rng.uniform(0, 6)))
    phase = 2 * np.pi * np.cumsum(pitch_hz) / 16_000
    buzz = sum(np.sin(k * phase) / k for k in range(1, 16))
    syllables = 0.05 + np.clip(np.sin(2 * np.pi * rng.uniform(2.6, 3.4) * time_s), 0, 1)
    silence = np.zeros(4_000)
    wave = 0.1 * np.concatenate([silence, buzz * syllables, silence])
    return (wave + 1e-4 * rng.standard_normal(len(wave))).astype(np.float32)


class FakeEngines:
    """Engines that hum the text's checksum; some may be told to fail, fall silent or die."""

    def __init__(self) -> None:
        self.made, self.broken, self.silent, self.refused = [], set(), set(), set()
        self.dies_after, self.reason = None, "it crashed"

    def run(self, jobs, cache, workers, progress):
        for job in jobs:
            if self.dies_after is not None and len(self.made) >= self.dies_after:
                raise KeyboardInterrupt
            if job.engine in self.broken or job.id in self.refused:
                yield Result(job.id, False, self.reason)
                continue
            self.made.append(job.id)
            if job.source_wave:
                wave, rate_hz = soundfile.read(job.source_wave, dtype="float32")
                wave = np.round(wave * 64) / 64
            else:
                wave, rate_hz = speechlike(job.engine + job.voice + job.text), 22_050
            if job.engine in self.silent:
                wave = np.zeros(40_000, np.float32)
            job.out.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(job.out, wave, rate_hz)
            yield Result(job.id, True, "")


def sentence(number: int, language: str) -> str:
    """Make one of 676 sentences, the same number (its last word) meaning the same in every language."""
    words = [WORDS[(number * step) % len(WORDS)] for step in (1, 3, 5, 7)]
    return f"{' '.join(words)} {language} {chr(97 + number // 26)}{chr(97 + number % 26)}."


def make_packages(prefix: Path) -> None:
    """Write the trees of fillets-ng-data*, tuxpaint-stamps-default and festvox-ru."""
    make_fillets(prefix / FILLETS)
    make_stamps(prefix / STAMPS)
    make_festvox_ru(prefix / FESTVOX_RU)


def make_fillets(folder: Path) -> None:
    for language in ("en", "cs", "nl", "fr", "es"):
        script = folder / "script" / "reef" / f"dialogs_{language}.lua"
        script.parent.mkdir(parents=True, exist_ok=True)
        rows = []
        for number in range(24):
            name = f"ree-{'mv'[number % 2]}-{number}"
            rows.append(f'dialogId("{name}", "font_small", "{sentence(number, "en")}")')
            if language != "en":
                rows.append(f'dialogStr("{sentence(number, language)}")\n')
            if language in ("cs", "nl"):
                _write(folder / "sound/reef" / language / f"{name}.ogg", speechlike(language + name))
        script.write_text("\n".join(rows), encoding="utf-8")


def make_stamps(folder: Path) -> None:
    for number in range(30, 54):
        rows = [sentence(number, "en")]
        for language in ("fr", "ro", "el", "es"):
            rows.append(f"{language}.utf8={sentence(number, language)}")
            _write(folder / "animals" / f"a{number}_desc_{language}.ogg", speechlike(f"{language}{number}"))
        (folder / "animals" / f"a{number}.txt").write_text("\n".join(rows), encoding="utf-8")


def make_festvox_ru(folder: Path) -> None:
    (folder / "etc").mkdir(parents=True)
    rows = []
    for number in range(60, 66):
        rows.append(f'( ru_{number:04} "{sentence(number, "ru")}" )')
        _write(folder / "wav" / f"ru_{number:04}.wav", speechlike(f"ru{number}", 2.5))
    (folder / "etc/txt.done.data").write_text("\n".join(rows), encoding="utf-8")


def _write(path: Path, wave: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, wave, 16_000)
