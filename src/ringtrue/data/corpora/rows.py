"""Text files that describe a corpus -> rows with line numbers, and Trials; bad rows are said, counted and limited."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path

from ringtrue.data.trials import Trial, validate
from ringtrue.errors import AudioError, CorpusError
from ringtrue.files import cache_dir, stable_int, write_text

Progress = Callable[[str], None]

MOST_BAD = 0.01
"""Share of a corpus's rows that may be bad before reading it is refused."""

_SHOWN = 20  # bad rows that are told before the refusal; where there are more, a file lists them all
_LABELS = {
    **dict.fromkeys(("bonafide", "bona-fide", "bona fide", "real", "genuine", "human"), "bonafide"),
    **dict.fromkeys(("spoof", "fake", "spoofed", "synthetic", "deepfake"), "spoof"),
}


def label_of(word: str) -> str:
    """Give the label that a corpus spells in its own way.

    Args:
        word: Such as ``bona-fide`` (In-the-Wild) or ``fake`` (Codecfake), in any case.

    Returns:
        ``"bonafide"`` or ``"spoof"``.

    Raises:
        ValueError: It is neither. Numbers are neither: corpora disagree on which is which.

    >>> label_of("Bona-Fide"), label_of("fake")
    ('bonafide', 'spoof')
    """
    try:
        return _LABELS[word.strip().lower()]
    except KeyError:
        raise ValueError(f"unknown label {word!r}; accepted: {', '.join(_LABELS)}") from None


verifying: ContextVar[bool] = ContextVar("verifying", default=False)
"""Whether rows whose recording cannot be read to its end are bad rows, too: it takes a decoder's time, once."""


def fault_of(trial: Trial) -> str:
    """Decode a recording and say what is wrong with it.

    Args:
        trial: Any trial. What is on the hub is not fetched for it.

    Returns:
        One line: unreadable, ends early, damaged; empty if nothing is, or if it is on the hub.
    """
    from ringtrue.audio import open_stream
    from ringtrue.data.corpora import remote, sound  # here: they read rows themselves

    if remote.is_remote(trial.audio):
        return ""
    try:
        with open_stream(sound.audio_source(trial)) as stream:
            for _ in stream:
                pass
            faults = [fault for fault in stream.warnings if not fault.startswith("clipped")]
    except AudioError as error:
        return str(error) if trial.audio in str(error) else f"{trial.audio}: {error}"
    return f"{trial.audio}: {'; '.join(faults)}" if faults else ""


