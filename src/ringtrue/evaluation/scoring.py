"""A scorer and Trials -> one score a trial, window by window; a bad recording costs only itself.

No trial shares a batch with another: a batch's size changes what is rounded, so that scores would depend on the order
of trials and on where a run was killed. On a CPU small batches are no slower.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ringtrue.data.trials import Trial
from ringtrue.errors import AudioError
from ringtrue.files import write_text
from ringtrue.windows import split

ScoreBatch = Callable[[NDArray[np.float32]], NDArray[np.float64]]
"""Windows `(B, WINDOW)` in, scores `(B,)` out, higher = more likely bona fide."""

Load = Callable[[Trial], NDArray[np.float32]]
_BATCH = 16  # windows of a long recording that are scored at once: bounds memory


@dataclass(frozen=True)
class Scored:
    """One trial's outcome: a score, or the reason why there is none."""

    trial: Trial
    score: float = float("nan")
    error: str = ""


def score_trials(score_batch: ScoreBatch, trials: Sequence[Trial], load: Load) -> Iterator[Scored]:
    """Score trials in order; a trial's score is the mean over its windows, to the bit the same beside any others.

    Args:
        score_batch: The model.
        trials: What to score.
        load: Reads a trial's `(T,)` wave; an `AudioError` from it becomes that trial's outcome.

    Yields:
        One outcome a trial, in order, as soon as it is known.
    """
    for trial in trials:
        try:
            _, windows = split(load(trial))
        except AudioError as error:
            yield Scored(trial, error=str(error))
            continue
        scores = [score_batch(windows[i : i + _BATCH]) for i in range(0, len(windows), _BATCH)]
        yield Scored(trial, float(np.mean(np.concatenate(scores), dtype=np.float64)))


def score_resumably(
    score_batch: ScoreBatch, trials: Sequence[Trial], load: Load, journal: Path
) -> Iterator[Scored]:
    """Score trials as `score_trials` does, keeping a journal, so that a killed run goes on where it was.

    Args:
        score_batch: The model.
        trials: What to score.
        load: Reads a trial's wave.
        journal: A file of JSON lines, appended to; the caller deletes it when the scores are written. It must
            belong to one model: name it by the model's hash.

    Yields:
        One outcome a trial: those of the journal first, then the others in order.
    """
    done = _read_journal(journal)
    journal.parent.mkdir(parents=True, exist_ok=True)
    yield from (Scored(trial, done[trial.id]) for trial in trials if trial.id in done)
    todo = [trial for trial in trials if trial.id not in done]
    with open(journal, "a", encoding="utf-8") as file:
        for scored in score_trials(score_batch, todo, load):
            if not scored.error:
                file.write(json.dumps({"id": scored.trial.id, "score": scored.score}) + "\n")
                file.flush()
            yield scored


def _read_journal(journal: Path) -> dict[str, float]:
    """Read what an earlier run scored; from the first line that a kill or a fault spoilt, the journal is cut."""
    if not journal.exists():
        return {}
    scores: dict[str, float] = {}
    whole = []
    for line in journal.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
        try:
            row = json.loads(line)
            scores[str(row["id"])] = float(row["score"])
        except (ValueError, KeyError, TypeError):
            break
        if not line.endswith("\n"):
            del scores[str(row["id"])]
            break
        whole.append(line)
    write_text(journal, "".join(whole))
    return scores
