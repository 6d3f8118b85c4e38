"""Results -> what became of each hypothesis: supported or not, with the figures behind it, or not testable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ringtrue.errors import ScoresError
from ringtrue.evaluation.intervals import Interval
from ringtrue.evaluation.quantities import FIGURES
from ringtrue.evaluation.seeds import Key, rank_correlation, spread_over_seeds
from ringtrue.experiment.plan import LEAKAGE, Hypothesis
from ringtrue.experiment.results import Results


@dataclass(frozen=True)
class Verdict:
    """What became of a hypothesis.

    Attributes:
        name: Its name.
        text: What was expected.
        word: The verdict.
        reasons: The figures behind it.
    """

    name: str
    text: str
    word: Literal["supported", "not supported", "not testable"]
    reasons: tuple[str, ...]


def judge(results: Results) -> list[Verdict]:
    """Say of each hypothesis what became of it.

    Args:
        results: What was found.

    Returns:
        A verdict each; of one that needs a run that failed, or has no form that a machine can check, that it is
        not testable.
    """
    verdicts = []
    for name, one in results.experiment.hypotheses.items():
        try:
            checks = _relation(results, one) if one.relation else _contrast(results, one)
        except _NotTestableError as error:
            verdicts.append(Verdict(name, one.text, "not testable", (str(error),)))
            continue
        word: Literal["supported", "not supported"] = (
            "supported" if all(held for held, _ in checks) else "not supported"
        )
        verdicts.append(Verdict(name, one.text, word, tuple(reason for _, reason in checks)))
    return verdicts


class _NotTestableError(Exception):
    pass


def _contrast(results: Results, one: Hypothesis) -> list[tuple[bool, str]]:
    if one.contrast is None:
        raise _NotTestableError("it has no form that a machine can check")
    checks = []
    corpora = [one.corpus] if one.corpus else list(results.experiment.corpora)
    for corpus in corpora:
        for test in [""] if one.figure == LEAKAGE else one.tests or list(results.experiment.tests):
            weights: dict[Key, float] = {(corpus, one.contrast[0]): 1.0, (corpus, one.contrast[1]): -1.0}
            if one.than:
                weights |= {(one.than, one.contrast[0]): -1.0, (one.than, one.contrast[1]): 1.0}
            interval, by_seed, reference = _measure(results, one, test, weights, (corpus, one.contrast[1]))
            checks.append(_check(one, f"{corpus} {test}".strip(), interval, by_seed, reference))
    return checks


def _measure(
    results: Results,
    one: Hypothesis,
    test: str,
    weights: Mapping[tuple[str, ...], float],
    second: tuple[str, str],
) -> tuple[Interval, list[float], float]:
    """Compute a weighted sum of a figure: its interval, its value for each seed, and the second variant's figure."""
    if one.figure == LEAKAGE:
        if any(key not in results.leakage for key in weights):
            raise _NotTestableError("the leakage of a run is not known")
        parts = {key: results.leakage[(key[0], key[1])] for key in weights}
        seeds = sorted(set.intersection(*(set(part) for part in parts.values())))
        by_seed = [sum(w * parts[key][seed] for key, w in weights.items()) for seed in seeds]
        if len(by_seed) < 2:
            raise _NotTestableError(f"{len(by_seed)} seeds; an interval of the leakage takes two")
        return spread_over_seeds(by_seed), by_seed, float(np.mean(list(results.leakage[second].values())))
    drawn = results.drawn[one.figure][test]
    interval = drawn.combine(weights)
    if interval is None:
        raise _NotTestableError(f"on {test} no seed of {', '.join('/'.join(key) for key in weights)} is done")
    return interval, drawn.by_seed(weights), float(np.mean(list(drawn.values[second].values())))


def _check(
    one: Hypothesis, where: str, interval: Interval, by_seed: Sequence[float], reference: float
) -> tuple[bool, str]:
    """Hold a difference against what was expected of it."""
    margin = one.margin * abs(reference) if one.relative else one.margin
    sign = -1 if one.direction == "above" else 1
    agreeing = sum(sign * value < 0 for value in by_seed) / len(by_seed)
    if one.direction == "within":
        held = -margin <= interval.low and interval.high <= margin
    elif one.direction == "not above":
        held = interval.high <= margin
    else:
        excludes_zero = interval.high < 0 if sign > 0 else interval.low > 0
        held = excludes_zero and sign * interval.estimate <= -margin
    held = held and (one.direction in ("within", "not above") or agreeing >= one.seeds_agree)
    percent = one.figure != LEAKAGE and FIGURES[one.figure].is_percent
    scale, unit = (100, " points") if percent else (1, "")
    bound = -margin if one.direction == "below" else margin
    reason = (
        f"{where}: {one.figure} {scale * interval.estimate:+.3g} [{scale * interval.low:+.3g}, "
        f"{scale * interval.high:+.3g}]{unit}; wanted {one.direction} {scale * bound:+.3g}"
        f"{'' if one.direction in ('within', 'not above') else f'; {agreeing:.0%} of {len(by_seed)} seeds agree'}"
    )
    return held, reason


def relation_points(results: Results, test: str, figures: tuple[str, str]) -> list[tuple[str, float, float]]:
    """Give two figures of every run, each measured from the baseline's run of the same corpus and seed.

    Args:
        results: What was found.
        test: The test set, for figures that need one.
        figures: Keys of `FIGURES`, or leakage.

    Returns:
        Variant and the two differences, a run each; the baseline itself is left out.
    """

    def value(figure: str, corpus: str, variant: str, seed: int) -> float | None:
        if figure == LEAKAGE:
            return results.leakage.get((corpus, variant), {}).get(seed)
        return results.drawn[figure][test].values.get((corpus, variant), {}).get(seed)

    points = []
    experiment = results.experiment
    for corpus in experiment.corpora:
        for variant in experiment.variants:
            for seed in results.seeds(corpus, variant) if variant != experiment.baseline else ():
                pair = [
                    (value(figure, corpus, variant, seed), value(figure, corpus, experiment.baseline, seed))
                    for figure in figures
                ]
                known = [(mine, base) for mine, base in pair if mine is not None and base is not None]
                if len(known) == 2:
                    points.append((variant, known[0][0] - known[0][1], known[1][0] - known[1][1]))
    return points


def _relation(results: Results, one: Hypothesis) -> list[tuple[bool, str]]:
    assert one.relation is not None
    checks = []
    for test in one.tests or list(results.experiment.tests):
        points = relation_points(results, test, one.relation)
        try:
            variants, x, y = zip(*points, strict=True) if points else ((), (), ())
            rho = rank_correlation(x, y, variants)
        except ScoresError as error:
            raise _NotTestableError(str(error)) from error
        held = rho.high < 0 if one.direction == "below" else rho.low > 0
        words = f"{test}: Spearman's rho of {one.relation[0]} and {one.relation[1]} over {len(points)} runs"
        checks.append(
            (held, f"{words} {rho.estimate:+.2f} [{rho.low:+.2f}, {rho.high:+.2f}]; wanted {one.direction} 0")
        )
    return checks
