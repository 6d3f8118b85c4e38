"""A model -> how fast, how robust, how early: `ringtrue bench speed|robustness|sequential`."""

from __future__ import annotations

import argparse
from pathlib import Path

from ringtrue.cli.terminal import ERROR, OK, Command, complain, say


def add(command: Command) -> None:
    """Declare the commands of this file."""
    bench = command("bench", _bench)
    kinds = bench.add_subparsers(dest="kind", required=True, metavar="WHAT")
    speed = kinds.add_parser(
        "speed", help="processor time for a second of audio, live streams, size; one thread"
    )
    robustness = kinds.add_parser(
        "robustness", help="a labelled set through codecs, bands, noise, rooms, losses"
    )
    sequential = kinds.add_parser(
        "sequential", help="error rates and seconds of early decisions on held-out speech"
    )
    for kind in (speed, robustness, sequential):
        kind.add_argument("model", help="an .onnx file or the name of an installed model")
        kind.add_argument("--json", action="store_true", help="print JSON only")
    speed.add_argument(
        "--peer", action="append", default=[], metavar="NAME=FILE", help="another .onnx that takes waves"
    )
    speed.add_argument("--audio", help="recording to measure on (half a minute of noise)")
    for kind in (robustness, sequential):
        kind.add_argument("corpus", help="a corpus name, a manifest or a folder")
        kind.add_argument("--split", default="test", help="(test)")
    robustness.add_argument(
        "--condition", action="append", metavar="NAME", help="only this one; may be repeated"
    )
    robustness.add_argument("--limit", type=int, help="at most so many trials of each label")
    robustness.add_argument("--out", type=Path, help="also write a CSV table, and keep the work beside it")
    sequential.add_argument("--rate", type=float, action="append", help="promised error rate (0.05 and 0.1)")


def _bench(options: argparse.Namespace) -> int:
    return {"speed": _speed, "robustness": _robustness, "sequential": _sequential}[options.kind](options)


def _speed(options: argparse.Namespace) -> int:
    import json

    from ringtrue.inference.runtime import find_model
    from ringtrue.inference.speed import measure_speed, read_wave

    peers = {}
    for peer in options.peer:
        name, equals, path = peer.partition("=")
        if not (name and equals and path):
            complain(f"--peer {peer}: NAME=FILE.onnx is accepted")
            return ERROR
        peers[name] = Path(path)
    found = measure_speed(find_model(options.model), read_wave(options.audio), peers)
    if not options.json:
        print(
            f"{'one thread, processor time':34} {'ms a second of audio':>21} {'of the detector':>16} {'MB':>6}"
        )
        for name, value in found["ms_per_s"].items():
            size = found["bytes"].get("detector" if name == "wave to verdict" else name)
            over = [
                f"{found[kind][name]:.1f}x" if name in found[kind] else ""
                for kind in ("ratios", "ratios_clip")
            ]
            print(
                f"{name:34} {value:21.2f} {over[0]:>15} {over[1]:>10} {f'{size / 1e6:.2f}' if size else '':>6}"
            )
        live = found["live"]
        print(f"wave to verdict over network: {found['ratios']['wave to verdict over network']:.2f}")
        print(
            f"live at a hop of 0.5 s: {live['streams_per_core']:.0f} streams a core, "
            f"hop p50 {live['hop_p50_ms']:.1f} ms, p99 {live['hop_p99_ms']:.1f} ms"
        )
    print(json.dumps(found))
    return OK


def _robustness(options: argparse.Namespace) -> int:
    from dataclasses import asdict
    from tempfile import TemporaryDirectory

    from ringtrue.data.corpora import load_samples
    from ringtrue.files import write_rows
    from ringtrue.inference.runtime import Detector
    from ringtrue.robustness import CONDITIONS, json_of, measure_robustness, table_of

    detector = Detector.from_pretrained(options.model)
    trials = _trials(options)
    if options.limit:
        sides = [[t for t in trials if t.is_bonafide is side] for side in (True, False)]
        trials = [
            trial for side in sides for trial in side[:: max(1, len(side) // options.limit)][: options.limit]
        ]
    conditions = options.condition or list(CONDITIONS)
    with TemporaryDirectory() as folder:
        journals = options.out.parent if options.out else Path(folder)
        rows = measure_robustness(
            detector,
            trials,
            load_samples,
            conditions,
            journals,
            lambda row: say(f"{row.condition}: EER {row.eer:.1f} %"),
        )
    if options.out:
        write_rows(options.out, [asdict(row) for row in rows], digits=3)
        say(f"table: {options.out}")
    print(json_of(rows) if options.json else table_of(rows))
    return OK


def _sequential(options: argparse.Namespace) -> int:
    import json

    from ringtrue.data.corpora import load_samples
    from ringtrue.inference.runtime import Detector
    from ringtrue.packing import verify_sequential

    detector = Detector.from_pretrained(options.model)
    rows = verify_sequential(
        detector, _trials(options), options.split, load_samples, options.rate or [0.05, 0.1]
    )
    if options.json:
        print(json.dumps(rows))
        return OK
    for row in rows:
        print(f"promised error rate {row['rate']:g}:")
        for label in ("bonafide", "spoof"):
            side = row[label]
            print(
                f"  {label:9} {side['recordings']} recordings: wrong {100 * side['wrong']:.1f} % "
                f"[{100 * side['low']:.1f}, {100 * side['high']:.1f}], decided {100 * side['decided']:.1f} %, "
                f"median {side['median_s']:.1f} s"
            )
    return OK


def _trials(options: argparse.Namespace) -> list:  # type: ignore[type-arg]
    from ringtrue.data.corpora import load_corpus

    return [trial for trial in load_corpus(options.corpus, say) if trial.split == options.split]
