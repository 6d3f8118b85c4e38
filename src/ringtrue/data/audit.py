"""Trials and their surface -> could this set be solved without listening to the speech, and does it leak?

A corpus whose human half is louder, shorter, band-limited or padded with silence lets a detector score well
and learn nothing. The *content-blind floor* is what a classifier reaches that sees such surface properties
only; a detector's figure means something to the degree that it beats the floor on the same trials.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringtrue.data.surface import FEATURE_NAMES, Survey
from ringtrue.data.trials import Trial
from ringtrue.errors import CorpusError, require
from ringtrue.files import stable_int

CONFOUNDED_EER = 0.35
"""Where a content-blind classifier falls below this EER, the corpus can be gamed and says little."""

TIED = 0.5
"""From this Cramér's V on, a property is worth naming in one line."""

_TREES = 300
_FOLDS = 5
_CALIPER = (
    0.2  # of the scores' standard deviation: as far as two matched recordings may lie apart (Austin, 2011)
)
_BARS = "▁▂▃▄▅▆▇█"
_BINS = 20
_SHOWN = ("level_db", "silence_share", "bandwidth_hz", "duration_s")


def content_blind_floor(
    train: Sequence[Trial],
    train_features: NDArray[np.float64],
    eval_features: NDArray[np.float64],
    seed: int = 0,
) -> NDArray[np.float64]:
    """Score trials by their surface alone: a random forest trained on the same training split as the models.

    Args:
        train: Training trials, both classes.
        train_features: Their `measure`.
        eval_features: `measure` of the trials to score.
        seed: Seed of the forest; the same seed gives the same scores.

    Returns:
        One score for each row of `eval_features`: log-odds of bona fide. Give them to `eer` like a model's.

    Raises:
        CorpusError: The training trials are of one class only, or rows and trials differ in number.
        MissingExtraError: scikit-learn is not installed.
    """
    is_bonafide = np.array([trial.is_bonafide for trial in train])
    if len(train_features) != is_bonafide.size or is_bonafide.all() or not is_bonafide.any():
        raise CorpusError(
            f"{is_bonafide.sum()} bona fide among {is_bonafide.size} training trials, {len(train_features)} "
            "rows of features; both classes and one row a trial are needed"
        )
    chance = _forest(seed).fit(train_features, is_bonafide).predict_proba(eval_features)[:, 1]
    votes = chance * _TREES
    return np.asarray(np.log((votes + 0.5) / (_TREES - votes + 0.5)), dtype=np.float64)  # finite for 0 votes


def cross_validated_floor(
    trials: Sequence[Trial], features: NDArray[np.float64], seed: int = 0
) -> NDArray[np.float64]:
    """Score every trial of one set by its surface, with a forest that saw none of the same speaker.

    Args:
        trials: Trials of both classes.
        features: Their surface.
        seed: Seed of folds and forests.

    Returns:
        Log-odds of bona fide for each trial. Give them to `eer`.

    Raises:
        CorpusError: One class has fewer than two speakers (or, where these are not known, source utterances, systems,
            recordings).
        MissingExtraError: scikit-learn is not installed.
    """
    is_bonafide = np.array([trial.is_bonafide for trial in trials], dtype=bool)
    groups = np.array([_group_of(trial) for trial in trials])
    least = min((len(set(groups[is_bonafide == side].tolist())) for side in (True, False)), default=0)
    if least < 2:
        raise CorpusError(
            f"a class has {least} groups of speakers; two in each are needed to cross-validate the content-blind floor"
        )
    selection = require("sklearn.model_selection", "train")
    folds = selection.StratifiedGroupKFold(min(_FOLDS, least), shuffle=True, random_state=seed % 2**32)
    scores = np.zeros(len(trials))
    for heard, judged in folds.split(features, is_bonafide, groups):
        if is_bonafide[heard].all() or not is_bonafide[heard].any():
            continue  # all speakers of a class fell on one side: nothing is known here, and the scores stay 0
        train = [trials[index] for index in heard]
        scores[judged] = content_blind_floor(train, features[heard], features[judged], seed)
    return scores


def _group_of(trial: Trial) -> str:
    for field in ("speaker", "source_utterance", "system"):
        if value := getattr(trial, field):
            return f"{trial.label} {field} {value}"
    return f"{trial.label} id {trial.id}"


