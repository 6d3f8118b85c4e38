"""What hearing prosody costs: `python bench/prosody.py`; the last line of output is JSON.

Milliseconds on one thread for a second of audio, and as a share of the whole detector S in the same run, so that the
ratio says little about the machine.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported

import numpy as np
import torch

from ringtrue import prosody
from ringtrue.models.prosody import ProsodyContours
from ringtrue.models.registry import create

SECONDS = 4
ROUNDS = 15


def main() -> None:
    """Measure, print a table, then one line of JSON."""
    torch.set_num_threads(1)
    wave = np.random.default_rng(0).standard_normal((1, 16_000 * SECONDS)).cumsum(axis=1).astype(np.float32)
    sound = torch.from_numpy(wave / np.abs(wave).max())
    detector, contours = create("prosody_encoder", size="S").eval(), ProsodyContours().eval()
    calls: dict[str, Callable[[], object]] = {
        "detector S, torch": lambda: detector(sound),
        "contours, torch": lambda: contours(sound),
        "contours, numpy": lambda: prosody.contours(wave[0]),
    }
    times: dict[str, list[float]] = {name: [] for name in calls}
    with torch.inference_mode():
        for _ in range(ROUNDS):  # in turn, so that a busy neighbour slows all alike
            for name, call in calls.items():
                started = time.perf_counter()
                call()
                times[name].append(1000 * (time.perf_counter() - started) / SECONDS)
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(f"{'':20} {'ms for 1 s':>11} {'of detector S':>14}")
    for name, median in medians.items():
        print(f"{name:20} {median:11.2f} {median / medians['detector S, torch']:14.2f}")
    print(f"{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}, one thread")
    print(json.dumps({"ms_per_s": medians}))


if __name__ == "__main__":
    main()
