"""Words on a command line -> calls into the library -> lines on a terminal; parse, call, print and nothing else.

Nothing heavy is imported before a command needs it, so `ringtrue --help` answers at once.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ringtrue import __version__
from ringtrue.errors import RingtrueError

if TYPE_CHECKING:
    from ringtrue.inference.verdict import Verdict

EXIT_CODES = """exit codes:
  0  every recording was judged bona fide, or the command did what it should
  1  at least one recording was judged spoof
  2  wrong usage, or something could not be read or done; the message says what
  3  no recording was judged spoof and at least one is inconclusive
  130  interrupted; running the same command again goes on"""

_OK, _SPOOF, _ERROR, _INCONCLUSIVE, _INTERRUPTED = 0, 1, 2, 3, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: Words after the program's name; `sys.argv` by default.

    Returns:
        The exit code, see `EXIT_CODES`.
    """
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except RingtrueError as error:
        _complain(str(error))
        return _ERROR
    except KeyboardInterrupt:
        _complain("interrupted; run the same command again to go on")
        return _INTERRUPTED
    except BrokenPipeError:  # the reader of our output has seen enough
        sys.stderr.close()
        return _OK
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
    demo.add_argument(
        "--out", type=Path, default=Path("ringtrue-demo"), help="folder of the run (ringtrue-demo)"
    )
    demo.add_argument("--smoke", action="store_true", help="two short epochs a model")

    corpus = command("corpus", _corpus_list, "List, prepare, describe and audit corpora.")
    actions = corpus.add_subparsers(required=True, metavar="ACTION")
    actions.add_parser("list", help="what corpora there are and what they need").set_defaults(
        run=_corpus_list
    )
    for name, run, help_text in (
        ("prepare", _corpus_prepare, "build or fetch a corpus"),
        ("describe", _corpus_describe, "count its trials by split, label, system, speaker and language"),
        ("audit", _corpus_audit, "say whether it can be solved without listening"),
    ):
        action = actions.add_parser(name, help=help_text)
        action.add_argument("corpus", help="a corpus name, a manifest or a folder")
        action.set_defaults(run=run)

    train = command("train", _train, "Train one model, or go on with a run.")
    train.add_argument("config", help="a YAML file or a recipe that comes with the package (baseline, hero)")
    train.add_argument("--corpus", required=True, help="a corpus name, a manifest or a folder")
    train.add_argument("--out", type=Path, help="run folder (runs/NAME)")
    train.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change one value")
    train.add_argument("--smoke", action="store_true", help="100 steps, two epochs, a short validation")

    score = command("score", _score, "Score every trial of a corpus split into a scores file.")
    score.add_argument("model", help="an .onnx file or the name of an installed model")
    score.add_argument("corpus", help="a corpus name, a manifest or a folder")
    score.add_argument("--split", default="test", help="train, dev, test_seen or test (default test)")
    score.add_argument("--out", type=Path, default=Path("scores.tsv"), help="scores file (scores.tsv)")

    evaluate = command("evaluate", _evaluate, "Turn scores files into figures with intervals.")
    evaluate.add_argument("scores", nargs="+", type=Path, metavar="SCORES")
    evaluate.add_argument("--json", action="store_true", help="print one JSON object")

    export = command("export", _export, "Write a checkpoint as ONNX or as a plain state dict.")
    export.add_argument("checkpoint", type=Path)
    export.add_argument("--format", choices=["onnx", "pth"], default="onnx")
    export.add_argument("--out", type=Path, help="file to write (beside the checkpoint)")
    return parser


def _check(options: argparse.Namespace) -> int:
    from ringtrue.inference.runtime import Detector

    detector = Detector.from_pretrained(options.model, threads=options.threads)
    decisions, failed = set(), False
    for path in _recordings(options.files):
        try:
            verdict = detector.check(path)
        except RingtrueError as error:
            failed = True
            _complain(str(error))
            if options.json:
                print(json.dumps({"name": str(path), "error": str(error)}, ensure_ascii=False), flush=True)
            continue
        decisions.add(verdict.decision)
        print(
            json.dumps(verdict.to_dict(), ensure_ascii=False) if options.json else _in_words(verdict),
            flush=True,
        )
    if failed:
        return _ERROR
    if "spoof" in decisions:
        return _SPOOF
    return _INCONCLUSIVE if "inconclusive" in decisions else _OK


