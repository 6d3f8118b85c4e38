"""An exported model -> a smaller one: static int8 for the network, or weights in half precision."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringtrue.errors import CheckpointError, require
from ringtrue.files import atomic_path
from ringtrue.inference.session import METADATA_KEY, import_onnxruntime, open_session, update_card

LEAST_WINDOWS = 16  # fewer say too little about the range of an activation
HALF_TOLERANCE = 0.02  # largest difference of a logit between half-precision and full weights

_QUANTISED = ("Conv", "Gemm", "MatMul")
_NETWORK = "model.trunk."  # weights whose products are quantised: the features' logarithms need every digit


def write_int8(exported: str | Path, target: str | Path, windows: NDArray[np.float32]) -> Path:
    """Quantise the trunk's convolutions, weights by channel and activations by what real speech makes of them.

    The features, the pooling and the heads stay in float32: they are a tenth of the work, and an error in a
    log-spectrum or in attention weights would reach everything behind them.

    Args:
        exported: An ``.onnx`` file of a float32 detector.
        target: The ``.onnx`` file to write.
        windows: Speech of both classes that training may hear, `(N, T)`, N at least 16; from it the
            ranges of the activations are taken.

    Returns:
        The target. Whether it is as good as the original is for `ringtrue.packing` to say.

    Raises:
        CheckpointError: The file is no float32 detector, or there are too few windows.
        MissingExtraError: onnx is absent.
    """
    onnx = require("onnx", "train")
    runtime = import_onnxruntime()
    if len(windows) < LEAST_WINDOWS:
        raise CheckpointError(
            f"int8 needs {LEAST_WINDOWS} windows of speech to take ranges from, not {len(windows)}"
        )
    model = _load(onnx, exported)
    weights = {tensor.name for tensor in model.graph.initializer if tensor.name.startswith(_NETWORK)}
    nodes = [
        node.name for node in model.graph.node if node.op_type in _QUANTISED and weights & set(node.input)
    ]
    if not nodes:
        raise CheckpointError(f"{exported} has no convolution of a trunk to quantise")
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    previous = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with tempfile.TemporaryDirectory() as folder, atomic_path(target) as temporary:
            quantize_static(
                str(exported),
                str(Path(folder) / "int8.onnx"),
                _Reader(windows),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                reduce_range=True,  # 7-bit weights: 8 bits overflow on processors without VNNI
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                nodes_to_quantize=nodes,
                calibrate_method=CalibrationMethod.MinMax,
            )
            quantised = onnx.load(Path(folder) / "int8.onnx")
            update_card(quantised, {"precision": "int8"})
            onnx.save(quantised, str(temporary))
    except runtime.capi.onnxruntime_pybind11_state.Fail as error:
        raise CheckpointError(f"{exported} could not be quantised: {error}") from error
    finally:
        logging.disable(previous)
    return Path(target)


def write_half(exported: str | Path, target: str | Path) -> Path:
    """Store weights in half precision; ONNX Runtime widens them when it loads, so the speed is that of float32.

    Args:
        exported: An ``.onnx`` file of a float32 detector.
        target: The ``.onnx`` file to write.

    Returns:
        The target.

    Raises:
        CheckpointError: The file is no float32 detector, or logits differ by more than `HALF_TOLERANCE`.
        MissingExtraError: onnx is absent.
    """
    onnx = require("onnx", "train")
    model = _load(onnx, exported)
    casts = []
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < 64:
            continue
        name = tensor.name
        tensor.CopyFrom(onnx.numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
        casts.append(
            onnx.helper.make_node(
                "Cast", [f"{name}.half"], [name], name=f"widen {name}", to=onnx.TensorProto.FLOAT
            )
        )
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    update_card(model, {"precision": "fp16"})
    with atomic_path(target) as temporary:
        onnx.save(model, str(temporary))
        _compare(Path(exported), temporary)
    return Path(target)


class _Reader:
    """Gives the quantiser one window after the other."""

    def __init__(self, windows: NDArray[np.float32]):
        self._feed = iter(windows)

    def __iter__(self) -> Iterator[dict[str, NDArray[np.float32]]]:
        return self

    def __next__(self) -> dict[str, NDArray[np.float32]]:
        if (feed := self.get_next()) is None:
            raise StopIteration
        return feed

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        window = next(self._feed, None)
        return None if window is None else {"wave": window[np.newaxis]}


def _load(onnx: Any, exported: str | Path) -> Any:
    if not Path(exported).is_file():
        raise CheckpointError(f"no model at {exported}")
    model = onnx.load(str(exported))
    if not any(entry.key == METADATA_KEY for entry in model.metadata_props):
        raise CheckpointError(f"{exported} is an ONNX model that ringtrue did not write")
    return model


def _compare(exported: Path, smaller: Path) -> None:
    wave = (0.1 * np.random.default_rng(0).standard_normal((2, 64_000)).cumsum(axis=1) / 50).astype(
        np.float32
    )
    full, half = (
        open_session(path, threads=1).run(["logits"], {"wave": wave})[0] for path in (exported, smaller)
    )
    error = float(np.abs(full - half).max())
    if not error <= HALF_TOLERANCE:
        raise CheckpointError(
            f"not written: logits of half-precision weights differ by {error:.2g}; accepted: {HALF_TOLERANCE:g}"
        )
