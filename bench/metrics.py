"""How fast figures are, in sorts: `python bench/metrics.py`; the last line of output is JSON.

A sort is one `numpy.sort` of 700,000 random float64 scores in the same run, so that the ratios say little about
the machine. The bounds are those that the project has set itself.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy is imported

import numpy as np  # noqa: E402

from ringtrue.evaluation.intervals import eer_interval, figure_intervals  # noqa: E402
from ringtrue.evaluation.metrics import eer  # noqa: E402
from ringtrue.evaluation.quantities import FIGURES  # noqa: E402
from ringtrue.evaluation.resampling import Resampling  # noqa: E402

TRIALS = 700_000
BONAFIDE, SPOOF, SPEAKERS, SYSTEMS = 7_355, 63_882, 67, 13  # as ASVspoof 2019 LA eval: 71,237 trials
DRAWS = 1_000
BOUNDS = {"EER of 700,000 trials": 2, "1,000 clustered draws of 71,237 trials": 400}


def best_s(call: Callable[[], object], runs: int) -> float:
    """Take the shortest of several runs: the others were disturbed."""
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return min(times)


def main() -> None:
    """Measure, print a table, then one line of JSON."""
    rng = np.random.default_rng(0)
    scores = rng.normal(size=TRIALS)
    bonafide, spoof = scores[: TRIALS // 10] + 2, scores[TRIALS // 10 :]
    # Sort and EER take turns, so that a busy neighbour slows both alike.
    pairs = [(best_s(lambda: np.sort(scores), 1), best_s(lambda: eer(bonafide, spoof), 1)) for _ in range(9)]
    sort_s, eer_s = (min(side) for side in zip(*pairs, strict=True))

    human, machine = rng.normal(size=BONAFIDE) + 4, rng.normal(size=SPOOF)
    voices = rng.integers(SPEAKERS, size=BONAFIDE), rng.integers(SPEAKERS, size=SPOOF)
    systems = np.stack([voices[1], SPEAKERS + rng.integers(SYSTEMS, size=SPOOF)], axis=1)
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def draws(spoof_clusters: np.ndarray) -> None:
        eer_interval(human, machine, voices[0], spoof_clusters, np.random.default_rng(0), DRAWS)

    def all_figures() -> None:
        resampling = Resampling(human, machine, voices[0], systems)
        figure_intervals(list(FIGURES.values()), human, machine, resampling, np.random.default_rng(0), DRAWS)

    times_s = {
        "EER of 700,000 trials": eer_s,
        "1,000 clustered draws of 71,237 trials": best_s(lambda: draws(voices[1]), 2),
        "the same, speaker x system": best_s(lambda: draws(systems), 1),
        "the same, six figures at once": best_s(all_figures, 1),
    }
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{'':40} {'seconds':>9} {'sorts':>8} {'at most':>8}")
    print(f"{'numpy.sort of 700,000':40} {sort_s:9.4f} {1:8.2f}")
    ratios = {name: seconds / sort_s for name, seconds in times_s.items()}
    for name, seconds in times_s.items():
        print(f"{name:40} {seconds:9.4f} {ratios[name]:8.2f} {BOUNDS.get(name, ''):>8}")
    print(f"peak memory of the process {peak_kib / 2**10:.0f} MiB, {before_kib / 2**10:.0f} before the draws")
    print(f"{platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}, one thread")
    held = all(ratios[name] <= bound for name, bound in BOUNDS.items()) and peak_kib < 2**20
    print(json.dumps({"sorts": ratios, "sort_s": sort_s, "peak_mib": peak_kib / 2**10, "held": held}))
    sys.exit(not held)


if __name__ == "__main__":
    main()
