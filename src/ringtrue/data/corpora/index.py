"""A corpus that was listed once -> the same Trials in a second or two, for as long as nothing about it has changed.

Listing half a million files and reading their tables takes minutes on a slow disk, and a split of them is computed over
all. The index keeps the result, what was told of bad rows, and *stamps*: times of the folders, times and sizes of the
tables, the hub's revision. Where a stamp or our own code differs, the corpus is listed again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from ringtrue.data.corpora.rows import Progress
from ringtrue.data.trials import Trial
from ringtrue.errors import require
from ringtrue.files import cache_dir, stable_int, write_text

WORTH = 2_000
"""Trials from which on an index is kept: less is listed as quickly."""

_TABLES = (".csv", ".tsv", ".txt", ".parquet", ".tar", ".json", ".zip")
_HUB = "hf://datasets/"
_COLUMNS = [field.name for field in fields(Trial)]


def recall(
    source: str, roots: Sequence[Path], progress: Progress, read: Callable[[Progress], list[Trial]]
) -> list[Trial]:
    """Give a corpus from its index; list it, and keep the index, where there is none that holds.

    Args:
        source: What the user calls it.
        roots: Files and folders that it is read from.
        progress: Told what the listing told, too.
        read: Lists it.

    Returns:
        The trials.

    Raises:
        CorpusError: As `read` does.
    """
    places = [root.resolve() for root in roots]
    path = cache_dir() / "index" / f"{stable_int(source, *places, _code()):016x}.json"
    if (kept := _kept(path)) is not None:
        for line in kept["told"]:
            progress(line)
        return _unpack(kept["columns"])
    told: list[str] = []

    def tell(line: str) -> None:
        told.append(line)
        progress(line)

    trials = read(tell)
    if len(trials) >= WORTH:
        content = {"told": told, "stamps": _stamps(places, trials), "columns": _pack(trials)}
        write_text(path, json.dumps(content, ensure_ascii=False, separators=(",", ":")))
    return trials


def _kept(path: Path) -> dict[str, Any] | None:
    try:
        kept = json.loads(path.read_bytes())
        if all(_stamp(place) == stamp for place, stamp in kept["stamps"].items()):
            return dict(kept)
    except (OSError, ValueError, KeyError):
        pass  # no index, half an index, or another shape of it
    return None


def _stamps(roots: Iterable[Path], trials: Sequence[Trial]) -> dict[str, Any]:
    places = {str(root) for root in roots}
    for root in roots:
        for folder, _, names in os.walk(root):
            places.add(folder)
            places.update(f"{folder}/{name}" for name in names if name.endswith(_TABLES))
    for trial in trials:
        if trial.audio.startswith(_HUB):
            places.add(trial.audio.partition("@")[0])
        elif "#" not in trial.audio:
            places.add(os.path.dirname(trial.audio))  # noqa: PTH120  # strings: half a million of them
    return {place: _stamp(place) for place in sorted(places)}


def _stamp(place: str) -> Any:
    """Give what changes when a folder gains or loses a file, a table is written, or a repository moves on."""
    if place.startswith(_HUB):
        try:
            return str(require("huggingface_hub", "hub").HfApi().dataset_info(place.removeprefix(_HUB)).sha)
        except Exception:  # without a network nothing can be heard either; the listing will say why
            return None
    try:
        status = os.stat(place or ".")  # noqa: PTH116
    except OSError:
        return None
    return [status.st_mtime_ns, 0 if os.path.isdir(place or ".") else status.st_size]  # noqa: PTH112


def _pack(trials: Sequence[Trial]) -> dict[str, Any]:
    """Put trials down by column; a value that many share is written once, and shared again when it is read."""
    columns = {}
    for name in _COLUMNS:
        values = [getattr(trial, name) for trial in trials]
        numbers = {value: number for number, value in enumerate(dict.fromkeys(values))}
        columns[name] = (
            {"names": list(numbers), "numbers": [numbers[value] for value in values]}
            if 2 * len(numbers) < len(values)
            else {"values": values}
        )
    return columns


def _unpack(columns: dict[str, Any]) -> list[Trial]:
    values = []
    for name in _COLUMNS:
        column = columns[name]
        if "values" not in column:
            names = column["names"]
            column["values"] = [names[number] for number in column["numbers"]]
        values.append(column["values"])
    trials = []
    for row in zip(*values, strict=True):
        trial = object.__new__(Trial)  # a frozen dataclass's own __init__ takes twice as long as all the rest
        vars(trial).update(zip(_COLUMNS, row, strict=True))
        trials.append(trial)
    return trials


@cache
def _code() -> int:
    """Name the code that lists corpora, so that what older code listed is not believed."""
    folder = resources.files("ringtrue.data")
    inside = [item for place in (folder, folder / "corpora") for item in place.iterdir() if item.is_file()]
    return stable_int(*sorted(f"{item.name} {stable_int(item.read_bytes())}" for item in inside))
