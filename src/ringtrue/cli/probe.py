"""Models -> what they listen to: `ringtrue probe`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ringtrue.cli.terminal import ERROR, OK, Command, complain, say
from ringtrue.errors import RingtrueError

if TYPE_CHECKING:
    from ringtrue.evaluation.probes.probe import Bench


def add(command: Command) -> None:
    """Declare the commands of this file."""
    probe = command("probe", _probe)
    probe.add_argument(
        "models", nargs="*", type=Path, metavar="MODEL", help="checkpoints, or .onnx files beside theirs"
    )
    probe.add_argument(
        "--scorer", metavar="COMMAND", help='anybody\'s detector: "detect {list}" prints scores'
    )
    probe.add_argument("--corpus", required=True, help="a corpus name, a manifest or a folder")
    probe.add_argument("--against", type=Path, metavar="MODEL", help="a baseline to show beside")
    probe.add_argument("--quick", action="store_true", help="leakage by linear and perceptron probes only")
    probe.add_argument(
        "--config", default="baseline", help="recipe that says how content units are made (baseline)"
    )
    probe.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change one value of it"
    )
    probe.add_argument("--clips", type=int, default=400, help="clips that leakage is probed with (400)")
    probe.add_argument(
        "--stimuli", type=int, default=40, help="clips of people that stimuli are made of (40)"
    )
    probe.add_argument("--seed", type=int, default=0, help="of everything random (0)")
    probe.add_argument("--out", type=Path, help="report of a single subject (probe.json beside the model)")
    probe.add_argument("--json", action="store_true", help="print the reports as JSON lines")
    probe.add_argument("--html", type=Path, metavar="OUT", help="also write a page with the picture")


def _probe(options: argparse.Namespace) -> int:
    from ringtrue.evaluation.probes import report as layout
    from ringtrue.files import write_text

    subjects: list[Path | str] = [*options.models, *([options.scorer] if options.scorer else [])]
    if not subjects:
        raise RingtrueError("nothing to probe: give a MODEL, or --scorer COMMAND")
    if options.out and len(subjects) > 1:
        raise RingtrueError("--out takes the report of one subject; without it, each lies beside its model")
    if min(options.clips, options.stimuli) < 2:
        raise RingtrueError(f"--clips {options.clips} --stimuli {options.stimuli}: give at least 2 of each")
    bench = _bench(options)
    reports, failed = [], False
    for subject in subjects:
        try:
            report = _report(bench, subject, options)
        except RingtrueError as error:  # one unfit model must not cost the others
            complain(str(error))
            failed = True
            continue
        reports.append(report)
        print(json.dumps(report) if options.json else "\n".join([*layout.lines(report), ""]), flush=True)
    if options.html and reports:
        write_text(options.html, layout.page(reports))
    return ERROR if failed else OK


def _bench(options: argparse.Namespace) -> Bench:
    from ringtrue.config import load_config
    from ringtrue.data.corpora import load_corpus, load_samples
    from ringtrue.evaluation.probes.probe import Bench, Plan
    from ringtrue.pipeline import prepare_units, screen

    config = load_config(options.config, options.set)
    trials = screen(load_corpus(options.corpus, say), say)
    plan = Plan(options.quick, options.clips, options.stimuli, options.seed)
    by_trial: Any = {}
    key = ""
    if options.models:
        units = prepare_units(config.content, trials, say)
        by_trial, key = units.by_trial, units.key
    return Bench(trials, load_samples, by_trial, key, plan, say)


def _report(bench: Bench, subject: Path | str, options: argparse.Namespace) -> Any:
    """Probe one subject, or read its report if it was probed in just this way before."""
    from ringtrue.evaluation.probes.probe import kept, probe_model, probe_scorer
    from ringtrue.files import sha256_file, write_json

    if isinstance(subject, str):
        report: Any = probe_scorer(bench, subject)
        write_json(options.out or Path("probe.json"), report)
        return report
    checkpoint, against = _checkpoint(subject), options.against and _checkpoint(options.against)
    out = options.out or checkpoint.with_name("probe.json")
    key = bench.key(sha256_file(checkpoint) + (sha256_file(against) if against else ""))
    if report := kept(out, key):
        say(f"{out} is of this model and these settings already")
        return report
    report = {**probe_model(bench, checkpoint, against), "key": key}
    write_json(out, report)
    return report


def _checkpoint(path: Path) -> Path:
    """Find the checkpoint of a model: probes read evidence, which an ONNX file does not give out."""
    found = path.with_suffix(".safetensors") if path.suffix == ".onnx" else path
    if not found.is_file():
        beside = f"; probes need the checkpoint beside {path}" if path.suffix == ".onnx" else ""
        raise RingtrueError(f"there is no model {found}{beside}")
    return found
