"""The service over a real socket: what `check` says, what is refused, and what a hostile client costs."""

import json
import os
import signal
import socket
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ringtrue import __version__, cli
from ringtrue.inference.runtime import Detector

pytest.importorskip("fastapi")
from serve_client import Server, multipart  # conftest puts it there

from ringtrue.serve.guard import HEADERS
from ringtrue.serve.schema import JobV1, ModelsV1, VerdictV1


@pytest.fixture(scope="module")
def strict(tiny_onnx, tmp_path_factory):
    """A service with a key, one worker and narrow limits; gives it and the key."""
    from ringtrue.serve.keys import new_key

    folder = tmp_path_factory.mktemp("strict")
    key, line = new_key("desk")
    keys = tmp_path_factory.mktemp("keys") / "keys.txt"
    keys.write_text(f"# who may\n{line}\n")
    limits = ["--workers", "1", "--max-upload-mb", "1", "--per-client", "2", "--rate", "60"]
    running = Server(tiny_onnx, folder, "--keys", str(keys), *limits)
    yield running, {"Authorization": f"Bearer {key}"}
    running.process.kill()
    running.process.wait()


def test_a_verdict_is_what_check_says(server, clip, tiny_onnx):
    status, verdict, headers = server.post("/v1/check", clip)
    expected = {**Detector(tiny_onnx).check(clip).to_dict(), "name": "clip.wav"}
    assert status == 200
    assert verdict == json.loads(json.dumps(expected))
    VerdictV1.model_validate(verdict)
    assert {name: headers[name] for name in HEADERS} == HEADERS


def test_a_report_is_given_to_who_accepts_html(server, clip):
    status, page, headers = server.post("/v1/check", clip, headers={"Accept": "text/html"})
    assert status == 200 and b"<svg" in page and headers["content-type"].startswith("text/html")


@pytest.mark.parametrize("content", [b"", b"RIFF", b"not audio", b"\x1a\x45\xdf\xa3" * 50])
def test_what_is_no_recording_is_refused_in_one_line(server, content):
    status, problem, headers = server.post("/v1/check", content, "../../etc/passwd")
    assert status == 422 and headers["content-type"] == "application/problem+json"
    assert "passwd" in problem["detail"] and "/etc" not in problem["detail"] and "\n" not in problem["detail"]


def test_a_job_tells_how_far_it_is_and_is_forgotten(server, clip):
    status, job, _ = server.post("/v1/jobs", clip, prosody="true")
    assert status == 202
    while job["state"] in ("waiting", "judging"):
        status, job, _ = server.ask("GET", f"/v1/jobs/{job['id']}?wait_s=5")
    checked = JobV1.model_validate(job)
    assert checked.state == "done" and checked.verdict.schema_version == 1
    voiced = [hz for hz in checked.prosody.pitch_hz if hz]
    assert min(voiced) > 60 and max(voiced) < 400 and checked.prosody.statistics["pitch_hz"] > 60
    assert server.ask("DELETE", f"/v1/jobs/{job['id']}")[0] == 204
    assert server.ask("GET", f"/v1/jobs/{job['id']}")[0] == 404


def test_models_metrics_health_and_assets(server):
    about = ModelsV1.model_validate(server.ask("GET", "/v1/models")[1])
    assert about.ringtrue == __version__ and about.models[0].name == "tiny"
    assert b"ringtrue_workers_alive 2.0" in server.ask("GET", "/metrics")[1]
    assert server.ask("GET", "/healthz")[0] == 200
    status, page, headers = server.ask("GET", "/")
    assert (
        status == 200 and b'<script type="module"' in page and b"http" not in page.replace(b"https or", b"")
    )
    assert server.ask("GET", "/", headers={"If-None-Match": headers["etag"]})[0] == 304
    for path in ("/page/../settings.py", "/page/%2e%2e/settings.py", "/page/nothing"):
        assert server.ask("GET", path)[0] == 404


def test_pages_of_other_sites_are_refused(server, clip):
    assert server.ask("GET", "/v1/models", host="evil.example")[0] == 421  # DNS rebinding
    assert server.post("/v1/check", clip, headers={"Origin": "https://evil.example"})[0] == 403
    own = {"Origin": f"http://127.0.0.1:{server.port}"}
    status, _, headers = server.post("/v1/check", clip, headers=own)
    assert status == 200 and "access-control-allow-origin" not in headers


def test_keys_sizes_and_rates(strict, clip):
    server, key = strict
    assert server.post("/v1/check", clip)[0] == 401
    assert server.post("/v1/check", clip, headers={"Authorization": "Bearer guess"})[0] == 401
    assert server.post("/v1/check", clip, headers=key)[0] == 200
    assert server.post("/v1/check", bytes(2 << 20), headers=key)[0] == 413
    codes = [server.post("/v1/check", b"x", headers=key)[0] for _ in range(30)]
    assert set(codes) == {422, 429} and codes.index(429) < 25


