"""The service under load: `python bench/serve.py MODEL.onnx`; the last line of output is JSON.

One real service with two workers on this machine's loopback, clients in this process. Every figure is beside its bound.
Clips last five seconds. The rate in process is one thread's: `Detector.check` on the same bytes in the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np  # noqa: E402
import soundfile  # noqa: E402

EDGE = "ringtrue-bench"
BOUNDS = {
    "throughput over in-process rate": 0.8,
    "p99 over median": 6.0,
    "good requests failed among slow and hostile": 0,
    "MB grown over all requests": 16.0,
    "requests lost to a killed worker": 1,
    "in flight at SIGTERM, not finished": 0,
}
AT_LEAST = {"throughput over in-process rate"}
HOSTILE = (b"", b"RIFF", b"\x1aE\xdf\xa3" * 400, b"OggS" + bytes(5000), b"x" * 50_000)


def make_clip() -> bytes:
    """Make five seconds of a buzz; what is heard does not change the time that it takes."""
    t = np.arange(80_000) / 16_000
    samples = 0.3 * np.sign(np.sin(2 * np.pi * 120 * t)) * (np.sin(2 * np.pi * 2 * t) > 0)
    target = io.BytesIO()
    soundfile.write(target, samples, 16_000, format="WAV")
    return target.getvalue()


def request(port: int, content: bytes) -> bytes:
    """Write a whole HTTP request."""
    part = f'--{EDGE}\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'.encode()
    body = part + content + f"\r\n--{EDGE}--\r\n".encode()
    head = (
        f"POST /v1/check HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {len(body)}\r\n"
        f"Content-Type: multipart/form-data; boundary={EDGE}\r\n\r\n"
    )
    return head.encode() + body


class Client:
    """One connection that is kept."""

    def __init__(self, port: int):
        self.port = port

    async def send(self, message: bytes, slow_s: float = 0.0) -> int:
        """Send a request, in pieces over `slow_s`; give the status, 0 where the connection broke."""
        try:
            if not hasattr(self, "reader"):
                self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
            pieces = 10 if slow_s else 1
            for at in range(pieces):
                self.writer.write(message[len(message) * at // pieces : len(message) * (at + 1) // pieces])
                await self.writer.drain()
                if slow_s:
                    await asyncio.sleep(slow_s / pieces)
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = next(
                int(h.split(b":")[1]) for h in head.split(b"\r\n") if h.lower().startswith(b"content-length")
            )
            await self.reader.readexactly(length)
            if b"connection: close" in head.lower():
                self.close()
            return int(head[9:12])
        except (OSError, asyncio.IncompleteReadError):
            self.close()
            return 0

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if hasattr(self, "reader"):
            self.writer.close()
            del self.reader, self.writer


async def load(port: int, message: bytes, clients: int, count: int) -> tuple[float, list[float], list[int]]:
    """Send `count` requests from so many clients; give the rate, the seconds and the status of each."""
    seconds: list[float] = []
    codes: list[int] = []
    left = iter(range(count))

    async def one() -> None:
        client = Client(port)
        for _ in left:
            began = time.perf_counter()
            codes.append(await client.send(message))
            seconds.append(time.perf_counter() - began)
        client.close()

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(clients)))
    return count / (time.perf_counter() - began), seconds, codes


async def slow_and_hostile(port: int, clip: bytes, clients: int) -> tuple[int, int]:
    """Let slow clients send two recordings each, one in ten of them hostile; give good requests and failed ones."""
    good: list[int] = []

    async def one(number: int) -> None:
        client = Client(port)
        for turn in range(2):
            place = 2 * number + turn
            if place % 10 == 0:
                await client.send(request(port, HOSTILE[place // 10 % len(HOSTILE)]))
            else:
                good.append(await client.send(request(port, clip), slow_s=4.0))
        client.close()

    await asyncio.gather(*(one(number) for number in range(clients)))
    return len(good), sum(code != 200 for code in good)


def family(pid: int) -> list[int]:
    """Give a process and everything below it."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = [pid]
    for member in found:
        found += [child for child, parent in parents.items() if parent == member]
    return found


