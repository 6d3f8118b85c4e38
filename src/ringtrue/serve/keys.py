"""API keys: a new one for a client -> its hash for the service; a key that came -> whose it is."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from pathlib import Path

from ringtrue.errors import ConfigError

_LINE = re.compile(r"([\w.-]{1,64}) ([0-9a-f]{64})")


def new_key(name: str) -> tuple[str, str]:
    """Make a key.

    Args:
        name: Whose it is: letters, digits, dots and dashes.

    Returns:
        The key, and the line of a key file that admits it. A plain hash is enough: 256 random bits cannot be guessed.

    Raises:
        ConfigError: The name is unfit.
    """
    key = secrets.token_urlsafe(32)
    line = f"{name} {_hash(key)}"
    if not _LINE.fullmatch(line):
        raise ConfigError(f"{name!r} is no name for a key; 1 to 64 letters, digits, dots and dashes are")
    return key, line


def read_keys(path: Path) -> dict[str, str]:
    """Read a key file: a name and a hash a line; lines that begin with # are comments.

    Args:
        path: The file.

    Returns:
        Name -> hash.

    Raises:
        ConfigError: It is missing, empty or something else.
    """
    if not path.is_file():
        raise ConfigError(
            f"there is no key file {path}; `ringtrue serve --new-key NAME` prints a line for it"
        )
    keys = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            found = _LINE.fullmatch(line.strip())
            if found is None:
                raise ConfigError(f"{path} holds a line that is not NAME and 64 hexadecimal digits")
            keys[found[1]] = found[2]
    if not keys:
        raise ConfigError(f"{path} holds no key: nobody could use the service")
    return keys


def owner(keys: Mapping[str, str], presented: str) -> str | None:
    """Say whose key it is, in a time that does not depend on how much of it is right; None if nobody's.

    >>> key, line = new_key("desk")
    >>> owner(dict([line.split()]), key), owner(dict([line.split()]), "guess")
    ('desk', None)
    """
    digest, found = _hash(presented), None
    for name, known in keys.items():
        if hmac.compare_digest(digest, known):
            found = name
    return found


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
