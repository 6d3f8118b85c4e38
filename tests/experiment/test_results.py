"""From finished runs to The Table, the verdicts and the report: on runs whose truth is known."""

import csv
import io
import json
import re

import numpy as np
import pytest

from ringtrue.errors import ScoresError
from ringtrue.evaluation.metrics import eer
from ringtrue.evaluation.scores import Scores, write_scores
from ringtrue.evaluation.table import FLOOR
from ringtrue.experiment.plan import Experiment, resolve
from ringtrue.experiment.report import write_results
from ringtrue.experiment.results import figures_table, gather, main_table
from ringtrue.experiment.runs import _done, scores_path
from ringtrue.experiment.verdicts import judge
from ringtrue.files import write_json

SHIFTS = {"base": 1.0, "small": 1.02, "good": 2.4, "worse": 0.4}
LEAKS = {"base": 0.30, "small": 0.295, "good": 0.10, "worse": 0.50}
LABELS = np.repeat(["bonafide", "spoof"], [200, 400])


def scores(shift, seed):
    hard = np.random.default_rng(7).normal(size=600)
    values = hard + np.random.default_rng(seed).normal(size=600) / 4 + shift * (LABELS == "bonafide")
    columns = {
        "speaker": np.array([f"s{i % 20}" for i in range(600)]),
        "system": np.where(LABELS == "spoof", np.array([f"A{i % 12}" for i in range(600)]), ""),
    }
    return Scores(np.array([f"t{i}" for i in range(600)]), LABELS, values, columns, {"model": "toy"})


def better(first, second, **more):
    return {"text": f"{first} beats {second}.", "contrast": [first, second], **more}


HYPOTHESES = {
    "clear": better("good", "base", margin=0.2, relative=True, seeds_agree=1.0),
    "too much": better("good", "base", margin=0.9, relative=True),
    "nothing": better("small", "base"),
    "worse": better("worse", "base", direction="above"),
    "same": better("small", "base", direction="within", margin=0.03),
    "not the same": better("good", "base", direction="within", margin=0.03),
    "no harm": better("small", "base", direction="not above", margin=0.03),
    "harm": better("worse", "base", direction="not above", margin=0.03),
    "leak": better("good", "base", figure="leakage", margin=0.3, relative=True),
    "leak stays": better("small", "base", figure="leakage", margin=0.3, relative=True),
    "mediation": {
        "text": "Less leakage, fewer errors.",
        "relation": ["leakage", "eer"],
        "direction": "above",
    },
    "words": {"text": "It will be liked."},
    "interaction": better("good", "base", corpus="a", than="b"),
}
EXPECTED = {
    "clear": "supported", "too much": "not supported", "nothing": "not supported", "worse": "supported",
    "same": "supported", "not the same": "not supported", "no harm": "supported", "harm": "not supported",
    "leak": "supported", "leak stays": "not supported", "mediation": "not testable", "words": "not testable",
    "interaction": "supported",
}  # fmt: skip


def experiment():
    return Experiment.model_validate(
        {
            "name": "toy",
            "corpora": {"a": {"source": "x"}, "b": {"source": "y"}},
            "tests": {"unseen": {}},
            "variants": {
                "base": {},
                "small": {"change": {"adversary": {"strength": 0.01}}},
                "good": {"change": {"adversary": {"strength": 0.1}}},
                "worse": {"change": {"adversary": {"strength": 1.0}}},
            },
            "baseline": "base",
            "seeds": [0, 1, 2],
            "draws": 300,
            "figures": ["eer", "auc"],
            "hypotheses": HYPOTHESES,
        }
    )


def finish(run, what):
    shift = SHIFTS[run.variant] + (0.0 if run.corpus == "a" or run.variant != "good" else -0.6)
    for test in what.tests:
        write_scores(scores_path(run, test), scores(shift, hash_of(run)))
    leak = LEAKS[run.variant] + run.seed / 1000
    metrics = {"dev_eer": 0.1, "dev_content_accuracy": leak / 2, "dev_content_information": leak}
    write_json(run.folder / "done.json", {**_done(run, what), "metrics": metrics})


def hash_of(run):
    return sum(map(ord, run.variant)) + run.seed


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    what = experiment()
    runs = resolve(what, tmp_path_factory.mktemp("out"))
    for run in runs:
        finish(run, what)
    floors = {(corpus, "unseen"): scores(0.1, 1) for corpus in what.corpora}
    return what, runs, gather(what, runs, floors)


