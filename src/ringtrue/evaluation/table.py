"""Scores of several models on the same trials -> The Table: EERs, intervals, and the content-blind floor."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ringtrue.errors import ScoresError
from ringtrue.evaluation.clustering import (
    Clusters,
    count_note,
    known_clusters,
    resampling_of,
    single_notes,
)
from ringtrue.evaluation.intervals import (
    FEW_CLUSTERS,
    Interval,
    figure_intervals,
    pairwise_differences,
)
from ringtrue.evaluation.names import Names
from ringtrue.evaluation.quantities import FIGURES
from ringtrue.evaluation.scores import Scores
from ringtrue.files import stable_int

Mask = NDArray[np.bool_]
Unit = Literal["percent", "fine percent", "number"]
Kind = Literal["model", "floor", "difference", "system", "summary"]
FLOOR = "content-blind floor"
_TERMINAL = 100  # letters across; a wider table is turned


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
        if np.any(different := scores.is_bonafide != first.is_bonafide):
            trial = first.trials[int(np.argmax(different))]
            raise ScoresError(
                f"the scores of {name!r} label the trial {trial!r} differently from the first's"
            )
    return Evaluation(aligned, _columns(first))


def _columns(scores: Scores) -> dict[str, Mask]:
    split = scores.columns.get("split", Names.repeat("", len(scores)))
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
        kind: What it is: a model, the floor, a difference of two models, a generator (or another group of
            trials), or a summary of several lines.
        figures: One for each column, as fractions.
    """

    name: str
    kind: Kind
    figures: tuple[Interval, ...]


@dataclass(frozen=True)
class Table:
    """Figures with intervals, ready to be shown.

    Attributes:
        title: What the figures are.
        corner: Heading of the first column.
        columns: Headings of the others.
        rows: The lines, in order.
        notes: What must be known to read it: counts of trials and clusters, warnings.
        units: How the figures of each column are written; left out, all are in percent.
    """

    title: str
    corner: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    units: tuple[Unit, ...] = ()

    def cells(self) -> list[list[str]]:
        """Give heading and rows as text."""
        units: Sequence[Unit] = self.units or ["percent"] * len(self.columns)
        body = [
            [
                row.name,
                *(format_figure(f, row.kind, unit) for f, unit in zip(row.figures, units, strict=True)),
            ]
            for row in self.rows
        ]
        return [[self.corner, *self.columns], *body]

    def to_text(self) -> str:
        """Render for a terminal; a table too wide for it is turned, a line for each column."""
        cells = self.cells()
        if sum(2 + max(map(len, column)) for column in zip(*cells, strict=True)) > _TERMINAL:
            cells = [list(line) for line in zip(*cells, strict=True)]
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

    def to_csv(self) -> str:
        """Render as CSV: a line for each figure, unrounded; rates are fractions."""
        text = io.StringIO()
        lines = csv.writer(text, lineterminator="\n")
        lines.writerow([self.corner, "figure", "estimate", "low", "high", "level", "p_value"])
        for row in self.rows:
            for column, figure in zip(self.columns, row.figures, strict=True):
                ends = (figure.estimate, figure.low, figure.high, figure.level, figure.p_value)
                lines.writerow([row.name, column.removesuffix(" %"), *ends])
        return text.getvalue()

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
            intervals, see `clustering.Clusters`. Left out, they are speaker and system, both ways at once, as
            far as the scores know them, with a note where they do not.
        seed: Seed of the bootstrap; a column's draws are the same for all models.
        draws: How many draws.

    Returns:
        The table.

    Raises:
        ScoresError: A class is missing, a cluster column is missing, or the contrast names no model.
    """
    chosen = clusters or known_clusters(next(iter(evaluation.models.values())))
    for name in contrast or ():
        if name not in evaluation.models:
            raise ScoresError(f"no model {name!r} to contrast; there are {', '.join(evaluation.models)}")

    def row(name: str, kind: Kind, models: Sequence[str]) -> Row:
        figures = []
        for column in evaluation.columns:
            scores = [evaluation.scores(model, column) for model in models]
            figures.append(_figure(scores, chosen, stable_int(seed, column), draws))
        return Row(name, kind, tuple(figures))

    rows = [row(name, "floor" if name == FLOOR else "model", [name]) for name in evaluation.models]
    if contrast:
        rows.append(row(f"{contrast[0]} - {contrast[1]}", "difference", contrast))
    first = next(iter(evaluation.models))
    counts = [
        f"{column}: {count_note(evaluation.scores(first, column), chosen)}" for column in evaluation.columns
    ]
    title = "EER in % with 95 % cluster-bootstrap interval; lower is better, 50 is chance"
    return Table(
        title,
        "model",
        tuple(evaluation.columns),
        tuple(rows),
        (*counts, *single_notes(chosen), *few_note(rows)),
    )


def system_table(evaluation: Evaluation, seed: int = 0, draws: int = 1000) -> Table:
    """Break the EERs down: each spoofing system against all bona fide trials of its column.

    Trials are clustered by speaker where speakers are known, and not by system: the interval speaks of this
    very system.

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
    for column in evaluation.columns:
        first = evaluation.scores(next(iter(evaluation.models)), column)
        names = first.column("system")
        for system in names[~first.is_bonafide].distinct():
            mask = first.is_bonafide | (names == system)
            kept = [evaluation.scores(model, column).select(mask) for model in evaluation.models]
            figures = [_figure([one], known_clusters(one, ("speaker",)), seed, draws) for one in kept]
            side = f" ({column.split()[0]})" if len(evaluation.columns) > 1 else ""
            rows.append(Row((system or "unknown") + side, "system", tuple(figures)))
    title = "EER in % of each system against all bona fide trials, with 95 % interval"
    return Table(title, "system", tuple(evaluation.models), tuple(rows), few_note(rows))


