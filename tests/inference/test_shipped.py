"""The model that ringtrue brings: there, small, complete, free of torch, and saying what it said when it was built."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ringtrue.inference.runtime import SHIPPED, Detector, find_model
from ringtrue.models import checkpoint

GATE = Path(__file__).parent / "gate"
EXPECTED = json.loads((GATE / "expected.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def shipped():
    return Detector.from_pretrained(SHIPPED)


def test_the_gate_hears_every_clip_and_every_decision():
    assert set(EXPECTED) == {path.name for path in GATE.glob("*.flac")}
    assert {entry["decision"] for entry in EXPECTED.values()} >= {"spoof", "inconclusive"}


@pytest.mark.parametrize("name", EXPECTED)
def test_the_model_says_of_a_clip_what_it_said_when_it_was_built(shipped, name):
    verdict = shipped.check(GATE / name)
    assert EXPECTED[name]["least_llr"] <= verdict.llr <= EXPECTED[name]["most_llr"]
    assert verdict.decision == EXPECTED[name]["decision"]


def test_without_a_name_or_a_variable_it_is_the_model(monkeypatch):
    monkeypatch.delenv("RINGTRUE_MODEL", raising=False)
    assert find_model() == find_model(SHIPPED)
    assert find_model().is_file()


def test_its_card_says_what_it_was_trained_on_and_what_it_promises(shipped):
    card = shipped.card
    assert set(card["calibration"]["thresholds"]) == {"0.01", "0.05", "0.1"}
    rising = [card["calibration"]["thresholds"][rate] for rate in ("0.01", "0.05", "0.1")]
    assert rising == sorted(rising)
    assert card["calibration"]["band"]["lower"] < card["calibration"]["band"]["upper"]
    assert card["reference"] and card["sequential"]
    sources = card["trained_on"]["sources"]
    assert sum(row["clips"] for row in sources) == sum(card["trained_on"]["clips"].values())
    assert all(row["source"] and row["licence"] not in ("", "unstated") for row in sources)
    assert "experiments/ship.py build" in card["provenance"]["command"]


def test_the_weights_beside_it_are_its_own(shipped):
    """The export is made of the checkpoint that lies beside it, and gives what that gives."""
    import torch

    model, card = checkpoint.load(find_model(SHIPPED).with_suffix(".safetensors"))
    assert card.calibration == shipped.card["calibration"]
    wave, _ = soundfile.read(GATE / next(iter(EXPECTED)), dtype="float32")
    wave = np.resize(wave, 64_000)[None]
    with torch.inference_mode():
        logits = model(torch.from_numpy(wave))[0].numpy()
    assert shipped.score_windows(wave)[0] == pytest.approx(logits[1] - logits[0], abs=1e-3)


def test_all_that_ships_is_under_five_megabytes():
    folder = find_model(SHIPPED).parent
    assert sum(path.stat().st_size for path in folder.iterdir()) < 5_000_000


def test_it_judges_without_torch():
    code = "import sys, ringtrue\nringtrue.check(sys.argv[1], model='default')\nprint('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code, str(next(GATE.glob("*.flac")))],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "False"


def test_what_is_muted_is_no_evidence_and_costs_the_rest_nothing(shipped):
    """Where nothing sounds the network divides nothing by nothing, and a lone click it takes for a machine."""
    voice, rate_hz = soundfile.read(GATE / "it-pm-invalid-option.flac", dtype="float32")
    muted = np.zeros(10 * rate_hz, np.float32)
    muted[5 * rate_hz] = 0.5
    silent = shipped.check((muted, rate_hz))
    assert silent.decision == "inconclusive" and silent.llr == pytest.approx(0.0, abs=1e-12)
    assert silent.warnings == ("only 0.0 s of speech: too little for a decision",)
    both = shipped.check((np.concatenate([muted, voice]), rate_hz))
    assert both.segments[0].llr == pytest.approx(0.0, abs=1e-12) and both.segments[-1].llr > 1.0
    assert both.regions == ()
