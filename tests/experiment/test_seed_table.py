"""The seed's table, end to end on miniature replicas of its corpora, by the commands that its file prints."""

import csv
import json
import re
from pathlib import Path

import pytest

from ringtrue import cli

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
SMALL = [
    "training.steps_per_epoch=2", "training.epochs=1", "training.batch_size=8", "training.crop_s=0.5",
    "training.workers=0", "training.augment=false", "content.units=8", "content.fit_clips=10", "model.size=XS",
]  # fmt: skip


@pytest.fixture
def experiment(replicas, teacher, monkeypatch, tmp_path):
    """`experiment("--dry-run")` runs the seed's table in a folder and with a cache of its own."""
    monkeypatch.setenv("RINGTRUE_CACHE", str(tmp_path / "cache"))
    for name, folder in (("MLAAD", "MLAAD"), ("LIBRISPEECH", "LibriSpeech"), ("ASVSPOOF2019_LA", "LA")):
        monkeypatch.setenv(name, str(replicas / folder))

    def experiment(*words):
        settings = [word for setting in (*SMALL, f"content.teacher={teacher}") for word in ("--set", setting)]
        path = str(EXPERIMENTS / "seed_table.yaml")
        return cli.main(["experiment", path, "--smoke", "--out", str(tmp_path / "out"), *settings, *words])

    return experiment


def test_the_seeds_table(experiment, tmp_path, capsys):
    assert experiment() == 0
    out, err = capsys.readouterr()
    results = tmp_path / "out" / "results"
    assert {path.suffix for path in results.iterdir()} == {".md", ".tex", ".csv", ".html"}
    for name in ("mlaad-validation", "asvspoof2019-la", "asvspoof2019-la-trimmed"):
        assert name in out
    assert "hero - baseline" in out
    assert "H2 NOT TESTABLE" in out  # one seed has no spread
    assert "H6 " in out
    with open(results / "seed_table.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * (5 + 1)
    (one,) = [row for row in rows if (row["variant"], row["test"]) == ("hero", "asvspoof2019-la")]
    assert (one["seeds"], one["bonafide_trials"], one["spoof_trials"]) == ("0", "12", "12")
    assert 0 <= float(one["eer_low"]) <= float(one["eer"]) <= float(one["eer_high"]) <= 1
    assert one["hypotheses"].startswith("sha256 ")
    assert float(one["dev_content_accuracy"]) >= 0
    page = (results / "seed_table.html").read_text(encoding="utf-8")
    for words in (
        "Lambda, asvspoof2019-la",
        "Leakage, asvspoof2019-la",
        "DET curves",
        "content-blind floor",
        one["hypotheses"],
    ):
        assert words in page

    # ---- again: nothing is trained twice, and a hypothesis that changes now is refused
    assert experiment() == 0
    again, err = capsys.readouterr()
    assert again == out
    assert "epoch" not in err
    path = tmp_path / "out" / "hypotheses.json"
    expected = json.loads(path.read_text())
    expected["hypotheses"]["H1"]["margin"] = 0.01
    path.write_text(json.dumps(expected))
    assert experiment() == 2
    assert "a hypothesis may not change once there are results" in capsys.readouterr().err


def test_several_processes_and_a_teacher_that_is_not_there(experiment, tmp_path, capfd):
    """Every run fails, each with its cause, in whatever process it was; and nothing hangs."""
    assert experiment("--jobs", "2", "--set", f"content.teacher={tmp_path / 'nowhere'}") == 2
    _, err = capfd.readouterr()
    for variant in ("baseline", "seed-hero-0.01", "seed-hero-0.1", "seed-hero-1.0", "hero"):
        (line,) = re.findall(rf"mlaad-librispeech/{variant}/seed-0: FAILED: (.*)", err)
        assert "nowhere" in line
    assert "ringtrue: none of 5 runs is done" in err


def test_what_would_be_run(experiment, tmp_path, capsys):
    assert experiment("--dry-run") == 0
    out = capsys.readouterr().out
    assert out.count("to do") == 5
    assert not (tmp_path / "out").exists()


def test_one_model_of_it(replicas, teacher, monkeypatch, tmp_path, capsys):
    """`ringtrue train` on the file alone: the corpora come from it and from the environment."""
    monkeypatch.setenv("RINGTRUE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MLAAD", str(replicas / "MLAAD"))
    monkeypatch.delenv("LIBRISPEECH", raising=False)
    settings = [word for setting in (*SMALL, f"content.teacher={teacher}") for word in ("--set", setting)]
    words = [
        "train",
        str(EXPERIMENTS / "seed_mlaad_librispeech.yaml"),
        "--out",
        str(tmp_path / "run"),
        *settings,
    ]
    assert cli.main(words) == 2
    assert "needs LIBRISPEECH: set the environment variable" in capsys.readouterr().err
    monkeypatch.setenv("LIBRISPEECH", str(replicas / "LibriSpeech"))
    assert cli.main(words) == 0
    assert (tmp_path / "run" / "prosody_encoder_best.safetensors").exists()


def test_a_configuration_without_a_corpus(capsys):
    assert cli.main(["train", "baseline"]) == 2
    assert "baseline names no corpus: give --corpus" in capsys.readouterr().err
