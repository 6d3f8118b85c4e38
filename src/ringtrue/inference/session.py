"""An ONNX file -> a quiet, private ONNX Runtime session and the card inside it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from ringtrue.errors import CheckpointError

METADATA_KEY = "ringtrue"  # of the file's metadata: the card, as JSON
FORMAT = 1  # of that card
LABELS = ["spoof", "bonafide"]  # a detector's classes, in the order of its logits


def forbid_telemetry() -> None:
    """Turn the telemetry of ONNX Runtime off, here and in processes that are started from now on.

    Left alone, it makes a device id and a store of events in the user's cache when it is imported. A tool that
    people use on evidence must not.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def import_onnxruntime() -> ModuleType:
    """Import ONNX Runtime with its telemetry off.

    Returns:
        The module.
    """
    forbid_telemetry()
    import onnxruntime

    return onnxruntime


def open_session(path: Path, threads: int) -> Any:
    """Load a graph.

    Args:
        path: An ``.onnx`` file.
        threads: CPU threads that one call may use.

    Returns:
        An ``onnxruntime.InferenceSession``.

    Raises:
        CheckpointError: The file is missing or damaged.
    """
    if not path.is_file():
        raise CheckpointError(f"no model at {path}; give an .onnx file that `ringtrue export` wrote")
    runtime = import_onnxruntime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # its complaints come back as exceptions; standard error is ours
    try:
        return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises its own unrelated classes
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{path} is not a whole ONNX model: {reason}") from error


def read_card(session: Any, path: Path) -> dict[str, Any]:
    """Read and check the card of a detector.

    Args:
        session: Its session.
        path: Its file, for messages.

    Returns:
        The card; see `ringtrue.models.checkpoint.ModelCard` for what is in it.

    Raises:
        CheckpointError: ringtrue did not write it, or it is no detector of a format known here.
    """
    text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if text is None:
        raise CheckpointError(f"{path} is an ONNX model that ringtrue did not write")
    try:
        card: dict[str, Any] = json.loads(text)
        version, labels = card["format"], card["labels"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path}: its card is damaged: {error}") from error
    if version != FORMAT:
        raise CheckpointError(
            f"{path} has format {version!r}; this version of ringtrue reads format {FORMAT}"
        )
    if labels != LABELS:
        raise CheckpointError(f"{path} tells {labels} apart; a detector's labels are {LABELS}")
    return card


def update_card(model: Any, values: Mapping[str, Any]) -> None:
    """Change what the card inside a model says.

    Args:
        model: An ``onnx.ModelProto`` with a card; changed in place.
        values: Plain JSON values by name; what the card has under other names stays.
    """
    for entry in model.metadata_props:
        if entry.key == METADATA_KEY:
            entry.value = json.dumps({**json.loads(entry.value), **values}, sort_keys=True)
