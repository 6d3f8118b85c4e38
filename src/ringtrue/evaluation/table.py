"""Scores of several models on the same trials -> The Table: EERs, intervals, and the content-blind floor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ringtrue.errors import ScoresError
from ringtrue.evaluation.intervals import FEW_CLUSTERS, Interval, eer_difference_interval, eer_interval
from ringtrue.evaluation.scores import Names, Scores
from ringtrue.files import stable_int

Mask = NDArray[np.bool_]
Clusters = tuple[str | None, str | None]
FLOOR = "content-blind floor"


@dataclass(frozen=True)
class Evaluation:
    """Scores of several models on the same trials in the same order, and the columns to judge them in.

    Attributes:
        models: Scores by model name; the content-blind floor among them, under the name `FLOOR`.
        columns: For each column of The Table, the trials that it is computed on.
    """

    models: Mapping[str, Scores]
    columns: Mapping[str, Mask]

    def scores(self, model: str, column: str) -> Scores:
        """Give one model's scores for one column's trials."""
        return self.models[model].select(self.columns[column])


def evaluation(models: Mapping[str, Scores], floor: Scores | None = None) -> Evaluation:
    """Line up models' scores, and find out which columns the trials allow.

    Trials of the splits ``test_seen`` and ``test`` make the columns "seen systems" and "unseen systems",
    which share the bona fide trials of ``test``. Without these splits there is one column, "all trials".

    Args:
        models: Scores by model name, in the order of the rows to be.
        floor: Scores of `audit.content_blind_floor` for the same trials.

    Returns:
        The evaluation.

    Raises:
        ScoresError: There is no model, or two models scored different trials or disagree on a label.
    """
    named = {**models, **({FLOOR: floor} if floor is not None else {})}
    if not models:
        raise ScoresError("no scores to make a table of; give at least one model's")
    first = next(iter(named.values()))
    aligned = {name: scores.align(first.trials) for name, scores in named.items()}
    for name, scores in aligned.items():
        if not np.array_equal(scores.labels, first.labels):
            trial = first.trials[scores.labels != first.labels][0]
            raise ScoresError(
                f"the scores of {name!r} label the trial {str(trial)!r} differently from the first's"
            )
    return Evaluation(aligned, _columns(first))


def _columns(scores: Scores) -> dict[str, Mask]:
    split = scores.columns.get("split", np.full(len(scores), ""))
    unseen = split == "test"
    columns = {
        "seen systems": (split == "test_seen") | (unseen & scores.is_bonafide),
        "unseen systems": unseen,
    }
    usable = {
        name: mask
        for name, mask in columns.items()
        if (mask & scores.is_bonafide).any() and (mask & ~scores.is_bonafide).any()
    }
    return usable or {"all trials": np.ones(len(scores), dtype=bool)}


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        name: Model, system or contrast.
        kind: What it is: a model, the floor, a difference of two models, or a generator.
        figures: One for each column, as fractions.
    """

    name: str
    kind: Literal["model", "floor", "difference", "system"]
    figures: tuple[Interval, ...]


@dataclass(frozen=True)
class Table:
    """EERs with intervals, ready to be shown.

    Attributes:
        title: What the figures are.
        corner: Heading of the first column.
        columns: Headings of the others.
        rows: The lines, in order.
        notes: What must be known to read it: counts of trials and clusters, warnings.
    """

    title: str
    corner: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]

    def cells(self) -> list[list[str]]:
        """Give heading and rows as text, the figures in percent."""
        body = [
            [row.name, *(format_percent(figure, row.kind) for figure in row.figures)] for row in self.rows
        ]
        return [[self.corner, *self.columns], *body]

    def to_text(self) -> str:
        """Render for a terminal."""
        cells = self.cells()
        widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells
        ]
        lines.insert(1, "  ".join("-" * width for width in widths))
        return "\n".join([self.title, "", *(line.rstrip() for line in lines), "", *self.notes]) + "\n"

    def to_markdown(self) -> str:
        """Render as a Markdown table with its notes."""
        head, *body = [[_escape_markdown(cell) for cell in row] for row in self.cells()]
        lines = [f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *body]]
        return (
            "\n".join(
                [f"**{self.title}**", "", *lines, "", *(f"- {_escape_markdown(n)}" for n in self.notes)]
            )
            + "\n"
        )

    def to_latex(self) -> str:
        """Render as a LaTeX ``tabular`` with booktabs rules; the notes follow as comments."""
        head, *body = [" & ".join(_escape_latex(cell) for cell in row) + r" \\" for row in self.cells()]
        lines = [rf"\begin{{tabular}}{{l{'l' * len(self.columns)}}}", r"\toprule", head, r"\midrule", *body]
        lines += [r"\bottomrule", r"\end{tabular}", *(f"% {note}" for note in (self.title, *self.notes))]
        return "\n".join(lines) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """Give everything as plain values for JSON, fractions unrounded."""
        return asdict(self)


