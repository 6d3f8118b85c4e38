"""MLAAD on disk, versions 1 to 9 -> Trials: machine speech only, 140 systems and 51 languages in the newest.

Layout: ``fake/<language>/<model folder>/*.wav`` with a ``meta.csv`` in every model folder, parted by ``|`` and never
quoted. ``original_file`` names the M-AILABS recording whose words are spoken: the source utterance. Bona fide
speech comes from there (``m-ailabs``) or from elsewhere (``librispeech``). Müller et al., IJCNN 2024, arXiv:2401.09512.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path

from ringtrue.data.corpora.rows import Progress, Reading, find_folder, table_rows
from ringtrue.data.trials import Trial
from ringtrue.errors import CorpusError
from ringtrue.files import write_text

NAME = "mlaad"
META = "meta.csv"
SIMPLER_META = "simpler_meta.csv"
REPOSITORY = "mueller91/MLAAD"
CLIPS = 1_000  # of each system in each language, in every version
_REQUIRED = {"path", "original_file", "language"}


def read(root: Path, progress: Progress, languages: str = "") -> list[Trial]:
    """Read a local copy.

    Args:
        root: Folder that holds ``fake``, or the one around it.
        progress: Takes one line for each bad row.
        languages: Folder names to read, parted by commas; all if empty.

    Returns:
        The trials, without splits.

    Raises:
        CorpusError: There is no such folder, or too many rows are bad.
    """
    reading = Reading(NAME, progress)
    root = find_folder(root, "fake", NAME)
    add_folders(root, model_folders(root, languages), reading)
    return reading.finish()


def add_folders(root: Path, folders: Iterable[Path], reading: Reading) -> None:
    """Read model folders, and tell which have another number of rows than is published.

    Args:
        root: Folder that holds ``fake``.
        folders: The model folders.
        reading: Takes the trials and the bad rows.
    """
    parts = []
    for folder in folders:
        before = reading.rows
        for trial, line, _ in folder_trials(root, folder, reading):
            reading.add(trial, folder / META, line)
        if (rows := reading.rows - before) != CLIPS:
            parts.append(f"{folder.relative_to(root)} {rows:,}")
    if parts:
        shown = ", ".join(parts[:5]) + (" …" if parts[5:] else "")
        reading.progress(f"{NAME}: {len(parts)} model folders have not the {CLIPS:,} rows of each ({shown})")


def prepare(root: Path, progress: Progress, languages: str = "") -> list[Trial]:
    """Write ``simpler_meta.csv`` (``file_path,model,architecture``) into every model folder.

    Args:
        root: As for `read`.
        progress: Takes one line for each bad row, and one with the number of tables.
        languages: As for `read`.

    Returns:
        The trials, as `read` gives them.

    Raises:
        CorpusError: As for `read`.
    """
    reading = Reading(NAME, progress)
    root = find_folder(root, "fake", NAME)
    folders = model_folders(root, languages)
    for folder in folders:
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["file_path", "model", "architecture"])
        for trial, line, row in folder_trials(root, folder, reading):
            if reading.add(trial, folder / META, line):
                table.writerow([trial.id, trial.system, row.get("architecture", "")])
        write_text(folder / SIMPLER_META, text.getvalue())
    trials = reading.finish()
    progress(f"{NAME}: {SIMPLER_META} written in {len(folders)} model folders of {root}")
    return trials


def model_folders(root: Path, languages: str = "") -> list[Path]:
    """List the model folders.

    Args:
        root: Folder that holds ``fake``.
        languages: Folder names, parted by commas; all if empty.

    Returns:
        ``fake/<language>/<model>`` of every model, sorted.

    Raises:
        CorpusError: A language is not there, or there is no model folder.
    """
    there = sorted(path.name for path in (root / "fake").iterdir() if path.is_dir())
    wanted = [name.strip() for name in languages.split(",") if name.strip()] or there
    if missing := sorted(set(wanted) - set(there)):
        raise CorpusError(
            f"{NAME}: {root / 'fake'} lacks the languages {missing}; there are: {', '.join(there)}"
        )
    folders = [path for name in wanted for path in sorted((root / "fake" / name).iterdir()) if path.is_dir()]
    if not folders:
        raise CorpusError(f"{NAME}: {root / 'fake'} holds no <language>/<model> folder")
    return folders


def folder_trials(root: Path, folder: Path, reading: Reading) -> Iterator[tuple[Trial, int, dict[str, str]]]:
    """Read one model folder, by its table, or by its files where it has none.

    Args:
        root: Folder that holds ``fake``.
        folder: The model folder.
        reading: Told of bad rows; a table that cannot be read costs as many rows as it has lines.

    Yields:
        Trials, their lines and the cells there by column.
    """
    if not (folder / META).is_file():
        recordings = sorted(
            name for name in reading.names(str(folder)) if name.endswith(".wav") and name[0] != "."
        )
        for number, name in enumerate(recordings, 1):
            yield _trial(root, folder, f"{folder}/{name}", {}), number, {}
        return
    try:
        for line, row in table_rows(folder / META, _REQUIRED, reading, delimiters="|;,"):
            try:
                yield _trial(root, folder, _locate(root, folder, row["path"], reading), row), line, row
            except ValueError as error:
                reading.bad(folder / META, line, error)
    except CorpusError as error:
        lines = (folder / META).read_bytes().count(b"\n")
        reading.bad(folder / META, 1, str(error), rows=max(1, lines - 1))


def _locate(root: Path, folder: Path, path: str, reading: Reading) -> str:
    """Resolve a path that is relative to the corpus, with or without ``./``, or a bare file name."""
    beside = f"{folder}/{path.rpartition('/')[2]}"  # strings, not paths: this runs half a million times
    return beside if reading.has(beside) else f"{root}/{path.removeprefix('./')}"


def _trial(root: Path, folder: Path, audio: str, row: dict[str, str]) -> Trial:
    duration = row.get("duration", "").strip()
    try:
        duration_s = float(duration or 0)
    except ValueError:
        raise ValueError(f"duration {duration!r} is not a number of seconds") from None
    return Trial(
        id=audio.removeprefix(f"{root}/"),
        audio=audio,
        label="spoof",
        system=row.get("model_name", "").strip() or folder.name,
        # `reference_speaker` is not our `speaker`: the few voices that all systems copy would tie the whole
        # corpus together, and no part of it could be held out.
        language=folder.parent.name,
        transcript=row.get("transcript", ""),
        source_utterance=row.get("original_file", "").removeprefix("./"),
        corpus=NAME,
        source=REPOSITORY,
        licence="CC-BY-NC-4.0",
        duration_s=duration_s,
    )
