"""Words on a command line -> calls into the library -> lines on a terminal; parse, call, print and nothing else.

One file for each family of commands, imported when one of them is called, and nothing heavy before it is needed: so
`ringtrue --help` answers at once.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from ringtrue import __version__
from ringtrue.cli.terminal import BROKEN_PIPE, ERROR, EXIT_CODES, INTERRUPTED, complain
from ringtrue.errors import RingtrueError

_FAMILIES = {
    "check": {
        "check": "Judge recordings: decision, evidence, timeline, limits.",
    },
    "listen": {
        "listen": "Judge live audio: a microphone, or raw PCM on standard input.",
    },
    "serve": {
        "serve": "Serve a web page and an HTTP and WebSocket API on this machine.",
    },
    "corpus": {
        "corpus": "List, prepare, describe and audit corpora.",
    },
    "train": {
        "demo": "The whole story on real speech: corpus, baseline and hero, The Table, a verdict.",
        "train": "Train one model, or go on with a run.",
    },
    "vocoder": {
        "vocoder": "Train a small neural vocoder, for `zoo?vocoders=…`.",
    },
    "experiment": {
        "experiment": "Train variants over seeds, compare them, and say what became of each hypothesis.",
    },
    "trace": {
        "trace": "Name the system behind machine speech, or say that it is unknown.",
    },
    "export": {
        "export": "Write a checkpoint as ONNX, smaller ONNX, or a plain state dict.",
    },
    "score": {
        "score": "Score every trial of a corpus split into a file, or a folder that many processes fill.",
        "features": "Compute the features of a frozen front end into a folder that many processes fill.",
    },
    "evaluate": {
        "evaluate": "Turn scores files into figures with intervals.",
        "compare": "Compare scores files on the same trials: paired differences, Holm.",
        "calibrate": "Fit scores of development trials to log-likelihood ratios, thresholds and a band.",
    },
    "probe": {
        "probe": "Say what a detector listens to, and what its evidence gives away.",
    },
    "bench": {
        "bench": "Measure a model: speed against peers, robustness, early decisions.",
    },
}
"""File of this folder: the commands that it declares, in the order of the help."""

_TRAIN_MODULES = {
    "torch",
    "yaml",
    "pydantic",
    "safetensors",
    "sklearn",
    "scipy",
    "transformers",
    "tensorboard",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Words after the program's name; `sys.argv` by default.

    Returns:
        The exit code, see `EXIT_CODES`.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a file name that the terminal cannot show is still printed
            stream.reconfigure(errors="backslashreplace")
    words = _in_full(sys.argv[1:] if arguments is None else list(arguments))
    options = _parser(next((word for word in words if not word.startswith("-")), "")).parse_args(words)
    try:
        return int(options.run(options))
    except RingtrueError as error:
        complain(str(error))
        return ERROR
    except KeyboardInterrupt:
        complain("interrupted; run the same command again to go on")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone, and no verdict may be read out of the exit code.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except ModuleNotFoundError as error:
        if error.name not in _TRAIN_MODULES:
            raise
        complain(f"{error.name} is not installed and this needs it: pip install 'ringtrue[train]'")
        return ERROR
    except OSError as error:  # a full disk, a folder that may not be written
        complain(f"{error.strerror or error}: {error.filename or ''}".rstrip(": "))
        return ERROR


def _in_full(words: list[str]) -> list[str]:
    """Complete what has a short form: `trace FILE` is `trace name FILE`."""
    if words[:1] != ["trace"] or len(words) < 2:
        return words
    from ringtrue.cli.trace import ACTIONS

    return words if words[1] in (*ACTIONS, "-h", "--help") else ["trace", "name", *words[1:]]


def _parser(wanted: str | None = None) -> argparse.ArgumentParser:
    """Make the parser, with the options of one command, or of all where none is given: importing them takes time."""
    parser = argparse.ArgumentParser(
        prog="ringtrue",
        description="Does this voice ring true? Detects machine-made speech and says how it was measured.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ringtrue {__version__}")
    commands = parser.add_subparsers(title="commands", dest="command", required=True, metavar="COMMAND")
    parsers: dict[str, argparse.ArgumentParser] = {}

    def command(name: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        parsers[name].set_defaults(run=run)
        return parsers[name]

    for family, lines in _FAMILIES.items():
        for name, line in lines.items():
            parsers[name] = commands.add_parser(
                name,
                help=line,
                description=line,
                epilog=EXIT_CODES,
                formatter_class=argparse.RawDescriptionHelpFormatter,
            )
        if wanted is None or wanted in lines:
            import_module(f"{__name__}.{family}").add(command)
    return parser
