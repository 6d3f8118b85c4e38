"""Scores and tables -> inline SVG that follows the page's light or dark colours; no drawing library needed.

Text stays text, so that it can be read aloud, searched and copied. Series differ by dash as well as by
colour. Colours are CSS variables, ``--s0`` to ``--s5`` and ``--floor``, that the page (report.html) defines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from ringtrue.evaluation.metrics import det_curve, eer
from ringtrue.evaluation.scores import Scores
from ringtrue.evaluation.table import FLOOR, Table, format_figure

_TICKS = (
    0.001,
    0.002,
    0.005,
    0.01,
    0.02,
    0.05,
    0.1,
    0.2,
    0.3,
    0.4,
    0.5,
    0.6,
    0.7,
    0.8,
    0.9,
    0.95,
    0.98,
    0.99,
)
_DASHES = ("", "7 3", "2 3", "9 3 2 3", "12 4", "4 2")
_PLOT = 380  # side of the square of a DET plot, in px
_LEFT, _TOP, _BOTTOM, _RIGHT = 58, 12, 48, 16
_BAR, _BAR_GAP, _ROW_GAP, _BAR_WIDTH = 9, 2, 12, 430


def legend(names: Sequence[str]) -> str:
    """Draw the key to the series.

    Args:
        names: Series in their order.

    Returns:
        An HTML list.
    """
    items = [
        f'<li><svg width="34" height="10" aria-hidden="true"><line x1="1" y1="5" x2="33" y2="5" '
        f'stroke-width="3" {stroke(name, place)}/></svg> {escape(name)}</li>'
        for place, name in enumerate(names)
    ]
    return f'<ul class="legend">{"".join(items)}</ul>'


def det_ticks(scores: Sequence[Scores]) -> list[float]:
    """Choose the axes of DET plots: from the finest rate that the trials can show to above the worst EER.

    Args:
        scores: Everything that is to be drawn on equal axes.

    Returns:
        Rates, rising; the first and the last are the ends of both axes.
    """
    finest = min(1 / max(one.bonafide.size, one.spoof.size) for one in scores)
    worst = max(eer(one.bonafide, one.spoof) for one in scores)
    first = max((at for at, tick in enumerate(_TICKS[:6]) if tick <= finest), default=0)
    last = next((at for at, tick in enumerate(_TICKS) if tick >= max(0.6, worst + 0.05)), len(_TICKS) - 1)
    return list(_TICKS[first : last + 1])


def det_plot(curves: Mapping[str, Scores], title: str, ticks: Sequence[float]) -> str:
    """Draw detection error trade-offs on probit axes, where two normal score distributions make a line.

    Martin et al., "The DET curve in assessment of detection task performance", 1997.

    Args:
        curves: Scores by series name.
        title: What the trials are, read out by screen readers.
        ticks: The axes, of `det_ticks`; plots to be compared need the same.

    Returns:
        An SVG element.
    """
    low, high = (_probit(np.array(rate)) for rate in (ticks[0], ticks[-1]))

    def x(rate: NDArray[np.float64]) -> NDArray[np.float64]:
        return _LEFT + _PLOT * (_probit(rate) - low) / (high - low)

    def y(rate: NDArray[np.float64]) -> NDArray[np.float64]:
        return _TOP + _PLOT * (high - _probit(rate)) / (high - low)

    right, bottom = _LEFT + _PLOT, _TOP + _PLOT
    parts = []
    for tick in ticks:
        across, down = float(x(np.array(tick))), float(y(np.array(tick)))
        parts.append(f'<path class="grid" d="M{across:.1f} {_TOP}V{bottom}M{_LEFT} {down:.1f}H{right}"/>')
        parts.append(f'<text x="{across:.1f}" y="{bottom + 17}" text-anchor="middle">{100 * tick:g}</text>')
        parts.append(f'<text x="{_LEFT - 7}" y="{down + 4:.1f}" text-anchor="end">{100 * tick:g}</text>')
    parts.append(f'<path class="chance" d="M{_LEFT} {bottom}L{right} {_TOP}"/>')
    parts.append(text(_LEFT + _PLOT / 2, bottom + 38, "spoof accepted as bona fide (%)"))
    parts.append(text(15, _TOP + _PLOT / 2, "bona fide rejected as spoof (%)", turned=True))
    summary, lines, dots = [], [], []
    for place, (name, scores) in enumerate(curves.items()):
        frr, far, _ = det_curve(scores.bonafide, scores.spoof)
        point = np.array(eer(scores.bonafide, scores.spoof))
        summary.append(f"{name} {100 * point:.1f} %")
        path = _staircase(x(far), y(frr))
        label = escape(f"{name}: EER {100 * point:.1f} %")
        lines.append(f'<path class="curve" d="{path}" {stroke(name, place)}><title>{label}</title></path>')
        dots.append(
            f'<circle cx="{float(x(point)):.1f}" cy="{float(y(point)):.1f}" r="4.5" '
            f'fill="{colour(name, place)}"><title>{label}</title></circle>'
        )
    # A nested svg element clips what lies beyond the axes.
    box = f'x="{_LEFT}" y="{_TOP}" width="{_PLOT}" height="{_PLOT}" viewBox="{_LEFT} {_TOP} {_PLOT} {_PLOT}"'
    parts += [f"<svg {box}>", *lines, "</svg>", *dots]
    width, height = right + _RIGHT, bottom + _BOTTOM
    return element(width, height, f"DET curves, {title}. EER: {'; '.join(summary)}", parts)


def bar_plot(table: Table) -> str:
    """Draw a table of systems as bars with interval whiskers.

    Args:
        table: Its rows are systems, its columns the series.

    Returns:
        An SVG element.
    """
    figures = [figure for row in table.rows for figure in row.figures]
    top, step = _axis(max(figure.high for figure in figures))
    left = 24 + 7 * max(len(row.name) for row in table.rows)
    row_height = len(table.columns) * (_BAR + _BAR_GAP) + _ROW_GAP
    bottom = _TOP + row_height * len(table.rows)
    parts = []
    for tick in np.arange(0.0, top + step / 2, step):
        across = left + _BAR_WIDTH * tick / top
        parts.append(f'<path class="grid" d="M{across:.1f} {_TOP}V{bottom}"/>')
        parts.append(f'<text x="{across:.1f}" y="{bottom + 17}" text-anchor="middle">{100 * tick:g}</text>')
    if top >= 0.5:
        chance = left + _BAR_WIDTH * 0.5 / top
        parts.append(f'<path class="chance" d="M{chance:.1f} {_TOP}V{bottom}"/>')
    parts.append(text(left + _BAR_WIDTH / 2, bottom + 38, "EER (%), whiskers: 95 % interval"))
    for line, row in enumerate(table.rows):
        begin = _TOP + line * row_height + _ROW_GAP / 2
        middle = begin + len(table.columns) * (_BAR + _BAR_GAP) / 2
        parts.append(f'<text x="{left - 8}" y="{middle + 4:.1f}" text-anchor="end">{escape(row.name)}</text>')
        for place, (name, figure) in enumerate(zip(table.columns, row.figures, strict=True)):
            down = begin + place * (_BAR + _BAR_GAP)
            ends = [left + _BAR_WIDTH * value / top for value in (figure.low, figure.high)]
            parts.append(
                f'<rect x="{left}" y="{down:.1f}" width="{max(1.0, _BAR_WIDTH * figure.estimate / top):.1f}" '
                f'height="{_BAR}" fill="{colour(name, place)}" fill-opacity=".8">'
                f"<title>{escape(f'{row.name}, {name}: {format_figure(figure)} %')}</title></rect>"
            )
            parts.append(f'<path class="whisker" d="M{ends[0]:.1f} {down + _BAR / 2:.1f}H{ends[1]:.1f}"/>')
    return element(
        left + _BAR_WIDTH + _RIGHT, bottom + _BOTTOM, f"{table.title}; the table below has the figures", parts
    )


def _axis(highest: float) -> tuple[float, float]:
    """Choose the end of an axis of rates and the distance of its ticks: two to ten of them."""
    step = next(step for step in (0.002, 0.005, 0.01, 0.02, 0.05, 0.1) if highest <= 5 * step or step == 0.1)
    return min(1.0, max(step, np.ceil(highest / step - 1e-9) * step)), step


def _probit(rate: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map rates to standard normal quantiles; 0 and 1, which have none, go far outside the plot."""
    normal = NormalDist()
    distinct, place = np.unique(np.clip(rate, 1e-7, 1 - 1e-7), return_inverse=True)
    quantiles = np.array([normal.inv_cdf(value) for value in distinct.tolist()])
    return np.asarray(quantiles[place].reshape(np.shape(rate)))


