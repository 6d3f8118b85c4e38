"""The page judges by itself: the service's verdict, and nothing asked of the network meanwhile."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fastapi")
from serve_client import Server  # conftest puts these there
from serve_page import give, keep, opened, saved

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
    # The service counts too: a browser does not show all that it asks for.
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
    stereo = np.stack(
        [speechlike(6.0, seed=5, rate_hz=44_100), speechlike(6.0, seed=6, rate_hz=44_100)], axis=1
    )
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
        "bytes.wav": encode("wav8", speechlike(3.0, seed=11)),
        "extensible.wav": encode("wavex", speechlike(3.0, seed=12)),
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
        verdict = json.loads(saved(alone, f"#r{number}", "JSON", tmp_path).read_text())["verdict"]
        expected = json.loads(json.dumps({**detector.check(content).to_dict(), "name": name}))
        assert verdict["score"] == pytest.approx(expected["score"], abs=1e-4), name
        for key in expected:
            differences = list(unlike(verdict[key], expected[key], key))
            assert differences == [], name


def unlike(found, expected, where):
    """Give what differs, and where; numbers may by a unit of the third digit, to which an envelope is rounded."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in {*expected, *found}:
            yield from unlike(found.get(key), expected.get(key), f"{where}.{key}")
    elif isinstance(expected, list) and isinstance(found, list) and len(found) == len(expected):
        for at, (one, other) in enumerate(zip(found, expected, strict=True)):
            yield from unlike(one, other, f"{where}[{at}]")
    elif isinstance(expected, float):
        if found != pytest.approx(expected, abs=1.1e-3, rel=1e-3):
            yield where, found, expected
    elif found != expected:
        yield where, found, expected


@with_runtime
def test_what_a_browser_cannot_judge_it_says_in_a_row(alone, encode, speechlike):
    give(
        alone,
        ("words.wav", b"no sound at all"),
        ("empty.wav", b""),
        ("header.wav", encode("wav", np.zeros(0, np.float32))),
        ("infinite.wav", encode("wav_float", np.full(16_000, np.inf, np.float32))),
        ("integers.wav", encode("wav_float", np.full(16_000, 3e4, np.float32))),
        ("click.wav", encode("wav", speechlike(0.01, seed=1))),
        ("good.wav", encode("wav", speechlike(2.0, seed=1))),
    )
    alone.wait_for_selector("#r6")
    words = [alone.inner_text(f"#rows tr:nth-child({row})") for row in range(1, 8)]
    assert all("cannot decode" in one for one in words[:2])
    assert "cannot decode" in words[2] or "holds no audio" in words[2]
    assert "not finite" in words[3] and "accepted: -1 to 1" in words[4]
    assert "no decision" in words[5] and "too little for a decision" in alone.inner_text("#r5 .warnings")
    assert alone.locator(".card").count() == 2
    keep(alone, "browser-errors")


@with_runtime
def test_a_recording_from_the_microphone_stays_in_the_browser_too(alone):
    alone.click("#record")
    alone.wait_for_timeout(1_500)
    assert alone.inner_text("#live-words") == "Judged in this browser when you stop."
    alone.click("#stop")
    alone.wait_for_selector("#r0 .timeline")
    keep(alone, "browser-microphone")


@with_runtime
def test_a_model_that_was_changed_on_its_way_is_not_used(page, clip):
    page.route("**/v1/models/*", lambda route: route.fulfill(body=b"another model"))
    page.click("#here")
    page.wait_for_selector("#here-words:has-text('not the one that was promised')")
    assert not page.is_checked("#here") and "judges them, forgets them" in page.inner_text("#privacy")
    give(page, ("clip.wav", clip))
    page.wait_for_selector("#r0 .pitch")


def test_an_installation_without_the_runtime_says_so_and_judges_on_the_service(
    browser, tiny_onnx, clip, tmp_path, tmp_path_factory
):
    """A copy of the package as a source install has it."""
    package = Path(ringtrue.__file__).parent
    shutil.copytree(package, tmp_path / "ringtrue", ignore=shutil.ignore_patterns("runtime", "__pycache__"))
    folder = tmp_path_factory.mktemp("serve")  # a short name: sockets lie below it
    server = Server(tiny_onnx, folder, environment={"PYTHONPATH": str(tmp_path)})
    assert server.ask("GET", "/v1/models")[1]["browser"] is None
    with opened(browser, server) as page:
        page.wait_for_selector("#here-words:has-text('came without the runtime')")
        assert page.is_disabled("#here")
        give(page, ("clip.wav", clip))
        page.wait_for_selector("#r0 .pitch")
        assert "judges them, forgets them" in page.inner_text("#privacy")
        keep(page, "without-runtime")
    assert server.stop() == 0
