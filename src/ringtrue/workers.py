"""Items and a job -> one result each, in order, from processes of their own; a bad item costs only itself.

A worker is a fresh process that loads what the job needs once. It is told one item at a time, over its own pipe, so
that when a decoder brings a process down or loops for ever it is known which item did it: that item fails, the worker
is replaced, and the items behind it are done all the same.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from ringtrue.errors import CheckpointError, RingtrueError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

Item = TypeVar("Item")
Result = TypeVar("Result")
_Told = TypeVar("_Told", contravariant=True)
_Answer = TypeVar("_Answer", covariant=True)

_AHEAD = 2  # items that a worker has been told of: it never waits for the parent to come round
_BACKLOG = 64  # finished items a worker may be ahead of the slowest one: bounds memory, and keeps order


class Job(Protocol[_Told, _Answer]):
    """What workers do; sent to each of them, so plain values only."""

    @property
    def timeout_s(self) -> float | None:
        """Longest time that one item may take; None waits for ever."""

    def load(self) -> Callable[[_Told], _Answer]:
        """Load what is needed, in the worker, and give what is called with each item."""

    def failed(self, item: _Told, reason: str, /) -> _Answer:
        """Give the result of an item that brought its worker down or took too long."""


class Crew(Generic[Item, Result]):
    """Workers, what each is busy with, and the results that wait for an earlier one.

    Args:
        job: What they do.
        count: How many there are.
    """

    def __init__(self, job: Job[Item, Result], count: int):
        self._job = job
        self._workers = [_Worker[Item, Result](job) for _ in range(count)]
        self._again: deque[tuple[int, Item]] = deque()  # told to a worker that died over an earlier one
        self._known: dict[int, Result] = {}

    def do(self, items: Iterable[Item]) -> Iterator[Result]:
        """Do the job for every item. A crew that was stopped in the middle of it can only be dismissed.

        Args:
            items: Read lazily, so that they may be endless.

        Yields:
            One result an item, in order, as soon as it and those before it are known.

        Raises:
            RingtrueError: A worker cannot be started, or cannot load what it needs.
        """
        source = enumerate(items)
        asked, given, ended = 0, 0, False
        while True:
            while not ended and asked - given < _BACKLOG * len(self._workers) and (worker := self._idle()):
                if self._again:
                    worker.tell(*self._again.popleft())
                    continue
                if (job := next(source, None)) is None:
                    ended = True
                    break
                asked = job[0] + 1
                worker.tell(*job)
            while self._again and (worker := self._idle()):
                worker.tell(*self._again.popleft())
            while given in self._known:
                yield self._known.pop(given)
                given += 1
            if ended and given == asked:
                return
            self._listen()

    def dismiss(self) -> None:
        """Stop all workers at once."""
        for worker in self._workers:
            worker.stop()

    def _idle(self) -> _Worker[Item, Result] | None:
        """Find the worker with the fewest items, if it can take one."""
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
                    self._replace(place, f"took more than {self._job.timeout_s:g} s and was given up")
            except (EOFError, OSError):
                self._replace(place, "brought its decoder down; convert it with another program first")

    def _overdue(self, worker: _Worker[Item, Result]) -> bool:
        limit_s = self._job.timeout_s
        return bool(limit_s and worker.ready and worker.jobs and time.monotonic() - worker.since > limit_s)

    def _replace(self, place: int, reason: str) -> None:
        worker = self._workers[place]
        worker.stop()
        if not worker.ready:
            raise CheckpointError("a worker process could not be started; try --workers 1")
        if worker.jobs:
            number, item = worker.jobs.popleft()
            self._known[number] = self._job.failed(item, reason)
        self._again.extend(worker.jobs)
        self._workers[place] = _Worker(self._job)


class _Worker(Generic[Item, Result]):
    def __init__(self, job: Job[Item, Result]):
        import multiprocessing  # not needed to judge in this process, where every millisecond of a start counts

        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(job, theirs), daemon=True)
        self.process.start()
        theirs.close()
        self.jobs: deque[tuple[int, Item]] = deque()
        self.since = time.monotonic()  # when the oldest item was begun
        self.ready = False

    def tell(self, number: int, item: Item) -> None:
        if not self.jobs:
            self.since = time.monotonic()
        self.jobs.append((number, item))
        self.pipe.send((number, item))

    def hear(self) -> tuple[int, Result] | None:
        """Take an answer; EOFError if the process has died, its own error if it could not load."""
        answer: Any = self.pipe.recv()
        self.since = time.monotonic()
        if isinstance(answer, RingtrueError):
            raise answer
        if answer is None:
            self.ready = True
            return None
        self.jobs.popleft()
        number, result = answer
        return number, result

    def stop(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def _work(job: Job[Any, Any], pipe: Connection) -> None:
    """Do what comes down the pipe until it closes; runs in a worker."""
    try:
        try:
            do = job.load()
        except RingtrueError as error:
            pipe.send(error)
            return
        pipe.send(None)
        while (told := pipe.recv()) is not None:
            pipe.send((told[0], do(told[1])))
    except (EOFError, KeyboardInterrupt, BrokenPipeError):
        pass  # the parent has gone, or says itself that it was interrupted


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Let processes that start meanwhile compute with one thread each: there is one for every core."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
