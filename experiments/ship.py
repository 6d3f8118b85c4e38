"""Clips of published demo pages -> which recipe ships, what it is worth on pages that it never met, and the model.

    python experiments/ship.py folds MANIFEST FOLDER     # a corpus for each fold, for `ringtrue experiment`
    ringtrue experiment experiments/ship.yaml --set CLIPS=FOLDER --jobs 2
    python experiments/ship.py judge MANIFEST --runs runs/ship --peer AASIST=aasist.onnx    # results/ship_*.csv
    python experiments/ship.py build MANIFEST            # the model in src/ringtrue/weights
    python experiments/ship.py elsewhere starter-full    # what it makes of another corpus: results/ship_elsewhere.csv

MANIFEST is a CSV with `path,label,system,speaker,source_page,paired,fold,license`, no page in two folds. Clips with a
licence of `LICENCES` are trained on. The others are heard to choose and to judge by only, and never the fold that is
judged: for each fold everything is chosen, fitted and calibrated on the others.
"""

from __future__ import annotations

import argparse
import csv
import shlex
import sys
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pages import FLOOR, LEAST, page_eers, rows_of

from ringtrue import __version__
from ringtrue.data.audit import content_blind_floor
from ringtrue.data.augment import POLICIES, Augment
from ringtrue.data.corpora import load_corpus, load_samples
from ringtrue.data.corpora.starter.harmonise import to_level
from ringtrue.data.surface import content_blind_features
from ringtrue.data.trials import Trial, fingerprint, write_manifest
from ringtrue.evaluation.calibrate import (
    Calibration,
    abstention_band,
    bonafide_rejection_rate,
    fit_affine,
    threshold_for_bonafide_rejection,
)
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
from ringtrue.windows import repeat_to, split

Row = dict[str, Any]
Array = NDArray[np.float64]
WEIGHTS = Path(__file__).parents[1] / "src" / "ringtrue" / "weights"
CHOSEN = "chosen by the other folds"

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


def asked() -> str:
    """Give the command that runs."""
    return f"python experiments/ship.py {shlex.join(sys.argv[1:])}"


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


@dataclass(frozen=True, order=True)
class Recipe:
    """How an envelope detector is fitted.

    Attributes:
        copies: Policy that makes changed copies of the training clips, ``none`` for no copies.
        evenly: What counts alike in training: every ``page`` or every ``clip``.
        ridge: On the weights of the spreads.
    """

    copies: str
    evenly: str
    ridge: float

    def __str__(self) -> str:
        """Such as ``envelope: copies default, each page alike, ridge 1``."""
        return f"envelope: copies {self.copies}, each {self.evenly} alike, ridge {self.ridge:g}"


GRID = [
    Recipe(copies, evenly, ridge)
    for copies in ("none", "default", "channels")
    for evenly in ("clip", "page")
    for ridge in (0.01, 0.1, 0.3, 1.0, 3.0, 10.0)
]
NOISE = Augment(
    noise_probability=1,
    snr_range_db=(15.0, 30.0),
    band_probability=0,
    level_probability=0,
    quantise_probability=0,
)
"""What clips that choose a recipe are heard through besides: a shift under noise must cost as much as a confusion."""
RATES = (0.01, 0.02, 0.03, 0.05)
"""Shares of people that a model may call machines, of which the largest is taken that keeps each source below
`MOST_FALSE_ALARMS`."""
MOST_FALSE_ALARMS = 0.1
LEAST_PEOPLE = 20  # clips that make a human source worth a figure
COPIES = 4  # of each training clip