def _staircase(x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
    """Join points by horizontal and vertical steps of half a pixel at least: 70,000 trials take no more room."""
    points = np.round(2 * np.clip(np.stack([x, y], axis=1), 0, _LEFT + _PLOT + 20)) / 2
    moved = np.append(True, np.any(points[1:] != points[:-1], axis=1))
    (first_x, first_y), *others = points[moved].tolist()
    return f"M{first_x:g} {first_y:g}" + "".join(f"H{px:g}V{py:g}" for px, py in others)


def colour(name: str, place: int) -> str:
    """Give the colour of a series.

    Args:
        name: Its name.
        place: Its place among the series.

    Returns:
        A CSS colour that follows the page's light or dark.
    """
    return "var(--floor)" if name == FLOOR else f"var(--s{place % 6})"


def stroke(name: str, place: int) -> str:
    """Give the line of a series: its colour and its dash.

    Args:
        name: Its name.
        place: Its place among the series.

    Returns:
        SVG attributes.
    """
    dash = "3 3" if name == FLOOR else _DASHES[place % len(_DASHES)]
    return f'stroke="{colour(name, place)}"' + (f' stroke-dasharray="{dash}"' if dash else "")


def text(x: float, y: float, words: str, turned: bool = False, anchor: str = "middle") -> str:
    """Write a label.

    Args:
        x: Place in px.
        y: Place in px.
        words: What to write.
        turned: Upwards.
        anchor: Which end is at the place: ``start``, ``middle`` or ``end``.

    Returns:
        An SVG element.
    """
    turn = f' transform="rotate(-90 {x:g} {y:g})"' if turned else ""
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}"{turn}>{escape(words)}</text>'


def element(width: float, height: float, label: str, parts: Sequence[str]) -> str:
    """Wrap parts of a picture.

    Args:
        width: In px.
        height: In px.
        label: What it shows, read out by screen readers.
        parts: SVG elements.

    Returns:
        An SVG element.
    """
    head = f'<svg viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" role="img"'
    return f'{head} aria-label="{escape(label)}">{"".join(parts)}</svg>'