def memory_mb(pid: int) -> float:
    """Give the private memory of a service: shared pages, which forked workers have many of, count once."""
    total = 0.0
    for member in family(pid):
        rollup = Path(f"/proc/{member}/smaps_rollup").read_text().splitlines()
        total += sum(int(line.split()[1]) for line in rollup if line.startswith("Pss:")) / 1024
    return total


def start(model: Path, folder: str) -> tuple[subprocess.Popen, int]:
    """Start a service; give its process and port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["serve", "--model", str(model), "--port", str(port), "--per-client", "1000", "--rate", "1000000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "ringtrue", *words],
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TMPDIR": folder},
    )
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return process, port
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the service did not start")


async def measure(
    process: subprocess.Popen, port: int, clip: bytes, count: int, direct: float
) -> dict[str, float]:
    """Run every load, one after the other."""
    message = request(port, clip)
    await load(port, message, 16, 300)  # warm: arenas grow, caches fill
    before = memory_mb(process.pid)
    rate, seconds, codes = await load(port, message, 16, count)
    assert set(codes) == {200}, set(codes)
    figures = {
        "in-process clips a second": direct,
        "clips a second, 16 clients": rate,
        "throughput over in-process rate": rate / direct,
        "median ms": 1000 * statistics.median(seconds),
        "p99 over median": float(np.quantile(seconds, 0.99)) / statistics.median(seconds),
    }
    figures["MB"] = memory_mb(process.pid)
    figures["MB grown over all requests"] = figures["MB"] - before
    good, failed = await slow_and_hostile(port, clip, 200)
    figures |= {
        "good requests among slow and hostile": good,
        "good requests failed among slow and hostile": failed,
    }
    figures["MB grown with 200 uploads at once"] = memory_mb(process.pid) - before
    under_load = asyncio.create_task(load(port, message, 16, 200))
    await asyncio.sleep(0.5)
    os.kill(max(family(process.pid)), signal.SIGKILL)
    codes = (await under_load)[2]
    figures["requests lost to a killed worker"] = sum(code != 200 for code in codes)
    clients = [Client(port) for _ in range(8)]
    last = [asyncio.create_task(client.send(message, slow_s=1.0)) for client in clients]
    await asyncio.sleep(0.3)
    process.send_signal(signal.SIGTERM)
    figures["in flight at SIGTERM, not finished"] = sum(code != 200 for code in await asyncio.gather(*last))
    for client in clients:
        client.close()
    assert process.wait(30) == 0
    return figures


def in_process(model: Path, clip: bytes) -> float:
    """Give the clips that one thread judges in a second."""
    from ringtrue.inference.runtime import Detector

    detector = Detector(model)
    times = []
    for _ in range(80):
        began = time.perf_counter()
        detector.check(clip)
        times.append(time.perf_counter() - began)
    return 1 / statistics.median(times)


def main() -> None:
    """Run the load and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--requests", type=int, default=10_000)
    options = parser.parse_args()
    clip = make_clip()
    direct = in_process(options.model, clip)
    with tempfile.TemporaryDirectory() as folder:
        process, port = start(options.model, folder)
        try:
            figures = asyncio.run(measure(process, port, clip, options.requests, direct))
        finally:
            process.kill()
        assert not list(Path(folder).glob("*.wav")), "a recording was left behind"
    print(f"{'':46} {'measured':>9} {'bound':>8}")
    for name, value in figures.items():
        bound = f"{'>=' if name in AT_LEAST else '<='} {BOUNDS[name]:g}" if name in BOUNDS else ""
        print(f"{name:46} {value:9.2f} {bound:>8}")
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {options.requests} requests"
    )
    held = {k: (figures[k] >= b) if k in AT_LEAST else (figures[k] <= b) for k, b in BOUNDS.items()}
    print(json.dumps({"figures": figures, "held": held}))
    sys.exit(not all(held.values()))


if __name__ == "__main__":
    main()
