"""Outcomes <-> files: a journal of JSON lines that a later run goes on with, and a table."""

from __future__ import annotations

import csv
import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ringtrue.errors import RingtrueError
from ringtrue.files import atomic_path, sha256_file
from ringtrue.inference.batch import Outcome, Setup, check_all
from ringtrue.inference.verdict import Segment, Verdict

_EVIDENCE = ("speech_s", "bandwidth_hz", "level_db", "snr_db", "pauses_per_min")
COLUMNS = (
    "name", "decision", "llr", "score", "duration_s", "codec", "native_rate_hz", "spoof_regions_s", *_EVIDENCE,
    "warnings", "error", "file_sha256", "model_sha256",
)  # fmt: skip
"""Columns of the table that `write_csv` writes."""


def row_of(outcome: Outcome) -> dict[str, Any]:
    """Give an outcome as plain JSON values: the verdict's, or ``name`` and ``error``."""
    return (
        {"name": outcome.name, "error": outcome.error}
        if outcome.verdict is None
        else outcome.verdict.to_dict()
    )


def check_resumably(
    recordings: Iterable[Path | RingtrueError],
    setup: Setup,
    journal: Path,
    workers: int,
    say: Callable[[str], None],
) -> Iterator[Outcome]:
    """Judge recordings and keep each verdict at once; what the journal holds is not judged again.

    A line of the journal counts if it was judged by this model at this threshold and its file has the same size
    and time of change. A last line that a kill spoilt is dropped.

    Args:
        recordings: What `find_recordings` yields.
        setup: The model and how to use it.
        journal: A file of JSON lines; appended to, and made if it is not there.
        workers: Processes.
        say: Takes a line about what is taken over.

    Yields:
        One outcome a recording, in order.

    Raises:
        RingtrueError: The journal is something else.
    """
    made_by = {
        "model_sha256": sha256_file(setup.model) if setup.model.is_file() else "",
        "threshold": setup.threshold,
    }
    known = _read(journal, made_by)
    if known:
        say(
            f"{journal} holds {len(known)} verdicts of this model; they are taken over where the file is unchanged"
        )
    pending: deque[tuple[str, Outcome | None]] = deque()

    def todo() -> Iterator[Path | RingtrueError]:
        for recording in recordings:
            key = _key(recording)
            old = known.get(key)
            pending.append((key, old))
            if old is None:
                yield recording

    with open(journal, "a", encoding="utf-8") as file:
        for outcome in check_all(todo(), setup, workers):
            yield from _taken_over(pending)
            key, _ = pending.popleft()
            if outcome.verdict is not None:
                row = {**outcome.verdict.to_dict(), "judged": {**made_by, "file": key}}
                file.write(json.dumps(row) + "\n")
                file.flush()
            yield outcome
        yield from _taken_over(pending)


def write_csv(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Write a table, one row a recording.

    Args:
        path: The file to write.
        outcomes: What became of each recording.
    """
    with (
        atomic_path(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="", errors="backslashreplace") as file,
    ):
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(_cells(outcome) for outcome in outcomes)


def _cells(outcome: Outcome) -> dict[str, Any]:
    verdict = outcome.verdict
    if verdict is None:
        return {"name": _safe(outcome.name), "error": outcome.error}
    return {
        "name": _safe(outcome.name),
        "decision": verdict.decision,
        "llr": "" if verdict.llr is None else f"{verdict.llr:.4f}",
        "score": f"{verdict.score:.6f}",
        "duration_s": f"{verdict.audio['duration_s']:.3f}",
        "codec": verdict.audio["codec"],
        "native_rate_hz": verdict.audio["native_rate_hz"],
        "spoof_regions_s": " ".join(f"{region.start_s:.2f}-{region.end_s:.2f}" for region in verdict.regions),
        **{name: f"{verdict.evidence[name]:.4g}" for name in _EVIDENCE if name in verdict.evidence},
        "warnings": "; ".join(verdict.warnings),
        "file_sha256": verdict.audio["sha256"],
        "model_sha256": verdict.model.get("sha256", ""),
    }


def _safe(name: str) -> str:
    """Keep a spreadsheet from taking a file's name for a formula."""
    return f"'{name}" if name[:1] in "=+-@\t" else name


def _taken_over(pending: deque[tuple[str, Outcome | None]]) -> Iterator[Outcome]:
    while pending and (old := pending[0][1]) is not None:
        pending.popleft()
        yield old


def _key(recording: Path | RingtrueError) -> str:
    """Say which file it is and in which state; empty for what is none."""
    if isinstance(recording, RingtrueError):
        return ""
    try:
        state = recording.stat()
    except (OSError, ValueError):
        return ""
    return f"{state.st_size} {state.st_mtime_ns} {os.fsdecode(recording)}"


def _read(journal: Path, made_by: dict[str, Any]) -> dict[str, Outcome]:
    """Read what fits; cut the file after its last whole line."""
    if not journal.exists():
        return {}
    known: dict[str, Outcome] = {}
    whole = 0
    with open(journal, "rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                break
            try:
                row = json.loads(line)
                judged = row.pop("judged")
                if {key: judged[key] for key in made_by} == made_by:
                    known[judged["file"]] = Outcome(row["name"], _verdict_of(row))
            except (ValueError, KeyError, TypeError) as error:
                raise RingtrueError(
                    f"{journal} holds a line that `ringtrue check --jsonl` did not write; give another file"
                ) from error
            whole += len(line)
    os.truncate(journal, whole)
    return known


def _verdict_of(row: dict[str, Any]) -> Verdict:
    row = {key: value for key, value in row.items() if key != "schema"}
    for name in ("segments", "regions"):
        row[name] = tuple(Segment(**piece) for piece in row[name])
    for name in ("warnings", "envelope"):
        row[name] = tuple(row[name])
    return Verdict(**row)
