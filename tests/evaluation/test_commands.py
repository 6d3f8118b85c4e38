"""`ringtrue evaluate`, `compare` and `calibrate` as a user meets them: files in, tables out."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ringtrue import cli
from ringtrue.evaluation.judge import NOT_AUDITED
from ringtrue.evaluation.metrics import cllr, eer, frr_at_far, hter
from ringtrue.evaluation.scores import Scores, read_scores, write_scores
from ringtrue.evaluation.tandem import min_tdcf_2019, verifier_rates

CONFORMANCE = Path(__file__).parents[3] / "shared" / "conformance" / "asvspoof2019_la"


@pytest.fixture
def run(capsys):
    """Run the command line: -> (exit code, standard output, standard error)."""

    def run(*words):
        code = cli.main([str(word) for word in words])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return run


def make(seed: int, shift: float = 2.0, scale: float = 1.0, **metadata: object) -> Scores:
    """Development-like scores: 300 trials of a class, 20 speakers, 12 systems, two codecs."""
    rng = np.random.default_rng(99)
    common = rng.normal(size=600) + shift * (np.arange(600) < 300)
    own = np.random.default_rng(seed).normal(size=600)
    system = np.array([""] * 300 + [f"tts{i % 12:02d}" for i in range(300)])
    columns = {
        "system": system,
        "speaker": np.array([f"s{i % 20}" for i in range(600)]),
        "codec": np.array(["none", "opus"])[np.arange(600) // 2 % 2],
    }
    labels = np.where(system == "", "bonafide", "spoof")
    scores = scale * (0.8 * common + 0.6 * own - 0.4 * shift)
    return Scores(np.array([f"t{i}" for i in range(600)]), labels, scores, columns, metadata)


@pytest.fixture
def files(tmp_path) -> dict[str, Path]:
    paths = {}
    for name, scores in {"good": make(1, 3.0), "plain": make(2, 2.0), "wide": make(3, 2.0, 9.0)}.items():
        paths[name] = tmp_path / f"{name}.tsv"
        write_scores(paths[name], scores)
    return paths


def test_evaluate_prints_every_figure_with_its_interval(run, files) -> None:
    code, out, err = run("evaluate", files["good"], "--draws", 50)
    assert code == 0
    assert err == f"good: audit: {NOT_AUDITED}\n"
    for title in ("EER %", "AUC %", "minDCF", "actDCF", "Cllr", "minCllr"):
        (line,) = [line for line in out.splitlines() if line.startswith(title + "  ")]
        assert line.count("[") == 1
    assert "300 bona fide trials of 20 speakers and 300 spoof trials of 20 speakers x 12 systems" in out
    assert run("evaluate", files["good"], "--draws", 50)[1] == out  # the same seed, the same page
    assert run("evaluate", files["good"], "--draws", 50, "--seed", 1)[1] != out
    assert "0 draws; at least one" in run("evaluate", files["good"], "--draws", 0)[2]


def test_every_form_has_the_same_figures(run, files, tmp_path) -> None:
    words = ["evaluate", files["good"], files["plain"], "--by", "codec", "--draws", 20]
    scores = read_scores(files["good"])
    value = eer(scores.bonafide, scores.spoof)
    table = json.loads(run(*words, "--json")[1])
    assert table["rows"][0]["name"] == "good"
    assert table["rows"][0]["figures"][0]["estimate"] == value
    assert table["breakdowns"][0]["corner"] == "codec"
    assert [row["name"] for row in table["breakdowns"][0]["rows"]] == [
        "none",
        "opus",
        "pooled",
        "macro",
        "worst",
    ]
    assert len(table["made"]["sha256"]) == 2
    assert table["made"]["bootstrap"] == "20 draws, seed 0"
    first = list(csv.reader(io.StringIO(run(*words, "--csv")[1])))[:2]
    assert first[0][:3] == ["model", "figure", "estimate"]
    assert (first[1][1], float(first[1][2])) == ("EER", value)
    printed = f"{100 * value:.2f}"
    assert f"| good | {printed} " in run(*words, "--markdown")[1]
    assert f"good & {printed} " in run(*words, "--latex")[1]
    _, _, err = run(*words, "--html", tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert printed in page
    for said in ("Histogram of scores, good", "Reliability of the scores", "By codec", "sha256"):
        assert said in page
    assert err.splitlines()[-1] == f"report: {tmp_path / 'r.html'}"


def test_a_fixed_threshold_and_a_wanted_rate(run, files) -> None:
    words = ["evaluate", files["good"], "--threshold", 0.5, "--far", 0.01, "--draws", 20, "--json"]
    table = json.loads(run(*words)[1])
    values = dict(zip(table["columns"], (f["estimate"] for f in table["rows"][0]["figures"]), strict=True))
    scores = read_scores(files["good"])
    assert values["HTER % at 0.5"] == hter(scores.bonafide, scores.spoof, 0.5)
    assert values["FRR % at FAR 1 %"] == frr_at_far(scores.bonafide, scores.spoof, 0.01)
    assert "far 5.0; a share between 0 and 1" in run("evaluate", files["good"], "--far", 5)[2]


def test_seen_and_unseen_systems_are_judged_apart(run, tmp_path) -> None:
    scores = make(1)
    seen = np.isin(scores.column("system"), [f"tts{i:02d}" for i in range(4)])
    columns = {**scores.columns, "split": np.where(seen, "test_seen", "test")}
    write_scores(tmp_path / "m.tsv", Scores(scores.trials, scores.labels, scores.scores, columns))
    table = json.loads(run("evaluate", tmp_path / "m.tsv", "--draws", 10, "--json")[1])
    assert [row["name"] for row in table["rows"]] == ["m, seen systems", "m, unseen systems"]
    assert table["rows"][0]["figures"][0]["estimate"] == eer(scores.bonafide, scores.scores[seen])


def test_seeds_of_one_model(run, files) -> None:
    table = json.loads(run("evaluate", *files.values(), "--seeds", "--json", "--draws", 10)[1])
    figures = [row["figures"][0] for row in table["rows"]]
    assert figures[3]["estimate"] == pytest.approx(np.mean([figure["estimate"] for figure in figures[:3]]))
    assert figures[3]["high"] == max(figure["estimate"] for figure in figures[:3])
    assert "standard deviation of one run over 3 seeds" in table["notes"][-1] + table["notes"][-2]
    assert run("evaluate", files["good"], "--seeds")[0] == 2


def test_a_floor_stands_beside(run, files) -> None:
    out = run("evaluate", files["good"], "--floor", files["plain"], "--draws", 10, "--markdown")[1]
    assert "| content-blind floor |" in out


def test_scores_and_key_apart_with_other_words(run, tmp_path) -> None:
    scores = make(1)
    words = {"bonafide": "real", "spoof": "fake"}
    pairs = zip(scores.trials.tolist(), scores.labels.tolist(), scores.scores.tolist(), strict=True)
    rows = list(pairs)
    (tmp_path / "s.txt").write_text("".join(f"{trial} {score!r}\n" for trial, _, score in rows))
    (tmp_path / "k.csv").write_text(
        "utt,class\n" + "".join(f"{trial},{words[label]}\n" for trial, label, _ in rows)
    )
    base = ["evaluate", tmp_path / "s.txt", "--key", tmp_path / "k.csv", "--draws", 10]
    code, _, err = run(*base)
    assert code == 2
    assert "--label real=bonafide" in err
    code, out, _ = run(*base, "--label", "real=bonafide", "--label", "fake=spoof", "--json")
    assert code == 0
    assert json.loads(out)["rows"][0]["figures"][0]["estimate"] == eer(scores.bonafide, scores.spoof)
    assert run(*base, "--label", "real")[2].startswith("ringtrue: --label real: two words with an = between")


def test_what_the_linter_calls_an_error_stops_and_can_be_forced(run, tmp_path) -> None:
    turned = make(1, 3.0)
    write_scores(
        tmp_path / "turned.tsv", Scores(turned.trials, turned.labels, -turned.scores, turned.columns)
    )
    code, out, err = run("evaluate", tmp_path / "turned.tsv", "--draws", 10)
    assert (code, out) == (2, "")
    assert "turned: scores point the wrong way" in err
    assert err.count("\n") == 1
    code, out, err = run("evaluate", tmp_path / "turned.tsv", "--draws", 10, "--force")
    assert code == 0
    assert "FORCED, turned: scores point the wrong way" in out
    estimate = eer(-turned.bonafide, -turned.spoof)
    assert estimate > 0.5
    assert f"{100 * estimate:.2f} [" in out  # shown as it is, above 50 %


def test_missing_trials_stop_and_can_be_forced(run, files, tmp_path) -> None:
    rows = files["good"].read_text().splitlines()
    (tmp_path / "k.txt").write_text(
        "".join(f"{r.split(chr(9))[0]} {r.split(chr(9))[1]}\n" for r in rows[2:-5])
    )
    code, _, err = run("evaluate", files["good"], "--key", tmp_path / "k.txt")
    assert code == 2
    assert "5 scored trials have no label" in err
    code, out, _ = run("evaluate", files["good"], "--key", tmp_path / "k.txt", "--force", "--draws", 10)
    assert code == 0
    assert "FORCED, good: 0 of the key's 595 trials have no score [] and 5 scored trials have no label" in out


def test_compare_pairs_and_corrects(run, files) -> None:
    code, out, _ = run("compare", *files.values(), "--json", "--draws", 200)
    table = json.loads(out)
    assert code == 0
    assert [row["name"] for row in table["rows"]] == ["good - plain", "good - wide", "plain - wide"]
    better, _, alike = (row["figures"][0] for row in table["rows"])
    assert better["high"] < 0
    assert better["p_value"] == pytest.approx(3 * 2 / 201, abs=0.02)
    assert alike["low"] < 0 < alike["high"]
    assert alike["p_value"] > 0.05
    out = run("compare", files["good"], files["plain"], "--figure", "cllr", "--draws", 50)[1]
    assert "corrected by Holm for 1 comparisons" in out
    assert run("compare", files["good"])[0] == 2
    assert "no figure 'speed'" in run("compare", files["good"], files["plain"], "--figure", "speed")[2]


def test_calibrate_beats_raw_scores_on_held_out_trials(run, files, tmp_path) -> None:
    test = make(7, 2.0, 9.0)
    write_scores(tmp_path / "test.tsv", test)
    apply = ["--apply", tmp_path / "test.tsv", "--to", tmp_path / "l.tsv"]
    code, out, _ = run("calibrate", files["wide"], "--out", tmp_path / "c.json", *apply)
    assert code == 0
    assert "affine map fitted on 300 bona fide and 300 spoof development trials" in out
    mapped = read_scores(tmp_path / "l.tsv")
    assert cllr(mapped.bonafide, mapped.spoof) < 0.8 < 1 < cllr(test.bonafide, test.spoof)
    assert eer(mapped.bonafide, mapped.spoof) == eer(test.bonafide, test.spoof)
    stored = json.loads((tmp_path / "c.json").read_text())
    assert stored["fitted_on"]["bonafide_trials"] == 300
    assert len(stored["fitted_on"]["sha256"][str(files["wide"])]) == 64
    assert mapped.metadata["calibration"] == "affine"
    band = stored["band"]
    assert np.mean(mapped.bonafide < band["lower"]) < 0.1
    assert np.mean(mapped.spoof >= band["upper"]) < 0.1


def test_several_files_are_fused(run, files, tmp_path) -> None:
    code, out, _ = run("calibrate", files["good"], files["plain"], "--out", tmp_path / "c.json")
    assert code == 0
    assert "fusion map" in out
    stored = json.loads((tmp_path / "c.json").read_text())
    assert stored["map"]["models"] == ["good", "plain"]
    assert stored["on_development"]["cllr"] < 0.6
    code, _, err = run("calibrate", files["good"], files["plain"], "--method", "monotone")
    assert (code, "fusion of several is affine" in err) == (2, True)


def test_a_few_dozen_recordings_of_ones_own_give_a_threshold(run, tmp_path) -> None:
    scores = make(1)
    own = scores.select(np.arange(40))
    write_scores(tmp_path / "own.tsv", own)
    code, out, _ = run("calibrate", tmp_path / "own.tsv", "--out", tmp_path / "c.json", "--rate", 0.1)
    stored = json.loads((tmp_path / "c.json").read_text())
    assert code == 0
    assert "at most 10.0% of recordings like these are rejected" in out
    assert stored["reject_below"] == np.sort(own.scores)[3]  # rank 4 of 41 gaps
    code, _, err = run("calibrate", tmp_path / "own.tsv", "--out", tmp_path / "c.json", "--rate", 0.01)
    assert (code, "give at least 99" in err) == (2, True)


def test_nothing_is_calibrated_on_test_trials(run, tmp_path) -> None:
    scores = make(1)
    columns = {**scores.columns, "split": np.full(600, "test")}
    write_scores(tmp_path / "t.tsv", Scores(scores.trials, scores.labels, scores.scores, columns))
    code, _, err = run("calibrate", tmp_path / "t.tsv", "--out", tmp_path / "c.json")
    assert code == 2
    assert "makes their figures worthless" in err
    assert not (tmp_path / "c.json").exists()
    run("calibrate", tmp_path / "t.tsv", "--out", tmp_path / "c.json", "--force")
    assert "split test" in json.loads((tmp_path / "c.json").read_text())["forced"][0]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no rows"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", "it is no text"),
        (b"PK\x03\x04 a spreadsheet", "it is no text"),
        (b"filename;label;score\na;spoof;1\n", "neither a header"),
        (b"Dear sir, this is a letter.\n", "neither a header"),
        (b"a 1 0\nb 0 1\n", "could be trial score label or trial label score"),
        (b"u1 0.5\nu2 0.4\n", "--key brings labels"),
    ],
)
@pytest.mark.parametrize("command", ["evaluate", "compare", "calibrate"])
def test_wrong_files_get_one_clear_line(run, command, content, said, tmp_path) -> None:
    path = tmp_path / "scores.bin"
    path.write_bytes(content)
    code, out, err = run(command, path)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert said in err


@pytest.mark.skipif(
    not CONFORMANCE.is_dir(), reason="no ../shared/conformance: published scores are not ours"
)
def test_published_figures_from_the_command_line(run) -> None:
    asv = CONFORMANCE / "ASVspoof2019.LA.asv.eval.gi.trl.scores.txt"
    words = [CONFORMANCE / "aasist_eval_scores.txt", "--key", CONFORMANCE / "ASVspoof2019.LA.cm.eval.trl.txt"]
    out = run("evaluate", *words, "--asv", asv, "--by", "system", "--draws", 5, "--json")[1]
    table = json.loads(out)
    values = dict(zip(table["columns"], (f["estimate"] for f in table["rows"][0]["figures"]), strict=True))
    assert 100 * values["EER %"] == pytest.approx(0.829511, abs=5e-7)
    assert values["t-DCF 2019"] == pytest.approx(0.0275294779, rel=1e-6)
    assert values["t-DCF 2021"] == pytest.approx(0.0885353537, rel=1e-6)
    assert values["AUC %"] == pytest.approx(0.99925007, abs=5e-9)
    by = {row["name"]: 100 * row["figures"][0]["estimate"] for row in table["breakdowns"][0]["rows"]}
    assert round(by["A18"], 4) == round(by["worst"], 4) == 2.6076
    rows = [line.split() for line in asv.read_text().splitlines()]
    sides = [[float(row[2]) for row in rows if row[1] == key] for key in ("target", "nontarget", "spoof")]
    scores = read_scores(words[0])
    assert values["t-DCF 2019"] == min_tdcf_2019(scores.bonafide, scores.spoof, verifier_rates(*sides))


def test_a_verifier_file_that_is_none(run, files, tmp_path) -> None:
    (tmp_path / "asv.txt").write_text("A07 target 1.0\nA07 imposter 2.0\n")
    code, _, err = run("evaluate", files["good"], "--asv", tmp_path / "asv.txt")
    assert code == 2
    assert "'imposter' in the second column; accepted: target, nontarget, spoof" in err


def test_help_of_the_commands_imports_nothing_heavy() -> None:
    code = (
        "import sys, ringtrue.cli\n"
        "for word in ('evaluate', 'compare', 'calibrate'):\n"
        "    try: ringtrue.cli.main([word, '--help'])\n"
        "    except SystemExit: pass\n"
        "print('numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