def _recordings(names: Sequence[str]) -> list[Path]:
    """Replace folders by the audio files in them; whatever else is named is tried and says itself what is wrong."""
    from ringtrue.audio import AUDIO_SUFFIXES
    from ringtrue.errors import AudioError

    found: list[Path] = []
    for name in names:
        path = Path(name)
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(
            item for item in path.rglob("*") if item.suffix.lower() in AUDIO_SUFFIXES and item.is_file()
        )
        if not inside:
            raise AudioError(
                f"the folder {path} holds no audio; accepted: {' '.join(sorted(AUDIO_SUFFIXES))}"
            )
        found += inside
    return found


def _in_words(verdict: Verdict) -> str:
    evidence = "not calibrated" if verdict.llr is None else f"LLR {verdict.llr:+.2f}"
    audio = verdict.audio
    lines = [
        f"{verdict.name}: {verdict.decision.upper()}  {evidence}  "
        f"({audio['duration_s']:.1f} s, {audio['codec']}, {audio['native_rate_hz'] / 1000:g} kHz)"
    ]
    if len(verdict.segments) > 1:
        lines += [f"  {s.start_s:7.1f} - {s.end_s:.1f} s  {s.llr:+.2f}" for s in verdict.segments]
    lines += [f"  note: {warning}" for warning in verdict.warnings]
    return "\n".join(lines)


def _demo(options: argparse.Namespace) -> int:
    from ringtrue.demo import run_demo

    run_demo(options.out, options.corpus or f"starter-{options.size}", smoke=options.smoke, say=_say)
    return _OK


def _corpus_list(options: argparse.Namespace) -> int:
    from ringtrue.data.corpora import CORPORA

    for name, corpus in CORPORA.items():
        print(f"{name:14} {corpus.summary}\n{'':14} needs: {corpus.needs}")
    return _OK


def _corpus_prepare(options: argparse.Namespace) -> int:
    from ringtrue.data.corpora import load_corpus

    trials = load_corpus(options.corpus, _say)
    print(f"{len(trials)} trials")
    return _OK


def _corpus_describe(options: argparse.Namespace) -> int:
    from ringtrue.data.audit import describe
    from ringtrue.data.corpora import load_corpus

    print(f"{'split':10} {'label':9} {'system':24} {'trials':>6} {'speakers':>8} {'hours':>6}  languages")
    for group in describe(load_corpus(options.corpus, _say)):
        print(
            f"{group.split:10} {group.label:9} {group.system:24} {group.trials:6} {group.speakers:8} "
            f"{group.duration_s / 3600:6.2f}  {' '.join(group.languages)}"
        )
    return _OK


def _corpus_audit(options: argparse.Namespace) -> int:
    from ringtrue.pipeline import audit_corpus

    print("\n".join(audit_corpus(options.corpus, _say)))
    return _OK


def _train(options: argparse.Namespace) -> int:
    from ringtrue.config import load_config
    from ringtrue.data.corpora import load_corpus
    from ringtrue.pipeline import prepare_units, train_and_export

    config = load_config(options.config, options.set)
    config = config.smoke() if options.smoke else config
    trials = load_corpus(options.corpus, _say)
    units = prepare_units(config.content, trials, _say)
    print(train_and_export(config, trials, units, options.out or Path("runs") / config.name, _say))
    return _OK


def _score(options: argparse.Namespace) -> int:
    from ringtrue.data.corpora import load_corpus
    from ringtrue.inference.runtime import Detector
    from ringtrue.pipeline import score_split

    trials = [trial for trial in load_corpus(options.corpus, _say) if trial.split == options.split]
    scores, errors = score_split(Detector.from_pretrained(options.model), trials, options.out, _say)
    for error in errors:
        _complain(error)
    print(f"{options.out}: {len(scores)} trials scored, {len(errors)} could not be read")
    return _ERROR if errors else _OK


def _evaluate(options: argparse.Namespace) -> int:
    from ringtrue.evaluation.scores import read_scores
    from ringtrue.evaluation.table import evaluation, the_table

    named = {path.stem: read_scores(path) for path in options.scores}
    table = the_table(evaluation(named))
    print(json.dumps(table.to_dict()) if options.json else table.to_text())
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
