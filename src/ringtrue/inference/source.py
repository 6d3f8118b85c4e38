"""Windows of machine speech -> acoustic model and vocoder with probabilities, or unknown; on ONNX Runtime, no torch.

A tracer is a network of its own beside the detector; one comes with ringtrue. It names a generator only if the clip
lies near one that it knows, and not between several; what is near was fixed on systems that training never heard.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringtrue.audio import open_stream
from ringtrue.errors import CheckpointError
from ringtrue.files import cache_dir, sha256_file
from ringtrue.inference.prototypes import Enrolled, Prototype, nearest
from ringtrue.inference.session import open_session
from ringtrue.inference.speech import quantiles
from ringtrue.windows import WINDOW, repeat_to, split_stream

CARD_KEY = "ringtrue-tracer"  # of the file's metadata: the card, as JSON
FORMAT = 1
NAMED = ("system", "acoustic_model", "vocoder")
"""Attributes that a tracer names; each is an output of logits."""

UNKNOWN = "unknown"
_LEVEL = 0.05  # RMS that every clip is brought to: -26 dBFS
_FRAME = 320  # samples: 20 ms
_SILENCE_DB, _RANGE_DB = -60.0, 35.0  # frames below either of these limits are silence
_SHOWN = 3  # nearest systems that are shown
MOST_WINDOWS = 64  # three minutes: more tell little that is new


@dataclass(frozen=True)
class Neighbour:
    """A known system near a clip.

    Attributes:
        name: The system.
        distance: Of the clip to its prototype.
        percentile: Share of clips of known systems, in percent, that lie nearer to their own prototype than this.
        is_enrolled: Whether a user enrolled it.
        exemplar: The training clip of that system which lies nearest, if the tracer brought any.
    """

    name: str
    distance: float
    percentile: float
    is_enrolled: bool
    exemplar: str = ""


@dataclass(frozen=True)
class SourceTrace:
    """What made a clip, as far as can be told.

    Attributes:
        is_known: Whether it lies near enough to a system that the tracer knows.
        system: The system, or ``"unknown"``.
        acoustic_model: The acoustic model, or ``"unknown"``.
        vocoder: The vocoder, or ``"unknown"``.
        probabilities: Calibrated probability of each of the three among the known; empty for a name by enrolment.
        nearest: The nearest systems, whether it is known or not.
        tracer: sha256 of the tracer.
    """

    is_known: bool
    system: str
    acoustic_model: str
    vocoder: str
    probabilities: Mapping[str, float]
    nearest: tuple[Neighbour, ...]
    tracer: str


def prepare(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Take level, surrounding silence and duration out of a clip, so that only speech is left to tell systems apart.

    Args:
        samples: `(T,)` float32, 16 kHz, T > 0.

    Returns:
        `(WINDOW,)`: trimmed, at -26 dBFS, its first four seconds, a shorter one repeated.
    """
    whole = len(samples) // _FRAME * _FRAME
    frames = samples[:whole].reshape(-1, _FRAME)
    power = np.einsum("lt,lt->l", frames, frames, dtype=np.float64) / _FRAME
    levels = 10 * np.log10(power + 1e-12)
    loud = quantiles(levels.copy(), 0.95)[0] if len(levels) else _SILENCE_DB
    heard = np.flatnonzero(levels > max(_SILENCE_DB, loud - _RANGE_DB))
    if len(heard):
        samples = samples[heard[0] * _FRAME : (heard[-1] + 1) * _FRAME]
    window = repeat_to(samples, WINDOW)
    rms = math.sqrt(float(np.einsum("t,t", window, window, dtype=np.float64)) / WINDOW)
    return (window * (_LEVEL / max(rms, 1e-5))).astype(np.float32)


