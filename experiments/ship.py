"""Clips of demo pages and a corpus of synthesisers -> which recipe ships, what it is worth elsewhere, and the model.

    python experiments/ship.py folds MANIFEST FOLDER     # a corpus for each fold, for `ringtrue experiment`
    ringtrue experiment experiments/ship.yaml --set CLIPS=FOLDER --jobs 2
    python experiments/ship.py judge MANIFEST --runs runs/ship --peer AASIST=aasist.onnx    # results/ship_*.csv
    python experiments/ship.py build MANIFEST            # the model in src/ringtrue/weights
    python experiments/ship.py elsewhere                 # what it makes of the synthesisers' test split

MANIFEST is a CSV with `path,label,system,speaker,source_page,paired,fold,license`, no page in two folds. Clips with a
licence of `LICENCES` are trained on. The others are heard to choose and to judge by only, and never the fold that is
judged: for each fold everything is chosen, fitted and calibrated on the others. Of the synthesisers' corpus
(`--synthesisers`, starter-full) the train and dev splits are trained on.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from pages import FLOOR, page_eers, rows_of
from ship_study import (
    BAND_RATE,
    LEAST_PEOPLE,
    SECOND,
    Array,
    Recipe,
    Row,
    Study,
    hear_synthesisers,
    is_lesson,
    read_clips,
    say,
)

from ringtrue import __version__
from ringtrue.data.audit import content_blind_floor
from ringtrue.data.corpora import load_corpus, load_samples
from ringtrue.data.corpora.starter.harmonise import to_level
from ringtrue.data.trials import Trial, fingerprint, write_manifest
from ringtrue.evaluation.calibrate import abstention_band, threshold_for_bonafide_rejection
from ringtrue.evaluation.hull import min_cllr
from ringtrue.evaluation.mappings import SHOWN_RATES, operating_point
from ringtrue.evaluation.metrics import cllr, eer
from ringtrue.evaluation.scores import read_scores, scores_of_trials, write_scores
from ringtrue.evaluation.scoring import score_trials
from ringtrue.experiment.plan import read_experiment, resolve
from ringtrue.experiment.report import commit
from ringtrue.experiment.runs import is_done, run_scores
from ringtrue.files import sha256_file, write_rows
from ringtrue.inference.runtime import SHIPPED, Detector
from ringtrue.inference.session import open_session
from ringtrue.models.checkpoint import ModelCard, save
from ringtrue.models.envelope import EnvelopeDetector
from ringtrue.packing import pack
from ringtrue.pipeline import load_trimmed
from ringtrue.training import envelope
from ringtrue.windows import repeat_to

WEIGHTS = Path(__file__).parents[1] / "src" / "ringtrue" / "weights"
CHOSEN = "chosen by the other folds"


def asked() -> str:
    """Give the command that runs."""
    return f"python experiments/ship.py {shlex.join(sys.argv[1:])}"


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


def judge(manifest: Path, synthesisers: str, runs: Path | None, peers: Mapping[str, Path], out: Path) -> None:
    """Write the tables."""
    study = Study(read_clips(manifest), hear_synthesisers(load_corpus(synthesisers, say)))
    folds = sorted(set(study.fold))
    count = len(study.clips)
    nested, whole, llrs = (np.full(count, np.nan) for _ in range(3))
    limits = {name: np.full(count, np.nan) for name in ("lower", "upper", *map(str, SHOWN_RATES))}
    chosen: dict[int, Recipe] = {}
    for fold in folds:
        chosen[fold] = recipe = study.choose(fold)
        fitted, inner = study.calibrate(recipe, fold)
        others, here = study.fold != fold, study.fold == fold
        model = study.fit(recipe, {fold})
        nested[here] = envelope.scores(model, study.heard.versions["as it is"][here])
        whole[here] = study.whole(model)[here]
        llrs[here] = fitted.apply(whole[here])
        band = abstention_band(inner[others & study.human], inner[others & ~study.human], BAND_RATE)
        limits["lower"][here], limits["upper"][here] = band.lower, band.upper
        for shown in SHOWN_RATES:
            limits[str(shown)][here] = threshold_for_bonafide_rejection(inner[others & study.human], shown)
    found = {
        ("pages", CHOSEN): [study.page_eers(nested)],
        ("pages", f"{CHOSEN}, whole recordings as `check` hears them"): [study.page_eers(whole)],
        ("pages", FLOOR): [study.page_eers(floor(study))],
    }
    for name, path in peers.items():
        found["pages", name] = [peer_eers(study, path)]
    common = Counter(chosen.values()).most_common(1)[0][0]
    for recipe in ablation(common):
        scores = study.held_out(recipe)
        for name in study.heard.versions:
            heard = "" if name == "as it is" else f", heard through {name}"
            found["pages", f"{recipe}{heard}"] = [study.page_eers(scores[name])]
    rows = rows_of(found, CHOSEN)
    if runs is not None:  # not of all folds: held against what was chosen on the pages that they judged
        rows += rows_of(neural(runs, found), CHOSEN)
    made = {"commit": commit(), "command": asked()}
    write_rows(out / "ship_families.csv", [row | made for row in families_of(study, common)])
    judged = {"clips": int(study.judged.sum())}
    write_rows(out / "ship_pages.csv", [row | judged | made for row in rows])
    for row in rows:
        low, high = (100 * row[f"macro_eer_{end}"] for end in ("low", "high"))
        print(
            f"{row['variant']} ({row['pages']} pages): {100 * row['macro_eer']:.1f} % [{low:.1f}, {high:.1f}]"
        )
    sources = sources_of(study, llrs, limits)
    write_rows(out / "ship_sources.csv", [row | made for row in sources])
    for row in sources:
        print(
            ", ".join(
                f"{name} {value:.3g}" if isinstance(value, float) else f"{value}"
                for name, value in row.items()
            )
        )


def families_of(study: Study, recipe: Recipe) -> list[Row]:
    """Say how each family of synthesisers is heard by a detector that never met it, with the second ear and without."""
    both, first = study.families(recipe), study.families(replace(recipe, second=None))
    rows = []
    for family, eers in both.items():
        apart = study.others.apart(family)
        human = study.others.human[apart]
        row: Row = {"family": family, "people": int(human.sum()), "machines": int((~human).sum())}
        row |= {name: value for name, value in eers.items() if name != "all"}
        rows.append(row | {"first ear alone": first[family]["as it is"]})
        print(
            f"{family}: {100 * eers['as it is']:.1f} %, first ear alone {100 * first[family]['as it is']:.1f} %"
        )
    return rows


def build(manifest: Path, synthesisers: str, folder: Path) -> None:
    """Write the model that ships."""
    clips = read_clips(manifest)
    study = Study(clips, hear_synthesisers(load_corpus(synthesisers, say)))
    trials = [  # the sequential boundaries are taken from clips that were not trained on
        replace(clip.trial, corpus="published demo pages", split="train" if clip.is_licensed else "dev")
        for clip in clips
    ]
    model, card = fit_and_calibrate(study)
    card.provenance["command"] = f"python experiments/ship.py build {manifest.name}"
    target = folder / "detector.safetensors"
    save(target, model, card)
    pack(target, folder / "detector.onnx", "onnx", trials, load_samples, say)


def fit_and_calibrate(study: Study) -> tuple[EnvelopeDetector, ModelCard]:
    """Choose, fit and calibrate on all folds."""
    recipe = study.choose()
    taught = [clip.trial for clip in study.clips if clip.is_licensed] + list(study.others.trials)
    fitted, llrs = study.calibrate(recipe)
    point = operating_point(fitted, llrs[study.human], llrs[~study.human], BAND_RATE)
    point["measured_on"] += (
        ", whole recordings, each judged by a model that had heard none of its fold's pages"
    )
    pages = study.page_eers(study.held_out(recipe)["as it is"])
    card = ModelCard(
        name="envelope",
        architecture="envelope",
        arguments={"ears": 2},
        calibration=point,
        trained_on={
            "corpora": [
                "clips of published demo pages whose repository states a permissive licence",
                "people and synthesisers of the train and dev splits of a corpus",
            ],
            "clips": {label: sum(t.label == label for t in taught) for label in ("bonafide", "spoof")},
            "sources": sources_and_licences(taught),
            "fingerprint": fingerprint(taught),
        },
        metrics={"dev_eer": float(np.mean(list(pages.values())))},
        provenance={"ringtrue": __version__, "recipe": str(recipe)},
    )
    return study.fit(recipe), card


def sources_and_licences(trials: Sequence[Trial]) -> list[Row]:
    """List where clips come from and under which licence, with how many of them."""
    counts = Counter((trial.source, trial.licence, trial.label) for trial in trials)
    return [
        {"source": source, "licence": licence, "label": label, "clips": count}
        for (source, licence, label), count in sorted(counts.items())
    ]


def ablation(common: Recipe) -> list[Recipe]:
    """List the recipes that differ from one in one ingredient."""
    changes: list[Row] = [
        {},
        {"copies": "none"},
        {"copies": "default"},
        {"copies": "channels"},
        {"evenly": "clip"},
        {"evenly": "page"},
        {"ridge": 0.01},
        {"ridge": 0.1},
        {"ridge": 1.0},
        {"ridge": 10.0},
        {"second": None},
        *({"second": ridge} for ridge in SECOND),
    ]
    return list(dict.fromkeys(replace(common, **change) for change in changes))


def sources_of(study: Study, llrs: Array, limits: Mapping[str, Array]) -> list[Row]:
    """Say how many of each source of people, and of all machines, are called what, by limits of other folds."""
    rows: list[Row] = []
    groups = [("people", page, study.human & (study.page == page)) for page in sorted(set(study.page))]
    groups += [("people", "all", study.human), ("machines", "all", ~study.human)]
    for label, source, here in groups:
        if here.sum() < LEAST_PEOPLE:
            continue
        row: Row = {"label": label, "source": source, "clips": int(here.sum())}
        row |= {"called spoof": float(np.mean(llrs[here] < limits["lower"][here]))}
        row |= {"called bona fide": float(np.mean(llrs[here] >= limits["upper"][here]))}
        row |= {
            f"below the {100 * rate:g} % threshold": float(np.mean(llrs[here] < limits[str(rate)][here]))
            for rate in SHOWN_RATES
        }
        rows.append(row | {"mean_llr": float(llrs[here].mean())})
    sides = llrs[study.human], llrs[~study.human]
    rows.append(
        {
            "label": "both",
            "source": "all",
            "clips": len(llrs),
            "cllr": cllr(*sides),
            "least_cllr": min_cllr(*sides),
        }
    )
    return rows


def peer_eers(study: Study, path: Path) -> Row:
    """Give the pages' EERs of another detector; what is scored stays scored, beside it."""
    trials = [trial for trial, is_judged in zip(study.trials, study.judged, strict=True) if is_judged]
    made = {"model_sha256": sha256_file(path), "trials": f"{fingerprint(trials)} levelled and trimmed"}
    kept = path.with_suffix(".pages.tsv")
    if not kept.exists() or not made.items() <= read_scores(kept).metadata.items():
        session = open_session(path, threads=1)
        wave = session.get_inputs()[0]
        found = []
        for number, trial in enumerate(trials, start=1):
            window = repeat_to(to_level(load_trimmed(trial)), wave.shape[1])
            logits = session.run(None, {wave.name: window[np.newaxis]})[-1]
            found.append(float(logits[0, 1] - logits[0, 0]))
            if number % 100 == 0:
                say(f"{path.name}: {number} of {len(trials)} clips")
        write_scores(kept, scores_of_trials(trials, found, made))
    return page_eers(read_scores(kept))


