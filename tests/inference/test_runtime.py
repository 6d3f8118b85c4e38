import json
import subprocess
import sys

import numpy as np
import pytest

import ringtrue
from ringtrue.audio import AudioInfo, wave
from ringtrue.errors import AudioError, CheckpointError
from ringtrue.inference.evidence import Evidence, Reference
from ringtrue.inference.judge import Judge
from ringtrue.inference.runtime import Detector
from ringtrue.windows import HOP, WINDOW, split


@pytest.fixture(scope="module")
def detector(tiny_onnx):
    return Detector(tiny_onnx)


def test_windows_score_alike_alone_and_together(detector, speechlike):
    _, windows = split(speechlike(15.0))
    together = detector.score_windows(windows)
    alone = np.concatenate([detector.score_windows(window[None]) for window in windows])
    assert np.allclose(together, alone, atol=1e-5)


def test_the_score_is_the_mean_over_windows_and_the_llr_its_calibration(detector, speechlike):
    samples = speechlike(11.0)
    verdict = detector.check((samples, 16_000))
    expected = detector.score_windows(split(samples)[1]).mean()
    assert verdict.score == pytest.approx(expected, abs=1e-6)
    assert verdict.llr == pytest.approx(2.0 * verdict.score + 0.5)


@pytest.mark.parametrize("duration_s", [0.02, 0.5, 4.0, 4.01, 33.3, 100.0])
def test_the_timeline_covers_the_recording(detector, speechlike, duration_s):
    samples = speechlike(duration_s)
    verdict = detector.check((samples, 16_000))
    assert verdict.segments[0].start_s == 0.0
    assert verdict.segments[-1].end_s == pytest.approx(len(samples) / 16_000)
    assert all(a.end_s == b.start_s for a, b in zip(verdict.segments, verdict.segments[1:], strict=False))
    assert verdict.audio["duration_s"] == pytest.approx(duration_s, abs=1e-3)


def test_a_change_in_the_recording_is_where_it_is_in_the_timeline(detector, speechlike):
    """A long recording's pieces score as their sound does, wherever they are."""
    first, second = speechlike(12.0, seed=1), speechlike(12.0, seed=2)
    joined = detector.check((np.concatenate([first, second]), 16_000)).segments
    alone = detector.check((first, 16_000)).segments
    assert joined[0].llr == pytest.approx(alone[0].llr, abs=1e-4)
    assert joined[1].llr == pytest.approx(alone[1].llr, abs=1e-4)


def test_a_verdict_is_plain_json(detector, speech_path):
    verdict = detector.check(speech_path)
    read = json.loads(json.dumps(verdict.to_dict(), allow_nan=False))
    assert read["schema"] == 1
    assert read["decision"] in ("bona fide", "spoof", "inconclusive")
    assert read["operating_point"]["measured_on"].startswith("40 bona fide")
    assert read["audio"]["codec"] == "flac" or read["audio"]["container"] == "flac"
    assert len(read["audio"]["sha256"]) == len(read["model"]["sha256"]) == 64


@pytest.mark.parametrize(("score", "decision"), [(-3.0, "spoof"), (0.0, "inconclusive"), (3.0, "bona fide")])
def test_the_decision_follows_the_band(detector, speechlike, monkeypatch, score, decision):
    monkeypatch.setattr(detector, "score_windows", lambda windows: np.full(len(windows), score))
    assert detector.check((speechlike(6.0), 16_000)).decision == decision


def test_it_abstains_on_too_little_speech_and_says_so(detector, speechlike, monkeypatch):
    monkeypatch.setattr(detector, "score_windows", lambda windows: np.full(len(windows), 9.0))
    for samples in (speechlike(0.4), np.zeros(64_000, np.float32), np.zeros(1, np.float32)):
        verdict = detector.check((samples, 16_000))
        assert verdict.decision == "inconclusive"
        assert any("too little for a decision" in warning for warning in verdict.warnings)


def test_narrow_band_is_a_warning(detector, speechlike):
    wide, narrow = speechlike(4.0), speechlike(4.0, rate_hz=8_000)
    assert not any("narrow band" in w for w in detector.check((wide, 16_000)).warnings)
    spectrum = np.fft.rfft(narrow)
    spectrum[int(3_400 / 4_000 * len(spectrum)) :] = 0
    telephone = np.fft.irfft(spectrum).astype(np.float32)
    assert any("narrow band" in w for w in detector.check((telephone, 8_000)).warnings)


