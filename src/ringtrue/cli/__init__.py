"""Words on a command line -> calls into the library -> lines on a terminal; parse, call, print and nothing else.

One file for each family of commands. Nothing heavy is imported before a command needs it, so `ringtrue --help`
answers at once.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Sequence

from ringtrue import __version__
from ringtrue.cli import (
    bench,
    check,
    corpus,
    evaluate,
    experiment,
    export,
    listen,
    probe,
    serve,
    trace,
    train,
)
from ringtrue.cli.terminal import BROKEN_PIPE, ERROR, EXIT_CODES, INTERRUPTED, complain
from ringtrue.errors import RingtrueError

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
    options = _parser().parse_args(arguments)
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ringtrue",
        description="Does this voice ring true? Detects machine-made speech and says how it was measured.",
        epilog=EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"ringtrue {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], int], help: str) -> argparse.ArgumentParser:
        sub: argparse.ArgumentParser = commands.add_parser(
            name,
            help=help,
            description=help,
            epilog=EXIT_CODES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.set_defaults(run=run)
        return sub

    for module in (check, listen, serve, corpus, train, experiment, trace, export, evaluate, probe, bench):
        module.add(command)
    return parser
