"""Words on a command line -> calls into the library -> lines on a terminal; parse, call, print and nothing else.

Nothing heavy is imported before a command needs it, so `ringtrue --help` answers at once.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ringtrue import __version__
from ringtrue.errors import RingtrueError

if TYPE_CHECKING:
    from ringtrue.evaluation.judge import Judgement, Question
    from ringtrue.inference.verdict import Verdict

EXIT_CODES = """exit codes:
  0  every recording was judged bona fide, or the command did what it should
  1  at least one recording was judged spoof
  2  wrong usage, or something could not be read or done; the message says what
  3  no recording was judged spoof and at least one is inconclusive
  130  interrupted; running the same command again goes on
  141  whatever read the output stopped reading"""

_OK, _SPOOF, _ERROR, _INCONCLUSIVE, _INTERRUPTED, _BROKEN_PIPE = 0, 1, 2, 3, 130, 141
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
        _complain(str(error))
        return _ERROR
    except KeyboardInterrupt:
        _complain("interrupted; run the same command again to go on")
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone, and no verdict may be read out of the exit code.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except ModuleNotFoundError as error:
        if error.name not in _TRAIN_MODULES:
            raise
        _complain(f"{error.name} is not installed and this needs it: pip install 'ringtrue[train]'")
        return _ERROR
    except OSError as error:  # a full disk, a folder that may not be written
        _complain(f"{error.strerror or error}: {error.filename or ''}".rstrip(": "))
        return _ERROR


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

    check = command("check", _check, "Judge recordings: decision, evidence, timeline, limits.")
    check.add_argument("files", nargs="+", metavar="FILE", help="audio or video files, or folders of them")
    check.add_argument("--model", help="an .onnx file or the name of an installed model")
    check.add_argument("--json", action="store_true", help="print one JSON object a line")
    check.add_argument("--threads", type=int, default=1, help="CPU threads for one recording (default 1)")

    demo = command(
        "demo", _demo, "The whole story on real speech: corpus, baseline and hero, The Table, a verdict."
    )
    demo.add_argument("--size", choices=["small", "full"], default="small", help="size of the starter corpus")
    demo.add_argument("--corpus", help="use this corpus instead: see `ringtrue corpus list`")
    demo.add_argument("--out", type=Path, help="folder of the run (ringtrue-demo, or ringtrue-smoke)")
    demo.add_argument("--smoke", action="store_true", help="two short epochs a model; installs none")

    corpus = command("corpus", _corpus_list, "List, prepare, describe and audit corpora.")
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
        if name == "describe":
            action.add_argument(
                "--audio", nargs="?", type=int, const=20, default=0, metavar="N",
                help="decode N recordings of each system (20) for rate, coding, length and damage",
            )  # fmt: skip

    train = command("train", _train, "Train one model, or go on with a run.")
    train.add_argument("config", help="a YAML file or a recipe that comes with the package (baseline, hero)")
    train.add_argument("--corpus", required=True, help="a corpus name, a manifest or a folder")
    train.add_argument("--out", type=Path, help="run folder (runs/NAME)")
    train.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change one value")
    train.add_argument("--smoke", action="store_true", help="two epochs of 100 steps, a short validation")

    score = command("score", _score, "Score every trial of a corpus split into a scores file.")
    score.add_argument("model", help="an .onnx file, the name of an installed model, or content-blind")
    score.add_argument("corpus", help="a corpus name, a manifest or a folder")
    score.add_argument(
        "--split", default="test", help="train, dev, test_seen or test, or some (test,test_seen)"
    )
    score.add_argument("--out", type=Path, default=Path("scores.tsv"), help="scores file (scores.tsv)")

    evaluate = command("evaluate", _evaluate, "Turn scores files into figures with intervals.")
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

    compare = command(
        "compare", _compare, "Compare scores files on the same trials: paired differences, Holm."
    )
    _add_scores_options(compare)
    compare.add_argument(
        "--figure", action="append", metavar="NAME", help="eer (default), auc, min_dcf, cllr ..."
    )

    calibrate = command(
        "calibrate",
        _calibrate,
        "Fit scores of development trials to log-likelihood ratios, thresholds and a band.",
    )
    calibrate.add_argument("scores", nargs="+", type=Path, help="development scores; several files are fused")
    _add_reading_options(calibrate)
    calibrate.add_argument("--method", choices=["affine", "monotone"], default="affine", help="(affine)")
    calibrate.add_argument(
        "--rate", type=float, default=0.05, help="error rate that the band promises (0.05)"
    )
    calibrate.add_argument("--out", type=Path, default=Path("calibration.json"), help="(calibration.json)")
    calibrate.add_argument(
        "--apply", nargs="+", type=Path, metavar="TEST", help="also map these, one for each file"
    )
    calibrate.add_argument(
        "--to", type=Path, default=Path("calibrated.tsv"), help="where to (calibrated.tsv)"
    )

    export = command("export", _export, "Write a checkpoint as ONNX or as a plain state dict.")
    export.add_argument("checkpoint", type=Path)
    export.add_argument("--format", choices=["onnx", "pth"], default="onnx")
    export.add_argument("--out", type=Path, help="file to write (beside the checkpoint)")
    return parser


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


def _check(options: argparse.Namespace) -> int:
    from ringtrue.audio import find_recordings
    from ringtrue.inference.runtime import Detector

    detector = Detector.from_pretrained(options.model, threads=options.threads)
    decisions, failed = set(), False
    for path in find_recordings(options.files):
        try:
            if isinstance(path, RingtrueError):
                raise path
            verdict = detector.check(path)
        except RingtrueError as error:
            failed = True
            _complain(str(error))
            if options.json:
                print(json.dumps({"name": str(path), "error": str(error)}, ensure_ascii=False), flush=True)
            continue
        decisions.add(verdict.decision)
        words = json.dumps(verdict.to_dict(), ensure_ascii=False) if options.json else _in_words(verdict)
        print(words, flush=True)
    if failed:
        return _ERROR
    if "spoof" in decisions:
        return _SPOOF
    return _INCONCLUSIVE if "inconclusive" in decisions else _OK


def _in_words(verdict: Verdict) -> str:
    evidence = "not calibrated" if verdict.llr is None else f"LLR {verdict.llr:+.2f}"
    audio = verdict.audio
    lines = [
        f"{verdict.name}: {verdict.decision.upper()}  {evidence}  "
        f"({audio['duration_s']:.1f} s, {audio['codec']}, {audio['native_rate_hz'] / 1000:g} kHz)"
    ]
    if len(verdict.segments) > 1:
        lines += [
            f"  {s.start_s:7.1f} - {s.end_s:.1f} s  {s.llr:+.2f}"
            for s in verdict.segments
            if s.llr is not None
        ]
    lines += [f"  note: {warning}" for warning in verdict.warnings]
    return "\n".join(lines)


def _demo(options: argparse.Namespace) -> int:
    from ringtrue.demo import run_demo

    out = options.out or Path("ringtrue-smoke" if options.smoke else "ringtrue-demo")
    run_demo(out, options.corpus or f"starter-{options.size}", smoke=options.smoke, say=_say, show=print)
    return _OK


def _corpus_list(options: argparse.Namespace) -> int:
    from ringtrue.data.corpora import CORPORA, SYNTAX

    for name, corpus in CORPORA.items():
        print(f"{name:16} {corpus.summary}\n{'':16} needs: {corpus.needs}\n{'':16} from:  {corpus.origin}")
    print(f"\nA corpus is written as {SYNTAX}.")
    return _OK


def _corpus_prepare(options: argparse.Namespace) -> int:
    from ringtrue.data.corpora import prepare_corpus

    name, mark, rest = options.corpus.partition("?")
    source = f"{name}:{options.folder}{mark}{rest}" if options.folder else options.corpus
    print(f"{len(prepare_corpus(source, _say))} trials")
    return _OK


def _corpus_describe(options: argparse.Namespace) -> int:
    from ringtrue.data.corpora import load_corpus
    from ringtrue.data.corpora.contents import contents

    print(
        f"{'split':10} {'label':9} {'system':24} {'trials':>7} {'speakers':>8} {'hours':>7} {'min/med/max s':>16}"
        "  languages | codecs | rates in Hz (? where not known)"
    )
    for group in contents(load_corpus(options.corpus, _say), options.audio):
        counts = (
            ", ".join(f"{name} {count}" for name, count in column.most_common())
            for column in (group.languages, group.codecs, group.rates)
        )
        print(
            f"{group.split:10} {group.label:9} {group.system:24} {group.trials:7} {group.speakers:8} "
            f"{sum(group.durations_s) / 3600:7.2f} {group.lengths():>16}  {' | '.join(counts)}"
        )
        for fault in group.faults:
            _complain(fault)
    return _OK


def _corpus_audit(options: argparse.Namespace) -> int:
    from ringtrue.pipeline import audit_corpus

    print("\n".join(audit_corpus(options.corpus, _say)))
    return _OK


def _train(options: argparse.Namespace) -> int:
    from ringtrue.config import load_config
    from ringtrue.data.corpora import load_corpus
    from ringtrue.pipeline import prepare_units, screen, train_and_export

    config = load_config(options.config, options.set)
    config = config.smoke() if options.smoke else config
    trials = screen(load_corpus(options.corpus, _say), _say)
    units = prepare_units(config.content, trials, _say)
    print(train_and_export(config, trials, units, options.out or Path("runs") / config.name, _say))
    return _OK


def _score(options: argparse.Namespace) -> int:
    from ringtrue.data.corpora import load_corpus
    from ringtrue.inference.runtime import Detector
    from ringtrue.pipeline import CONTENT_BLIND, content_blind_scores, score_split, screen

    trials = load_corpus(options.corpus, _say)
    judged = [trial for trial in trials if trial.split in options.split.split(",")]
    errors: list[str] = []
    if options.model == CONTENT_BLIND:
        scores = content_blind_scores(screen(trials, _say), screen(judged, _say), options.out, _say)
    else:
        scores, errors = score_split(Detector.from_pretrained(options.model), judged, options.out, _say)
    for error in errors:
        _complain(error)
    print(f"{options.out}: {len(scores)} trials scored, {len(errors)} could not be read")
    return _ERROR if errors else _OK


def _evaluate(options: argparse.Namespace) -> int:
    from ringtrue.evaluation.judge import evaluate

    question = _question(options)
    judgement = evaluate(
        question, options.by, options.asv, options.threshold, options.far, options.seeds, _say
    )
    return _answer(judgement, options)


def _compare(options: argparse.Namespace) -> int:
    from ringtrue.evaluation.judge import compare

    return _answer(compare(_question(options), options.figure or ["eer"], _say), options)


def _calibrate(options: argparse.Namespace) -> int:
    from ringtrue.evaluation.fitting import calibrate_files

    question = _question(options)
    for line in calibrate_files(
        question, options.method, options.rate, options.out, options.apply, options.to, _say
    ):
        print(line)
    return _OK


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
        _say(f"report: {options.html}")
    return _OK


def _export(options: argparse.Namespace) -> int:
    from ringtrue.inference.export import export_onnx, export_pth

    write = {"onnx": export_onnx, "pth": export_pth}[options.format]
    print(write(options.checkpoint, options.out or options.checkpoint.with_suffix(f".{options.format}")))
    return _OK


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _complain(message: str) -> None:
    print(f"ringtrue: {' '.join(message.split())}", file=sys.stderr, flush=True)
