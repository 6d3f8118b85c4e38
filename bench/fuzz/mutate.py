"""Mutated files of every container, through the whole path from decoding to verdict: `python bench/fuzz/mutate.py`.

Each file is judged in a worker process with 1 GiB of memory beyond its start and 10 s of processor time. It should give
a verdict or one clear error; a crash, a hang, another exception or more memory is a finding, kept in --keep. The last
line of output is JSON.

Mutations are chosen by what pays: inputs whose outcome is new (another error, warning, codec, length) join the corpus
and are mutated further. That is coverage of behaviour, not of branches; it needs no instrumented decoder.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import os
import random
import re
import resource
import sys
import tempfile
import time
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np  # noqa: E402

MEMORY_BYTES, HANG_S = 1 << 30, 10.0
RATES_HZ = (8_000, 16_000, 44_100)
MAGIC = [
    b"RIFF", b"data", b"fmt ", b"fLaC", b"OggS", b"FORM", b"COMM", b"SSND", b"moov", b"mdat", b"stsz", b"stts", b"trak",
    b"\x1aE\xdf\xa3",
    b"ID3", b"\xff\xfb", b"caff", b"desc", b"\xff\xff\xff\xff", b"\x00\x00\x00\x00", b"\x7f\xff\xff\xff",
    b"#!AMR\n", b"\x80\x00\x00\x00", b"\xff\x7f", b"\x00\x80", b"OpusHead", b"vorbis",
]  # fmt: skip


def seeds() -> list[tuple[str, bytes]]:
    """Write a short sound in every container that ringtrue reads."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
    import conftest

    found = []
    for rate_hz in RATES_HZ:
        sound = conftest.make_speechlike(0.7, seed=rate_hz, rate_hz=rate_hz)
        for kind, row in conftest._SNDFILE.items():
            found.append((kind, conftest.encode_sndfile(sound, rate_hz, *row)))
        for kind, row in conftest._FFMPEG.items():
            if (kind in ("amr", "ulaw", "alaw")) == (rate_hz == 8_000) and (
                kind != "g722" or rate_hz == 16_000
            ):
                if kind in ("opus", "webm") and rate_hz == 44_100:
                    continue
                found.append((kind, conftest.encode_ffmpeg(sound, rate_hz, *row)))
    return found


def mutate(content: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """Change a file in one to eight places, cut it, or join it with another; headers more often than sound."""
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 3, 5, 8])):
        if not data:
            break
        reach = len(data) if rng.random() < 0.4 else min(len(data), 200)
        at = rng.randrange(reach)
        kind = rng.randrange(9)
        if kind == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at] = rng.choice([0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)])
        elif kind == 2:
            value = rng.choice(
                [0, 1, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1_000_000, rng.getrandbits(32)]
            )
            data[at : at + 4] = value.to_bytes(4, rng.choice(["little", "big"]))
        elif kind == 3:
            data[at : at + rng.choice([1, 2, 4, 16, 256])] = b""
        elif kind == 4:
            word = rng.choice(MAGIC)
            data[at : at + len(word)] = word
        elif kind == 5:
            piece = data[at : at + rng.choice([4, 64, 1024])]
            data[at:at] = piece * rng.choice([1, 2, 50])
        elif kind == 6:
            del data[at:]
        elif kind == 7:
            other = rng.choice(others)
            start = rng.randrange(len(other) + 1)
            data[at:] = other[start : start + 20_000]
        else:
            data[at : at + 8] = rng.randbytes(8)
    return bytes(data[:2_000_000])


def work(pipe: Connection, model: str) -> None:
    """Judge what comes down the pipe; answer with what came of it and the memory at its highest."""
    from ringtrue.errors import RingtrueError
    from ringtrue.inference.runtime import Detector

    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 2)
    detector = Detector(model)
    detector.check((np.zeros(70_000, np.float32), 16_000))
    base_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pipe.send("ready")
    while True:
        name, content = pipe.recv()
        path = Path(name)
        path.write_bytes(content)
        try:
            verdict = detector.check(path if path.suffix != ".pipe" else io.BytesIO(content))
            json.dumps(verdict.to_dict(), allow_nan=False)
            kinds = [re.sub(r"[\d.]+", "#", warning)[:40] for warning in verdict.warnings]
            outcome = f"verdict {verdict.audio['codec']} {len(verdict.segments)} {kinds}"
        except RingtrueError as error:
            outcome = "error " + re.sub(r"b'.*?'|b\".*?\"|[\d.]+|/\S+", "#", str(error))[:60]
            if "\n" in str(error):
                outcome = "FINDING several lines: " + outcome
        except Exception as error:
            outcome = f"FINDING {type(error).__name__}: {error}"[:200]
        peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        if (peak_kib - base_kib) * 1024 > MEMORY_BYTES:
            outcome = f"FINDING memory {(peak_kib - base_kib) >> 10} MiB: {outcome}"
        pipe.send(outcome)
        if outcome.startswith("FINDING memory"):
            return


