"""Models and optimisers mid-run <-> one file that a run goes on from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ringtrue.errors import CheckpointError
from ringtrue.tensors import load_tensors, save_tensors

Player = nn.Module | torch.optim.Optimizer


def save(path: Path, players: Mapping[str, Player], counters: Mapping[str, Any]) -> None:
    """Write everything that a run needs to go on.

    Args:
        path: The file to write.
        players: Modules and optimisers by name.
        counters: JSON values: step, best figures.
    """
    tensors = {
        f"{name}/{key}": tensor
        for name, player in players.items()
        for key, tensor in _tensors(player).items()
    }
    save_tensors(path, tensors, {"counters": json.dumps(dict(counters))})


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
    try:
        tensors, metadata = load_tensors(path)
        counters: dict[str, Any] = json.loads(metadata["counters"])
        for name, player in players.items():
            own = {k.removeprefix(f"{name}/"): v for k, v in tensors.items() if k.startswith(f"{name}/")}
            _restore(player, own)
    except (CheckpointError, KeyError, ValueError, RuntimeError) as error:
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
