"""What a user waits for and what it costs: `python bench/runtime.py MODEL.onnx`; the last line of output is JSON.

Processes are measured from outside, beside the bare imports that nobody can do without, taking turns in one run:
cold starts, memory, folders of short files with one and two workers. Speed against peers is `ringtrue bench speed`.
The bounds are those that the project has set itself. Processor time (user and system, of the process and its
children) stands beside the wall where other work on the machine would blur it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
os.environ.pop(
    "PYTHONDONTWRITEBYTECODE", None
)  # what pip installs is compiled, and so is all that is imported twice

import numpy as np  # noqa: E402
import soundfile  # noqa: E402

IMPORTS = "import numpy, onnxruntime, soundfile"
BOUNDS = {
    "check of 5 s, cold, over imports": 2.0,
    "--help over python -c pass": 4.0,
    "MB over imports, 5 s": 60.0,
    "memory of two hours over 5 s": 1.3,
    "decode + network over folder": 0.9,
    "the same, all of it traced": 0.9,
    "one worker over two": 1.7,
}
AT_LEAST = {"decode + network over folder", "the same, all of it traced", "one worker over two"}

# A process that is started inherits the peak of the one that starts it: this one is as small as they come.
WATCH = """
import os, subprocess, sys, time
started = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
wall_s = time.perf_counter() - started
print(os.waitstatus_to_exitcode(status), wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)
"""


def speechlike(seconds: float, seed: int) -> np.ndarray:
    """Make a buzz with the rhythm of speech, which passes for speech, and for a machine's."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * 16_000)) / 16_000
    buzz = sum(np.sin(2 * np.pi * 120 * k * time_s + rng.uniform(0, 6)) / k for k in range(1, 20))
    sound = 0.1 * buzz * np.clip(np.sin(2 * np.pi * 2 * time_s) ** 2 * 1.4 - 0.2, 0, 1)
    return (sound + 3e-4 * rng.standard_normal(time_s.size)).astype(np.float32)


