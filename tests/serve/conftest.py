"""One service for all tests, and a clip to send."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # tests are imported by path, so their helper has no package
from serve_client import Server


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
