"""What the zoo's methods cost: `python bench/zoo.py [RECORDING …]`; the last line of output is JSON.

Seconds of one thread's processor for 4 s of speech, the mean over seeds and recordings, with whatever a method has to
find out about a recording first; beside it what the chain costs that every clip passes. Without recordings it takes a
made-up voice. The last column is the correlation of log mels before and after: 1 for the same sound.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time

os.environ["OMP_NUM_THREADS"] = "1"  # before numpy is imported

import numpy as np

from ringtrue.audio import load
from ringtrue.data.corpora.starter.harmonise import harmonise
from ringtrue.data.corpora.zoo import spectra
from ringtrue.data.corpora.zoo.copies import prepared, said_again
from ringtrue.data.corpora.zoo.methods import FAMILIES, METHODS
from ringtrue.data.corpora.zoo.speech import RATE_HZ, Samples, Speech

SECONDS = 4
SEEDS = 6
GRID = (1024, 256)


def main() -> None:
    """Measure, print a table in Markdown, then one line of JSON."""
    waves = [prepared(load(path).samples) for path in sys.argv[1:]] or [_voice()]
    for name in METHODS:  # what is imported and kept is not a method's cost
        said_again(Speech(waves[0]), METHODS[name], np.random.default_rng(0))
    costs, likeness = {}, {}
    for name in METHODS:
        seconds, alike = [], []
        for wave in waves:
            for seed in range(SEEDS):
                speech = Speech(wave, lambda own=wave: [other for other in waves if other is not own])
                started = time.process_time()
                said = said_again(speech, METHODS[name], np.random.default_rng(seed))
                seconds.append((time.process_time() - started) * SECONDS * RATE_HZ / wave.size)
                alike.append(float(np.corrcoef(_log_mels(wave), _log_mels(said))[0, 1]))
        costs[name], likeness[name] = statistics.mean(seconds), statistics.mean(alike)
    print("| family | method | what it does | s for 4 s | likeness |\n|---|---|---|---|---|")
    for name, method in METHODS.items():
        print(f"| {method.family} | `{name}` | {method.summary} | {costs[name]:.3f} | {likeness[name]:.2f} |")
    drawn = statistics.mean(
        statistics.mean(costs[name] for name, method in METHODS.items() if method.family == family)
        for family in FAMILIES
    )
    chain = _chain_cost(waves[0])
    print(f"\nmean of a drawn copy: {drawn:.3f} s, and {chain:.3f} s for the chain")
    print(f"{platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}, one thread")
    print(json.dumps({"drawn_s": drawn, "chain_s": chain, "costs_s": costs, "likeness": likeness}))


def _voice() -> Samples:
    """Make harmonics of a gliding pitch under moving formants, four syllables a second."""
    now_s = np.arange(SECONDS * RATE_HZ) / RATE_HZ
    hz = 120 * 2 ** (0.3 * np.sin(2 * np.pi * 0.4 * now_s))
    turns = 2 * np.pi * np.cumsum(hz) / RATE_HZ
    first, second = 500 + 250 * np.sin(11 * now_s), 1600 + 500 * np.sin(7 * now_s)
    wave = sum(
        (1 / (1 + ((k * hz - first) / 120) ** 2) + 0.5 / (1 + ((k * hz - second) / 200) ** 2))
        * np.sin(k * turns)
        for k in range(1, 40)
    )
    wave = wave * np.clip(np.sin(2 * np.pi * 2 * now_s) ** 2 * 1.4 - 0.2, 0, 1)
    noise = 1e-3 * np.random.default_rng(0).standard_normal(now_s.size)
    return prepared((0.1 * wave + noise).astype(np.float32))


def _log_mels(wave: Samples) -> Samples:
    mels = np.abs(spectra.spectrum_of(wave, GRID)) @ spectra.mel_of(40, GRID).T
    return np.log(mels + 0.01).astype(np.float32).ravel()


def _chain_cost(wave: Samples) -> float:
    """Take the mean over sources, since these draw the codec."""
    started = time.process_time()
    for number in range(12):
        harmonise(wave, f"source {number}", 0)
    return (time.process_time() - started) / 12 * SECONDS * RATE_HZ / wave.size


if __name__ == "__main__":
    main()
