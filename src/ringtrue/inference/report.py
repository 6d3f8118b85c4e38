"""Verdicts -> one self-contained HTML page: the finding in plain words, a picture, measurements, limits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from string import Template

from ringtrue.inference.batch import Outcome
from ringtrue.inference.judge import ENOUGH_SPEECH_S
from ringtrue.inference.source import in_words, neighbours_in_words
from ringtrue.inference.verdict import Verdict

MOST_IN_DETAIL = 200  # recordings with a picture of their own; a table lists all of them

_WIDTH, _WAVE, _BARS = 720.0, 84.0, 34.0
_FULL_LLR = 6.0  # an LLR beyond this is drawn at full strength
_WORDS = {"bona fide": "bona fide", "spoof": "spoof", "inconclusive": "no decision"}
_CALLED = {"bona fide": "human (bona fide)", "spoof": "machine-made (spoof)"}
_CLASSES = {"bona fide": "real", "spoof": "made", "inconclusive": "open"}
_MEASUREMENTS = {
    "speech_s": ("speech", "s", 1),
    "speech_share": ("share that is speech", "%", 100),
    "level_db": ("level of the speech", "dBFS", 1),
    "snr_db": ("speech over background", "dB", 1),
    "bandwidth_hz": ("bandwidth", "kHz", 1e-3),
    "full_scale_share": ("samples at full scale", "%", 100),
    "pauses_per_min": ("pauses a minute", "", 1),
    "pause_mean_s": ("mean pause", "s", 1),
    "pause_sd_s": ("spread of the pauses", "s", 1),
}


def render_report(outcomes: Sequence[Outcome], command: str, version: str) -> str:
    """Draw a report.

    Args:
        outcomes: What became of each recording.
        command: How it was made.
        version: Of ringtrue.

    Returns:
        HTML that needs nothing else: no script, no address.
    """
    judged = [outcome.verdict for outcome in outcomes if outcome.verdict is not None]
    counts = {word: sum(verdict.decision == word for verdict in judged) for word in _WORDS}
    failed = len(outcomes) - len(judged)
    summary = f"{len(outcomes)} recording{'s' if len(outcomes) != 1 else ''}: " + ", ".join(
        [f"{count} {_WORDS[word]}" for word, count in counts.items() if count]
        + ([f"{failed} unreadable"] if failed else [])
    )
    page = Template((files("ringtrue.inference") / "report.html").read_text(encoding="utf-8"))
    return page.substitute(
        summary=escape(summary or "no recordings"),
        table="\n".join(_row(place, outcome) for place, outcome in enumerate(outcomes)),
        details="\n".join(
            _detail(place, outcome.verdict)
            for place, outcome in enumerate(outcomes[:MOST_IN_DETAIL])
            if outcome.verdict is not None
        ),
        left_out=(
            f"<p>Pictures are drawn for the first {MOST_IN_DETAIL} recordings.</p>"
            if len(outcomes) > MOST_IN_DETAIL
            else ""
        ),
        command=escape(command),
        version=escape(version),
    )


def plain_words(verdict: Verdict) -> str:
    """Say what a verdict means, without a number that would be taken for a certainty.

    Args:
        verdict: The verdict.

    Returns:
        Two or three sentences.
    """
    if verdict.llr is None:
        return (
            "The model has never been calibrated, so its score is no evidence by itself. No decision is made."
        )
    odds = math.exp(min(abs(verdict.llr), 12.0))
    favoured, other = (
        ("a person speaking", "a machine") if verdict.llr > 0 else ("a machine", "a person speaking")
    )
    compared = "about as likely if" if odds < 1.5 else f"about {_round(odds)} times more likely if"
    strength = (
        f"The evidence is {compared} it was made by {favoured} {'as' if odds < 1.5 else 'than'} if it was made by "
        f"{other}, as far as the model's development data can tell."
    )
    if verdict.decision == "inconclusive":
        short = verdict.evidence["speech_s"] < ENOUGH_SPEECH_S
        why = "There is too little speech" if short else "Evidence as weak as this is wrong too often"
        return f"{strength} {why} for a decision."
    if verdict.regions and verdict.decision == "spoof":
        where = ", ".join(f"{region.start_s:.1f} to {region.end_s:.1f} s" for region in verdict.regions[:5])
        lower = verdict.operating_point.get("band", {}).get("lower", -math.inf)
        if verdict.llr >= lower:
            return (
                f"As a whole: {strength[0].lower()}{strength[1:]} But what is heard at {where} stands out as "
                "machine-made, more than chance finds in a recording of this length. "
                "It is called machine-made (spoof), in part."
            )
        return f"{strength} It is called machine-made (spoof). The evidence for a machine is strongest at {where}."
    return f"{strength} It is called {_CALLED[verdict.decision]}."


def _row(place: int, outcome: Outcome) -> str:
    verdict = outcome.verdict
    if verdict is None:
        return f'<tr><td>{escape(outcome.name)}</td><td class="bad" colspan="3">{escape(outcome.error)}</td></tr>'
    name = escape(outcome.name)
    link = f'<a href="#r{place}">{name}</a>' if place < MOST_IN_DETAIL else name
    llr = "" if verdict.llr is None else f"{verdict.llr:+.2f}"
    length = _clock(round(verdict.audio["duration_s"], 1))
    return (
        f'<tr><td>{link}</td><td><span class="tag {_CLASSES[verdict.decision]}">{_WORDS[verdict.decision]}</span>'
        f'</td><td class="number">{llr}</td><td class="number">{length}</td></tr>'
    )


def _detail(place: int, verdict: Verdict) -> str:
    audio, model = verdict.audio, verdict.model
    facts = [
        (
            "file",
            f"{audio['container']}, {audio['codec']}, {audio['native_rate_hz']} Hz, {audio['channels']} ch",
        ),
        ("sha256 of the file", audio["sha256"]),
        (
            "model",
            f"{model.get('name', '')} {model.get('sha256', '')[:16]}, ringtrue {model.get('ringtrue', '')}",
        ),
        ("decided at", _operating_point(verdict)),
    ]
    if verdict.source:
        facts[:0] = [
            ("source", in_words(verdict.source)),
            ("nearest known systems", "; ".join(neighbours_in_words(verdict.source))),
        ]
    lines = "".join(f"<dt>{name}</dt><dd>{escape(str(value))}</dd>" for name, value in facts)
    warnings = "".join(f"<li>{escape(warning)}</li>" for warning in verdict.warnings)
    return (
        f'<section id="r{place}"><h2>{escape(verdict.name)} '
        f'<span class="tag {_CLASSES[verdict.decision]}">{_WORDS[verdict.decision]}</span></h2>'
        f"<p>{escape(plain_words(verdict))}</p>{_picture(verdict)}"
        + (f'<ul class="warnings">{warnings}</ul>' if warnings else "")
        + f'<div class="columns">{_measurements(verdict)}<dl>{lines}</dl></div></section>'
    )


def _picture(verdict: Verdict) -> str:
    """Draw the outline of the sound over a strip that shows where the evidence points which way."""
    duration_s = max(verdict.audio["duration_s"], 1e-6)
    middle, parts = _WAVE / 2, []
    for region in verdict.regions:
        x, width = _WIDTH * region.start_s / duration_s, _WIDTH * (region.end_s - region.start_s) / duration_s
        parts.append(f'<rect class="region" x="{x:.1f}" y="0" width="{width:.1f}" height="{_WAVE + _BARS}"/>')
    step = _WIDTH / max(1, len(verdict.envelope))
    peak = max((*verdict.envelope, 1e-3))
    for index, value in enumerate(verdict.envelope):
        half = max(0.5, (middle - 3) * value / peak)
        parts.append(
            f'<rect class="wave" x="{index * step:.1f}" y="{middle - half:.1f}" '
            f'width="{max(0.5, step * 0.7):.1f}" height="{2 * half:.1f}"/>'
        )
    base = _WAVE + _BARS / 2
    parts.append(f'<path class="axis" d="M0 {base}H{_WIDTH}"/>')
    for piece in _joined(verdict):
        start_s, end_s, llr = piece
        if abs(llr) < 0.005:  # shown as 0.00: for neither side
            continue
        height = max(1.0, min(1.0, abs(llr) / _FULL_LLR) * (_BARS / 2 - 2))
        x, width = _WIDTH * start_s / duration_s, max(0.5, _WIDTH * (end_s - start_s) / duration_s - 0.6)
        shade, y = ("real", base - height) if llr > 0 else ("made", base)
        parts.append(
            f'<rect class="{shade}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}">'
            f"<title>{start_s:.1f}-{end_s:.1f} s: LLR {llr:+.2f}</title></rect>"
        )
    bottom = _WAVE + _BARS + 16
    for tick_s in _ticks(duration_s):
        x = _WIDTH * tick_s / duration_s
        anchor = "start" if x < 20 else "end" if x > _WIDTH - 20 else "middle"
        parts.append(f'<text x="{x:.1f}" y="{bottom}" text-anchor="{anchor}">{_clock(tick_s)}</text>')
    return (
        f'<svg viewBox="0 0 {_WIDTH:g} {bottom + 4}" role="img" aria-label="Outline of the sound and, below it, '
        'the evidence over time: up for a person, down for a machine">' + "".join(parts) + "</svg>"
    )


def _joined(verdict: Verdict) -> list[tuple[float, float, float]]:
    """Join the timeline's pieces until no more than a few hundred are left to draw."""
    pieces = [(piece.start_s, piece.end_s, piece.llr) for piece in verdict.segments if piece.llr is not None]
    group = -(-len(pieces) // 240)
    joined = []
    for at in range(0, len(pieces), max(1, group)):
        part = pieces[at : at + group]
        worst = min(part, key=lambda piece: piece[2])[2]  # a spoofed piece must not drown in its neighbours
        joined.append((part[0][0], part[-1][1], worst))
    return joined


def _measurements(verdict: Verdict) -> str:
    rows = []
    for name, (words, unit, factor) in _MEASUREMENTS.items():
        if name in verdict.evidence:
            place = verdict.percentiles.get(name)
            among = (
                f'<td class="number">{"" if place is None else f"{place:g}"}</td>'
                if verdict.percentiles
                else ""
            )
            value = f"{verdict.evidence[name] * factor:.3g} {unit}"
            rows.append(f'<tr><td>{words}</td><td class="number">{value}</td>{among}</tr>')
    head = '<th class="among">percentile among real speech</th>' if verdict.percentiles else ""
    return f"<table><tr><th>measured</th><th></th>{head}</tr>{''.join(rows)}</table>"


def _operating_point(verdict: Verdict) -> str:
    band = verdict.operating_point.get("band")
    if not band:
        return "nothing: not calibrated"
    point = verdict.operating_point
    wrong = ""
    if point.get("bonafide_rejection_rate") is not None:
        wrong = (
            f"; {point['bonafide_rejection_rate']:.1%} of human recordings were called spoof, "
            f"{point['spoof_acceptance_rate']:.1%} of machine-made ones bona fide"
        )
    return (
        f"LLR below {band['lower']:.2f} spoof, from {band['upper']:.2f} bona fide, in between no decision{wrong}; "
        f"measured on {point.get('measured_on', 'unknown')}"
    )


def _ticks(duration_s: float) -> list[float]:
    step = next((s for s in (0.5, 1, 2, 5, 10, 30, 60, 300, 600, 1800, 3600) if duration_s / s <= 9), 7200)
    return [step * index for index in range(int(duration_s / step) + 1)]


def _clock(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:g} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"


def _round(number: float) -> str:
    digits = 10 ** max(0, math.floor(math.log10(number)) - 1)
    return f"{round(number / digits) * digits:,}" if number >= 10 else f"{number:.0f}"
