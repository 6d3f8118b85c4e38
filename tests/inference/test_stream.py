"""A recording judged while it arrives is the recording judged afterwards, however it is cut."""

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ringtrue.errors import AudioError, CheckpointError
from ringtrue.inference.runtime import Detector
from ringtrue.inference.sequential import (
    HORIZON_S,
    Extremes,
    SequentialTest,
    decide,
    fit_extremes,
    looks,
    weight,
)


@pytest.fixture(scope="module")
def detector(tiny_onnx):
    return Detector(tiny_onnx)


def cut(samples, sizes):
    at, index = 0, 0
    while at < len(samples):
        yield samples[at : at + sizes[index % len(sizes)]]
        at += sizes[index % len(sizes)]
        index += 1


@pytest.fixture(scope="module")
def sounds(speechlike):
    return {rate: speechlike(9.7, seed=rate, rate_hz=rate) for rate in (8_000, 16_000, 44_100)}


@settings(max_examples=12, deadline=None)
@given(
    rate=st.sampled_from([8_000, 16_000, 44_100]),
    seconds=st.floats(0.05, 9.7),
    sizes=st.lists(st.integers(200, 120_000), min_size=1, max_size=4),
)
def test_streaming_is_checking(detector, sounds, rate, seconds, sizes):
    samples = sounds[rate][: max(40, round(seconds * rate))]
    offline = detector.check((samples, rate))
    stream = detector.stream(rate)
    for chunk in cut(samples, sizes):
        stream.push(chunk)
    live = stream.finish()
    assert live.score == pytest.approx(offline.score, abs=1e-5)
    assert [s.start_s for s in live.segments] == [s.start_s for s in offline.segments]
    assert live.decision == offline.decision
    assert live.evidence == pytest.approx(offline.evidence, rel=1e-6, abs=1e-9)
    assert live.audio["sha256"] == offline.audio["sha256"]


def test_every_running_figure_is_what_check_would_say_there(detector, sounds):
    samples = sounds[16_000]
    said = detector.stream(hop_s=0.7).push(samples)
    assert len(said) == int(9.7 / 0.7)
    for running in (said[0], said[4], said[-1]):
        offline = detector.check((samples[: round(running.heard_s * 16_000)], 16_000))
        assert running.score == pytest.approx(offline.score, abs=1e-5)
        assert running.llr == pytest.approx(offline.llr, abs=1e-4)
        assert running.regions == offline.regions


def test_integers_and_channels_are_taken_as_files_are(detector, speechlike):
    stereo = np.stack([speechlike(2.0), speechlike(2.0, seed=1)], axis=1)
    pcm = (stereo * 32_767).astype(np.int16)
    stream = detector.stream()
    stream.push(pcm[:7_001])
    stream.push(pcm[7_001:])
    assert stream.finish().score == pytest.approx(detector.check((pcm, 16_000)).score, abs=1e-5)


def test_what_no_stream_takes_is_one_clear_error(detector):
    for options, message in [
        ({"rate_hz": 10}, "sample rate 10 Hz; accepted: 1000 to"),
        ({"hop_s": 9.0}, "a hop of 9.0 s; accepted: 0.1 to 2 s"),
    ]:
        with pytest.raises(AudioError, match=message):
            detector.stream(**options)
    stream = detector.stream(name="call")
    with pytest.raises(AudioError, match="call holds samples that are not finite"):
        stream.push(np.full(800, np.nan, np.float32))
    with pytest.raises(AudioError, match="look like integers"):
        stream.push(np.full(800, 3e4))
    with pytest.raises(AudioError, match=r"not \(2, 2, 2\)"):
        stream.push(np.zeros((2, 2, 2)))
    with pytest.raises(AudioError, match="call holds no audio"):
        stream.finish()
    with pytest.raises(AudioError, match="finished"):
        stream.push(np.zeros(3))
    with pytest.raises(CheckpointError, match="without sequential boundaries"):
        detector.stream(error_rate=0.05)


# --- the sequential test --------------------------------------------------------------------------------------


def correlated_paths(count, drift, rng):
    """Running means of strongly correlated evidence, with an offset that belongs to the recording."""
    steps = len(looks())
    noise = np.empty((count, steps))
    noise[:, 0] = rng.standard_normal(count)
    for step in range(1, steps):
        noise[:, step] = 0.9 * noise[:, step - 1] + np.sqrt(1 - 0.81) * rng.standard_normal(count)
    offset = drift + rng.standard_normal((count, 1))
    return offset + 2 * np.cumsum(noise, axis=1) / np.arange(1, steps + 1)


