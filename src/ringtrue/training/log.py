"""Figures of a run -> two files of JSON lines and TensorBoard events that no kill leaves with a gap or a double."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from ringtrue.files import write_text

_EVERY = 10  # steps that share a line


class RunLog:
    """`log.jsonl`: a line an epoch. `steps.jsonl`: means over every ten steps of all that a step reports.

    What was written after the state that a run goes on from is dropped when it does, or it would stand twice.

    Args:
        run: Run folder.
        step: Steps that the state holds.
    """

    def __init__(self, run: Path, step: int):
        from torch.utils.tensorboard import SummaryWriter

        self._epochs = _Lines(run / "log.jsonl", step)
        self._steps = _Lines(run / "steps.jsonl", step)
        self._board = SummaryWriter(str(run / "events"), purge_step=step + 1 if step else None)
        self._heard: dict[str, list[float]] = defaultdict(list)
        self._last = step

    def step(self, step: int, figures: Mapping[str, float]) -> None:
        """Take the figures of step number `step`, counted from 1."""
        for name, value in figures.items():
            self._heard[name].append(value)
        self._last = step
        if step % _EVERY == 0:
            self._summarise()

    def epoch(self, step: int, figures: Mapping[str, float]) -> None:
        """Write the figures of an epoch that ended with step number `step`."""
        self._epochs.add(step, figures)
        self._epochs.write()
        self._show("epoch", step, figures)

    def save(self) -> None:
        """Write what has come since; before the state that includes it is saved."""
        self._summarise()
        self._steps.write()
        self._board.flush()

    def close(self) -> None:
        """Finish the events file."""
        self.save()
        self._board.close()

    def _summarise(self) -> None:
        if self._heard:
            means = {name: sum(values) / len(values) for name, values in self._heard.items()}
            self._heard.clear()
            self._steps.add(self._last, means)
            self._show("step", self._last, means)

    def _show(self, kind: str, step: int, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            self._board.add_scalar(f"{kind}/{name}", value, step)


class _Lines:
    def __init__(self, path: Path, step: int):
        self.path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        self.lines = [line for line in lines if json.loads(line)["step"] <= step]

    def add(self, step: int, figures: Mapping[str, float]) -> None:
        self.lines.append(json.dumps({"step": step, **figures}))

    def write(self) -> None:
        if self.lines:
            write_text(self.path, "\n".join(self.lines) + "\n")
