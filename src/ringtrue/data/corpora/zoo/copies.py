"""One recording of a person -> its clip and its copies, in a worker process.

All of them pass the starter corpus's chain with what is random in it drawn from the recording: a pair has the same
length, level, noise, codec and band, and differs by the method alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ringtrue.data.corpora.sound import load_samples
from ringtrue.data.corpora.starter import harmonise as chain
from ringtrue.data.corpora.starter.clips import write_clip
from ringtrue.data.corpora.zoo.methods import METHODS, Method
from ringtrue.data.corpora.zoo.neural import methods_of
from ringtrue.data.corpora.zoo.speech import Samples, Speech
from ringtrue.data.trials import Trial
from ringtrue.errors import AudioError
from ringtrue.files import stable_int

LONGEST_S = 6.0
"""Of a recording's speech, what is used."""
SHORTEST_S = 0.5
"""Less speech than this is not used."""

_PEAK = 0.98
_SILENCE = 1e-4  # RMS, below what is heard of speech at the chain's level


@dataclass(frozen=True)
class Copy:
    """A copy that is wanted.

    Attributes:
        id: Of its trial.
        method: A key of `METHODS`, or the name of a trained vocoder.
        clip: The file to write.
    """

    id: str
    method: str
    clip: Path


@dataclass(frozen=True)
class Task:
    """A recording and what is to be made of it.

    Attributes:
        trial: The recording.
        source: Its source utterance, from which the chain draws.
        clip: The file to write it to.
        copies: Those that are wanted.
        others: Other recordings of the speaker.
    """

    trial: Trial
    source: str
    clip: Path
    copies: tuple[Copy, ...]
    others: tuple[Trial, ...]


@dataclass(frozen=True)
class Made:
    """What came of a task.

    Attributes:
        duration_s: Of the clip and each of its copies; 0 where nothing came of it.
        reasons: What could not be made, by its trial's id, and why.
        disk_error: Number of the error where the disk refused; nothing more can be done then.
    """

    duration_s: float
    reasons: dict[str, str] = field(default_factory=dict)
    disk_error: int = 0


@dataclass(frozen=True)
class Copying:
    """The job of a worker; see `ringtrue.workers`.

    Attributes:
        seed: The corpus's.
        vocoders: Files of trained ones.
        timeout_s: Longest time that one recording may take.
    """

    seed: int
    vocoders: tuple[str, ...] = ()
    timeout_s: float | None = 600.0

    def load(self) -> Callable[[Task], Made]:
        """Give what is called with each task."""
        return self.do

    def failed(self, task: Task, reason: str) -> Made:
        """Give the result of a recording that brought its worker down."""
        return Made(0.0, {task.trial.id: reason})

    def do(self, task: Task) -> Made:
        """Make what of a task is not there yet."""
        try:
            return make(task, self.seed, METHODS | methods_of(self.vocoders))
        except OSError as error:
            if error.errno is None:
                raise
            return Made(0.0, disk_error=error.errno)


def make(task: Task, seed: int, methods: Mapping[str, Method]) -> Made:
    """Write a recording's clip and its copies, but for those that are there.

    Args:
        task: What to make.
        seed: The corpus's.
        methods: By name.

    Returns:
        What came of it.

    Raises:
        OSError: The disk refuses.
    """
    try:
        wave = prepared(load_samples(task.trial))
    except AudioError as error:
        return Made(0.0, {task.trial.id: str(error)})
    speech = Speech(wave, lambda: _others(task.others))
    human = chain.harmonise(wave, task.source, seed)
    duration_s = len(human) / chain.RATE_HZ
    if not task.clip.is_file():
        write_clip(task.clip, human)
    reasons = {}
    for copy in task.copies:
        if copy.clip.is_file():
            continue
        try:
            rng = np.random.default_rng(stable_int("copy", seed, copy.id))
            said = said_again(speech, methods[copy.method], rng)
        except (
            ArithmeticError,
            ValueError,
            IndexError,
        ) as error:  # a recording that a method cannot do costs itself
            reasons[copy.id] = f"{copy.method}: {error}"
            continue
        write_clip(copy.clip, levelled(chain.harmonise(said, task.source, seed), human))
    return Made(duration_s, reasons)


def prepared(samples: Samples) -> Samples:
    """Cut a recording to its speech, at most `LONGEST_S` of it, at the chain's level.

    Args:
        samples: `(T,)`, 16 kHz.

    Returns:
        `(t,)`.

    Raises:
        AudioError: There is too little speech.
    """
    speech = chain.trim(samples)[: round(LONGEST_S * chain.RATE_HZ)]
    if len(speech) < SHORTEST_S * chain.RATE_HZ:
        raise AudioError(
            f"{len(speech) / chain.RATE_HZ:.1f} s of speech; at least {SHORTEST_S:g} s are needed"
        )
    return chain.to_level(speech)


def said_again(speech: Speech, method: Method, rng: np.random.Generator) -> Samples:
    """Let a method say a recording again.

    Args:
        speech: The recording, `(T,)`.
        method: How.
        rng: Draws the method's settings.

    Returns:
        `(T,)` float32, as loud as the recording.

    Raises:
        ArithmeticError: What came out is not finite, or silent.
        MissingExtraError: The method needs what is not installed.
    """
    said = method.make(speech, rng)
    level = float(np.sqrt(np.mean(np.square(said, dtype=np.float64))))
    if not np.isfinite(level) or level < _SILENCE:
        raise ArithmeticError("it is silent" if level < _SILENCE else "it is not finite")
    return levelled(said, speech.wave)


def levelled(samples: Samples, pattern: Samples) -> Samples:
    """Give a wave the RMS of another; less where a peak would clip, since a limiter would leave a trace."""
    power, wanted = (float(np.mean(np.square(wave, dtype=np.float64))) for wave in (samples, pattern))
    gain = min(np.sqrt(wanted / power), _PEAK / float(np.abs(samples).max()))
    return (gain * samples).astype(np.float32)


def _others(trials: tuple[Trial, ...]) -> list[Samples]:
    waves = []
    for trial in trials:
        try:
            waves.append(prepared(load_samples(trial)))
        except AudioError:
            continue  # said where it is the recording itself
    return waves
