"""A corpus's trials, or addresses of tables and folders -> parts: the trials that are worked on and written together.

A corpus is checked as a whole (ids are unique, nothing leaks), so its table is held in memory. An address (``s3://…``,
``file://…``) is read as a stream, row by row, for what does not fit there: labels may be missing, and a row that names
no recording becomes a row with an error.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from itertools import islice
from pathlib import PurePosixPath
from typing import Any

from ringtrue.audio.find import AUDIO_SUFFIXES
from ringtrue.data.corpora import parquet, store, table
from ringtrue.data.trials import Trial, fingerprint
from ringtrue.errors import CorpusError

_TABLES = {".csv": ",", ".tsv": "\t"}
_BLOCK_BYTES = 1 << 20  # of a text table that are read at a time
_LONGEST_ROW = 1 << 20  # characters: a row that never ends would be held whole
_TEXTS = tuple(field.name for field in fields(Trial) if field.name != "duration_s")


@dataclass(frozen=True)
class Part:
    """Trials that are worked on and written together.

    Attributes:
        trials: At least one.
    """

    trials: tuple[Trial, ...]

    @cached_property
    def name(self) -> str:
        """Name the part by all that is known of its trials; see `fingerprint`."""
        return fingerprint(self.trials)

    def to_json(self) -> str:
        """Write the part as text, to be sent to another machine."""
        return json.dumps([asdict(trial) for trial in self.trials])

    @classmethod
    def from_json(cls, text: str) -> Part:
        """Read what `to_json` wrote."""
        return cls(tuple(Trial(**values) for values in json.loads(text)))


@dataclass(frozen=True)
class Listing:
    """What there is to do: the trials of a corpus, or tables and folders at addresses.

    Attributes:
        part_trials: Trials in a part, > 0.
        trials: Of a corpus.
        addresses: Each a Parquet file, a ``.csv``, a ``.tsv``, or a folder of recordings; see `find_tables`.
        splits: Rows at addresses that name another split are passed over; those that name none are taken.
    """

    part_trials: int
    trials: tuple[Trial, ...] = ()
    addresses: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()

    def parts(self) -> Iterator[Part]:
        """Cut the listing, in order; no part reaches over two addresses.

        Yields:
            Parts, as they are read.

        Raises:
            CorpusError: An address cannot be read.
        """
        yield from self._cut(self.trials)
        for address in self.addresses:
            yield from self._cut(
                trial for trial in _rows(address) if not trial.split or trial.split in self.splits
            )

    def at(self, address: str) -> Listing:
        """Give the listing of one of the addresses: these can be read by different machines."""
        return replace(self, trials=(), addresses=(address,))

    def _cut(self, trials: Iterable[Trial]) -> Iterator[Part]:
        rest = iter(trials)
        while taken := tuple(islice(rest, self.part_trials)):
            yield Part(taken)


def find_tables(address: str) -> tuple[str, ...]:
    """Say what at an address can be read on its own.

    Args:
        address: A table, a folder with tables (``.parquet``, ``.csv``, ``.tsv``) at any depth, or one of recordings.

    Returns:
        The tables in order of name, or the folder itself as soon as a recording is met in it, whose tables then are not
        read: a folder of a billion is not listed twice.

    Raises:
        CorpusError: Nothing is there, or it may not be read.
    """
    if PurePosixPath(address).suffix.lower() in (*_TABLES, ".parquet"):
        return (address,)
    found = []
    for below in store.walk(address):
        suffix = PurePosixPath(below).suffix.lower()
        if suffix in AUDIO_SUFFIXES:
            return (address,)
        if suffix in (*_TABLES, ".parquet"):
            found.append(below)
    if not found:
        raise CorpusError(
            f"{address} holds neither recordings ({' '.join(sorted(AUDIO_SUFFIXES))}) nor tables (.parquet .csv .tsv)"
        )
    return tuple(found)


def _rows(address: str) -> Iterator[Trial]:
    suffix = PurePosixPath(address).suffix.lower()
    folder = address.rpartition("/")[0]
    if suffix == ".parquet":
        local = _here(address)
        for number, row, sound in parquet.rows(local):
            yield _trial(row, sound, folder, f"{address}#{number}")
    elif suffix in _TABLES:
        with store.open_file(address) as file:
            text = io.TextIOWrapper(io.BufferedReader(file, _BLOCK_BYTES), encoding="utf-8-sig", newline="")
            try:
                for number, row in enumerate(_cells(text, _TABLES[suffix]), start=2):
                    yield _trial(row, "", folder, f"{address}, line {number}")
            except (UnicodeDecodeError, csv.Error) as error:
                raise CorpusError(f"{address} cannot be read as a UTF-8 table: {error}") from error
    else:
        for below in store.walk(address):
            if PurePosixPath(below).suffix.lower() in AUDIO_SUFFIXES:
                yield Trial(below.removeprefix(address).lstrip("/"), _here(below), "")


def _cells(text: io.TextIOWrapper, delimiter: str) -> Iterator[dict[str, Any]]:
    """Read a text table's rows, none of them longer than `_LONGEST_ROW`."""
    taken = 0

    def lines() -> Iterator[str]:
        nonlocal taken
        while line := text.readline(_LONGEST_ROW):
            taken += len(line)
            if taken >= _LONGEST_ROW:
                raise csv.Error(f"a row has {_LONGEST_ROW:,} characters or more")
            yield line

    for row in csv.DictReader(lines(), delimiter=delimiter):
        taken = 0
        yield row


def _trial(row: dict[str, Any], sound: str, folder: str, place: str) -> Trial:
    """Make a trial of a row; words that we do not know are kept, for `evaluate` to ask what they mean."""
    values: dict[str, Any] = {name: table.cell(row, name) for name in _TEXTS}
    named = values["audio"]
    values["audio"] = sound or (_here(store.join(folder, named)) if named else f"{place}: no recording named")
    values["id"] = values["id"] or named or place
    values["label"] = table.known_label(values["label"])
    values["split"] = table.known_split(values["split"])
    return Trial(**values)


def _here(address: str) -> str:
    """Give the path of what an address says is on this machine; other addresses stay."""
    return address.removeprefix(store.LOCAL) if address.startswith(store.LOCAL) else address
