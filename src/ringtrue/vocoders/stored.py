"""A trained vocoder <-> one safetensors file that says what it is; and a wave said again by it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ringtrue.errors import CheckpointError
from ringtrue.tensors import load_tensors, save_tensors
from ringtrue.vocoders.generators import HOP, KINDS, LogMel, create

FORMAT = 1
_KEY = "ringtrue_vocoder"  # of the file's metadata

Samples = NDArray[np.float32]


def save(path: Path, generator: nn.Module, kind: str, known: Mapping[str, Any]) -> None:
    """Write a vocoder, atomically.

    Args:
        path: The file.
        generator: What `create` made for the kind.
        kind: A key of `KINDS`.
        known: JSON values: what it was trained on and how far.
    """
    header = json.dumps({"format": FORMAT, "kind": kind, **known}, sort_keys=True)
    save_tensors(path, generator.state_dict(), {_KEY: header})


def load(path: Path) -> nn.Module:
    """Read a vocoder.

    Args:
        path: A file that `save` wrote.

    Returns:
        The generator, in evaluation mode.

    Raises:
        CheckpointError: The file is missing, damaged, or none of these.
    """
    weights, metadata = load_tensors(path)
    try:
        header = json.loads(metadata[_KEY])
        kind, version = header["kind"], header["format"]
    except (KeyError, ValueError, TypeError) as error:
        raise CheckpointError(f"{path} is no vocoder; give a file that `ringtrue vocoder` wrote") from error
    if version != FORMAT or kind not in KINDS:
        raise CheckpointError(
            f"{path} has format {version!r} and kind {kind!r}; this version reads format {FORMAT} and "
            f"{', '.join(KINDS)}"
        )
    generator = create(kind)
    try:
        generator.load_state_dict(weights)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: the weights do not fit {kind}: {error}") from error
    return generator.eval().requires_grad_(False)


def vocode(
    generator: nn.Module, wave: Samples, pitch_hz: NDArray[np.floating[Any]], rng: np.random.Generator
) -> Samples:
    """Say a recording again from its mels, which an acoustic model's errors are put upon.

    Args:
        generator: The vocoder.
        wave: `(T,)`, 16 kHz, more than 0.1 s.
        pitch_hz: `(n,)` at any constant rate over the whole of it; 0 where unvoiced.
        rng: Draws the errors and the noise.

    Returns:
        `(T,)`.
    """
    count = -(-wave.size // HOP)
    padded = np.pad(wave, (0, count * HOP - wave.size))
    places = np.minimum((np.arange(count) * len(pitch_hz)) // count, len(pitch_hz) - 1)
    pitch = (2 ** rng.uniform(-0.03, 0.03) * pitch_hz[places]).astype(np.float32)
    noise = rng.standard_normal(padded.size, dtype=np.float32)
    with torch.inference_mode():
        mels = LogMel()(torch.from_numpy(padded)[None])
        errors = rng.uniform(0, 0.2) * rng.standard_normal(tuple(mels.shape), dtype=np.float32)
        said = generator(
            mels + torch.from_numpy(errors.astype(np.float32)),
            torch.from_numpy(pitch)[None],
            torch.from_numpy(noise)[None],
        )
    return np.ascontiguousarray(said[0].numpy()[: wave.size], dtype=np.float32)
