"""What a million clips cost: `python bench/scale.py MODEL.onnx`; the last line of output is JSON.

A model of cost (so much to start, so much for every item, stage by stage) is measured on one process and then held
against whole runs of `ringtrue score` over more and more items: processor time within 15 % of the model's, and memory
flat. Processor time, because machines are shared. Rates go to bench/scale.json; ``--table`` prints what they make of a
million and a billion clips, and of training, without measuring anything.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy is imported, and for every process that is started

BENCH = Path(__file__).parent
RATES = BENCH / "scale.json"
SIZES = (1_000, 10_000, 100_000)
FILES, SHORT_S, USUAL_S = (
    64,
    0.25,
    5.0,
)  # short items make 100,000 of them affordable; clips of corpora take 5 s or so
MOST_OFF, MOST_GROWTH = 0.15, 1.1
CORE_HOUR, GB_MONTH, THOUSAND_GETS = 0.04, 0.023, 0.0004  # dollars: usual list prices; put your own here
CORPORA = {  # clips, hours
    "MLAAD v9": (456_000, 670),
    "LibriSpeech": (292_367, 982),
    "M-AILABS": (480_000, 1_000),
}
PASSES = 10
BUSY_S = 0.005  # of a job that stands for scoring where handing over is measured
STAGES = {
    "list": "reading the table, naming parts",
    "decode": "reading and decoding",
    "cut": "into windows, and their mean",
    "network": "the network",
    "hand over": "to a worker and back",
    "write": "rows of Parquet",
}


def main() -> None:
    """Measure, hold the model against runs, print tables, then one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", type=Path, help="an .onnx file")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="items of the runs")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--train", metavar="RECIPE", help="also measure training, by bench/train.py")
    parser.add_argument("--table", action="store_true", help="print the tables of bench/scale.json, and stop")
    options = parser.parse_args()
    if options.table:
        print(tables(json.loads(RATES.read_text(encoding="utf-8"))))
        return
    if options.model is None:
        parser.error("give MODEL.onnx, or --table")
    known = json.loads(RATES.read_text(encoding="utf-8")) if RATES.exists() else {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        short, usual = (stages(options.model, folder, seconds) for seconds in (SHORT_S, USUAL_S))
        start = whole_run(options.model, folder, 1, options.workers)
        per_item = sum(value for stage, value in short.items() if stage in STAGES)
        runs = []
        for size in options.sizes:
            run = whole_run(options.model, folder, size, options.workers)
            run["over_model"] = run["cpu_s"] / (start["cpu_s"] + size * per_item)
            runs.append(run)
            print(
                f"{size:>9,} items: {run['cpu_s']:8.1f} s of processor, {run['over_model']:.2f} of the model's, "
                f"{run['wall_s']:8.1f} s of wall, {run['peak_mb']:.0f} MB in the largest process"
            )
    found: dict[str, Any] = {
        "bench": "scale", "short_s": SHORT_S, "short": short, "usual_s": USUAL_S, "usual": usual, "start": start,
        "runs": runs, "workers": options.workers, "training": known.get("training"),
        "machine": platform.processor() or platform.machine(), "model_bytes": options.model.stat().st_size,
    }  # fmt: skip
    if options.train:
        done = subprocess.run(
            [sys.executable, str(BENCH / "train.py"), options.train],
            capture_output=True,
            text=True,
            check=True,
        )
        found["training"] = {
            "recipe": options.train,
            **json.loads(done.stdout.splitlines()[-1])["clips_per_s"],
        }
    RATES.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(tables(found))
    print(json.dumps({**found, "holds": holds(runs)}))
    sys.exit(not holds(runs))


def holds(runs: Sequence[dict[str, float]]) -> bool:
    """Say whether cost was linear as the model has it, and memory flat."""
    linear = all(abs(run["over_model"] - 1) <= MOST_OFF for run in runs)
    return linear and runs[-1]["peak_mb"] <= MOST_GROWTH * runs[0]["peak_mb"]


def stages(model: Path, folder: Path, seconds: float) -> dict[str, float]:
    """Measure each stage: seconds of processor time an item; and bytes an item.

    A recording is decoded, cut and scored before the next one is, by the loop that a worker runs: each stage then finds
    the caches full of the others' work. Decoding alone, over and over, would look twice as fast as it is in a run.
    """
    from ringtrue.data.corpora import load_samples
    from ringtrue.engine.folder import PartsFolder
    from ringtrue.engine.listing import Listing
    from ringtrue.engine.work import Scoring
    from ringtrue.evaluation.scoring import score_trials
    from ringtrue.inference.runtime import Detector

    count = 2_048
    listing = Listing(256, addresses=(f"file://{table_of(folder, count, seconds)}",), splits=("test",))
    found: dict[str, float] = {}
    found["list"], parts = timed(lambda: [part for part in listing.parts() if part.name], count)
    trials = [trial for part in parts for trial in part.trials]
    decode, network = Watched(load_samples), Watched(Detector(model).score_windows)
    whole, _ = timed(lambda: list(score_trials(network, trials, decode)), count)
    found |= {"decode": decode.spent_s / count, "network": network.spent_s / count}
    found["cut"] = whole - found["decode"] - found["network"]
    found["hand over"] = handing_over(trials)
    work = Scoring.by(model)
    out = PartsFolder(str(folder / "stage"), work, 256)
    rows = [{"score": 0.1 * number} for number in range(256)]
    found["write"], _ = timed(lambda: [out.write(part, rows) for part in parts], count)
    sizes = [path.stat().st_size for path in (folder / "stage").glob("*.parquet")]
    found["bytes_in"] = sum(path.stat().st_size for path in folder.glob(f"{seconds}-*.flac")) / FILES
    found["bytes_out"] = sum(sizes) / count
    return found


class Watched:
    """A function, and the processor time that its calls have taken."""

    def __init__(self, run: Callable[[Any], Any]):
        self._run = run
        self.spent_s = 0.0

    def __call__(self, value: Any) -> Any:
        """Run it."""
        before = time.process_time()
        result = self._run(value)
        self.spent_s += time.process_time() - before
        return result


class Busy:
    """A job that takes `BUSY_S` and says how much exactly.

    One that took none would never let the caller sleep, and so leave out that it has to be woken for every item.
    """

    timeout_s = None

    def load(self) -> Callable[[Any], dict[str, float]]:
        """See `ringtrue.workers.Job`."""

        def work(trial: Any) -> dict[str, float]:
            before = time.process_time()
            while (took_s := time.process_time() - before) < BUSY_S:
                pass
            return {"score": took_s}

        return work

    def failed(self, trial: Any, reason: str) -> dict[str, float]:
        """See `ringtrue.workers.Job`."""
        raise AssertionError(reason)


def handing_over(trials: Sequence[Any]) -> float:
    """Measure what it takes to give a worker a trial and to hear of it, both ends together."""
    from ringtrue.workers import Crew

    costs = []
    for times in (1, 5):
        before = spent()
        crew = Crew(Busy(), 1)
        worked_s = sum(row["score"] for row in crew.do(trial for _ in range(times) for trial in trials))
        crew.dismiss()
        costs.append(spent() - before - worked_s)
    return (costs[1] - costs[0]) / (4 * len(trials))


def whole_run(model: Path, folder: Path, size: int, workers: int) -> dict[str, float]:
    """Run `ringtrue score` over so many short items: processor time of all processes, and the largest one's peak."""
    words = ["score", str(model), f"file://{table_of(folder, size, SHORT_S)}", "--workers", str(workers)]
    out = folder / f"out{size}"
    started = time.perf_counter()
    run = subprocess.Popen(
        [sys.executable, "-m", "ringtrue", *words, "--out", str(out)], stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    _, status, usage = os.wait4(run.pid, 0)
    run.returncode = os.waitstatus_to_exitcode(status)
    if run.returncode:
        raise SystemExit(f"`ringtrue score` over {size} items ended with {run.returncode}")
    return {
        "items": size,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "wall_s": time.perf_counter() - started,
        "peak_mb": usage.ru_maxrss / 1024,
    }


def table_of(folder: Path, size: int, seconds: float) -> Path:
    """Write a table of so many recordings; a few files stand for all of them."""
    import numpy as np
    import soundfile

    rng = np.random.default_rng(0)
    for number in range(FILES):
        path = folder / f"{seconds}-{number}.flac"
        if not path.exists():
            noise = np.convolve(rng.standard_normal(round(seconds * 16_000)), np.ones(8) / 8, "same")
            loud = 0.05 + 0.2 * np.abs(np.sin(np.arange(len(noise)) / 3_000 + number))
            soundfile.write(path, (loud * noise).clip(-1, 1), 16_000)
    path = folder / f"{seconds}-{size}.tsv"
    with open(path, "w", encoding="utf-8") as file:
        file.write("id\taudio\tlabel\tsystem\tspeaker\tsplit\n")
        file.writelines(
            f"clip{number}\t{seconds}-{number % FILES}.flac\t{('bonafide', 'spoof')[number % 2]}\t"
            f"{('', f's{number % 9}')[number % 2]}\tp{number % 97}\ttest\n"
            for number in range(size)
        )
    return path


def timed(run: Callable[[], Any], count: int) -> tuple[float, Any]:
    """Give seconds of processor time an item, and what came of it."""
    before = time.process_time()
    result = run()
    return (time.process_time() - before) / count, result


def spent() -> float:
    """Give processor time of this process and of those that have ended below it."""
    who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(usage.ru_utime + usage.ru_stime for usage in map(resource.getrusage, who))


def tables(found: dict[str, Any]) -> str:
    """Say in Markdown what the rates make of more clips than were measured."""
    usual = found["usual"]
    item_s = sum(usual[stage] for stage in STAGES)
    lines = [f"| stage | ms a clip of {found['usual_s']:g} s | share |", "|---|---|---|"]
    lines += [
        f"| {stage}: {what} | {1e3 * usual[stage]:.2f} | {usual[stage] / item_s:.0%} |"
        for stage, what in STAGES.items()
    ]
    lines += ["", "| | 1 million clips | 1 billion clips |", "|---|---|---|"]
    millions = (1e6, 1e9)

    def row(name: str, value: Callable[[float], str]) -> None:
        lines.append(f"| {name} | {value(millions[0])} | {value(millions[1])} |")

    row("core hours", lambda n: f"{n * item_s / 3600:,.1f}")
    row("dollars of processor", lambda n: f"{n * item_s / 3600 * CORE_HOUR:,.2f}")
    row("on 16 cores", lambda n: span(n * item_s / 16))
    row("on 1,000 cores", lambda n: span(n * item_s / 1_000))
    row("sound to read (FLAC)", lambda n: f"{n * usual['bytes_in'] / 1e9:,.0f} GB")
    row("dollars a month to keep it", lambda n: f"{n * usual['bytes_in'] / 1e9 * GB_MONTH:,.0f}")
    row("dollars of requests, an object a clip", lambda n: f"{n / 1e3 * THOUSAND_GETS:,.2f}")
    row("network for 1,000 cores", lambda n: f"{1_000 / item_s * usual['bytes_in'] * 8 / 1e9:,.0f} Gbit/s")
    row("scores to write", lambda n: f"{n * usual['bytes_out'] / 1e9:,.2f} GB")
    row("parts of 256; of 10,000", lambda n: f"{n / 256:,.0f}; {n / 1e4:,.0f}")
    if training := found["training"]:
        clips = sum(count for count, _ in CORPORA.values())
        for kind in ("step", "audio"):
            seconds = clips / training[kind]
            lines.append(
                f"{'' if kind != 'step' else chr(10)}A pass over {clips:,} clips with `{training['recipe']}`, "
                f"{'the step alone' if kind == 'step' else 'decoding included'}: {training[kind]:.0f} clips/s on one "
                f"core, {span(seconds)}; {PASSES} passes {span(PASSES * seconds)}, "
                f"{PASSES * seconds / 3600 * CORE_HOUR:,.2f} dollars."
            )
    return "\n".join(lines)


def span(seconds: float) -> str:
    """Give a time in the unit that a person would use."""
    for unit, size in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:.0f} s"


if __name__ == "__main__":
    main()
