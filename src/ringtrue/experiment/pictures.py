"""Runs as points -> inline SVG: an error rate against lambda, and against what the features say of the content."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from ringtrue.evaluation.plots import colour, element, legend, stroke, text

_WIDTH, _HEIGHT = 460, 300
_LEFT, _TOP, _BOTTOM, _RIGHT = 58, 14, 48, 16
_STEPS = (1, 2, 5)

Points = Mapping[str, Sequence[tuple[float, float]]]
"""Places by series: a point for each run."""


def scatter(points: Points, x_title: str, y_title: str, label: str) -> str:
    """Draw runs as dots, a colour a variant.

    Args:
        points: Two figures of each run, as fractions.
        x_title: What the first is.
        y_title: What the second is.
        label: What the picture shows, read out by screen readers.

    Returns:
        An HTML list of the series and an SVG element.
    """
    flat = [point for series in points.values() for point in series]
    across = _Axis([x for x, _ in flat], _LEFT, _LEFT + _WIDTH)
    up = _Axis([y for _, y in flat], _TOP + _HEIGHT, _TOP)
    parts = _frame(across.ticks(), up, x_title, y_title)
    for place, (name, series) in enumerate(points.items()):
        for x, y in series:
            parts.append(
                f'<circle cx="{across.at(x):.1f}" cy="{up.at(y):.1f}" r="4.5" fill="{colour(name, place)}" '
                f'fill-opacity=".75"><title>{escape(f"{name}: {100 * x:.1f} %, {100 * y:.1f} %")}</title></circle>'
            )
    return legend(list(points)) + _drawn(parts, label)


def sweep(series: Mapping[str, Mapping[float, Sequence[float]]], y_title: str, label: str) -> str:
    """Draw an error rate against lambda: a dot a run, a line through the means; lambda 0 has a place of its own.

    Args:
        series: By name, the error rates of the runs at each lambda, as fractions.
        y_title: What is drawn.
        label: What the picture shows, read out by screen readers.

    Returns:
        An HTML list of the series and an SVG element.
    """
    strengths = sorted({strength for line in series.values() for strength in line})
    positive = [strength for strength in strengths if strength > 0]
    low = math.log10(positive[0]) - (1.0 if strengths[0] == 0 else 0.3)
    high = math.log10(positive[-1]) + 0.3

    def at(strength: float) -> float:
        place = math.log10(strength) if strength > 0 else low + 0.3
        return _LEFT + _WIDTH * (place - low) / (high - low)

    up = _Axis([y for line in series.values() for ys in line.values() for y in ys], _TOP + _HEIGHT, _TOP)
    parts = _frame([(at(strength), f"{strength:g}") for strength in strengths], up, "lambda", y_title)
    for place, (name, line) in enumerate(series.items()):
        means = [(at(strength), up.at(sum(ys) / len(ys))) for strength, ys in sorted(line.items())]
        path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in means)
        parts.append(f'<path class="curve" d="{path}" {stroke(name, place)}/>')
        for strength, ys in line.items():
            parts += [
                f'<circle cx="{at(strength):.1f}" cy="{up.at(y):.1f}" r="3.5" fill="{colour(name, place)}">'
                f"<title>{escape(f'{name}, lambda {strength:g}: {100 * y:.1f} %')}</title></circle>"
                for y in ys
            ]
    return legend(list(series)) + _drawn(parts, label)


class _Axis:
    """Fractions on a linear scale whose ends are round."""

    def __init__(self, values: Sequence[float], begin: float, end: float):
        low, high = min(values), max(values)
        wide = max(high - low, 0.01)
        scale = 10.0 ** math.floor(math.log10(wide / 4))
        self._step = next(step * scale for step in (*_STEPS, 10) if wide / (step * scale) <= 6)
        self._low = math.floor(low / self._step + 1e-9) * self._step
        self._high = max(math.ceil(high / self._step - 1e-9) * self._step, self._low + self._step)
        self._begin, self._end = begin, end

    def at(self, value: float) -> float:
        """Give the place of a value in px."""
        return self._begin + (self._end - self._begin) * (value - self._low) / (self._high - self._low)

    def ticks(self) -> list[tuple[float, str]]:
        """Give places in px and what is written there, in percent."""
        count = round((self._high - self._low) / self._step)
        values = [self._low + step * self._step for step in range(count + 1)]
        return [(self.at(value), f"{round(100 * value, 6):g}") for value in values]


def _frame(across: Sequence[tuple[float, str]], up: _Axis, x_title: str, y_title: str) -> list[str]:
    right, bottom = _LEFT + _WIDTH, _TOP + _HEIGHT
    parts = []
    for x, words in across:
        parts.append(f'<path class="grid" d="M{x:.1f} {_TOP}V{bottom}"/>')
        parts.append(text(round(x, 1), bottom + 17, words))
    for y, words in up.ticks():
        parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{right}"/>')
        parts.append(text(_LEFT - 7, round(y + 4, 1), words, anchor="end"))
    parts.append(text(_LEFT + _WIDTH / 2, bottom + 38, x_title))
    parts.append(text(15, _TOP + _HEIGHT / 2, y_title, turned=True))
    return parts


def _drawn(parts: Sequence[str], label: str) -> str:
    return f"<figure>{element(_LEFT + _WIDTH + _RIGHT, _TOP + _HEIGHT + _BOTTOM, label, parts)}</figure>"
