"""Many recordings -> one outcome each, in order, on one or more processes; a bad one costs only itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ringtrue.errors import RingtrueError
from ringtrue.inference.runtime import Detector
from ringtrue.inference.verdict import Verdict
from ringtrue.workers import Crew

Recording = Path | RingtrueError
"""What `ringtrue.audio.find_recordings` yields: a file, or what stands where one was expected."""


@dataclass(frozen=True)
class Outcome:
    """What became of one recording: a verdict, or the reason why there is none."""

    name: str
    verdict: Verdict | None = None
    error: str = ""


@dataclass(frozen=True)
class Setup:
    """What every worker needs to judge alike.

    Attributes:
        model: An ``.onnx`` file.
        threads: CPU threads for one recording.
        threshold: See `Detector`.
        timeout_s: Longest time that one file may take on a worker of its own; None waits for ever.
    """

    model: Path
    threads: int = 1
    threshold: float | None = None
    timeout_s: float | None = None

    def detector(self) -> Detector:
        """Load the detector."""
        return Detector(self.model, self.threads, self.threshold)

    def load(self) -> Callable[[Recording], Outcome]:
        """Load the detector and give what judges a recording with it; see `ringtrue.workers.Job`."""
        detector = self.detector()
        return lambda recording: _judge(detector, recording)

    def failed(self, recording: Recording, reason: str) -> Outcome:
        """Give the outcome of a recording that brought its worker down."""
        return Outcome(str(recording), error=f"{recording} {reason}")


def check_all(recordings: Iterable[Recording], setup: Setup, workers: int = 1) -> Iterator[Outcome]:
    """Judge recordings in order.

    Args:
        recordings: What `find_recordings` yields; read lazily, so that it may be endless.
        setup: The model and how to use it.
        workers: Processes; 1 judges in this one.

    Yields:
        One outcome a recording, in order, as soon as it and those before it are known.

    Raises:
        CheckpointError: The model cannot be loaded.
    """
    judge = setup.load()  # here too: a model that cannot be loaded is one error, not one a worker
    if workers == 1:
        yield from map(judge, recordings)
        return
    crew = Crew(setup, workers)
    try:
        yield from crew.do(recordings)
    finally:
        crew.dismiss()


def _judge(detector: Detector, recording: Recording) -> Outcome:
    if isinstance(recording, RingtrueError):
        return Outcome(str(recording), error=str(recording))
    try:
        return Outcome(str(recording), detector.check(recording))
    except RingtrueError as error:
        return Outcome(str(recording), error=str(error))
