"""Train a small neural vocoder, for the zoo: `ringtrue vocoder`."""

from __future__ import annotations

import argparse
from pathlib import Path

from ringtrue.cli.terminal import OK, Command, say


def add(command: Command) -> None:
    """Declare the commands of this file."""
    vocoder = command("vocoder", _vocoder)
    vocoder.add_argument("kind", help="hifigan, istft or nsf: how the wave is made")
    vocoder.add_argument(
        "--corpus", required=True, help="people of its train split are heard, and nobody else"
    )
    vocoder.add_argument(
        "--out", type=Path, required=True, help="folder of the run; where there is one it goes on"
    )
    vocoder.add_argument("--steps", type=int, default=20_000, help="batches in all (20000)")
    vocoder.add_argument("--seed", type=int, default=0, help="draws weights, pieces and noise (0)")


def _vocoder(options: argparse.Namespace) -> int:
    from ringtrue.data.corpora import load_corpus
    from ringtrue.pipeline import make_vocoder

    trials = load_corpus(options.corpus, say)
    print(make_vocoder(options.kind, options.steps, options.seed, trials, options.out, say))
    return OK