def the_table(
    evaluation: Evaluation,
    contrast: tuple[str, str] | None = None,
    clusters: Clusters | None = None,
    seed: int = 0,
    draws: int = 1000,
) -> Table:
    """Compute The Table: a row for each model and the floor, and the paired difference of two models.

    Args:
        evaluation: The scores.
        contrast: Two model names: the row "first - second" is added, computed with paired draws.
        clusters: Columns of the scores file that bona fide and spoof trials are clustered by for the
            intervals; None for single trials. Left out, they are ``("speaker", "system")`` as far as the
            scores know them, with a note where they do not. Trials of unknown cluster count as one cluster.
        seed: Seed of the bootstrap; a column's draws are the same for all models.
        draws: How many draws.

    Returns:
        The table.

    Raises:
        ScoresError: A class is missing, a cluster column is missing, or the contrast names no model.
    """
    known = next(iter(evaluation.models.values())).columns
    chosen = clusters or ("speaker" if "speaker" in known else None, "system" if "system" in known else None)
    for name in contrast or ():
        if name not in evaluation.models:
            raise ScoresError(f"no model {name!r} to contrast; there are {', '.join(evaluation.models)}")

    def row(name: str, kind: Literal["model", "floor", "difference"], models: Sequence[str]) -> Row:
        figures = []
        for column in evaluation.columns:
            scores = [evaluation.scores(model, column) for model in models]
            figures.append(_figure(scores, chosen, stable_int(seed, column), draws))
        return Row(name, kind, tuple(figures))

    rows = [row(name, "floor" if name == FLOOR else "model", [name]) for name in evaluation.models]
    if contrast:
        rows.append(row(f"{contrast[0]} - {contrast[1]}", "difference", contrast))
    counts = [
        _count_note(evaluation, column, figure, chosen)
        for column, figure in zip(evaluation.columns, rows[0].figures, strict=True)
    ]
    single = [
        f"{side} trials are resampled singly, as if independent: read their part of the intervals as too narrow"
        for side, name in zip(("bona fide", "spoof"), chosen, strict=True)
        if name is None
    ]
    title = "EER in % with 95 % cluster-bootstrap interval; lower is better, 50 is chance"
    return Table(title, "model", tuple(evaluation.columns), tuple(rows), (*counts, *single, *_few_note(rows)))


def system_table(evaluation: Evaluation, seed: int = 0, draws: int = 1000) -> Table:
    """Break the EERs down: each spoofing system against all bona fide trials of its column.

    Bona fide trials are clustered by speaker; the spoof trials of one system are resampled singly, so the
    interval speaks of this very system.

    Args:
        evaluation: The scores; with a column ``system``.
        seed: Seed of the bootstrap.
        draws: How many draws.

    Returns:
        A table with a row for each system and a column for each model and the floor.

    Raises:
        ScoresError: The scores have no column ``system``.
    """
    rows = []
    speaker = "speaker" if "speaker" in next(iter(evaluation.models.values())).columns else None
    for column in evaluation.columns:
        first = evaluation.scores(next(iter(evaluation.models)), column)
        names = first.column("system")
        for system in sorted(set(names[~first.is_bonafide].tolist())):
            mask = first.is_bonafide | (names == system)
            figures = [
                _figure([evaluation.scores(model, column).select(mask)], (speaker, None), seed, draws)
                for model in evaluation.models
            ]
            side = f" ({column.split()[0]})" if len(evaluation.columns) > 1 else ""
            rows.append(Row((system or "unknown") + side, "system", tuple(figures)))
    title = "EER in % of each system against all bona fide trials, with 95 % interval"
    return Table(title, "system", tuple(evaluation.models), tuple(rows), _few_note(rows))


def _figure(models: Sequence[Scores], clusters: Clusters, seed: int, draws: int) -> Interval:
    """One model's EER, or the difference of two, with its interval."""
    first, rng = models[0], np.random.default_rng(seed)
    names = (
        _cluster_names(first, clusters[0], first.is_bonafide),
        _cluster_names(first, clusters[1], ~first.is_bonafide),
    )
    if len(models) == 1:
        return eer_interval(first.bonafide, first.spoof, *names, rng, draws)
    second = models[1]
    return eer_difference_interval(
        (first.bonafide, second.bonafide), (first.spoof, second.spoof), *names, rng, draws
    )


def _cluster_names(scores: Scores, column: str | None, mask: Mask) -> Names | None:
    """Name the clusters of one side; a speaker and a system of the same name stay two clusters."""
    return None if column is None else np.char.add(f"{column} ", scores.column(column)[mask])


def _count_note(evaluation: Evaluation, column: str, figure: Interval, clusters: Clusters) -> str:
    """Say what a column's figures rest on."""
    is_bonafide = evaluation.scores(next(iter(evaluation.models)), column).is_bonafide
    sides = [
        f"{trials} {label} trials" + (f" of {count} {name}s" if name else "")
        for trials, label, count, name in (
            (int(is_bonafide.sum()), "bona fide", figure.bonafide_clusters, clusters[0]),
            (int((~is_bonafide).sum()), "spoof", figure.spoof_clusters, clusters[1]),
        )
    ]
    return f"{column}: {' and '.join(sides)}"


def _few_note(rows: Sequence[Row]) -> tuple[str, ...]:
    """Warn where an interval has too few clusters to keep its promise."""
    if any(figure.is_descriptive for row in rows for figure in row.figures):
        return (
            f"* fewer than {FEW_CLUSTERS} clusters of a class: the interval is descriptive, and too narrow",
        )
    return ()


def format_percent(figure: Interval, kind: str = "model") -> str:
    """Write a fraction with its interval in percent.

    Args:
        figure: The figure.
        kind: ``"difference"`` gives the estimate a sign.

    Returns:
        Such as ``12.3 [8.1, 17.0]``; a star marks an interval from few clusters.

    >>> format_percent(Interval(0.123, 0.081, 0.17, 0.95, 40, 12))
    '12.3 [8.1, 17.0]'
    """
    sign = "+" if kind == "difference" else ""
    numbers = [f"{100 * value:{sign}.1f}" for value in (figure.estimate, figure.low, figure.high)]
    return f"{numbers[0]} [{numbers[1]}, {numbers[2]}]{'*' if figure.is_descriptive else ''}"


def _escape_markdown(text: str) -> str:
    return "".join(f"\\{letter}" if letter in "\\`*_|<>" else letter for letter in text)


def _escape_latex(text: str) -> str:
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(special.get(letter, f"\\{letter}" if letter in "&%$#_{}" else letter) for letter in text)
