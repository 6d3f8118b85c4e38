import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from ringtrue.cli import main
from ringtrue.data.corpora.manifest import read_manifest
from ringtrue.engine.folder import PartsFolder
from ringtrue.engine.listing import Listing
from ringtrue.engine.run import Filler, fill
from ringtrue.engine.work import Featuring, Scoring
from ringtrue.errors import CheckpointError, RingtrueError
from ringtrue.evaluation.scores import read_scores
from ringtrue.inference.runtime import Detector

pytest.importorskip("pyarrow", reason="parts are Parquet: pip install 'ringtrue[cluster]'")

CLIPS, DAMAGED = 11, (3, 8)


def score(*words):
    return main(["score", *map(str, words)])


def test_a_row_holds_the_score_that_check_gives_or_an_error(tiny_onnx, manifest, tmp_path, rows_in):
    assert score(tiny_onnx, manifest, "--out", tmp_path / "out", "--part-trials", 4) == 2
    rows = rows_in(tmp_path / "out")
    assert len(rows) == CLIPS
    detector = Detector(tiny_onnx)
    for number in range(CLIPS):
        row = rows[f"clip{number}"]
        if number in DAMAGED:
            assert row["score"] is None
            assert f"{number}.flac" in row["error"]
        else:
            assert row["error"] == ""
            assert row["score"] == detector.check(manifest.parent / f"{number}.flac").score
        assert row["label"] == ("bonafide" if number % 2 else "spoof")


def test_number_of_workers_and_order_change_no_bit(tiny_onnx, manifest, tmp_path, files_in):
    work = Scoring.by(tiny_onnx)
    trials = tuple(read_manifest(manifest))
    fill(work, Listing(4, trials), str(tmp_path / "one"), "local", 1, print, {})
    fill(work, Listing(4, trials), str(tmp_path / "three"), "local", 3, print, {})
    assert files_in(tmp_path / "one") == files_in(tmp_path / "three")
    backwards = PartsFolder(str(tmp_path / "backwards"), work, 4)
    with Filler(work, backwards, 2) as filler:
        assert len(list(filler.fill(reversed(list(Listing(4, trials).parts()))))) == 3
    assert files_in(tmp_path / "backwards") == files_in(tmp_path / "one")


