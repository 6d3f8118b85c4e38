"""Named tensors <-> one safetensors file, whole or absent; reading one can never run code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ringtrue.errors import CheckpointError
from ringtrue.files import atomic_path

if TYPE_CHECKING:
    from torch import Tensor


def save_tensors(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors atomically.

    Args:
        path: The file to write.
        tensors: By name, any shapes.
        metadata: Text by key.

    Raises:
        OSError: It cannot be written: a full disk, a folder that may not be. The old file is still there.
    """
    from safetensors.torch import save

    plain = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    # Serialised in memory and written here: the library's own writer hides a full disk in a class of its own.
    content = save(plain, metadata=dict(metadata))
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def load_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read tensors and metadata.

    Args:
        path: A safetensors file.

    Returns:
        The tensors by name, and the metadata.

    Raises:
        CheckpointError: The file is missing or not whole.
    """
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise CheckpointError(f"there is no file {path}")
    try:
        with safe_open(str(path), framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is not a whole safetensors file: {error}") from error
