"""A calibration stored in a model is what the model decides by, and says what it was fitted on."""

import json
import shutil

import numpy as np
import pytest

from ringtrue import cli
from ringtrue.evaluation.mappings import map_from
from ringtrue.evaluation.scores import Scores, write_scores
from ringtrue.files import sha256_file
from ringtrue.inference.runtime import Detector
from ringtrue.models import checkpoint


def dev_scores(path, model_sha256, spoof=200):
    rng = np.random.default_rng(0)
    labels = np.repeat(["bonafide", "spoof"], [200, spoof])
    values = rng.normal(size=len(labels)) / 10 + 0.2 * (labels == "bonafide")
    trials = np.array([f"t{i}" for i in range(len(labels))])
    split = np.full(len(labels), "dev")
    write_scores(path, Scores(trials, labels, values, {"split": split}, {"model_sha256": model_sha256}))


@pytest.fixture
def model(tiny_onnx, tmp_path):
    """A model of one's own, with its checkpoint."""
    for suffix in (".onnx", ".safetensors"):
        shutil.copy(tiny_onnx.with_suffix(suffix), tmp_path / f"own{suffix}")
    return tmp_path / "own.onnx"


def calibrate(*arguments):
    return cli.main(["calibrate", *map(str, arguments)])


@pytest.mark.parametrize("method", ["affine", "monotone"])
@pytest.mark.parametrize("named", [".onnx", ".safetensors"])
def test_onnx_and_checkpoint_hold_the_map_and_what_it_was_fitted_on(
    method, named, model, tmp_path, speech_path, capsys
):
    before = Detector(model).check(speech_path)
    dev_scores(tmp_path / "dev.tsv", sha256_file(model))
    out = tmp_path / "c.json"
    options = ["--method", method, "--out", out, "--store", model.with_suffix(named)]
    assert calibrate(tmp_path / "dev.tsv", *options) == 0
    assert "own.onnx: decides by" in capsys.readouterr().out
    stored = json.loads(out.read_text())
    verdict = Detector(model).check(speech_path)
    assert verdict.score == before.score
    assert verdict.llr == pytest.approx(float(map_from(stored).apply(before.score)))
    assert verdict.llr != before.llr
    assert verdict.operating_point["kind"] == method
    assert verdict.operating_point["fitted_on"]["bonafide_trials"] == 200
    assert list(verdict.operating_point["fitted_on"]["sha256"]) == ["dev.tsv"]  # and no folder of ours
    assert str(tmp_path) not in json.dumps(verdict.operating_point)
    _, card = checkpoint.load(model.with_suffix(".safetensors"))
    assert card.calibration == verdict.operating_point
    assert Detector(model).card["checkpoint_sha256"] == sha256_file(model.with_suffix(".safetensors"))
    assert calibrate(tmp_path / "dev.tsv", *options) == 0  # the same scores are still this model's


def test_scores_of_another_model_are_refused(model, tmp_path, capsys):
    dev_scores(tmp_path / "dev.tsv", "f" * 64)
    before = sha256_file(model)
    arguments = [tmp_path / "dev.tsv", "--out", tmp_path / "c.json", "--store", model]
    assert calibrate(*arguments) == 2
    assert "did not make the scores" in capsys.readouterr().err
    assert sha256_file(model) == before
    assert calibrate(*arguments, "--force") == 0


def test_a_threshold_from_ones_own_recordings_moves_the_band(model, tmp_path):
    dev_scores(tmp_path / "own.tsv", sha256_file(model), spoof=0)
    assert calibrate(tmp_path / "own.tsv", "--out", tmp_path / "c.json", "--store", model) == 0
    point = Detector(model).card["calibration"]
    threshold = json.loads((tmp_path / "c.json").read_text())["reject_below"]
    assert point["band"]["lower"] == pytest.approx(2.0 * threshold + 0.5)  # by the map that was there
    assert point["band"]["upper"] == 1.0
    assert "200 bona fide recordings of the user's" in point["measured_on"]


def test_a_threshold_without_a_map_and_a_fusion_are_refused(uncalibrated_onnx, model, tmp_path, capsys):
    raw = tmp_path / "raw.onnx"
    shutil.copy(uncalibrated_onnx, raw)
    dev_scores(tmp_path / "own.tsv", sha256_file(raw), spoof=0)
    assert calibrate(tmp_path / "own.tsv", "--out", tmp_path / "c.json", "--store", raw) == 2
    assert "a threshold needs a map" in capsys.readouterr().err
    for name in ("a", "b"):
        dev_scores(tmp_path / f"{name}.tsv", sha256_file(model))
    fused = [
        tmp_path / "a.tsv",
        tmp_path / "b.tsv",
        "--out",
        tmp_path / "f.json",
        "--store",
        model,
        "--force",
    ]
    assert calibrate(*fused) == 2
    assert "a fusion is of several models" in capsys.readouterr().err


def test_calibrating_an_uncalibrated_model_gives_it_verdicts(uncalibrated_onnx, tmp_path, speech_path):
    raw = tmp_path / "raw.onnx"
    shutil.copy(uncalibrated_onnx, raw)
    dev_scores(tmp_path / "dev.tsv", sha256_file(raw))
    assert Detector(raw).check(speech_path).llr is None
    assert calibrate(tmp_path / "dev.tsv", "--out", tmp_path / "c.json", "--store", raw) == 0
    assert Detector(raw).check(speech_path).llr is not None
