"""Live streams: the verdict of `check`, and clients that do what they should not."""

import contextlib
import json

import numpy as np
import pytest

from ringtrue.inference.runtime import Detector

pytest.importorskip("fastapi")
client = pytest.importorskip("websockets.sync.client")
from websockets.exceptions import ConnectionClosed, InvalidStatus  # noqa: E402


def converse(server, *messages):
    """Send messages, as long as the service takes them; give what came back until it closed."""
    heard = []
    with client.connect(f"ws://127.0.0.1:{server.port}/v1/stream", max_size=None) as socket:
        with contextlib.suppress(ConnectionClosed):
            for message in messages:
                socket.send(message)
        with contextlib.suppress(ConnectionClosed):
            while True:
                heard.append(json.loads(socket.recv(timeout=20)))
    return heard


END = json.dumps({"end": True})


def test_pcm_gives_the_verdict_of_check(server, speechlike, tiny_onnx):
    samples = (32767 * speechlike(5.0, seed=4)).astype("<i2")
    data = samples.tobytes()
    cuts = [data[at : at + 7_001] for at in range(0, len(data), 7_001)]  # odd: samples are cut in two
    *running, last = converse(server, json.dumps({"rate_hz": 16_000}), *cuts, END)
    assert len(running) == 10 and running[-1]["running"]["heard_s"] == 5.0
    assert last["verdict"]["score"] == pytest.approx(
        Detector(tiny_onnx).check((samples, 16_000)).score, abs=1e-5
    )


def test_webm_is_decoded_while_it_comes(server, encode, speechlike, tiny_onnx):
    webm = encode("webm", speechlike(6.0, seed=4, rate_hz=48_000), 48_000)
    chunks = [webm[at : at + 3_000] for at in range(0, len(webm), 3_000)]
    last = converse(server, json.dumps({"format": "webm"}), *chunks, END)[-1]
    assert last["verdict"]["audio"]["codec"] == "opus"
    assert last["verdict"]["score"] == pytest.approx(Detector(tiny_onnx).check(webm).score, abs=1e-5)


MISBEHAVIOUR = {
    "no JSON": ["hello"],
    "bytes first": [b"\0" * 100],
    "a list": ["[]"],
    "unknown key": ['{"path": "/etc/passwd"}'],
    "unknown format": ['{"format": "exe"}'],
    "no rate": ['{"rate_hz": "x"}'],
    "rate of 5 Hz": ['{"rate_hz": 5}'],
    "deep JSON": ["[" * 100_000],
    "text between": ["{}", b"\0" * 100, "and now?"],
    "not finite": ['{"format": "f32le"}', np.full(100, np.nan, "<f4").tobytes(), END],
    "no WebM": ['{"format": "webm"}', b"junk" * 1000, END],
    "nothing": ["{}", END],
}


@pytest.mark.parametrize("messages", MISBEHAVIOUR.values(), ids=MISBEHAVIOUR.keys())
def test_who_misbehaves_is_told_and_shown_out(server, messages):
    (answer,) = converse(server, *messages)
    assert set(answer) == {"error"} and "Traceback" not in answer["error"]


def test_who_is_too_loud_or_just_leaves_costs_nobody_else(server, clip):
    assert converse(server, "{}", b"\0" * ((1 << 20) + 2)) == []
    for _ in range(10):
        with client.connect(f"ws://127.0.0.1:{server.port}/v1/stream") as socket:
            socket.send("{}")
            socket.send(b"\0" * 1000)
    with pytest.raises(InvalidStatus):
        client.connect(f"ws://127.0.0.1:{server.port}/v1/stream", origin="https://evil.example")
    assert converse(server, "{}", b"\0" * 64_000, END)[-1]["verdict"]["decision"] == "inconclusive"
