"""The MLAAD source-tracing protocol and MLAAD 5 on disk -> Trials in train, dev, test_seen and test.

A test row is *in domain* (`test_seen`) if its model occurs in the training list, else *out of domain* (`test`): by
membership, because the protocol's own ``fine`` files get 91 rows wrong. Duplicate rows are dropped. What is wrong
with the protocol is reported each time it is read. Müller, "Using MLAAD for source tracing", 2024.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from ringtrue.data.corpora.rows import Progress, Reading, find_folder, read_text
from ringtrue.data.trials import Trial
from ringtrue.errors import CorpusError

NAME = "mlaad-tracing"
PROTOCOL = "mlaad4sourcetracing"
PUBLISHED = {"train": 11_100, "dev": 12_000, "eval": 33_900}  # rows, duplicates included
FINE = tuple(
    f"{part}___lang_{language}___model_{model}"
    for part in ("dev", "eval")
    for language in ("seen", "not_seen")
    for model in ("seen", "not_seen")
)
_LARGEST_TABLE = 64 << 20  # bytes; the published ones have a sixtieth of it
_NO_ISO = {"sw": "sv"}  # folder: what is spoken in it, where its systems say otherwise


@dataclass(frozen=True)
class Row:
    """One row of the protocol.

    Attributes:
        path: Path of the recording in MLAAD, without the leading ``./``.
        model: The system's name.
        line: Its line in the file.
    """

    path: str
    model: str
    line: int

    @property
    def language(self) -> str:
        """The language folder."""
        return self.path.split("/")[1]


@dataclass(frozen=True)
class Protocol:
    """The whole protocol, as it is written.

    Attributes:
        path: The zip, or the folder.
        parts: Rows of ``train``, ``dev`` and ``eval``, duplicates included.
        fine: Rows of each file in `FINE`.
        faults: File, line and reason of each row that is none.
    """

    path: Path
    parts: dict[str, tuple[Row, ...]]
    fine: dict[str, tuple[Row, ...]]
    faults: tuple[tuple[str, int, str], ...] = ()

    @cached_property
    def known(self) -> frozenset[str]:
        """The models of the training list: what *in domain* means."""
        return frozenset(row.model for row in self.parts["train"])

    @cached_property
    def languages(self) -> frozenset[str]:
        """The languages of the training list."""
        return frozenset(row.language for row in self.parts["train"])

    def unique(self, part: str) -> list[Row]:
        """Give the rows of a part, each path once."""
        return list({row.path: row for row in reversed(self.parts[part])}.values())[::-1]

    def cell(self, row: Row) -> str:
        """Say where a row belongs among the ``fine`` files, by membership.

        >>> train = (Row("fake/en/a/1.wav", "a", 2),)
        >>> Protocol(Path(), {"train": train}, {}).cell(Row("fake/de/a/2.wav", "a", 2))
        'lang_not_seen___model_seen'
        """
        seen = {True: "seen", False: "not_seen"}
        return f"lang_{seen[row.language in self.languages]}___model_{seen[row.model in self.known]}"

    def defects(self) -> list[str]:
        """Say what is wrong with it, one line each; an empty list where nothing is."""
        found = []
        for part, rows in self.parts.items():
            if extra := len(rows) - len(self.unique(part)):
                found.append(f"{part}.csv repeats {extra} rows; each is used once")
        for name, rows in self.fine.items():
            wrong = Counter(r.model for r in rows if (r.model in self.known) != name.endswith("model_seen"))
            if wrong:
                models = ", ".join(f"{model} {count}" for model, count in wrong.items())
                found.append(
                    f"fine/{name}.csv holds {wrong.total()} rows whose models belong elsewhere by the training "
                    f"list ({models}); membership decides here"
                )
        heard = {PurePosixPath(row.path).name for row in self.parts["train"]}
        tested = {PurePosixPath(row.path).name for row in self.parts["eval"]}
        if shared := len(heard & tested):
            found.append(
                f"{shared:,} of eval's {len(tested):,} file names occur in train too: the same texts "
                "spoken by other systems"
            )
        for folder, language in _NO_ISO.items():
            if systems := sorted(
                {row.model for part in self.parts.values() for row in part if row.language == folder}
            ):
                found.append(f"the language folder {folder!r} of {', '.join(systems)} holds {language!r}")
        return found


def read_protocol(path: Path) -> Protocol:
    """Read the protocol.

    Args:
        path: ``mlaad4sourcetracing.zip``, or the folder it unpacks into.

    Returns:
        Its rows, unchanged, and what is wrong with those that are none.

    Raises:
        CorpusError: A file of it is missing or is no table ``path,model_name``.
    """
    faults: list[tuple[str, int, str]] = []
    return Protocol(
        path=path,
        parts={part: _rows(path, f"{part}.csv", faults) for part in PUBLISHED},
        fine={name: _rows(path, f"fine/{name}.csv", faults) for name in FINE},
        faults=tuple(faults),
    )


def _rows(path: Path, member: str, faults: list[tuple[str, int, str]]) -> tuple[Row, ...]:
    if path.is_dir():
        text = read_text(path / member)
    else:
        try:
            with zipfile.ZipFile(path) as archive:
                if archive.getinfo(member).file_size > _LARGEST_TABLE:
                    raise OSError(f"it would unpack to {archive.getinfo(member).file_size} bytes")
                text = archive.read(member).decode("utf-8-sig")
        except (OSError, KeyError, UnicodeDecodeError, zipfile.BadZipFile) as error:
            raise CorpusError(f"{member} cannot be read from {path}: {error}") from error
    table = csv.reader(io.StringIO(text, newline=""))
    if next(table, None) != ["path", "model_name"]:
        raise CorpusError(f"{path}, {member}, line 1: the header must be path,model_name")
    rows = []
    for cells in table:
        if len(cells) != 2 or len(cells[0].removeprefix("./").split("/")) != 4:
            reason = f"{cells}; accepted: ./fake/<language>/<folder>/<file>.wav,<model>"
            faults.append((member, table.line_num, reason))
            continue
        rows.append(Row(cells[0].removeprefix("./"), cells[1], table.line_num))
    return tuple(rows)


def read(root: Path, progress: Progress, protocol: str = "", fine: str = "") -> list[Trial]:
    """Read the protocol's part of a local MLAAD 5.

    Args:
        root: Folder that holds ``fake``, or the one around it.
        progress: Takes the protocol's defects, and one line for each bad row.
        protocol: The protocol's zip or folder; ``mlaad4sourcetracing`` or ``.zip`` in `root` if empty.
        fine: Such as ``lang_seen___model_not_seen``: of dev and eval keep these rows only, by membership.

    Returns:
        The trials. Dev rows of either kind are ``dev``.

    Raises:
        CorpusError: The protocol or the recordings are missing, too many rows are bad, or `fine` is no cell.
    """
    root = find_folder(root, "fake", NAME)
    cells = sorted({name.partition("___")[2] for name in FINE})
    if fine and fine not in cells:
        raise CorpusError(f"{NAME}: no cell {fine!r}; accepted: {', '.join(cells)}")
    found = read_protocol(_find(root, protocol))
    for defect in found.defects():
        progress(f"{NAME}: {defect}")
    for part, rows in PUBLISHED.items():
        if len(found.parts[part]) != rows:
            progress(f"{NAME}: {part}.csv has {len(found.parts[part]):,} rows where {rows:,} are published")
    reading = Reading(NAME, progress)
    for member, line, reason in found.faults:
        reading.bad(found.path / member, line, reason)
    for part in PUBLISHED:
        for row in found.unique(part):
            if part == "train" or not fine or found.cell(row) == fine:
                reading.add(_trial(root, row, part, found.known), found.path / f"{part}.csv", row.line)
    return reading.finish()


def _find(root: Path, protocol: str) -> Path:
    places: Sequence[Path] = [Path(protocol)] if protocol else [root / PROTOCOL, root / f"{PROTOCOL}.zip"]
    for place in places:
        if place.exists():
            return place
    raise CorpusError(
        f"{NAME}: no protocol at {' or '.join(map(str, places))}; it is "
        f"https://deepfake-total.com/data/{PROTOCOL}.zip, named as {NAME}:FOLDER?protocol=FILE"
    )


def _trial(root: Path, row: Row, part: str, known: frozenset[str]) -> Trial:
    split = {"train": "train", "dev": "dev"}.get(part) or ("test_seen" if row.model in known else "test")
    return Trial(
        id=row.path,
        audio=str(root / row.path),
        label="spoof",
        system=row.model,
        language=row.language,
        source_utterance=PurePosixPath(row.path).stem,
        split=split,
        corpus=NAME,
        source="https://deepfake-total.com/sourcetracing",
        licence="CC-BY-NC-4.0",
    )
