"""Scores and a column of theirs -> a figure for each attack, codec or language, and pooled, macro and worst of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ringtrue.errors import ScoresError
from ringtrue.evaluation.intervals import Interval, percentiles
from ringtrue.evaluation.ladder import ladder
from ringtrue.evaluation.quantities import Figure
from ringtrue.evaluation.resampling import Resampling
from ringtrue.evaluation.scores import Scores

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Groups:
    """How a column divides the trials.

    Attributes:
        column: Its name.
        bonafide: For each group, which of the bona fide trials it is judged against.
        spoof: For each group, which of the spoof trials are in it.
        lacking: Values that cannot be judged, as one class is missing there.
    """

    column: str
    bonafide: dict[str, Mask]
    spoof: dict[str, Mask]
    lacking: tuple[str, ...]


def divide(scores: Scores, column: str) -> Groups:
    """Divide trials by a column.

    Where bona fide trials know the column (codec, language), a group's bona fide trials are those of the same
    value. Where they know nothing of it (the attack), every group is judged against all of them: both as the
    organisers of ASVspoof do.

    Args:
        scores: The scores.
        column: One of their columns.

    Returns:
        The groups, by name; an unknown value (an empty string) makes the group ``unknown``.

    Raises:
        ScoresError: There is no such column, or no group has both classes.
    """
    values = scores.column(column).map(lambda name: name or "unknown")
    human, machine = values[scores.is_bonafide], values[~scores.is_bonafide]
    is_shared = human.distinct() not in ([], ["unknown"])
    names = sorted({*machine.distinct(), *(human.distinct() if is_shared else [])})
    bonafide = {name: human == name if is_shared else np.ones(len(human), dtype=bool) for name in names}
    spoof = {name: machine == name for name in names}
    usable = [name for name in names if bonafide[name].any() and spoof[name].any()]
    if not usable:
        raise ScoresError(
            f"no value of {column!r} has both bona fide and spoof trials, so none has a figure; "
            f"its values are {names[:5]}"
        )
    return Groups(
        column,
        {name: bonafide[name] for name in usable},
        {name: spoof[name] for name in usable},
        tuple(name for name in names if name not in usable),
    )


def group_values(scores: Scores, column: str, figure: Figure) -> dict[str, float]:
    """Compute a figure for each group, and over them.

    Args:
        scores: The scores.
        column: What to divide by.
        figure: What to compute.

    Returns:
        A value for each group, then ``pooled`` (all trials together, one threshold: not a mean), ``macro``
        (mean over groups, each counting alike) and ``worst``.

    Raises:
        ScoresError: See `divide`.
    """
    groups = divide(scores, column)
    values = {
        name: figure.value(scores.bonafide[groups.bonafide[name]], scores.spoof[groups.spoof[name]])
        for name in groups.spoof
    }
    worst = min if figure.higher_is_better else max
    return {
        **values,
        "pooled": figure.value(scores.bonafide, scores.spoof),
        "macro": float(np.mean(list(values.values()))),
        "worst": worst(values.values()),
    }


def group_intervals(
    scores: Scores,
    column: str,
    figure: Figure,
    resampling: Resampling,
    rng: np.random.Generator,
    draws: int = 1000,
    level: float = 0.95,
) -> dict[str, Interval]:
    """Bootstrap `group_values`, all of them with the same draws.

    A group that a draw leaves without a class has no part in that draw. The interval of the worst group is
    that of "the worst, whichever it is", and so lies above the worst group's own.

    Args:
        scores: The scores.
        column: What to divide by; do not cluster by it.
        figure: What to compute.
        resampling: The clusters of all trials.
        rng: Where the draws come from.
        draws: How many.
        level: Nominal coverage.

    Returns:
        An interval for each name of `group_values`.

    Raises:
        ScoresError: See `divide`.
    """
    groups = divide(scores, column)
    values = group_values(scores, column, figure)
    parts = [resampling.part(groups.bonafide[name], groups.spoof[name]) for name in groups.spoof]
    ladders = [
        ladder(scores.bonafide[groups.bonafide[name]], scores.spoof[groups.spoof[name]], part)
        for name, part in zip(groups.spoof, parts, strict=True)
    ]
    functions = [
        figure.prepare(trials, values[name]) for name, trials in zip(groups.spoof, ladders, strict=True)
    ]
    everything = ladder(scores.bonafide, scores.spoof, resampling)
    pooled = figure.prepare(everything, values["pooled"])
    worst = np.min if figure.higher_is_better else np.max
    drawn = np.full((draws, len(values)), np.nan)
    for row, counts in zip(drawn, resampling.draw(rng, draws), strict=True):
        for place, (of, trials, part) in enumerate(zip(functions, ladders, parts, strict=True)):
            if part.holds(counts):
                row[place] = of(trials.weigh(counts))
        known = row[: len(parts)][~np.isnan(row[: len(parts)])]
        over = (known.mean(), worst(known)) if known.size else (np.nan, np.nan)
        row[len(parts) :] = pooled(everything.weigh(counts)), *over
    return {
        name: percentiles(value, column_[~np.isnan(column_)], level, resampling)
        for (name, value), column_ in zip(values.items(), drawn.T, strict=True)
    }