def floor(study: Study) -> Array:
    """Score every fold by its surface, as the licensed clips of the others teach it."""
    scores = np.full(len(study.clips), np.nan)
    for fold in sorted(set(study.fold)):
        here, others = study.fold == fold, study.licensed & (study.fold != fold)
        taught = [trial for trial, taken in zip(study.trials, others, strict=True) if taken]
        scores[here] = content_blind_floor(taught, study.surface[others], study.surface[here])
    return scores


def neural(runs: Path, found: Mapping[tuple[str, str], list[Row]]) -> dict[tuple[str, str], list[Row]]:
    """Collect what the runs of `ship.yaml` make of the pages of its folds, and of the same pages what was chosen."""
    experiment = read_experiment(Path(__file__).with_name("ship.yaml"))
    done: dict[str, dict[str, Row]] = {}
    for run in resolve(experiment, runs):
        if is_done(run, experiment):
            done.setdefault(run.variant, {})[run.corpus] = page_eers(run_scores(run, "pages"))
    group = f"pages of {', '.join(experiment.corpora)}"
    whole = {
        (group, variant): [{page: value for eers in folds.values() for page, value in eers.items()}]
        for variant, folds in done.items()
        if len(folds) == len(experiment.corpora)
    }
    if not whole:
        return {}
    pages = next(iter(whole.values()))[0]
    for name in (CHOSEN, FLOOR):
        whole[group, name] = [{page: found["pages", name][0][page] for page in pages}]
    return whole


