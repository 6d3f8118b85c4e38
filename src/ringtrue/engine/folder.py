"""Rows of a part <-> a Parquet file in a folder, here or in an object store; written whole or not at all.

Each part is named by its trials and says in its footer what made it, with a hash of the whole file, so a folder shows
what is done and still as it was written: a run over one that is half full goes on from what is there, and two runs in
one folder write the same bytes under the same names.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ringtrue.data.corpora import store
from ringtrue.data.trials import Trial
from ringtrue.engine.listing import Part
from ringtrue.engine.work import Cells, Work
from ringtrue.errors import CorpusError, RingtrueError, require
from ringtrue.evaluation.parts import COMPLETE, FROM_TRIAL, MADE_BY, METADATA_KEY, is_whole, write_part
from ringtrue.files import atomic_path


@dataclass(frozen=True)
class Done:
    """A part that is in the folder.

    Attributes:
        name: Of the part.
        trials: Rows in it.
        unreadable: Those of them that have an error.
        is_new: Whether it was made just now.
    """

    name: str
    trials: int
    unreadable: int
    is_new: bool


class PartsFolder:
    """A folder of parts; plain values only, so that it can be sent to a worker.

    Args:
        place: A path or an address; made if needed.
        work: What fills it. Its columns come after what the trial itself says, and before ``error``.
        part_trials: Trials in a part: with another number, no part would be found again.
    """

    def __init__(self, place: str, work: Work, part_trials: int):
        self.place = place
        self._columns = dict(work.columns)
        self._made_by = {**work.made_by, "part_trials": part_trials}

    def begin(self) -> None:
        """Say in the folder what it is for, or see that it is for this.

        Raises:
            RingtrueError: It holds what other work made.
        """
        path = store.join(self.place, MADE_BY)
        if (found := self._read_json(path)) is not None and found != self._made_by:
            other = sorted(
                key for key in {*found, *self._made_by} if found.get(key) != self._made_by.get(key)
            )
            raise RingtrueError(
                f"{self.place} holds parts that were made otherwise ({', '.join(other)} differ); give another folder"
            )
        if found is None:
            self._write_json(path, self._made_by)

    def finish(self, done: Sequence[Done], facts: Mapping[str, Any]) -> None:
        """Say in the folder that it is complete, and of which parts.

        Args:
            done: All parts.
            facts: What else readers must know; plain values.
        """
        names = sorted(part.name for part in done)
        counts = {name: sum(getattr(part, name) for part in done) for name in ("trials", "unreadable")}
        self._write_json(store.join(self.place, COMPLETE), {**counts, **facts, "parts": names})

    def names(self) -> list[str]:
        """Name the parts of a complete folder.

        Raises:
            RingtrueError: It is not complete.
        """
        found = self._read_json(store.join(self.place, COMPLETE))
        if found is None:
            raise RingtrueError(
                f"{self.place} is not complete; the command that fills it goes on if it is run again"
            )
        return list(found["parts"])

    def find(self, part: Part) -> Done | None:
        """Look a part up, reading its file once: one that a fault has damaged, anywhere, is not there.

        Args:
            part: The part.

        Returns:
            What is known of it, or None if it is still to be made.
        """
        arrow, parquet = require("pyarrow", "cluster"), require("pyarrow.parquet", "cluster")
        try:
            content = self._get(part.name)
        except (OSError, CorpusError):
            return None
        if not is_whole(content):
            return None
        found = parquet.ParquetFile(arrow.BufferReader(content))
        made_by = json.loads(found.metadata.metadata[METADATA_KEY])
        if made_by != self._made_by or found.metadata.num_rows != len(part.trials):
            return None
        errors = sum(1 for error in found.read(columns=["error"])["error"].to_pylist() if error)
        return Done(part.name, len(part.trials), errors, is_new=False)

    def read(self, name: str) -> Any:
        """Read a part that is there.

        Args:
            name: Of the part.

        Returns:
            A ``pyarrow.Table``.

        Raises:
            RingtrueError: It is damaged.
        """
        arrow, parquet = require("pyarrow", "cluster"), require("pyarrow.parquet", "cluster")
        if not is_whole(content := self._get(name)):
            raise RingtrueError(
                f"{self._path(name)} is damaged; run the command that fills {self.place} again"
            )
        return parquet.read_table(arrow.BufferReader(content))

    def write(self, part: Part, rows: Sequence[Cells]) -> Done:
        """Write a part.

        Args:
            part: The part.
            rows: The cells of each of its trials, in order.

        Returns:
            What is known of it.
        """
        arrow = require("pyarrow", "cluster")
        columns: dict[str, Any] = {name: _values(part.trials, field) for name, field in FROM_TRIAL.items()}
        columns |= {
            name: arrow.array([row.get(name) for row in rows], type=kind)
            for name, kind in self._columns.items()
        }
        columns["error"] = arrow.array([row.get("error", "") for row in rows], type="string")
        self._put(self._path(part.name), write_part(arrow.table(columns), self._made_by))
        return Done(part.name, len(rows), sum(1 for row in rows if row.get("error")), is_new=True)

    def _path(self, name: str) -> str:
        return store.join(self.place, f"{name}.parquet")

    def _read_json(self, path: str) -> dict[str, Any] | None:
        try:
            if not store.is_address(path):
                content = Path(path).read_bytes()
            elif store.exists(path):
                content = store.read_bytes(path)
            else:
                return None
            return dict(json.loads(content))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise RingtrueError(
                f"{path} is damaged, or not of ringtrue; delete it and run the command that fills {self.place} again: "
                "parts say themselves what made them"
            ) from error

    def _write_json(self, path: str, value: Mapping[str, Any]) -> None:
        text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        self._put(path, text.encode())

    def _get(self, name: str) -> bytes:
        path = self._path(name)
        if not store.is_address(path):
            return Path(path).read_bytes()
        with store.open_file(path) as file:
            return bytes(file.read())

    def _put(self, path: str, content: bytes) -> None:
        if store.is_address(path):
            store.write_bytes(path, content)
            return
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)


def _values(trials: Iterable[Trial], field: str) -> Any:
    return require("pyarrow", "cluster").array([getattr(trial, field) for trial in trials], type="string")
