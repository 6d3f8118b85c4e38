"""Any CSV, TSV or Parquet table of recordings, or a folder of Parquet and tar shards -> Trials.

Columns may have any of the names in use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

from ringtrue.data.corpora import parquet, tar
from ringtrue.data.corpora.rows import Progress, Reading, label_of, table_rows
from ringtrue.data.trials import SPLITS, Trial
from ringtrue.errors import CorpusError

NAME = "table"
COLUMNS = {  # ours: others' names for it
    "audio": ("path", "file", "file_path", "filepath", "filename", "file_name", "wav"),
    "label": ("key", "class", "target", "cm-label"),
    "id": ("trial", "utterance", "utterance_id", "utt", "utt_id"),
    "system": ("attack", "attack_id", "system_id", "model_name", "model", "generator"),
    "speaker": ("speaker_id", "spk", "spk_id"),
    "language": ("lang", "locale"),
    "transcript": ("text", "sentence"),
    "source_utterance": ("original_file", "source_id"),
    "split": ("subset", "partition", "set"),
    "duration_s": ("duration",),
    "licence": ("license",),
}
_SPLITS = {
    **{split: split for split in SPLITS},
    "training": "train",
    **dict.fromkeys(("valid", "val", "validation", "development"), "dev"),
    **dict.fromkeys(("eval", "evaluation", "testing"), "test"),
}
_SHARDS: dict[str, Callable[[Path], Iterator[tuple[int, dict[str, Any], str]]]] = {
    ".parquet": parquet.rows,
    ".tar": tar.rows,
}
_FIELDS = tuple(field.name for field in fields(Trial))


def read(path: Path, progress: Progress, bonafide: str = "", label: str = "", split: str = "") -> list[Trial]:
    """Read a table with a header, or shards that hold recordings and what is known of them.

    Args:
        path: The table, or a folder of ``.parquet`` and ``.tar`` shards, at any depth. Relative audio paths are
            resolved against the table's folder.
        progress: Takes one line for each bad row.
        bonafide: What the label column says for a person, where it is not a word that we know (``0``, ``1`` …);
            everything else in it is then spoof.
        label: The label of every row, for a table without that column.
        split: The same for splits; ``test`` to score a whole table, which would otherwise be split.

    Returns:
        The trials, with splits where the table has them.

    Raises:
        CorpusError: It has no column of recordings or labels, or too many rows are bad.
    """
    reading = Reading(path.stem, progress)
    files = [path]
    if path.is_dir():
        files = sorted(file for kind in ("*.parquet", "*.tar") for file in path.rglob(kind))
        if not files:
            raise CorpusError(f"{NAME}: {path} holds no .parquet and no .tar file")
    root = path if path.is_dir() else path.parent
    for file in files:
        for line, row, sound in _rows(file, reading):
            if fault := row.get(tar.FAULT):
                reading.bad(file, line, fault)
                continue
            values = {name: cell(row, name) for name in _FIELDS}
            if not sound and not values["audio"]:
                reading.bad(file, line, "it names no recording")
                continue
            values["audio"] = sound or str(file.parent / values["audio"])
            values["id"] = values["id"] or cell(row, "audio") or values["audio"].removeprefix(f"{root}/")
            values["corpus"] = values["corpus"] or path.stem
            try:
                values["label"] = _label(values["label"] or label, bonafide)
                values["split"] = _split(values["split"] or split)
                duration_s = float(values.pop("duration_s") or 0)
            except ValueError as error:
                reading.bad(file, line, error)
                continue
            reading.add(Trial(**values, duration_s=duration_s), file, line)
    return reading.finish()


def _rows(path: Path, reading: Reading) -> Iterator[tuple[int, dict[str, Any], str]]:
    """Give line, cells and the sound in the row itself, if any, for either kind of table."""
    if shards := _SHARDS.get(path.suffix.lower()):
        for number, row, sound in shards(path):
            if not sound and shards is parquet.rows and not {"audio", *COLUMNS["audio"]} & row.keys():
                raise CorpusError(
                    f"{path}: no column of recordings; accepted: audio, {', '.join(COLUMNS['audio'])}"
                )
            yield number + 1, row, sound
        return
    for name in ("audio", *COLUMNS["audio"]):  # the column that must be there tells the delimiter
        try:
            for line, row in table_rows(path, {name}, reading):
                yield line, row, ""
            return
        except CorpusError:
            continue
    raise CorpusError(
        f"{path}, line 1: no column of recordings with any delimiter of | tab , ;  "
        f"accepted: audio, {', '.join(COLUMNS['audio'])}"
    )


def cell(row: dict[str, Any], name: str) -> str:
    """Give what a row says of one of our columns, under any of its names; empty where it says nothing."""
    for column in (name, *COLUMNS.get(name, ())):
        if row.get(column) is not None:
            return str(row[column])
    return ""


def known_label(word: str) -> str:
    """Give our word for a label; a word that is not known stays what it is.

    >>> known_label("Fake"), known_label("1"), known_label("")
    ('spoof', '1', '')
    """
    try:
        return label_of(word)
    except ValueError:
        return word


def known_split(word: str) -> str:
    """Give our word for a split; a word that is not known stays what it is.

    >>> known_split("Eval"), known_split("2019")
    ('test', '2019')
    """
    return _SPLITS.get(word.lower(), word)


def _label(word: str, bonafide: str) -> str:
    if bonafide:
        return "bonafide" if word == bonafide else "spoof"
    if not word:
        raise ValueError(
            f"no label; a column of {', '.join(('label', *COLUMNS['label']))}, or ?label=spoof for all"
        )
    try:
        return label_of(word)
    except ValueError as error:
        raise ValueError(f"{error}; ?bonafide=VALUE says which is bona fide") from None


def _split(word: str) -> str:
    if word.lower() not in {*_SPLITS, ""}:
        raise ValueError(f"unknown split {word!r}; accepted: {', '.join(_SPLITS)}")
    return _SPLITS.get(word.lower(), "")
