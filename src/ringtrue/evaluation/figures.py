"""Scores of several models -> tables of all their figures, by group, against each other, and over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ringtrue.errors import ScoresError
from ringtrue.evaluation.clustering import (
    Clusters,
    count_note,
    known_clusters,
    resampling_of,
    single_notes,
)
from ringtrue.evaluation.groups import group_intervals
from ringtrue.evaluation.intervals import (
    Interval,
    detectable_difference,
    figure_intervals,
    holm,
    pairwise_differences,
    seed_spread,
)
from ringtrue.evaluation.quantities import FIGURES, Figure, weighted_cost_of_draws
from ringtrue.evaluation.scores import Scores
from ringtrue.evaluation.table import Evaluation, Row, Table, Unit, few_note
from ringtrue.evaluation.tandem import (
    ASVSPOOF2019_COSTS,
    VerifierRates,
    min_tdcf_2019,
    min_tdcf_2021,
    tandem_weights,
)
from ringtrue.files import stable_int

_COSTS_NOTE = (
    "minDCF and actDCF: spoof prior 0.05, costs 1 and 10 (ASVspoof 5); Cllr in bits; actDCF, Cllr want LLRs"
)


def tandem_figures(verifier: VerifierRates) -> dict[str, Figure]:
    """Make the two forms of the t-DCF figures, for one speaker verifier.

    Args:
        verifier: Its error rates.

    Returns:
        The figures ``min_tdcf_2019`` and ``min_tdcf_2021``.
    """
    costs = ASVSPOOF2019_COSTS
    base, reject, accept = tandem_weights(verifier, costs)
    legacy = costs.target_prior * costs.miss * (1 - verifier.miss) - (
        costs.nontarget_prior * costs.accept_nontarget * verifier.accept_nontarget
    )
    whole, least = base + min(reject, accept), min(legacy, accept)
    return {
        "min_tdcf_2019": Figure(
            "t-DCF 2019",
            False,
            False,
            lambda bonafide, spoof: min_tdcf_2019(bonafide, spoof, verifier, costs),
            weighted_cost_of_draws(legacy / least, accept / least),
        ),
        "min_tdcf_2021": Figure(
            "t-DCF 2021",
            False,
            False,
            lambda bonafide, spoof: min_tdcf_2021(bonafide, spoof, verifier, costs),
            weighted_cost_of_draws(reject / whole, accept / whole, base / whole),
        ),
    }


def figure_table(
    evaluation: Evaluation,
    figures: Mapping[str, Figure] = FIGURES,
    clusters: Clusters | None = None,
    seed: int = 0,
    draws: int = 1000,
) -> Table:
    """Compute every figure of every model, a row a model (and test condition, where there are two).

    Args:
        evaluation: The scores.
        figures: Which figures.
        clusters: By what to resample; left out, by speaker and system as far as they are known.
        seed: Seed of the bootstrap; all models have the same draws.
        draws: How many draws.

    Returns:
        The table.

    Raises:
        ScoresError: A class is missing, or a cluster column.
    """
    chosen = clusters or known_clusters(_first(evaluation))
    rows = []
    for column in evaluation.columns:
        for model in evaluation.models:
            scores = evaluation.scores(model, column)
            rng = np.random.default_rng(stable_int(seed, column))
            values = figure_intervals(
                list(figures.values()),
                scores.bonafide,
                scores.spoof,
                resampling_of(scores, chosen),
                rng,
                draws,
            )
            name = model if len(evaluation.columns) == 1 else f"{model}, {column}"
            rows.append(Row(name, "model", tuple(values)))
    return Table(
        "Figures with 95 % bootstrap intervals; for AUC higher is better, for all others lower",
        "model",
        tuple(figure.title for figure in figures.values()),
        tuple(rows),
        (*_count_notes(evaluation, chosen), *single_notes(chosen), *few_note(rows), _COSTS_NOTE),
        tuple(_unit(figure) for figure in figures.values()),
    )


def group_table(
    evaluation: Evaluation,
    by: str,
    figure: Figure = FIGURES["eer"],
    clusters: Clusters | None = None,
    seed: int = 0,
    draws: int = 1000,
) -> Table:
    """Break one figure down by a column of the scores: each group, then pooled, macro and worst.

    Args:
        evaluation: The scores; all trials are used, whatever their split.
        by: A column such as ``system``, ``codec`` or ``language``.
        figure: Which figure.
        clusters: By what to resample, never by `by`; left out, by speaker where known.
        seed: Seed of the bootstrap.
        draws: How many draws.

    Returns:
        A table with a row a group and a column a model.

    Raises:
        ScoresError: There is no such column, or no group has both classes.
    """
    first = _first(evaluation)
    chosen = clusters or known_clusters(first)
    chosen = (tuple(c for c in chosen[0] if c != by), tuple(c for c in chosen[1] if c != by))
    columns = [
        group_intervals(
            scores,
            by,
            figure,
            resampling_of(scores, chosen),
            np.random.default_rng(stable_int(seed, by)),
            draws,
        )
        for scores in evaluation.models.values()
    ]
    summaries = ("pooled", "macro", "worst")
    rows = [
        Row(name, "summary" if name in summaries else "system", tuple(column[name] for column in columns))
        for name in columns[0]
    ]
    return Table(
        f"{figure.title.removesuffix(' %')} by {by}{' in %' if figure.is_percent else ''}, with 95 % intervals",
        by,
        tuple(evaluation.models),
        tuple(rows),
        (
            count_note(first, chosen),
            "pooled: all trials under one threshold; macro: mean of the groups; worst: the worst, whichever it is",
            *few_note(rows),
        ),
        (_unit(figure),) * len(evaluation.models),
    )


def comparison_table(
    evaluation: Evaluation,
    figures: Sequence[str] = ("eer",),
    clusters: Clusters | None = None,
    seed: int = 0,
    draws: int = 2000,
) -> Table:
    """Compare every two models on the same trials, with the same draws, and correct for their number.

    Args:
        evaluation: The scores of two models at least.
        figures: Keys of `FIGURES`; all comparisons of the table are one family for Holm's correction.
        clusters: By what to resample; left out, by speaker and system as far as they are known.
        seed: Seed of the bootstrap.
        draws: How many draws; they bound the least p-value there can be.

    Returns:
        A row for each pair, first minus second, with corrected p-values.

    Raises:
        ScoresError: There are fewer than two models, an unknown figure, or a cluster column is missing.
    """
    names = list(evaluation.models)
    if len(names) < 2:
        raise ScoresError("one scores file cannot be compared; give two or more")
    if unknown := [name for name in figures if name not in FIGURES]:
        raise ScoresError(f"no figure {unknown[0]!r} to compare; there are {', '.join(FIGURES)}")
    chosen = clusters or known_clusters(_first(evaluation))
    cells: dict[tuple[int, int, str, str], Interval] = {}
    for column in evaluation.columns:
        models = [(one.bonafide, one.spoof) for one in (evaluation.scores(name, column) for name in names)]
        resampling = resampling_of(evaluation.scores(names[0], column), chosen)
        for figure in figures:
            rng = np.random.default_rng(stable_int(seed, column))
            pairs = pairwise_differences(FIGURES[figure], models, resampling, rng, draws)
            cells |= {(*pair, column, figure): interval for pair, interval in pairs.items()}
    corrected = holm([interval.p_value or 0.0 for interval in cells.values()])
    cells = {key: replace(cell, p_value=p) for (key, cell), p in zip(cells.items(), corrected, strict=True)}
    places = [(column, figure) for column in evaluation.columns for figure in figures]
    rows = [
        Row(
            f"{names[a]} - {names[b]}",
            "difference",
            tuple(cells[a, b, column, figure] for column, figure in places),
        )
        for a in range(len(names))
        for b in range(a + 1, len(names))
    ]
    headings = tuple(
        FIGURES[figure].title + (f", {column}" if len(evaluation.columns) > 1 else "")
        for column, figure in places
    )
    least = detectable_difference(rows[0].figures[0])
    unit = " points" if FIGURES[figures[0]].is_percent else ""
    return Table(
        "Differences of models on the same trials, with 95 % paired bootstrap intervals and p-values",
        "models",
        headings,
        tuple(rows),
        (
            *_count_notes(evaluation, chosen),
            *single_notes(chosen),
            f"p: two-sided, corrected by Holm for {len(cells)} comparisons; below 0.05 it is more than chance",
            f"such trials would show a true difference of {100 * least if unit else least:.2g}{unit} in "
            f"{headings[0].removesuffix(' %')} four times out of five, and smaller ones less often",
            *few_note(rows),
        ),
        tuple(_unit(FIGURES[figure]) for _, figure in places),
    )


def with_seeds(table: Table) -> Table:
    """Add the mean over rows that are training runs of one model with different seeds.

    Args:
        table: Of `figure_table`, a row for each run.

    Returns:
        The table with a row more: the mean with the least and the greatest run, and the deviation in a note.

    Raises:
        ScoresError: There are fewer than two runs.
    """
    spreads = [
        seed_spread([row.figures[place].estimate for row in table.rows])
        for place in range(len(table.columns))
    ]
    runs = len(table.rows)
    mean = tuple(
        Interval(spread.mean, spread.lowest, spread.highest, 1.0, *_clusters_of(table, place))
        for place, spread in enumerate(spreads)
    )
    deviations = []
    for title, spread, unit in zip(table.columns, spreads, table.units, strict=True):
        scale, digits = (100, 2) if unit == "fine percent" else (1, 4)
        deviations.append(f"{title} {scale * spread.deviation:.{digits}f}")
    name = f"mean of {runs} seeds [lowest, highest]"
    notes = (f"standard deviation of one run over {runs} seeds: {', '.join(deviations)}",)
    return replace(table, rows=(*table.rows, Row(name, "summary", mean)), notes=(*table.notes, *notes))


def _clusters_of(table: Table, place: int) -> tuple[int, int]:
    figure = table.rows[0].figures[place]
    return figure.bonafide_clusters, figure.spoof_clusters


def _first(evaluation: Evaluation) -> Scores:
    return next(iter(evaluation.models.values()))


def _count_notes(evaluation: Evaluation, clusters: Clusters) -> list[str]:
    first = next(iter(evaluation.models))
    return [
        f"{column}: {count_note(evaluation.scores(first, column), clusters)}" for column in evaluation.columns
    ]


def _unit(figure: Figure) -> Unit:
    return "fine percent" if figure.is_percent else "number"