def _figure(models: Sequence[Scores], clusters: Clusters, seed: int, draws: int) -> Interval:
    """One model's EER, or the difference of two, with its interval."""
    resampling, rng = resampling_of(models[0], clusters), np.random.default_rng(seed)
    sides = [(one.bonafide, one.spoof) for one in models]
    if len(models) == 1:
        return figure_intervals([FIGURES["eer"]], *sides[0], resampling, rng, draws)[0]
    return pairwise_differences(FIGURES["eer"], sides, resampling, rng, draws)[0, 1]


def few_note(rows: Sequence[Row]) -> tuple[str, ...]:
    """Warn where an interval has too few clusters to keep its promise.

    Args:
        rows: The lines of a table.

    Returns:
        One line or none.
    """
    if any(figure.is_descriptive for row in rows for figure in row.figures):
        return (
            f"* fewer than {FEW_CLUSTERS} clusters of a class: the interval is descriptive, and too narrow",
        )
    return ()


def format_figure(figure: Interval, kind: Kind = "model", unit: Unit = "percent") -> str:
    """Write a figure with its interval.

    Args:
        figure: The figure.
        kind: ``"difference"`` gives the estimate a sign, and its p-value where it has one.
        unit: How numbers are written.

    Returns:
        Such as ``12.3 [8.1, 17.0]``; a star marks an interval from few clusters.

    >>> format_figure(Interval(0.123, 0.081, 0.17, 0.95, 40, 12))
    '12.3 [8.1, 17.0]'
    >>> format_figure(Interval(-0.0123, -0.02, -0.001, 0.95, 40, 12, 0.032), "difference", "fine percent")
    '-1.23 [-2.00, -0.10] p 0.032'
    """
    sign = "+" if kind == "difference" else ""
    scale, digits = {"percent": (100, 1), "fine percent": (100, 2), "number": (1, 4)}[unit]
    low, high = figure.low, figure.high
    numbers = [f"{scale * value:{sign}.{digits}f}" for value in (figure.estimate, low, high)]
    p_value = "" if figure.p_value is None else f" p {figure.p_value:.3f}"
    return f"{numbers[0]} [{numbers[1]}, {numbers[2]}]{'*' if figure.is_descriptive else ''}{p_value}"


def _escape_markdown(text: str) -> str:
    return "".join(f"\\{letter}" if letter in "\\`*_|<>" else letter for letter in text)


_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
}


def _escape_latex(text: str) -> str:
    """Make text of any kind a cell: nothing in it is a command, and a minus is one."""
    cell = re.sub(r"(?<![\w.-])-(?=\d)", "$-$", "".join(_LATEX.get(letter, letter) for letter in text))
    # After the line break of the row above, a bracket or a star would be read as its argument.
    return "{}" + cell if cell.startswith(("[", "*")) else cell
