"""Package tools (apt-get, dpkg, pip) as commands -> their output, or a one-line reason why there is none."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ringtrue.files import sha256_file, write_json

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Deb:
    """One Debian package that was unpacked: its version and the hash of its archive."""

    version: str
    sha256: str


class UnavailableError(Exception):
    """A package that cannot be had; the text is the one-line reason."""


def parse_simulated_install(text: str) -> list[str]:
    r"""Read from ``apt-get -s install`` which packages it would install.

    Args:
        text: Its standard output.

    Returns:
        Package names in installation order, without architecture suffixes.

    >>> parse_simulated_install("Inst libflite1 (2.2-5 Debian:12 [amd64])\nConf libflite1 (2.2-5)")
    ['libflite1']
    """
    return re.findall(r"^Inst ([^\s:]+)", text, flags=re.MULTILINE)


def unpacked(folder: Path, name: str, with_dependencies: bool) -> Deb | None:
    """Say what was unpacked of a package below ``cache/debs``, or None; a runnable one if so asked."""
    marker = folder / "unpacked" / f"{name}.json"
    if not marker.is_file():
        return None
    state = json.loads(marker.read_text(encoding="utf-8"))
    if with_dependencies and not state["runnable"]:
        return None
    return Deb(state["version"], state["sha256"])


class Apt:
    """Apt with private state: its lists are fetched when absent, and once more when they look stale."""

    def __init__(self, folder: Path, progress: Progress) -> None:
        self.folder = folder
        self.progress = progress
        self.updated = False
        state, archives = folder / "apt/state", folder / "apt/cache"
        for path in (state / "lists/partial", archives / "archives/partial", folder / "unpacked"):
            path.mkdir(parents=True, exist_ok=True)
        options = {
            "Dir::State": state,
            "Dir::State::status": "/var/lib/dpkg/status",
            "Dir::Cache": archives,
            "Dir::Cache::pkgcache": "pkgcache.bin",  # container images turn these off, and each call then
            "Dir::Cache::srcpkgcache": "srcpkgcache.bin",  # reads the lists anew: 2 s, fifty times
            "Debug::NoLocking": 1,  # the caller holds our own lock
            "APT::Sandbox::User": "root",  # the user apt would change to cannot see a private cache
            "Acquire::Languages": "none",
            "Acquire::Retries": 2,
            "Acquire::http::Timeout": 30,
            "Acquire::https::Timeout": 30,
        }
        self.command = ["apt-get", "-q"]
        for key, value in options.items():
            self.command += ["-o", f"{key}={value}"]

    def fetch(self, name: str, with_dependencies: bool) -> Deb:
        """Unpack one package, and what it needs if asked; raises UnavailableError."""
        needed = self._dependencies(name) if with_dependencies else []
        for other in needed:
            if not unpacked(self.folder, other, False):
                try:
                    self._unpack(other, runnable=False)
                except UnavailableError as error:
                    raise UnavailableError(f"it needs {other}: {error}") from None
        deb = unpacked(self.folder, name, False)
        if deb is None:
            return self._unpack(name, runnable=with_dependencies)
        self._mark(name, deb, runnable=with_dependencies)
        return deb

    def _dependencies(self, name: str) -> list[str]:
        output = self._run(["-s", "--no-install-recommends", "install", name])
        return [other for other in parse_simulated_install(output) if other != name]

    def _unpack(self, name: str, runnable: bool) -> Deb:
        self.progress(f"fetching the Debian package {name}")
        with fresh_folder(self.folder / "fetching") as scratch:
            self._run(["download", name], cwd=scratch)
            archive = next(scratch.glob("*.deb"), None)
            if archive is None:
                raise UnavailableError("apt-get reported success and left no archive")
            version = run_tool(["dpkg-deb", "-f", str(archive), "Version"]).strip()
            deb = Deb(version, sha256_file(archive))
            root = self.folder / "root"
            root.mkdir(exist_ok=True)
            run_tool(["dpkg", "-x", str(archive), str(root)])
        self._mark(name, deb, runnable)
        return deb

    def _mark(self, name: str, deb: Deb, runnable: bool) -> None:
        state = {"version": deb.version, "sha256": deb.sha256, "runnable": runnable}
        write_json(self.folder / "unpacked" / f"{name}.json", state)

    def _run(self, arguments: list[str], cwd: Path | None = None) -> str:
        if not self._has_lists():
            self._update()
        try:
            return run_tool([*self.command, *arguments], cwd)
        except UnavailableError:
            if self.updated:
                raise
            self._update()  # a mirror drops superseded versions, so lists from last month name dead files
            return run_tool([*self.command, *arguments], cwd)

    def _has_lists(self) -> bool:
        return any((self.folder / "apt/state/lists").glob("*_Packages*"))

    def _update(self) -> None:
        if not self.updated:
            self.updated = True
            self.progress("fetching the Debian package lists")
            # A third-party source that is down must not cost the others: judge by what arrived.
            with contextlib.suppress(UnavailableError):
                run_tool([*self.command, "update"])
        if not self._has_lists():
            raise UnavailableError("the Debian package lists cannot be fetched: is this machine online?")


@contextlib.contextmanager
def fresh_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder, and delete it at the end; the caller's lock says that no other process has it."""
    shutil.rmtree(path, ignore_errors=True)  # a killed process left it
    path.mkdir(parents=True)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def run_tool(command: list[str], cwd: Path | None = None) -> str:
    """Run a package tool; its complaint, shortened to one line, becomes an UnavailableError.

    A full disk is an OSError instead: it is no fault of the package, and the next one would meet it too.
    """
    environment = {**os.environ, "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    environment.pop("PYTHONPATH", None)  # pip would take what lies there for installed
    try:
        done = subprocess.run(  # with the locks, which alone are inheritable
            command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, close_fds=False
        )
    except FileNotFoundError:
        raise UnavailableError(f"{command[0]} is not installed on this machine") from None
    if done.returncode:
        if os.strerror(errno.ENOSPC) in done.stderr + done.stdout:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        raise UnavailableError(_complaint(done.stderr or done.stdout, Path(command[0]).name, done.returncode))
    return done.stdout


def _complaint(text: str, program: str, status: int) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if any("Failed to establish a new connection" in line or "Could not resolve" in line for line in lines):
        return "the package registry cannot be reached: is this machine online?"
    marked = [line for line in lines if re.match(r"(E:|ERROR:|error:|dpkg.*error)", line)]
    reason = (marked or lines[-1:] or ["no message"])[0]
    return f"{program} ended with status {status}: {re.sub(r'^(E|ERROR|error): *', '', reason)[:200]}"
