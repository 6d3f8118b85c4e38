"""A detector and peers -> processor time for a second of audio, size, and live streams a core; one thread, one run.

Times are of the process, not of the wall: other work on the machine then slows a figure by a fifth and not by a
multiple. Everything measured takes turns, so that what is left of it falls on all alike, and ratios are medians.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringtrue.audio import SAMPLE_RATE_HZ, load
from ringtrue.errors import CheckpointError
from ringtrue.inference.runtime import Detector
from ringtrue.inference.session import open_session
from ringtrue.windows import WINDOW, split

_FALLBACK_SAMPLES = 64_600  # what AASIST and its descendants take, where a graph leaves its length open
_LIVE_HOPS = 120


def measure_speed(
    model: Path, wave: NDArray[np.float32], peers: Mapping[str, Path], rounds: int = 7
) -> dict[str, Any]:
    """Time a detector, its bare network and peers on one thread.

    Args:
        model: The detector's ``.onnx`` file.
        wave: A recording `(T,)`, 16 kHz.
        peers: ``.onnx`` files that take waves `(B, T)` or `(T,)`, by name.
        rounds: Turns that each takes.

    Returns:
        ``ms_per_s``: milliseconds of processor time for a second of audio, by name; ``ratios``: times that of
        the detector from wave to verdict; ``live``: streams a core and the slowest hops; ``bytes``: file sizes.

    Raises:
        CheckpointError: A file is no model, or takes no wave.
    """
    detector = Detector(model)
    windows = split(wave)[1]
    calls: dict[str, tuple[Callable[[], object], float]] = {
        "wave to verdict": (lambda: detector.check((wave, SAMPLE_RATE_HZ)), len(wave) / SAMPLE_RATE_HZ),
        "network alone": (
            lambda: [detector.score_windows(window[np.newaxis]) for window in windows],
            len(wave) / SAMPLE_RATE_HZ,
        ),
    }
    calls.update({name: _peer(name, path) for name, path in peers.items()})
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds + 1):
        for name, (call, seconds) in calls.items():
            started = time.process_time()
            call()
            if turn:  # the first turn warms up
                times[name].append(1000 * (time.process_time() - started) / seconds)
    ours = np.array(times["wave to verdict"])
    return {
        "ms_per_s": {name: float(np.median(values)) for name, values in times.items()},
        "ratios": {
            name: float(np.median(np.array(values) / ours)) for name, values in times.items() if name in peers
        }
        | {"wave to verdict over network": float(np.median(ours / np.array(times["network alone"])))},
        "live": _live(detector, wave),
        "bytes": {"detector": model.stat().st_size}
        | {name: path.stat().st_size for name, path in peers.items()},
    }


def _peer(name: str, path: Path) -> tuple[Callable[[], object], float]:
    session = open_session(path, threads=1)
    (entry,) = session.get_inputs()[:1]
    length = entry.shape[-1] if isinstance(entry.shape[-1], int) else _FALLBACK_SAMPLES
    if entry.type != "tensor(float)" or len(entry.shape) not in (1, 2) or length < 1_000:
        raise CheckpointError(
            f"{name}: {path} takes {entry.type} {entry.shape}; waves (B, T) of float32 are accepted"
        )
    shape = (1, length) if len(entry.shape) == 2 else (length,)
    noise = (0.1 * np.random.default_rng(0).standard_normal(shape)).astype(np.float32)
    return lambda: session.run(None, {entry.name: noise}), length / SAMPLE_RATE_HZ


def _live(detector: Detector, wave: NDArray[np.float32]) -> dict[str, float]:
    """Feed a stream half a second at a time, as a call does."""
    hop_s = 0.5
    stream, hop = detector.stream(hop_s=hop_s), round(hop_s * SAMPLE_RATE_HZ)
    endless = np.resize(wave, (_LIVE_HOPS + 10) * hop)
    cpu_ms, wall_ms = [], []
    for index in range(_LIVE_HOPS + 10):
        begun, cpu = time.perf_counter(), time.process_time()
        stream.push(endless[index * hop : (index + 1) * hop])
        cpu_ms.append(1000 * (time.process_time() - cpu))
        wall_ms.append(1000 * (time.perf_counter() - begun))
    cpu_ms, wall_ms = cpu_ms[10:], wall_ms[10:]
    return {
        "streams_per_core": 1000 * hop_s / float(np.mean(cpu_ms)),
        "hop_p50_ms": float(np.median(cpu_ms)),
        "hop_p99_ms": float(np.percentile(cpu_ms, 99)),
        "hop_p99_wall_ms": float(np.percentile(wall_ms, 99)),
    }


def read_wave(path: str | None) -> NDArray[np.float32]:
    """Read the recording to measure on, or make half a minute of noise with the rhythm of speech.

    Args:
        path: A recording; None for the noise. What is heard does not change the time that it takes.

    Returns:
        `(T,)`, at least one window long.
    """
    if path is not None:
        samples = load(path).samples
        return np.resize(samples, max(len(samples), WINDOW))
    rng = np.random.default_rng(0)
    time_s = np.arange(30 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    noise = rng.standard_normal(time_s.size) * (0.05 + 0.1 * np.sin(2 * np.pi * 2 * time_s) ** 2)
    return noise.astype(np.float32)
