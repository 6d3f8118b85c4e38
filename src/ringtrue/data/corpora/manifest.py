"""A manifest on disk -> Trials: our own table, parted by tabs, one recording a row with all that is known of it."""

from __future__ import annotations

from pathlib import Path

from ringtrue.data.corpora.rows import Progress, Reading, table_rows
from ringtrue.data.trials import COLUMNS, LABELS, SPLITS, Trial
from ringtrue.errors import CorpusError


def read_manifest(
    path: str | Path, progress: Progress = lambda line: None, *, check_audio: bool = True
) -> list[Trial]:
    """Read a manifest that `write_manifest` wrote, or any TSV with at least ``audio`` and ``label``.

    Args:
        path: The manifest. Relative audio paths are resolved against its folder.
        progress: Takes one line for each bad row.
        check_audio: Whether a row whose recording is missing is a bad row.

    Returns:
        The Trials, in the file's order.

    Raises:
        CorpusError: The file is missing, is no such table, or too many rows are bad.
    """
    path = Path(path)
    if not path.exists():
        raise CorpusError(f"no manifest at {path}: build or name a corpus first")
    reading = Reading(path.name, progress, check_audio=check_audio)
    for line, row in table_rows(path, {"audio", "label"}, reading, delimiters="\t"):
        try:
            reading.add(_trial(path.parent, row), path, line)
        except ValueError as error:
            reading.bad(path, line, error)
    return reading.finish()


def _trial(folder: Path, row: dict[str, str]) -> Trial:
    values = {name: row[name] for name in COLUMNS if name in row}
    for name, accepted in (("label", LABELS), ("split", (*SPLITS, ""))):
        if values.get(name, "") not in accepted:
            raise ValueError(f"{name} {values[name]!r}; accepted: {', '.join(filter(None, accepted))}")
    if not values["audio"]:
        raise ValueError("it names no recording")
    if not values["audio"].startswith("hf://"):
        values["audio"] = str(folder / values["audio"])
    values.setdefault("id", values["audio"])
    duration = values.pop("duration_s", "")
    try:
        duration_s = float(duration or 0)
    except ValueError:
        raise ValueError(f"duration_s {duration!r} is not a number") from None
    return Trial(**values, duration_s=duration_s)
