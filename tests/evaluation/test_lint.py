"""The linter: each finding on scores made to deserve it, silence on sound ones, and nothing repaired."""

from __future__ import annotations

import re

import numpy as np
import pytest

from ringtrue.evaluation.lint import Finding, lint
from ringtrue.evaluation.scores import Scores


def make(bonafide, spoof, **columns: list[str]) -> Scores:
    values = np.concatenate([np.asarray(bonafide, float), np.asarray(spoof, float)])
    labels = np.repeat(["bonafide", "spoof"], [len(bonafide), len(spoof)])
    named = {name: np.array(column) for name, column in columns.items()}
    return Scores(np.arange(values.size).astype(str), labels, values, named)


def normals(shift: float = 2.0, count: int = 200, scale: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return scale * (rng.normal(size=count) + shift / 2), scale * (rng.normal(size=count) - shift / 2)


def codes(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.code, finding.severity) for finding in findings]


def test_sound_scores_have_no_findings() -> None:
    assert lint(make(*normals(2.0, scale=2.0))) == []


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize(
    ("scores", "expected", "said"),
    [
        (make(*normals(-3)), ("polarity", "error"), "point the wrong way: .* 1.5% of pairs"),
        (make(*normals(-0.2)), ("polarity", "warning"), "point the wrong way"),
        (make([1.0] * 40, [1.0] * 40), ("constant", "error"), "all 80 scores are 1"),
        (make([1.0] * 40, [0.0] * 39 + [1.0]), ("decisions", "error"), "only two distinct scores, 0 and 1"),
        (make(*(np.minimum(side, 1.5) for side in normals())), ("saturated", "warning"), "share the highest score 1.5"),
        (make(*(np.maximum(side, -1.5) for side in normals())), ("saturated", "warning"), "the lowest score -1.5"),
        (make(*(sigmoid(side) for side in normals())), ("not LLRs", "warning"), "look like probabilities"),
        (make(*(np.tanh(side / 3) for side in normals())), ("not LLRs", "warning"), "look like cosines"),
        (make(*(side - 50 for side in normals())), ("not LLRs", "warning"), "look like log-probabilities"),
        (make(*(side + 9 for side in normals())), ("not calibrated", "warning"), "Cllr .* saying nothing costs 1"),
        (make([], [0.0, 1.0, 2.0]), ("one class", "error"), "no bona fide trial among 3"),
        (make(np.arange(5.0) + 1, -normals()[0][:50] - 3), ("few trials", "warning"), "each moves its rate by 20.0"),
    ],
)  # fmt: skip
def test_a_finding_names_problem_and_remedy(scores: Scores, expected: tuple[str, str], said: str) -> None:
    before = scores.scores.copy()
    findings = lint(scores)
    assert expected in codes(findings)
    (found,) = [finding for finding in findings if (finding.code, finding.severity) == expected][:1]
    assert re.search(said, found.problem)
    assert len(found.remedy) > 15
    assert "\n" not in str(found)
    assert np.array_equal(before, scores.scores)


def test_errors_come_first() -> None:
    findings = lint(make(*(sigmoid(side) for side in normals(-3, count=20))))
    assert [finding.severity for finding in findings] == sorted(finding.severity for finding in findings)
    assert {"polarity", "not LLRs", "few trials"} <= {finding.code for finding in findings}


def test_names_that_differ_by_spelling_only() -> None:
    bonafide, spoof = normals(scale=2.0)
    system = [""] * 200 + ["VITS", "vits", "mel-gan", "mel_gan", "flite"] * 40
    (finding,) = lint(make(bonafide, spoof, system=system))
    assert finding.code == "spelling"
    assert "[['VITS', 'vits'], ['mel-gan', 'mel_gan']]" in finding.problem


def test_groups_that_cannot_or_should_not_be_judged() -> None:
    bonafide, spoof = normals(scale=2.0)
    codec = ["none"] * 150 + ["opus"] * 50 + ["none"] * 150 + ["opus"] * 20 + ["gsm"] * 30
    findings = lint(make(bonafide, spoof, codec=codec), by="codec")
    assert codes(findings) == [("degenerate group", "warning"), ("small group", "warning")]
    assert "['gsm'] has trials of one class only" in findings[0].problem
    assert "opus (20)" in findings[1].problem
