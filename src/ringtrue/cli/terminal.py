"""What every command shares: exit codes, lines for a person, and how a command is declared."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Protocol

EXIT_CODES = """exit codes:
  0  every recording was judged bona fide, or the command did what it should
  1  at least one recording was judged spoof
  2  wrong usage, or something could not be read or done; the message says what
  3  no recording was judged spoof and at least one is inconclusive
  130  interrupted; running the same command again goes on
  141  whatever read the output stopped reading"""

OK, SPOOF, ERROR, INCONCLUSIVE, INTERRUPTED, BROKEN_PIPE = 0, 1, 2, 3, 130, 141


class Command(Protocol):
    """Declares a command and gives its parser; what a command's module is handed to add itself with."""

    def __call__(self, name: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        """Declare command `name`, carried out by `run`, which gives the exit code."""


def say(line: str) -> None:
    """Tell a person how it goes, on standard error."""
    print(line, file=sys.stderr, flush=True)


def complain(message: str) -> None:
    """Tell a person what is wrong, in one line."""
    print(f"ringtrue: {' '.join(message.split())}", file=sys.stderr, flush=True)
