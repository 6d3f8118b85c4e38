"""Models and optimisers mid-run <-> one safetensors file, whole or absent, that cannot run code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ringtrue.errors import CheckpointError
from ringtrue.files import atomic_path

Player = nn.Module | torch.optim.Optimizer


def save(path: Path, players: Mapping[str, Player], counters: Mapping[str, Any]) -> None:
    """Write everything that a run needs to go on.

    Args:
        path: The file to write.
        players: Modules and optimisers by name.
        counters: JSON values: step, best figures.
    """
    from safetensors.torch import save_file

    tensors = {}
    for name, player in players.items():
        for key, tensor in _tensors(player).items():
            tensors[f"{name}/{key}"] = tensor.detach().contiguous()
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={"counters": json.dumps(dict(counters))})


def load(path: Path, players: Mapping[str, Player]) -> dict[str, Any]:
    """Put a saved state back into models and optimisers of the same shape.

    Args:
        path: A file that `save` wrote.
        players: Fresh modules and optimisers under the same names.

    Returns:
        The counters.

    Raises:
        CheckpointError: The file is damaged or belongs to another run.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            counters: dict[str, Any] = json.loads(file.metadata()["counters"])
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        for name, player in players.items():
            own = {
                key.removeprefix(f"{name}/"): value
                for key, value in tensors.items()
                if key.startswith(f"{name}/")
            }
            _restore(player, own)
    except (SafetensorError, OSError, KeyError, RuntimeError) as error:
        raise CheckpointError(
            f"{path} is damaged or of another run ({error}); remove it to train from the start"
        ) from error
    return counters


def _tensors(player: Player) -> dict[str, Tensor]:
    if isinstance(player, nn.Module):
        return dict(player.state_dict())
    moments = player.state_dict()["state"]
    return {f"{index}/{key}": value for index, values in moments.items() for key, value in values.items()}


def _restore(player: Player, tensors: Mapping[str, Tensor]) -> None:
    if isinstance(player, nn.Module):
        player.load_state_dict(tensors)
        return
    moments: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split("/")
        moments.setdefault(int(index), {})[name] = value
    player.load_state_dict({"state": moments, "param_groups": player.state_dict()["param_groups"]})
