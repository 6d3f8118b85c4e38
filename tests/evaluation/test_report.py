"""The report: well-formed, self-contained, escaped, accessible, and its curves in the right place."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from statistics import NormalDist

import numpy as np
import pytest

from ringtrue.evaluation.figures import figure_table, group_table
from ringtrue.evaluation.histograms import histogram_counts, histogram_plot, reliability
from ringtrue.evaluation.metrics import eer
from ringtrue.evaluation.plots import bar_plot, det_plot, det_ticks, legend
from ringtrue.evaluation.report import render_judgement, render_report, write_report
from ringtrue.evaluation.scores import Scores
from ringtrue.evaluation.table import FLOOR, Evaluation, evaluation, system_table, the_table

EVIL = 'hero <script>alert("x")</script> & co $table'


def scores(seed: int, shift: float, **metadata: object) -> Scores:
    system = np.array([""] * 80 + ["vits", "flite & co", "espeak<b>"] * 30)
    label = np.where(system == "", "bonafide", "spoof")
    split = np.where(system == "vits", "test_seen", "test")
    speaker = np.array([f"s{i % 11}" for i in range(system.size)])
    values = np.random.default_rng(seed).normal(size=system.size) + shift * (system == "")
    names = np.array([f"t{i}" for i in range(system.size)])
    return Scores(names, label, values, {"system": system, "speaker": speaker, "split": split}, metadata)


@pytest.fixture(scope="module")
def judged() -> Evaluation:
    models = {
        "baseline": scores(1, 1.0),
        EVIL: scores(2, 2.0, model_sha256="ab12", command="ringtrue <score>"),
    }
    return evaluation(models, scores(3, 0.1))


@pytest.fixture(scope="module")
def page(judged: Evaluation) -> str:
    table = the_table(judged, (EVIL, "baseline"), draws=20)
    return render_report(
        judged, table, system_table(judged, draws=20), {"command": "ringtrue demo", "n": [1, 2]}
    )


class Reader(HTMLParser):
    """Checks that elements nest, and gathers tags, attributes and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"an attribute of {tag} occurs twice"
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data if "style" not in self.open else ""

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_well_formed_and_self_contained(page: str) -> None:
    reader = Reader(page)
    assert not re.search(r"https?:|//|url\(|@import|src=|<link|<script|<img|<iframe", page)
    assert {"h1", "table", "caption", "svg", "figcaption", "details", "dl"} <= {tag for tag, _ in reader.tags}
    assert reader.attributes("html") == [{"lang": "en"}]
    assert not re.search(r"\$\w+", page.replace("$table", ""))  # no placeholder left but the evil name's


def test_everything_from_outside_is_escaped(page: str) -> None:
    reader = Reader(page)
    assert EVIL in reader.text
    assert "espeak<b> (unseen)" in reader.text
    assert "ringtrue <score>" in reader.text
    assert not {"script", "b", "score"} & {tag for tag, _ in reader.tags}


def test_accessible(page: str) -> None:
    reader = Reader(page)
    assert all(heading.get("scope") in ("col", "row") for heading in reader.attributes("th"))
    assert len(reader.attributes("caption")) == len(reader.attributes("table")) == 2
    pictures = [svg for svg in reader.attributes("svg") if svg.get("role") == "img"]
    assert len(pictures) == 3
    assert all(svg["aria-label"] for svg in pictures)
    others = [svg for svg in reader.attributes("svg") if svg.get("role") != "img"]
    assert all("aria-hidden" in svg or "viewBox" in str(svg) or "viewbox" in svg for svg in others)
    assert "prefers-color-scheme: dark" in page


def test_says_how_it_was_made_and_what_the_floor_is(page: str, judged: Evaluation) -> None:
    text = Reader(page).text
    for said in ("ringtrue demo", "[1, 2]", "model_sha256", "ab12", "hears no speech", "What it cannot say"):
        assert said in text
    without = Evaluation({"baseline": judged.models["baseline"]}, judged.columns)
    text = Reader(render_report(without, the_table(without, draws=5))).text
    assert "hears no speech" not in text
    assert "do not say how they were made" in text


def test_written_file_is_the_rendered_page_and_rendering_repeats(tmp_path, judged: Evaluation) -> None:
    table = the_table(judged, draws=5)
    write_report(tmp_path / "table.html", judged, table, title="T & T")
    written = (tmp_path / "table.html").read_text(encoding="utf-8")
    assert written == render_report(judged, table, title="T & T")
    assert "<title>T &amp; T</title>" in written


def test_det_dot_lies_on_the_diagonal_at_the_eer(judged: Evaluation) -> None:
    one = judged.scores("baseline", "unseen systems")
    ticks = det_ticks([one])
    svg = det_plot({"baseline": one}, "unseen", ticks)
    (x, y) = (float(value) for value in re.search(r'cx="([\d.]+)" cy="([\d.]+)"', svg).groups())
    normal = NormalDist()
    low, high = normal.inv_cdf(ticks[0]), normal.inv_cdf(ticks[-1])
    share = (normal.inv_cdf(eer(one.bonafide, one.spoof)) - low) / (high - low)
    assert x == pytest.approx(58 + 380 * share, abs=0.06)
    assert y == pytest.approx(12 + 380 * (1 - share), abs=0.06)


