"""A recording -> Verdict, on ONNX Runtime: one window after the other, in bounded memory. No torch."""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ringtrue.audio import SAMPLE_RATE_HZ, Source, open_stream
from ringtrue.errors import CheckpointError
from ringtrue.files import cache_dir, sha256_file
from ringtrue.inference.evidence import Evidence
from ringtrue.inference.judge import Judge
from ringtrue.inference.session import open_session, read_card
from ringtrue.inference.source import Tracer
from ringtrue.inference.verdict import Verdict
from ringtrue.windows import Windows

if TYPE_CHECKING:
    from ringtrue.inference.stream import Stream

Progress = Callable[[float, float | None], None]

SHIPPED = "default"
"""Name of the model that ringtrue brings."""

_SUSPECTS = 4  # windows that a source is looked for in
_FRAME = SAMPLE_RATE_HZ // 50  # samples: 20 ms
_HEARD_FRAMES = (
    15  # 0.3 s: the click of a switch in a muted stretch is no voice, and a model may take it for a machine
)
_HEARD_SHARE = 1e-4  # of the power of the loudest frame: 40 dB below it


class Detector:
    """A detector on ONNX Runtime.

    Args:
        path: An ``.onnx`` file that `ringtrue export` or `ringtrue train` wrote.
        threads: CPU threads that one call may use.
        threshold: Decide at this log-likelihood ratio instead of the model's own band of doubt.

    Raises:
        CheckpointError: The file is missing, damaged or was not written by ringtrue.
    """

    def __init__(self, path: str | Path, threads: int = 1, threshold: float | None = None):
        path = Path(path)
        self._session = open_session(path, threads)
        self.card: dict[str, Any] = read_card(self._session, path)
        self.sha256 = sha256_file(path)
        described = {
            "name": self.card["name"],
            "sha256": self.sha256,
            "ringtrue": self.card["provenance"].get("ringtrue", ""),
        }
        self.judge = Judge(self.card, described, threshold)

    @classmethod
    def from_pretrained(
        cls, name: str | Path | None = None, threads: int = 1, threshold: float | None = None
    ) -> Detector:
        """Load a detector by name or path.

        Args:
            name: An ``.onnx`` file, the name of an installed model, or nothing for ``$RINGTRUE_MODEL`` or,
                without it, ``default``: the model that ringtrue brings.
            threads: CPU threads that one call may use.
            threshold: Decide at this log-likelihood ratio instead of the model's own band of doubt.

        Returns:
            The detector.

        Raises:
            CheckpointError: There is no such model.
        """
        return cls(find_model(name), threads, threshold)

    def score_windows(self, windows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Score windows, each on its own: what else was asked with a window does not move its score by a bit.

        A batch of sixteen is no faster on one thread (its activations leave the cache) and takes ten times the memory.

        Args:
            windows: `(B, T)` float32, 16 kHz.

        Returns:
            `(B,)` raw scores, higher = more likely bona fide. A window in which less than 0.3 s sounds is no evidence:
            it has the score that favours neither side.
        """
        return np.array(
            [self._score(window) if _is_heard(window) else self.judge.even for window in windows], np.float64
        )

    def _score(self, window: NDArray[np.float32]) -> float:
        logits = self._session.run(["logits"], {"wave": window[np.newaxis]})[0]
        return float(logits[0, 1] - logits[0, 0])

    def check(self, source: Source, progress: Progress | None = None) -> Verdict:
        """Judge a recording.

        Args:
            source: A path, bytes, or ``(samples, rate_hz)``. Any length, in bounded memory.
            progress: Told after every block how many seconds were heard and how many the header promises, if it
                does; what it raises ends the judging.

        Returns:
            The verdict.

        Raises:
            AudioError: The source cannot be read as audio.
        """
        hearing = Hearing(self.score_windows)
        with open_stream(source) as stream:
            for block in stream:
                hearing.push(block)
                if progress is not None:
                    progress(hearing.evidence.samples / SAMPLE_RATE_HZ, stream.info.promised_s)
            info, warnings = stream.info, stream.warnings
        starts, scores = hearing.scores()
        return self.trace(self.judge.verdict(info, hearing.evidence, starts, scores, warnings), hearing)

    def trace(self, verdict: Verdict, hearing: Hearing) -> Verdict:
        """Add to a verdict of spoof what made the recording, as the tracer has it.

        Args:
            verdict: Of what was heard.
            hearing: What was heard.

        Returns:
            The verdict with its source; as it was if it is no verdict of spoof. A tracer that
            cannot be loaded costs the source and not the verdict: a warning says so.
        """
        if verdict.decision != "spoof":
            return verdict
        try:
            tracer = self.tracer
        except CheckpointError as error:
            return replace(verdict, warnings=(*verdict.warnings, f"the source was not traced: {error}"))
        return replace(verdict, source=asdict(tracer.trace(hearing.suspects())))

    @cached_property
    def tracer(self) -> Tracer:
        """The installed tracer or the one that ringtrue brings, loaded when a verdict of spoof first needs it."""
        return Tracer.installed()

    def stream(
        self,
        rate_hz: int = 16_000,
        *,
        hop_s: float = 0.5,
        error_rate: float | None = None,
        name: str = "stream",
    ) -> Stream:
        """Judge a recording while it arrives.

        Args:
            rate_hz: Sample rate of what will be pushed.
            hop_s: How often to say how it stands, 0.1 to 2 s.
            error_rate: Also decide as soon as this rate of either error can be promised, in (0, 1).
            name: What to call it.

        Returns:
            A stream to push chunks into; see `Stream`.

        Raises:
            AudioError: The rate or hop is not accepted.
            CheckpointError: The model cannot promise such a rate.
        """
        from ringtrue.inference.stream import Stream

        return Stream(self, rate_hz, hop_s=hop_s, error_rate=error_rate, name=name)


class Hearing:
    """Listens to one recording: measures it, cuts it into windows and scores each as soon as it is whole.

    Args:
        score: Scores windows `(B, WINDOW)`.

    Attributes:
        evidence: What has been measured so far.
    """

    def __init__(self, score: Callable[[NDArray[np.float32]], NDArray[np.float64]]):
        self.evidence = Evidence()
        self._score = score
        self._windows = Windows()
        self._starts, self._scores = array("q"), array("d")
        self._suspects: list[tuple[float, NDArray[np.float32]]] = []
        self._last: tuple[float, NDArray[np.float32]] | None = None  # of a recording that ends here

    def push(self, block: NDArray[np.float32]) -> None:
        """Take the next samples.

        Args:
            block: `(t,)`, 16 kHz, any size.
        """
        self.evidence.push(block)
        for start, window in self._windows.push(block):
            score = self._score_one(window)
            self._starts.append(start)
            self._scores.append(score)
            self._suspects = _most_suspect([*self._suspects, (score, window)])

    def scores(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Give the windows of the recording as if it ended here; more may follow.

        Returns:
            Window starts `(B,)` in samples and raw scores `(B,)`; B > 0 once there are samples.
        """
        starts, scores = np.array(self._starts, np.int64), np.array(self._scores)
        self._last = None
        if (last := self._windows.last()) is not None:
            start, window = last
            self._last = self._score_one(window), window
            starts, scores = np.append(starts, start), np.append(scores, self._last[0])
        return starts, scores

    def suspects(self) -> list[NDArray[np.float32]]:
        """Give the windows behind `scores` that sound most like a machine: where a source is to be looked for.

        Returns:
            A few at most, `(WINDOW,)` each.
        """
        last = [self._last] if self._last else []
        return [window for _, window in _most_suspect([*self._suspects, *last])]

    def _score_one(self, window: NDArray[np.float32]) -> float:
        return float(self._score(window[np.newaxis])[0])


def _is_heard(window: NDArray[np.float32]) -> bool:
    frames = window[: len(window) // _FRAME * _FRAME].reshape(-1, _FRAME)
    power = np.einsum("lt,lt->l", frames, frames)
    return int(np.count_nonzero(power > _HEARD_SHARE * power.max(initial=0.0))) >= _HEARD_FRAMES


def _most_suspect(
    scored: list[tuple[float, NDArray[np.float32]]],
) -> list[tuple[float, NDArray[np.float32]]]:
    return sorted(scored, key=lambda pair: pair[0])[:_SUSPECTS]


def check(source: Source, model: str | Path | None = None) -> Verdict:
    """Judge one recording.

    Args:
        source: A path, bytes, or ``(samples, rate_hz)``. Any length, in bounded memory.
        model: See `Detector.from_pretrained`. For many recordings, load a `Detector` once.

    Returns:
        The verdict.

    Raises:
        AudioError: The source cannot be read as audio.
        CheckpointError: There is no such model.
    """
    return Detector.from_pretrained(model).check(source)


def find_model(name: str | Path | None = None) -> Path:
    """Say which file a model's name stands for.

    Args:
        name: See `Detector.from_pretrained`.

    Returns:
        A path; one that was given as such may not exist.

    Raises:
        CheckpointError: It is a name, and no model of that name is installed.
    """
    wanted = str(name or os.environ.get("RINGTRUE_MODEL") or SHIPPED)
    if wanted == SHIPPED:
        return Path(str(files("ringtrue") / "weights" / "detector.onnx"))
    if wanted.endswith(".onnx") or os.sep in wanted:
        return Path(wanted)
    installed = installed_model(wanted)
    if not installed.is_file():
        raise CheckpointError(
            f"no model named {wanted!r} is installed: {SHIPPED!r} is the one that ringtrue brings, `ringtrue demo` "
            "trains and installs one called 'demo'; or give the path of an .onnx file (--model, or the variable "
            "RINGTRUE_MODEL)"
        )
    return installed


def installed_model(name: str) -> Path:
    """Say where a model lies that was installed beside the one that ringtrue brings.

    Args:
        name: Its name.

    Returns:
        A path in the cache folder, whether it exists or not.
    """
    return cache_dir() / "models" / f"{name}.onnx"
