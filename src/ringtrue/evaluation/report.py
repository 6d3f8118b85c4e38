"""An evaluation -> one HTML page that explains itself, needs no network, and reads in light and dark."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from ringtrue.evaluation.histograms import histogram_plot, reliability_plot
from ringtrue.evaluation.plots import bar_plot, det_plot, det_ticks, legend
from ringtrue.evaluation.table import FLOOR, Evaluation, Table
from ringtrue.files import write_text

_WIDE = 5  # columns: from here on figure and interval stand one below the other
_TURNED = 7  # columns: more than a page holds; a line for each then, if there are fewer rows


def write_report(
    path: str | Path,
    evaluation: Evaluation,
    table: Table,
    systems: Table | None = None,
    provenance: Mapping[str, Any] | None = None,
    title: str = "Speech spoofing detection: The Table",
) -> None:
    """Write the report, atomically.

    Args:
        path: The HTML file to write.
        evaluation: The scores behind the figures, for the DET curves and for how each was made.
        table: The Table, of `the_table`.
        systems: The breakdown, of `system_table`; left out where there is none.
        provenance: How the run was made: command, versions, hashes. What the scores files say of
            themselves is added for each model.
        title: Heading of the page.
    """
    write_text(path, render_report(evaluation, table, systems, provenance, title))


def render_report(
    evaluation: Evaluation,
    table: Table,
    systems: Table | None = None,
    provenance: Mapping[str, Any] | None = None,
    title: str = "Speech spoofing detection: The Table",
) -> str:
    """Render the report; see `write_report` for the arguments.

    Returns:
        A whole HTML document. All text from outside is escaped, nothing refers to another file.
    """
    bars = _bars_html("System by system", systems) if systems and systems.rows else ""
    return _page(evaluation, table, bars, "", provenance or {}, title)


def render_judgement(
    evaluation: Evaluation,
    tables: Sequence[Table],
    provenance: Mapping[str, Any],
    title: str = "Speech spoofing detection: an evaluation",
) -> str:
    """Render what `ringtrue evaluate` or `compare` found.

    Args:
        evaluation: The scores.
        tables: The figures, then any breakdowns.
        provenance: Command, versions, hashes.
        title: Heading of the page.

    Returns:
        A whole HTML document, as `render_report`.
    """
    bars = "".join(_bars_html(f"By {table.corner}", table) for table in tables[1:])
    return _page(evaluation, tables[0], bars, _scores_html(evaluation), provenance, title)


def _page(
    evaluation: Evaluation, table: Table, bars: str, spread: str, provenance: Mapping[str, Any], title: str
) -> str:
    page = resources.files("ringtrue.evaluation").joinpath("report.html").read_text(encoding="utf-8")
    return Template(page).substitute(
        title=escape(title),
        table=_table_html(table),
        legend=legend(list(evaluation.models)),
        det=_det_html(evaluation),
        systems=bars,
        spread=spread,
        floor_words=_FLOOR_WORDS if FLOOR in evaluation.models else "",
        figure_words=_FIGURE_WORDS if table.units else "",
        made=_made_html(evaluation, provenance),
    )


def _table_html(table: Table) -> str:
    """A table with a caption, scoped headings and its notes."""
    cells, kinds = table.cells(), [str(row.kind) for row in table.rows]
    if len(table.columns) >= _TURNED and len(table.rows) < len(table.columns):
        cells, kinds = [list(line) for line in zip(*cells, strict=True)], ["figure"] * len(table.columns)
    is_wide = len(cells[0]) > _WIDE
    head, *body = cells
    heading = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    lines = [
        f'<tr class="{kind}"><th scope="row">{escape(name)}</th>'
        + "".join(f"<td>{_cell_html(cell, is_wide)}</td>" for cell in figures)
        + "</tr>"
        for kind, (name, *figures) in zip(kinds, body, strict=True)
    ]
    notes = "".join(f"<li>{escape(note)}</li>" for note in table.notes)
    return (
        f'<div class="scroll"><table><caption>{escape(table.title)}</caption>'
        f"<thead><tr>{heading}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
        + (f'<ul class="notes">{notes}</ul>' if notes else "")
    )


def _cell_html(cell: str, is_wide: bool) -> str:
    """A figure; in a wide table its interval stands below it."""
    figure, bracket, interval = cell.partition(" [")
    if not is_wide or not bracket:
        return escape(cell)
    return f"{escape(figure)}<br><small>[{escape(interval)}</small>"


def _det_html(evaluation: Evaluation) -> str:
    """One DET plot for each column, all models in each."""
    columns = {
        column: {model: evaluation.scores(model, column) for model in evaluation.models}
        for column in evaluation.columns
    }
    ticks = det_ticks([scores for curves in columns.values() for scores in curves.values()])
    return "".join(
        f"<figure><figcaption>{escape(column)}</figcaption>{det_plot(curves, column, ticks)}</figure>"
        for column, curves in columns.items()
    )


def _bars_html(heading: str, table: Table) -> str:
    return (
        f"<h2>{escape(heading)}</h2>{legend(table.columns)}<figure>{bar_plot(table)}</figure>"
        f"<details><summary>The same as a table</summary>{_table_html(table)}</details>"
    )


def _scores_html(evaluation: Evaluation) -> str:
    """Histograms of every model, and all of them in one reliability diagram."""
    histograms = "".join(
        f"<figure><figcaption>{escape(name)}</figcaption>{histogram_plot(scores, name)}</figure>"
        for name, scores in evaluation.models.items()
    )
    return (
        f'<h2>How the scores are spread</h2><p>{_SPREAD_WORDS}</p><div class="plots">{histograms}</div>'
        f"<h2>Do the scores mean what they say?</h2><p>{_RELIABILITY_WORDS}</p>{legend(list(evaluation.models))}"
        f"<figure>{reliability_plot(evaluation.models, 'all trials')}</figure>"
    )


def _made_html(evaluation: Evaluation, provenance: Mapping[str, Any]) -> str:
    """Everything that is needed to make the figures again."""
    sections = {"this report": provenance, **{name: s.metadata for name, s in evaluation.models.items()}}
    parts = []
    for name, values in sections.items():
        if not values:
            continue
        items = "".join(
            f"<dt>{escape(str(key))}</dt><dd>{_value_html(value)}</dd>" for key, value in values.items()
        )
        parts.append(f"<h3>{escape(name)}</h3><dl>{items}</dl>")
    return "".join(parts) or "<p>The scores files do not say how they were made.</p>"


def _value_html(value: Any) -> str:
    """A value of any kind as text; a table of names and values, or a list, a line each."""
    if isinstance(value, Mapping) and value:
        return "<br>".join(f"{escape(str(name))}: {_value_html(item)}" for name, item in value.items())
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return "<br>".join(escape(item) for item in value)
    return escape(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))


_FLOOR_WORDS = """
<p>The <strong>content-blind floor</strong> is a plain classifier that sees level, silence, band energies,
bandwidth and duration, and hears no speech. It was trained on the same training clips. Where a model does not
beat it clearly, its figure may say more about how the recordings were made than about detecting machine-made
speech.</p>
"""

_FIGURE_WORDS = """
<p><strong>AUC</strong>: how often a human clip outscores a machine-made one. <strong>minDCF</strong>: what the best
threshold costs where one clip in twenty is a spoof and accepting it costs ten times as much as turning a human
away; 1 is the best blind decision. <strong>actDCF</strong>: the same at the threshold that theory prescribes for
log-likelihood ratios, so that it also punishes wrong calibration. <strong>Cllr</strong>: the information the scores
lose, in bits, as log-likelihood ratios; 1 is what saying nothing costs. <strong>minCllr</strong>: what is left of it
after perfect calibration.</p>
"""
_SPREAD_WORDS = (
    "Shares of each class; the outermost bars hold what lies beyond them. The dotted line is the EER threshold. A "
    "second hump or a spike often is a group of clips of its own: a codec, a system, silence."
)
_RELIABILITY_WORDS = (
    "Each dot is a tenth of the trials, both classes weighted alike. On the dotted line scores can be taken at "
    "their word as log-likelihood ratios. A flat line is overconfident, a steep one says too little, and one to "
    "either side leans to one class. Raw logits and probabilities commonly do; <code>ringtrue calibrate</code> "
    "mends it."
)
