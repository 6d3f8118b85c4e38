"""Models and scores -> figures: `ringtrue score`, `evaluate`, `compare` and `calibrate`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ringtrue.cli.terminal import ERROR, OK, Command, complain, say

if TYPE_CHECKING:
    from ringtrue.evaluation.judge import Judgement, Question


def add(command: Command) -> None:
    """Declare the commands of this file."""
    score = command("score", _score)
    score.add_argument("model", help="an .onnx file, the name of an installed model, or content-blind")
    score.add_argument("corpus", help="a corpus name, a manifest or a folder")
    score.add_argument(
        "--split", default="test", help="train, dev, test_seen or test, or some (test,test_seen)"
    )
    score.add_argument("--out", type=Path, default=Path("scores.tsv"), help="scores file (scores.tsv)")

    evaluate = command("evaluate", _evaluate)
    _add_scores_options(evaluate)
    evaluate.add_argument(
        "--by", action="append", default=[], metavar="COLUMN", help="also by system, codec ..."
    )
    evaluate.add_argument(
        "--threshold", type=float, action="append", default=[], help="fixed on dev: adds its HTER"
    )
    evaluate.add_argument(
        "--far", type=float, action="append", default=[], help="such as 0.01: adds the FRR there"
    )
    evaluate.add_argument("--asv", type=Path, help="a speaker verifier's scores, for the t-DCF")
    evaluate.add_argument("--floor", type=Path, help="scores of a content-blind classifier, shown beside")
    evaluate.add_argument(
        "--seeds", action="store_true", help="the files are seeds of one model: add mean and spread"
    )

    compare = command("compare", _compare)
    _add_scores_options(compare)
    compare.add_argument(
        "--figure", action="append", metavar="NAME", help="eer (default), auc, min_dcf, cllr ..."
    )

    calibrate = command("calibrate", _calibrate)
    calibrate.add_argument("scores", nargs="+", type=Path, help="development scores; several files are fused")
    _add_reading_options(calibrate)
    calibrate.add_argument("--method", choices=["affine", "monotone"], default="affine", help="(affine)")
    calibrate.add_argument(
        "--rate", type=float, default=0.05, help="error rate that the band promises (0.05)"
    )
    calibrate.add_argument("--out", type=Path, default=Path("calibration.json"), help="(calibration.json)")
    calibrate.add_argument("--store", type=Path, metavar="MODEL", help="also make this model decide by it")
    calibrate.add_argument(
        "--apply", nargs="+", type=Path, metavar="TEST", help="also map these, one for each file"
    )
    calibrate.add_argument(
        "--to", type=Path, default=Path("calibrated.tsv"), help="where to (calibrated.tsv)"
    )


def _score(options: argparse.Namespace) -> int:
    from ringtrue.auditing import audit_line
    from ringtrue.data.corpora import load_corpus
    from ringtrue.data.trials import leaks
    from ringtrue.inference.runtime import Detector
    from ringtrue.pipeline import CONTENT_BLIND, content_blind_scores, score_split, screen

    trials, splits = load_corpus(options.corpus, say), options.split.split(",")
    judged = [trial for trial in trials if trial.split in splits]
    leaked = leaks(trials, splits)
    noted = {"leaks": leaked, "audit": audit_line(judged, leaked, say)}
    errors: list[str] = []
    if options.model == CONTENT_BLIND:
        scores = content_blind_scores(screen(trials, say), screen(judged, say), options.out, say, noted=noted)
    else:
        detector = Detector.from_pretrained(options.model)
        scores, errors = score_split(detector, judged, options.out, say, noted=noted)
    for error in errors:
        complain(error)
    say(f"audit: {noted['audit']}")
    for leak in leaked:
        complain(f"LEAK: {leak}; `evaluate` will refuse these scores unless forced")
    print(f"{options.out}: {len(scores)} trials scored, {len(errors)} could not be read")
    return ERROR if errors else OK


def _add_reading_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--key", type=Path, help="labels, systems and so on, if not in the scores files")
    parser.add_argument(
        "--label", action="append", default=[], metavar="WORD=LABEL", help="such as real=bonafide"
    )
    parser.add_argument(
        "--column", action="append", default=[], metavar="ROLE=NAME", help="such as score=logit"
    )
    parser.add_argument("--force", action="store_true", help="go on in spite of errors, and mark the result")


def _add_scores_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("scores", nargs="+", type=Path, metavar="SCORES")
    _add_reading_options(parser)
    parser.add_argument(
        "--cluster",
        action="append",
        default=[],
        metavar="COLUMN",
        help="resample by (speaker, system); or trial",
    )
    parser.add_argument("--draws", type=int, default=1000, help="bootstrap draws (1000)")
    parser.add_argument("--seed", type=int, default=0, help="of the draws (0)")
    for form in ("json", "csv", "markdown", "latex"):
        parser.add_argument(f"--{form}", dest="form", action="store_const", const=form, default="text")
    parser.add_argument(
        "--html", type=Path, metavar="OUT", help="also write a report with curves and histograms"
    )


def _evaluate(options: argparse.Namespace) -> int:
    from ringtrue.evaluation.judge import evaluate

    question = _question(options)
    judgement = evaluate(
        question, options.by, options.asv, options.threshold, options.far, options.seeds, say
    )
    return _answer(judgement, options)


def _compare(options: argparse.Namespace) -> int:
    from ringtrue.evaluation.judge import compare

    return _answer(compare(_question(options), options.figure or ["eer"], say), options)


def _calibrate(options: argparse.Namespace) -> int:
    from ringtrue.evaluation.fitting import calibrate_files

    question = _question(options)
    for line in calibrate_files(
        question, options.method, options.rate, options.out, options.apply, options.to, say
    ):
        print(line)
    if options.store:
        from ringtrue.evaluation.fitting import read_stored
        from ringtrue.inference.store import store_calibration

        for path in store_calibration(options.store, read_stored(options.out), options.force):
            print(f"{path}: decides by {options.out}")
    return OK


def _question(options: argparse.Namespace) -> Question:
    from ringtrue.errors import ScoresError
    from ringtrue.evaluation.judge import Question

    pairs: dict[str, dict[str, str]] = {"label": {}, "column": {}}
    for option, chosen in pairs.items():
        for word in getattr(options, option):
            left, equals, right = word.rpartition("=")
            if not (left and equals and right):
                raise ScoresError(f"--{option} {word}: two words with an = between them are accepted")
            chosen[left] = right
    shared = {name: getattr(options, name) for name in ("draws", "seed", "floor") if hasattr(options, name)}
    return Question(
        options.scores,
        key=options.key,
        labels=pairs["label"],
        columns=pairs["column"],
        force=options.force,
        clusters=getattr(options, "cluster", ()),
        **shared,
    )


def _answer(judgement: Judgement, options: argparse.Namespace) -> int:
    print(judgement.render(options.form), end="")
    if options.html:
        from ringtrue.files import write_text

        write_text(options.html, judgement.render("html"))
        say(f"report: {options.html}")
    return OK