def test_without_calibration_there_is_a_score_and_no_decision(uncalibrated_onnx, speechlike):
    verdict = Detector(uncalibrated_onnx).check((speechlike(5.0), 16_000))
    assert verdict.decision == "inconclusive"
    assert verdict.llr is None
    assert np.isfinite(verdict.score)
    assert any("not calibrated" in warning for warning in verdict.warnings)


def test_the_same_sound_in_another_box_gets_the_same_verdict(detector, speechlike, encode):
    samples = speechlike(5.0)
    verdicts = [detector.check(encode(kind, samples)) for kind in ("wav24", "flac", "aiff")]
    assert np.ptp([verdict.llr for verdict in verdicts]) < 0.02


def test_memory_does_not_grow_with_the_recording(detector, monkeypatch):
    """Windows are judged as they come: the model never sees more than one at once."""
    seen = []
    honest = detector.score_windows
    monkeypatch.setattr(
        detector, "score_windows", lambda windows: (seen.append(len(windows)), honest(windows))[1]
    )
    detector.check((np.zeros(WINDOW + 10 * HOP, np.float32), 16_000))
    assert seen == [1] * 11


def test_audio_errors_come_through(detector, tmp_path):
    with pytest.raises(AudioError, match="there is no file"):
        detector.check(tmp_path / "nothing.wav")


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no model at"), (b"", "not a whole ONNX model"), (b"nonsense", "not a whole ONNX model")],
)
def test_what_is_no_model_is_one_clear_error(tmp_path, content, message):
    path = tmp_path / "model.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CheckpointError, match=message) as caught:
        Detector(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": ["bonafide", "spoof"]}, r"a detector's labels are \['spoof', 'bonafide'\]"),
        ({"format": 99}, "has format 99; this version"),
        (None, "its card is damaged"),
    ],
)
def test_a_card_that_would_mislead_is_refused(tiny_onnx, tmp_path, change, message):
    import onnx

    model = onnx.load(str(tiny_onnx))
    (entry,) = [entry for entry in model.metadata_props if entry.key == "ringtrue"]
    entry.value = "{" if change is None else json.dumps(json.loads(entry.value) | change)
    onnx.save(model, str(tmp_path / "changed.onnx"))
    with pytest.raises(CheckpointError, match=message):
        Detector(tmp_path / "changed.onnx")


def test_a_foreign_onnx_model_is_refused(tiny_onnx, tmp_path):
    import onnx

    model = onnx.load(str(tiny_onnx))
    del model.metadata_props[:]
    onnx.save(model, str(tmp_path / "foreign.onnx"))
    with pytest.raises(CheckpointError, match="ringtrue did not write"):
        Detector(tmp_path / "foreign.onnx")


def test_models_are_found_by_name_path_and_variable(tiny_onnx, tmp_path, monkeypatch, speech_path):
    monkeypatch.setenv("RINGTRUE_CACHE", str(tmp_path))
    monkeypatch.delenv("RINGTRUE_MODEL", raising=False)
    with pytest.raises(CheckpointError, match="no model named .mine. is installed"):
        Detector.from_pretrained("mine")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "mine.onnx").write_bytes(tiny_onnx.read_bytes())
    by_default = ringtrue.check(speech_path, "mine")
    assert by_default.llr == Detector.from_pretrained(tiny_onnx).check(speech_path).llr
    monkeypatch.setenv("RINGTRUE_MODEL", str(tiny_onnx))
    assert Detector.from_pretrained().sha256 == by_default.model["sha256"]


