"""Results -> tables for a terminal, Markdown, LaTeX, CSV and one HTML page, and the verdict on every hypothesis."""

from __future__ import annotations

import csv
import io
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from ringtrue import __version__
from ringtrue.evaluation.intervals import Interval
from ringtrue.evaluation.report import render_page, table_html
from ringtrue.evaluation.scores import Scores
from ringtrue.evaluation.table import FLOOR, Table
from ringtrue.experiment.pictures import scatter, sweep
from ringtrue.experiment.plan import Run
from ringtrue.experiment.results import Place, Results, contrast_cell, figures_table, main_table
from ringtrue.experiment.verdicts import Verdict, judge
from ringtrue.files import stable_int, write_text

_WHAT = ("experiment", "corpus", "test", "variant", "seeds", "bonafide_trials", "spoof_trials")
_DIFFERENCE = ("eer_minus_baseline", "difference_low", "difference_high", "difference_p_holm")


def write_results(results: Results, runs: Sequence[Run], expected: str, folder: Path) -> str:
    """Write everything that was found.

    Args:
        results: What was found.
        runs: The runs, for lambdas and configurations.
        expected: Hash of the hypotheses as they were written down before the first run.
        folder: Where to: ``NAME.md``, ``NAME.tex``, ``NAME.csv`` and ``NAME.html``.

    Returns:
        The Table and the verdicts as text for a terminal.
    """
    name = results.experiment.name
    table, verdicts = main_table(results), judge(results)
    others = [figures_table(results, figure) for figure in results.experiment.figures if figure != "eer"]
    made = {
        "command": shlex.join(["ringtrue", *sys.argv[1:]]),
        "commit": commit(),
        "ringtrue": __version__,
        "hypotheses": f"sha256 {expected}",
        "bootstrap": f"{results.experiment.draws} draws",
    }
    footer = "".join(f"- {key}: {value}\n" for key, value in made.items())
    tables = "\n".join(one.to_markdown() for one in (table, *others))
    write_text(folder / f"{name}.md", f"# {name}\n\n{tables}\n{_verdicts_markdown(verdicts)}\n{footer}")
    comments = "".join(f"% {key}: {value}\n" for key, value in made.items())
    write_text(folder / f"{name}.tex", comments + "\n".join(one.to_latex() for one in (table, *others)))
    write_text(folder / f"{name}.csv", _csv(results, made))
    write_text(folder / f"{name}.html", _page(results, runs, table, others, verdicts, made))
    return table.to_text() + "\n" + "\n".join(_verdict_lines(verdicts)) + ("\n" if verdicts else "")


