"""Data sets by name: `ringtrue corpus list|prepare|describe|audit`."""

from __future__ import annotations

import argparse
from pathlib import Path

from ringtrue.cli.terminal import OK, Command, complain, say


def add(command: Command) -> None:
    """Declare the commands of this file."""
    corpus = command("corpus", _corpus_list)
    actions = corpus.add_subparsers(required=True, metavar="ACTION")
    actions.add_parser("list", help="what corpora there are and what they need").set_defaults(
        run=_corpus_list
    )
    for name, run, help_text in (
        ("prepare", _corpus_prepare, "build or fetch a corpus; write simpler_meta.csv for mlaad"),
        ("describe", _corpus_describe, "count by label, system, language, speaker, duration, rate, codec"),
        ("audit", _corpus_audit, "say whether it can be solved without listening"),
    ):
        action = actions.add_parser(name, help=help_text)
        action.add_argument(
            "corpus",
            help="NAME[:FOLDER][?OPTION=VALUE], such as mlaad:/data/MLAAD or mlaad-hub?languages=en,de; a manifest, "
            "a table or a folder; several joined with + (NAMEs: `ringtrue corpus list`)",
        )
        action.set_defaults(run=run)
        if name == "prepare":
            action.add_argument("folder", nargs="?", help="the same as NAME:FOLDER")
        if name == "audit":
            action.add_argument(
                "--matched",
                type=Path,
                metavar="OUT.tsv",
                help="write a subset whose labels have the same surface",
            )
        if name == "describe":
            action.add_argument(
                "--audio", nargs="?", type=int, const=20, default=0, metavar="N",
                help="decode N recordings of each system (20) for rate, coding, length and damage",
            )  # fmt: skip


def _corpus_list(options: argparse.Namespace) -> int:
    from ringtrue.data.corpora import CORPORA, SYNTAX

    for name, corpus in CORPORA.items():
        print(f"{name:16} {corpus.summary}\n{'':16} needs: {corpus.needs}\n{'':16} from:  {corpus.origin}")
    print(f"\nA corpus is written as {SYNTAX}.")
    return OK


def _corpus_prepare(options: argparse.Namespace) -> int:
    from ringtrue.data.corpora import prepare_corpus

    name, mark, rest = options.corpus.partition("?")
    source = f"{name}:{options.folder}{mark}{rest}" if options.folder else options.corpus
    print(f"{len(prepare_corpus(source, say))} trials")
    return OK


def _corpus_describe(options: argparse.Namespace) -> int:
    from ringtrue.data.corpora import load_corpus
    from ringtrue.data.corpora.contents import contents

    print(
        f"{'split':10} {'label':9} {'system':24} {'trials':>7} {'speakers':>8} {'hours':>7} {'min/med/max s':>16}"
        "  languages | codecs | rates in Hz (? where not known)"
    )
    for group in contents(load_corpus(options.corpus, say), options.audio):
        counts = (
            ", ".join(f"{name} {count}" for name, count in column.most_common())
            for column in (group.languages, group.codecs, group.rates)
        )
        print(
            f"{group.split:10} {group.label:9} {group.system:24} {group.trials:7} {group.speakers:8} "
            f"{sum(group.durations_s) / 3600:7.2f} {group.lengths():>16}  {' | '.join(counts)}"
        )
        for fault in group.faults:
            complain(fault)
    return OK


def _corpus_audit(options: argparse.Namespace) -> int:
    from ringtrue.auditing import audit_corpus

    print("\n".join(audit_corpus(options.corpus, say, options.matched)))
    return OK
