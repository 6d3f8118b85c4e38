"""Models and optimisers mid-run <-> one file that a run goes on from, with the one before it beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ringtrue.errors import CheckpointError
from ringtrue.tensors import load_tensors, save_tensors

Player = nn.Module | torch.optim.Optimizer


@dataclass(frozen=True)
class State:
    """What a run goes on from.

    Attributes:
        tensors: Those of every module and optimiser, by name.
        counters: JSON values: step, best figures.
    """

    tensors: Mapping[str, Tensor]
    counters: dict[str, Any]


def save(path: Path, players: Mapping[str, Player], counters: Mapping[str, Any]) -> None:
    """Write everything that a run needs to go on; the file that was there is kept beside it.

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
    save_tensors(path, tensors, {"counters": json.dumps(dict(counters))}, previous=_before(path))


def read(path: Path, say: Callable[[str], None]) -> State | None:
    """Read the state that was saved last, or the one before it where a fault has spoilt that.

    Args:
        path: A file that `save` wrote.
        say: Told where the state before the last one is taken, which then becomes the last.

    Returns:
        The state; None where nothing was saved.

    Raises:
        CheckpointError: Every state that was saved is damaged.
    """
    fault = None
    for file in (path, _before(path)):
        if not file.exists():
            continue
        try:
            tensors, metadata = load_tensors(file)
            state = State(tensors, json.loads(metadata["counters"]))
        except (CheckpointError, KeyError, ValueError) as error:
            fault = fault or error
            continue
        if file != path:
            say(f"{fault or f'there is no file {path}'}; going on from the state before it")
            file.replace(path)
        return state
    if fault is not None:
        raise CheckpointError(f"{fault}, and no other state is whole; remove it to train from the start")
    return None


def restore(state: State, players: Mapping[str, Player]) -> None:
    """Put a state back into models and optimisers of the same shape.

    Args:
        state: What `read` gave.
        players: Fresh modules and optimisers under the names that they were saved by.

    Raises:
        CheckpointError: It belongs to another run.
    """
    try:
        for name, player in players.items():
            own = {
                k.removeprefix(f"{name}/"): v for k, v in state.tensors.items() if k.startswith(f"{name}/")
            }
            _restore(player, own)
    except (KeyError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"the saved state is of another run ({error}); remove it to train from the start"
        ) from error


def _before(path: Path) -> Path:
    return path.with_stem(f"{path.stem}.before")


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