def commit() -> str:
    """Name the commit of the code that runs, and whether it was changed since; empty outside of a checkout."""
    here = Path(__file__).parent
    try:
        head, status = (
            subprocess.run(
                ["git", *words], cwd=here, capture_output=True, text=True, check=True, timeout=30
            ).stdout
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return head.strip() + (" with changes" if status.strip() else "")


def _verdict_lines(verdicts: Sequence[Verdict]) -> Iterator[str]:
    for one in verdicts:
        yield f"{one.name} {one.word.upper()}: {one.text}"
        yield from (f"    {reason}" for reason in one.reasons)


def _verdicts_markdown(verdicts: Sequence[Verdict]) -> str:
    lines = []
    for one in verdicts:
        lines.append(f"- **{one.name}: {one.word}.** {one.text}")
        lines += [f"  - {reason}" for reason in one.reasons]
    return "\n".join(["**Hypotheses, written down before the first run**", "", *lines, ""]) if lines else ""


def _csv(results: Results, made: Mapping[str, str]) -> str:
    """A line for each variant and test set, the floor among the variants; rates are fractions, unrounded."""
    experiment = results.experiment
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    numbers = [
        f"{figure}{end}" for figure in experiment.figures for end in ("", "_low", "_high", "_seed_deviation")
    ]
    leakages = sorted({name for seeds in results.metrics.values() for one in seeds.values() for name in one})
    lines.writerow([*_WHAT, *numbers, *_DIFFERENCE, *leakages, *made])
    for place in results.places:
        corpus, test = place
        counts = next(one for seeds in results.scores[place].values() for one in seeds.values())
        for variant in [*experiment.variants, *([FLOOR] if place in results.floors else [])]:
            seeds = results.seeds(corpus, variant)
            figures = [
                results.drawn[figure][test].combine({(corpus, variant): 1.0}) for figure in experiment.figures
            ]
            pair = (variant, experiment.baseline)
            difference = (
                contrast_cell(results, place, pair) if variant not in (FLOOR, experiment.baseline) else None
            )
            of_seeds = list(results.metrics.get((corpus, variant), {}).values())
            means = [
                float(np.mean([one[name] for one in of_seeds if name in one])) if of_seeds else None
                for name in leakages
            ]
            lines.writerow(
                [experiment.name, corpus, test, variant, " ".join(map(str, seeds))]
                + [counts.bonafide.size, counts.spoof.size]
                + [value for figure in figures for value in _numbers(figure)]
                + ([*_numbers(difference)[:3], difference.p_value] if difference else [None] * 4)
                + [*means, *made.values()]
            )
    return text.getvalue()


def _numbers(interval: Interval | None) -> list[float | None]:
    if interval is None:
        return [None] * 4
    values = (interval.estimate, interval.low, interval.high, interval.deviation)
    return [None if value is None or np.isnan(value) else value for value in values]


def _page(
    results: Results,
    runs: Sequence[Run],
    table: Table,
    others: Sequence[Table],
    verdicts: Sequence[Verdict],
    made: Mapping[str, str],
) -> str:
    experiment = results.experiment
    items = "".join(
        f"<dt>{escape(one.name)}: {one.word}</dt><dd>{escape(one.text)}<br>"
        f"{'<br>'.join(escape(reason) for reason in one.reasons)}</dd>"
        for one in verdicts
    )
    expected = f"<h2>What was expected, and what came</h2><p>{_EXPECTED}</p><dl>{items}</dl>" if items else ""
    pictures = "".join(_pictures(results, runs, place) for place in results.places)
    tables = "".join(table_html(one) for one in others)
    sections: dict[str, Mapping[str, Any]] = {"this experiment": made}
    for place in results.places:
        for variant, seeds in results.scores[place].items():
            first = next(iter(seeds.values()))
            kept = {key: value for key, value in first.metadata.items() if key != "command"}
            sections[f"{variant}, {results.heading(place)}, the first of its seeds"] = kept
    return render_page(
        table,
        {results.heading(place): _typical(results, place) for place in results.places},
        expected + pictures,
        f"<h2>Other figures</h2>{tables}" if tables else "",
        sections,
        f"Experiment {experiment.name}",
    )


def _typical(results: Results, place: Place) -> dict[str, Scores]:
    """For each variant the run whose EER is in the middle; curves are not averaged."""
    chosen = {}
    for variant, seeds in results.scores[place].items():
        values = results.drawn["eer"][place[1]].values[place[0], variant]
        middle = sorted(seeds, key=lambda seed: values[seed])[(len(seeds) - 1) // 2]
        chosen[variant] = seeds[middle]
    return chosen | ({FLOOR: results.floors[place]} if place in results.floors else {})


def _pictures(results: Results, runs: Sequence[Run], place: Place) -> str:
    """Draw lambda against EER where there is a sweep, and leakage against EER where it is known."""
    corpus, test = place
    values = results.drawn["eer"][test].values
    heading = escape(results.heading(place))
    parts = ""
    if series := _sweeps(results, runs, place):
        parts += f"<h3>Lambda, {heading}</h3><p>{_SWEEP}</p>" + sweep(
            series, "EER (%)", f"EER against lambda, {test}"
        )
    points = {
        variant: [
            (leak, values[corpus, variant][seed])
            for seed, leak in results.leakage.get((corpus, variant), {}).items()
            if seed in values[corpus, variant]
        ]
        for variant in results.scores[place]
    }
    if any(points.values()):
        title = results.leakage_name.removeprefix("dev_").replace("_", " ") + " (%)"
        parts += f"<h3>Leakage, {heading}</h3><p>{_LEAKAGE}</p>"
        parts += scatter(points, title, "EER (%)", f"EER against content leakage, {test}")
    return parts


def _sweeps(results: Results, runs: Sequence[Run], place: Place) -> dict[str, dict[float, list[float]]]:
    """Find variants that differ by their lambda only: three at least make a sweep."""
    corpus, test = place
    values = results.drawn["eer"][test].values
    families: dict[int, dict[str, float]] = {}
    for run in runs:
        if run.corpus == corpus:
            dump = run.config.model_dump(exclude={"name": True, "seed": True, "adversary": {"strength"}})
            families.setdefault(stable_int(dump), {})[run.variant] = run.config.adversary.strength
    sweeps = {}
    for family in families.values():
        line = {
            strength: list(found.values())
            for variant, strength in family.items()
            if (found := values.get((corpus, variant)))
        }
        if len(line) >= 3:
            sweeps[", ".join(family)] = line
    return sweeps


_EXPECTED = (
    "Written down before the first run, with its hash below. <em>Not testable</em> means that a run is missing, or "
    "that it takes more than these figures to say."
)
_SWEEP = "A dot is a run, the line goes through the means over seeds; lambda 0 trains the same without the adversary."
_LEAKAGE = (
    "A dot is a run. If removing content is what helps, runs further to the left lie lower, and not only those of one "
    "variant."
)
