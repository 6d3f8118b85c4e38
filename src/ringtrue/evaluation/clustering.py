"""Scores and names of their columns -> the clusters that intervals are resampled by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ringtrue.evaluation.resampling import MANY, Resampling
from ringtrue.evaluation.scores import Scores

Clusters = tuple[tuple[str, ...], tuple[str, ...]]
"""Columns by which the bona fide and the spoof trials are clustered; an empty tuple is single trials."""

WAYS = ("speaker", "system")
"""The default: speakers and systems both are samples of what a detector will meet."""


def known_clusters(scores: Scores, wanted: Sequence[str] = WAYS) -> Clusters:
    """Find out which of the wanted columns each class knows.

    Args:
        scores: The scores.
        wanted: Names of columns; ``trial`` means single trials.

    Returns:
        For either class the columns that are there and hold anything; a bona fide trial has no system.

    Raises:
        ScoresError: A column was asked for that is not there (the default ones may be absent).
    """
    sides: list[tuple[str, ...]] = []
    for side in (scores.is_bonafide, ~scores.is_bonafide):
        known = []
        for name in wanted:
            if name == "trial" or (name in WAYS and name not in scores.columns):
                continue
            if scores.column(name)[side].distinct() not in ([], [""]):
                known.append(name)
        sides.append(tuple(known))
    return sides[0], sides[1]


def resampling_of(scores: Scores, clusters: Clusters) -> Resampling:
    """Make the resampling of scores.

    Args:
        scores: The scores.
        clusters: By which columns. Trials of unknown cluster count as one cluster.

    Returns:
        The resampling; a name of one column is one cluster in both classes, a speaker and a system of the
        same name stay two.

    Raises:
        ScoresError: A column is missing, or a class.
    """
    shared = [name for name in clusters[0] if name in clusters[1]]
    numbers, begin = {}, 0
    for name in sorted({*clusters[0], *clusters[1]}):
        column = scores.column(name)
        numbers[name] = column.numbers() + np.int32(begin)
        begin += len(column.distinct())
    names = []
    for side, columns in zip((scores.is_bonafide, ~scores.is_bonafide), clusters, strict=True):
        ordered = [*shared, *(name for name in columns if name not in shared)]
        names.append(np.stack([numbers[name][side] for name in ordered], axis=1) if ordered else None)
    del numbers  # of millions of trials, before more is made of them
    return Resampling(scores.bonafide, scores.spoof, *names)


def count_note(scores: Scores, clusters: Clusters) -> str:
    """Say what figures rest on, such as ``60 bona fide trials of 12 speakers and 80 spoof trials``.

    Args:
        scores: The scores.
        clusters: By which columns they are resampled.

    Returns:
        A phrase.
    """
    sides = []
    for label, mask, columns in zip(
        ("bona fide", "spoof"), (scores.is_bonafide, ~scores.is_bonafide), clusters, strict=True
    ):
        counts = [f"{len(scores.column(name)[mask].distinct())} {name}s" for name in columns]
        sides.append(f"{int(mask.sum())} {label} trials" + (f" of {' x '.join(counts)}" if counts else ""))
    many = f"; above {MANY:,} trials draws are of merged clusters, and their thresholds quantiles"
    return " and ".join(sides) + (many if len(scores) > MANY else "")


def single_notes(clusters: Clusters) -> list[str]:
    """Warn of classes whose trials are resampled singly.

    Args:
        clusters: By which columns they are resampled.

    Returns:
        A line for each such class.
    """
    return [
        f"{side} trials are resampled singly, as if independent: read their part of the intervals as too narrow"
        for side, columns in zip(("bona fide", "spoof"), clusters, strict=True)
        if not columns
    ]