class Study:
    """All that is measured of the clips, once.

    Args:
        clips: All of them.
    """

    def __init__(self, clips: Sequence[Clip]):
        self.clips = clips
        self.trials = [clip.trial for clip in clips]
        self.human = np.array([clip.trial.is_bonafide for clip in clips])
        self.page = np.array([clip.trial.corpus for clip in clips])
        self.fold = np.array([clip.fold for clip in clips])
        self.licensed = np.array([clip.is_licensed for clip in clips])
        self.judged = np.array([clip.is_judged for clip in clips])
        say(f"{len(clips)} clips: reading")
        trimmed = [load_trimmed(trial) for trial in self.trials]
        self.surface = np.stack([content_blind_features(wave) for wave in trimmed])
        say("measuring the opening of each clip's speech, as it is and through noise and channels")
        self.heard = {"as it is": envelope.measure(trimmed)}
        for name, policy in (("noise", NOISE), ("channels", POLICIES["channels"])):
            self.heard[name] = envelope.measure(trimmed, policy, np.random.default_rng(1))
        chosen = np.flatnonzero(self.licensed)
        waves = [trimmed[index] for index in chosen]
        self.copies: dict[str, list[Array]] = {"none": []}
        for name in ("default", "channels"):
            rng = np.random.default_rng(2)
            self.copies[name] = []
            for _ in range(COPIES):
                full = np.zeros_like(self.heard["as it is"])
                full[chosen] = envelope.measure(waves, POLICIES[name], rng)
                self.copies[name].append(full)
        say("measuring whole recordings, window by window")
        windows = [split(load_samples(trial))[1] for trial in self.trials]
        self.window_of = np.repeat(np.arange(len(clips)), [len(some) for some in windows])
        self.windows = envelope.measure([window for some in windows for window in some])

    def fit(self, recipe: Recipe, without: Collection[int] = ()) -> EnvelopeDetector:
        """Fit a recipe to the licensed clips of all folds but some."""
        chosen = self.licensed & ~np.isin(self.fold, list(without))
        sets = [self.heard["as it is"], *self.copies[recipe.copies]]
        statistics = np.concatenate([some[chosen] for some in sets])
        counts = Counter(zip(self.page[chosen], self.human[chosen], strict=True))
        pages = zip(self.page[chosen], self.human[chosen], strict=True)
        weights = np.array([1 / counts[key] if recipe.evenly == "page" else 1.0 for key in pages])
        return envelope.fit(
            statistics,
            np.tile(self.human[chosen], len(sets)),
            np.tile(weights, len(sets)),
            ridge=recipe.ridge,
        )

    def whole(self, model: EnvelopeDetector) -> Array:
        """Score whole recordings as `ringtrue check` does: the mean over their windows."""
        scores = envelope.scores(model, self.windows)
        return np.bincount(self.window_of, scores) / np.bincount(self.window_of)

    def page_eers(self, scores: Array) -> Row:
        """Give the EER of each page that is judged."""
        pages = sorted(set(self.page[self.judged]))
        here = [self.judged & (self.page == page) for page in pages]
        return {
            page: eer(scores[some & self.human], scores[some & ~self.human])
            for page, some in zip(pages, here, strict=True)
        }

    def held_out(self, recipe: Recipe, without: int | None = None) -> dict[str, Array]:
        """Score every fold by a model fitted without it, and without one more fold all along."""
        found = {name: np.full(len(self.clips), np.nan) for name in (*self.heard, "whole")}
        for fold in sorted(set(self.fold) - {without}):
            model = self.fit(recipe, {fold} if without is None else {fold, without})
            here = self.fold == fold
            for name, statistics in self.heard.items():
                found[name][here] = envelope.scores(model, statistics[here])
            found["whole"][here] = self.whole(model)[here]
        return found

    def cost(self, scores: Mapping[str, Array], chosen: Array) -> float:
        """Give what recipes are chosen by: the mean over pages of the EER of all versions of its clips together."""
        pages = sorted(set(self.page[chosen & self.judged]))
        eers = []
        for page in pages:
            here = chosen & self.judged & (self.page == page)
            sides = [
                np.concatenate([scores[name][here & side] for name in self.heard])
                for side in (self.human, ~self.human)
            ]
            eers.append(eer(*sides))
        return float(np.mean(eers))

    def choose(self, without: int | None = None) -> Recipe:
        """Choose a recipe by cross-validation over the folds, leaving one out of everything."""
        chosen = self.fold != (-1 if without is None else without)
        costs = {recipe: self.cost(self.held_out(recipe, without), chosen) for recipe in GRID}
        best = min(costs, key=lambda recipe: (costs[recipe], recipe))
        say(f"without fold {without}: {best} ({100 * costs[best]:.1f} %)")
        return best

    def calibrate(self, recipe: Recipe, without: int | None = None) -> tuple[Calibration, Array, float]:
        """Fit the map to likelihood ratios on held-out whole recordings, and choose the rate of the band.

        Returns:
            The map, the ratios of all clips but those of the fold left out, and the rate.
        """
        heard = self.fold != (-1 if without is None else without)
        scores = self.held_out(recipe, without)["whole"]
        fitted = fit_affine(scores[heard & self.human], scores[heard & ~self.human])
        llrs = fitted.apply(scores)
        people = heard & self.human
        for rate in sorted(RATES, reverse=True):
            lower = threshold_for_bonafide_rejection(llrs[people], rate)
            sources = false_alarms(llrs[people], self.page[people], lower)
            if max(row["rejected"] for row in sources) <= MOST_FALSE_ALARMS:
                break
        return fitted, llrs, rate


def false_alarms(llrs: Array, sources: Array, threshold: float) -> list[Row]:
    """Count, for each human source with enough clips, how many fall below a threshold."""
    rows = []
    for source in sorted(set(sources)):
        here = llrs[sources == source]
        if len(here) >= LEAST_PEOPLE:
            rows.append(
                {"source": source, "clips": len(here), "rejected": bonafide_rejection_rate(here, threshold)}
            )
    return rows


