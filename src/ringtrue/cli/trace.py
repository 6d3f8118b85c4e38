"""Machine speech -> what made it: `ringtrue trace FILE`, `ringtrue trace train|evaluate|enroll|list|forget`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ringtrue.cli.terminal import ERROR, OK, Command, complain, say

ACTIONS = ("name", "train", "evaluate", "enroll", "list", "forget")
"""What may follow `ringtrue trace`; anything else is a file, and `name` is what is done with it."""


def add(command: Command) -> None:
    """Declare the commands of this file."""
    trace = command("trace", _list)
    actions = trace.add_subparsers(required=True, metavar="ACTION")

    name = actions.add_parser("name", help="name what made recordings; `trace FILE` is short for it")
    name.add_argument("files", nargs="+", metavar="FILE", help="audio files, or folders of them")
    name.add_argument("--json", action="store_true", help="one JSON object a recording")
    name.set_defaults(run=_name)

    train = actions.add_parser("train", help="train the countermeasure, and a tracer for `check` from it")
    train.add_argument("settings", nargs="?", help="a YAML file (two_stage.yaml, if there is one)")
    train.add_argument(
        "--detector",
        type=Path,
        help="a Prosody Encoder checkpoint: also distil a tracer on its trunk and install it",
    )
    train.add_argument("--out", type=Path, help="write the tracer here instead")
    train.set_defaults(run=_train)

    evaluate = actions.add_parser(
        "evaluate", help="two-stage, end-to-end, neighbours and a control, in one table"
    )
    evaluate.add_argument("settings", nargs="?", help="a YAML file (two_stage.yaml, if there is one)")
    evaluate.add_argument("--attribute", default="system", help="system, acoustic, vocoder or input (system)")
    evaluate.add_argument("--seeds", type=int, default=1, help="train everything so many times (1)")
    evaluate.add_argument("--csv", type=Path, help="also write the table with all figures")
    evaluate.add_argument("--classes", type=Path, help="also write figures and calls of every class")
    evaluate.add_argument(
        "--fine", type=Path, help="also write figures of languages that training heard, and of others"
    )
    evaluate.set_defaults(run=_evaluate)

    enroll = actions.add_parser("enroll", help="add a generator from 5 to 20 of its clips, without training")
    enroll.add_argument("name", help="what to call it")
    enroll.add_argument("clips", nargs="+", metavar="CLIP", help="audio files, or folders of them")
    enroll.add_argument("--acoustic-model", default="", help="if known")
    enroll.add_argument("--vocoder", default="", help="if known")
    enroll.set_defaults(run=_enroll)

    listing = actions.add_parser("list", help="what the tracer knows, and what was enrolled")
    listing.set_defaults(run=_list)
    forget = actions.add_parser("forget", help="remove an enrolled generator")
    forget.add_argument("name")
    forget.set_defaults(run=_forget)
    for action in (name, enroll, listing, forget):
        action.add_argument(
            "--tracer", type=Path, help="an .onnx file (the installed one, or the one that ringtrue brings)"
        )


def _name(options: argparse.Namespace) -> int:
    """Name sources one by one; what cannot be read costs itself only, and the exit code."""
    from dataclasses import asdict

    from ringtrue.audio import find_recordings
    from ringtrue.errors import AudioError, RingtrueError
    from ringtrue.inference.source import find_tracer, in_words, neighbours_in_words, trace_recording

    tracer = find_tracer(options.tracer)
    code = OK
    for recording in find_recordings(options.files):
        try:
            if isinstance(recording, RingtrueError):
                raise recording
            source = asdict(trace_recording(tracer, recording))
        except AudioError as error:
            complain(str(error))
            code = ERROR
            continue
        if options.json:
            print(json.dumps({"file": str(recording), **source}, allow_nan=False), flush=True)
            continue
        print(f"{recording}: {in_words(source)}", flush=True)
        for near in neighbours_in_words(source):
            print(f"    near {near}", flush=True)
    return code


def _train(options: argparse.Namespace) -> int:
    from ringtrue.inference.source import installed_tracer
    from ringtrue.tracing.build import build_tracer
    from ringtrue.tracing.settings import load_settings
    from ringtrue.tracing.two_stage import train_and_save_mio_model

    settings = load_settings(options.settings)
    print(train_and_save_mio_model(settings, say))
    if options.detector:
        print(build_tracer(settings, options.detector, options.out or installed_tracer(), say))
    return OK


def _evaluate(options: argparse.Namespace) -> int:
    from ringtrue.files import write_rows
    from ringtrue.tracing.settings import load_settings
    from ringtrue.tracing.tables import corpus_table, in_words

    if options.seeds < 1:
        complain("--seeds takes 1 or more")
        return ERROR
    table = corpus_table(load_settings(options.settings), options.attribute, say, seeds=options.seeds)
    for row in table.rows:
        print(in_words(row))
    for path, rows in (
        (options.csv, table.rows),
        (options.classes, table.classes),
        (options.fine, table.fine),
    ):
        if path:
            write_rows(path, rows)
    return OK


def _enroll(options: argparse.Namespace) -> int:
    from ringtrue.audio import find_recordings
    from ringtrue.errors import RingtrueError
    from ringtrue.inference.enroll import enroll
    from ringtrue.inference.source import find_tracer

    tracer = find_tracer(options.tracer)
    clips = []
    for clip in find_recordings(options.clips):
        if isinstance(clip, RingtrueError):
            raise clip
        clips.append(clip)
    made = enroll(tracer, options.name, clips, say, options.acoustic_model, options.vocoder)
    print(f"{made.name}: enrolled from {made.clips} clips in {tracer.enrolled.path}")
    return OK


def _list(options: argparse.Namespace) -> int:
    from ringtrue.inference.source import find_tracer

    tracer = find_tracer(options.tracer)
    for one in tracer.known:
        kind = "enrolled" if one.is_enrolled else "trained"
        print(
            f"{one.name:32} {one.acoustic_model or '?':20} {one.vocoder or '?':20} {one.clips:5} clips  {kind}"
        )
    return OK


def _forget(options: argparse.Namespace) -> int:
    from ringtrue.inference.source import find_tracer

    find_tracer(options.tracer).enrolled.remove(options.name)
    print(f"{options.name}: forgotten")
    return OK
