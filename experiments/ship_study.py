"""The clips behind the model that ships: what is measured of them, what is chosen by them, what is fitted to them.

Two ears (`ringtrue.models.envelope`): the first learns from clips of demo pages, the second from the synthesisers of a
corpus, beside people of both. Whatever is left out, a fold of pages or a family of synthesisers with some sources of
people, is left out of choice, fit and calibration alike.
"""

from __future__ import annotations

import csv
import sys
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pages import LEAST

from ringtrue.data.augment import POLICIES, Augment
from ringtrue.data.corpora import load_samples
from ringtrue.data.surface import content_blind_features
from ringtrue.data.trials import Trial
from ringtrue.evaluation.calibrate import (
    Calibration,
    fit_affine,
    threshold_for_bonafide_rejection,
)
from ringtrue.evaluation.metrics import eer
from ringtrue.models.envelope import EnvelopeDetector
from ringtrue.pipeline import load_trimmed
from ringtrue.training import envelope
from ringtrue.training.envelope import Lesson
from ringtrue.windows import split

Row = dict[str, Any]
Array = NDArray[np.float64]

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


@dataclass(frozen=True)
class Recipe:
    """How an envelope detector is fitted.

    Attributes:
        copies: Policy that makes changed copies of the training clips, ``none`` for no copies.
        evenly: What counts alike for the first ear: every ``page`` or every ``clip``.
        ridge: On the first ear's weights.
        second: On the second ear's; None for no second ear.
    """

    copies: str
    evenly: str
    ridge: float
    second: float | None = None

    def __str__(self) -> str:
        """Such as ``envelope: copies default, each page alike, ridge 1, second ear 0.1``."""
        second = "no second ear" if self.second is None else f"second ear {self.second:g}"
        return f"envelope: copies {self.copies}, each {self.evenly} alike, ridge {self.ridge:g}, {second}"


GRID = [
    Recipe(copies, evenly, ridge)
    for copies in ("none", "default", "channels")
    for evenly in ("clip", "page")
    for ridge in (0.01, 0.1, 0.3, 1.0, 3.0, 10.0)
]
SECOND = (1.0, 3.0, 10.0)
"""Ridges of the second ear: it knows few families, and must not trust any number that tells them from people."""
SECOND_HEARS = ("change", "steps", "depth")
NOISE = Augment(
    noise_probability=1,
    snr_range_db=(15.0, 30.0),
    band_probability=0,
    level_probability=0,
    quantise_probability=0,
)
"""What clips that choose a recipe are heard through besides: a shift under noise must cost as much as a confusion."""
BAND_RATE = 0.01
"""Share of people and of machines that the band calls the other one: a source that is not among those that place it may
lie ten times as often below."""
LEAST_PEOPLE = 20  # clips that make a human source worth a figure
COPIES = 2  # of each training clip


@dataclass(frozen=True)
class Heard:
    """What is measured of clips.

    Attributes:
        versions: `(N, D)` as they are, through noise and through channels, by name.
        copies: `(N, D)` of changed copies, by the name of the policy.
    """

    versions: Mapping[str, Array]
    copies: Mapping[str, Sequence[Array]]

    def lesson(self, policy: str, chosen: NDArray[np.bool_]) -> list[Array]:
        """Give some clips as they are, and their copies."""
        return [some[chosen] for some in (self.versions["as it is"], *self.copies[policy])]


def hear(waves: Sequence[NDArray[np.float32]]) -> Heard:
    """Measure clips, and copies of them."""
    versions = {"as it is": envelope.measure(waves)}
    for name, policy in (("noise", NOISE), ("channels", POLICIES["channels"])):
        versions[name] = envelope.measure(waves, policy, np.random.default_rng(1))
    copies: dict[str, list[Array]] = {"none": []}
    for name in ("default", "channels"):
        rng = np.random.default_rng(2)
        copies[name] = [envelope.measure(waves, POLICIES[name], rng) for _ in range(COPIES)]
    return Heard(versions, copies)