def elsewhere(source: str, out: Path) -> None:
    """Say what the shipped model makes of a corpus: of each source of people, each machine, taught and never heard."""
    detector = Detector.from_pretrained(SHIPPED)
    trials = load_corpus(source, say)
    scored = [
        outcome for outcome in score_trials(detector.score_windows, trials, load_samples) if not outcome.error
    ]
    llrs = np.array([detector.judge.llr(outcome.score) for outcome in scored])
    human = np.array([outcome.trial.is_bonafide for outcome in scored])
    taught = np.array([is_lesson(outcome.trial) for outcome in scored])
    part = np.array([outcome.trial.split for outcome in scored])
    copy = np.array([outcome.trial.acoustic_model in ("", "none") for outcome in scored]) & ~human
    name = np.array(
        [outcome.trial.source if outcome.trial.is_bonafide else outcome.trial.system for outcome in scored]
    )
    lower = float(detector.card["calibration"]["band"]["lower"])
    groups = [("bonafide", one, human & ~taught & (name == one)) for one in sorted(set(name[human]))]
    groups += [("spoof", one, ~human & ~taught & (name == one)) for one in sorted(set(name[~human]))]
    groups += [
        ("bonafide", "all", human & ~taught),
        ("spoof", "all of the test split", ~human & (part == "test")),
        ("spoof", "other voices of synthesisers that taught it", ~human & ~taught & ~copy & (part != "test")),
        ("spoof", "copies", copy),
    ]
    rows: list[Row] = []
    for label, one, here in groups:
        if here.sum() < LEAST_PEOPLE:
            continue
        row: Row = {
            "label": label,
            "name": one,
            "clips": int(here.sum()),
            "mean_llr": float(llrs[here].mean()),
        }
        row["called spoof"] = float(np.mean(llrs[here] < lower))
        if label == "spoof":
            row["eer"] = eer(llrs[human & ~taught], llrs[here])
        rows.append(row)
        print(
            ", ".join(
                f"{key} {value:.3g}" if isinstance(value, float) else f"{value}" for key, value in row.items()
            )
        )
    made = {"corpus": source, "model_sha256": detector.sha256, "command": asked()}
    write_rows(out / "ship_elsewhere.csv", [row | made for row in rows])


