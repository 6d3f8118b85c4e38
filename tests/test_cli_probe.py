"""`ringtrue probe` from the command line, on a corpus of a few seconds."""

import json
import sys

import numpy as np
import pytest
import soundfile

from ringtrue.cli import main
from ringtrue.evaluation.probes import report

UNITS = ["--set", "content.teacher=log-mel", "--set", "content.layer=0", "--set", "content.units=6"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, speechlike):
    """24 clips of 0.6 s: four speakers in dev, one in train, one in test."""
    folder = tmp_path_factory.mktemp("probed")
    lines = ["id\taudio\tlabel\tsystem\tspeaker\tlanguage\tsplit\ttranscript"]
    for number in range(32):
        split = "train" if number < 4 else "dev" if number < 28 else "test"
        human = number % 2 == 0
        soundfile.write(folder / f"{number}.wav", speechlike(1.1, seed=number), 16_000)
        label, system = ("bonafide", "") if human else ("spoof", f"g{number % 3}")
        lines.append(
            f"{number}\t{number}.wav\t{label}\t{system}\t{split}{number // 2 % 4}\ten\t{split}\ttext {number // 8}"
        )
    (folder / "m.tsv").write_text("\n".join(lines) + "\n")
    return folder / "m.tsv"


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("RINGTRUE_CACHE", str(tmp_path_factory.getbasetemp() / "probe-cache"))


def test_a_model_is_probed_once_and_its_report_is_used_again(corpus, tiny_onnx, tmp_path, capsys):
    out = tmp_path / "probe.json"
    words = ["probe", str(tiny_onnx), "--corpus", str(corpus), "--quick", "--out", str(out), *UNITS]
    assert main(words) == 0
    assert "content, linear" in capsys.readouterr().out
    found = json.loads(out.read_text())
    assert set(found["leakage"]) == {"model", "log_mel", "untrained"}
    assert found["leakage"]["model"]["content"].keys() == {"linear", "mlp"}
    assert "sensitivity" not in found
    assert main([*words, "--json"]) == 0
    printed = capsys.readouterr()
    assert "already" in printed.err
    assert json.loads(printed.out) == found


def test_a_command_is_probed_by_stimuli_alone_and_gets_a_picture(corpus, tmp_path, capsys):
    script = tmp_path / "loudest.py"
    script.write_text(
        "import sys, os\nfor f in open(sys.argv[1]).read().split(): print(os.path.getsize(f))\n"
    )
    page = tmp_path / "probe.html"
    scorer = f"{sys.executable} {script} {{list}}"
    words = ["probe", "--scorer", scorer, "--corpus", str(corpus), "--html", str(page)]
    assert main([*words, "--out", str(tmp_path / "p.json"), "--stimuli", "4"]) == 0
    printed = capsys.readouterr()
    assert "leakage and erasure are left out" in printed.err
    found = json.loads((tmp_path / "p.json").read_text())
    assert found["sensitivity"]["silence"]["value"] == 1.0  # it scores the length
    assert "leakage" not in found
    assert page.read_text().count("<svg") == 1
    assert "http" not in page.read_text().replace("http-equiv", "")


def test_mistakes_are_told_in_one_line(corpus, tmp_path, capsys):
    assert main(["probe", "--corpus", str(corpus)]) == 2
    assert "give a MODEL" in capsys.readouterr().err
    missing = tmp_path / "none.onnx"
    assert main(["probe", str(missing), "--corpus", str(corpus), "--quick", *UNITS]) == 2
    assert "probes need the checkpoint beside" in capsys.readouterr().err
    assert main(["probe", "a", "b", "--corpus", str(corpus), "--out", "x"]) == 2
    assert "one subject" in capsys.readouterr().err


def test_names_on_the_page_cannot_break_it():
    found = {
        "subject": "<script>",
        "ringtrue": "0",
        "plan": {"seed": 0},
        "clips": {"heard": 0, "with_units": 0, "people": 2},
        "sensitivity": {"prosody": {"value": 0.5, "low": 0.2, "high": 0.7}},
        "shift": {"reversed": {"mean": -1.0, "low": -2.0, "high": 0.0}},
    }
    page = report.page([found])
    assert "<script>" not in page
    assert "not measured" in page
    assert np.isclose(float(page.split('fill="var(--s0)"')[0].rsplit('width="', 1)[1].split('"')[0]), 240)
