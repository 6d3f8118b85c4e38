"""A folder that `ringtrue score` filled -> columns of scores; only a complete one, and only what was readable.

A part holds its own seal, the SHA-256 of the whole file, in its footer: a hash beside it would be a second object to
write, to pay for and to lose, and Parquet's own checksums cover pages but not what describes them.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ringtrue.errors import ScoresError, require
from ringtrue.evaluation.names import Blocks, NamesBuilder
from ringtrue.evaluation.reading import Columns

MADE_BY, COMPLETE = "_made_by.json", "_complete.json"  # readers of Parquet folders pass over names with _
METADATA_KEY = b"ringtrue"  # of a part's footer: what made it, as JSON
_SEAL_KEY = "ringtrue seal"  # of a part's footer, too
_SEAL = b"SHA-256 of this file with 64 noughts here: "
_NOUGHTS = b"0" * 64
MOST_FAILURES = 0.05  # share of trials without a score above which figures mean something else
KNOWN = ("system", "speaker", "language", "source_utterance", "codec", "split", "corpus")
"""What scores say of a trial besides its label."""

FROM_TRIAL = {"trial": "id", "audio": "audio", "label": "label", **{name: name for name in KNOWN}}
"""Column of a part: what the trial calls it."""


def read_parts(folder: Path, needs: Sequence[str]) -> Columns:
    """Read the scores of a folder, part by part; trials that could not be read are left out.

    Args:
        folder: What `ringtrue score --out FOLDER` wrote.
        needs: As for `read_columns`; without ``label``, labels that are all empty are not given.

    Returns:
        Its columns; what made them, and how many trials are left out, is the metadata.

    Raises:
        ScoresError: It is no such folder, is not complete, a part is damaged or missing, or more than `MOST_FAILURES`
            of the trials have no score.
    """
    arrow, parquet = require("pyarrow", "hub"), require("pyarrow.parquet", "hub")
    again = "run the `ringtrue score` that filled the folder again"
    try:
        complete = json.loads((folder / COMPLETE).read_text(encoding="utf-8"))
        made_by = json.loads((folder / MADE_BY).read_text(encoding="utf-8"))
        trials, unreadable, parts = (complete[key] for key in ("trials", "unreadable", "parts"))
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ScoresError(
            f"{folder} has no {COMPLETE}: it is not a folder of scores, or not a complete one; the `ringtrue score` "
            "that fills it goes on if it is run again"
        ) from error
    if unreadable > MOST_FAILURES * trials:
        raise ScoresError(
            f"{folder}: {unreadable} of {trials} trials have no score, more than "
            f"{MOST_FAILURES:.0%}; the column error says why"
        )
    text = {name: NamesBuilder() for name in ("trial", "label", *KNOWN)}
    scores = Blocks()
    for name in parts:
        path = folder / f"{name}.parquet"
        try:
            content = path.read_bytes()
        except OSError as error:
            raise ScoresError(f"{path} cannot be read: {error.strerror}; {again}") from error
        if not is_whole(content):
            raise ScoresError(f"{path} is damaged, or of an earlier version of ringtrue; {again}")
        part = parquet.ParquetFile(arrow.BufferReader(content))
        if "score" not in part.schema_arrow.names:
            raise ScoresError(f"{path} has no column score; a folder that `ringtrue score` filled is wanted")
        table = part.read(columns=[*text, "score"])
        table = table.filter(table["score"].is_valid())
        for column, builder in text.items():
            builder.add(table[column].to_pylist())
        scores.add(table["score"].to_numpy())
    if not len(scores):
        raise ScoresError(f"{folder} holds no scores")
    columns = {name: builder.finish() for name, builder in text.items()}
    if "label" not in needs and columns["label"].distinct() == [""]:
        del columns["label"]
    metadata = {**made_by, **{key: value for key, value in complete.items() if key != "parts"}}
    return Columns(folder, columns, scores.finish(), metadata)


def write_part(table: Any, made_by: Mapping[str, Any]) -> bytes:
    """Write a part, sealed.

    Args:
        table: A ``pyarrow.Table`` of its rows.
        made_by: What made it; plain values.

    Returns:
        A Parquet file.
    """
    parquet = require("pyarrow.parquet", "cluster")
    table = table.replace_schema_metadata({METADATA_KEY: json.dumps(made_by)})
    content = io.BytesIO()
    with parquet.ParquetWriter(content, table.schema, compression="zstd") as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({_SEAL_KEY: _SEAL + _NOUGHTS})
    place, digits = _seal(content.getvalue())
    content.getbuffer()[place] = digits
    return content.getvalue()


def is_whole(content: bytes) -> bool:
    """Say whether a part is what was written, to the last bit; one without a seal is not.

    Args:
        content: The whole file.
    """
    place, digits = _seal(content)
    return content[place] == digits


def _seal(content: bytes) -> tuple[slice, bytes]:
    """Say where the digits of the seal are, and what they should be; the footer comes after all that trials say."""
    start = content.rfind(_SEAL) + len(_SEAL)
    place = slice(start, start + len(_NOUGHTS))
    digest = hashlib.sha256()
    for piece in (memoryview(content)[:start], _NOUGHTS, memoryview(content)[place.stop :]):
        digest.update(piece)
    return place, digest.hexdigest().encode()
