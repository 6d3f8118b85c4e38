"""One recording of a person or from an engine -> one finished clip of the corpus, in a worker process."""

from __future__ import annotations

import io
import multiprocessing
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ringtrue.audio import load
from ringtrue.data.corpora.starter import harmonise as chain
from ringtrue.data.corpora.starter.human import Utterance
from ringtrue.data.corpora.starter.plan import audio_path
from ringtrue.errors import AudioError
from ringtrue.files import atomic_path


def make_human_clips(
    candidates: Sequence[Utterance], count: int, root: Path, split: str, raw: Path, seed: int
) -> list[tuple[Utterance, float]]:
    """Make the clips of one speaker.

    Args:
        candidates: Recordings in order of preference.
        count: Clips wanted.
        root: The corpus's folder.
        split: The speaker's split.
        raw: Where the vocoders will look for the trimmed recordings.
        seed: The corpus's seed.

    Returns:
        The recordings that were used, with the durations of their clips in seconds; at most `count`.
    """
    made: list[tuple[Utterance, float]] = []
    for utterance in candidates:
        if len(made) == count:
            break
        clip = root / audio_path(split, "", utterance.name)
        waiting = raw / f"{utterance.name}.wav"
        duration_s = clip_duration_s(clip) if waiting.is_file() else 0.0
        if not duration_s:
            try:
                speech = chain.to_level(chain.trim(load(utterance.path).samples))
            except AudioError:
                continue  # one unreadable file in a package of hundreds
            if not chain.is_speech(speech) or not is_said(utterance.text, len(speech) / chain.RATE_HZ):
                continue
            write_clip(waiting, speech)
            duration_s = write_clip(clip, chain.harmonise(speech, utterance.name, seed))
        made.append((utterance, duration_s))
    return made


def is_said(text: str, duration_s: float) -> bool:
    """Say whether a text can be what a recording says: some packages revised their texts and not their sounds.

    Args:
        text: What it should say.
        duration_s: How long it lasts.

    Returns:
        True for 4 to 30 characters per second; people speak 9 to 26 of them.

    >>> is_said("An old woman.", 1.3), is_said("An old woman, who waits for the evening train to town.", 1.3)
    (True, False)
    """
    return 4 <= len(text) / duration_s <= 30


def make_spoof_clip(made: Path, clip: Path, source: str, twin: Path | None, seed: int) -> float:
    """Harmonise what an engine wrote, and delete the original.

    Args:
        made: The engine's wave, at any rate.
        clip: The FLAC to write.
        source: What the codec and the noise are drawn from.
        twin: The finished human clip that it re-synthesises: their lengths will be equal to the sample.
            None for text-to-speech, which is trimmed as people are.
        seed: The corpus's seed.

    Returns:
        The clip's duration in seconds; 0 when what was made is not usable speech.
    """
    try:
        speech = load(made).samples
    except AudioError:
        return 0.0
    finally:
        made.unlink(missing_ok=True)
    if twin is None:
        speech = chain.trim(speech)
    else:
        count = round(clip_duration_s(twin) * chain.RATE_HZ)
        speech = np.pad(speech[:count], (0, max(0, count - len(speech))))
    if not chain.is_speech(speech):
        return 0.0
    return write_clip(clip, chain.harmonise(speech, source, seed))


def end_with_parent() -> None:
    """Make a worker process end when its parent is killed, or it would wait for work for ever."""
    if parent := multiprocessing.parent_process():

        def watch() -> None:
            parent.join()
            os._exit(1)

        threading.Thread(target=watch, daemon=True).start()


def write_clip(path: Path, samples: chain.Samples) -> float:
    """Write a clip whole or not at all.

    Args:
        path: The file; its suffix says the format. 16 bits.
        samples: `(T,)`, 16 kHz.

    Returns:
        Its duration in seconds.

    Raises:
        OSError: It cannot be written.
    """
    import soundfile

    recording = io.BytesIO()  # libsndfile would not say why a file cannot be written
    soundfile.write(recording, samples, chain.RATE_HZ, subtype="PCM_16", format=path.suffix[1:])
    with atomic_path(path) as temporary:
        temporary.write_bytes(recording.getvalue())
    return len(samples) / chain.RATE_HZ


def clip_duration_s(path: Path) -> float:
    """Give a clip's duration.

    Args:
        path: A clip that may not have been made yet.

    Returns:
        Seconds; 0 where there is no file.
    """
    import soundfile

    return float(soundfile.info(path).duration) if path.is_file() else 0.0
