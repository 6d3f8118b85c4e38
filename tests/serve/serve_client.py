"""A real service in a process of its own, and a small client that is no browser."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path


class Server:
    """`ringtrue serve` on a free port; `environment` adds to what it finds there."""

    def __init__(self, model: Path, folder: Path, *options: str, environment: dict[str, str] | None = None):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        variables = {
            **os.environ,
            "RINGTRUE_CACHE": str(folder),
            "TMPDIR": str(folder),
            "OMP_NUM_THREADS": "1",
            **(environment or {}),
        }
        self.folder = folder
        self.log = folder / "log.txt"
        command = [sys.executable, "-m", "ringtrue", "serve", "--model", str(model), "--port", str(self.port)]
        with self.log.open("w") as log:
            self.process = subprocess.Popen([*command, *options], env=variables, stderr=log, stdout=log)
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if self.ask("GET", "/readyz")[0] == 200:
                    return
            except OSError:
                time.sleep(0.1)
        raise AssertionError(f"the service did not start: {self.log.read_text()}")

    def ask(self, method, path, body=None, headers=None, host=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        sent = {"Host": host or f"127.0.0.1:{self.port}", **(headers or {})}
        connection.request(method, path, body, sent)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        kind = answer.headers.get("content-type", "")
        return answer.status, json.loads(content) if content and "json" in kind else content, answer.headers

    def post(self, path, content, name="clip.wav", headers=None, **fields):
        body, kind = multipart(fields, (name, content))
        return self.ask("POST", path, body, {"Content-Type": kind, **(headers or {})})

    def processes(self):
        """Everything that descends from the service, by its parent in /proc."""
        found, before = {self.process.pid}, 0
        while len(found) != before:
            before = len(found)
            for stat in Path("/proc").glob("[0-9]*/stat"):
                try:
                    fields = stat.read_text().rpartition(")")[2].split()
                except OSError:
                    continue
                if int(fields[1]) in found:
                    found.add(int(stat.parent.name))
        return found - {self.process.pid}

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


def multipart(fields, *files):
    """Encode a form; files are `(name, content)`."""
    edge = uuid.uuid4().hex
    parts = [
        f'--{edge}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'.encode()
        for key, value in fields.items()
    ]
    for name, content in files:
        head = f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
        parts += [head.encode(), content, b"\r\n"]
    return b"".join([*parts, f"--{edge}--\r\n".encode()]), f"multipart/form-data; boundary={edge}"