def test_the_table(world):
    what, _, results = world
    table = main_table(results)
    names = [row.name for row in table.rows]
    assert names == [*what.variants, FLOOR, "small - base", "good - base", "worse - base"]
    assert table.columns == ("unseen, a", "unseen, b", "leakage, a", "leakage, b")
    by_name = {row.name: row.figures for row in table.rows}
    values = [
        eer(s.bonafide, s.spoof)
        for s in (scores(SHIFTS["good"], sum(map(ord, "good")) + seed) for seed in range(3))
    ]
    assert by_name["good"][0].estimate == pytest.approx(np.mean(values))
    assert by_name["good"][0].deviation == pytest.approx(np.std(values, ddof=1))
    assert by_name["good - base"][0].estimate == pytest.approx(
        by_name["good"][0].estimate - by_name["base"][0].estimate
    )
    assert by_name["good - base"][2].estimate == pytest.approx(LEAKS["good"] - LEAKS["base"])
    raw = results.drawn["eer"]["unseen"].combine({("a", "small"): 1.0, ("a", "base"): -1.0}).p_value
    assert by_name["small - base"][0].p_value >= raw  # corrected for six contrasts
    text = table.to_text()
    assert re.search(r"\| good \| \d+\.\d ± \d\.\d \\?\[\d+\.\d, \d+\.\d\]", table.to_markdown())
    assert "corrected by Holm for 6 contrasts" in text
    assert "dev_content_information" in text
    assert "AUC" in figures_table(results, "auc").title


def test_verdicts(world):
    _, _, results = world
    verdicts = {one.name: one for one in judge(results)}
    assert {name: one.word for name, one in verdicts.items()} == EXPECTED
    assert "100% of 3 seeds agree" in verdicts["clear"].reasons[0]
    assert verdicts["words"].reasons == ("it has no form that a machine can check",)


def test_a_run_that_failed_is_named_and_what_needs_it_is_not_testable(world, tmp_path):
    what = experiment()
    runs = resolve(what, tmp_path)
    for run in runs:
        if run.variant != "good":
            finish(run, what)
        elif run.seed == 1:
            run.folder.mkdir(parents=True)
            write_json(run.folder / "failed.json", {"error": "the loss was not finite"})
    results = gather(what, runs, {})
    text = main_table(results).to_text()
    assert "FAILED a/good/seed-1: the loss was not finite" in text
    assert "FAILED a/good/seed-0: not done" in text
    assert "a: seeds done of 3: good 0" in text
    words = {one.name: one.word for one in judge(results)}
    assert {words[name] for name in ("clear", "leak", "interaction")} == {"not testable"}
    assert words["same"] == "supported"
    with pytest.raises(ScoresError, match="none of 24 runs is done"):
        gather(what, resolve(what, tmp_path / "nothing"), {})


def test_what_is_written(world, tmp_path):
    what, runs, results = world
    text = write_results(results, runs, "ab" * 32, tmp_path)
    assert "clear SUPPORTED: good beats base." in text
    rows = list(csv.DictReader(io.StringIO((tmp_path / "toy.csv").read_text(encoding="utf-8"))))
    assert [(row["corpus"], row["variant"]) for row in rows] == [
        (corpus, name) for corpus in ("a", "b") for name in [*what.variants, FLOOR]
    ]
    one = rows[2]
    assert one["seeds"] == "0 1 2"
    assert float(one["eer_low"]) < float(one["eer"]) < float(one["eer_high"])
    assert float(one["eer_minus_baseline"]) == pytest.approx(float(one["eer"]) - float(rows[0]["eer"]))
    assert 0 < float(one["difference_p_holm"]) < 0.05
    assert float(one["dev_content_information"]) == pytest.approx(0.101)
    assert one["hypotheses"] == "sha256 " + "ab" * 32
    assert rows[0]["eer_minus_baseline"] == ""
    page = (tmp_path / "toy.html").read_text(encoding="utf-8")
    assert page.count("Lambda, unseen") == 2
    assert "base, small, good, worse" in page  # one sweep: they differ by lambda only
    assert page.count("<circle") > 2 * 24
    assert "nan" not in re.sub(r"<style.*?</style>", "", page, flags=re.DOTALL).lower().replace("finance", "")
    assert json.dumps("ab" * 32)[1:-1] in page
    latex = (tmp_path / "toy.tex").read_text(encoding="utf-8")
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == 2
    assert all("±" not in line for line in latex.splitlines() if not line.startswith("%"))
    markdown = (tmp_path / "toy.md").read_text(encoding="utf-8")
    assert "**clear: supported.**" in markdown
