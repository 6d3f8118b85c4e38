"""A checkpoint -> the file that ships: `ringtrue export`."""

from __future__ import annotations

import argparse
from pathlib import Path

from ringtrue.cli.terminal import ERROR, OK, Command, complain, say

_SUFFIXES = {"onnx": ".onnx", "fp16": ".fp16.onnx", "int8": ".int8.onnx", "pth": ".pth"}


def add(command: Command) -> None:
    """Declare the commands of this file."""
    export = command("export", _export)
    export.add_argument("checkpoint", type=Path)
    export.add_argument("--format", choices=_SUFFIXES, default="onnx", help="(onnx)")
    export.add_argument("--corpus", help="measure the model on this corpus: percentiles of real speech, sequential "
                        "boundaries, int8 ranges; int8 needs it")  # fmt: skip
    export.add_argument("--out", type=Path, help="file to write (beside the checkpoint)")


def _export(options: argparse.Namespace) -> int:
    target = options.out or options.checkpoint.with_suffix(_SUFFIXES[options.format])
    if options.format == "pth":
        from ringtrue.inference.export import export_pth

        print(export_pth(options.checkpoint, target))
    elif options.corpus:
        from ringtrue.data.corpora import load_corpus, load_samples
        from ringtrue.packing import pack

        trials = load_corpus(options.corpus, say)
        print(pack(options.checkpoint, target, options.format, trials, load_samples, say))
    elif options.format == "onnx":
        from ringtrue.inference.export import export_onnx

        print(export_onnx(options.checkpoint, target))
    else:
        complain(f"{options.format} needs --corpus: it is compared with the original on recordings")
        return ERROR
    return OK
