"""Recordings -> verdicts: `ringtrue check`."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from ringtrue.cli.terminal import ERROR, INCONCLUSIVE, OK, SPOOF, Command, complain
from ringtrue.errors import RingtrueError

if TYPE_CHECKING:
    from ringtrue.inference.verdict import Verdict


def add(command: Command) -> None:
    """Declare the commands of this file."""
    check = command("check", _check, "Judge recordings: decision, evidence, timeline, limits.")
    check.add_argument("files", nargs="+", metavar="FILE", help="audio or video files, or folders of them")
    check.add_argument("--model", help="an .onnx file or the name of an installed model")
    check.add_argument("--json", action="store_true", help="print one JSON object a line")
    check.add_argument("--threads", type=int, default=1, help="CPU threads for one recording (default 1)")


def _check(options: argparse.Namespace) -> int:
    from ringtrue.audio import find_recordings
    from ringtrue.inference.runtime import Detector

    detector = Detector.from_pretrained(options.model, threads=options.threads)
    decisions, failed = set(), False
    for path in find_recordings(options.files):
        try:
            if isinstance(path, RingtrueError):
                raise path
            verdict = detector.check(path)
        except RingtrueError as error:
            failed = True
            complain(str(error))
            if options.json:
                print(json.dumps({"name": str(path), "error": str(error)}, ensure_ascii=False), flush=True)
            continue
        decisions.add(verdict.decision)
        words = json.dumps(verdict.to_dict(), ensure_ascii=False) if options.json else _in_words(verdict)
        print(words, flush=True)
    if failed:
        return ERROR
    if "spoof" in decisions:
        return SPOOF
    return INCONCLUSIVE if "inconclusive" in decisions else OK


def _in_words(verdict: Verdict) -> str:
    evidence = "not calibrated" if verdict.llr is None else f"LLR {verdict.llr:+.2f}"
    audio = verdict.audio
    lines = [
        f"{verdict.name}: {verdict.decision.upper()}  {evidence}  "
        f"({audio['duration_s']:.1f} s, {audio['codec']}, {audio['native_rate_hz'] / 1000:g} kHz)"
    ]
    if len(verdict.segments) > 1:
        lines += [
            f"  {s.start_s:7.1f} - {s.end_s:.1f} s  {s.llr:+.2f}"
            for s in verdict.segments
            if s.llr is not None
        ]
    lines += [f"  note: {warning}" for warning in verdict.warnings]
    return "\n".join(lines)