def test_no_process_of_the_service_may_send_telemetry(server):
    processes = [Path("/proc") / str(pid) for pid in server.processes()]
    judging = [one for one in processes if b"forkserver" in (one / "cmdline").read_bytes()]
    assert len(judging) >= 2
    assert all(b"ORT_DISABLE_TELEMETRY=1" in (one / "environ").read_bytes() for one in judging)


def test_a_killed_worker_costs_only_its_own_request(server, clip):
    codes = []

    def client():
        codes.extend(server.post("/v1/check", clip)[0] for _ in range(8))

    clients = [threading.Thread(target=client) for _ in range(3)]
    for one in clients:
        one.start()
    time.sleep(0.1)
    workers = [
        pid for pid in server.processes() if b"forkserver" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    os.kill(max(workers), signal.SIGKILL)
    for one in clients:
        one.join()
    assert codes.count(200) >= 23 and set(codes) <= {200, 503}
    assert server.post("/v1/check", clip)[0] == 200


def test_a_worker_is_kept_within_its_memory(tiny_onnx, clip, tmp_path):
    import asyncio

    from ringtrue.errors import RingtrueError
    from ringtrue.inference.batch import Setup
    from ringtrue.serve.crew import Crew
    from ringtrue.serve.worker import Bounds

    path = tmp_path / "clip.wav"
    path.write_bytes(clip)

    async def judged(memory_bytes):
        crew = Crew(Setup(tiny_onnx), Bounds(memory_bytes, 20), 1, 1)
        await crew.start()
        request = {"task": "check", "name": "clip", "max_s": 9.0, "too_long": ""}
        try:
            with path.open("rb") as file:
                return await crew.run(request, file.fileno(), 20.0)
        finally:
            await crew.stop()

    assert json.loads(asyncio.run(judged(256 << 20)))["schema"] == 1
    with pytest.raises(RingtrueError):
        asyncio.run(judged(1 << 20))


def test_what_is_in_flight_is_finished_after_sigterm(tiny_onnx, clip, tmp_path):
    server = Server(tiny_onnx, tmp_path, "--workers", "1")
    body, kind = multipart({}, ("clip.wav", clip))
    slow = socket.create_connection(("127.0.0.1", server.port))
    lines = ["POST /v1/check HTTP/1.1", f"Host: 127.0.0.1:{server.port}", f"Content-Type: {kind}"]
    head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""])
    slow.sendall(head.encode() + body[:1000])
    time.sleep(0.3)
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    slow.sendall(body[1000:])
    assert slow.recv(64).startswith(b"HTTP/1.1 200")
    slow.close()
    assert server.process.wait(20) == 0
    assert not server.processes()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_request_makes_the_service_fail(server, data):
    document = server.ask("GET", "/openapi.json")[1]
    path = data.draw(st.sampled_from(sorted(document["paths"])))
    method = data.draw(st.sampled_from(sorted(document["paths"][path]))).upper()
    path = path.replace(
        "{id}", data.draw(st.text("ab%/.\x7f", max_size=8)).replace("\x7f", "%00").replace("%%", "%")
    )
    if data.draw(st.booleans()):
        path += "?wait_s=" + data.draw(st.sampled_from(["nan", "-1", "1e9", "x", ""]))
    kinds = ["multipart/form-data; boundary=x", "multipart/form-data", "application/json", "text/plain", "é"]
    kind = data.draw(st.sampled_from(kinds)).encode("latin-1").decode("latin-1")
    body = data.draw(st.binary(max_size=60)) + data.draw(
        st.sampled_from(
            [b"", b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nhi\r\n--x--\r\n']
        )
    )
    status, answer, _ = server.ask(method, path, body, {"Content-Type": kind})
    assert status < 500
    if status >= 400:
        assert set(answer) >= {"title", "status", "detail"}


def test_every_error_is_described_as_what_it_is(server):
    document = server.ask("GET", "/openapi.json")[1]
    errors = [
        content
        for path in document["paths"].values()
        for operation in path.values()
        for status, response in operation["responses"].items()
        if status >= "400"
        for content in response.get("content", {})
    ]
    assert len(errors) > 10 and set(errors) == {"application/problem+json"}


def test_a_new_key_is_printed_once(capsys):
    assert cli.main(["serve", "--new-key", "desk"]) == 0
    told = capsys.readouterr()
    assert told.out.strip() not in told.err and "desk " in told.err
