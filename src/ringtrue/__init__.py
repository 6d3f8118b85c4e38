"""Does this voice ring true? Recordings in -> calibrated verdicts, honest figures, the models behind them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ringtrue.data.corpora import load_corpus
    from ringtrue.errors import RingtrueError
    from ringtrue.evaluation import metrics
    from ringtrue.inference.runtime import Detector, check
    from ringtrue.inference.verdict import Segment, Verdict

__version__ = "0.1.0"

__all__ = [
    "Detector",
    "RingtrueError",
    "Segment",
    "Verdict",
    "__version__",
    "check",
    "load_corpus",
    "metrics",
]

_HOMES = {
    "Detector": "ringtrue.inference.runtime",
    "RingtrueError": "ringtrue.errors",
    "Segment": "ringtrue.inference.verdict",
    "Verdict": "ringtrue.inference.verdict",
    "check": "ringtrue.inference.runtime",
    "load_corpus": "ringtrue.data.corpora",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import ringtrue` costs nothing."""
    if name == "metrics":
        return importlib.import_module("ringtrue.evaluation.metrics")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"ringtrue has no {name!r}; public: {', '.join(__all__)}")


def __dir__() -> list[str]:
    """List the public names."""
    return __all__
