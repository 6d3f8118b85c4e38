"""Many recordings -> one outcome each, in order, on one or more processes; a bad one costs only itself.

A worker is a fresh process with a session of its own. It is told one file at a time, over its own pipe, so that when
a decoder brings a process down or loops for ever it is known which file did it: that file gets an error, the worker
is replaced, and the files behind it are judged all the same.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ringtrue.errors import CheckpointError, RingtrueError
from ringtrue.inference.runtime import Detector
from ringtrue.inference.verdict import Verdict

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

_AHEAD = 2  # files that a worker has been told of: it never waits for the parent to come round
_BACKLOG = 64  # finished files a worker may be ahead of the slowest one: bounds memory, and keeps order


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

    def load(self) -> Detector:
        """Load the detector."""
        return Detector(self.model, self.threads, self.threshold)


def check_all(
    recordings: Iterable[Path | RingtrueError], setup: Setup, workers: int = 1
) -> Iterator[Outcome]:
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
    detector = setup.load()  # here too: a model that cannot be loaded is one error, not one a worker
    if workers == 1:
        for recording in recordings:
            yield _judge(detector, recording)
        return
    crew = _Crew(setup, workers)
    try:
        yield from crew.judge(recordings)
    finally:
        crew.dismiss()


def _judge(detector: Detector, recording: Path | RingtrueError) -> Outcome:
    if isinstance(recording, RingtrueError):
        return Outcome(str(recording), error=str(recording))
    try:
        return Outcome(str(recording), detector.check(recording))
    except RingtrueError as error:
        return Outcome(str(recording), error=str(error))


def _work(setup: Setup, pipe: Connection) -> None:
    """Judge what comes down the pipe until it closes; runs in a worker."""
    try:
        detector = setup.load()
        pipe.send(None)
        while (job := pipe.recv()) is not None:
            pipe.send((job[0], _judge(detector, job[1])))
    except (EOFError, KeyboardInterrupt, BrokenPipeError):
        pass  # the parent has gone, or says itself that it was interrupted


class _Worker:
    def __init__(self, setup: Setup):
        import multiprocessing  # not needed to judge in this process, where every millisecond of a start counts

        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(setup, theirs), daemon=True)
        self.process.start()
        theirs.close()
        self.jobs: deque[tuple[int, Path]] = deque()
        self.since = time.monotonic()  # when the oldest job was begun
        self.ready = False

    def tell(self, number: int, recording: Path) -> None:
        if not self.jobs:
            self.since = time.monotonic()
        self.jobs.append((number, recording))
        self.pipe.send((number, recording))

    def hear(self) -> tuple[int, Outcome] | None:
        """Take an answer; EOFError if the process has died."""
        answer: Any = self.pipe.recv()
        self.since = time.monotonic()
        if answer is None:
            self.ready = True
            return None
        self.jobs.popleft()
        number, outcome = answer
        return number, outcome

    def stop(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


class _Crew:
    """Workers, what each is busy with, and the outcomes that wait for an earlier one."""

    def __init__(self, setup: Setup, count: int):
        self._setup = setup
        self._workers = [_Worker(setup) for _ in range(count)]
        self._again: deque[tuple[int, Path]] = deque()  # told to a worker that died over an earlier one
        self._known: dict[int, Outcome] = {}

    def judge(self, recordings: Iterable[Path | RingtrueError]) -> Iterator[Outcome]:
        source = enumerate(recordings)
        asked, given, ended = 0, 0, False
        while True:
            while not ended and asked - given < _BACKLOG * len(self._workers) and (worker := self._idle()):
                if self._again:
                    worker.tell(*self._again.popleft())
                    continue
                number, recording = next(source, (None, None))
                if number is None or recording is None:
                    ended = True
                    break
                asked = number + 1
                if isinstance(recording, RingtrueError):
                    self._known[number] = Outcome(str(recording), error=str(recording))
                else:
                    worker.tell(number, recording)
            while self._again and (worker := self._idle()):
                worker.tell(*self._again.popleft())
            while given in self._known:
                yield self._known.pop(given)
                given += 1
            if ended and given == asked:
                return
            self._listen()

    def dismiss(self) -> None:
        for worker in self._workers:
            worker.stop()

    def _idle(self) -> _Worker | None:
        """Find the worker with the fewest jobs, if it can take one."""
        worker = min(self._workers, key=lambda worker: len(worker.jobs))
        return worker if len(worker.jobs) < _AHEAD else None

    def _listen(self) -> None:
        """Take what answers there are; replace workers that died or have been silent for too long."""
        from multiprocessing.connection import wait

        heard = wait([worker.pipe for worker in self._workers], timeout=1.0)
        for place, worker in enumerate(self._workers):
            try:
                if worker.pipe in heard and (answer := worker.hear()) is not None:
                    self._known[answer[0]] = answer[1]
                elif worker.pipe not in heard and self._overdue(worker):
                    self._replace(place, f"took more than {self._setup.timeout_s:g} s and was given up")
            except (EOFError, OSError):
                self._replace(place, "brought its decoder down; convert it with another program first")

    def _overdue(self, worker: _Worker) -> bool:
        limit_s = self._setup.timeout_s
        return bool(limit_s and worker.ready and worker.jobs and time.monotonic() - worker.since > limit_s)

    def _replace(self, place: int, reason: str) -> None:
        worker = self._workers[place]
        worker.stop()
        if not worker.ready:
            raise CheckpointError("a worker process could not be started; try --workers 1")
        if worker.jobs:
            number, recording = worker.jobs.popleft()
            self._known[number] = Outcome(str(recording), error=f"{recording} {reason}")
        self._again.extend(worker.jobs)
        self._workers[place] = _Worker(self._setup)
