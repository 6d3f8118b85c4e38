"""Scores -> inline SVG of how they are spread in each class, and of whether they mean what they say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

from ringtrue.evaluation.metrics import eer_threshold
from ringtrue.evaluation.plots import colour, element, stroke, text
from ringtrue.evaluation.scores import Scores

_BINS = 48
_TAIL = 0.002  # share of trials at either end that is drawn in the outermost bin
_WIDTH, _HEIGHT = 400, 150
_SQUARE = 300
_LEFT, _TOP, _BOTTOM, _RIGHT = 66, 12, 48, 16
_RELIABILITY_BINS = 10

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Reliability:
    """What scores say against what is so, with both classes weighted alike.

    Attributes:
        stated: Mean probability of bona fide that the scores of each bin state, as log-likelihood ratios.
        observed: Share of bona fide in it.
    """

    stated: Array
    observed: Array


def histogram_counts(scores: Scores) -> tuple[Array, Array, Array]:
    """Count scores of each class in equal bins.

    Args:
        scores: The scores.

    Returns:
        ``(edges, bonafide, spoof)``: the shares of each class add up to 1; the outermost bins also hold what
        lies beyond them, some thousandths of all trials.
    """
    low, high = np.quantile(scores.scores, [_TAIL, 1 - _TAIL])
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, _BINS + 1)
    shares = [
        np.histogram(np.clip(side, low, high), edges)[0] / side.size
        for side in (scores.bonafide, scores.spoof)
    ]
    return edges, shares[0], shares[1]


def histogram_plot(scores: Scores, title: str) -> str:
    """Draw the spread of scores, bona fide above the line and spoof below it.

    Args:
        scores: The scores.
        title: What they are, read out by screen readers.

    Returns:
        An SVG element.
    """
    edges, bonafide, spoof = histogram_counts(scores)
    top = max(float(bonafide.max()), float(spoof.max()))
    middle, bottom = _TOP + _HEIGHT / 2, _TOP + _HEIGHT

    def across(score: float) -> float:
        return _LEFT + _WIDTH * (score - edges[0]) / (edges[-1] - edges[0])

    parts = []
    for tick in _round_ticks(float(edges[0]), float(edges[-1])):
        parts.append(f'<path class="grid" d="M{across(tick):.1f} {_TOP}V{bottom}"/>')
        parts.append(f'<text x="{across(tick):.1f}" y="{bottom + 17}" text-anchor="middle">{tick:g}</text>')
    for shares, sign, shade, name in ((bonafide, -1, "--s2", "bona fide"), (spoof, 1, "--s1", "spoof")):
        heights = middle + sign * (_HEIGHT / 2 - 4) * shares / top
        steps = "".join(
            f"V{height:.1f}H{across(edge):.1f}" for height, edge in zip(heights, edges[1:], strict=True)
        )
        parts.append(
            f'<path d="M{_LEFT} {middle}{steps}V{middle}Z" fill="var({shade})" fill-opacity=".75">'
            f"<title>{name}</title></path>"
        )
        parts.append(text(_LEFT - 6, middle + sign * _HEIGHT / 4 + 4, name, anchor="end"))
    at = across(float(np.clip(eer_threshold(scores.bonafide, scores.spoof), edges[0], edges[-1])))
    parts.append(f'<path class="chance" d="M{at:.1f} {_TOP}V{bottom}"><title>EER threshold</title></path>')
    parts.append(f'<path class="whisker" d="M{_LEFT} {middle}H{_LEFT + _WIDTH}"/>')
    parts.append(text(_LEFT + _WIDTH / 2, bottom + 38, "score (higher: more likely bona fide)"))
    label = f"Histogram of scores, {title}; dotted: the EER threshold"
    return element(_LEFT + _WIDTH + _RIGHT, bottom + _BOTTOM, label, parts)


def reliability(scores: Scores) -> Reliability:
    """Compare what scores say, taken as natural-log likelihood ratios, with what is so.

    Args:
        scores: The scores.

    Returns:
        A point for each tenth of the trials, both classes weighted alike (a prior of one half), so that it
        does not depend on how many trials of each class there are.
    """
    chance = 1 / (1 + np.exp(-np.clip(scores.scores, -700, 700)))
    weights = np.where(scores.is_bonafide, 0.5 / scores.bonafide.size, 0.5 / scores.spoof.size)
    order = np.argsort(chance, kind="stable")
    mass = np.cumsum(weights[order])
    places = np.minimum((mass * _RELIABILITY_BINS * (1 - 1e-12)).astype(int), _RELIABILITY_BINS - 1)
    bins = np.empty_like(places)
    bins[order] = places
    total = np.bincount(bins, weights, _RELIABILITY_BINS)
    some = total > 0
    stated = np.bincount(bins, weights * chance, _RELIABILITY_BINS)[some] / total[some]
    observed = np.bincount(bins, weights * scores.is_bonafide, _RELIABILITY_BINS)[some] / total[some]
    return Reliability(stated, observed)


def reliability_plot(curves: Mapping[str, Scores], title: str) -> str:
    """Draw what scores say against what is so; on the dotted line they can be taken at their word.

    Args:
        curves: Scores by series name.
        title: What the trials are, read out by screen readers.

    Returns:
        An SVG element.
    """
    right, bottom = _LEFT + _SQUARE, _TOP + _SQUARE
    parts = []
    for tick in (0, 0.25, 0.5, 0.75, 1):
        across, down = _LEFT + _SQUARE * tick, bottom - _SQUARE * tick
        parts.append(f'<path class="grid" d="M{across:.1f} {_TOP}V{bottom}M{_LEFT} {down:.1f}H{right}"/>')
        parts.append(f'<text x="{across:.1f}" y="{bottom + 17}" text-anchor="middle">{100 * tick:g}</text>')
        parts.append(f'<text x="{_LEFT - 7}" y="{down + 4:.1f}" text-anchor="end">{100 * tick:g}</text>')
    parts.append(f'<path class="chance" d="M{_LEFT} {bottom}L{right} {_TOP}"/>')
    parts.append(text(_LEFT + _SQUARE / 2, bottom + 38, "bona fide, as the scores say (%)"))
    parts.append(text(15, _TOP + _SQUARE / 2, "bona fide, as it is (%)", turned=True))
    for place, (name, scores) in enumerate(curves.items()):
        points = reliability(scores)
        xs, ys = _LEFT + _SQUARE * points.stated, bottom - _SQUARE * points.observed
        line = "L".join(f"{x:.1f} {y:.1f}" for x, y in zip(xs, ys, strict=True))
        shade = colour(name, place)
        parts.append(
            f'<path class="curve" d="M{line}" {stroke(name, place)}><title>{escape(name)}</title></path>'
        )
        parts += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{shade}"/>' for x, y in zip(xs, ys, strict=True)
        ]
    return element(right + _RIGHT, bottom + _BOTTOM, f"Reliability of the scores, {title}", parts)


def _round_ticks(low: float, high: float) -> list[float]:
    """Choose four to nine round numbers between two ends."""
    step = 10.0 ** np.floor(np.log10((high - low) / 2))
    step *= next(factor for factor in (0.5, 1, 2, 5) if (high - low) / (step * factor) <= 9)
    first = np.ceil(low / step)
    return [float(np.round(step * place, 10)) for place in np.arange(first, np.floor(high / step) + 1)]