def test_checking_a_file_imports_no_torch(tiny_onnx, speech_path):
    code = (
        "import sys, ringtrue\n"
        "ringtrue.check(sys.argv[1], model=sys.argv[2])\n"
        "heavy = {'torch', 'transformers', 'sklearn', 'pydantic', 'scipy', 'av', 'matplotlib'}\n"
        "print(*sorted({m.split('.')[0] for m in sys.modules} & heavy))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(speech_path), str(tiny_onnx)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == ""


# --- spoof in part ----------------------------------------------------------------------------------------------


def scored_by_place(detector, monkeypatch, score_at):
    """Let a recording's samples say what its windows score: `score_at` maps the mean of a window."""
    monkeypatch.setattr(
        detector, "score_windows", lambda windows: np.array([score_at(w.mean()) for w in windows])
    )


def test_a_spoofed_part_is_found_where_it_is(detector, monkeypatch, speechlike):
    samples = speechlike(40.0) * 0.5
    samples[15 * 16_000 : 19 * 16_000] += 0.4  # marks the place; the model is told below
    scored_by_place(detector, monkeypatch, lambda mean: -9.0 if mean > 0.39 else 3.0)
    verdict = detector.check((samples, 16_000))
    (region,) = verdict.regions
    assert (region.start_s, region.end_s) == (15.0, 19.0)
    assert region.llr < -10
    assert verdict.decision == "spoof"
    assert any(
        "spoof in part: 15.0-19.0 s; the recording as a whole reads as bonafide" in w
        for w in verdict.warnings
    )


def test_calibrated_bona_fide_windows_rarely_look_spoofed_however_long_the_recording(detector):
    """Gaussian scores whose LLR is calibrated exactly: N(s^2/2, s^2) for bona fide."""
    rng = np.random.default_rng(0)
    sigma, windows, false = 2.0, 100, 0
    starts = np.arange(windows) * HOP
    for _ in range(400):
        llrs = sigma**2 / 2 + sigma * (rng.standard_normal() * 0.8 + 0.6 * rng.standard_normal(windows))
        false += bool(detector.judge.regions(starts, (llrs - 0.5) / 2.0, windows * HOP + WINDOW))
    assert false / 400 < 0.05


# --- evidence -----------------------------------------------------------------------------------------------------


def summary_of(samples):
    evidence = Evidence()
    evidence.push(np.asarray(samples, np.float32))
    return evidence.summary()


def test_evidence_does_not_depend_on_how_the_stream_is_cut(speechlike):
    samples = speechlike(3.0)
    summaries, envelopes = [], set()
    for size in (len(samples), 1_000, 77):
        evidence = Evidence()
        for at in range(0, len(samples), size):
            evidence.push(samples[at : at + size])
        summaries.append(evidence.summary())
        envelopes.add(evidence.envelope())
        assert evidence.samples == len(samples)
    for summary in summaries[1:]:
        assert summary == pytest.approx(summaries[0], rel=1e-6)
    assert len(envelopes) == 1


def test_evidence_does_not_depend_on_how_frames_are_kept(speechlike, monkeypatch):
    samples = np.concatenate([speechlike(2.0), np.zeros(8_000, np.float32), speechlike(1.5, seed=1)])
    whole = Evidence()
    whole.push(samples)
    summary, outline = whole.summary(), whole.envelope()
    monkeypatch.setattr("ringtrue.inference.evidence._BLOCK", 7)
    kept = Evidence()
    kept.push(samples[:20_000])
    kept.push(samples[20_000:])
    assert kept.summary() == pytest.approx(summary, rel=1e-6)
    assert kept.summary()["pauses_per_min"] > 0
    assert kept.envelope() == outline


def test_evidence_measures_what_is_there():
    time = np.arange(32_000) / 16_000
    tone = 0.5 * np.sin(2 * np.pi * 2_000 * time)
    summary = summary_of(np.concatenate([tone, np.zeros(16_000)]))
    assert summary["level_db"] == pytest.approx(-9.03, abs=0.1)
    assert 2_000 <= summary["bandwidth_hz"] < 2_400
    assert summary["full_scale_share"] == 0.0
    assert summary_of(np.clip(4 * tone, -1, 1))["full_scale_share"] > 0.5


def test_what_is_no_speech_is_not_counted_as_speech():
    rng = np.random.default_rng(0)
    time = np.arange(80_000) / 16_000
    for sound in (
        np.zeros(80_000),
        0.1 * rng.standard_normal(80_000),
        0.3 * np.sin(2 * np.pi * 440 * time),
        0.1 * rng.standard_normal(80_000) * (np.sin(2 * np.pi * time) > 0.9),  # bursts of noise
    ):
        assert summary_of(sound)["speech_s"] < 0.5


def test_speech_is_counted_with_and_without_noise_and_pauses(speechlike):
    speech, silence = speechlike(4.0), np.zeros(16_000, np.float32)
    noise = 0.003 * np.random.default_rng(0).standard_normal(5 * 64_000 + 64_000).astype(np.float32)
    recording = np.concatenate(
        [part for index in range(4) for part in (speechlike(4.0, seed=index), silence)]
    )
    recording = recording + noise[: len(recording)]
    found = summary_of(recording)
    assert found["speech_s"] == pytest.approx(16.0, rel=0.15)
    assert found["snr_db"] == pytest.approx(20 * np.log10(0.1 / 0.003), abs=4)
    assert found["pause_mean_s"] == pytest.approx(1.0, abs=0.25)
    assert summary_of(speech)["speech_s"] > 3.0


def test_percentiles_place_a_value_among_others():
    reference = Reference.of(
        [{"level_db": float(v), "speech_s": 1.0} for v in range(101)], "a hundred and one"
    )
    assert reference.percentiles({"level_db": 25.0})["level_db"] == pytest.approx(25.0, abs=0.6)
    assert reference.percentiles({"level_db": -9.0}) == {"level_db": 0.0}
    assert reference.percentiles({"other": 1.0}) == {}
    assert Reference.from_dict(json.loads(json.dumps(reference.to_dict()))) == reference
    shared = Reference.of([{"bandwidth_hz": 8_000.0}] * 50, "full band").percentiles(
        {"bandwidth_hz": 8_000.0}
    )
    assert shared == {"bandwidth_hz": 50.0}


@pytest.mark.parametrize("damage", [{}, {"measured_on": "x", "values": {"a": [1.0]}}, {"values": 3}])
def test_a_damaged_reference_is_refused(damage):
    with pytest.raises(CheckpointError, match="damaged"):
        Reference.from_dict(damage)


def test_what_lies_outside_of_real_speech_is_a_warning(detector, speechlike):
    levels = [{"level_db": -30.0 + index / 10, "bandwidth_hz": 7_000.0} for index in range(100)]
    card = {**detector.card, "reference": Reference.of(levels, "a hundred clips").to_dict()}
    judge = Judge(card, {})
    loud = detector.check((speechlike(4.0), 16_000))
    assert loud.percentiles == {}
    evidence = Evidence()
    evidence.push(speechlike(4.0) * np.float32(0.02))
    info = AudioInfo("x", "", 16_000, 1, "pcm_16", "wav")
    verdict = judge.verdict(info, evidence, np.array([0]), np.array([0.0]))
    assert verdict.percentiles["level_db"] == 0.0
    assert any(
        "outside what the model was trained on: a level of -5" in w
        and "dB is below that of 99.5% of a hundred clips" in w
        for w in verdict.warnings
    )


@pytest.mark.parametrize(
    "fitted",
    [
        None,
        {"map": {"slope": 2.0, "offset": -1.0, "prior": 0.5}},
        {"kind": "monotone", "map": {"scores": [-1.0, 2.0], "llrs": [-3.0, 1.0]}},
    ],
)
def test_the_even_score_favours_neither_side(detector, fitted):
    if fitted:
        fitted["map"] |= {"bonafide_trials": 100, "spoof_trials": 100}
        fitted["band"] = detector.judge.operating_point["band"]
    judge = Judge({**detector.card, "calibration": fitted}, {})
    assert judge.llr(judge.even) == (pytest.approx(0.0, abs=1e-12) if fitted else None)


def test_a_telephone_codec_is_a_warning(detector, encode, speechlike):
    content = encode("wav_gsm", speechlike(3.0, rate_hz=8_000), 8_000)
    assert any("telephone codec gsm610" in warning for warning in detector.check(content).warnings)


# --- copies in other formats --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "nearest"), [("mp3", 0.5), ("m4a", 0.5), ("webm", 0.5), ("flac", 0.02)])
def test_copies_in_other_formats_stay_near(detector, encode, speechlike, kind, nearest):
    samples = speechlike(6.0)
    original = detector.check(encode("wav", samples)).llr
    assert detector.check(encode(kind, samples)).llr == pytest.approx(original, abs=nearest)


def test_a_recording_without_end_is_given_up(detector, monkeypatch, speechlike):
    monkeypatch.setattr(wave, "MAX_DURATION_S", 3.0)
    with pytest.raises(AudioError, match="lasts more than 3 s; split it"):
        detector.check((np.tile(speechlike(2.0), 4), 16_000))