def main() -> None:
    """Do what is asked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    folds = commands.add_parser("folds", help="write a corpus for each fold")
    folds.add_argument("manifest", type=Path, help="the CSV that lists the clips")
    folds.add_argument("folder", type=Path, help="where to")
    tables = commands.add_parser("judge", help="write the tables")
    tables.add_argument("manifest", type=Path, help="the CSV that lists the clips")
    tables.add_argument("--runs", type=Path, help="folder of the runs of ship.yaml, to stand beside")
    tables.add_argument("--peer", action="append", default=[], metavar="NAME=FILE.onnx",
                        help="another detector: waves of a fixed length in, two logits out")  # fmt: skip
    tables.add_argument("--out", type=Path, default=Path("results"), help="folder of the tables (results)")
    built = commands.add_parser("build", help="write the model that ships")
    built.add_argument("manifest", type=Path, help="the CSV that lists the clips")
    built.add_argument("--folder", type=Path, default=WEIGHTS, help="where to (the package's own)")
    other = commands.add_parser("elsewhere", help="say what the shipped model makes of a corpus")
    for command in (tables, built, other):
        command.add_argument("--synthesisers", default="starter-full", metavar="CORPUS",
                             help="its train and dev splits teach the second ear (starter-full)")  # fmt: skip
    other.add_argument("--out", type=Path, default=Path("results"), help="folder of the table (results)")
    options = parser.parse_args()
    if options.command == "folds":
        write_folds(options.manifest, options.folder)
    elif options.command == "elsewhere":
        elsewhere(options.synthesisers, options.out)
    elif options.command == "judge":
        peers = {name: Path(path) for name, _, path in (peer.partition("=") for peer in options.peer)}
        judge(options.manifest, options.synthesisers, options.runs, peers, options.out)
    else:
        build(options.manifest, options.synthesisers, options.folder)


if __name__ == "__main__":
    main()
