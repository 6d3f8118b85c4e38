"""Neural: vocoders that `ringtrue vocoder` trained, by their files; torch is loaded when the first of them speaks."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from ringtrue.data.corpora.zoo.methods import METHODS, Method
from ringtrue.data.corpora.zoo.speech import Samples, Speech
from ringtrue.errors import CorpusError

FAMILY = "neural"


def methods_of(paths: tuple[str, ...]) -> dict[str, Method]:
    """Make methods of trained vocoders.

    Args:
        paths: Their files.

    Returns:
        One for each, called ``neural_`` and its file's name.

    Raises:
        CorpusError: A file is missing, or two have the same name.
    """
    found: dict[str, Method] = {}
    for path in paths:
        if not Path(path).is_file():
            raise CorpusError(f"zoo: no vocoder at {path}; `ringtrue vocoder` trains one")
        name = f"{FAMILY}_{Path(path).stem}"
        if name in found or name in METHODS:
            raise CorpusError(f"zoo: two vocoders are called {Path(path).stem}; rename one file")
        found[name] = Method(FAMILY, partial(say_again, path), "torch")
    return found


def load_all(paths: tuple[str, ...]) -> None:
    """Load trained vocoders, so that a damaged one is found before any work is done.

    Args:
        paths: Their files.

    Raises:
        CheckpointError: A file is no vocoder.
    """
    for path in paths:
        _loaded(path)


def say_again(path: str, speech: Speech, rng: np.random.Generator) -> Samples:
    """Let a trained vocoder speak the mels, with errors put upon them.

    Args:
        path: The vocoder's file.
        speech: The recording.
        rng: Draws the errors.

    Returns:
        `(T,)`.

    Raises:
        CheckpointError: The file is no vocoder.
    """
    from ringtrue.vocoders.stored import vocode

    return vocode(_loaded(path), speech.wave, speech.pitch_hz, rng)


@cache
def _loaded(path: str) -> Any:
    from ringtrue.vocoders.stored import load

    return load(Path(path))
