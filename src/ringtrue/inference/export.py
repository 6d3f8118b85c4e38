"""A checkpoint -> one ONNX file with features inside and everything a verdict needs; refused unless outputs agree."""

from __future__ import annotations

import contextlib
import copy
import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringtrue.audio import SAMPLE_RATE_HZ
from ringtrue.errors import CheckpointError, require
from ringtrue.files import atomic_path, sha256_file
from ringtrue.inference.session import FORMAT, METADATA_KEY, open_session
from ringtrue.models import checkpoint
from ringtrue.windows import HOP, WINDOW

TOLERANCE = 1e-4  # largest difference of a logit from what torch computes in double precision
_ROUNDING = TOLERANCE / 10  # where torch's own single precision is further off than this, so may the graph be
PREPROCESSING = {
    "input": "wave: float32 (B, T), mono, full scale 1",
    "sample_rate_hz": SAMPLE_RATE_HZ,
    "resampler": "soxr HQ",
    "window_samples": WINDOW,
    "hop_samples": HOP,
    "features": "inside the graph",
    "score": "logits[:, 1] - logits[:, 0], mean over windows; higher is more likely bona fide",
}
"""What must happen to a recording before it meets the graph, for those who use the file without ringtrue."""

_OPSET = 18  # from 19 on ONNX Runtime pools by a kernel that takes eight times as long
_LENGTHS = (1_600, 16_000, 40_123, WINDOW)  # samples at which they are compared


def export_onnx(
    source: str | Path,
    target: str | Path,
    *,
    speech: NDArray[np.float32] | None = None,
) -> Path:
    """Write a checkpoint as ONNX: waves `(B, T)` in, ``logits`` `(B, K)` and ``frame_logits`` `(B, K, L)` out.

    Args:
        source: A checkpoint that `ringtrue train` wrote.
        target: The ``.onnx`` file to write.
        speech: Real speech on which the outputs must agree too, `(N, T)`.

    Returns:
        The target.

    Raises:
        CheckpointError: The checkpoint is unfit, or ONNX Runtime's outputs differ from torch's.
        MissingExtraError: torch or onnx is absent.
    """
    torch = require("torch", "train")
    built, card = checkpoint.load(source)
    if not hasattr(built, "judge"):
        raise CheckpointError(
            f"{source} holds a {card.architecture}, whose front ends are not part of it and do not run without torch; "
            "what is exported is a model that judges clips and frames in one pass"
        )

    class Detector(torch.nn.Module):  # type: ignore[misc, name-defined]
        """Both heads in one pass, so that the timeline costs nothing extra."""

        def __init__(self, model: Any) -> None:
            super().__init__()
            self.model = model

        def forward(self, wave):  # type: ignore[no-untyped-def]
            return self.model.judge(wave)

    header = {
        "format": FORMAT,
        **asdict(card),
        "checkpoint_sha256": sha256_file(source),
        "precision": "fp32",
        "preprocessing": PREPROCESSING,
    }
    metadata = {METADATA_KEY: json.dumps(header, sort_keys=True)}
    return write_graph(Detector(built), ("logits", "frame_logits"), metadata, target, speech=speech)


def write_graph(
    graph: Any,
    outputs: Sequence[str],
    metadata: Mapping[str, str],
    target: str | Path,
    *,
    speech: NDArray[np.float32] | None = None,
    lengths: Sequence[int] = _LENGTHS,
) -> Path:
    """Write a network that hears waves as ONNX, refused unless ONNX Runtime gives what torch gives.

    Args:
        graph: A torch module: waves `(B, T)` in, one tensor for each of `outputs` out.
        outputs: Names of the outputs.
        metadata: What the file says of itself.
        target: The ``.onnx`` file to write.
        speech: As for `export_onnx`.
        lengths: Samples at which outputs are compared: none that the graph is not meant for.

    Returns:
        The target.

    Raises:
        CheckpointError: ONNX Runtime's outputs differ from torch's.
        MissingExtraError: torch or onnx is absent.
    """
    torch = require("torch", "train")
    onnx = require("onnx", "train")
    require("onnxscript", "train")
    from ringtrue.inference.fold import folded
    from ringtrue.models.features import LogFilterbank

    lean = folded(graph.eval())
    for module in lean.modules():
        if isinstance(module, LogFilterbank):
            module.for_onnx = True
    shapes = ({0: torch.export.Dim("batch"), 1: torch.export.Dim("samples", min=1_000)},)
    with _quiet(), atomic_path(target) as temporary:
        program = torch.onnx.export(
            lean,
            (torch.zeros(2, 16_000),),
            dynamo=True,
            dynamic_shapes=shapes,
            verbose=False,
            opset_version=_OPSET,
            input_names=["wave"],
            output_names=list(outputs),
        )
        proto = _without_traces(program.model_proto)
        onnx.helper.set_model_props(proto, dict(metadata))
        onnx.save(proto, str(temporary))
        _compare(torch, graph, outputs, temporary, speech, lengths)
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


def _compare(  # type: ignore[no-untyped-def]
    torch,
    graph,
    outputs: Sequence[str],
    path: Path,
    speech: NDArray[np.float32] | None,
    lengths: Sequence[int],
) -> None:
    """Refuse a graph whose outputs are not torch's, on noise of several lengths and levels and on real speech.

    Double precision is the truth: some models turn the rounding of a band near the floor into 1e-4 of a logit, and then
    torch's single precision is as far from the truth as the graph is.
    """
    session = open_session(path, threads=1)
    rng = np.random.default_rng(0)
    waves = [
        (0.1 * rng.standard_normal((count, length)).cumsum(axis=1) / 50).astype(np.float32)
        for count, length in enumerate(lengths, start=1)
    ]
    if speech is not None:
        waves += [speech[:8, :length] for length in lengths if length <= speech.shape[1]]
    exact = copy.deepcopy(graph).double()
    for wave in waves:
        heard = torch.from_numpy(np.ascontiguousarray(wave))
        with torch.inference_mode():
            results = zip(
                outputs, session.run(None, {"wave": wave}), graph(heard), exact(heard.double()), strict=True
            )
        for name, ours, single, double in results:
            truth = double.numpy()
            rounding = float(np.abs(single.numpy() - truth).max())
            accepted = TOLERANCE * max(1.0, rounding / _ROUNDING)
            error = float(np.abs(ours - truth).max())
            if not error <= accepted:
                raise CheckpointError(
                    f"not exported: {name} of ONNX Runtime and torch differ by {error:.2g} at {wave.shape[1]} samples; "
                    f"accepted: {accepted:.2g}"
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
