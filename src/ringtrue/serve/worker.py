"""Recordings from strangers -> verdicts, in a process that may not take much, write anything or bring others down.

The parent sends a JSON request and an open file and gets messages of one letter and a body: ``P`` progress, ``V`` the
answer, ``R`` how a live stream stands, ``E`` what is wrong with the recording, ``X`` that the worker is no longer fit.
What comes from here is never unpickled: a decoder that has been taken over must not take over the parent.
"""

from __future__ import annotations

import io
import json
import logging
import os
import resource
import signal
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle
from pathlib import Path
from typing import Any

from ringtrue.audio import load
from ringtrue.errors import AudioError, RingtrueError
from ringtrue.inference.batch import Outcome, Setup
from ringtrue.inference.runtime import Detector
from ringtrue.inference.source import prepare
from ringtrue.inference.verdict import Verdict
from ringtrue.serve.live_worker import listen
from ringtrue.serve.prosody_picture import draw

_PROGRESS_S = 30.0  # seconds of sound between two words about progress


@dataclass(frozen=True)
class Bounds:
    """What the operating system keeps a worker to.

    Attributes:
        memory_bytes: Beyond what it holds when it is ready.
        cpu_s: Processor time for one request.
    """

    memory_bytes: int
    cpu_s: int


def work(pipe: Connection, setup: Setup, bounds: Bounds) -> None:
    """Answer requests until the parent closes the pipe.

    Args:
        pipe: To the parent.
        setup: The model and how to use it.
        bounds: What is allowed.
    """
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # the parent finishes what is in flight, then closes the pipe
        signal.signal(number, signal.SIG_IGN)
    logging.disable(logging.CRITICAL)
    try:
        try:
            detector = setup.detector()
        except RingtrueError as error:
            pipe.send_bytes(b"X" + str(error).encode())
            return
        _confine(bounds)
        pipe.send_bytes(b"V" + json.dumps(_introduction(detector, setup.model)).encode())
        while True:
            _answer(pipe, detector, bounds)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass


def _introduction(detector: Detector, path: Path) -> dict[str, Any]:
    card = detector.card
    told = (
        "name",
        "architecture",
        "labels",
        "reference",
        "metrics",
        "trained_on",
        "precision",
    )
    return {
        **{name: card[name] for name in told if name in card},
        "calibration": detector.judge.operating_point,
        "sha256": detector.sha256,
        "ringtrue": card["provenance"].get("ringtrue", ""),
        "bytes": path.stat().st_size,
    }


def _confine(bounds: Bounds) -> None:
    """Bound memory; forbid core dumps, files and more than a few open ones."""
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    most = held + bounds.memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


def allow_cpu(seconds: int) -> None:
    """Let this process take so much more processor time; SIGXCPU ends it then."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(used.ru_utime + used.ru_stime) + 1 + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))


def _answer(pipe: Connection, detector: Detector, bounds: Bounds) -> None:
    request = json.loads(pipe.recv_bytes())
    allow_cpu(bounds.cpu_s + int(request.get("max_s", 0) / 10))
    try:
        if request["task"] == "live":
            listen(pipe, detector, request, lambda: allow_cpu(bounds.cpu_s))
            return
        with os.fdopen(recv_handle(pipe), "rb", closefd=True) as file:
            pipe.send_bytes(b"V" + _TASKS[request["task"]](pipe, detector, file, request))
    except RingtrueError as error:
        pipe.send_bytes(b"E" + str(error).encode())
    except MemoryError:
        pipe.send_bytes(b"X" + f"{request.get('name')}: it takes more memory than one recording may".encode())


def _check(pipe: Connection, detector: Detector, file: io.BufferedReader, request: dict[str, Any]) -> bytes:
    return _json(_judged(pipe, detector, file, request).to_dict())


def _examine(pipe: Connection, detector: Detector, file: io.BufferedReader, request: dict[str, Any]) -> bytes:
    """Give the verdict and the prosody beside it."""
    verdict = _judged(pipe, detector, file, request)
    file.seek(0)
    picture = (
        draw(_named(file, request["name"]), detector.card.get("reference")) if request["prosody"] else None
    )
    return _json({"verdict": verdict.to_dict(), "prosody": picture})


def _report(pipe: Connection, detector: Detector, file: io.BufferedReader, request: dict[str, Any]) -> bytes:
    from ringtrue import __version__
    from ringtrue.inference.report import render_report

    verdict = _judged(pipe, detector, file, request)
    return render_report([Outcome(verdict.name, verdict)], "ringtrue serve", __version__).encode()


def _embed(pipe: Connection, detector: Detector, file: io.BufferedReader, request: dict[str, Any]) -> bytes:
    """Give a clip's place among sources; of what goes on for longer than may be, the beginning."""
    samples = load(_named(file, request["name"]), duration_s=request["max_s"]).samples
    return _json(detector.tracer.embed(prepare(samples)[None])[0].tolist())


_TASKS = {"check": _check, "examine": _examine, "report": _report, "embed": _embed}


def _judged(
    pipe: Connection, detector: Detector, file: io.BufferedReader, request: dict[str, Any]
) -> Verdict:
    name, max_s, told_s = request["name"], request["max_s"], 0.0

    def progress(heard_s: float, promised_s: float | None) -> None:
        nonlocal told_s
        longest = max(heard_s, promised_s or 0.0)
        if longest > max_s:
            raise AudioError(
                f"{name} lasts {longest:.0f} s; accepted here: {max_s:.0f} s. {request['too_long']}"
            )
        if heard_s - told_s >= _PROGRESS_S:
            told_s = heard_s
            pipe.send_bytes(b"P" + _json({"heard_s": heard_s, "promised_s": promised_s}))

    return detector.check(_named(file, name), progress)


def _named(file: io.BufferedReader, name: str) -> io.BufferedReader:
    """Give the file the name that its sender gave it: for messages, and for formats without a header."""
    raw = io.FileIO(file.fileno(), closefd=False)
    raw.name = name  # type: ignore[misc]  # an attribute like any other, whatever its type stub says
    return io.BufferedReader(raw)


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
