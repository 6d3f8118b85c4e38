"""Probe reports -> a table for a terminal, and a page with one picture: what does this detector listen to?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from string import Template
from typing import Any

from ringtrue.evaluation.plots import element, text
from ringtrue.evaluation.probes.construct import SENSITIVITIES

Report = Mapping[str, Any]

QUESTIONS = ("content", "sentence", "language", "speaker", "generator")
_LISTENERS = {"model": "this model", "against": "baseline", "untrained": "untrained", "log_mel": "log-mel"}
_ROW, _LEFT, _WIDTH = 46, 96, 480


def lines(report: Report) -> list[str]:
    """Write a report for a terminal.

    Args:
        report: As `probe.probe_model` or `probe.probe_scorer` gives it.

    Returns:
        Its lines.
    """
    counts = report["clips"]
    out = [
        f"{report['subject']}: {counts['heard']} clips for leakage, {counts['people']} of people for stimuli"
    ]
    if "leakage" in report:
        out += ["", f"{'leakage, % right':26}" + "".join(f"{name:>22}" for name in _columns(report))]
        out += [
            f"{name:26}" + "".join(f"{cell:>22}" for cell in cells) for name, cells in _leakage_rows(report)
        ]
        for who, shares in report["normalised_leakage"].items():
            told = ", ".join(f"{name} {share:.2f}" for name, share in sorted(shares.items()))
            out.append(f"of what log-mel tells, {_LISTENERS[who]} tells: {told or 'not measurable here'}")
    if report.get("erasure"):
        out += ["", _erasure_words(report["erasure"])]
    if "sensitivity" in report:
        out += ["", "what the score listens to, 0 to 1 (95 % interval)"]
        out += [
            f"  {name:10} {found['value']:.2f} [{found['low']:.2f}, {found['high']:.2f}]"
            for name, found in report["sensitivity"].items()
        ]
        out += ["", "what moves it, in deviations of the clips' scores (below 0: less bona fide)"]
        out += [
            f"  {name:18} {moved['mean']:+.2f} [{moved['low']:+.2f}, {moved['high']:+.2f}]"
            for name, moved in report["shift"].items()
        ]
    return out


def _columns(report: Report) -> list[str]:
    return ["guessing", *(_LISTENERS[who] for who in _LISTENERS if who in report["leakage"])]


def _leakage_rows(report: Report) -> list[tuple[str, list[str]]]:
    """One row a question and probe: what guessing gives, then every listener."""
    found = report["leakage"]
    listeners = [who for who in _LISTENERS if who in found]
    rows = []
    for question in QUESTIONS:
        ours = found["model"].get(question)
        if ours is None:
            continue
        if question == "sentence":
            cells = [_share(found[who].get(question), "recall_at_1") for who in listeners]
            rows.append(("sentence, R@1", [f"{100 * ours['chance']:.1f}", *cells]))
            continue
        for kind, reading in ours.items():
            cells = [_share(found[who].get(question, {}).get(kind), "accuracy") for who in listeners]
            rows.append((f"{question}, {kind}", [f"{100 * reading['majority']:.1f}", *cells]))
            if question == "content":
                bits = [found[who].get(question, {}).get(kind) for who in listeners]
                rows.append(("  bits a frame", ["0.00", *(f"{b['bits']:.2f}" if b else "-" for b in bits)]))
    return rows


def _share(found: Mapping[str, float] | None, name: str) -> str:
    if not found:
        return "-"
    return f"{100 * found[name]:.1f} [{100 * found['low']:.1f}, {100 * found['high']:.1f}]"


def _erasure_words(found: Mapping[str, float]) -> str:
    return (
        f"content erased from embeddings (LEACE given the label, rank {found['rank']}), logistic refitted: EER "
        f"{100 * found['eer']:.1f} -> {100 * found['eer_content']:.1f} %; {found['draws']} random subspaces: "
        f"{100 * found['eer_random']:.1f} [{100 * found['random_low']:.1f}, {100 * found['random_high']:.1f}] %; "
        f"percentile {found['percentile']:.2f} (below 0.05: content was in the way)"
    )


def picture(report: Report) -> str:
    """Draw the sensitivities as bars from 0 to 1 with their intervals.

    Args:
        report: With ``sensitivity``.

    Returns:
        An SVG element that follows the page's colours.
    """
    found = report["sensitivity"]
    bottom = 12 + _ROW * len(SENSITIVITIES)
    parts = []
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        across = _LEFT + _WIDTH * tick
        parts.append(f'<path class="grid" d="M{across:g} 8V{bottom}"/>')
        parts.append(text(across, bottom + 18, f"{tick:g}"))
    parts.append(text(_LEFT, bottom + 36, "takes no notice", anchor="start"))
    parts.append(text(_LEFT + _WIDTH, bottom + 36, "tells every clip", anchor="end"))
    for place, name in enumerate(SENSITIVITIES):
        middle = 12 + _ROW * place + _ROW / 2
        parts.append(text(_LEFT - 10, middle + 4, name, anchor="end"))
        if name not in found:
            parts.append(text(_LEFT + 8, middle + 4, "not measured", anchor="start"))
            continue
        value, low, high = (found[name][key] for key in ("value", "low", "high"))
        label = f"{name} {value:.2f}, 95 % interval {low:.2f} to {high:.2f}"
        parts.append(
            f'<rect x="{_LEFT}" y="{middle - 11:g}" width="{max(1.0, _WIDTH * value):.1f}" height="22" rx="3" '
            f'fill="var(--s{place % 6})" fill-opacity=".8"><title>{escape(label)}</title></rect>'
        )
        ends = _LEFT + _WIDTH * low, _LEFT + _WIDTH * high
        parts.append(f'<path class="whisker" d="M{ends[0]:.1f} {middle:g}H{ends[1]:.1f}"/>')
        for end in ends:
            parts.append(f'<path class="whisker" d="M{end:.1f} {middle - 5:g}V{middle + 5:g}"/>')
        parts.append(text(_LEFT + _WIDTH + 14, middle + 4, f"{value:.2f}", anchor="start"))
    words = ", ".join(f"{name} {found[name]['value']:.2f}" for name in SENSITIVITIES if name in found)
    return element(_LEFT + _WIDTH + 60, bottom + 48, f"Sensitivity of {report['subject']}: {words}", parts)


def page(reports: Sequence[Report]) -> str:
    """Lay reports out on one page that needs nothing else.

    Args:
        reports: One or more.

    Returns:
        HTML.
    """
    template = (
        resources.files("ringtrue.evaluation.probes").joinpath("probe.html").read_text(encoding="utf-8")
    )
    meanings = "".join(f"<dt>{name}</dt><dd>{escape(words)}</dd>" for name, words in SENSITIVITIES.items())
    return Template(template).substitute(body="".join(map(_section, reports)), meanings=meanings)


def _section(report: Report) -> str:
    parts = [f"<section><h2>{escape(str(report['subject']))}</h2>"]
    if "sensitivity" in report:
        parts.append(f"<figure>{picture(report)}<figcaption>What moves its score</figcaption></figure>")
        rows = [
            (name.replace("_", " "), [f"{moved['mean']:+.2f} [{moved['low']:+.2f}, {moved['high']:+.2f}]"])
            for name, moved in report["shift"].items()
        ]
        caption = "Change of score of people's clips, in deviations of their scores; below 0: less bona fide"
        parts.append(_table(caption, ["version", "change [95 %]"], rows))
    if "leakage" in report:
        head = ["question, probe", *_columns(report)]
        parts.append(_table("What can be read from it, % right [95 %]", head, _leakage_rows(report)))
    if report.get("erasure"):
        parts.append(f"<p>{escape(_erasure_words(report['erasure']).capitalize())}.</p>")
    counts = report["clips"]
    parts.append(
        f'<p class="made">ringtrue {escape(report["ringtrue"])}, seed {report["plan"]["seed"]}; '
        f"{counts['heard']} clips for leakage, {counts['with_units']} of them with content units; "
        f"{counts['people']} clips of people.</p></section>"
    )
    return "".join(parts)


def _table(caption: str, head: Sequence[str], rows: Sequence[tuple[str, list[str]]]) -> str:
    heading = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{escape(name.strip())}</th>{_cells(cells)}</tr>' for name, cells in rows
    )
    return (
        f'<div class="scroll"><table><caption>{escape(caption)}</caption><thead><tr>{heading}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _cells(cells: Sequence[str]) -> str:
    return "".join(f"<td>{escape(cell)}</td>" for cell in cells)
