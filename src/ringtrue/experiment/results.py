"""Scores and leakage of runs -> figures with intervals, and The Table over seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ringtrue.errors import ScoresError
from ringtrue.evaluation.clustering import Clusters, count_note, known_clusters, single_notes
from ringtrue.evaluation.intervals import FEW_CLUSTERS, Interval, holm
from ringtrue.evaluation.quantities import FIGURES
from ringtrue.evaluation.scores import Scores
from ringtrue.evaluation.seeds import Drawn, Key, draw_figure, spread_over_seeds
from ringtrue.evaluation.table import FLOOR, Row, Table, few_note
from ringtrue.experiment.plan import Experiment, Run
from ringtrue.experiment.runs import PROBED, content_metrics, failure, is_done, run_scores
from ringtrue.files import stable_int

Place = tuple[str, str]
"""A corpus that was trained on, and a test set."""

_LEAKAGE_NAMES = (
    "dev_content_information",
    "dev_content_accuracy",
)  # of a run's own readers, the better first
_SEED = 0  # of the draws
_ABSENT = Interval(math.nan, math.nan, math.nan, 0.95, FEW_CLUSTERS, FEW_CLUSTERS)


@dataclass(frozen=True)
class Results:
    """Everything that was found.

    Attributes:
        experiment: What was done.
        drawn: Figure by figure, what each place gives; keyed by ``(corpus, variant)`` inside.
        scores: Scores of each place, by variant and seed.
        floors: Scores of the content-blind classifiers.
        leakage: Of each corpus and variant, by seed.
        leakage_name: What the leakage is, for a heading.
        metrics: All that the runs' cards say of content, by corpus and variant, then by seed.
        failed: Why runs failed, by their name.
        clusters: By what each test set is resampled.
    """

    experiment: Experiment
    drawn: Mapping[str, Mapping[str, Drawn]]
    scores: Mapping[Place, Mapping[str, Mapping[int, Scores]]]
    floors: Mapping[Place, Scores]
    leakage: Mapping[tuple[str, str], Mapping[int, float]]
    leakage_name: str
    metrics: Mapping[tuple[str, str], Mapping[int, Mapping[str, float]]]
    failed: Mapping[str, str]
    clusters: Mapping[str, Clusters]

    @property
    def places(self) -> list[Place]:
        """List the corpora and test sets that there are scores for."""
        return list(self.scores)

    def heading(self, place: Place) -> str:
        """Name a place, as shortly as it is clear."""
        return place[1] if len(self.experiment.corpora) == 1 else f"{place[1]}, {place[0]}"

    def seeds(self, corpus: str, variant: str) -> list[int]:
        """List the seeds of a variant that are done."""
        return sorted(
            {seed for (c, _), by in self.scores.items() if c == corpus for seed in by.get(variant, ())}
        )


def gather(
    experiment: Experiment,
    runs: Sequence[Run],
    floors: Mapping[Place, Scores],
    say: Callable[[str], None] = lambda line: None,
) -> Results:
    """Read the scores of all runs that are done, and bootstrap them together.

    Args:
        experiment: What was done.
        runs: Its runs.
        floors: Of `runs.floor_scores`.
        say: Takes one line now and then.

    Returns:
        The results.

    Raises:
        ScoresError: No run is done, or the runs of a test set scored different trials.
    """
    done = [run for run in runs if is_done(run, experiment)]
    failed = {str(run): failure(run) or "not done" for run in runs if run not in done}
    if not done:
        raise ScoresError(f"none of {len(runs)} runs is done; the first: {next(iter(failed.values()))}")
    scores: dict[Place, dict[str, dict[int, Scores]]] = {}
    for run in done:
        for test in experiment.tests:
            by_variant = scores.setdefault((run.corpus, test), {})
            by_variant.setdefault(run.variant, {})[run.seed] = run_scores(run, test)
    drawn: dict[str, dict[str, Drawn]] = {figure: {} for figure in experiment.figures}
    clusters = {}
    for test in experiment.tests:
        together: dict[Key, Mapping[int, Scores]] = {
            (corpus, variant): seeds
            for (corpus, at), variants in scores.items()
            if at == test
            for variant, seeds in variants.items()
        }
        floor: dict[Key, Mapping[int, Scores]] = {
            (corpus, FLOOR): {0: one} for (corpus, at), one in floors.items() if at == test
        }
        clusters[test] = known_clusters(next(one for seeds in together.values() for one in seeds.values()))
        for figure in experiment.figures:
            say(f"{experiment.name}: {experiment.draws} draws of {figure} on {test}")
            drawn[figure][test] = draw_figure(
                FIGURES[figure], together | floor, clusters[test], stable_int(_SEED, test), experiment.draws
            )
    metrics: dict[tuple[str, str], dict[int, dict[str, float]]] = {}
    for run in done:
        metrics.setdefault((run.corpus, run.variant), {})[run.seed] = content_metrics(run)
    name, leakage = _leakage(metrics)
    return Results(experiment, drawn, scores, floors, leakage, name, metrics, failed, clusters)


def _leakage(
    metrics: Mapping[tuple[str, str], Mapping[int, Mapping[str, float]]],
) -> tuple[str, dict[tuple[str, str], dict[int, float]]]:
    """Choose the measure of leakage that all runs have: probes first."""
    all_runs = [one for seeds in metrics.values() for one in seeds.values()]
    for name in (PROBED, *_LEAKAGE_NAMES):
        if all(name in one for one in all_runs):
            return name, {key: {s: m[name] for s, m in seeds.items()} for key, seeds in metrics.items()}
    return "", {}


def main_table(results: Results) -> Table:
    """Make The Table: EER of each variant on each test set, over seeds, then the contrasts, then leakage.

    Args:
        results: What was found.

    Returns:
        The table; p-values are corrected by Holm for all contrasts on all test sets.
    """
    experiment = results.experiment
    corpora = list(experiment.corpora) if results.leakage else []
    p_values = _corrected(results)

    def leak(corpus: str, name: str) -> Interval:
        values = list(results.leakage.get((corpus, name), {}).values())
        return spread_over_seeds(values) if values else _ABSENT

    def leak_difference(corpus: str, pair: tuple[str, str]) -> Interval:
        one, other = (results.leakage.get((corpus, name), {}) for name in pair)
        values = [one[seed] - other[seed] for seed in sorted(set(one) & set(other))]
        return spread_over_seeds(values) if values else _ABSENT

    rows = [
        Row(
            name,
            "floor" if name == FLOOR else "model",
            (
                *(_of(results, place, {name: 1.0}) for place in results.places),
                *(leak(c, name) for c in corpora),
            ),
        )
        for name in [*experiment.variants, *([FLOOR] if results.floors else [])]
    ]
    for pair in experiment.pairs:
        cells = [_of(results, place, _weights(pair)) for place in results.places]
        corrected = [
            replace(cell, p_value=p_values.get((place, pair)))
            for place, cell in zip(results.places, cells, strict=True)
        ]
        figures = (*corrected, *(leak_difference(corpus, pair) for corpus in corpora))
        rows.append(Row(f"{pair[0]} - {pair[1]}", "difference", figures))
    headings = [results.heading(place) for place in results.places]
    headings += ["leakage" if len(corpora) == 1 else f"leakage, {corpus}" for corpus in corpora]
    return Table(
        "EER in %: mean ± standard deviation over seeds [95 % cluster-bootstrap interval]; 50 is chance",
        "variant",
        tuple(headings),
        tuple(rows),
        (*_notes(results, len(p_values)), *few_note(rows)),
    )


def figures_table(results: Results, figure: str) -> Table:
    """Make the table of another figure.

    Args:
        results: What was found.
        figure: Key of `FIGURES`.

    Returns:
        The table.
    """
    title = FIGURES[figure].title
    names = [*results.experiment.variants, *([FLOOR] if results.floors else [])]
    rows = [
        Row(
            name,
            "floor" if name == FLOOR else "model",
            tuple(_of(results, place, {name: 1.0}, figure) for place in results.places),
        )
        for name in names
    ]
    unit: Any = "fine percent" if FIGURES[figure].is_percent else "number"
    return Table(
        f"{title.removesuffix(' %')}{' in %' if unit != 'number' else ''}: mean ± standard deviation over seeds "
        "[95 % interval]",
        "variant",
        tuple(results.heading(place) for place in results.places),
        tuple(rows),
        few_note(rows),
        (unit,) * len(results.places),
    )


def _notes(results: Results, comparisons: int) -> list[str]:
    experiment = results.experiment
    notes = []
    for corpus in experiment.corpora:
        counts = {name: len(results.seeds(corpus, name)) for name in experiment.trained_on(corpus)}
        if set(counts.values()) == {len(experiment.seeds)}:
            continue
        words = ", ".join(
            f"{name} {count}" for name, count in counts.items() if count < len(experiment.seeds)
        )
        notes.append(f"{corpus}: seeds done of {len(experiment.seeds)}: {words}")
    notes.append(f"{len(experiment.seeds)} seeds; differences are paired by seed and by trial")
    for test in experiment.tests:
        first = _any_scores(results, test)
        notes.append(f"{test}: {count_note(first, results.clusters[test])}")
        notes += [f"{test}: {note}" for note in single_notes(results.clusters[test])]
    if comparisons:
        notes.append(f"p: two-sided, corrected by Holm for {comparisons} contrasts")
        if 2 * comparisons / (1 + experiment.draws) > 0.05:
            notes.append(
                f"{experiment.draws} draws are too few for so many contrasts: no p can be below 0.05"
            )
    if results.leakage:
        notes.append(f"leakage: {results.leakage_name} of each run; its interval is over seeds")
    return [*notes, *(f"FAILED {name}: {reason}" for name, reason in results.failed.items())]


def _any_scores(results: Results, test: str) -> Scores:
    variants = next(by_variant for (_, at), by_variant in results.scores.items() if at == test)
    return next(one for seeds in variants.values() for one in seeds.values())


def _weights(pair: tuple[str, str]) -> dict[str, float]:
    return {pair[0]: 1.0, pair[1]: -1.0}


def _of(results: Results, place: Place, weights: Mapping[str, float], figure: str = "eer") -> Interval:
    """One figure, or a difference, at one place."""
    corpus, test = place
    found = results.drawn[figure][test].combine({(corpus, name): w for name, w in weights.items()})
    return found or _ABSENT


def contrast_cell(results: Results, place: Place, pair: tuple[str, str]) -> Interval:
    """Give the difference of two variants' EERs at a place, with its corrected p-value."""
    return replace(_of(results, place, _weights(pair)), p_value=_corrected(results).get((place, pair)))


def _corrected(results: Results) -> dict[tuple[Place, tuple[str, str]], float]:
    """Correct the p-values of all contrasts at all places together."""
    raw = {
        (place, pair): cell.p_value
        for place in results.places
        for pair in results.experiment.pairs
        if (cell := _of(results, place, _weights(pair))).p_value is not None
    }
    return dict(zip(raw, holm([p for p in raw.values() if p is not None]), strict=True))
