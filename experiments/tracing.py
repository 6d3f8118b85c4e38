"""The tables of source tracing in `results/`: MiO on real front ends, its baselines, a control that hears no speech.

    python experiments/tracing.py starter                # the starter corpus: its systems, its splits
    python experiments/tracing.py pages MANIFEST         # clips of published demo pages, folds of whole pages
    python experiments/tracing.py distilled DETECTOR     # the tracer without torch, on a detector's trunk

Everything is trained with three seeds, stage 1 too. `tracing_*.csv` has one row a method, `tracing_*_classes.csv` one
row a method and class.

Front ends: the Whisper-base encoder (all layers, learned weights) and a GE2E speaker encoder, both from packages. Stage
1 of the two-stage method is a countermeasure trained on the starter corpus' training split, for both tables.
"""

from __future__ import annotations

import argparse
import csv
import shlex
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ringtrue.data.corpora import load_samples
from ringtrue.data.surface import measure
from ringtrue.data.trials import Trial
from ringtrue.experiment.report import commit
from ringtrue.files import write_rows
from ringtrue.tracing.clips import Clips
from ringtrue.tracing.compare import Task, make_task
from ringtrue.tracing.settings import load_settings
from ringtrue.tracing.tables import (
    Table,
    all_methods,
    corpus_table,
    distilled_table,
    fetch_front_ends,
    table,
    trained_countermeasures,
)

SETTINGS = load_settings(Path(__file__).with_name("tracing_starter.yaml"))
LEAST_FAMILY = 8  # clips below which a family of systems is left out


def say(line: str) -> None:
    """Tell how it goes, on standard error."""
    print(line, file=sys.stderr, flush=True)


def starter(seeds: int) -> Iterator[Table]:
    """Trace the systems of the starter corpus: train on its train split, judge on test_seen and test."""
    yield corpus_table(SETTINGS, "system", say, ("outer", "bilinear", "concat", "gated"), seeds)
    for attribute in ("vocoder", "acoustic_model"):
        yield corpus_table(SETTINGS, attribute, say, seeds=seeds)


def pages(manifest: Path, seeds: int) -> Iterator[Table]:
    """Trace systems on demo pages: five folds of whole pages, three to train, one for thresholds, one to judge.

    A family that occurs in one fold only is never trained on: it is unknown where it is judged, and where it lies in
    the dev fold thresholds are set on it.
    """
    countermeasures = trained_countermeasures(SETTINGS, seeds, say)
    with open(manifest, encoding="utf-8") as file:
        listed = [row for row in csv.DictReader(file) if row["label"] == "spoof"]
    for attribute in ("system_family", "vocoder"):
        counts = Counter(row[attribute] for row in listed)
        used = [
            row
            for row in listed
            if counts[row[attribute]] >= LEAST_FAMILY and "unspecified" not in row[attribute]
        ]
        folds = {name: {row["fold"] for row in used if row[attribute] == name} for name in counts}
        clips = Clips(
            [trial_of(row, manifest.parent) for row in used], SETTINGS.front_ends, load_samples, say
        )
        by_id = {row["path"]: row for row in used}
        heard = [by_id[trial.id] for trial in clips.trials]
        surface = measure(clips.trials, load_samples)
        tasks = [fold_task(clips, heard, attribute, folds, fold) for fold in range(5)]
        methods = all_methods(clips, surface, countermeasures, SETTINGS)
        yield table(tasks, methods, attribute, "demo pages", list(countermeasures), say)


def trial_of(row: dict[str, str], folder: Path) -> Trial:
    """Make a trial of a row of the manifest."""
    audio = str(folder / row["path"])
    return Trial(row["path"], audio, "spoof", system=row["system_family"], corpus="demo pages")


def fold_task(
    clips: Clips, rows: Sequence[dict[str, str]], attribute: str, folds: Mapping[str, set[str]], fold: int
) -> Task:
    """Judge on one fold, set thresholds on the next, train on the other three; lone families are never trained on.

    A family that only these two folds have would be judged as unknown with thresholds that were set on it as unknown:
    its dev clips are not used.
    """
    place = {str(fold): "test", str((fold + 1) % 5): "dev"}

    def side(row: Mapping[str, str]) -> str:
        where = place.get(row["fold"], "train" if len(folds[row[attribute]]) > 1 else "unused")
        return "unused" if where == "dev" and folds[row[attribute]] == set(place) else where

    sides = [side(row) for row in rows]
    clusters = [row["source_page"] for row in rows]
    values = [row[attribute] for row in rows]
    return make_task(clips, values, attribute, clusters, say, sides, name=f"fold {fold}")


def main() -> None:
    """Parse, run, write the table with the commit and the command that made it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["starter", "pages", "distilled"])
    parser.add_argument("file", type=Path, nargs="?", help="MANIFEST or DETECTOR")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("results"))
    options = parser.parse_args()
    if options.what != "starter" and not options.file:
        parser.error(f"{options.what} needs a file: MANIFEST for pages, DETECTOR for distilled")
    fetch_front_ends(SETTINGS, say)
    runs = {
        "starter": lambda: starter(options.seeds),
        "pages": lambda: pages(options.file, options.seeds),
        "distilled": lambda: iter([distilled_table(SETTINGS, options.file, say, options.seeds)]),
    }
    command = shlex.join(["python", *(word.rpartition("/")[2] for word in sys.argv)])
    made = {"commit": commit(), "command": command}
    done = Table()
    for more in runs[options.what]():
        done.rows.extend(more.rows)
        done.classes.extend(more.classes)
        for name, rows in (("", done.rows), ("_classes", done.classes)):  # what is done stays
            write_rows(options.out / f"tracing_{options.what}{name}.csv", [{**row, **made} for row in rows])


if __name__ == "__main__":
    main()