@pytest.mark.parametrize("rate", [0.02, 0.05, 0.2])
def test_promised_error_rates_hold_on_new_recordings_however_correlated(rate):
    """Averaged over many development sets, as the promise is; a naive fixed threshold breaks it."""
    rng = np.random.default_rng(3)
    wrong, decided, count = np.zeros(2), 0, 0
    for _ in range(40):
        extremes = fit_extremes(
            correlated_paths(100, 2.0, rng), correlated_paths(100, -2.0, rng), "simulated"
        )
        boundaries = extremes.boundaries(rate)
        for side, drift in enumerate((2.0, -2.0)):
            words = [decide(path, boundaries)[0] for path in correlated_paths(100, drift, rng)]
            wrong[side] += sum(word == ("spoof", "bona fide")[side] for word in words)
            decided += sum(word != "inconclusive" for word in words)
        count += 100
    spread = 3 * np.sqrt(rate * (1 - rate) / count)
    assert (wrong / count < rate + spread).all()
    assert decided / (2 * count) > 0.3  # a test that never decides keeps every promise


def test_clear_evidence_is_decided_early_and_doubtful_evidence_never():
    rng = np.random.default_rng(0)
    extremes = fit_extremes(correlated_paths(200, 2.0, rng), correlated_paths(200, -2.0, rng), "simulated")
    boundaries = extremes.boundaries(0.05)
    word, seconds = decide([60.0] * len(looks()), boundaries)
    assert (word, seconds) == ("bona fide", 1.0)
    assert decide([0.0] * len(looks()), boundaries) == ("inconclusive", HORIZON_S)


def test_looks_between_those_of_the_fit_are_passed_over():
    test = SequentialTest(Extremes([-1.0] * 40, [1.0] * 40, "").boundaries(0.05))
    for heard_s in (0.5, 1.3, 2.7):
        test.look(heard_s, -100.0)
    assert test.decision is None
    test.look(3.0, -100.0)
    assert (test.decision, test.decided_s) == ("spoof", 3.0)
    late = SequentialTest(Extremes([-1.0] * 40, [1.0] * 40, "").boundaries(0.05))
    late.look(HORIZON_S + 1.0, -100.0)
    assert late.decision == "inconclusive"
    assert weight(100.0) == 1.0


def test_too_few_recordings_promise_nothing():
    with pytest.raises(CheckpointError, match="10 bona fide scores cannot promise a rate of 0.05"):
        Extremes([0.0] * 10, [0.0] * 10, "").boundaries(0.05)


@pytest.mark.parametrize(
    "damage",
    [
        {},
        {"bonafide": ["x"], "spoof": [], "measured_on": ""},
        {"bonafide": [float("nan")], "spoof": [0.0], "measured_on": ""},
    ],
)
def test_damaged_boundaries_are_refused(damage):
    with pytest.raises(CheckpointError, match="damaged"):
        Extremes.from_dict(damage)


def test_a_stream_stops_where_the_test_decides(detector, monkeypatch, speechlike):
    stored = Extremes([-1.0] * 40, [1.0] * 40, "simulated").to_dict()
    monkeypatch.setitem(detector.card, "sequential", stored)
    monkeypatch.setattr(detector, "score_windows", lambda windows: np.full(len(windows), -9.0))
    said = detector.stream(error_rate=0.05).push(speechlike(6.0))
    assert [running.decision for running in said[:2]] == [
        None,
        "spoof",
    ]  # at 0.5 s there is too little speech
    assert said[-1].decided_s == 1.0


# --- the command ----------------------------------------------------------------------------------------------


def listen(tiny_onnx, content, *words):
    return subprocess.run(
        [sys.executable, "-m", "ringtrue", "listen", *words, "--model", str(tiny_onnx)],
        input=content,
        capture_output=True,
        check=False,
    )


def test_listen_judges_pcm_from_standard_input(detector, tiny_onnx, speechlike):
    pcm = (speechlike(3.3) * 32_767).astype("<i2")
    done = listen(tiny_onnx, pcm.tobytes() + b"\x01", "-", "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.stderr == b""
    assert [row["heard_s"] for row in rows[:-1]] == [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
    offline = detector.check((pcm, 16_000))
    assert rows[-1]["verdict"]["score"] == pytest.approx(offline.score, abs=1e-5)
    assert done.returncode == {"bona fide": 0, "spoof": 1, "inconclusive": 3}[offline.decision]


def test_listen_says_what_is_wrong(tiny_onnx):
    for content, words, message in [
        (b"", ["-"], b"standard input holds no audio"),
        (b"", ["clip.wav"], b"for a file use `ringtrue check`"),
        (b"", ["-", "--error-rate", "0.05"], b"without sequential boundaries"),
        (b"", ["-", "--channels", "0"], b"--channels takes 1 or more"),
    ]:
        done = listen(tiny_onnx, content, *words)
        assert done.returncode == 2
        assert message in done.stderr
        assert done.stderr.count(b"\n") == 1


def test_a_microphone_needs_its_extra(tiny_onnx):
    code = (
        "import sys\nsys.modules['sounddevice'] = None\nfrom ringtrue.cli import main\n"
        f"sys.exit(main(['listen', '--model', {str(tiny_onnx)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "pip install 'ringtrue[listen]'" in done.stderr
    assert "Traceback" not in done.stderr
