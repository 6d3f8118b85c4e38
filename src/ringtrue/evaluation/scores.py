"""A scores file <-> `Scores`: what a detector said about each trial, written before any figure is computed.

The file is a tab-separated table with a header, ``trial label score system speaker ...``. A comment line
before it holds one JSON object that says how the scores came about::

    # {"model": "hero", "model_sha256": "…", "decoder": "…", "command": "ringtrue score …"}
    trial	label	score	system	speaker
    LA_E_28	bonafide	3.25		LA_0039

Scores are written so that they read back to the same bits. Reading repairs nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringtrue.data.trials import LABELS, Trial
from ringtrue.errors import ScoresError
from ringtrue.files import write_text

Names = NDArray[np.str_]

_REQUIRED = ("trial", "label", "score")
_FROM_TRIAL = ("system", "speaker", "language", "source_utterance", "codec", "split", "corpus")
# Other people's words, for the message only. 0 and 1 are left out: corpora disagree on which is which.
_SPELLINGS = {
    "bonafide": {"bona-fide", "bona_fide", "bona fide", "real", "human", "genuine"},
    "spoof": {"fake", "spoofed", "synthetic", "deepfake", "machine"},
}


@dataclass(frozen=True)
class Scores:
    """Scores of one model over one set of trials.

    Attributes:
        trials: Trial ids, unique.
        labels: ``"bonafide"`` or ``"spoof"``, one a trial.
        scores: float64, finite; higher = more likely bona fide.
        columns: What else is known of each trial, by column name; an empty string where unknown.
        metadata: How the scores came about: model hash, decoder, resampler, versions, command.
    """

    trials: Names
    labels: Names
    scores: NDArray[np.float64]
    columns: Mapping[str, Names] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what no honest figure can be computed from."""
        sizes = {len(values) for values in (self.labels, self.scores, *self.columns.values())}
        if sizes != {len(self.trials)}:
            raise ScoresError(
                f"{len(self.trials)} trials with columns of {sorted(sizes)} values; one each is needed"
            )
        if fault := _first_fault(self.trials, self.labels, self.scores):
            row, message = fault
            raise ScoresError(f"scores, row {row + 1}: {message}")

    def __len__(self) -> int:
        """Count the trials."""
        return len(self.trials)

    @property
    def is_bonafide(self) -> NDArray[np.bool_]:
        """Which trials a person spoke."""
        return np.asarray(self.labels == "bonafide")

    @property
    def bonafide(self) -> NDArray[np.float64]:
        """Scores of the bona fide trials, in file order."""
        return self.scores[self.is_bonafide]

    @property
    def spoof(self) -> NDArray[np.float64]:
        """Scores of the spoof trials, in file order."""
        return self.scores[~self.is_bonafide]

    def column(self, name: str) -> Names:
        """Give one column of what is known of the trials.

        Args:
            name: A column name such as ``"system"``.

        Returns:
            Its value for each trial.

        Raises:
            ScoresError: These scores have no such column.
        """
        if name not in self.columns:
            raise ScoresError(
                f"the scores have no column {name!r}; they have: {', '.join(self.columns) or 'none'}"
            )
        return self.columns[name]

    def select(self, chosen: NDArray[Any]) -> Scores:
        """Keep some trials.

        Args:
            chosen: A mask over the trials, or their positions in the wanted order.

        Returns:
            Scores of those trials, with the same metadata.
        """
        columns = {name: values[chosen] for name, values in self.columns.items()}
        return Scores(self.trials[chosen], self.labels[chosen], self.scores[chosen], columns, self.metadata)

    def align(self, trials: Sequence[str] | Names) -> Scores:
        """Put the trials in a given order, so that two models' scores can be compared pair by pair.

        Args:
            trials: The ids that must be here, all of them and no others.

        Returns:
            The same scores in that order.

        Raises:
            ScoresError: The two sets of trials differ; the message counts and names some.
        """
        place = {trial: row for row, trial in enumerate(self.trials.tolist())}
        wanted = [str(trial) for trial in trials]
        missing, extra = sorted(set(wanted) - set(place)), sorted(set(place) - set(wanted))
        if missing or extra:
            raise ScoresError(
                f"two models must have scored the same trials: {len(missing)} are missing {missing[:3]} and "
                f"{len(extra)} are extra {extra[:3]}"
            )
        return self.select(np.array([place[trial] for trial in wanted], dtype=np.intp))


