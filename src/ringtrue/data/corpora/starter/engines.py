"""Names of synthesis systems and jobs for them -> WAV files, each made in the engines' own processes.

`systems` says what there is; `prepare` installs, `run` speaks. An engine that cannot be had, a text that it
chokes on, a crash, a hang: each costs itself only and is reported in one line.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ringtrue.data.corpora.starter.packages import (
    engine_environment,
    fetch_debs,
    program_environment,
)
from ringtrue.data.corpora.starter.systems import ENGINES, PIPS

Progress = Callable[[str], None]

_JOB_LIMIT_S = 180.0  # the slowest engine takes 10 s for a long clip; loading it on a busy machine takes 30 s


@dataclass(frozen=True)
class Job:
    """One clip to make.

    Attributes:
        id: Comes back in the `Result`.
        engine: A key of `ENGINES`.
        voice: One of the engine's voices; empty for copy-synthesis.
        language: ISO 639 code of the text.
        text: What to say; unused by copy-synthesis.
        source_wave: 16 kHz mono recording to re-synthesise; None for text-to-speech.
        out: WAV file to write, at the engine's own rate.
        seed: Of the engine's randomness.
    """

    id: str
    engine: str
    voice: str
    language: str
    text: str
    source_wave: Path | None
    out: Path
    seed: int


@dataclass(frozen=True)
class Result:
    """How a job ended: `ok`, or the one-line reason why not."""

    id: str
    ok: bool
    reason: str = ""


def prepare(names: Sequence[str], cache: Path, progress: Progress) -> dict[str, str]:
    """Install what some engines need, below the cache; what is installed already costs milliseconds.

    Args:
        names: Keys of `ENGINES`.
        cache: The cache folder.
        progress: Called with one line per step.

    Returns:
        Engine -> empty when it is ready, else the one-line reason why it is not.

    Raises:
        CorpusError: The cache cannot be written to, or has no environment for the engines.
    """
    engines = [ENGINES[name] for name in names]
    groups = {group for engine in engines for group in engine.pips}
    pins = {group: pins for group, pins in PIPS.items() if group in groups}
    packages = list(dict.fromkeys(package for engine in engines for package in engine.debs))
    with ThreadPoolExecutor(1) as beside:  # one waits for the network while the other unpacks
        fetching = beside.submit(fetch_debs, packages, cache, progress, with_dependencies=True)
        environment = engine_environment(pins, cache, progress)
        debs = fetching.result()
    lacking = {**environment.missing, **debs.missing}

    return {
        engine.name: in_one_line(
            {need: lacking[need] for need in (*engine.pips, *engine.debs) if need in lacking}
        )
        for engine in engines
    }


def in_one_line(reasons: Mapping[str, str]) -> str:
    """Write down why things are lacking, each reason once.

    Args:
        reasons: Thing -> why it is lacking.

    Returns:
        One line; empty where nothing is lacking.

    >>> in_one_line({"flite": "no network", "festival": "no network", "piper": "its hash differs"})
    'no network (flite, festival); its hash differs (piper)'
    """
    things: dict[str, list[str]] = {}
    for thing, reason in reasons.items():
        things.setdefault(reason, []).append(thing)
    return "; ".join(f"{reason} ({', '.join(names)})" for reason, names in things.items())


def run(jobs: Sequence[Job], cache: Path, workers: int, progress: Progress) -> Iterator[Result]:
    """Do jobs in parallel worker processes, and give each result as soon as it is there.

    Args:
        jobs: What to make; a job whose file exists is not done again.
        cache: The cache folder that `prepare` filled.
        workers: Worker processes, one thread each.
        progress: Called with a line now and then.

    Yields:
        One Result per job, in the order in which they end.
    """
    waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
    done: queue.SimpleQueue[Result] = queue.SimpleQueue()
    # Jobs of one engine follow one another, and the fast engines come last, so that all workers end together.
    order = {name: index for index, name in enumerate(ENGINES)}
    for job in sorted(jobs, key=lambda job: -order.get(job.engine, -1)):
        if job.out.is_file():
            done.put(Result(job.id, True))
        elif job.engine not in ENGINES:
            done.put(Result(job.id, False, f"no engine {job.engine!r}; there are {', '.join(ENGINES)}"))
        else:
            waiting.put(job)
    crew = [_Worker(cache) for _ in range(min(workers, waiting.qsize()))]
    threads = [threading.Thread(target=_work, args=(one, waiting, done), daemon=True) for one in crew]
    for thread in threads:
        thread.start()
    try:
        for count in range(1, len(jobs) + 1):
            yield done.get()
            if count % 100 == 0:
                progress(f"machine speech: {count}/{len(jobs)} clips")
    finally:  # also when the caller stops half-way: nothing may go on working behind its back
        with contextlib.suppress(queue.Empty):
            while True:
                waiting.get_nowait()
        for one in crew:
            one.close()
        for thread in threads:
            thread.join()


def _work(worker: _Worker, waiting: queue.SimpleQueue[Job], done: queue.SimpleQueue[Result]) -> None:
    while True:
        try:
            job = waiting.get_nowait()
        except queue.Empty:
            return
        try:
            reason = worker.do(job)
        except Exception as error:  # a thread that dies silently would leave the caller waiting for ever
            reason = f"{type(error).__name__}: {error}"
        done.put(Result(job.id, not reason, reason))


class _Worker:
    """One worker process, started when first needed, and again for another engine or after it died."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.process: subprocess.Popen[str] | None = None
        self.engine = ""
        self.closed = False

    def do(self, job: Job) -> str:
        """Make one clip; returns an empty string or why it could not be made."""
        if self.process and self.engine != job.engine:  # the models of all engines together take 1.6 GB
            self._stop()
        self.engine = job.engine
        process = self.process or self._start()
        fields = {**vars(job), "source_wave": str(job.source_wave or ""), "out": str(job.out)}
        if self.closed:  # between taking this job and starting a process for it
            process.kill()
        timer = threading.Timer(_JOB_LIMIT_S, process.kill)
        timer.start()
        try:
            assert process.stdin and process.stdout
            process.stdin.write(json.dumps(fields) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            expired = not timer.is_alive()
            timer.cancel()
        if line:
            return str(json.loads(line)["reason"])
        self.process = None
        status = process.wait()
        if expired:
            return f"the engine took longer than {_JOB_LIMIT_S:.0f} s and was stopped"
        return f"the engine's process died with status {status}; see {self._log}"

    def close(self) -> None:
        """End the process, for good."""
        self.closed = True
        self._stop()

    def _stop(self) -> None:
        process, self.process = self.process, None
        if process:
            process.kill()
            process.wait()

    @property
    def _log(self) -> Path:
        return self.cache / "engines" / "worker.log"

    def _start(self) -> subprocess.Popen[str]:
        root = self.cache / "debs" / "root"
        settings = {
            "prefix": str(root),
            "environment": program_environment(root),
            "models": str(self.cache / "engines" / "models"),
        }
        one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        environment = {**os.environ, **one_thread}
        environment.pop("PYTHONPATH", None)  # ours must not leak into an environment with other versions
        script = Path(__file__).with_name("engine_worker.py")
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with open(self._log, "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [str(_python(self.cache)), "-s", str(script), json.dumps(settings)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                text=True,
                encoding="utf-8",
            )
        return self.process


def _python(cache: Path) -> Path:
    """Give the engines' interpreter, or ours where none was made: enough for the numpy-only vocoders."""
    python = cache / "engines" / "venv" / "bin" / "python"
    return python if python.exists() else Path(sys.executable)