class Tracer:
    """A tracer on ONNX Runtime.

    Args:
        path: An ``.onnx`` file that `ringtrue trace train` wrote.
        enrolled: File of enrolled generators; beside the tracer by default, in the cache for the one that ringtrue
            brings.
        threads: CPU threads that one call may use.

    Raises:
        CheckpointError: The file is missing, damaged or no tracer; or the enrolled generators are another tracer's.
    """

    def __init__(self, path: str | Path, enrolled: Path | None = None, threads: int = 1):
        path = Path(path)
        self._session = open_session(path, threads)
        self.card = _read_card(self._session, path)
        self.sha256 = sha256_file(path)
        self.centre = np.array(self.card["centre"], dtype=np.float32)
        self._distances = sorted(self.card["known_distances"])  # of held-out clips to their own prototypes
        self._trained = [
            Prototype(
                one["name"],
                one["acoustic_model"],
                one["vocoder"],
                one["clips"],
                one["spread"],
                False,
                np.array(one["position"], dtype=np.float32),
            )
            for one in self.card["systems"]
        ]
        self._exemplars = {
            one["name"]: (
                [exemplar["id"] for exemplar in one["exemplars"]],
                np.array([exemplar["position"] for exemplar in one["exemplars"]], np.float32),
            )
            for one in self.card["systems"]
            if one["exemplars"]
        }
        beside = cache_dir() / "models" / "shipped_tracer.onnx" if path == shipped_tracer() else path
        self.enrolled = Enrolled(enrolled or beside.with_suffix(".enrolled.safetensors"), self.sha256)

    @classmethod
    def installed(cls) -> Tracer:
        """Give the installed tracer, or the one that ringtrue brings where none was installed.

        Raises:
            CheckpointError: It is damaged.
        """
        return find_tracer()

    @property
    def known(self) -> list[Prototype]:
        """The systems that it was trained on, then those that were enrolled."""
        return [*self._trained, *self.enrolled.prototypes.values()]

    @property
    def centre_weight(self) -> float:
        """How many clips the centre is worth to a new prototype: variance within known systems over that between."""
        within = np.mean([one.spread**2 for one in self._trained])
        between = np.mean([np.sum((one.position - self.centre) ** 2) for one in self._trained])
        return float(within / max(between, 1e-9))

    def embed(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Embed clips.

        Args:
            windows: `(B, T)`, as `prepare` gives them.

        Returns:
            `(B, D)`, where Euclidean distance is what tells systems apart.
        """
        return self._run(windows)["embedding"]

    def trace(self, windows: Sequence[NDArray[np.float32]]) -> SourceTrace:
        """Say what made a recording.

        Args:
            windows: Its windows, `(T,)` each, unprepared: those that were judged spoof, or all.

        Returns:
            The source, or that it is unknown.
        """
        outputs = self._run(np.stack([prepare(window) for window in windows]))
        embedding = outputs["embedding"].mean(axis=0)
        ranked = nearest(embedding, self.known)
        shown = tuple(self._neighbour(one, distance, embedding) for one, distance in ranked[:_SHOWN])
        first, distance = ranked[0]
        unknown = SourceTrace(False, UNKNOWN, UNKNOWN, UNKNOWN, {}, shown, self.sha256)
        if distance > self.card["threshold"]:
            return unknown
        if first.is_enrolled:
            acoustic_model, vocoder = first.acoustic_model or UNKNOWN, first.vocoder or UNKNOWN
            return SourceTrace(True, first.name, acoustic_model, vocoder, {}, shown, self.sha256)
        names, probabilities = {}, {}
        for attribute in NAMED:
            head = self.card["attributes"][attribute]
            logits = outputs[attribute].mean(axis=0).astype(np.float64) / head["temperature"]
            chances = np.exp(logits - logits.max())
            place = int(chances.argmax())
            names[attribute] = head["classes"][place]
            probabilities[attribute] = float(chances[place] / chances.sum())
        if probabilities["vocoder"] < self.card.get(
            "least_probability", 0.0
        ):  # between several kinds, at none
            return unknown
        return SourceTrace(True, **names, probabilities=probabilities, nearest=shown, tracer=self.sha256)

    def _run(self, windows: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Run clips one by one: together they take longer, and more memory the more there are."""
        names = ["embedding", *NAMED]
        parts = [self._session.run(names, {"wave": window[np.newaxis]}) for window in windows]
        return {
            name: np.concatenate(column) for name, column in zip(names, zip(*parts, strict=True), strict=True)
        }

    def _neighbour(self, one: Prototype, distance: float, embedding: NDArray[np.float32]) -> Neighbour:
        exemplar = ""
        if one.name in self._exemplars:
            ids, positions = self._exemplars[one.name]
            exemplar = ids[int(np.square(positions - embedding).sum(axis=1).argmin())]
        percentile = 100 * (bisect_left(self._distances, distance) / len(self._distances))
        return Neighbour(one.name, distance, percentile, one.is_enrolled, exemplar)


def trace_recording(tracer: Tracer, recording: str | Path) -> SourceTrace:
    """Say what made a recording of machine speech, without asking whether it is machine speech.

    Args:
        tracer: The tracer.
        recording: A path. Any length, in bounded memory: of a long one the first `MOST_WINDOWS` windows are heard.

    Returns:
        The source, or that it is unknown.

    Raises:
        AudioError: The recording cannot be read as audio.
    """
    with open_stream(recording) as stream:
        return tracer.trace([window for _, window in islice(split_stream(stream), MOST_WINDOWS)])


def in_words(source: Mapping[str, Any]) -> str:
    """Say a verdict's source in one line.

    Args:
        source: `SourceTrace` as plain values.

    Returns:
        A phrase.
    """
    if not source["is_known"]:
        return f"{UNKNOWN}: it lies too far from every system that the tracer knows, or between several"
    if source["nearest"][0]["is_enrolled"]:
        return f"{source['system']}, enrolled (acoustic model {source['acoustic_model']}, vocoder {source['vocoder']})"
    chances = source["probabilities"]
    return ", ".join(
        f"{attribute.replace('_', ' ')} {source[attribute]} ({chances[attribute]:.2f})"
        for attribute in NAMED[::-1]
    )


def neighbours_in_words(source: Mapping[str, Any]) -> list[str]:
    """Say which known systems lie nearest, for a person to compare with; nearest first.

    Args:
        source: `SourceTrace` as plain values.

    Returns:
        A phrase each: the system, its training clip that lies nearest, and how usual that distance is.
    """
    return [
        f"{one['name']}{' as in ' + one['exemplar'] if one['exemplar'] else ''}: {one['percentile']:.0f} % of known "
        "clips lie nearer to their own"
        for one in source["nearest"]
    ]


def installed_tracer() -> Path:
    """Say where the tracer lies that a user installed, if it is there: it goes before the one that ringtrue brings."""
    return cache_dir() / "models" / "tracer.onnx"


def shipped_tracer() -> Path:
    """Say where the tracer lies that ringtrue brings."""
    return Path(str(files("ringtrue") / "weights" / "tracer.onnx"))


def find_tracer(path: Path | None = None) -> Tracer:
    """Give a tracer where one is needed.

    Args:
        path: An ``.onnx`` file; None takes the installed one, or the one that ringtrue brings.

    Returns:
        The tracer.

    Raises:
        CheckpointError: There is none, or it is damaged.
    """
    if path is None:
        path = installed if (installed := installed_tracer()).is_file() else shipped_tracer()
    if not path.is_file():
        raise CheckpointError(
            f"no tracer at {path}: `ringtrue trace train SETTINGS --detector CHECKPOINT` makes one, or leave --tracer "
            "away for the one that ringtrue brings"
        )
    return Tracer(path)


def _read_card(session: Any, path: Path) -> dict[str, Any]:
    text = session.get_modelmeta().custom_metadata_map.get(CARD_KEY)
    if text is None:
        raise CheckpointError(f"{path} is no tracer: `ringtrue trace train` writes one")
    try:
        card: dict[str, Any] = json.loads(text)
        version = card["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path}: its card is damaged: {error}") from error
    if version != FORMAT:
        raise CheckpointError(
            f"{path} has format {version!r}; this version of ringtrue reads format {FORMAT}"
        )
    return card
