"""Runs of an experiment -> how well each variant tells people from machines on published demo pages, page by page.

    python experiments/pages.py MANIFEST experiments/thesis_starter.yaml --runs runs/thesis_starter

MANIFEST is a CSV with `path,label,system,speaker,source_page,paired`: where `paired` is 1 the page has both labels in
one rate and codec, so that neither gives the label away. Heard are the first four seconds of each clip's speech. Models
that were trained on none of these pages are judged by the mean over pages of the page's EER; intervals draw pages.
Nothing is chosen here.
"""

from __future__ import annotations

import argparse
import csv
import shlex
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringtrue.data.corpora import load_corpus
from ringtrue.data.trials import Trial, fingerprint
from ringtrue.evaluation.intervals import holm, two_sided
from ringtrue.evaluation.metrics import eer
from ringtrue.evaluation.scores import Scores, read_scores, scores_of_trials, write_scores
from ringtrue.experiment.plan import Experiment, Run, fill, read_experiment, resolve
from ringtrue.experiment.report import commit
from ringtrue.experiment.runs import is_done
from ringtrue.files import write_rows
from ringtrue.inference.runtime import Detector
from ringtrue.pipeline import content_blind_scores, load_trimmed
from ringtrue.windows import WINDOW, repeat_to

LEAST = 5  # clips of each label that make a page worth a figure
DRAWS = 4_000
_AT_ONCE = 16  # windows that are scored together
FLOOR = "content-blind floor"
Row = dict[str, Any]


def say(line: str) -> None:
    """Tell how it goes, on standard error."""
    print(line, file=sys.stderr, flush=True)


def paired_clips(manifest: Path) -> list[Trial]:
    """Read the clips of pages that have enough of both labels; a trial's corpus is its page."""
    with open(manifest, newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["paired"] == "1"]
    counts = Counter((row["source_page"], row["label"]) for row in rows)
    return [
        Trial(
            id=row["path"],
            audio=str(manifest.parent / row["path"]),
            label=row["label"],
            system=row["system"] if row["label"] == "spoof" else "",
            speaker=row["speaker"],
            corpus=row["source_page"],
            split="test",
        )
        for row in rows
        if min(counts[row["source_page"], label] for label in ("bonafide", "spoof")) >= LEAST
    ]


def page_eers(scores: Scores) -> dict[str, float]:
    """Give the EER of each page, as a fraction."""
    pages = scores.column("corpus")
    found = {}
    for page in sorted(set(pages.tolist())):
        chosen = scores.select(pages == page)
        found[page] = eer(chosen.bonafide, chosen.spoof)
    return found


def openings(trials: Sequence[Trial]) -> NDArray[np.float32]:
    """Read the first `WINDOW` samples of each clip's speech, `(B, T)`; a shorter one is repeated."""
    return np.stack([repeat_to(load_trimmed(trial)[:WINDOW], WINDOW) for trial in trials])


def score_runs(runs: Sequence[Run], trials: Sequence[Trial], jobs: int) -> dict[tuple[str, str], list[Row]]:
    """Score every run; what is scored stays scored. By corpus and variant, one mapping of pages a seed."""
    waves = openings(trials)
    heard = fingerprint(trials)

    def one(run: Run) -> Row:
        detector = Detector(run.folder / "prosody_encoder_best.onnx")
        path = run.folder / "scores" / "pages.tsv"
        made = {"model_sha256": detector.sha256, "trials": f"{heard} first {WINDOW} samples, trimmed"}
        if path.exists() and made.items() <= (kept := read_scores(path)).metadata.items():
            return page_eers(kept)
        found = [detector.score_windows(waves[at : at + _AT_ONCE]) for at in range(0, len(waves), _AT_ONCE)]
        scores = scores_of_trials(trials, np.concatenate(found).tolist(), made)
        write_scores(path, scores)
        return page_eers(scores)

    found: dict[tuple[str, str], list[Row]] = {}
    with ThreadPoolExecutor(jobs) as pool:
        for number, (run, eers) in enumerate(zip(runs, pool.map(one, runs), strict=True), start=1):
            found.setdefault((run.corpus, run.variant), []).append(eers)
            say(f"{number} of {len(runs)}: {run}")
    return found