def scores_of_trials(
    trials: Sequence[Trial], scores: Iterable[float], metadata: Mapping[str, Any] | None = None
) -> Scores:
    """Join a model's output to the Trials that it was computed for.

    Args:
        trials: The trials.
        scores: One score each, in the same order; higher = more likely bona fide.
        metadata: How they came about.

    Returns:
        The scores with what the Trials know.

    Raises:
        ScoresError: The counts differ, an id occurs twice, or a score is not finite.
    """
    columns = {
        name: np.array([getattr(trial, name) for trial in trials], dtype=np.str_) for name in _FROM_TRIAL
    }
    return Scores(
        np.array([trial.id for trial in trials], dtype=np.str_),
        np.array([trial.label for trial in trials], dtype=np.str_),
        np.fromiter(scores, dtype=np.float64),
        columns,
        metadata or {},
    )


def write_scores(path: str | Path, scores: Scores) -> None:
    """Write a scores file, atomically.

    Args:
        path: The file to write.
        scores: What to write, in this order.

    Raises:
        ScoresError: A name holds a tab or a line break, which the format cannot carry.
    """
    # repr of a Python float is the shortest text that reads back to the same bits.
    cells = [
        scores.trials.tolist(),
        scores.labels.tolist(),
        [repr(score) for score in scores.scores.tolist()],
    ]
    cells += [values.tolist() for values in scores.columns.values()]
    lines = ["\t".join([*_REQUIRED, *scores.columns]), *("\t".join(row) for row in zip(*cells, strict=True))]
    text = "\n".join(lines)
    if text.count("\t") != len(lines) * (len(cells) - 1) or len(text.splitlines()) != len(lines):
        raise ScoresError("a trial, system or other name holds a tab or a line break; rename it")
    comment = json.dumps(dict(scores.metadata), ensure_ascii=False, sort_keys=True, allow_nan=False)
    write_text(path, f"# {comment}\n{text}\n")


