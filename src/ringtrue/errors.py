"""What can go wrong -> one exception family whose message says what was given, what is accepted and what to do."""

from __future__ import annotations

import importlib
from types import ModuleType


class RingtrueError(Exception):
    """Root of every error that ringtrue raises on purpose; the command line prints it as one line."""


class AudioError(RingtrueError):
    """A recording that cannot be read as speech: missing, empty, corrupt, not audio, not finite."""


class ConfigError(RingtrueError):
    """A configuration with an unknown key, a wrong type or a value out of range."""


class CorpusError(RingtrueError):
    """A corpus that is missing, malformed, too small or leaking between its splits."""


class ScoresError(RingtrueError):
    """Scores that no honest figure can be computed from: not finite, one class only, unlabelled."""


class CheckpointError(RingtrueError):
    """A model file that is missing, damaged or of a kind this version does not know."""


class MissingExtraError(RingtrueError):
    """An optional dependency that is not installed; the message names the extra that brings it."""


def require(module: str, extra: str) -> ModuleType:
    """Import an optional dependency or say which extra installs it.

    Args:
        module: Dotted module name, for example ``"torch"``.
        extra: The ringtrue extra that brings it, for example ``"train"``.

    Returns:
        The imported module.

    Raises:
        MissingExtraError: The module is not installed.

    >>> require("json", "train").dumps([1])
    '[1]'
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != module.split(".")[0]:
            raise  # installed, but something that it needs is broken: hiding that would mislead
        raise MissingExtraError(
            f"{error.name} is not installed and this needs it: pip install 'ringtrue[{extra}]'"
        ) from error