class Reading:
    """The Trials of a corpus while they are read, and every row that could not become one.

    Args:
        corpus: Name of the corpus, for messages.
        progress: Told one line for each bad row, with file and line, and one with their number.
        check_audio: Whether a row whose recording is missing is a bad row.
        there: Paths of the recordings that there are, where the disk is not to be asked.
    """

    def __init__(
        self, corpus: str, progress: Progress, *, check_audio: bool = True, there: Iterable[str] | None = None
    ) -> None:
        self.corpus = corpus
        self.progress = progress
        self._check_audio = check_audio
        self._trials: dict[str, Trial] = {}
        self._bad: list[str] = []
        self._bad_rows = 0
        self._counts: Counter[str] = Counter()
        self._asks_disk = there is None
        inside: dict[str, set[str]] = {}
        for path in there or ():
            folder, name = os.path.split(path)
            inside.setdefault(folder, set()).add(name)
        self._listings = {folder: frozenset(names) for folder, names in inside.items()}

    def add(self, trial: Trial, path: Path, line: int) -> bool:
        """Keep a Trial, unless its id was there before or its recording is missing.

        Args:
            trial: What the row says.
            path: The file that says it.
            line: Its line there, from 1.

        Returns:
            Whether it was kept.
        """
        self._counts.update(("all", trial.split, f"{trial.split} {trial.label}".strip()))
        if trial.id in self._trials:
            self.bad(path, line, f"duplicate of {trial.id!r}")
        elif self._check_audio and not self.has(trial.audio):
            self.bad(path, line, f"no recording at {trial.audio}")
        elif verifying.get() and (fault := fault_of(trial)):
            self.bad(path, line, fault)
        else:
            self._trials[trial.id] = trial
            return True
        return False

    def bad(self, path: Path, line: int, reason: object, rows: int = 1) -> None:
        """Count rows that cannot be used.

        Args:
            path: The file.
            line: The line, from 1.
            reason: What is wrong, for a reader.
            rows: How many rows are lost by it.
        """
        self._bad.append(f"{path}, line {line}: {reason}")
        self._bad_rows += rows

    @property
    def rows(self) -> int:
        """How many rows became a trial or would have, but for their recording."""
        return self._counts["all"]

    def has(self, audio: str) -> bool:
        """Say whether a recording exists, asking the disk once a folder: a corpus has a million files.

        Args:
            audio: Its path, or its place in a Parquet or tar file or on the hub, which exists by having been listed.

        Returns:
            Whether it is there.
        """
        if ".parquet#" in audio or ".tar#" in audio or audio.startswith("hf://"):
            return True
        folder, name = os.path.split(audio)
        return name in self.names(folder)

    def names(self, folder: str) -> frozenset[str]:
        """List a folder, once.

        Args:
            folder: Its path.

        Returns:
            The names in it; none if it is not there.
        """
        if folder not in self._listings:
            try:
                found = os.listdir(folder or ".") if self._asks_disk else ()  # noqa: PTH208  # names only
            except OSError:
                found = ()
            self._listings[folder] = frozenset(found)
        return self._listings[folder]

    def compare(self, what: str, rows: int, published: int | None) -> None:
        """Tell where a part of the corpus has another number of rows than is published; people keep parts of corpora.

        Args:
            what: Name of the part.
            rows: How many there are.
            published: How many there must be; None where that is not known.
        """
        if published is not None and rows != published:
            self.progress(
                f"{self.corpus}: {rows:,} rows of {what!r} where {published:,} are published: "
                "a part of the corpus, or another version"
            )

    def finish(self, published: Mapping[str, int] | None = None) -> list[Trial]:
        """Report the bad rows and the counts, and give the Trials.

        Args:
            published: How many rows there must be: of a split (``"train"``), of a split and label (``"train spoof"``)
                or of ``"all"``. A difference is told, not refused: people keep parts of corpora.

        Returns:
            The good Trials, in the order they were added.

        Raises:
            CorpusError: More than `MOST_BAD` of the rows are bad, or none is good.
        """
        total = len(self._trials) + self._bad_rows
        if self._bad_rows > MOST_BAD * total:
            for reason in self._bad[:_SHOWN]:
                self.progress(f"{self.corpus}: {reason}")
            rest = ""
            if len(self._bad) > _SHOWN:
                path = cache_dir() / "bad_rows" / f"{stable_int(*self._bad):016x}.txt"
                write_text(path, "\n".join(self._bad) + "\n")
                rest = f"; all of them: {path}"
            raise CorpusError(
                f"{self.corpus}: {self._bad_rows} of {total} rows are bad, more than {MOST_BAD:.0%}; "
                f"the first: {self._bad[0]}{rest}"
            )
        for reason in self._bad:
            self.progress(f"{self.corpus}: {reason}")
        if self._bad:
            self.progress(f"{self.corpus}: {self._bad_rows} of {total} rows are bad and left out")
        for what, count in (published or {}).items():
            self.compare(what, self._counts[what], count)
        trials = list(self._trials.values())
        validate(trials, self.corpus)
        return trials


