"""Models and recordings -> scores and features: `ringtrue score` and `features`, here or on a Ray cluster."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from ringtrue.cli.terminal import ERROR, OK, Command, complain, say
from ringtrue.errors import RingtrueError

if TYPE_CHECKING:
    from ringtrue.data.trials import Trial
    from ringtrue.engine.listing import Listing
    from ringtrue.engine.work import Work

_SCORES_A_PART, _FEATURES_A_PART = 256, 32  # trials: what a kill can cost a worker, some seconds of its work


def add(command: Command) -> None:
    """Declare the commands of this file."""
    score = command("score", _score)
    score.add_argument("model", help="an .onnx file, the name of an installed model, or content-blind")
    _add_listing(score)
    score.add_argument("--out", default="scores.tsv", help="a scores file (scores.tsv); or a folder or address, "
                       "without a suffix, for parts in Parquet")  # fmt: skip
    _add_engine(score, _SCORES_A_PART)

    features = command("features", _features)
    features.add_argument("front_end", help="a hub name, a folder, or log-mel: see docs/training.md")
    _add_listing(features)
    features.add_argument("--layer", default="all", help="a layer's number (all)")
    features.add_argument("--pool", type=int, default=1, help="neighbouring frames averaged into one (1)")
    features.add_argument("--whole-window", action="store_true", help="pad to 30 s, for Whisper")
    features.add_argument("--out", required=True, help="a folder or address, for parts in Parquet")
    features.add_argument("--store", action="store_true",
                          help="then put them into this machine's feature cache, where training looks")  # fmt: skip
    _add_engine(features, _FEATURES_A_PART)


def _add_listing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("corpus", help="a corpus name, a manifest or a folder; or an address (s3://, gs://, "
                        "file:// ...) of a table or folder that need have no labels")  # fmt: skip
    parser.add_argument(
        "--split", default="test", help="train, dev, test_seen or test, or some (test,test_seen)"
    )


def _add_engine(parser: argparse.ArgumentParser, part_trials: int) -> None:
    parser.add_argument("--engine", choices=["local", "ray"], default="local", help="processes of this machine, or "
                        "actors of the Ray cluster that $RAY_ADDRESS names (local)")  # fmt: skip
    parser.add_argument("--workers", type=int, default=0, help="processes or actors (1; on Ray one a CPU)")
    parser.add_argument(
        "--part-trials", type=int, default=part_trials, help=f"recordings in a part ({part_trials})"
    )


def _score(options: argparse.Namespace) -> int:
    from ringtrue.inference.runtime import find_model
    from ringtrue.pipeline import CONTENT_BLIND

    if not _is_folder(options.out):
        return _score_into_file(options)
    if options.model == CONTENT_BLIND:
        raise RingtrueError(f"{CONTENT_BLIND} scores into a file: --out scores.tsv")
    from ringtrue.engine.work import Scoring

    return _fill(Scoring.by(find_model(options.model)), options)


def _score_into_file(options: argparse.Namespace) -> int:
    from ringtrue.inference.runtime import Detector
    from ringtrue.pipeline import CONTENT_BLIND, content_blind_scores, score_split, screen

    if "://" in options.corpus or options.engine != "local" or options.workers:
        raise RingtrueError(
            f"--out {options.out} is one file that one process writes; an address, --engine and --workers want a "
            "folder: --out scores"
        )
    out = Path(options.out)
    trials, judged, noted = _corpus(options)
    errors: list[str] = []
    if options.model == CONTENT_BLIND:
        scores = content_blind_scores(screen(trials, say), screen(judged, say), out, say, noted=noted)
    else:
        scores, errors = score_split(Detector.from_pretrained(options.model), judged, out, say, noted=noted)
    for error in errors:
        complain(error)
    _tell(noted)
    print(f"{out}: {len(scores)} trials scored, {len(errors)} could not be read")
    return ERROR if errors else OK


def _features(options: argparse.Namespace) -> int:
    from ringtrue.engine.features import store_features
    from ringtrue.engine.work import Featuring

    if options.layer != "all" and not options.layer.isdecimal():
        raise RingtrueError(f"--layer {options.layer}; a layer's number or all is accepted")
    work = Featuring.by(
        options.front_end,
        "all" if options.layer == "all" else int(options.layer),
        options.pool,
        whole_window=options.whole_window,
    )
    code = _fill(work, options)
    if options.store:
        count = store_features(options.out, work, options.part_trials, say)
        print(f"{count} new clips in the feature cache")
    return code


def _fill(work: Work, options: argparse.Namespace) -> int:
    import shlex
    import sys

    from ringtrue.engine.run import fill

    if options.part_trials < 1 or options.workers < 0:
        raise RingtrueError("--part-trials takes 1 or more, --workers 0 or more")
    listing, noted = _listing(options)
    facts = {**noted, "command": shlex.join(["ringtrue", *sys.argv[1:]])}
    done = fill(work, listing, options.out, options.engine, options.workers, say, facts)
    _tell(noted)
    trials, unreadable = (sum(getattr(part, name) for part in done) for name in ("trials", "unreadable"))
    print(f"{options.out}: {trials} trials in {len(done)} parts, {unreadable} could not be read")
    return ERROR if unreadable else OK


def _listing(options: argparse.Namespace) -> tuple[Listing, dict[str, Any]]:
    from ringtrue.engine.listing import Listing, find_tables

    if "://" in options.corpus:
        splits = tuple(options.split.split(","))
        return Listing(options.part_trials, addresses=find_tables(options.corpus), splits=splits), {
            "leaks": []
        }
    _, judged, noted = _corpus(options)
    return Listing(options.part_trials, tuple(judged)), noted


def _corpus(options: argparse.Namespace) -> tuple[list[Trial], list[Trial], dict[str, Any]]:
    """Give all trials of a corpus, those of the splits that are asked for, and what there is to note of these."""
    from ringtrue.auditing import audit_line
    from ringtrue.data.corpora import load_corpus
    from ringtrue.data.trials import leaks

    splits = options.split.split(",")
    trials = load_corpus(options.corpus, say)
    judged = [trial for trial in trials if trial.split in splits]
    leaked = leaks(trials, splits)
    return trials, judged, {"leaks": leaked, "audit": audit_line(judged, leaked, say)}


def _tell(noted: Mapping[str, Any]) -> None:
    if audit := noted.get("audit"):
        say(f"audit: {audit}")
    for leak in noted["leaks"]:
        complain(f"LEAK: {leak}; `evaluate` will refuse these scores unless forced")


def _is_folder(out: str) -> bool:
    return "://" in out or not PurePosixPath(out).suffix
