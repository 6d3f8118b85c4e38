"""An evaluation -> one HTML page that explains itself, needs no network, and reads in light and dark."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from ringtrue.evaluation.plots import bar_plot, det_plot, det_ticks, legend
from ringtrue.evaluation.table import FLOOR, Evaluation, Table
from ringtrue.files import write_text


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
    page = resources.files("ringtrue.evaluation").joinpath("report.html").read_text(encoding="utf-8")
    return Template(page).substitute(
        title=escape(title),
        table=_table_html(table),
        legend=legend(list(evaluation.models)),
        det=_det_html(evaluation),
        systems=_systems_html(systems) if systems and systems.rows else "",
        floor_words=_FLOOR_WORDS if FLOOR in evaluation.models else "",
        made=_made_html(evaluation, provenance or {}),
    )


def _table_html(table: Table) -> str:
    """A table with a caption, scoped headings and its notes."""
    head, *body = table.cells()
    heading = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    lines = [
        f'<tr class="{row.kind}"><th scope="row">{escape(cells[0])}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in cells[1:])
        + "</tr>"
        for row, cells in zip(table.rows, body, strict=True)
    ]
    notes = "".join(f"<li>{escape(note)}</li>" for note in table.notes)
    return (
        f'<div class="scroll"><table><caption>{escape(table.title)}</caption>'
        f"<thead><tr>{heading}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
        + (f'<ul class="notes">{notes}</ul>' if notes else "")
    )


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


def _systems_html(systems: Table) -> str:
    return (
        f"<h2>System by system</h2>{legend(systems.columns)}<figure>{bar_plot(systems)}</figure>"
        f"<details><summary>The same as a table</summary>{_table_html(systems)}</details>"
    )


def _made_html(evaluation: Evaluation, provenance: Mapping[str, Any]) -> str:
    """Everything that is needed to make the figures again."""
    sections = {"this report": provenance, **{name: s.metadata for name, s in evaluation.models.items()}}
    parts = []
    for name, values in sections.items():
        if not values:
            continue
        items = "".join(
            f"<dt>{escape(str(key))}</dt><dd>{escape(_plain(value))}</dd>" for key, value in values.items()
        )
        parts.append(f"<h3>{escape(name)}</h3><dl>{items}</dl>")
    return "".join(parts) or "<p>The scores files do not say how they were made.</p>"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


_FLOOR_WORDS = """
<p>The <strong>content-blind floor</strong> is a plain classifier that sees level, silence, band energies,
bandwidth and duration, and hears no speech. It was trained on the same training clips. Where a model does not
beat it clearly, its figure may say more about how the recordings were made than about detecting machine-made
speech.</p>
"""
