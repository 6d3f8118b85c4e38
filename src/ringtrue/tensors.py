"""Named tensors <-> one safetensors file, whole or absent, known by its hash; reading one can never run code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ringtrue.errors import CheckpointError
from ringtrue.files import atomic_path

if TYPE_CHECKING:
    from torch import Tensor

_DIGEST = "sha256"  # in the metadata: of everything else in the file


def save_tensors(
    path: str | Path,
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, str],
    previous: Path | None = None,
) -> None:
    """Write tensors atomically.

    Args:
        path: The file to write.
        tensors: By name, any shapes.
        metadata: Text by key.
        previous: Where the old file goes, if it is to be kept.

    Raises:
        OSError: It cannot be written: a full disk, a folder that may not be. The old file is still there.
    """
    from safetensors.torch import save

    plain = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    # Serialised in memory and written here: the library's own writer hides a full disk in a class of its own.
    content = _in_order(save(plain, metadata={**metadata, _DIGEST: _digest(plain, metadata)}))
    with atomic_path(path, previous) as temporary:
        temporary.write_bytes(content)


def load_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read tensors and metadata.

    Args:
        path: A safetensors file.

    Returns:
        The tensors by name, and the metadata.

    Raises:
        CheckpointError: The file is missing, not whole, or not what was written. Files of other programs, which
            state no hash, are taken as they are.
    """
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise CheckpointError(f"there is no file {path}")
    try:
        with safe_open(str(path), framework="pt") as file:
            tensors, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is not a whole safetensors file: {error}") from error
    if (digest := metadata.pop(_DIGEST, None)) is not None and digest != _digest(tensors, metadata):
        raise CheckpointError(f"{path} is damaged: its content has another hash than when it was written")
    return tensors, metadata


def _in_order(content: bytes) -> bytes:
    """Sort the metadata, which the library writes in any order: the same model is the same file."""
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at multiples of eight bytes
    return b"".join([len(text).to_bytes(8, "little"), text, content[start:]])


def _digest(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    import torch

    digest = hashlib.sha256(json.dumps(dict(metadata), sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
