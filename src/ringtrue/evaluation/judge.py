"""Files of scores -> everything that `ringtrue evaluate` and `compare` say: findings, tables, how they were made."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from ringtrue.errors import ScoresError
from ringtrue.evaluation.clustering import Clusters, known_clusters
from ringtrue.evaluation.figures import (
    comparison_table,
    figure_table,
    group_table,
    tandem_figures,
    with_seeds,
)
from ringtrue.evaluation.layouts import LAYOUT_OF_VERIFIER
from ringtrue.evaluation.lint import lint
from ringtrue.evaluation.quantities import FIGURES, frr_figure, hter_figure
from ringtrue.evaluation.reading import read_columns
from ringtrue.evaluation.scores import Scores, read_scores
from ringtrue.evaluation.table import Evaluation, Table, evaluation
from ringtrue.evaluation.tandem import VerifierRates, verifier_rates
from ringtrue.files import sha256_path

NOT_AUDITED = (
    "not known; `ringtrue score` notes it in the scores file, `ringtrue corpus audit` says it of a corpus"
)


@dataclass(frozen=True)
class Question:
    """What is to be judged, and how.

    Attributes:
        files: Scores files, one a model.
        floor: Scores of a content-blind classifier on the same trials, shown beside the models.
        key: Labels and what else is known of the trials, if not in the scores files.
        labels: What words for labels mean, see `read_scores`.
        columns: Which columns are meant, see `read_scores`.
        force: Go on in spite of errors; the tables are then marked.
        clusters: Columns to resample by; empty for speaker and system as far as known; ``trial`` for none.
        draws: How many bootstrap draws.
        seed: Their seed.
    """

    files: Sequence[Path]
    floor: Path | None = None
    key: Path | None = None
    labels: Mapping[str, str] | None = None
    columns: Mapping[str, str] | None = None
    force: bool = False
    clusters: Sequence[str] = ()
    draws: int = 1000
    seed: int = 0


@dataclass(frozen=True)
class Judgement:
    """The answer.

    Attributes:
        evaluation: The scores side by side.
        tables: The figures first, then any breakdown.
        made: How: command, versions, hashes.
    """

    evaluation: Evaluation
    tables: tuple[Table, ...]
    made: Mapping[str, Any]

    def render(self, form: str) -> str:
        """Write the tables down.

        Args:
            form: ``text``, ``json``, ``csv``, ``markdown``, ``latex`` or ``html``.

        Returns:
            Text. JSON has the first table's fields at its top, the others under ``breakdowns``; CSV has the
            tables one after the other with a blank line between.
        """
        if form == "json":
            first, *others = (table.to_dict() for table in self.tables)
            return json.dumps({**first, "breakdowns": others, "made": self.made}, ensure_ascii=False) + "\n"
        if form == "html":
            from ringtrue.evaluation.report import render_judgement

            return render_judgement(self.evaluation, self.tables, self.made)
        return "\n".join(str(getattr(table, f"to_{form}")()) for table in self.tables)


def evaluate(
    question: Question,
    by: Sequence[str] = (),
    verifier: Path | None = None,
    thresholds: Sequence[float] = (),
    fars: Sequence[float] = (),
    are_seeds: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> Judgement:
    """Compute all figures of scores files.

    Args:
        question: What to judge.
        by: Columns to break the EER down by.
        verifier: Scores of a speaker verifier, for the t-DCF: rows ``attack target|nontarget|spoof score``.
        thresholds: Thresholds fixed elsewhere, each for an HTER.
        fars: Wanted shares of spoofs accepted, each for the share of bona fide rejected there.
        are_seeds: The files are runs of one model with different seeds.
        say: Takes a line for each finding.

    Returns:
        The judgement.

    Raises:
        ScoresError: A file is wrong, or the linter found an error and it was not overridden.
    """
    side_by_side, notes = _read(question, by, say)
    figures = dict(FIGURES)
    if verifier:
        figures |= tandem_figures(read_verifier(verifier))
    figures |= {f"hter {threshold}": hter_figure(threshold) for threshold in thresholds}
    figures |= {f"frr {far}": frr_figure(far) for far in fars}
    clusters = _clusters(question, side_by_side)
    table = figure_table(side_by_side, figures, clusters, question.seed, question.draws)
    table = with_seeds(table) if are_seeds else table
    tables = [table]
    for column in by:
        tables.append(
            group_table(side_by_side, column, FIGURES["eer"], clusters, question.seed, question.draws)
        )
    return _judgement(question, side_by_side, tables, notes, [verifier] if verifier else [])


def compare(
    question: Question, figures: Sequence[str] = ("eer",), say: Callable[[str], None] = lambda line: None
) -> Judgement:
    """Compare scores files with each other on the same trials.

    Args:
        question: What to judge.
        figures: Keys of `FIGURES` to compare.
        say: Takes a line for each finding.

    Returns:
        The judgement.

    Raises:
        ScoresError: As `evaluate`; or the files hold different trials, or are fewer than two.
    """
    side_by_side, notes = _read(question, (), say)
    clusters = _clusters(question, side_by_side)
    table = comparison_table(side_by_side, figures, clusters, question.seed, question.draws)
    return _judgement(question, side_by_side, [table], notes, [])


def read_verifier(path: Path) -> VerifierRates:
    """Read a speaker verifier's scores and measure it at its EER threshold.

    Args:
        path: Rows ``attack target|nontarget|spoof score``, as the organisers of ASVspoof 2019 give them.

    Returns:
        Its error rates.

    Raises:
        ScoresError: It is no such file.
    """
    table = read_columns(path, ("trial", "score"), LAYOUT_OF_VERIFIER)
    keys = table.text["verifier_key"]
    assert table.scores is not None  # it was needed
    if unknown := sorted(set(keys.distinct()) - {"target", "nontarget", "spoof"}):
        raise ScoresError(f"{path}: {unknown[0]!r} in the second column; accepted: target, nontarget, spoof")
    return verifier_rates(*(table.scores[keys == key] for key in ("target", "nontarget", "spoof")))


def read_models(question: Question, say: Callable[[str], None], by: Sequence[str] = ()) -> dict[str, Scores]:
    """Read and lint the scores files of a question.

    Args:
        question: Which files, and how.
        say: Takes a line for each finding.
        by: Columns that figures will be broken down by.

    Returns:
        Scores by model name. What was found or overridden is in their metadata under ``findings``.

    Raises:
        ScoresError: A file is wrong, or the linter found an error and it was not overridden.
    """
    models = {}
    for path in question.files:
        name = _name(path, question.files)
        scores = read_scores(
            path, question.key, labels=question.labels, columns=question.columns, force=question.force
        )
        notes = [f"FORCED, {name}: {problem}" for problem in scores.metadata.get("forced", ())]
        notes += _complain(name, scores, by, question.force, say)
        models[name] = replace(
            scores, metadata={**scores.metadata, "findings": notes} if notes else scores.metadata
        )
    return models


def _read(question: Question, by: Sequence[str], say: Callable[[str], None]) -> tuple[Evaluation, list[str]]:
    """Read and line up the scores; the notes mark what was found and overridden."""
    models = read_models(question, say, by)
    for name, scores in models.items():
        say(f"{name}: audit: {scores.metadata.get('audit', NOT_AUDITED)}")
    notes = [note for scores in models.values() for note in scores.metadata.get("findings", ())]
    floor = read_scores(question.floor) if question.floor else None
    return evaluation(models, floor), notes


def _complain(
    name: str, scores: Scores, by: Sequence[str], force: bool, say: Callable[[str], None]
) -> list[str]:
    findings = list(dict.fromkeys(finding for column in by or (None,) for finding in lint(scores, column)))
    for finding in findings:
        if finding.severity == "error" and not force:
            raise ScoresError(
                f"{name}: {finding.problem}: {finding.remedy}. --force goes on and marks the table"
            )
        say(f"{name}: {finding}")
    marks = {"error": "FORCED", "warning": "warning"}
    return [f"{marks[finding.severity]}, {name}: {finding.problem}" for finding in findings]


def _name(path: Path, files: Sequence[Path]) -> str:
    """Name a model by its file, or by its folder where files are called alike."""
    stems = [file.stem for file in files]
    return path.stem if stems.count(path.stem) == 1 else f"{path.parent.name}/{path.stem}"


def _clusters(question: Question, side_by_side: Evaluation) -> Clusters | None:
    if not question.clusters:
        return None
    return known_clusters(next(iter(side_by_side.models.values())), question.clusters)


def _judgement(
    question: Question,
    side_by_side: Evaluation,
    tables: Sequence[Table],
    notes: Sequence[str],
    others: Sequence[Path],
) -> Judgement:
    files = [*question.files, *(path for path in (question.floor, question.key) if path), *others]
    made = {
        "command": shlex.join(["ringtrue", *sys.argv[1:]]),
        "ringtrue": version("ringtrue"),
        "numpy": np.__version__,
        "bootstrap": f"{question.draws} draws, seed {question.seed}",
        "sha256": {str(path): sha256_path(path) for path in files},
    }
    first, *rest = tables
    first = replace(first, notes=(*first.notes, *notes))
    return Judgement(side_by_side, (first, *rest), made)
