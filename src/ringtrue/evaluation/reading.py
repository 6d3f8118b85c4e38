"""A file of scores or of keys, in any layout the field uses -> named columns; read once, repairing nothing."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ringtrue.errors import ScoresError, require
from ringtrue.evaluation.layouts import (
    ROLE_OF,
    is_header,
    is_number,
    name_header,
    name_layout,
    require_columns,
)
from ringtrue.evaluation.names import Blocks, Names, NamesBuilder

_ROWS = 8_192  # read at once
_LETTERS = 1 << 18  # the same where lines are cut without looking at each
_NOT_TEXT = frozenset(range(9))  # control bytes below the tab
_HEAD_BYTES = 1 << 16
_LONGEST_LINE = 1 << 20


@dataclass
class Columns:
    """What a file holds.

    Attributes:
        path: The file.
        text: Columns by name, all but the score.
        scores: The score, where there is one.
        metadata: What its comment line says.
    """

    path: Path
    text: dict[str, Names]
    scores: NDArray[np.float64] | None
    metadata: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.text["trial"])


def read_columns(path: str | Path, needs: Sequence[str], columns: Mapping[str, str] | None = None) -> Columns:
    """Read a table of scores or keys once, in pieces of some ten thousand rows.

    Memory: 8 bytes for each score, and text as `Names` has it; together less than the file takes on disk. Never
    the whole text, and never a column twice.

    Args:
        path: The file.
        needs: What it must have: ``trial`` and ``score``, ``label`` or both.
        columns: Which column plays which role, such as ``{"score": "logit"}``; in a file without a header
            columns are numbered from ``"1"``. Needed only where names or layout do not say.

    Returns:
        Its columns under canonical names where they have one, else under their own. The systems ``-`` and
        ``bonafide``, two words for none, become empty.

    Raises:
        ScoresError: The file is missing, is no table, is ambiguous, or a row is wrong; one line, with the place.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD_BYTES)
            head += file.readline(_LONGEST_LINE)
    except FileNotFoundError as error:
        raise ScoresError(f"no file at {path}; a table of scores or of labels was expected there") from error
    except OSError as error:
        raise ScoresError(f"{path} cannot be read: {error.strerror}") from error
    if head[:4] == b"PAR1":
        return _read_parquet(path, needs, columns or {})
    if not _NOT_TEXT.isdisjoint(head) or max(map(len, head.split(b"\n"))) >= _LONGEST_LINE:
        raise ScoresError(f"{path} cannot be read as a table: it is no text; text and Parquet are accepted")
    try:
        with open(path, encoding="utf-8-sig", newline="\n") as text:
            return _read_text(path, text, needs, columns or {})
    except (UnicodeDecodeError, csv.Error) as error:
        raise ScoresError(f"{path} cannot be read as a UTF-8 table: {error}") from error


def _read_text(path: Path, file: IO[str], needs: Sequence[str], columns: Mapping[str, str]) -> Columns:
    """Find separator, header and layout from the first row, then read all rows piece by piece."""
    metadata, first = _read_comments(path, file)
    if first is None:
        raise ScoresError(f"{path} holds no rows")
    number, line = first
    separator, cells = _cut(line)
    has_header = is_header(cells, columns)
    name = name_header if has_header else name_layout
    names = name(path, number, cells, needs, columns)
    pieces = {name: _builder(name) for name in names}
    for places, texts in _cut_columns(path, file, number, separator, cells, has_header):
        for builder, values in zip(pieces.values(), texts, strict=True):
            if isinstance(builder, Blocks):
                builder.add(_numbers(path, values, "line", places))
            else:
                builder.add(values)
    table = _finish(path, pieces, metadata)
    if not len(table):
        raise ScoresError(f"{path} has a header and no rows")
    return table


def _read_comments(path: Path, file: IO[str]) -> tuple[dict[str, Any], tuple[int, str] | None]:
    """Read the JSON object of the comment lines, and the first line that is none."""
    metadata: dict[str, Any] = {}
    for number, line in enumerate(file, start=1):
        line = line.rstrip("\r\n")
        if line.startswith("#"):
            comment = line[1:].strip()
            if not comment.startswith("{"):
                continue  # free text is allowed
            try:
                metadata |= json.loads(comment)
            except ValueError as error:
                raise ScoresError(f"{path}, line {number}: the comment is no JSON object: {error}") from error
        elif line.strip():
            return metadata, (number, line)
    return metadata, None


def line_of_row(path: str | Path, row: int) -> int:
    """Find the line that a row of a text table stands on.

    Args:
        path: A file that `read_columns` has read.
        row: Its place among the rows, from 0.

    Returns:
        The line, from 1.

    Raises:
        ScoresError: It is no text table.
    """
    with open(path, encoding="utf-8-sig", newline="\n") as file:
        _, first = _read_comments(Path(path), file)
        if first is None or "\0" in first[1]:
            raise ScoresError(f"{path} has no lines")
        number, line = first
        separator, cells = _cut(line)
        for places, _ in _cut_columns(Path(path), file, number, separator, cells, is_header(cells)):
            if row < len(places):
                return places[row]
            row -= len(places)
        raise ScoresError(f"{path} has no such row")


def _cut(line: str) -> tuple[str | None, list[str]]:
    """Find out what separates the cells of a first line, and cut it."""
    separator = next((mark for mark in "\t," if mark in line), None)
    return separator, next(csv.reader([line])) if separator == "," else line.split(separator)