def test_a_part_that_is_there_is_kept_and_a_damaged_one_is_made_again(
    tiny_onnx, manifest, tmp_path, files_in
):
    out = tmp_path / "out"
    listing = Listing(3, tuple(read_manifest(manifest)))
    work = Scoring.by(tiny_onnx)
    fill(work, listing, str(out), "local", 1, print, {})
    whole = files_in(out)
    gone, damaged, *_ = sorted(whole)
    (out / gone).unlink()
    content = bytearray(whole[damaged])
    content[len(content) // 3] ^= 1
    (out / damaged).write_bytes(content)
    done = fill(work, listing, str(out), "local", 1, print, {})
    assert {f"{part.name}.parquet" for part in done if part.is_new} == {gone, damaged}
    assert files_in(out) == whole


def test_a_run_that_is_killed_goes_on_and_ends_the_same(tiny_onnx, manifest, tmp_path, files_in):
    command = ["score", tiny_onnx, manifest, "--part-trials", 1, "--workers", 2, "--out"]
    assert score(*command[1:], tmp_path / "whole") == 2
    out = tmp_path / "killed"
    run = subprocess.Popen([sys.executable, "-m", "ringtrue", *map(str, command), str(out)])
    while len(list(out.glob("[!.]*.parquet"))) < 3 and run.poll() is None:
        time.sleep(0.01)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    times = {path: path.stat().st_mtime_ns for path in out.glob("[!.]*.parquet")}
    assert len(times) >= 3
    assert score(*command[1:], out) == 2
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert files_in(out) == files_in(tmp_path / "whole")


def test_evaluate_reads_a_complete_folder(tiny_onnx, manifest, tmp_path, capsys):
    out = tmp_path / "out"
    few = manifest.parent / "few.tsv"
    few.write_text(
        "".join(line for line in manifest.open() if "clip3\t" not in line and "clip8\t" not in line)
    )
    assert score(tiny_onnx, few, "--out", out) == 0
    scores = read_scores(out)
    assert len(scores) == CLIPS - len(DAMAGED)
    assert scores.metadata["model_sha256"] == Detector(tiny_onnx).sha256
    assert score(tiny_onnx, few, "--out", tmp_path / "scores.tsv") == 0
    alone = read_scores(tmp_path / "scores.tsv")
    np.testing.assert_array_equal(scores.align(alone.trials).scores, alone.scores)
    assert main(["evaluate", str(out)]) == 0
    part = next(out.glob("[!.]*.parquet"))
    content = bytearray(part.read_bytes())
    content[5] ^= 1  # in a page header: scores could still be read
    part.write_bytes(content)
    assert main(["evaluate", str(out)]) == 2
    assert f"{part} is damaged" in capsys.readouterr().err
    part.unlink()
    assert main(["evaluate", str(out)]) == 2
    assert f"{part} cannot be read" in capsys.readouterr().err
    (out / "_complete.json").unlink()
    assert main(["evaluate", str(out)]) == 2
    assert "not a complete one" in capsys.readouterr().err


def test_too_many_without_a_score_are_refused(tiny_onnx, manifest, tmp_path, capsys):
    assert score(tiny_onnx, manifest, "--out", tmp_path / "out") == 2
    assert main(["evaluate", str(tmp_path / "out")]) == 2
    assert "2 of 11 trials have no score" in capsys.readouterr().err


def test_a_folder_belongs_to_one_model_and_one_size(tiny_onnx, uncalibrated_onnx, manifest, tmp_path, capsys):
    score(tiny_onnx, manifest, "--out", tmp_path / "out")
    assert score(uncalibrated_onnx, manifest, "--out", tmp_path / "out") == 2
    assert "model_sha256 differ" in capsys.readouterr().err
    assert score(tiny_onnx, manifest, "--out", tmp_path / "out", "--part-trials", 7) == 2
    assert "part_trials differ" in capsys.readouterr().err


def test_a_machine_with_other_versions_is_refused(tiny_onnx, manifest, tmp_path):
    work = Scoring.by(tiny_onnx)
    other = Scoring(work.name, work.content, {**work.made_by, "decoder": "soundfile 0.1"})
    with pytest.raises(CheckpointError, match="give all machines the same versions"):
        fill(other, Listing(4, tuple(read_manifest(manifest))), str(tmp_path / "out"), "local", 1, print, {})


def test_what_needs_a_folder_says_so(tiny_onnx, manifest, capsys):
    assert score(tiny_onnx, manifest, "--workers", 2) == 2
    assert "--out scores" in capsys.readouterr().err


def test_features_are_those_of_the_front_end_and_reach_the_cache(manifest, tmp_path, rows_in, monkeypatch):
    torch = pytest.importorskip("torch")
    from ringtrue.audio import load
    from ringtrue.inference.source import prepare
    from ringtrue.models.feature_cache import FeatureCache, audio_key
    from ringtrue.models.frontends import load_choice

    monkeypatch.setenv("RINGTRUE_CACHE", str(tmp_path / "cache"))
    out = str(tmp_path / "features")
    words = ["features", "log-mel", str(manifest), "--layer", "0", "--pool", "5", "--out", out]
    assert main([*words, "--workers", "2", "--store"]) == 2
    rows = rows_in(out)
    assert {row["trial"] for row in rows.values() if row["error"]} == {f"clip{number}" for number in DAMAGED}
    work = Featuring.by("log-mel", 0, 5)
    front_end, choice = load_choice(work.choice)
    wave = prepare(load(manifest.parent / "6.flac").samples)
    wanted = choice.features(front_end, torch.from_numpy(wave)[None])[0].numpy().astype(np.float16)
    row = rows["clip6"]
    assert (row["layers"], row["frames"], row["dim"]) == wanted.shape
    assert row["features"] == wanted.tobytes()
    cached = FeatureCache(work.made_by["features"]).get(audio_key(wave))
    np.testing.assert_array_equal(cached, wanted)
    made_by = json.loads((tmp_path / "features" / "_made_by.json").read_text())
    assert made_by["features"]["kind"] == "LogMelContext"


def test_features_of_an_unknown_layer_are_one_line(manifest, tmp_path, capsys):
    pytest.importorskip("torch")
    assert main(["features", "log-mel", str(manifest), "--layer", "last", "--out", str(tmp_path)]) == 2
    assert "a layer's number or all" in capsys.readouterr().err
    with pytest.raises(RingtrueError, match="it has layers 0 to 0"):
        Featuring.by("log-mel", 3)
