"""Clips of published demo pages -> which recipe ships, what it is worth on pages that it never met, and the model.

    python experiments/ship.py folds MANIFEST FOLDER     # a corpus for each fold, for `ringtrue experiment`
    ringtrue experiment experiments/ship.yaml --set CLIPS=FOLDER --jobs 2
    python experiments/ship.py judge MANIFEST --runs runs/ship     # results/ship_pages.csv, results/ship_sources.csv
    python experiments/ship.py build MANIFEST            # the model in src/ringtrue/weights

MANIFEST is a CSV with `path,label,system,speaker,source_page,paired,fold,license`, no page in two folds. Clips with a
licence of `LICENCES` are trained on. The others are heard to choose and to judge by only, and never the fold that is
judged: for each fold everything is chosen, fitted and calibrated on the others.
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from pages import LEAST

from ringtrue.data.trials import Trial, write_manifest

LICENCES = {
    "MIT",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "Apache-2.0",
    "Apache-2.0 (LibriSpeech part CC-BY-4.0)",
    "MPL-2.0",
    "CC0-1.0",
    "CC-BY-4.0",
}
"""Permissive ones, as the manifest writes them."""


def say(line: str) -> None:
    """Tell how it goes, on standard error."""
    print(line, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Clip:
    """One row of the manifest.

    Attributes:
        trial: What it is; its corpus is its page, by which speakers and systems are told apart too.
        fold: Of its page.
        is_licensed: Whether it may be trained on.
        is_judged: Whether its page has enough clips of both labels in one rate and codec.
    """

    trial: Trial
    fold: int
    is_licensed: bool
    is_judged: bool


def read_clips(manifest: Path) -> list[Clip]:
    """Read the manifest."""
    with open(manifest, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    counts = Counter((row["source_page"], row["label"]) for row in rows if row["paired"] == "1")
    clips = []
    for row in rows:
        page, is_spoof = row["source_page"], row["label"] == "spoof"
        trial = Trial(
            id=row["path"],
            audio=str((manifest.parent / row["path"]).absolute()),
            label=row["label"],
            system=f"{page}: {row['system']}" if is_spoof else "",
            speaker=f"{page}: {row['speaker']}",
            language=row["language"],
            corpus=page,
            source=row["source_repo"],
            licence=row["license"],
        )
        enough = min(counts[page, label] for label in ("bonafide", "spoof")) >= LEAST
        clips.append(
            Clip(trial, int(row["fold"]), row["license"] in LICENCES, row["paired"] == "1" and enough)
        )
    return clips


def write_folds(manifest: Path, folder: Path) -> None:
    """Write a corpus for each fold: licensed clips of the others to train on, its judged clips as the test.

    Development clips are the licensed ones of the next fold: they calibrate and choose nothing, since what is judged
    is a run's last step.
    """
    clips = read_clips(manifest)
    folds = sorted({clip.fold for clip in clips})
    for fold, following in zip(folds, [*folds[1:], folds[0]], strict=True):
        trials = []
        for clip in clips:
            if clip.fold == fold:
                split = "test" if clip.is_judged else ""
            else:
                split = ("dev" if clip.fold == following else "train") if clip.is_licensed else ""
            if split:
                trials.append(replace(clip.trial, split=split))
        path = folder / f"fold{fold}.tsv"
        write_manifest(path, trials)
        say(f"{path}: {dict(Counter((t.split, t.label) for t in trials))}")


def main() -> None:
    """Do what is asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    folds = commands.add_parser("folds", help="write a corpus for each fold")
    folds.add_argument("manifest", type=Path, help="the CSV that lists the clips")
    folds.add_argument("folder", type=Path, help="where to")
    options = parser.parse_args()
    if options.command == "folds":
        write_folds(options.manifest, options.folder)


if __name__ == "__main__":
    main()
