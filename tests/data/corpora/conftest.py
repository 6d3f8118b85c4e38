"""Small exact replicas of the corpora people have: real names, real columns, real sound."""

import json
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ringtrue.data.trials import Trial


class Told(list):
    """A progress callback that remembers what it was told."""

    def __call__(self, line: str) -> None:
        self.append(line)

    def about(self, text: str) -> list[str]:
        return [line for line in self if text in line]


@pytest.fixture
def told():
    return Told()


@pytest.fixture(scope="session")
def sounds(encode, speechlike):
    """The same fifth of a second in the formats that corpora come in."""
    samples = speechlike(0.2)
    return {kind: encode(kind, samples) for kind in ("wav", "flac", "wav_float", "mp3")}


@pytest.fixture
def plant(tmp_path, sounds):
    """`plant("a/b.flac", "c.wav")` writes recordings, coded as their suffix says."""

    def plant(*recordings: str):
        for name in recordings:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(sounds[path.suffix.removeprefix(".")])
        return tmp_path

    return plant


@pytest.fixture
def write(tmp_path):
    """`write("a/meta.csv", "text")`."""

    def write(name: str, text: str, encoding: str = "utf-8"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding=encoding, newline="")
        return path

    return write


@pytest.fixture
def parquet_file(tmp_path, encode, speechlike):
    """`parquet_file("x.parquet", columns)` with one recording a row, 0.1 s longer each, in row groups of two."""
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")

    def parquet_file(name: str, columns: dict, sound: str = "audio", first: int = 1):
        count = len(next(iter(columns.values())))
        recordings = [
            {"bytes": encode("flac", speechlike(0.1 * (first + row))), "path": f"{row}.flac"}
            for row in range(count)
        ]
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        table = pyarrow.table({**columns, sound: recordings} if sound else columns)
        parquet.write_table(table, path, row_group_size=2)
        return path

    return parquet_file


@pytest.fixture
def by_id():
    """`by_id(trials)["name"]`."""

    def by_id(trials: list[Trial]) -> dict[str, Trial]:
        return {trial.id: trial for trial in trials}

    return by_id


# --- the hub, played by a small HTTP server ---------------------------------------------------------------

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class FakeHub:
    """Repositories by name, each a dictionary of paths to bytes; and what to answer instead."""

    def __init__(self):
        self.repositories = {}
        self.gated = set()
        self.busy = 0  # how many requests to answer with 429 first
        self.cut = 0  # how many downloads to break off in the middle first
        self.silent = 0  # how many downloads not to answer first
        self.forbidden = set()
        self.asked = []

    def answer(self, method, url, headers, asked=()):
        """Give status, headers and body."""
        parts = urllib.parse.urlsplit(url)
        words = [urllib.parse.unquote(word) for word in parts.path.strip("/").split("/")]
        words = words[1:] if words[0] == "api" else words
        repository = "/".join(words[1:3])
        self.asked.append((method, urllib.parse.unquote(parts.path)))
        if self.busy:
            self.busy -= 1
            return 429, {"Retry-After": "1"}, b"slow down"
        if repository in self.gated and "Authorization" not in headers:
            return 401, {"X-Error-Code": "GatedRepo"}, b"Access to this dataset is restricted"
        if repository in self.forbidden:
            return 403, {}, b"Forbidden"
        files = self.repositories.get(repository)
        if files is None:
            return 404, {"X-Error-Code": "RepoNotFound"}, b"Repository not found"
        if len(words) == 3 or words[3] == "revision":
            return (
                200,
                {"Content-Type": "application/json"},
                json.dumps({"id": repository, "sha": COMMIT}).encode(),
            )
        if words[3] == "paths-info":
            listed = [self._entry(path, content) for path, content in files.items() if path in asked]
            return 200, {"Content-Type": "application/json"}, json.dumps(listed).encode()
        if words[3] == "tree":
            folder = "/".join(words[5:])
            listed = [
                self._entry(path, content) for path, content in files.items() if path.startswith(folder)
            ]
            return 200, {"Content-Type": "application/json"}, json.dumps(listed).encode()
        path = "/".join(words[5:])
        if path not in files:
            return 404, {"X-Error-Code": "EntryNotFound"}, b"Entry not found"
        content = files[path]
        headers_out = {"ETag": f'"{len(content):040x}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if "Range" in headers and method == "GET":
            start, _, last = headers["Range"].removeprefix("bytes=").partition("-")
            part = content[int(start) : int(last or len(content)) + 1]
            headers_out["Content-Range"] = f"bytes {start}-{int(start) + len(part) - 1}/{len(content)}"
            return 206, headers_out, part
        return 200, headers_out, content

    def _entry(self, path, content):
        return {"type": "file", "path": path, "size": len(content), "oid": f"{len(content):040x}"}


@pytest.fixture
def fake(monkeypatch, tmp_path):
    huggingface_hub = pytest.importorskip("huggingface_hub")
    fake = FakeHub()
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            length = int(self.headers.get("Content-Length") or 0)
            wanted = urllib.parse.unquote_plus(self.rfile.read(length).decode()) if length else ""
            if fake.silent and "/resolve/" in self.path:
                fake.silent -= 1
                ended.wait(20)  # longer than any test's patience
            status, headers, body = fake.answer(self.command, self.path, self.headers, wanted)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": len(body)}.items():
                self.send_header(name, str(value))
            self.end_headers()
            if self.command != "HEAD":
                cut = fake.cut > 0 and "/resolve/" in self.path
                fake.cut -= cut
                self.wfile.write(body[: len(body) // 2] if cut else body)
                self.close_connection = self.close_connection or cut

        do_HEAD = do_POST = do_GET

        def log_message(self, *arguments):
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
        endpoint + "/{repo_id}/resolve/{revision}/{filename}",
    )
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no token"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    huggingface_hub.utils.disable_progress_bars()
    huggingface_hub.close_session()
    yield fake
    ended.set()
    server.shutdown()
    huggingface_hub.close_session()
