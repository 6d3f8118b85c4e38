"""Many recordings: order, workers that die, journals, tables, the report."""

import csv
import json
import os
import re
import sys
import time

import numpy as np
import pytest

from ringtrue import cli
from ringtrue.errors import AudioError, CheckpointError, RingtrueError
from ringtrue.inference.batch import Outcome, Setup, check_all
from ringtrue.inference.report import plain_words, render_report
from ringtrue.inference.results import check_resumably
from ringtrue.inference.runtime import Detector


@pytest.fixture(scope="module")
def folder(tmp_path_factory, encode, speechlike):
    root = tmp_path_factory.mktemp("many")
    for index in range(7):
        (root / f"{index}.flac").write_bytes(encode("flac", speechlike(1.0 + 0.7 * index, seed=index)))
    (root / "3.flac").write_bytes(b"fLaC and then nothing of the kind")
    return root


def test_workers_give_the_same_in_the_same_order(folder, tiny_onnx):
    recordings = [*sorted(folder.iterdir()), AudioError("a folder that cannot be read")]
    alone = list(check_all(recordings, Setup(tiny_onnx)))
    together = list(check_all(recordings, Setup(tiny_onnx), workers=2))
    assert [outcome.name for outcome in together] == [outcome.name for outcome in alone]
    assert together == alone
    assert [bool(outcome.error) for outcome in alone] == [False] * 3 + [True] + [False] * 3 + [True]


class Cruel:
    """A path that brings down or stops whatever process opens it, as a broken decoder would."""

    def __init__(self, path, deed):
        self.path, self.deed = str(path), deed

    def __fspath__(self):
        if self.deed == "die":
            os._exit(11)
        time.sleep(60)
        return self.path

    def __str__(self):
        return self.path


def test_a_decoder_that_dies_or_hangs_costs_its_own_file_only(folder, tiny_onnx):
    good = [path for path in sorted(folder.iterdir()) if path.name != "3.flac"]
    recordings = [good[0], Cruel("deadly.mp3", "die"), *good[1:4], Cruel("endless.ogg", "hang"), *good[4:]]
    outcomes = list(check_all(recordings, Setup(tiny_onnx, timeout_s=3.0), workers=2))
    assert [outcome.name for outcome in outcomes] == [str(recording) for recording in recordings]
    assert [o.error for o in outcomes if o.error] == [
        "deadly.mp3 brought its decoder down; convert it with another program first",
        "endless.ogg took more than 3 s and was given up",
    ]


def test_a_model_that_cannot_be_loaded_is_one_error(folder, tmp_path):
    with pytest.raises(CheckpointError, match="no model at"):
        list(check_all([folder / "1.flac"], Setup(tmp_path / "none.onnx"), workers=2))


@pytest.fixture
def judged(monkeypatch):
    """Count the recordings that are judged."""
    seen = []
    honest = Detector.check
    monkeypatch.setattr(
        Detector, "check", lambda self, source: (seen.append(str(source)), honest(self, source))[1]
    )
    return seen


def test_a_killed_run_goes_on_where_it_was(folder, tiny_onnx, tmp_path, judged):
    journal, recordings = tmp_path / "verdicts.jsonl", sorted(folder.iterdir())
    run = check_resumably(recordings, Setup(tiny_onnx), journal, 1, lambda line: None)
    first = [next(run) for _ in range(3)]
    run.close()
    with journal.open("a") as file:
        file.write('{"name": "half a li')  # what a kill leaves
    judged.clear()
    outcomes = list(check_resumably(recordings, Setup(tiny_onnx), journal, 1, lambda line: None))
    assert judged == [str(path) for path in recordings[3:]]
    assert outcomes[:3] == first
    assert outcomes == list(check_all(recordings, Setup(tiny_onnx)))
    assert len(journal.read_text().splitlines()) == 6  # a file that could not be read is tried again


def test_a_journal_holds_for_one_model_threshold_and_state_of_a_file(
    folder, tiny_onnx, uncalibrated_onnx, tmp_path, judged, encode, speechlike
):
    journal, path = tmp_path / "v.jsonl", tmp_path / "a.wav"
    path.write_bytes(encode("wav", speechlike(1.5)))

    def run(setup):
        judged.clear()
        (outcome,) = check_resumably([path], setup, journal, 1, lambda line: None)
        return outcome, len(judged)

    assert run(Setup(tiny_onnx))[1] == 1
    assert run(Setup(tiny_onnx))[1] == 0
    assert run(Setup(tiny_onnx, threshold=0.0))[1] == 1
    assert run(Setup(uncalibrated_onnx))[1] == 1
    path.write_bytes(encode("wav", speechlike(1.6)))
    outcome, count = run(Setup(tiny_onnx))
    assert count == 1
    assert outcome.verdict.audio["duration_s"] == pytest.approx(1.6)