def _cut_columns(
    path: Path, file: IO[str], number: int, separator: str | None, first: list[str], has_header: bool
) -> Iterator[tuple[Sequence[int], Sequence[Sequence[str]]]]:
    """Cut a table into columns, some rows at a time, with the line of each row; blank lines are skipped."""
    if not has_header:
        yield [number], [[cell] for cell in first]
    width = len(first)
    if separator == ",":
        reader = csv.reader(file)
        numbered = ((number + reader.line_num, row) for row in reader if row)
        while rows := list(islice(numbered, _ROWS)):
            yield _turn(path, rows, width)
        return
    while lines := file.readlines(_LETTERS):
        begin, number = number + 1, number + len(lines)
        if separator and {line.count(separator) for line in lines} == {width - 1}:
            text = "".join(lines).replace("\r\n", "\n").removesuffix("\n")
            cells = text.replace("\n", separator).split(separator)
            yield range(begin, number + 1), [cells[place::width] for place in range(width)]
            continue
        rows = [
            (at, line.rstrip("\r\n").split(separator))
            for at, line in enumerate(lines, start=begin)
            if line.strip()
        ]
        if rows:
            yield _turn(path, rows, width)


def _turn(
    path: Path, rows: list[tuple[int, list[str]]], width: int
) -> tuple[Sequence[int], Sequence[Sequence[str]]]:
    """Turn rows into columns, naming the first of another width."""
    for at, row in rows:
        if len(row) != width:
            raise ScoresError(f"{path}, line {at}: {len(row)} cells where {width} are expected")
    return [at for at, _ in rows], list(zip(*(row for _, row in rows), strict=True))


def _numbers(path: Path, values: Sequence[Any], word: str, places: Sequence[int]) -> NDArray[np.float64]:
    """Convert scores, naming the first that is no number."""
    try:
        return np.fromiter(map(float, values), dtype=np.float64, count=len(values))
    except (TypeError, ValueError):
        for row, value in enumerate(values):
            if value is None or not is_number(value):
                raise ScoresError(
                    f"{path}, {word} {places[row]}: the score {value!r} is not a number"
                ) from None
        raise


def _builder(name: str) -> Blocks | NamesBuilder:
    return Blocks() if name == "score" else NamesBuilder()


def _finish(path: Path, pieces: Mapping[str, Blocks | NamesBuilder], metadata: dict[str, Any]) -> Columns:
    """Join the pieces of each column."""
    text: dict[str, Names] = {}
    scores = None
    for name, builder in pieces.items():
        if isinstance(builder, Blocks):
            scores = builder.finish() if len(builder) else None
        else:
            text[name] = builder.finish()
    if "system" in text:
        text["system"] = text["system"].map(lambda name: "" if name in ("-", "bonafide") else name)
    return Columns(path, text, scores, metadata)


def _read_parquet(path: Path, needs: Sequence[str], columns: Mapping[str, str]) -> Columns:
    """Read text and number columns of a Parquet file batch by batch; sound that lies beside them is not touched."""
    parquet = require("pyarrow.parquet", "hub")
    try:
        file = parquet.ParquetFile(path)
    except (OSError, ValueError) as error:
        raise ScoresError(f"{path} cannot be read as Parquet: {error}") from error
    schema = file.schema_arrow
    flat = [name for name, kind in zip(schema.names, schema.types, strict=True) if not kind.num_fields]
    classes = _class_names(schema.metadata or {})
    # The arena keeps ids and attacks as JSON in a column of its own.
    in_notes = "notes" in flat and "trial" not in columns
    names = flat if in_notes else name_header(path, 1, flat, needs, columns)
    pieces: dict[str, Blocks | NamesBuilder] = {}
    done = 0
    for batch in file.iter_batches(_ROWS, columns=flat):
        table = dict(zip(names, (column.to_pylist() for column in batch.columns), strict=True))
        if in_notes:
            table = _open_notes(path, table, needs)
        for own, name in zip(flat, names, strict=True):
            if own in classes and name in table:
                table[name] = [classes[own][value] for value in table[name]]
        for name, values in table.items():
            builder = pieces.setdefault(name, _builder(name))
            if isinstance(builder, Blocks):
                builder.add(_numbers(path, values, "row", range(done + 1, done + len(batch) + 1)))
            else:
                builder.add(["" if value is None else str(value) for value in values])
        done += len(batch)
    if not pieces:
        raise ScoresError(f"{path} holds no rows")
    return _finish(path, pieces, {})


def _class_names(metadata: Mapping[bytes, bytes]) -> dict[str, list[str]]:
    """Read what the numbers of a ClassLabel column mean, as the `datasets` library writes it."""
    try:
        features = json.loads(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        return {
            name: feature["names"]
            for name, feature in features.items()
            if feature.get("_type") == "ClassLabel"
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _open_notes(path: Path, table: dict[str, list[Any]], needs: Sequence[str]) -> dict[str, list[Any]]:
    """Replace the arena's JSON notes by columns."""
    try:
        notes = [json.loads(note) for note in table.pop("notes")]
        fields = {name for note in notes for name in note}
    except (ValueError, TypeError) as error:
        raise ScoresError(f"{path}: the column notes is no JSON: {error}") from error
    for name in sorted(fields):
        table[ROLE_OF.get(name, name)] = [note.get(name) for note in notes]
    require_columns(list(table), needs, f"{path}: the columns are {list(table)}")
    return table