@dataclass(frozen=True)
class Synthesisers:
    """What the second ear learns from: people and synthesisers of the train and dev splits of a corpus.

    Attributes:
        heard: What is measured of them.
        human: `(N,)`, whether a person spoke.
        group: `(N,)`, whose clips count alike together: a source of people, a family of synthesisers.
        trials: All of them.
    """

    heard: Heard
    human: NDArray[np.bool_]
    group: NDArray[np.str_]
    trials: Sequence[Trial]

    @property
    def families(self) -> list[str]:
        """The families of synthesisers."""
        return sorted(set(self.group[~self.human].tolist()))

    def apart(self, family: str) -> NDArray[np.bool_]:
        """Say what is left out together: a family, and the sources of people that it is held against."""
        families = self.families
        sources = sorted(set(self.group[self.human].tolist()))
        against = [s for n, s in enumerate(sources) if n % len(families) == families.index(family)]
        if not against:
            against = [sources[families.index(family) % len(sources)]]
        here: NDArray[np.bool_] = np.where(self.human, np.isin(self.group, against), self.group == family)
        return here


def is_lesson(trial: Trial) -> bool:
    """Say whether the second ear may learn from a trial: copies of recordings are another kind of machine."""
    return trial.split in ("train", "dev") and (trial.is_bonafide or trial.acoustic_model not in ("", "none"))


def hear_synthesisers(trials: Sequence[Trial]) -> Synthesisers:
    """Measure what the second ear learns from."""
    taken = [trial for trial in trials if is_lesson(trial)]
    say(f"{len(taken)} clips of people and synthesisers: measuring the opening of each clip's speech")
    return Synthesisers(
        hear([load_trimmed(trial) for trial in taken]),
        np.array([trial.is_bonafide for trial in taken]),
        np.array([trial.source if trial.is_bonafide else trial.acoustic_model for trial in taken]),
        taken,
    )