class Worker:
    """A process that can be lost."""

    def __init__(self, model: str, folder: str):
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=work, args=(theirs, model), daemon=True)
        self.process.start()
        theirs.close()
        self.pipe.recv()
        self.folder, self.took_s = folder, 0.0

    def cpu_s(self) -> float:
        """Seconds of processor time that it has used: other work on the machine does not make a file slow."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def judge(self, suffix: str, content: bytes) -> str:
        """Give what came of a file; FINDING in front of what should not have."""
        try:
            begun_s = self.cpu_s()
            self.pipe.send((str(Path(self.folder) / f"file{suffix}"), content))
            while not self.pipe.poll(1.0):
                if self.cpu_s() - begun_s > HANG_S:
                    self.process.kill()
                    self.process.join()
                    return f"FINDING hang over {HANG_S:g} s"
            answer = self.pipe.recv()
            self.took_s = self.cpu_s() - begun_s
            return answer
        except (EOFError, OSError):
            self.process.join(5)
            return f"FINDING crash, exit code {self.process.exitcode}"


def main() -> None:
    """Mutate, judge, count; last line JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="an .onnx file")
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--keep", type=Path, default=Path("fuzz-findings"), help="folder for what should not be"
    )
    options = parser.parse_args()
    rng = random.Random(options.seed)  # mutations, no secrets
    corpus = seeds()
    kinds = sorted({kind for kind, _ in corpus})
    seen: Counter[str] = Counter()
    findings: Counter[str] = Counter()
    started, slowest_s, done, joined = time.monotonic(), 0.0, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        worker = Worker(options.model, folder)
        while done < options.files and time.monotonic() - started < 60 * options.minutes:
            kind, content = rng.choice(corpus[-400:] if rng.random() < 0.5 else corpus)
            mutated = mutate(content, [other for _, other in rng.sample(corpus, 3)], rng)
            headerless = {"ulaw": ".ulaw", "alaw": ".al", "g722": ".g722"}
            suffix = rng.choice([".wav", ".pipe", ".mp3", headerless.get(kind, f".{kind}")])
            outcome = worker.judge(suffix, mutated)
            slowest_s = max(slowest_s, worker.took_s)
            done += 1
            seen[outcome] += 1
            if outcome.startswith("FINDING"):
                findings[outcome[:60]] += 1
                options.keep.mkdir(parents=True, exist_ok=True)
                (options.keep / f"{options.seed}-{done}{suffix}").write_bytes(mutated)
                print(outcome, f"{options.seed}-{done}{suffix}", flush=True)
                if not worker.process.is_alive() or "memory" in outcome:
                    worker = Worker(options.model, folder)
            elif seen[outcome] == 1 and len(corpus) < 5_000:
                corpus.append((kind, mutated))
                joined += 1
            if done % 1_000 == 0:
                print(f"{done} files, {len(seen)} outcomes, {sum(findings.values())} findings", flush=True)
        worker.process.kill()
    verdicts = sum(count for outcome, count in seen.items() if outcome.startswith("verdict"))
    errors = done - verdicts - sum(findings.values())
    print(f"{done} files of {len(kinds)} kinds: {verdicts} verdicts, {errors} clear errors")
    result = {"files": done, "kinds": kinds, "verdicts": verdicts, "outcomes": len(seen), "joined": joined,
              "findings": dict(findings), "slowest_s": round(slowest_s, 2),
              "minutes": round((time.monotonic() - started) / 60, 1)}  # fmt: skip
    print(json.dumps(result))
    sys.exit(bool(findings))


if __name__ == "__main__":
    main()
