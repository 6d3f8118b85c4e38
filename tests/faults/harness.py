"""A job and a fault -> the job in a process of its own, with that fault in it.

Processes are forked off a server that has imported everything heavy once, so that a life costs what the job costs.
"""

import ctypes
import io
import multiprocessing
import os
import random
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from jobs import JOBS, artefacts

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    ["torch", "torch._dynamo", "torch.utils.tensorboard", "scipy.signal", "sklearn.cluster", "onnx",
     "ringtrue.training.train", "ringtrue.training.vocoder", "ringtrue.experiment.report",
     "ringtrue.inference.runtime", "ringtrue.data.corpora.starter.builder", "pyarrow.parquet"]
)  # fmt: skip
_ON_DISK = {
    "open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.truncate", "os.utime", "shutil.rmtree",
}  # fmt: skip
_CLONE_NEWNS, _MS_RDONLY, _MS_REMOUNT, _MS_REC, _MS_PRIVATE = 0x20000, 1, 32, 0x4000, 1 << 18
_DAY_S = 86_400


@dataclass(frozen=True)
class Fault:
    """What befalls a job.

    Attributes:
        at_event: SIGKILL at this access to a file, counted from 1.
        clock: Seed of the days by which the clock jumps, forwards and back, each time that it is read.
        disk_bytes: It works on a disk of this size; when that is full, on the same disk with room.
        read_only: It works in a folder that may not be written.
    """

    at_event: int | None = None
    clock: int | None = None
    disk_bytes: int | None = None
    read_only: bool = False


@dataclass(frozen=True)
class Life:
    """What became of a process.

    Attributes:
        done: Whether the job came to its end.
        killed: Whether it was killed.
        events: Accesses to files, if it was not.
        said: The error that ended it, or that it met before the disk had room; empty without one.
        artefacts: What it left on a disk of its own.
    """

    done: bool = False
    killed: bool = False
    events: int = 0
    said: str = ""
    artefacts: dict[str, str] | None = None


class Running:
    """A job that has been started."""

    def __init__(self, job: str, folder: Path, material: Path, fault: Fault = Fault()):
        self._pipe, theirs = _CONTEXT.Pipe(duplex=False)
        self._process = _CONTEXT.Process(target=_live, args=(job, folder, material, fault, theirs))
        self._process.start()
        theirs.close()

    def end(self) -> Life:
        """Wait for its end."""
        self._process.join()
        try:
            return self._pipe.recv()
        except EOFError:
            assert self._process.exitcode == -signal.SIGKILL, "it died of something else"
            return Life(killed=True)


def live(job: str, folder: Path, material: Path, fault: Fault = Fault()) -> Life:
    """Run a job to its end, or to its fault's."""
    return Running(job, folder, material, fault).end()


def can_mount(folder: Path) -> bool:
    """Say whether a process here may have a disk of its own."""
    process = _CONTEXT.Process(target=_mount, args=(folder, "size=1m"))
    process.start()
    process.join()
    return process.exitcode == 0


def _live(job, folder, material, fault, pipe):
    sys.stdout = sys.stderr = io.StringIO()
    folder.mkdir(exist_ok=True)
    if fault.clock is not None:
        _let_the_clock_jump(random.Random(fault.clock))
    count = _count_accesses(folder.parent, fault.at_event)
    if fault.disk_bytes is not None:
        _mount(folder, f"size={fault.disk_bytes}")
        said = _failure_of(job, folder, material)
        _mount(folder, "size=64m", _MS_REMOUNT)
        done = not _failure_of(job, folder, material)
        pipe.send(Life(done, said=said, artefacts=artefacts(folder)))
        return
    if fault.read_only:
        _mount(folder, "size=1m")
        _mount(folder, "", _MS_REMOUNT | _MS_RDONLY)
    said = _failure_of(job, folder, material)
    pipe.send(Life(not said, events=count(), said=said))


def _failure_of(job, folder, material):
    from ringtrue.errors import RingtrueError

    try:
        JOBS[job](folder, material)
    except (RingtrueError, OSError) as error:
        return str(error)
    except SystemExit:
        return sys.stderr.getvalue().splitlines()[-1]
    return ""


def _count_accesses(ground, deadly):
    """Count accesses to files below a folder; be killed at a chosen one."""
    owner, start, seen = os.getpid(), str(ground), 0

    def watch(event, arguments):
        nonlocal seen
        if event in _ON_DISK and os.getpid() == owner and str(arguments[0]).startswith(start):
            seen += 1
            if seen == deadly:
                os.kill(owner, signal.SIGKILL)

    sys.addaudithook(watch)
    return lambda: seen


def _let_the_clock_jump(rng):
    honest_s, honest_ns = time.time, time.time_ns
    time.time = lambda: honest_s() + _DAY_S * rng.uniform(-1, 1)
    time.time_ns = lambda: honest_ns() + int(1e9 * _DAY_S * rng.uniform(-1, 1))


def _mount(folder, options, flags=0):
    """Mount a file system in memory that this process alone sees."""
    system = ctypes.CDLL(None, use_errno=True)

    def call(name, *arguments):
        if getattr(system, name)(*arguments):
            raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")

    if not flags & _MS_REMOUNT:
        call("unshare", _CLONE_NEWNS)
        call("mount", b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)
    call("mount", b"tmpfs", os.fsencode(folder), b"tmpfs", flags, options.encode())
