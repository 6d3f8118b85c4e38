"""How fast batches are, as a share of bare decoding: `python bench/data.py`; the last line of output is JSON.

One is the time in which `soundfile.read` decodes the same 16 kHz FLAC files in the same run, in one process for one
loader worker and in two for two, so that the ratios say little about the machine. It decodes whole files; a batch takes
crops, and decodes no more than these, so that the ratios grow with the length of the clips: `--duration 3` is the worst
case, where a crop is about all of a clip. Everything is timed in turns, and the median of the turns' ratios counts. The
bounds are those that the project has set itself, for clips of 8 s.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy is imported

import numpy as np  # noqa: E402
import soundfile  # noqa: E402
import torch  # noqa: E402

from ringtrue.data.augment import augmentation  # noqa: E402
from ringtrue.data.batches import Batch, Batches, TrainingBatches, Transform  # noqa: E402
from ringtrue.data.corpora import index, load_corpus, load_piece  # noqa: E402
from ringtrue.data.streaming import StreamingBatches  # noqa: E402
from ringtrue.data.trials import Trial  # noqa: E402

RATE_HZ = 16_000
CLIPS, BATCH, CROP_S = 128, 16, 3.0
EPOCH = 400  # batches: fifty times through the clips
LISTED = 150_000
BOUNDS = {"plain": 0.8, "default augmentation": 0.4}
MOST_GROWTH = 1.1  # memory in the last quarter of an epoch relative to its first
MOST_LISTING_S = 3.0


class _Steps(torch.utils.data.Dataset[Batch]):
    def __init__(self, batches: Batches):
        self.batches = batches

    def __getitem__(self, number: int) -> Batch:
        return self.batches[number]


def _as_it_is(batch: Batch) -> Batch:
    return batch


def _decode(paths: Sequence[str]) -> int:
    return sum(len(soundfile.read(path, dtype="float32")[0]) for path in paths)


def speech(folder: Path, duration_s: float) -> list[Trial]:
    """Write clips that cost a FLAC decoder what speech does: noise of a falling spectrum, in syllables."""
    rng = np.random.default_rng(0)
    trials = []
    for number in range(CLIPS):
        count = round(RATE_HZ * duration_s * rng.uniform(0.5, 1.5))
        noise = np.convolve(rng.standard_normal(count), 0.9 ** np.arange(40), mode="same")
        syllables = np.interp(
            np.arange(count), np.arange(0, count + 2_000, 2_000), rng.uniform(0, 1, count // 2_000 + 2)
        )
        path = folder / f"{number}.flac"
        soundfile.write(path, 0.03 * noise * syllables**2, RATE_HZ)
        label = "spoof" if number % 2 else "bonafide"
        trials.append(
            Trial(str(number), str(path), label, system="s" * (number % 2), speaker=str(number % 16))
        )
    return trials


def bare_s(pool: multiprocessing.pool.Pool, paths: Sequence[str], workers: int) -> float:
    """Time bare decoding of every file once, by as many processes."""
    started = time.perf_counter()
    pool.map(_decode, [paths[worker::workers] for worker in range(workers)], chunksize=1)
    return time.perf_counter() - started


def loader(batches: Batches, steps: int, workers: int) -> Iterator[Batch]:
    """Make batches as training does; the workers are up when the first batch has come."""
    return iter(
        torch.utils.data.DataLoader(
            _Steps(batches), sampler=range(steps), batch_size=None, num_workers=workers, prefetch_factor=2,
            collate_fn=_as_it_is,
        )
    )  # fmt: skip


def ratio(batches: Batches, paths: Sequence[str], workers: int, turns: int) -> float:
    """Compare clips per second of batches with those of bare decoding, turn by turn."""
    steps = CLIPS // BATCH
    warm = 6 * workers  # what the workers have made while they were not timed
    batch_of = loader(batches, warm + turns * steps + 1, workers)
    for _ in range(warm):
        next(batch_of)
    ratios = []
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        bare_s(pool, paths, workers)
        for _ in range(turns):
            # The loader works ahead by a few batches while decoding is timed, so its own turn starts after draining.
            decoding_s = bare_s(pool, paths, workers)
            for _ in range(2 * workers):
                next(batch_of)
            started = time.perf_counter()
            taken = steps - 2 * workers
            for _ in range(taken):
                next(batch_of)
            batch_s = (time.perf_counter() - started) / taken
            ratios.append(decoding_s / (CLIPS / BATCH) / batch_s)
    return statistics.median(ratios)


def memory_growth(batches: Batches) -> float:
    """Compare the most resident memory in the last quarter of an epoch with that in the first."""
    seen = []
    for number in range(EPOCH):
        batches[number]
        seen.append(int(Path("/proc/self/statm").read_text().split()[1]))
    return max(seen[-EPOCH // 4 :]) / max(seen[: EPOCH // 4])


def listing_s(folder: Path) -> float:
    """Time reading 150,000 trials from the index: the second listing of the same table."""
    rows = [
        "\t".join((f"{n}.flac", "spoof" if n % 2 else "bonafide", f"system {n % 82}" * (n % 2), f"p{n % 900}", f"w {n}",
                   "train"))
        for n in range(LISTED)
    ]  # fmt: skip
    sounds = folder / "listed"
    sounds.mkdir()
    for number in range(LISTED):
        (sounds / f"{number}.flac").touch()
    table = sounds / "table.tsv"
    table.write_text(
        "\t".join(("path", "label", "system", "speaker", "text", "split")) + "\n" + "\n".join(rows)
    )
    if len(load_corpus(table)) != LISTED or not index.WORTH <= LISTED:
        raise SystemExit("the listing lost trials")
    started = time.perf_counter()
    load_corpus(table)
    return time.perf_counter() - started


def main() -> None:
    """Measure, print a table, then one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--duration", type=float, default=8.0, help="mean length of a clip in seconds (8)")
    parser.add_argument("--turns", type=int, default=5, help="(5)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["RINGTRUE_CACHE"] = str(folder / "cache")
        trials = speech(folder, options.duration)
        paths = [trial.audio for trial in trials]
        transforms: dict[str, Transform | None] = {
            "plain": None,
            "default augmentation": augmentation("default"),
        }
        ratios = {}
        print(
            f"{CLIPS} clips of {options.duration:g} s on average, crops of {CROP_S:g} s, batches of {BATCH}"
        )
        print(f"{'share of bare decoding':46} {'1 worker':>9} {'2 workers':>9} {'at least':>9}")
        for kind in ("map-style", "streaming"):
            for what, transform in transforms.items():
                for workers in (1, 2):
                    batches: Batches = (
                        TrainingBatches(trials, load_piece, BATCH, CROP_S, 0, augment=transform)
                        if kind == "map-style"
                        else StreamingBatches(trials, BATCH, CROP_S, 0, augment=transform, lanes=workers)
                    )
                    ratios[f"{kind}, {what}, {workers}"] = ratio(batches, paths, workers, options.turns)
                row = [ratios[f"{kind}, {what}, {workers}"] for workers in (1, 2)]
                print(f"{f'{kind}, {what}':46} {row[0]:9.2f} {row[1]:9.2f} {BOUNDS[what]:9.1f}", flush=True)
        growth = {
            "map-style": memory_growth(TrainingBatches(trials, load_piece, BATCH, CROP_S, 0)),
            "streaming": memory_growth(StreamingBatches(trials, BATCH, CROP_S, 0, reach=32)),
        }
        for kind, value in growth.items():
            print(
                f"{kind}: memory in the last quarter of an epoch / in its first: {value:.2f}, at most {MOST_GROWTH}"
            )
        seconds = listing_s(folder)
        print(f"listing {LISTED:,} trials from the index: {seconds:.2f} s, at most {MOST_LISTING_S:g}")
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {platform.python_version()}"
    )
    held = all(value >= BOUNDS[name.split(", ")[1]] for name, value in ratios.items())
    held = held and max(growth.values()) <= MOST_GROWTH and seconds <= MOST_LISTING_S
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(
        json.dumps(
            {"ratios": ratios, "growth": growth, "listing_s": seconds, "peak_mib": peak_mib, "held": held}
        )
    )
    sys.exit(not held)


if __name__ == "__main__":
    main()
