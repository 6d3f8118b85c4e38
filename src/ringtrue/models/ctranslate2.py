"""A CTranslate2 Whisper folder (what faster-whisper downloads) -> the encoder's weights under transformers' names.

`model.bin` is little-endian: version u32, specification string, revision u32, variable count u32; then for each
variable its name, rank u8, shape u32 each, data type u8, size in bytes u32, and the data. A string is its length as u16
and bytes that end in NUL. Nothing in it can run.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ringtrue.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

_VERSION = 6
_TYPES = {0: "<f4", 1: "<i1", 2: "<i2", 3: "<i4", 4: "<f2"}
_HEAD_DIM = 64  # every Whisper size has heads of 64


def is_ctranslate2_folder(path: str | Path) -> bool:
    """Say whether a folder holds a CTranslate2 model.

    Args:
        path: Any path or hub name.

    Returns:
        True if it is a folder with a ``model.bin`` and no transformers weights.
    """
    folder = Path(path)
    return (folder / "model.bin").is_file() and not any(folder.glob("*.safetensors"))


def read_whisper_encoder(path: str | Path) -> tuple[dict[str, Tensor], int]:
    """Read the encoder of a CTranslate2 Whisper model.

    Args:
        path: Its ``model.bin``; float32, float16 or int8.

    Returns:
        Float32 tensors under the names of ``transformers.WhisperModel.encoder``, and the number of heads.

    Raises:
        CheckpointError: The file is cut short, or is not a Whisper model of a version known here.
    """
    import torch

    variables = _read_variables(Path(path))
    weights: dict[str, NDArray[np.float32]] = {}
    for name, values in variables.items():
        if name.startswith("encoder/") and not name.endswith(("_scale", "num_heads")):
            weights.update(_translate(name, _dequantise(values, variables.get(f"{name}_scale"))))
    if "conv1.weight" not in weights:
        raise CheckpointError(f"{path} is a CTranslate2 model without a Whisper encoder")
    heads = weights["conv1.weight"].shape[0] // _HEAD_DIM
    return {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in weights.items()}, heads


def _read_variables(path: Path) -> dict[str, NDArray[np.generic]]:
    with path.open("rb") as file:
        try:
            (version,) = _unpack(file, "<I")
            specification = _string(file)
            if version != _VERSION or specification != "WhisperSpec":
                raise CheckpointError(
                    f"{path} is {specification!r} in format {version}; accepted: 'WhisperSpec' in format {_VERSION}"
                )
            _, count = _unpack(file, "<II")
            return dict(_variable(file) for _ in range(count))
        except (struct.error, UnicodeDecodeError, KeyError, ValueError) as error:
            raise CheckpointError(f"{path} is damaged or no CTranslate2 model: {error}") from error


def _variable(file: BinaryIO) -> tuple[str, NDArray[np.generic]]:
    name = _string(file)
    (rank,) = _unpack(file, "<B")
    shape = _unpack(file, f"<{rank}I")
    kind, size = _unpack(file, "<BI")
    data = file.read(size)
    if len(data) != size:
        raise struct.error(f"{name} ends early")
    return name, np.frombuffer(data, dtype=_TYPES[kind]).reshape(shape)


def _string(file: BinaryIO) -> str:
    (length,) = _unpack(file, "<H")
    return file.read(length).rstrip(b"\0").decode("utf-8")


def _unpack(file: BinaryIO, layout: str) -> tuple[int, ...]:
    return struct.unpack(layout, file.read(struct.calcsize(layout)))


def _dequantise(values: NDArray[np.generic], scale: NDArray[np.generic] | None) -> NDArray[np.float32]:
    floats = values.astype(np.float32)
    if scale is None:
        return floats
    return floats / scale.astype(np.float32).reshape(-1, *(1,) * (floats.ndim - 1))


def _translate(name: str, value: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Give one variable the name, or the three names, that transformers uses."""
    parts = name.split("/")[1:]
    leaf = {"gamma": "weight", "beta": "bias"}.get(parts[-1], parts[-1])
    if parts[0] in ("conv1", "conv2", "layer_norm"):
        return {f"{parts[0]}.{leaf}": value}
    if parts[0] == "position_encodings":
        return {"embed_positions.weight": value}
    layer = f"layers.{parts[0].removeprefix('layer_')}"
    block, inner = parts[1], parts[2]
    if block == "ffn":
        renamed = {"layer_norm": "final_layer_norm", "linear_0": "fc1", "linear_1": "fc2"}[inner]
        return {f"{layer}.{renamed}.{leaf}": value}
    if inner == "layer_norm":
        return {f"{layer}.self_attn_layer_norm.{leaf}": value}
    if inner == "linear_1":
        return {f"{layer}.self_attn.out_proj.{leaf}": value}
    query, key, val = np.split(value, 3)
    split = {f"{layer}.self_attn.q_proj.{leaf}": query, f"{layer}.self_attn.v_proj.{leaf}": val}
    if leaf == "weight":  # Whisper's keys have no bias; CTranslate2 stores zeros for it
        split[f"{layer}.self_attn.k_proj.{leaf}"] = key
    return split