def test_another_file_is_not_taken_for_a_journal(folder, tiny_onnx, tmp_path):
    (tmp_path / "notes.jsonl").write_text("my notes\n")
    with pytest.raises(RingtrueError, match="did not write; give another file"):
        list(check_resumably([], Setup(tiny_onnx), tmp_path / "notes.jsonl", 1, lambda line: None))
    assert (tmp_path / "notes.jsonl").read_text() == "my notes\n"


# --- the command ----------------------------------------------------------------------------------------------


@pytest.fixture
def run(capsys, tiny_onnx, monkeypatch):
    monkeypatch.setenv("RINGTRUE_MODEL", str(tiny_onnx))

    def run(*words):
        code = cli.main(["check", *map(str, words)])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return run


def test_all_outputs_of_one_run(run, folder, tmp_path):
    csv_path, page, journal = tmp_path / "o.csv", tmp_path / "o.html", tmp_path / "o.jsonl"
    code, out, err = run(folder, "--csv", csv_path, "--report", page, "--jsonl", journal, "--json")
    assert code == 2
    assert [json.loads(line)["name"] for line in out.splitlines()] == [
        str(p) for p in sorted(folder.iterdir())
    ]
    rows = list(csv.DictReader(csv_path.open()))
    assert [row["name"] for row in rows] == [str(p) for p in sorted(folder.iterdir())]
    assert rows[3]["error"]
    assert all(row["decision"] and float(row["duration_s"]) >= 1.0 for row in rows if not row["error"])
    assert str(page) in err
    text = page.read_text()
    assert text.count("<svg") == 6
    assert not re.search(r"(src|href)=\"(?!#)|https?://|<script", text)


def test_patterns_lists_and_standard_input(run, folder, tmp_path, monkeypatch, capsys):
    names = tmp_path / "names.txt"
    names.write_text(f"{folder / '1.flac'}\n\n{folder / '2.flac'}\n")
    code, out, _ = run(folder / "[45].flac", "--from", names, "--json")
    assert code in (0, 1, 3)
    assert [os.path.basename(json.loads(line)["name"]) for line in out.splitlines()] == [
        "4.flac", "5.flac", "1.flac", "2.flac",
    ]  # fmt: skip
    code, _, err = run(folder / "*.mp3")
    assert (code, "nothing fits the pattern" in err) == (2, True)
    with open(folder / "1.flac") as file:
        monkeypatch.setattr(sys, "stdin", file)
        code, out, _ = run("-", "--json")
    assert json.loads(out)["audio"]["codec"] == "flac"
    assert run()[0] == 2
    assert run(folder, "--workers", 0)[0] == 2


def test_a_threshold_replaces_the_band_and_its_promises(run, folder, monkeypatch):
    monkeypatch.setattr(Detector, "score_windows", lambda self, windows: np.full(len(windows), 0.1))
    for threshold, word in ((0.0, "bona fide"), (2.0, "spoof")):
        _, out, _ = run(folder / "2.flac", "--json", "--threshold", threshold)
        verdict = json.loads(out)
        assert verdict["decision"] == word
        assert verdict["operating_point"]["measured_on"].startswith("nothing")
        assert "bonafide_rejection_rate" not in verdict["operating_point"]
    assert json.loads(run(folder / "2.flac", "--json")[1])["decision"] == "inconclusive"
    code, _, err = run(folder / "2.flac", "--threshold", "nan")
    assert (code, "a finite log-likelihood ratio is accepted" in err) == (2, True)


# --- the report -----------------------------------------------------------------------------------------------


def test_a_report_escapes_what_a_file_name_says(tiny_onnx, speechlike):
    verdict = Detector(tiny_onnx).check((speechlike(5.0), 16_000))
    name = "<script>alert(1)</script>.wav"
    page = render_report([Outcome(name, verdict), Outcome(name, error=name)], name, "1")
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 3


@pytest.mark.parametrize("score", [-4.0, -0.2, 0.0, 2.0, 900.0])
def test_plain_words_say_which_way_and_never_how_certain(tiny_onnx, speechlike, monkeypatch, score):
    detector = Detector(tiny_onnx)
    monkeypatch.setattr(detector, "score_windows", lambda windows: np.full(len(windows), score))
    words = plain_words(detector.check((speechlike(5.0), 16_000)))
    assert "%" not in words
    assert ("made by a person speaking than" in words) == (score > -0.05)  # the LLR is 2 score + 0.5
    assert ("about as likely" in words) == (-0.4 < score < -0.1)


def test_plain_words_of_a_recording_that_is_spoofed_in_part(tiny_onnx, speechlike, monkeypatch):
    detector = Detector(tiny_onnx)
    scores = iter([3.0] * 4 + [-9.0] + [3.0] * 40)
    monkeypatch.setattr(detector, "score_windows", lambda windows: np.array([next(scores)]))
    verdict = detector.check((speechlike(40.0), 16_000))
    words = plain_words(verdict)
    assert words.startswith("As a whole: the evidence is about")
    assert "at 12.0 to 16.0 s stands out as machine-made" in words
    assert words.endswith("It is called machine-made (spoof), in part.")
    assert "12.0 to 16.0 s" in render_report([Outcome("a.wav", verdict)], "", "")