def floors(
    experiment: Experiment, trials: Sequence[Trial], folder: Path, variables: Mapping[str, str]
) -> Iterator[tuple[tuple[str, str], list[Row]]]:
    """Judge the pages by their surface alone, with what each training corpus teaches about that."""
    for name, corpus in experiment.corpora.items():
        trained = load_corpus(fill(corpus.source, variables), say)
        scores = content_blind_scores(trained, trials, folder / name / "pages.tsv", say, trim=True)
        yield (name, FLOOR), [page_eers(scores)]


def rows_of(found: Mapping[tuple[str, str], list[Row]], baseline: str, seed: int = 0) -> list[Row]:
    """Average over pages and seeds, with intervals that draw pages, and pair each variant with the baseline."""
    pages = sorted({page for seeds in found.values() for eers in seeds for page in eers})
    drawn = np.random.default_rng(seed).integers(0, len(pages), (DRAWS, len(pages)))
    means = {key: _table(seeds, pages).mean(axis=0) for key, seeds in found.items()}
    rows: list[Row] = []
    for (corpus, variant), seeds in found.items():
        macro = _table(seeds, pages).mean(axis=1)
        mean = means[corpus, variant]
        row: Row = {"corpus": corpus, "variant": variant, "seeds": len(seeds), "pages": len(pages)}
        row |= {"macro_eer": mean.mean(), **_ends("macro_eer", mean[drawn].mean(axis=1))}
        row |= {"seed_sd": macro.std(ddof=1) if len(macro) > 1 else "", "worst_page": pages[mean.argmax()]}
        row |= {"worst_eer": mean.max()}
        if variant != baseline and (corpus, baseline) in means:
            apart = mean - means[corpus, baseline]
            draws = apart[drawn].mean(axis=1)
            row |= {"difference": apart.mean(), **_ends("difference", draws), "p": two_sided(draws)}
        rows.append(row | {f"eer {page}": value for page, value in zip(pages, mean, strict=True)})
    tested = [row for row in rows if "p" in row and row["variant"] != FLOOR]
    for row, corrected in zip(tested, holm([row["p"] for row in tested]), strict=True):
        row["p_holm"] = corrected
    return rows


def _table(seeds: Sequence[Row], pages: Sequence[str]) -> NDArray[np.float64]:
    return np.array([[eers[page] for page in pages] for eers in seeds])


def _ends(name: str, draws: NDArray[np.float64]) -> Row:
    low, high = np.quantile(draws, [0.025, 0.975])
    return {f"{name}_low": low, f"{name}_high": high}


def main() -> None:
    """Score, average, write, and print the mean over pages."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("manifest", type=Path, help="the CSV that lists the clips")
    parser.add_argument("experiment", type=Path, help="the experiment's YAML file")
    parser.add_argument("--runs", type=Path, required=True, help="the experiment's folder")
    parser.add_argument("--out", type=Path, default=Path("results"), help="folder of the table (results)")
    parser.add_argument("--jobs", type=int, default=1, help="models that score at once (1)")
    options = parser.parse_args()
    experiment = read_experiment(options.experiment)
    trials = paired_clips(options.manifest)
    runs = [run for run in resolve(experiment, options.runs) if is_done(run, experiment)]
    found = score_runs(runs, trials, options.jobs)
    found |= dict(floors(experiment, trials, options.runs / "floor", {}))
    rows = rows_of(found, experiment.baseline)
    command = f"python experiments/pages.py {shlex.join(sys.argv[1:])}"
    made = {"clips": len(trials), "commit": commit(), "command": command}
    path = options.out / f"{experiment.name}_pages.csv"
    write_rows(path, [row | made for row in rows])
    for row in rows:
        low, high = (100 * row[f"macro_eer_{end}"] for end in ("low", "high"))
        print(f"{row['corpus']}, {row['variant']}: {100 * row['macro_eer']:.1f} % [{low:.1f}, {high:.1f}]")
    say(str(path))


if __name__ == "__main__":
    main()
