"""Recordings -> verdicts: `ringtrue check`."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ringtrue.cli.terminal import ERROR, INCONCLUSIVE, OK, SPOOF, Command, complain, say

if TYPE_CHECKING:
    from ringtrue.errors import RingtrueError
    from ringtrue.inference.batch import Outcome
    from ringtrue.inference.verdict import Verdict

_PROGRESS_S = 5.0  # seconds between two lines of progress


def add(command: Command) -> None:
    """Declare the commands of this file."""
    check = command("check", _check)
    check.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="audio or video files, folders, patterns; - is standard input",
    )
    check.add_argument("--from", dest="lists", action="append", default=[], metavar="LIST",
                       help="also judge the files that this file names, one a line; - is standard input")  # fmt: skip
    check.add_argument("--model", help="an .onnx file or the name of an installed model")
    check.add_argument(
        "--threshold", type=float, metavar="LLR", help="decide here instead of abstaining near it"
    )
    check.add_argument("--json", action="store_true", help="print one JSON object a line")
    check.add_argument("--jsonl", type=Path, metavar="OUT", help="keep verdicts here as they come; the same "
                       "command goes on where it stopped")  # fmt: skip
    check.add_argument("--csv", type=Path, metavar="OUT", help="write a table, one row a recording")
    check.add_argument("--report", type=Path, metavar="OUT", help="write an HTML page with pictures")
    check.add_argument("--workers", type=int, default=1, help="processes for many recordings (1)")
    check.add_argument("--threads", type=int, default=1, help="CPU threads for one recording (1)")
    check.add_argument("--timeout", type=float, default=600.0, metavar="SECONDS",
                       help="give a file up after this long, with two workers or more (600)")  # fmt: skip


def _check(options: argparse.Namespace) -> int:
    from ringtrue.inference.batch import Setup
    from ringtrue.inference.results import write_csv
    from ringtrue.inference.runtime import find_model

    if not options.files and not options.lists:
        complain("nothing to judge: name files, folders, - for standard input, or --from LIST")
        return ERROR
    if options.workers < 1 or options.threads < 1:
        complain("--workers and --threads take 1 or more")
        return ERROR
    setup = Setup(find_model(options.model), options.threads, options.threshold, options.timeout)
    keep = options.csv or options.report
    kept: list[Outcome] = []
    decisions, failed = set(), False
    for outcome in _with_progress(_outcomes(options, setup)):
        if keep:
            kept.append(outcome)
        if outcome.verdict is None:
            failed = True
            complain(outcome.error)
        else:
            decisions.add(outcome.verdict.decision)
        _show(outcome, as_json=options.json)
    if options.csv:
        write_csv(options.csv, kept)
        say(f"table: {options.csv}")
    if options.report:
        _write_report(options.report, kept)
    if failed:
        return ERROR
    if "spoof" in decisions:
        return SPOOF
    return INCONCLUSIVE if "inconclusive" in decisions else OK


def _outcomes(options: argparse.Namespace, setup: object) -> Iterator[Outcome]:
    """Judge what the command line names: standard input here, files by workers, known ones from the journal."""
    from ringtrue.audio import find_recordings
    from ringtrue.inference.batch import Setup, check_all
    from ringtrue.inference.results import check_resumably

    assert isinstance(setup, Setup)
    names = [name for name in options.files if name != "-"]
    if "-" in options.files:
        yield _standard_input(setup)
    recordings: Iterator[Path | RingtrueError] = find_recordings(_named(names, options.lists))
    if options.jsonl:
        yield from check_resumably(recordings, setup, options.jsonl, options.workers, say)
    else:
        yield from check_all(recordings, setup, options.workers)


def _standard_input(setup: object) -> Outcome:
    from ringtrue.errors import RingtrueError
    from ringtrue.inference.batch import Outcome, Setup

    assert isinstance(setup, Setup)
    try:
        return Outcome("-", setup.detector().check(sys.stdin.buffer))
    except RingtrueError as error:
        return Outcome("-", error=str(error))


def _named(names: list[str], lists: list[str]) -> Iterator[str]:
    yield from names
    for name in lists:
        with contextlib.ExitStack() as stack:
            file = (
                sys.stdin
                if name == "-"
                else stack.enter_context(open(name, encoding="utf-8", errors="surrogateescape"))
            )
            for line in file:
                if line.strip():
                    yield line.rstrip("\r\n")


def _with_progress(outcomes: Iterator[Outcome]) -> Iterator[Outcome]:
    """Say now and then how many have been judged, where a person is looking at something else."""
    started = spoken = time.monotonic()
    heard_s, count = 0.0, 0
    for count, outcome in enumerate(outcomes, start=1):
        yield outcome
        heard_s += outcome.verdict.audio["duration_s"] if outcome.verdict else 0.0
        now = time.monotonic()
        if now - spoken >= _PROGRESS_S and not sys.stdout.isatty():
            spoken = now
            say(f"{count} judged, {heard_s / 3600:.2f} h of sound, {count / (now - started):.1f} files/s")


def _show(outcome: Outcome, *, as_json: bool) -> None:
    if as_json:
        import json

        from ringtrue.inference.results import row_of

        print(json.dumps(row_of(outcome), ensure_ascii=False), flush=True)
    elif outcome.verdict is not None:
        print(_in_words(outcome.verdict), flush=True)


def _write_report(path: Path, outcomes: list[Outcome]) -> None:
    import shlex

    from ringtrue import __version__
    from ringtrue.files import write_text
    from ringtrue.inference.report import render_report

    write_text(path, render_report(outcomes, shlex.join(["ringtrue", *sys.argv[1:]]), __version__))
    say(f"report: {path}")


def _in_words(verdict: Verdict) -> str:
    evidence = "not calibrated" if verdict.llr is None else f"LLR {verdict.llr:+.2f}"
    audio = verdict.audio
    lines = [
        f"{verdict.name}: {verdict.decision.upper()}  {evidence}  "
        f"({audio['duration_s']:.1f} s, {audio['codec']}, {audio['native_rate_hz'] / 1000:g} kHz)"
    ]
    if (
        1 < len(verdict.segments) <= 60
    ):  # beyond, a page of numbers tells a person nothing: --json or --report
        lines += [
            f"  {s.start_s:7.1f} - {s.end_s:.1f} s  {s.llr:+.2f}"
            for s in verdict.segments
            if s.llr is not None
        ]
    if verdict.source:
        from ringtrue.inference.source import in_words, neighbours_in_words

        lines.append(f"  source: {in_words(verdict.source)}")
        lines += [f"    near {words}" for words in neighbours_in_words(verdict.source)]
    lines += [f"  note: {warning}" for warning in verdict.warnings]
    return "\n".join(lines)