def noise(seconds: float, seed: int) -> np.ndarray:
    """Make noise with the rhythm of speech, which passes for no speech: nothing is decided and no source traced."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * 16_000)) / 16_000
    loudness = 0.01 + 0.1 * np.sin(2 * np.pi * 2 * time_s) ** 2
    return np.clip(loudness * rng.standard_normal(time_s.size), -1, 1).astype(np.float32)


def run(words: list[str]) -> tuple[float, float, float]:
    """Run a program; give seconds of wall, seconds of processor and its peak memory in MB."""
    told = subprocess.run([sys.executable, "-c", WATCH, *words], capture_output=True, text=True, check=True)
    code, wall_s, processor_s, peak_mb = map(float, told.stdout.split())
    if code not in (0, 1, 3):
        sys.exit(f"failed: {' '.join(words)}")
    return wall_s, processor_s, peak_mb


def turns(commands: dict[str, list[str]], rounds: int) -> dict[str, np.ndarray]:
    """Run commands in turn; give `(rounds, 3)` figures of each."""
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, words in commands.items():
            found[name].append(run(words))
    return {name: np.array(rows) for name, rows in found.items()}


def write_folder(folder: Path, make: Callable[[float, int], np.ndarray], files: int) -> list[Path]:
    """Write short files of a sound."""
    folder.mkdir()
    paths = [folder / f"{index:06}.flac" for index in range(files)]
    for index, path in enumerate(paths):
        soundfile.write(path, make(2 + index % 3, index % 25), 16_000)
    return paths


def share_of_networks(model: str, paths: list[Path]) -> tuple[float, float]:
    """Judge files in this process, beside decoding and the networks alone; give their share and files a second.

    The networks are the detector's and, for a file whose verdict says what made it, the tracer's.
    """
    from ringtrue.audio import load
    from ringtrue.inference.batch import Setup, check_all
    from ringtrue.inference.source import prepare
    from ringtrue.windows import split

    setup = Setup(Path(model))
    started = time.process_time()
    verdicts = [outcome.verdict for outcome in check_all(paths, setup)]
    whole = time.process_time() - started
    detector = setup.detector()
    alone = 0.0
    for path, verdict in zip(paths, verdicts, strict=True):
        started = time.process_time()
        samples = load(path).samples
        alone += time.process_time() - started
        windows = split(samples)[1]
        started = time.process_time()
        detector.score_windows(windows)
        alone += time.process_time() - started
        if verdict.source:
            prepared = np.stack([prepare(window) for window in windows])  # of so short a file all are traced
            started = time.process_time()
            detector.tracer.embed(prepared)
            alone += time.process_time() - started
    return alone / whole, len(paths) / whole


def workers_ratio(model: str, paths: list[Path]) -> float:
    """Give how many times faster two workers are than one."""
    from ringtrue.inference.batch import Setup, check_all

    walls = {}
    for workers in (1, 2):
        outcomes = check_all(paths, Setup(Path(model)), workers)
        next(outcomes)  # workers have started
        started = time.perf_counter()
        rest = sum(1 for _ in outcomes)
        walls[workers] = (time.perf_counter() - started) / rest
    return walls[1] / walls[2]


def main() -> None:
    """Measure, print a table, then one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="an .onnx file")
    parser.add_argument("--files", type=int, default=2_000, help="of the folder (2000)")
    parser.add_argument("--hours", type=float, default=2.0, help="of the long recording (2)")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    python = sys.executable
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        soundfile.write(folder / "five.wav", speechlike(5, 0), 16_000)
        with soundfile.SoundFile(folder / "long.flac", "w", 16_000, 1, "PCM_16") as file:
            minute = speechlike(60, 1)
            for _ in range(round(60 * options.hours)):
                file.write(minute)
        check = [python, "-m", "ringtrue", "check", "--model", options.model]
        cold = turns(
            {
                "imports": [python, "-c", IMPORTS],
                "check": [*check, str(folder / "five.wav")],
                "pass": [python, "-c", "pass"],
                "help": [python, "-m", "ringtrue", "--help"],
            },
            options.rounds,
        )
        long = np.array(run([*check, str(folder / "long.flac")]))
        plain = write_folder(folder / "plain", noise, options.files)
        traced = write_folder(folder / "traced", speechlike, options.files)
        share, plain_per_s = share_of_networks(options.model, plain)
        share_traced, traced_per_s = share_of_networks(options.model, traced)
        figures = {
            "decode + network over folder": share,
            "the same, all of it traced": share_traced,
            "one worker over two": workers_ratio(options.model, traced),
            "folder_files_per_s": plain_per_s,
            "traced_files_per_s": traced_per_s,
        }
    base_mb, five_mb = float(np.median(cold["imports"][:, 2])), float(np.median(cold["check"][:, 2]))
    figures |= {
        "check of 5 s, cold, over imports": float(np.median(cold["check"][:, 0] / cold["imports"][:, 0])),
        "the same in processor time": float(np.median(cold["check"][:, 1] / cold["imports"][:, 1])),
        "--help over python -c pass": float(np.median(cold["help"][:, 0] / cold["pass"][:, 0])),
        "MB over imports, 5 s": five_mb - base_mb,
        "memory of two hours over 5 s": (long[2] - base_mb) / max(1.0, five_mb - base_mb),
        "cold_check_s": float(np.median(cold["check"][:, 0])),
        "imports_mb": base_mb,
        "long_recording_x_realtime": options.hours * 3600 / float(long[1]),
    }
    print(f"{'':36} {'measured':>9} {'bound':>10}")
    for key, value in figures.items():
        bound = f"{'>=' if key in AT_LEAST else '<='} {BOUNDS[key]:g}" if key in BOUNDS else ""
        print(f"{key:36} {value:9.2f} {bound:>10}")
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {platform.python_version()}"
    )
    held = {k: (figures[k] >= b) if k in AT_LEAST else (figures[k] <= b) for k, b in BOUNDS.items()}
    print(json.dumps({"figures": figures, "held": {key: bool(value) for key, value in held.items()}}))
    sys.exit(not all(held.values()))


if __name__ == "__main__":
    main()