def test_det_curve_of_two_normals_is_a_line() -> None:
    """With scores at normal quantiles, probit axes make frr = Phi(probit(1 - far) - d'): slope -1."""
    normal = NormalDist()
    grid = np.array([normal.inv_cdf((i + 0.5) / 2000) for i in range(2000)])
    names, labels = np.arange(4000).astype(str), np.repeat(["bonafide", "spoof"], 2000)
    both = Scores(names, labels, np.concatenate([grid + 2, grid]))
    svg = det_plot({"normal": both}, "", [0.01, 0.5])
    path = re.search(r'class="curve" d="M[\d. -]+?((?:H[\d.-]+V[\d.-]+)+)"', svg).group(1)
    points = np.array(re.findall(r"H([\d.-]+)V([\d.-]+)", path), dtype=float)
    inside = points[(points[:, 0] > 60) & (points[:, 0] < 430) & (points[:, 1] > 14) & (points[:, 1] < 390)]
    scale = 380 / (normal.inv_cdf(0.5) - normal.inv_cdf(0.01))
    # probit(frr) + probit(far) = -2, whatever the threshold.
    quantiles = (inside[:, 0] - 58) / scale + (392 - inside[:, 1]) / scale + 2 * normal.inv_cdf(0.01)
    assert len(inside) > 200
    assert np.max(np.abs(quantiles + 2)) < 0.05


def test_large_curves_stay_small() -> None:
    rng = np.random.default_rng(0)
    names, labels = np.arange(60_000).astype(str), np.repeat(["bonafide", "spoof"], 30_000)
    many = Scores(names, labels, rng.normal(size=60_000) + 2 * (labels == "bonafide"))
    assert len(det_plot({"m": many}, "", det_ticks([many]))) < 40_000


def test_axes_hold_every_eer_and_series_differ_by_more_than_colour(judged: Evaluation) -> None:
    turned = judged.models["baseline"]
    worst = Scores(turned.trials, turned.labels, -turned.scores - 5 * turned.is_bonafide)
    assert det_ticks([turned, worst])[-1] == 0.99
    assert det_ticks([turned])[0] <= 1 / turned.spoof.size
    dashes = re.findall(r"<line[^>]*>", legend(["a", "b", "c", FLOOR]))
    assert len({re.sub(r'stroke="[^"]*"', "", dash) for dash in dashes}) == 4
    assert "var(--floor)" in dashes[3]


def test_bars_are_as_long_as_the_eer(judged: Evaluation) -> None:
    table = system_table(judged, draws=10)
    svg = bar_plot(table)
    widths = [float(width) for width in re.findall(r'<rect [^>]*?width="([\d.]+)"', svg)]
    estimates = [figure.estimate for row in table.rows for figure in row.figures]
    assert len(widths) == len(estimates)
    assert np.ptp(np.array(widths) / np.array(estimates)) < 3  # px per unit, rounded to a tenth


def test_histograms_count_every_trial_once(judged: Evaluation) -> None:
    one = judged.models["baseline"]
    edges, bonafide, spoof = histogram_counts(one)
    assert (bonafide.sum(), spoof.sum()) == (pytest.approx(1), pytest.approx(1))
    place = int(np.searchsorted(edges, 0.0)) - 1
    inside = (one.spoof >= edges[place]) & (one.spoof < edges[place + 1])
    assert spoof[place] == pytest.approx(inside.mean())
    same = Scores(one.trials, one.labels, np.zeros(len(one)))
    assert histogram_counts(same)[1].sum() == 1  # constant scores have a bin, too
    assert "NaN" not in histogram_plot(same, "constant")


def test_true_log_likelihood_ratios_lie_on_the_line_of_reliability() -> None:
    rng = np.random.default_rng(0)
    names, labels = np.arange(40_000).astype(str), np.repeat(["bonafide", "spoof"], [8_000, 32_000])
    values = rng.normal(size=40_000) * 2 + np.where(
        labels == "bonafide", 2, -2
    )  # N(2, 4), N(-2, 4): its own LLR
    points = reliability(Scores(names, labels, values))
    assert points.stated.size == 10
    assert points.observed == pytest.approx(points.stated, abs=0.03)
    steep = reliability(Scores(names, labels, values / 4))
    assert np.all(np.abs(steep.observed - 0.5) >= np.abs(steep.stated - 0.5) - 0.02)  # it says too little


def test_judgement_page_shows_everything_and_is_well_formed(judged: Evaluation) -> None:
    tables = (figure_table(judged, draws=5), group_table(judged, "system", draws=5))
    page = render_judgement(judged, tables, {"sha256": {"a.tsv": "ab", "b<i>.tsv": "cd"}, "n": ["x", "y"]})
    reader = Reader(page)
    for said in (
        "minCllr",
        "By system",
        "How the scores are spread",
        "Do the scores mean",
        "b<i>.tsv: cd",
        EVIL,
    ):
        assert said in reader.text
    assert not re.search(r"https?:|url\(|src=|<link|<script|<img", page)
    assert all(svg["aria-label"] for svg in reader.attributes("svg") if svg.get("role") == "img")
    assert len([svg for svg in reader.attributes("svg") if svg.get("role") == "img"]) == 2 + 1 + 3 + 1
