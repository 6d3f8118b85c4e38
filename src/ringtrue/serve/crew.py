"""A request and an open file -> an answer, from one of several processes; one that dies is replaced."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import multiprocessing
import os
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.reduction import send_handle
from typing import Any

from ringtrue.errors import CheckpointError, RingtrueError
from ringtrue.inference.batch import Setup
from ringtrue.inference.session import forbid_telemetry
from ringtrue.serve.worker import Bounds, work

_log = logging.getLogger(__name__)
_START_S = 60.0  # longest time that a worker may take to load its model
_AGAIN_S = 1.0  # between two tries to start a worker

Progress = Callable[[dict[str, Any]], None]


class WorkerLost(RingtrueError):
    """The process that judged a recording died or was stopped over it."""


class Busy(RingtrueError):
    """More recordings wait than may."""


class Worker:
    """One process; every method blocks and is called from a thread.

    Raises:
        CheckpointError: The model cannot be loaded.
    """

    def __init__(self, setup: Setup, bounds: Bounds):
        # A fresh interpreter, forked: it has loaded the libraries and nothing else, so a replacement is there at once.
        forbid_telemetry()  # before it loads them
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["ringtrue.serve.worker", "onnxruntime", "av", "soundfile", "soxr"])
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=work, args=(theirs, setup, bounds), daemon=True)
        self._process.start()
        theirs.close()
        self.introduction: dict[str, Any] = {}
        if not self._pipe.poll(_START_S):
            self.kill()
            raise WorkerLost(f"a worker did not start within {_START_S:g} s")
        kind, body = self._receive()
        if kind != b"V":
            raise CheckpointError(body.decode())
        self.introduction = json.loads(body)

    def send(self, request: dict[str, Any], file: int | None = None) -> None:
        """Send a request, and the file that it is about."""
        self._pipe.send_bytes(json.dumps(request).encode())
        if file is not None:
            send_handle(self._pipe, file, self._process.pid)

    def ask(self, message: bytes) -> tuple[bytes, bytes]:
        """Send a message and wait for its answer."""
        try:
            self._pipe.send_bytes(message)
        except OSError as error:
            raise WorkerLost("the worker is gone") from error
        return self._receive()

    def finish(self, progress: Progress | None) -> tuple[bytes, bytes]:
        """Wait for the answer."""
        while True:
            kind, body = self._receive()
            if kind != b"P":
                return kind, body
            if progress is not None:
                progress(json.loads(body))

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def stop(self) -> None:
        """Let it end: an idle worker ends when its pipe closes."""
        self._pipe.close()
        self._process.join(5.0)
        if self._process.is_alive():
            self._process.kill()

    def _receive(self) -> tuple[bytes, bytes]:
        try:
            message = self._pipe.recv_bytes()
        except (EOFError, OSError) as error:
            self._process.join(5.0)
            raise WorkerLost(
                f"the process that judged it ended early (exit code {self._process.exitcode}); others are not affected"
            ) from error
        return message[:1], message[1:]


class Crew:
    """Workers that are started when needed, up to a number, and kept.

    Args:
        setup: The model and how to use it.
        bounds: What the operating system keeps a worker to.
        size: How many at most.
        waiting: How many requests may wait for one.
    """

    def __init__(self, setup: Setup, bounds: Bounds, size: int, waiting: int):
        self._setup, self._bounds, self._size, self._waiting = setup, bounds, size, waiting
        self._idle: list[Worker] = []
        self._free = asyncio.Semaphore(size)
        # Twice as many threads as workers: one waits for a worker while another one kills it.
        self._threads = ThreadPoolExecutor(2 * size + 1, thread_name_prefix="ringtrue-worker")
        self.queued = self.busy = self.lost = 0

    async def start(self) -> dict[str, Any]:
        """Start all workers.

        Returns:
            What the model's card says.

        Raises:
            CheckpointError: The model cannot be loaded.
        """
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # one recording, one core
            os.environ.setdefault(name, "1")
        self._idle = list(await asyncio.gather(*(self._started() for _ in range(self._size))))
        return self._idle[0].introduction

    async def stop(self) -> None:
        """End the workers that are idle; nothing is in flight any more."""
        for worker in self._idle:
            await self._in_thread(worker.stop)
        self._idle.clear()
        self._threads.shutdown(wait=False)

    @property
    def alive(self) -> int:
        """How many workers are there or busy."""
        return len(self._idle) + self.busy

    async def run(
        self, request: dict[str, Any], file: int, timeout_s: float, progress: Progress | None = None
    ) -> bytes:
        """Have a recording judged.

        Args:
            request: See `ringtrue.serve.worker`.
            file: Descriptor of the open file; the caller closes it.
            timeout_s: When to give up, from the moment that a worker has it.
            progress: Told, from another thread, how it goes.

        Returns:
            The answer's bytes.

        Raises:
            RingtrueError: The recording cannot be judged, or takes too long.
            WorkerLost: The worker died over it.
            Busy: Too many wait.
        """

        def exchange(worker: Worker) -> tuple[bytes, bytes]:
            try:
                worker.send(request, file)
            except OSError as error:
                raise WorkerLost("the worker is gone") from error
            return worker.finish(progress)

        async with self.one() as worker:
            working = self._in_thread(exchange, worker)
            try:
                kind, body = await asyncio.wait_for(asyncio.shield(working), timeout_s)
            except (TimeoutError, asyncio.CancelledError) as error:
                working.add_done_callback(
                    lambda done: done.exception()
                )  # it fails as its worker is killed below
                if isinstance(error, asyncio.CancelledError):
                    raise
                raise WorkerLost(f"it took more than {timeout_s:g} s and was given up") from error
            if kind == b"X":
                raise WorkerLost(body.decode())
        if kind == b"E":
            raise RingtrueError(body.decode())
        return body

    @contextlib.asynccontextmanager
    async def one(self) -> AsyncIterator[Worker]:
        """Borrow a worker; an exception other than a `RingtrueError` of the recording costs it its life."""
        if self._free.locked() and self.queued >= self._waiting:
            raise Busy(f"{self.queued} recordings wait for a worker already; try again in a few seconds")
        self.queued += 1
        try:
            await self._free.acquire()
        finally:
            self.queued -= 1
        try:
            self.busy += 1
            worker = self._idle.pop() if self._idle else await self._started()
            try:
                yield worker
            except BaseException:
                self.lost += 1
                await asyncio.shield(self._in_thread(worker.kill))
                raise
            self._idle.append(worker)
        finally:
            self.busy -= 1
            self._free.release()

    async def _started(self) -> Worker:
        began = time.monotonic()
        while True:
            try:
                return await self._in_thread(Worker, self._setup, self._bounds)
            except (WorkerLost, OSError):
                if time.monotonic() - began > _START_S:
                    raise
                _log.warning("a worker could not be started; trying again")
                await asyncio.sleep(_AGAIN_S)

    def _in_thread(self, call: Callable[..., Any], *arguments: Any) -> asyncio.Future[Any]:
        return asyncio.get_running_loop().run_in_executor(self._threads, call, *arguments)
