"""One service for all tests, and a clip to send."""

import sys
import wave
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # tests are imported by path, so their helper has no package
from serve_client import Server
from serve_page import CHROMIUM, opened


@pytest.fixture(scope="session")
def server(tiny_onnx, tmp_path_factory):
    running = Server(tiny_onnx, tmp_path_factory.mktemp("serve"))
    yield running
    assert running.stop() == 0
    assert "Traceback" not in running.log.read_text()
    assert [path.name for path in running.folder.iterdir() if path.is_file()] == [
        "log.txt"
    ]  # nothing left behind


@pytest.fixture(scope="session")
def clip(encode, speechlike):
    return encode("wav", speechlike(5.0, seed=4))


@pytest.fixture(scope="module")
def browser(tmp_path_factory, speechlike):
    """Chromium whose microphone hears a clip."""
    reason = "the page's tests need playwright: ringtrue[dev]"
    playwright = pytest.importorskip("playwright.sync_api", reason=reason)
    if CHROMIUM is None:
        pytest.skip("the page's tests need a Chromium: apt-get install chromium")
    heard = tmp_path_factory.mktemp("microphone") / "heard.wav"
    samples = (30_000 * speechlike(4.0, seed=4, rate_hz=48_000)).astype("<i2")
    with wave.open(str(heard), "wb") as file:
        file.setparams((1, 2, 48_000, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    flags = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
             f"--use-file-for-fake-audio-capture={heard}"]  # fmt: skip
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield running
        running.close()


@pytest.fixture
def page(browser, server):
    """The page, opened."""
    with opened(browser, server) as page:
        yield page
