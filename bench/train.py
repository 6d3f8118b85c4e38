"""How busy training keeps the processor: `python bench/train.py`; the last line of output is JSON.

The whole loop (draw clips, read, crop, hand over, learn) against what it is for: the step itself, on a batch that is
in memory already. Both take turns in one run, so that the ratio says little about the machine. A ratio of 1 means that
nothing ever waited for data.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # before numpy is imported; the loader's worker has a core of its own

import numpy as np
import soundfile
import torch

from ringtrue.config import load_config
from ringtrue.data.batches import TrainingBatches, pieces_of
from ringtrue.data.corpora import load_piece, load_samples
from ringtrue.data.trials import Trial
from ringtrue.data.wave_store import store_waves
from ringtrue.models.registry import create
from ringtrue.training.content import ContentUnits
from ringtrue.training.parallel import Team
from ringtrue.training.step import Lesson
from ringtrue.training.train import _loader

CLIPS, CLIP_S = 400, 4.0
BOUNDS = {"cached": 0.9, "audio": 0.7}


def make_corpus(folder: Path) -> list[Trial]:
    """Write clips of shaped noise as 16 kHz FLAC, which codes it about as well as speech."""
    rng = np.random.default_rng(0)
    trials = []
    for number in range(CLIPS):
        noise = rng.standard_normal(round(CLIP_S * 16_000))
        loud = 0.05 + 0.2 * np.abs(np.sin(np.arange(len(noise)) / 3_000 + number))
        path = folder / f"{number}.flac"
        soundfile.write(path, (loud * np.convolve(noise, np.ones(8) / 8, "same")).clip(-1, 1), 16_000)
        label, system = ("bonafide", "") if number % 2 else ("spoof", f"s{number % 6}")
        trials.append(
            Trial(
                id=str(number),
                audio=str(path),
                label=label,
                system=system,
                split="train",
                speaker=f"p{number % 9}",
            )
        )
    return trials


def main() -> None:
    """Measure, print a table, then one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", nargs="?", default="baseline")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=12)
    options = parser.parse_args()
    config = load_config(options.recipe, options.set)
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        trials = make_corpus(Path(name))
        said = {t.id: rng.integers(0, config.content.units, 199).astype(np.int16) for t in trials}
        units = ContentUnits(config.content.units, said, "bench", {})
        model = create("prosody_encoder", **config.model.model_dump())
        lesson = Lesson(config, model, trials, units, Team(), None).train()
        store = store_waves(Path(name), trials, load_samples)
        settings = config.training
        sources = {
            kind: TrainingBatches(trials, cut, settings.batch_size, settings.crop_s, 0, units.by_trial)
            for kind, cut in (("cached", pieces_of(store.load)), ("audio", load_piece))
        }
        held = sources["cached"][0]
        taken: dict[str, list[float]] = {kind: [] for kind in ("step", *sources)}
        lesson.learn(held, 0, 1_000)
        for turn in range(options.rounds):
            start = turn * options.steps
            started = time.perf_counter()
            for step in range(options.steps):
                lesson.learn(held, start + step, 1_000)
            taken["step"].append(time.perf_counter() - started)
            for kind, batches in sources.items():
                loader = _loader(batches, start, start + options.steps + 1, settings.workers)
                next(loader)  # a worker that is still starting is not what is measured
                started = time.perf_counter()
                for step, batch in enumerate(loader):
                    lesson.learn(batch, start + step, 1_000)
                taken[kind].append(time.perf_counter() - started)
    clips = options.steps * settings.batch_size
    rates = {kind: clips / statistics.median(times) for kind, times in taken.items()}
    ratios = {kind: rates[kind] / rates["step"] for kind in sources}
    print(
        f"{options.recipe}, size {config.model.size}, batches of {settings.batch_size} x {settings.crop_s:g} s"
    )
    print(f"{'step alone':24} {rates['step']:8.1f} clips/s")
    for kind, ratio in ratios.items():
        print(
            f"{'whole loop, ' + kind:24} {rates[kind]:8.1f} clips/s   ratio {ratio:.2f}   (wanted: {BOUNDS[kind]})"
        )
    print(
        json.dumps(
            {
                "bench": "train", "clips_per_s": rates, "ratios": ratios, "wanted": BOUNDS, "rounds": options.rounds,
                "threads": 1, "loader_workers": settings.workers, "machine": platform.processor() or platform.machine(),
                "torch": torch.__version__,
            }
        )
    )  # fmt: skip


if __name__ == "__main__":
    main()