def read_scores(path: str | Path) -> Scores:
    """Read a scores file of ours or of ASVspoof 2019 (``utterance attack label score`` without a header).

    Args:
        path: The file. Higher scores must mean "more likely bona fide"; what is in it is taken at its word.

    Returns:
        Its validated content, in file order. ASVspoof's attack becomes the column ``system``, empty for
        bona fide.

    Raises:
        ScoresError: The file is missing, is no such table, or a row is wrong; with file and line.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise ScoresError(f"no scores file at {path}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ScoresError(f"{path} cannot be read as a UTF-8 table: {error}") from error
    comments: list[tuple[int, str]] = []
    lines: list[tuple[int, str]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.removesuffix("\r")
        if line.startswith("#") and not lines:
            comments.append((number, line[1:].strip()))
        elif line.strip():
            lines.append((number, line))
    if not lines:
        raise ScoresError(f"{path} holds no rows")
    header, *_ = (line for _, line in lines)
    if "\t" not in header and len(header.split()) == 4:
        return _parse_asvspoof(path, lines)
    return _parse_table(path, lines, _parse_metadata(path, comments))


def _parse_table(path: Path, lines: list[tuple[int, str]], metadata: dict[str, Any]) -> Scores:
    """Turn a header and tab-separated rows into Scores."""
    names = lines[0][1].split("\t")
    missing = [name for name in _REQUIRED if name not in names]
    if missing or len(set(names)) < len(names):
        fault = f"it lacks {', '.join(missing)}" if missing else "a name occurs twice"
        raise ScoresError(
            f"{path}, line {lines[0][0]}: the columns are {names}; {fault}. A scores file is tab-separated "
            f"with a header that starts {' '.join(_REQUIRED)}"
        )
    cells = _split(path, lines[1:], len(names), "\t")
    columns = {
        name: np.array([row[place] for row in cells], dtype=np.str_) for place, name in enumerate(names)
    }
    numbers = [number for number, _ in lines[1:]]
    trials, labels, scores = (columns.pop(name) for name in _REQUIRED)
    return _build(path, numbers, trials, labels, scores, columns, metadata)


def _parse_asvspoof(path: Path, lines: list[tuple[int, str]]) -> Scores:
    """Turn rows ``utterance attack label score`` into Scores."""
    cells = np.array(_split(path, lines, 4, None), dtype=np.str_)
    trials, attacks, labels, scores = cells.T
    columns = {"system": np.where(labels == "bonafide", "", attacks)}  # A00 and - both mean "no attack"
    metadata = {"format": "ASVspoof 2019, four columns"}
    return _build(path, [number for number, _ in lines], trials, labels, scores, columns, metadata)


def _split(path: Path, lines: list[tuple[int, str]], width: int, separator: str | None) -> list[list[str]]:
    """Cut rows into cells and refuse one that is too long or too short."""
    rows = [line.split(separator) for _, line in lines]
    for (number, _), row in zip(lines, rows, strict=True):
        if len(row) != width:
            raise ScoresError(f"{path}, line {number}: {len(row)} cells where {width} are expected")
    return rows


def _build(
    path: Path,
    numbers: list[int],
    trials: Names,
    labels: Names,
    scores: Names,
    columns: dict[str, Names],
    metadata: dict[str, Any],
) -> Scores:
    """Convert the scores and validate everything, naming the line of the first fault."""
    if not numbers:
        raise ScoresError(f"{path} has a header and no rows")
    values = np.empty(len(numbers), dtype=np.float64)
    for row, text in enumerate(scores.tolist()):
        try:
            values[row] = float(text)
        except ValueError as error:
            raise ScoresError(f"{path}, line {numbers[row]}: the score {text!r} is not a number") from error
    if fault := _first_fault(trials, labels, values):
        row, message = fault
        raise ScoresError(f"{path}, line {numbers[row]}: {message}")
    return Scores(trials, labels, values, columns, metadata)


def _first_fault(trials: Names, labels: Names, scores: NDArray[np.float64]) -> tuple[int, str] | None:
    """Find a row that may not stand, and say what is wrong with it."""
    unknown = np.flatnonzero(~np.isin(labels, LABELS))
    if unknown.size:
        label = str(labels[unknown[0]])
        meant = [right for right, wrong in _SPELLINGS.items() if label.lower() in wrong]
        hint = f"; write {meant[0]!r} if that is what it means" if meant else ""
        return int(unknown[0]), f"label {label!r}; accepted: {' or '.join(LABELS)}{hint}"
    broken = np.flatnonzero(~np.isfinite(scores))
    if broken.size:
        return int(broken[0]), f"the score of {str(trials[broken[0]])!r} is {scores[broken[0]]}; find out why"
    _, firsts = np.unique(trials, return_index=True)
    if firsts.size < trials.size:
        repeated = np.setdiff1d(np.arange(trials.size), firsts)
        return int(repeated[0]), f"the trial {str(trials[repeated[0]])!r} occurs more than once"
    return None


def _parse_metadata(path: Path, comments: list[tuple[int, str]]) -> dict[str, Any]:
    """Read the JSON object that the comment lines hold; free text in other comments is allowed."""
    metadata: dict[str, Any] = {}
    for number, comment in comments:
        if not comment.startswith("{"):
            continue
        try:
            metadata |= json.loads(comment)
        except ValueError as error:
            raise ScoresError(f"{path}, line {number}: the comment is no JSON object: {error}") from error
    return metadata
