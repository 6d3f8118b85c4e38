"""Bytes on disk: writes that are whole or absent, locks, stable hashes, and where the cache lives."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ringtrue.errors import RingtrueError

if sys.platform != "win32":
    import fcntl

_BLOCK_BYTES = 1 << 20  # bytes read at a time while hashing
_PART = ".ringtrue-part-"  # how the name of a file begins that is being written
_swept: set[Path] = set()  # folders that this process has cleared of what killed writers left


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str], previous: Path | None = None) -> Iterator[Path]:
    """Give a temporary path that becomes `path` when the block ends well, and vanishes when it does not.

    The temporary file lies in the same folder, so the final rename cannot cross file systems, and it
    keeps the file's suffix, because some writers choose a format by it. A kill or a full disk at any
    moment leaves the old file, or no file: never half a file. What a killed writer left beside it is cleared away
    when a process first writes into that folder.

    Args:
        path: The file to write. Its folder is made if needed.
        previous: Where the old file goes; it vanishes by default.

    Yields:
        The temporary path to write to.

    Raises:
        RingtrueError: The path is a folder, a pipe or a device.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise RingtrueError(f"{path} is not a regular file, and would be replaced by one; give another path")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.parent not in _swept:
        _swept.add(path.parent)
        sweep(path.parent)
    handle, temporary = _new_part(path)
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())  # mkstemp makes 0600; a shared cache must stay readable
        if previous is not None and path.exists():
            path.replace(previous)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
        os.close(handle)


def _new_part(path: Path) -> tuple[int, Path]:
    """Make an empty temporary file and lock it, so that nobody takes it for one that a killed writer left."""
    while True:
        handle, name = tempfile.mkstemp(
            dir=path.parent, prefix=f"{_PART}{path.stem[:40]}.", suffix=path.suffix
        )
        if sys.platform != "win32":
            fcntl.flock(handle, fcntl.LOCK_EX)
        if Path(name).exists():
            return handle, Path(name)
        os.close(handle)  # somebody swept between the two lines above


def is_half_written(path: Path) -> bool:
    """Say whether a file is one that `atomic_path` gave out: its writer is at work, or was killed.

    Args:
        path: A file.
    """
    return path.name.startswith(_PART)


def sweep(folder: Path, *, below: bool = False) -> None:
    """Delete half-written files whose writers were killed; those of living writers, known by their locks, stay.

    Args:
        folder: Where to look.
        below: Whether to look in the folders below, too.
    """
    for part in folder.rglob(f"{_PART}*") if below else folder.glob(f"{_PART}*"):
        with contextlib.suppress(OSError), open(part, "rb+") as file:
            if sys.platform != "win32":
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                part.unlink()


@contextlib.contextmanager
def locked(
    folder: Path,
    name: str = ".lock",
    *,
    wait: bool = True,
    waiting: Callable[[], None] = lambda: None,
    inheritable: bool = False,
) -> Iterator[bool]:
    """Hold a folder's lock. It goes with the process that holds it, however that ends.

    Args:
        folder: Made if needed.
        name: Of the lock's file in it.
        wait: Whether to wait for another holder.
        waiting: Called before waiting.
        inheritable: Whether programs that are started meanwhile hold it too, should this process be killed.

    Yields:
        Whether it is ours; false only without `wait`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / name, "w", encoding="utf-8") as file:
        os.set_inheritable(file.fileno(), inheritable)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not wait:
                yield False
                return
            waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield True


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write UTF-8 text atomically.

    Args:
        path: The file to write.
        text: Its whole content.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def write_rows(path: str | os.PathLike[str], rows: Sequence[Mapping[str, object]], digits: int = 5) -> None:
    """Write a table as CSV, atomically.

    Args:
        path: The file.
        rows: What each row has in which column; columns come in the order of their first mention.
        digits: Digits behind the point of floats.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: round(float(v), digits) if isinstance(v, float) else v for k, v in row.items()})
    write_text(path, text.getvalue())


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write a value as indented JSON, atomically.

    Args:
        path: The file to write.
        value: Anything that `json` takes; NaN and infinity are refused, since JSON has none.
    """
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def sha256_file(path: str | os.PathLike[str]) -> str:
    """Hash a file's bytes.

    Args:
        path: The file to read, in blocks: any size.

    Returns:
        64 lower-case hexadecimal digits.
    """
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def sha256_path(path: str | os.PathLike[str]) -> str:
    """Hash a file, or what a folder holds.

    Args:
        path: A file, or a folder: the files right in it are hashed, and their names; hidden ones are left out.

    Returns:
        64 lower-case hexadecimal digits; those of a file are `sha256_file`'s.
    """
    if not Path(path).is_dir():
        return sha256_file(path)
    inside = sorted(file for file in Path(path).iterdir() if file.is_file() and not file.name.startswith("."))
    return hashlib.sha256(
        "".join(f"{sha256_file(file)}  {file.name}\n" for file in inside).encode()
    ).hexdigest()


def stable_int(*parts: object) -> int:
    """Turn names into a 64-bit number that is the same in every process and on every machine.

    Python's own ``hash`` is salted per process, which makes splits and seeds drift; this never does.

    Args:
        *parts: Anything whose `str` identifies it.

    Returns:
        An integer in [0, 2**64).

    >>> stable_int("fillets", 7) == stable_int("fillets", 7)
    True
    >>> stable_int("a", "bc") == stable_int("ab", "c")
    False
    """
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()[:8], "big")


def cache_dir() -> Path:
    """Say where downloads, corpora and features are kept.

    Returns:
        ``$RINGTRUE_CACHE``, else ``$XDG_CACHE_HOME/ringtrue``, else ``~/.cache/ringtrue``. Not created.
    """
    if chosen := os.environ.get("RINGTRUE_CACHE"):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "ringtrue"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