def _forest(seed: int) -> Any:
    ensemble = require("sklearn.ensemble", "train")
    return ensemble.RandomForestClassifier(
        _TREES, min_samples_leaf=2, class_weight="balanced", random_state=seed % 2**32, n_jobs=1
    )


def floor_verdict(floor_eer: float) -> str:
    """Say in one line what a floor means.

    Args:
        floor_eer: EER of the content-blind scores, a fraction.

    Returns:
        A sentence.

    >>> floor_verdict(0.46)
    'content-blind floor 46.0 % EER: surface properties alone hardly tell the classes apart'
    """
    meaning = "surface properties alone hardly tell the classes apart"
    if floor_eer < CONFOUNDED_EER:
        meaning = (
            "CONFOUNDED, much of this set can be solved without listening; trust only what beats the floor"
        )
    elif floor_eer > 1 - CONFOUNDED_EER:
        meaning = (
            "surface properties point the other way than in training; the two sides were made differently"
        )
    return f"content-blind floor {100 * floor_eer:.1f} % EER: {meaning}"


def cramers_v(labels: Sequence[str], column: Sequence[str]) -> float:
    """Measure how strongly a property is tied to the label: a confound table in one number.

    Corrected for bias (Bergsma, Journal of the Korean Statistical Society 42, 2013), so that a property with very many
    values, such as the text, does not come out near 1 by itself.

    Args:
        labels: One label a trial.
        column: The property of each trial, such as its language; an empty string where it is unknown: left out.

    Returns:
        Cramér's V: 0 where the property tells nothing (or takes one value), 1 where it tells the label.

    >>> cramers_v(["bonafide", "bonafide", "spoof", "spoof"], ["en", "de", "en", "de"])
    0.0
    >>> cramers_v(["bonafide", "bonafide", "spoof", "spoof"], ["en", "en", "de", "de"])
    1.0
    """
    known = [(label, value) for label, value in zip(labels, column, strict=True) if value]
    if not known:
        return 0.0
    rows, columns = (np.unique(side, return_inverse=True)[1] for side in zip(*known, strict=True))
    shape = int(rows.max()) + 1, int(columns.max()) + 1
    if min(shape) == 1:
        return 0.0
    counts = np.bincount(rows * shape[1] + columns, minlength=shape[0] * shape[1]).reshape(shape)
    total = counts.sum()
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / total
    phi_squared = float(np.sum((counts - expected) ** 2 / expected)) / total
    by_chance = (shape[0] - 1) * (shape[1] - 1) / (total - 1)
    sides = [side - (side - 1) ** 2 / (total - 1) for side in shape]
    if min(sides) <= 1:  # every value occurs once
        return 0.0
    return float(np.sqrt(max(0.0, phi_squared - by_chance) / (min(sides) - 1)))


def ties(surveyed: Survey) -> dict[str, float]:
    """Measure how strongly each property of the recordings is tied to the label.

    Args:
        surveyed: The recordings.

    Returns:
        Cramér's V by property, the strongest first.
    """
    trials = surveyed.trials
    columns: dict[str, Sequence[str]] = {
        "rate": surveyed.rates_hz,
        "coding": surveyed.codings,
        **{name: [getattr(t, name) for t in trials] for name in ("codec", "language", "speaker", "corpus")},
        "text": [t.transcript or t.source_utterance for t in trials],
    }
    labels = [trial.label for trial in trials]
    found = {name: cramers_v(labels, column) for name, column in columns.items()}
    return dict(sorted(found.items(), key=lambda pair: -pair[1]))


@dataclass(frozen=True)
class Histogram:
    """How a surface property is spread over the two labels.

    Attributes:
        name: One of `FEATURE_NAMES`.
        edges: Borders of the bins, ``(bins + 1,)``.
        counts: Recordings in each bin, by label.
    """

    name: str
    edges: NDArray[np.float64]
    counts: Mapping[str, NDArray[np.int64]]

    def lines(self) -> list[str]:
        """Draw it, one line a label, each bar relative to the label's highest."""
        span = f"{self.edges[0]:.4g} to {self.edges[-1]:.4g}"
        return [
            f"{self.name:14} {label:9} "
            + "".join(_BARS[int(7 * count / max(counts.max(), 1))] if count else " " for count in counts)
            + f"  {span}"
            for label, counts in self.counts.items()
        ]