def judge(manifest: Path, runs: Path | None, peers: Mapping[str, Path], out: Path) -> None:
    """Write the tables."""
    study = Study(read_clips(manifest))
    folds = sorted(set(study.fold))
    count = len(study.clips)
    nested, whole, llrs = (np.full(count, np.nan) for _ in range(3))
    limits = {name: np.full(count, np.nan) for name in ("lower", "upper", *map(str, SHOWN_RATES))}
    chosen: dict[int, Recipe] = {}
    for fold in folds:
        chosen[fold] = recipe = study.choose(fold)
        fitted, inner, rate = study.calibrate(recipe, fold)
        others, here = study.fold != fold, study.fold == fold
        model = study.fit(recipe, {fold})
        nested[here] = envelope.scores(model, study.heard["as it is"][here])
        whole[here] = study.whole(model)[here]
        llrs[here] = fitted.apply(whole[here])
        band = abstention_band(inner[others & study.human], inner[others & ~study.human], rate)
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
        for name in study.heard:
            heard = "" if name == "as it is" else f", heard through {name}"
            found["pages", f"{recipe}{heard}"] = [study.page_eers(scores[name])]
    rows = rows_of(found, CHOSEN)
    if runs is not None:  # not of all folds: held against what was chosen on the pages that they judged
        rows += rows_of(neural(runs, found), CHOSEN)
    made = {"commit": commit(), "command": asked()}
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


def build(manifest: Path, folder: Path) -> None:
    """Write the model that ships."""
    clips = read_clips(manifest)
    trials = [  # the sequential boundaries are taken from clips that were not trained on
        replace(clip.trial, corpus="published demo pages", split="train" if clip.is_licensed else "dev")
        for clip in clips
    ]
    model, card = fit_and_calibrate(Study(clips), [trial for trial in trials if trial.split == "train"])
    card.provenance["command"] = f"python experiments/ship.py build {manifest.name}"
    target = folder / "detector.safetensors"
    save(target, model, card)
    pack(target, folder / "detector.onnx", "onnx", trials, load_samples, say)


def fit_and_calibrate(study: Study, licensed: Sequence[Trial]) -> tuple[EnvelopeDetector, ModelCard]:
    """Choose, fit and calibrate on all folds."""
    recipe = study.choose()
    fitted, llrs, rate = study.calibrate(recipe)
    point = operating_point(fitted, llrs[study.human], llrs[~study.human], rate)
    point["measured_on"] += (
        ", whole recordings, each judged by a model that had heard none of its fold's pages"
    )
    pages = study.page_eers(study.held_out(recipe)["as it is"])
    card = ModelCard(
        name="envelope",
        architecture="envelope",
        arguments={},
        calibration=point,
        trained_on={
            "corpora": ["clips of published demo pages whose repository states a permissive licence"],
            "clips": {label: sum(t.label == label for t in licensed) for label in ("bonafide", "spoof")},
            "sources": sources_and_licences(licensed),
            "fingerprint": fingerprint(licensed),
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
    """Say what the shipped model makes of a corpus that had no part in it: of each source of people, each machine."""
    detector = Detector.from_pretrained(SHIPPED)
    trials = load_corpus(source, say)
    scored = [
        outcome for outcome in score_trials(detector.score_windows, trials, load_samples) if not outcome.error
    ]
    llrs = np.array([detector.judge.llr(outcome.score) for outcome in scored])
    human = np.array([outcome.trial.is_bonafide for outcome in scored])
    unseen = np.array([outcome.trial.split == "test" for outcome in scored])
    name = np.array(
        [outcome.trial.source if outcome.trial.is_bonafide else outcome.trial.system for outcome in scored]
    )
    lower = float(detector.card["calibration"]["band"]["lower"])
    groups = [("bonafide", one, human & (name == one)) for one in sorted(set(name[human]))]
    groups += [("spoof", one, ~human & (name == one)) for one in sorted(set(name[~human]))]
    groups += [
        ("bonafide", "all", human),
        ("spoof", "all", ~human),
        ("spoof", "all of the test split", ~human & unseen),
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
            row["eer"] = eer(llrs[human & unseen], llrs[here])
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
    other = commands.add_parser("elsewhere", help="say what the shipped model makes of another corpus")
    other.add_argument("corpus", help="such as starter-full")
    other.add_argument("--out", type=Path, default=Path("results"), help="folder of the table (results)")
    options = parser.parse_args()
    if options.command == "folds":
        write_folds(options.manifest, options.folder)
    elif options.command == "elsewhere":
        elsewhere(options.corpus, options.out)
    elif options.command == "judge":
        peers = {name: Path(path) for name, _, path in (peer.partition("=") for peer in options.peer)}
        judge(options.manifest, options.runs, peers, options.out)
    else:
        build(options.manifest, options.folder)


if __name__ == "__main__":
    main()
