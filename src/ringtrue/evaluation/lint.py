"""Scores about to be judged -> what looks wrong with them and what to do about it; nothing is ever repaired.

What no figure can be computed from at all (no number, an unknown or missing label, a trial twice) is refused
when the file is read. Here is what would give a figure, and a wrong one.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ringtrue.evaluation.groups import divide
from ringtrue.evaluation.metrics import auc, cllr
from ringtrue.evaluation.scores import Scores

FEW_TRIALS = 30
"""Below this many trials of a class one trial moves a rate by more than three points."""

_INVERTED_AUC = 0.3  # so far below chance nothing but a turned sign or swapped labels is likely
_SATURATED = 0.01  # share of trials at the very end of the scale
_SPELLED_COLUMNS = ("system", "speaker", "language", "codec")


@dataclass(frozen=True)
class Finding:
    """Something that looks wrong.

    Attributes:
        severity: An ``error`` stops an evaluation until it is resolved or overridden; a ``warning`` is printed.
        code: A short name that does not change.
        problem: What was found, with numbers.
        remedy: What to do about it.
    """

    severity: Literal["error", "warning"]
    code: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        """One line."""
        return f"{self.severity}: {self.problem}: {self.remedy}"


def lint(scores: Scores, by: str | None = None) -> list[Finding]:
    """Look for what would make figures wrong without anybody noticing.

    Args:
        scores: The scores.
        by: The column that figures will be broken down by.

    Returns:
        Findings, errors first; an empty list is no proof of anything.

    Raises:
        ScoresError: There is no column `by`.
    """
    findings = _class_findings(scores) + _leak_findings(scores)
    if not any(finding.code == "one class" for finding in findings):
        values = _value_findings(scores)
        findings += values
        if not any(finding.code == "constant" for finding in values):
            findings += _polarity_findings(scores) + _scale_findings(scores)
    findings += _spelling_findings(scores)
    if by is not None and not any(finding.code == "one class" for finding in findings):
        findings += _group_findings(scores, by)
    return sorted(findings, key=lambda finding: finding.severity)


def _class_findings(scores: Scores) -> list[Finding]:
    findings = []
    for name, count in (("bona fide", scores.bonafide.size), ("spoof", scores.spoof.size)):
        if count == 0:
            problem = f"there is no {name} trial among {len(scores)}"
            findings.append(
                Finding(
                    "error", "one class", problem, "judge a set that has both; no error rate has one side"
                )
            )
        elif count < FEW_TRIALS:
            problem = (
                f"there are only {count} {name} trials, and each moves its rate by {100 / count:.1f} points"
            )
            findings.append(
                Finding(
                    "warning", "few trials", problem, "read the intervals, not the figures, or add trials"
                )
            )
    return findings


def _leak_findings(scores: Scores) -> list[Finding]:
    """What the trials share with what models were trained on, as whoever scored them noted it."""
    remedy = "judge trials that training never saw; forced, the table says so"
    return [
        Finding("error", "leak", f"leaked data: {leak}", remedy) for leak in scores.metadata.get("leaks", ())
    ]


def _value_findings(scores: Scores) -> list[Finding]:
    """Constant and saturated scores."""
    ordered = np.sort(scores.scores)
    ends = float(ordered[0]), float(ordered[-1])
    at_ends = (
        np.searchsorted(ordered, ends[0], side="right"),
        ordered.size - np.searchsorted(ordered, ends[1]),
    )
    if ends[0] == ends[1]:
        problem = f"all {len(scores)} scores are {ends[0]:g}"
        return [
            Finding("error", "constant", problem, "look for a model that was not loaded, or silent audio")
        ]
    if sum(at_ends) == ordered.size:
        problem = f"there are only two distinct scores, {ends[0]:g} and {ends[1]:g}"
        remedy = "these are decisions; write the scores that they were made from"
        return [Finding("error", "decisions", problem, remedy)]
    remedy = "write logits in float32 or better: a sigmoid, a clip or too few printed digits did this"
    return [
        Finding(
            "warning",
            "saturated",
            f"{count} trials ({count / len(scores):.1%}) share the {word} score {end:g}, so their order is lost",
            remedy,
        )
        for word, end, count in zip(("lowest", "highest"), ends, at_ends, strict=True)
        if count > max(1, _SATURATED * len(scores))
    ]


def _polarity_findings(scores: Scores) -> list[Finding]:
    area = auc(scores.bonafide, scores.spoof)
    if area >= 0.5:
        return []
    return [
        Finding(
            "error" if area < _INVERTED_AUC else "warning",
            "polarity",
            f"scores point the wrong way: a bona fide trial outscores a spoof one in {area:.1%} of pairs",
            "higher must mean more likely bona fide; find out whether the sign, the column or the labels are turned, "
            "and turn it where it arose. It is not turned here: a detector may really be worse than chance",
        )
    ]


def _scale_findings(scores: Scores) -> list[Finding]:
    """Scores that are no log-likelihood ratios, where actDCF and Cllr take them for such."""
    low, high = float(scores.scores.min()), float(scores.scores.max())
    remedy = "the EER, AUC and minDCF stand; before actDCF and Cllr are read, run `ringtrue calibrate` on dev scores"
    kind = ""
    if low >= 0 and high <= 1:
        kind = "probabilities"
    elif low >= -1 and high <= 1:
        kind = "cosines"
    elif high <= 0:
        kind = "log-probabilities"
    if kind:
        problem = f"scores between {low:g} and {high:g} look like {kind}, not log-likelihood ratios"
        return [Finding("warning", "not LLRs", problem, remedy)]
    cost = cllr(scores.bonafide, scores.spoof)
    if cost > 1:
        problem = f"taken as log-likelihood ratios the scores mislead: Cllr {cost:.3g}, where saying nothing costs 1"
        return [Finding("warning", "not calibrated", problem, remedy)]
    return []


def _spelling_findings(scores: Scores) -> list[Finding]:
    """Names that differ by case, blanks or hyphens only: two groups or clusters where there is one."""
    findings = []
    for column in _SPELLED_COLUMNS:
        spellings: dict[str, set[str]] = defaultdict(set)
        for name in scores.columns[column].distinct() if column in scores.columns else ():
            spellings[name.casefold().strip().replace("-", "_").replace(" ", "_")].add(name)
        mixed = sorted(sorted(names) for names in spellings.values() if len(names) > 1)
        if mixed:
            problem = f"{column} has names that differ by spelling only: {mixed[:3]}"
            findings.append(
                Finding("warning", "spelling", problem, "spell each one way, or they count as several")
            )
    return findings


def _group_findings(scores: Scores, by: str) -> list[Finding]:
    groups = divide(scores, by)
    findings = []
    if groups.lacking:
        problem = f"{by} {list(groups.lacking)[:5]} has trials of one class only"
        findings.append(Finding("warning", "degenerate group", problem, "no figure is given for it"))
    small = [
        f"{name} ({count})"
        for name in groups.spoof
        if (count := min(int(groups.spoof[name].sum()), int(groups.bonafide[name].sum()))) < FEW_TRIALS
    ]
    if small:
        problem = f"{len(small)} groups of {by} have fewer than {FEW_TRIALS} trials of a class: {', '.join(small[:5])}"
        findings.append(
            Finding(
                "warning",
                "small group",
                problem,
                "do not rank groups by them; the worst is likely one by chance",
            )
        )
    return findings