def histograms(surveyed: Survey) -> list[Histogram]:
    """Spread level, silence, bandwidth and duration over the labels.

    Args:
        surveyed: The recordings; at least one.

    Returns:
        A histogram of each, its bins the same for both labels.
    """
    is_bonafide = np.array([trial.is_bonafide for trial in surveyed.trials], dtype=bool)
    found = []
    for name in _SHOWN:
        values = surveyed.features[:, FEATURE_NAMES.index(name)]
        edges = np.histogram_bin_edges(values, _BINS)
        sides = {"bonafide": values[is_bonafide], "spoof": values[~is_bonafide]}
        found.append(
            Histogram(name, edges, {label: np.histogram(side, edges)[0] for label, side in sides.items()})
        )
    return found


def shared_files(surveyed: Survey) -> list[str]:
    """Find recordings that are the same file, byte by byte, on both sides of a split or under both labels.

    Args:
        surveyed: The recordings.

    Returns:
        One line for each pair of splits, or labels, that share files.
    """
    copies: dict[str, list[Trial]] = defaultdict(list)
    for trial, digest in zip(surveyed.trials, surveyed.digests, strict=True):
        copies[digest].append(trial)
    sides: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for same in copies.values():
        for field in ("split", "label"):
            values = tuple(sorted({getattr(trial, field) for trial in same}))
            if len(values) > 1:
                sides[values].append(same[0].id)
    return [
        f"{' and '.join(names)} share {len(ids)} files, such as {ids[:3]}"
        for names, ids in sorted(sides.items())
    ]


def matched_subset(
    trials: Sequence[Trial], scores: NDArray[np.float64], caliper: float = _CALIPER
) -> list[Trial]:
    """Choose recordings of both labels that a content-blind classifier takes for each other.

    Each recording of the rarer label is paired with the nearest unused one of the other by its cross-validated floor
    score, which is a propensity score; pairs further apart than the caliper are left out. What remains cannot be told
    apart by its surface nearly as well: audit it again to see how well.

    Args:
        trials: The recordings.
        scores: Their `cross_validated_floor`.
        caliper: Greatest distance, in standard deviations of the scores.

    Returns:
        As many of one label as of the other, in the order of `trials`; none where the two do not overlap.
    """
    sides = [
        sorted(
            (i for i, trial in enumerate(trials) if trial.is_bonafide is side), key=lambda i: (scores[i], i)
        )
        for side in (True, False)
    ]
    few, many = sorted(sides, key=len)
    most = caliper * float(np.std(scores))
    free = np.array(many)
    chosen: list[int] = []
    for index in sorted(
        few, key=lambda i: stable_int("matched", trials[i].id)
    ):  # no score has the first choice
        if not len(free):
            break
        nearest = int(np.argmin(np.abs(scores[free] - scores[index])))
        if abs(scores[free[nearest]] - scores[index]) <= most:
            chosen += [index, int(free[nearest])]
            free = np.delete(free, nearest)
    return [trials[index] for index in sorted(chosen)]


def verdict(floor_eer: float, tied: Mapping[str, float], leaked: Sequence[str]) -> str:
    """Say in one line whether a set can be trusted.

    Args:
        floor_eer: EER of its content-blind scores, a fraction.
        tied: What `ties` found.
        leaked: What `leaks` and `shared_files` found.

    Returns:
        A sentence.

    >>> verdict(0.46, {"language": 0.1}, [])
    'content-blind floor 46.0 % EER: surface properties alone hardly tell the classes apart; nothing leaks'
    """
    strong = [f"{name} {value:.2f}" for name, value in tied.items() if value >= TIED]
    parts = [floor_verdict(floor_eer)]
    if strong:
        parts.append(f"tied to the label (Cramer's V): {', '.join(strong)}")
    return "; ".join([*parts, say_leaks(leaked)])


def say_leaks(leaked: Sequence[str]) -> str:
    """Say in a few words what leaks.

    >>> say_leaks(["test and train share speaker ['p1']", "test and train share system ['s']"])
    "LEAKS: test and train share speaker ['p1'] and 1 more"
    """
    if not leaked:
        return "nothing leaks"
    return f"LEAKS: {leaked[0]}" + (f" and {len(leaked) - 1} more" if leaked[1:] else "")
