"""The page judges by itself: the service's verdict, and nothing asked of the network meanwhile."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fastapi")
from serve_client import Server  # conftest puts these there
from serve_page import give, keep, opened, saved_data

import ringtrue
from ringtrue.inference.runtime import Detector
from ringtrue.serve.assets import browser_runtime

with_runtime = pytest.mark.skipif(
    browser_runtime() is None, reason="the runtime for browsers was not fetched: make browser"
)


@pytest.fixture
def alone(page, server):
    """The page once it has loaded what it needs, cut off from the network; it must not even try to reach it."""
    page.check("#here")
    page.wait_for_selector("#here-words:has-text('Ready')")
    assert "Recordings stay in this browser" in page.inner_text("#privacy")
    asked, answered = [], answers(server)
    page.on("request", lambda request: request.url.startswith("blob:") or asked.append(request.url))
    page.on("websocket", lambda socket: asked.append(socket.url))
    page.context.set_offline(True)
    yield page
    assert asked == [] and answers(server) == answered


def answers(server):
    """What the service has answered so far, but for questions after this."""
    lines = server.ask("GET", "/metrics")[1].decode().splitlines()
    return [line for line in lines if line.startswith("ringtrue_requests_total") and "/metrics" not in line]


@pytest.fixture(scope="module")
def recordings(encode, speechlike):
    """Name -> content: shorter and longer than a window, at rates and in formats that browsers and we both read."""
    stereo = np.stack([speechlike(6.0, seed=5, rate_hz=44_100), speechlike(6.0, seed=6, rate_hz=44_100)], axis=1)
    quiet = 0.02 * speechlike(5.0, seed=7)
    return {
        "short.wav": encode("wav", speechlike(1.3, seed=1)),
        "word.wav": encode("wav", speechlike(0.4, seed=2)),
        "window.wav": encode("wav", speechlike(4.0, seed=3)),
        "long.wav": encode("wav", speechlike(33.7, seed=4)),
        "stereo.wav": encode("wav", stereo, 44_100),
        "studio.wav": encode("wav24", speechlike(5.0, seed=8, rate_hz=48_000), 48_000),
        "telephone.wav": encode("wav_mulaw", speechlike(5.0, seed=9, rate_hz=8_000), 8_000),
        "floats.wav": encode("wav_float", 1.4 * speechlike(5.0, seed=10, rate_hz=22_050), 22_050),
        "quiet.flac": encode("flac", quiet),
        "noise.wav": encode("wav", np.random.default_rng(0).uniform(-0.3, 0.3, 48_000).astype(np.float32)),
        "zeros.wav": encode("wav", np.zeros(32_000, np.float32)),
    }  # fmt: skip


@with_runtime
def test_a_browser_alone_gives_the_verdict_of_the_service(alone, recordings, tiny_onnx, tmp_path):
    detector = Detector(tiny_onnx)
    give(alone, *recordings.items())
    for number, (name, content) in enumerate(recordings.items()):
        alone.wait_for_selector(f"#r{number}")
        verdict = saved_data(alone, f"#r{number}", tmp_path)["verdict"]
        expected = json.loads(json.dumps({**detector.check(content).to_dict(), "name": name}))
        print(name, verdict["score"] - expected["score"])
    for number, (name, content) in enumerate(recordings.items()):
        verdict = json.loads((tmp_path / f"{name}.ringtrue.json").read_text())["verdict"]
        expected = json.loads(json.dumps({**detector.check(content).to_dict(), "name": name}))
        assert verdict["score"] == pytest.approx(expected["score"], abs=1e-4), name
        for key, value in expected.items():
            assert verdict[key] == value, (name, key)
