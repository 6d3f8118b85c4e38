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
from ringtrue.evaluation.layouts import SPELLINGS
from ringtrue.evaluation.names import Names
from ringtrue.evaluation.parts import KNOWN, read_parts
from ringtrue.evaluation.reading import Columns, line_of_row, read_columns
from ringtrue.files import atomic_path

_REQUIRED = ("trial", "label", "score")


class _RowError(ScoresError):
    """A row that may not stand; who reads a file says where in the file it is."""

    def __init__(self, row: int, message: str) -> None:
        super().__init__(f"scores, row {row + 1}: {message}")
        self.row, self.message = row, message


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
        """Refuse what no honest figure can be computed from; text may come as any array of strings."""
        for name in ("trials", "labels"):
            object.__setattr__(self, name, Names.of(getattr(self, name)))
        columns = {name: Names.of(values) for name, values in self.columns.items()}
        object.__setattr__(self, "columns", columns)
        sizes = {len(self.labels), len(self.scores), *(len(values) for values in columns.values())}
        if sizes != {len(self.trials)}:
            raise ScoresError(
                f"{len(self.trials)} trials with columns of {sorted(sizes)} values; one each is needed"
            )
        if fault := _first_fault(self.trials, self.labels, self.scores):
            raise _RowError(*fault)

    def __len__(self) -> int:
        """Count the trials."""
        return len(self.trials)

    @property
    def is_bonafide(self) -> NDArray[np.bool_]:
        """Which trials a person spoke."""
        return self.labels == "bonafide"

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
        if chosen.dtype == np.bool_ and chosen.all():
            return self
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
        wanted = Names.of(trials)
        if len(wanted) == len(self) and bool((self.trials == wanted).all()):
            return self
        place = wanted.places_in(self.trials)
        missing = sorted(set(wanted[place < 0].tolist()))
        extra = sorted(self.trials[self.trials.places_in(wanted) < 0].tolist())
        if missing or extra:
            raise ScoresError(
                f"two models must have scored the same trials: {len(missing)} are missing {missing[:3]} and "
                f"{len(extra)} are extra {extra[:3]}"
            )
        return self.select(place)


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
    columns = {name: Names.of([getattr(trial, name) for trial in trials]) for name in KNOWN}
    return Scores(
        Names.of([trial.id for trial in trials]),
        Names.of([trial.label for trial in trials]),
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
    comment = json.dumps(dict(scores.metadata), ensure_ascii=False, sort_keys=True, allow_nan=False)
    columns = [scores.trials, scores.labels, *scores.columns.values()]
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        file.write(f"# {comment}\n" + "\t".join([*_REQUIRED, *scores.columns]) + "\n")
        begin = 0
        for trials, labels, *others in zip(*(column.pieces() for column in columns), strict=True):
            # repr of a Python float is the shortest text that reads back to the same bits.
            values = map(repr, scores.scores[begin : begin + len(trials)].tolist())
            begin += len(trials)
            lines = ["\t".join(row) for row in zip(trials, labels, values, *others, strict=True)]
            text = "\n".join(lines)
            if text.count("\t") != len(lines) * len(columns) or len(text.splitlines()) != len(lines):
                raise ScoresError("a trial, system or other name holds a tab or a line break; rename it")
            file.write(text + "\n")


def read_scores(
    path: str | Path,
    key: str | Path | None = None,
    *,
    labels: Mapping[str, str] | None = None,
    columns: Mapping[str, str] | None = None,
    force: bool = False,
) -> Scores:
    """Read scores with their labels from one file, or from a scores file and a key.

    Args:
        path: The scores; `layouts` lists them; or a folder that `ringtrue score` filled. Higher must mean "more likely
            bona fide"; what is in the file is taken at its word.
        key: Where labels and everything else about the trials are, if not in the scores file. Scores and key
            must hold the same trials.
        labels: What other words for the labels mean, such as ``{"real": "bonafide", "1": "spoof"}``; no word
            but ``bonafide`` and ``spoof`` is understood by itself.
        columns: Which columns are meant, see `reading.read_columns`; for the scores file.
        force: Where scores and key hold different trials, go on with those in both; the metadata then says
            under ``forced`` what was overridden.

    Returns:
        Validated scores, in the order of the scores file.

    Raises:
        ScoresError: A file is missing, is no such table, or a row is wrong; one line, with file and place.
    """
    needs = ("trial", "score") if key else _REQUIRED
    is_folder = Path(path).is_dir()
    table = read_parts(Path(path), needs) if is_folder else read_columns(path, needs, columns)
    values, metadata = table.scores, dict(table.metadata)
    assert values is not None  # it was needed
    known, trials = table.text, table.text.pop("trial")
    if key is not None:
        keys = read_columns(key, ("trial", "label"))
        known, rows, forced = _join(path, trials, known, keys, labels or {}, force)
        trials, values = trials[rows], values[rows]
        metadata |= {"key": str(key)} | ({"forced": forced} if forced else {})
    labels_ = _translate(key or path, known.pop("label"), labels or {})
    if "system" in known:  # A00 and - both mean "no attack"
        known["system"] = known["system"].where(labels_ == "bonafide", "")
    try:
        return Scores(trials, labels_, values, known, metadata)
    except _RowError as error:
        place = _line_of(path, error.row) if key is None else ""
        raise ScoresError(f"{path}{place}: {error.message}") from None


def _join(
    path: str | Path,
    trials: Names,
    known: dict[str, Names],
    key: Columns,
    labels: Mapping[str, str],
    force: bool,
) -> tuple[dict[str, Names], NDArray[np.intp], list[str]]:
    """Find each scored trial in the key: the joined columns, the rows of the scores to keep, what was forced."""
    names = key.text.pop("trial")
    for table, ids in ((path, trials), (key.path, names)):
        if (repeated := ids.first_repeated()) is not None:
            raise ScoresError(
                f"{table}{_line_of(table, repeated)}: the trial {ids[repeated]!r} occurs more than once; "
                "keep one row of each trial"
            )
    place = trials.places_in(names)
    rows = np.flatnonzero(place >= 0)
    extra, missing = len(trials) - rows.size, len(names) - rows.size
    if not rows.size:
        raise ScoresError(
            f"{path} and {key.path} have no trial in common: the scores name {trials[0]!r}, the key "
            f"{names[0]!r}{_hint_at_names(trials, names)}"
        )
    forced = []
    if extra or missing:
        is_unscored = np.ones(len(names), dtype=bool)
        is_unscored[place[rows]] = False
        unscored = names[is_unscored][:3].tolist()
        unlabelled = trials[place < 0][:3].tolist()
        problem = (
            f"{missing} of the key's {len(names)} trials have no score {unscored} and {extra} scored trials "
            f"have no label {unlabelled}"
        )
        if not force:
            raise ScoresError(
                f"{path}: {problem}; score what is missing, or take the right key. --force judges the "
                f"{rows.size} trials in both, and says so"
            )
        forced.append(problem)
    place = place[rows]
    joined = {name: column[rows] for name, column in known.items() if name != "label"}
    joined |= {name: column[place] for name, column in key.text.items()}
    if "label" in known:
        ours, theirs = (
            _translate(p, column, labels)
            for p, column in ((path, known["label"][rows]), (key.path, joined["label"]))
        )
        if np.any(ours != theirs):
            row = int(np.argmax(ours != theirs))
            raise ScoresError(
                f"{path} calls {trials[rows[row]]!r} {ours[row]!r} and {key.path} {theirs[row]!r}, "
                f"and {int(np.sum(ours != theirs))} such; one of them has the wrong labels"
            )
    return joined, rows, forced


def _hint_at_names(trials: Names, names: Names) -> str:
    """Say whether ids would match without folder and suffix; whether they then mean the same is not ours to say."""
    bare = [{Path(str(name)).stem for name in side[:1000].tolist()} for side in (trials, names)]
    return "; they would match without folder or suffix: rename one side" if bare[0] & bare[1] else ""


def _translate(path: str | Path, words: Names, labels: Mapping[str, str]) -> Names:
    """Put our two words for the labels, where the user has said what others mean."""
    if wrong := sorted(set(labels.values()) - set(LABELS)):
        raise ScoresError(f"a label cannot mean {wrong[0]!r}; accepted: {' or '.join(LABELS)}")
    found = words.distinct()
    unknown = [word for word in found if word not in labels and word not in LABELS]
    if not unknown and not labels:
        return words
    if not unknown:
        return words.map(lambda word: labels.get(word, word))
    row = min(int(np.argmax(words == word)) for word in unknown)
    word = words[row]
    meant = [right for right, wrong in SPELLINGS.items() if word.lower() in wrong]
    if meant:
        remedy = f"write {meant[0]!r}, or add --label {word}={meant[0]}, if that is what it means"
    elif word in ("0", "1"):
        remedy = (
            "corpora disagree on which is which (1 is bona fide in ASVspoof code, spoof in the arena): say "
            "--label 0=... --label 1=..."
        )
    elif not word:
        remedy = f"{int((words == '').sum())} trials are unlabelled: label them, or take them out"
    else:
        remedy = f"say --label {word}=bonafide or {word}=spoof"
    others = f" among {found[:6]}" if len(found) > 1 else ""
    raise ScoresError(
        f"{path}{_line_of(path, row)}: label {word!r}{others}; accepted: {' or '.join(LABELS)}; {remedy}"
    )


def _line_of(path: str | Path, row: int) -> str:
    """Find the line of a row by reading again: only a faulty file pays for it."""
    try:
        return f", line {line_of_row(path, row)}"
    except (ScoresError, UnicodeDecodeError):
        return f", row {row + 1}"


def _first_fault(trials: Names, labels: Names, scores: NDArray[np.float64]) -> tuple[int, str] | None:
    """Find a row that may not stand, and say what is wrong with it."""
    if unknown := [word for word in labels.distinct() if word not in LABELS]:
        row = min(int(np.argmax(labels == word)) for word in unknown)
        return row, f"label {labels[row]!r}; accepted: {' or '.join(LABELS)}"
    broken = np.flatnonzero(~np.isfinite(scores))
    if broken.size:
        more = f", and {broken.size} such" if broken.size > 1 else ""
        row = int(broken[0])
        return row, f"the score of {trials[row]!r} is {scores[row]}{more}; find out why"
    if (repeated := trials.first_repeated()) is not None:
        return repeated, f"the trial {trials[repeated]!r} occurs more than once"
    return None
