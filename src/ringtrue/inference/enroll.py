"""A few clips of a new generator and a tracer -> a prototype in its file; nothing is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ringtrue.audio import load
from ringtrue.errors import AudioError
from ringtrue.inference.prototypes import ENOUGH, Prototype, make_prototype
from ringtrue.inference.source import Tracer, prepare

Progress = Callable[[str], None]


def enroll(
    tracer: Tracer,
    name: str,
    recordings: Iterable[str | Path],
    progress: Progress,
    acoustic_model: str = "",
    vocoder: str = "",
) -> Prototype:
    """Add a generator to those that a tracer names.

    Args:
        tracer: The tracer.
        name: What to call the generator; one of the same name is replaced.
        recordings: 5 to 20 clips of it. One that cannot be read costs only itself.
        progress: Told of clips that cannot be read, and of doubts.
        acoustic_model: Its acoustic model, if known.
        vocoder: Its vocoder, if known.

    Returns:
        The prototype.

    Raises:
        CheckpointError: Fewer than five clips could be heard.
    """
    waves = []
    for recording in recordings:
        try:
            waves.append(prepare(load(str(recording)).samples))
        except AudioError as error:
            progress(f"left out: {error}")
    embeddings = tracer.embed(np.stack(waves)) if waves else np.empty((0, len(tracer.centre)), np.float32)
    return enroll_embeddings(tracer, name, embeddings, progress, acoustic_model, vocoder)


def enroll_embeddings(
    tracer: Tracer,
    name: str,
    embeddings: NDArray[np.float32],
    progress: Progress,
    acoustic_model: str = "",
    vocoder: str = "",
) -> Prototype:
    """Add a generator whose clips were embedded already, as by a process that may write nothing.

    Args:
        tracer: The tracer.
        name: What to call the generator; one of the same name is replaced.
        embeddings: `(n, D)`, one row a clip, of `Tracer.embed`.
        progress: Told of doubts.
        acoustic_model: Its acoustic model, if known.
        vocoder: Its vocoder, if known.

    Returns:
        The prototype.

    Raises:
        CheckpointError: There are fewer than five clips.
    """
    if len(embeddings) > ENOUGH:
        progress(f"{len(embeddings)} clips: more than {ENOUGH} help little; training a tracer on them would")
    prototype = make_prototype(name, embeddings, tracer.centre, tracer.centre_weight, acoustic_model, vocoder)
    if prototype.spread > tracer.card["threshold"]:
        progress(
            f"{name}: its clips lie further from each other ({prototype.spread:.2f}) than a clip may from its "
            f"generator ({tracer.card['threshold']:.2f}); it will often go unrecognised. Are they all of one generator?"
        )
    tracer.enrolled.add(prototype)
    return prototype