def read_text(path: Path) -> str:
    """Read a UTF-8 text file, with or without a byte order mark, its line ends untouched.

    Args:
        path: The file.

    Returns:
        Its text.

    Raises:
        CorpusError: It is missing, or is not UTF-8.
    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"{path} cannot be read as a UTF-8 text: {error}") from error


def protocol_rows(path: Path, columns: tuple[int, ...], reading: Reading) -> Iterator[tuple[int, list[str]]]:
    """Read a protocol without a header, its cells parted by white space.

    Args:
        path: The protocol.
        columns: How many cells a row may have.
        reading: Told of every row with another number of cells.

    Yields:
        Line number and cells.

    Raises:
        CorpusError: The file cannot be read.
    """
    for line, text in enumerate(read_text(path).split("\n"), 1):
        cells = text.split()
        if len(cells) in columns:
            yield line, cells
        elif cells:
            accepted = " or ".join(map(str, columns))
            reading.bad(path, line, f"{len(cells)} columns parted by spaces; accepted: {accepted}")


def table_rows(
    path: Path, required: set[str], reading: Reading, delimiters: str = "|\t,;"
) -> Iterator[tuple[int, dict[str, str]]]:
    """Read a table with a header, finding its delimiter by the columns that must be there.

    Where the delimiter is ``|`` quotes are letters: transcripts hold unbalanced ones, which would swallow rows.

    Args:
        path: The table.
        required: Columns that must be there.
        reading: Told of every row with another number of cells than the header.
        delimiters: Delimiters to try.

    Yields:
        Line number and cells by column.

    Raises:
        CorpusError: The file cannot be read, or no delimiter gives the columns.
    """
    text = read_text(path)
    header = text.partition("\n")[0].rstrip("\r")
    for delimiter in delimiters:
        table = csv.reader(
            io.StringIO(text, newline=""),
            delimiter=delimiter,
            quoting=csv.QUOTE_NONE if delimiter == "|" else csv.QUOTE_MINIMAL,
        )
        columns = [name.strip() for name in next(table, [])]
        if required <= set(columns):
            break
    else:
        tried = " ".join("tab" if d == "\t" else d for d in delimiters)
        raise CorpusError(
            f"{path}, line 1: the header {header[:200]!r} gives no columns {sorted(required)} with any "
            f"delimiter of: {tried}"
        )
    for cells in table:
        if len(cells) == len(columns):
            yield table.line_num, dict(zip(columns, cells, strict=True))
        elif cells:
            reading.bad(path, table.line_num, f"{len(cells)} cells where the header has {len(columns)}")


def find_folder(root: Path, marker: str, corpus: str) -> Path:
    """Find the folder that holds `marker`: archives unpack into one folder more or less than people expect.

    Args:
        root: Where the user says that the corpus is.
        marker: A file or folder in the corpus's own top folder.
        corpus: Name of the corpus, for the message.

    Returns:
        `root`, or the one folder directly inside it that has `marker`.

    Raises:
        CorpusError: Neither has it.
    """
    if (root / marker).exists():
        return root
    inside = sorted(root.glob(f"*/{marker}"))
    if not inside:
        raise CorpusError(
            f"{corpus}: {root} holds no {marker}, nor does a folder in it; give the corpus's own top folder "
            f"as {corpus}:FOLDER (`ringtrue corpus list` shows the layouts)"
        )
    return Path(str(inside[0])[: -len(marker)])


def audio_files(folder: Path) -> list[Path]:
    """List the recordings in a folder and below it.

    Args:
        folder: Where to look; may be missing.

    Returns:
        Their paths, sorted; none if there is no such folder or no sound in it, of which the caller knows the meaning.

    Raises:
        CorpusError: A part of the tree cannot be read.
    """
    from ringtrue.audio import find_recordings

    if not folder.is_dir():
        return []
    found = list(find_recordings([folder]))
    paths = [path for path in found if isinstance(path, Path)]
    if paths and len(paths) < len(found):
        raise CorpusError("; ".join(str(error) for error in found if not isinstance(error, Path)))
    return sorted(paths)
