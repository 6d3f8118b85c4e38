"""A checkpoint -> one ONNX file with features inside and everything a verdict needs; refused unless outputs agree."""

from __future__ import annotations

import contextlib
import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ringtrue.errors import CheckpointError, require
from ringtrue.files import atomic_path, sha256_file
from ringtrue.inference.session import FORMAT, METADATA_KEY, open_session
from ringtrue.models import checkpoint
from ringtrue.windows import WINDOW

TOLERANCE = 1e-4  # largest difference of a logit between torch and ONNX Runtime
_LENGTHS = (1_600, 16_000, 40_123, WINDOW)  # samples at which they are compared


def export_onnx(source: str | Path, target: str | Path) -> Path:
    """Write a checkpoint as ONNX: waves `(B, T)` in, ``logits`` `(B, K)` and ``frame_logits`` `(B, K, L)` out.

    Args:
        source: A checkpoint that `ringtrue train` wrote.
        target: The ``.onnx`` file to write.

    Returns:
        The target.

    Raises:
        CheckpointError: The checkpoint is unfit, or ONNX Runtime's outputs differ from torch's.
        MissingExtraError: torch or onnx is absent.
    """
    torch = require("torch", "train")
    built, card = checkpoint.load(source)
    if card.architecture != "prosody_encoder":
        raise CheckpointError(
            f"{source} holds a {card.architecture}, whose front ends are not part of it and do not run without torch; "
            "only a prosody_encoder is exported"
        )
    model: Any = built

    class Detector(torch.nn.Module):  # type: ignore[misc, name-defined]
        """Both heads in one pass, so that the timeline costs nothing extra."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, wave):  # type: ignore[no-untyped-def]
            evidence = self.model.evidence(wave)
            return self.model.head(self.model.pooled(evidence)), self.model.frame_head(evidence)

    header = {"format": FORMAT, **asdict(card), "checkpoint_sha256": sha256_file(source)}
    metadata = {METADATA_KEY: json.dumps(header, sort_keys=True)}
    return write_graph(Detector().eval(), model.features, ("logits", "frame_logits"), metadata, target)


def write_graph(
    graph: Any, features: Any, outputs: Sequence[str], metadata: Mapping[str, str], target: str | Path
) -> Path:
    """Write a network that hears waves as ONNX, refused unless ONNX Runtime gives what torch gives.

    Args:
        graph: A torch module in evaluation mode: waves `(B, T)` in, one tensor for each of `outputs` out.
        features: The `LogFilterbank` inside it.
        outputs: Names of the outputs.
        metadata: What the file says of itself.
        target: The ``.onnx`` file to write.

    Returns:
        The target.

    Raises:
        CheckpointError: ONNX Runtime's outputs differ from torch's.
        MissingExtraError: torch or onnx is absent.
    """
    torch = require("torch", "train")
    onnx = require("onnx", "train")
    require("onnxscript", "train")
    shapes = ({0: torch.export.Dim("batch"), 1: torch.export.Dim("samples", min=1_000)},)
    features.as_convolution = True
    try:
        with _quiet(), atomic_path(target) as temporary:
            program = torch.onnx.export(
                graph,
                (torch.zeros(2, 16_000),),
                dynamo=True,
                dynamic_shapes=shapes,
                verbose=False,
                input_names=["wave"],
                output_names=list(outputs),
            )
            proto = _without_traces(program.model_proto)
            onnx.helper.set_model_props(proto, dict(metadata))
            onnx.save(proto, str(temporary))
            features.as_convolution = False
            _compare(torch, graph, outputs, temporary)
    finally:
        features.as_convolution = False
    return Path(target)


def export_pth(source: str | Path, target: str | Path) -> Path:
    """Write a checkpoint's weights as a plain state dict that ``torch.load(..., weights_only=True)`` reads.

    Args:
        source: A checkpoint that `ringtrue train` wrote.
        target: The ``.pth`` file to write.

    Returns:
        The target.

    Raises:
        CheckpointError: The checkpoint is unfit.
    """
    torch = require("torch", "train")
    model, _ = checkpoint.load(source)
    with atomic_path(target) as temporary:
        torch.save(model.state_dict(), temporary)
    return Path(target)


def _without_traces(proto: Any) -> Any:
    """Drop what the exporter notes for debugging: a fifth of the file, with paths of the machine that made it."""
    for part in (proto.graph, *proto.graph.node, *proto.graph.initializer, *proto.graph.input):
        part.doc_string = ""
        del part.metadata_props[:]
    del proto.graph.value_info[:]
    return proto


def _compare(torch, graph, outputs: Sequence[str], path: Path) -> None:  # type: ignore[no-untyped-def]
    """Refuse a graph whose outputs are not torch's, on noise of several lengths and levels."""
    session = open_session(path, threads=1)
    rng = np.random.default_rng(0)
    for count, length in enumerate(_LENGTHS, start=1):
        wave = (0.1 * rng.standard_normal((count, length)).cumsum(axis=1) / 50).astype(np.float32)
        with torch.inference_mode():
            expected = graph(torch.from_numpy(wave))
        for name, ours, theirs in zip(outputs, session.run(None, {"wave": wave}), expected, strict=True):
            error = float(np.abs(ours - theirs.numpy()).max())
            if not error <= TOLERANCE:
                raise CheckpointError(
                    f"not exported: {name} of ONNX Runtime and torch differ by {error:.2g} at {length} samples; "
                    f"accepted: {TOLERANCE:g}"
                )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's own progress and deprecation chatter from the user."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(None):
        warnings.simplefilter("ignore")
        previous = logging.root.manager.disable
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(previous)
