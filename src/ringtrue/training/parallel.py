"""One process, or several that torchrun started -> one run: the trunk's work is shared out, the rest is repeated.

Each process hears its part of every batch. Evidence is gathered before anything is pooled or compared, so that
penalties which look across a batch see all of it, and every process takes the same step as one process would.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

T = TypeVar("T")


@dataclass(frozen=True)
class Team:
    """The processes of a run.

    Attributes:
        rank: Number of this one.
        size: How many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    def gather(self, part: Tensor) -> Tensor:
        """Join the processes' parts `(b, ...)` to the whole batch `(B, ...)`; the gradient flows to one's own part."""
        if self.size == 1:
            return part
        parts = [torch.empty_like(part) for _ in range(self.size)]
        torch.distributed.all_gather(parts, part.detach().contiguous())
        parts[self.rank] = part
        return torch.cat(parts)

    def gather_names(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Join the processes' names."""
        if self.size == 1:
            return names
        parts: list[tuple[str, ...]] = [()] * self.size
        torch.distributed.all_gather_object(parts, names)
        return tuple(name for part in parts for name in part)

    def share(self, find: Callable[[], T]) -> T:
        """Let the first process find something, and give it to all: the others need not see its disk."""
        if self.size == 1:
            return find()
        box = [find() if self.leads else None]
        torch.distributed.broadcast_object_list(box)
        return box[0]  # type: ignore[return-value]

    def total(self, value: float) -> Tensor:
        """Sum a number over the processes."""
        total = torch.tensor(float(value))
        if self.size > 1:
            total = total.to("cuda" if torch.distributed.get_backend() == "nccl" else "cpu")
            torch.distributed.all_reduce(total)
        return total

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Sum gradients of parameters that each process has learnt a part of."""
        if self.size == 1:
            return
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            torch.distributed.all_reduce(parameter.grad)

    def wait(self) -> None:
        """Go on when all have come this far."""
        if self.size > 1:
            torch.distributed.barrier()


def join_team() -> Team:
    """Join the processes that torchrun started, or be alone.

    Returns:
        The team that the environment variables ``RANK`` and ``WORLD_SIZE`` tell of.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return Team()
    if not torch.distributed.is_initialized():
        if torch.cuda.is_available():  # or all processes of a machine would take its first GPU
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        # torchrun keeps one store over its restarts: without a name for each, processes find the addresses of the dead.
        store, rank, size = next(torch.distributed.rendezvous("env://"))  # type: ignore[attr-defined]
        store = torch.distributed.PrefixStore(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"), store)  # type: ignore[attr-defined]
        backend = "nccl" if torch.cuda.is_available() else "gloo"
        torch.distributed.init_process_group(backend, store=store, rank=rank, world_size=size)
    return Team(torch.distributed.get_rank(), size)
