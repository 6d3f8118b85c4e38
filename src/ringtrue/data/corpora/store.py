"""An address in an object store -> its bytes, what lies below it, and bytes put there whole.

pyarrow knows ``s3://``, ``gs://``, ``abfss://`` and ``hdfs://``; fsspec stands in for every other scheme that it has a
file system for. Both take credentials from where their own tools do (environment, profile, role); we see none.
Addresses on the hub (``hf://``) are pinned and throttled: `ringtrue.data.corpora.remote` reads those.
"""

from __future__ import annotations

import io
import posixpath
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from ringtrue.audio import MAX_HELD_BYTES
from ringtrue.errors import AudioError, CorpusError, MissingExtraError, require

LOCAL = "file://"
_PIECE_BYTES = 1 << 20  # asked for at a time: what an object claims of its size is never made room for


def is_address(place: str) -> bool:
    """Say whether a place is in an object store.

    >>> is_address("s3://bucket/a.wav"), is_address("hf://datasets/a/b@c/d.wav"), is_address("/data/a.wav")
    (True, False, False)
    """
    scheme, mark, _ = place.partition("://")
    return bool(mark) and scheme.isalnum() and scheme != "hf"


def join(place: str, name: str) -> str:
    """Name what lies in a folder, here or at an address; a whole path or address stays what it is.

    >>> join("s3://bucket/lists", "a.wav"), join("/lists", "../a.wav"), join("/lists", "gs://other/a.wav")
    ('s3://bucket/lists/a.wav', '/lists/../a.wav', 'gs://other/a.wav')
    """
    return name if "://" in name else posixpath.join(place, name)


def open_file(address: str) -> Any:
    """Open an object for reading in any order.

    Args:
        address: Such as ``s3://bucket/a.parquet``.

    Returns:
        A binary file.

    Raises:
        CorpusError: It is not there, or may not be read.
    """
    try:
        system, path = _resolve(address)
        return system.open_input_file(path)
    except OSError as error:
        raise CorpusError(f"{address} cannot be read: {_reason(error)}") from error


def read_bytes(address: str) -> bytes:
    """Fetch a recording.

    Args:
        address: Such as ``s3://bucket/a.flac``.

    Returns:
        Its bytes.

    Raises:
        AudioError: It is not there, may not be read, or is too large; see `joined`.
    """
    try:
        system, path = _resolve(address)
        with system.open_input_stream(path) as file:
            return joined(iter(lambda: file.read(_PIECE_BYTES), b""), address)
    except (AudioError, MissingExtraError):
        raise
    except Exception as error:  # what a store's own client raises is often no OSError
        raise AudioError(f"{address} cannot be read: {_reason(error)}") from error


def joined(pieces: Iterable[bytes], address: str) -> bytes:
    """Join a recording as it arrives: what its store says of its size is not asked for.

    Args:
        pieces: Its bytes in order.
        address: Where it comes from.

    Returns:
        The recording.

    Raises:
        AudioError: It is larger than `MAX_HELD_BYTES`.
    """
    content = io.BytesIO()
    for piece in pieces:
        content.write(piece)
        if content.tell() > MAX_HELD_BYTES:
            raise AudioError(
                f"{address} is larger than {MAX_HELD_BYTES >> 20} MiB, the most that is fetched of a recording; "
                "split it, or download it and give its path"
            )
    return content.getvalue()


def write_bytes(address: str, content: bytes) -> None:
    """Put an object there. Object stores show it when it is whole, and replace an older one in the same moment.

    Args:
        address: Such as ``s3://bucket/scores/part.parquet``.
        content: All of it.
    """
    system, path = _resolve(address)
    system.create_dir(posixpath.dirname(path), recursive=True)
    with system.open_output_stream(path) as file:
        file.write(content)


def exists(address: str) -> bool:
    """Say whether there is an object at an address."""
    system, path = _resolve(address)
    return bool(system.get_file_info(path).is_file)


def walk(address: str) -> Iterator[str]:
    """List the objects below an address, in order of name, holding one folder's names at a time.

    Args:
        address: A folder, or an object, which is then all that is listed. Hidden names (``.`` and ``_``) are left out.

    Yields:
        Addresses.

    Raises:
        CorpusError: Nothing is there, or it may not be listed.
    """
    arrow = require("pyarrow.fs", "cluster")
    try:
        system, path = _resolve(address)
        if system.get_file_info(path).is_file:
            yield address
            return
        found = system.get_file_info(arrow.FileSelector(path))
    except OSError as error:
        raise CorpusError(f"{address} cannot be listed: {_reason(error)}") from error
    for info in sorted(found, key=lambda info: str(info.base_name)):
        if info.base_name[:1] in "._":
            continue
        below = join(address, info.base_name)
        if info.is_file:
            yield below
        else:
            yield from walk(below)


def _resolve(address: str) -> tuple[Any, str]:
    """Give the file system of an address, and what it calls the place."""
    scheme, _, rest = address.partition("://")
    host, _, path = rest.partition("/")
    system, base = _system(scheme, host)
    return system, posixpath.join(base, path)


@lru_cache(maxsize=64)
def _system(scheme: str, host: str) -> tuple[Any, str]:
    """Connect to a store once a process: finding a bucket's region takes a request."""
    arrow, fs = require("pyarrow", "cluster"), require("pyarrow.fs", "cluster")
    root = f"{scheme}://{host}/"
    try:
        system, base = fs.FileSystem.from_uri(root)
        return system, str(base)
    except arrow.ArrowInvalid:  # a scheme that pyarrow does not know
        core = require("fsspec.core", "cluster")
    try:
        other, base = core.url_to_fs(root)
    except (ValueError, ImportError) as error:
        raise CorpusError(
            f"no file system for {scheme}://: {error}; s3://, gs://, abfss://, hdfs://, file:// and what fsspec has "
            "installed are accepted"
        ) from error
    return fs.PyFileSystem(fs.FSSpecHandler(other)), str(base)


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
