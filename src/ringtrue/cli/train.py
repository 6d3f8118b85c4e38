"""Recordings -> models: `ringtrue train` and `demo`."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from ringtrue.cli.terminal import OK, Command, say


def add(command: Command) -> None:
    """Declare the commands of this file."""
    demo = command("demo", _demo)
    demo.add_argument("--size", choices=["small", "full"], default="small", help="size of the starter corpus")
    demo.add_argument("--corpus", help="use this corpus instead: see `ringtrue corpus list`")
    demo.add_argument("--out", type=Path, help="folder of the run (ringtrue-demo, or ringtrue-smoke)")
    demo.add_argument("--smoke", action="store_true", help="two short epochs a model; installs none")

    train = command("train", _train)
    train.add_argument("config", help="a YAML file or a recipe that comes with the package (baseline, hero)")
    train.add_argument(
        "--corpus", help="a corpus name, a manifest or a folder (what the configuration says, if it does)"
    )
    train.add_argument("--out", type=Path, help="run folder (runs/NAME)")
    train.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change one value")
    train.add_argument("--smoke", action="store_true", help="two epochs of 100 steps, a short validation")


def _demo(options: argparse.Namespace) -> int:
    from ringtrue.demo import run_demo

    out = options.out or Path("ringtrue-smoke" if options.smoke else "ringtrue-demo")
    run_demo(out, options.corpus or f"starter-{options.size}", smoke=options.smoke, say=say, show=print)
    return OK


def _train(options: argparse.Namespace) -> int:
    from ringtrue.auditing import audit_line
    from ringtrue.config import load_config
    from ringtrue.data.corpora import load_corpus
    from ringtrue.data.trials import leaks
    from ringtrue.errors import ConfigError
    from ringtrue.experiment.plan import fill
    from ringtrue.pipeline import prepare_units, screen, train_and_export

    config = load_config(options.config, options.set)
    config = config.smoke() if options.smoke else config
    corpus = options.corpus or config.corpus
    if corpus is None:
        raise ConfigError(
            f"{options.config} names no corpus: give --corpus; `ringtrue corpus list` shows what there is"
        )
    # Of the processes that torchrun starts, the first one speaks.
    tell = say if os.environ.get("RANK", "0") == "0" else _say_nothing
    trials = screen(load_corpus(fill(corpus, {}), tell), tell)
    heard = [trial for trial in trials if trial.split == "train"]
    tell(f"audit: {audit_line(heard, leaks(trials), tell)}")
    units = prepare_units(config.content, trials, tell)
    exported = train_and_export(config, trials, units, options.out or Path("runs") / config.name, tell)
    if tell is say:
        print(exported)
    return OK


def _say_nothing(line: str) -> None:
    pass
