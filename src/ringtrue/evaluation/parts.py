"""A folder that `ringtrue score` filled -> columns of scores; only a complete one, and only what was readable."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ringtrue.errors import ScoresError, require
from ringtrue.evaluation.names import Blocks, NamesBuilder
from ringtrue.evaluation.reading import Columns

MADE_BY, COMPLETE = "_made_by.json", "_complete.json"  # readers of Parquet folders pass over names with _
METADATA_KEY = b"ringtrue"  # of a part's footer: what made it, as JSON
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
    try:
        complete = json.loads((folder / COMPLETE).read_text(encoding="utf-8"))
        made_by = json.loads((folder / MADE_BY).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ScoresError(
            f"{folder} has no {COMPLETE}: it is not a folder of scores, or not a complete one; the `ringtrue score` "
            "that fills it goes on if it is run again"
        ) from error
    if complete["unreadable"] > MOST_FAILURES * complete["trials"]:
        raise ScoresError(
            f"{folder}: {complete['unreadable']} of {complete['trials']} trials have no score, more than "
            f"{MOST_FAILURES:.0%}; the column error says why"
        )
    text = {name: NamesBuilder() for name in ("trial", "label", *KNOWN)}
    scores = Blocks()
    for name in complete["parts"]:
        path = folder / f"{name}.parquet"
        try:
            table = parquet.read_table(path, columns=[*text, "score"], page_checksum_verification=True)
        except (OSError, arrow.ArrowException) as error:
            raise ScoresError(f"{path}: {error}; delete it and run `ringtrue score` again") from error
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
