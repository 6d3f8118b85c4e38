"""A microphone or PCM on standard input -> evidence while it arrives: `ringtrue listen`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from ringtrue.cli.terminal import ERROR, INCONCLUSIVE, OK, SPOOF, Command, complain, say

if TYPE_CHECKING:
    import io

    from ringtrue.inference.stream import Running

_FORMATS = {"s16le": "<i2", "s32le": "<i4", "f32le": "<f4", "u8": "u1"}
_CODES = {"bona fide": OK, "spoof": SPOOF, "inconclusive": INCONCLUSIVE}


def add(command: Command) -> None:
    """Declare the commands of this file."""
    listen = command("listen", _listen)
    listen.add_argument(
        "source", nargs="?", default="microphone", help="- for PCM on standard input; else the microphone"
    )
    listen.add_argument("--model", help="an .onnx file or the name of an installed model")
    listen.add_argument("--rate", type=int, default=16_000, metavar="HZ", help="sample rate (16000)")
    listen.add_argument("--channels", type=int, default=1, help="channels of the PCM, interleaved (1)")
    listen.add_argument("--format", choices=_FORMATS, default="s16le", help="of the PCM (s16le)")
    listen.add_argument("--hop", type=float, default=0.5, metavar="SECONDS", help="between two lines (0.5)")
    listen.add_argument("--error-rate", type=float, metavar="RATE",
                        help="stop as soon as this rate of either error can be promised, such as 0.05")  # fmt: skip
    listen.add_argument("--seconds", type=float, help="stop after so long")
    listen.add_argument("--json", action="store_true", help="print one JSON object a line, the verdict last")
    listen.add_argument("--device", help="name or number of the microphone")


def _listen(options: argparse.Namespace) -> int:
    import json

    from ringtrue.inference.runtime import Detector

    if options.channels < 1 or (options.seconds is not None and options.seconds <= 0):
        complain("--channels takes 1 or more, and --seconds more than 0")
        return ERROR
    name = "standard input" if options.source == "-" else "microphone"
    if options.source not in ("-", "microphone"):
        complain(f"listen takes - or nothing, not {options.source}; for a file use `ringtrue check`")
        return ERROR
    detector = Detector.from_pretrained(options.model)
    stream = detector.stream(options.rate, hop_s=options.hop, error_rate=options.error_rate, name=name)
    decided = None
    try:
        for chunk in _standard_input(options) if options.source == "-" else _microphone(options):
            for running in stream.push(chunk):
                print(json.dumps(running.to_dict()) if options.json else _in_words(running), flush=True)
                decided = running if running.decision and decided is None else decided
            if decided is not None:
                break
    except KeyboardInterrupt:
        say("")  # a person ends a recording in this way: it gets its verdict
    verdict = stream.finish()
    decision = decided.decision if decided is not None and decided.decision else verdict.decision
    if options.json:
        print(
            json.dumps({"verdict": verdict.to_dict(), "decision": decision}, ensure_ascii=False), flush=True
        )
    else:
        evidence = "not calibrated" if verdict.llr is None else f"LLR {verdict.llr:+.2f}"
        after = f" after {decided.decided_s:.1f} s" if decided is not None else ""
        print(f"{name}: {decision.upper()}{after}  {evidence}  ({verdict.audio['duration_s']:.1f} s)")
        if verdict.source:
            from ringtrue.inference.source import in_words

            print(f"  source: {in_words(verdict.source)}")
        for warning in verdict.warnings:
            print(f"  note: {warning}")
    return _CODES[decision]


def _in_words(running: Running) -> str:
    if running.llr is None or running.now.llr is None:
        return f"{running.heard_s:8.1f} s  score {running.score:+.2f}  not calibrated"
    filled = round(max(-1.0, min(1.0, running.llr / 6.0)) * 12)
    left, right = "#" * max(0, -filled), "#" * max(0, filled)
    spoofed = "  spoofed part found" if running.regions else ""
    return (
        f"{running.heard_s:8.1f} s  LLR {running.llr:+6.2f}  now {running.now.llr:+6.2f}  "
        f"machine {left:>12}|{right:<12} person{spoofed}"
    )


def _standard_input(options: argparse.Namespace) -> Iterator[Any]:
    """Read PCM as it comes; a last sample that is not whole is dropped."""
    import numpy as np

    kind = np.dtype(_FORMATS[options.format])
    frame = kind.itemsize * options.channels
    left = round(options.seconds * options.rate) * frame if options.seconds else None
    held, pcm = b"", cast("io.BufferedReader", sys.stdin.buffer)
    while left != 0:
        # read1 gives what there is, so a slow source is not made to wait for a full buffer.
        block = pcm.read1(1 << 16 if left is None else min(1 << 16, left))
        if not block:
            return
        left = None if left is None else left - len(block)
        held += block
        whole = len(held) // frame * frame
        yield np.frombuffer(held[:whole], kind).reshape(-1, options.channels).astype(kind.newbyteorder("="))
        held = held[whole:]


def _microphone(options: argparse.Namespace) -> Iterator[Any]:
    import queue

    from ringtrue.errors import AudioError, MissingExtraError, require

    try:
        sounddevice = require("sounddevice", "listen")
    except OSError as error:  # the library is there and PortAudio is not
        raise MissingExtraError(
            f"the microphone needs PortAudio ({error}): install libportaudio2, or pipe PCM into `ringtrue listen -`"
        ) from error
    chunks: queue.Queue[Any] = queue.Queue()
    device = int(options.device) if options.device and options.device.isdigit() else options.device
    heard, wanted = 0, round((options.seconds or 0) * options.rate)
    try:
        microphone = sounddevice.InputStream(
            samplerate=options.rate,
            channels=1,
            dtype="float32",
            device=device,
            callback=lambda samples, count, when, status: chunks.put(samples.copy()),
        )
    except Exception as error:  # sounddevice and PortAudio raise their own unrelated classes
        raise AudioError(
            f"the microphone cannot be opened ({error}); list them with python -m sounddevice"
        ) from error
    with microphone:
        say("listening; Ctrl-C ends the recording and gives the verdict")
        while not wanted or heard < wanted:
            chunk = chunks.get()
            heard += len(chunk)
            yield chunk