class Study:
    """All that is measured of the clips, once.

    Args:
        clips: All of them.
        others: What the second ear learns from.
    """

    def __init__(self, clips: Sequence[Clip], others: Synthesisers):
        self.clips, self.others = clips, others
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
        self.heard = hear(trimmed)
        say("measuring whole recordings, window by window")
        windows = [split(load_samples(trial))[1] for trial in self.trials]
        self.window_of = np.repeat(np.arange(len(clips)), [len(some) for some in windows])
        self.windows = envelope.measure([window for some in windows for window in some])

    def fit(
        self, recipe: Recipe, without: Collection[int] = (), apart: NDArray[np.bool_] | None = None
    ) -> EnvelopeDetector:
        """Fit a recipe to the licensed clips of all folds but some, and to the synthesisers that are not apart."""
        chosen = self.licensed & ~np.isin(self.fold, list(without))
        pages, human = self.page[chosen], self.human[chosen]
        weights = alike(human, pages) if recipe.evenly == "page" else np.ones(len(pages))
        sets = self.heard.lesson(recipe.copies, chosen)
        lessons = [
            Lesson(
                np.concatenate(sets),
                np.tile(human, len(sets)),
                ridge=recipe.ridge,
                weights=np.tile(weights, len(sets)),
            )
        ]
        if recipe.second is not None:
            others = self.others
            taught = np.ones(len(others.human), bool) if apart is None else ~apart
            people = chosen & self.human
            sets = [
                *self.heard.lesson(recipe.copies, people),
                *others.heard.lesson(recipe.copies, taught),
            ]
            labels = [self.human[people], others.human[taught]]
            each = [alike(labels[0], self.page[people]), alike(labels[1], others.group[taught])]
            lessons.append(
                Lesson(
                    np.concatenate(sets),
                    np.concatenate([np.tile(one, len(sets) // 2) for one in labels]),
                    SECOND_HEARS,
                    recipe.second,
                    np.concatenate([np.tile(one, len(sets) // 2) for one in each]),
                    is_folded=False,
                )
            )
        return envelope.fit(*lessons)

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
        found = {name: np.full(len(self.clips), np.nan) for name in (*self.heard.versions, "whole")}
        for fold in sorted(set(self.fold) - {without}):
            model = self.fit(recipe, {fold} if without is None else {fold, without})
            here = self.fold == fold
            for name, statistics in self.heard.versions.items():
                found[name][here] = envelope.scores(model, statistics[here])
            found["whole"][here] = self.whole(model)[here]
        return found

    def cost(self, scores: Mapping[str, Array], chosen: Array) -> float:
        """Give what recipes are chosen by: the mean over pages of the EER of all versions of its clips together."""
        pages = sorted(set(self.page[chosen & self.judged]))
        here = [chosen & self.judged & (self.page == page) for page in pages]
        return float(np.mean([pooled_eer(scores, self.heard.versions, self.human, some) for some in here]))

    def families(self, recipe: Recipe, without: int | None = None) -> dict[str, dict[str, float]]:
        """Give the EERs of families of synthesisers that the detector never heard, beside people it never heard.

        Returns:
            Family -> version -> EER; the version ``all`` is all of them together.
        """
        found = {}
        for family in self.others.families:
            apart = self.others.apart(family)
            model = self.fit(recipe, set() if without is None else {without}, apart)
            versions = self.others.heard.versions
            scores = {name: envelope.scores(model, some) for name, some in versions.items()}
            found[family] = {
                name: pooled_eer(scores, names, self.others.human, apart)
                for name, names in (*((one, [one]) for one in versions), ("all", list(versions)))
            }
        return found

    def missed(self, recipe: Recipe, without: int | None = None) -> float:
        """Give the share of machines that pass where `BAND_RATE` of people are called machines, both held out."""
        heard = self.fold != (-1 if without is None else without)
        scores = self.held_out(recipe, without)["whole"]
        threshold = threshold_for_bonafide_rejection(scores[heard & self.human], BAND_RATE)
        return float(np.mean(scores[heard & ~self.human] >= threshold))

    def choose(self, without: int | None = None) -> Recipe:
        """Choose, leaving one fold out of everything.

        The first ear is chosen by the pages' EERs. The second one may cost them where decisions are made, so it is
        chosen by the mean of what is missed there and of the EERs of families of synthesisers that it never heard.
        """
        chosen = self.fold != (-1 if without is None else without)
        first, _ = least({recipe: self.cost(self.held_out(recipe, without), chosen) for recipe in GRID})
        costs = {}
        for ridge in SECOND:
            recipe = replace(first, second=ridge)
            families = [eers["all"] for eers in self.families(recipe, without).values()]
            costs[recipe] = (self.missed(recipe, without) + float(np.mean(families))) / 2
        best, cost = least(costs)
        say(f"without fold {without}: {best} ({100 * cost:.1f} %)")
        return best

    def calibrate(self, recipe: Recipe, without: int | None = None) -> tuple[Calibration, Array]:
        """Fit the map to likelihood ratios on held-out whole recordings.

        Returns:
            The map, and the ratios of all clips but those of the fold left out.
        """
        heard = self.fold != (-1 if without is None else without)
        scores = self.held_out(recipe, without)["whole"]
        fitted = fit_affine(scores[heard & self.human], scores[heard & ~self.human])
        return fitted, fitted.apply(scores)


def alike(human: NDArray[np.bool_], group: NDArray[np.str_]) -> Array:
    """Weigh clips: each group of a label counts alike, and each label for one."""
    counts = Counter(zip(human, group, strict=True))
    groups = Counter(label for label, _ in counts)
    weights = [1 / counts[key] / groups[key[0]] for key in zip(human, group, strict=True)]
    return np.array(weights)


def pooled_eer(
    scores: Mapping[str, Array], names: Collection[str], human: NDArray[np.bool_], here: NDArray[np.bool_]
) -> float:
    """Give the EER of some versions of some clips together."""
    people, machines = (
        np.concatenate([scores[name][here & side] for name in names]) for side in (human, ~human)
    )
    return eer(people, machines)


def least(costs: Mapping[Recipe, float]) -> tuple[Recipe, float]:
    """Give the recipe that costs least, the first of equals."""
    best = min(costs, key=lambda recipe: costs[recipe])
    return best, costs[best]
