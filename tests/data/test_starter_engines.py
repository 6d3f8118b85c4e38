"""Synthesis systems: the registry's promises, the vocoders that need numpy only, and what a crash may cost."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from ringtrue.data.corpora.starter import engine_worker, engines
from ringtrue.data.corpora.starter.engines import Job, prepare, run
from ringtrue.data.corpora.starter.packages import DebResult, EngineEnvironment
from ringtrue.data.corpora.starter.systems import ENGINES, PIPS
from ringtrue.files import cache_dir

FOLDER = Path(engines.__file__).parent
RATE_HZ = 16000


def quiet(_: str) -> None:
    """Progress that nobody reads."""


@pytest.fixture(scope="module", autouse=True)
def worker_path() -> Iterator[None]:
    """Let the engine files be imported the way the worker program does: by their plain names."""
    sys.path.insert(0, str(FOLDER))
    yield
    sys.path.remove(str(FOLDER))


def vowels(duration_s: float = 1.5) -> np.ndarray:
    """A gliding pulse train through three formants, with a pause: voiced speech as vocoders know it."""
    from scipy.signal import lfilter

    time = np.arange(int(duration_s * RATE_HZ)) / RATE_HZ
    phase = np.cumsum(120 + 30 * np.sin(2 * np.pi * 1.5 * time)) / RATE_HZ
    wave = np.diff(np.floor(phase), prepend=0.0)
    for formant_hz, width_hz in ((600, 80), (1400, 100), (2600, 150)):
        radius = np.exp(-np.pi * width_hz / RATE_HZ)
        wave = lfilter(
            [1 - radius], [1, -2 * radius * np.cos(2 * np.pi * formant_hz / RATE_HZ), radius**2], wave
        )
    wave *= np.minimum(1, 5 * np.abs(np.sin(np.pi * time / duration_s * 2)))
    wave += 1e-4 * np.random.default_rng(0).standard_normal(wave.size)
    return (0.3 * wave / np.abs(wave).max()).astype(np.float32)


def mel_distance_db(first: np.ndarray, second: np.ndarray, rate_hz: int) -> float:
    """Mean absolute log-mel difference over the frames in which the first recording speaks."""
    mel = importlib.import_module("engine_mels").Mel(rate_hz, 1024, 256, 1024, 80.0, 7600.0)
    pair = [np.asarray(mel.magnitudes(wave), np.float64) for wave in (first, second)]
    floor = pair[0].max() * 1e-3
    active = pair[0].max(axis=1) > pair[0].max() * 1e-2
    levels = [20 * np.log10(np.maximum(one[active], floor)) for one in pair]
    return float(np.abs(levels[0] - levels[1]).mean())


# ------------------------------------------------------------------------------------------- registry


def test_the_registry_states_everything_about_every_system():
    for name, engine in ENGINES.items():
        assert engine.name == name
        assert all((engine.acoustic_model, engine.vocoder, engine.licence, engine.source)), name
        assert set(engine.pips) <= set(PIPS), name
        assert all(voices and len(set(voices)) == len(voices) for voices in engine.voices.values()), name
        if engine.kind == "copy":
            assert engine.acoustic_model == "none", name
            assert not engine.voices, name


def test_registry_and_worker_know_the_same_systems():
    assert set(engine_worker.MODULES) == set(ENGINES)
    for name, module in engine_worker.MODULES.items():
        assert callable(getattr(importlib.import_module(module), name))


def test_the_registry_is_as_broad_as_the_demo_promises():
    speaking = [engine for engine in ENGINES.values() if engine.kind == "tts"]
    assert len(speaking) >= 8
    assert sum(engine.neural for engine in speaking) >= 2
    assert len({engine.vocoder for engine in ENGINES.values() if engine.kind == "copy"}) >= 3


def test_every_pin_is_exact_and_none_brings_cuda():
    pins = [argument for group in PIPS.values() for argument in group if not argument.startswith("-")]
    assert all("==" in pin for pin in pins)
    assert not {"torch", "tensorflow", "nvidia"} & {pin.split("==")[0] for pin in pins}


def test_the_worker_imports_nothing_of_ringtrue():
    for path in FOLDER.glob("engine_*.py"):
        assert "import ringtrue" not in path.read_text(), path.name
        assert "from ringtrue" not in path.read_text(), path.name


def test_preparing_names_what_each_engine_lacks(monkeypatch, tmp_path):
    monkeypatch.setattr(
        engines, "engine_environment", lambda *_: EngineEnvironment(tmp_path, {"piper": "not found"})
    )
    monkeypatch.setattr(engines, "fetch_debs", lambda *_, **__: DebResult(tmp_path, {}, {"flite": "offline"}))
    ready = prepare(["copy_lpc", "piper_joe", "flite_clustergen"], tmp_path, quiet)
    assert ready == {"copy_lpc": "", "piper_joe": "not found (piper)", "flite_clustergen": "offline (flite)"}


# ------------------------------------------------------------------------------------------- vocoders


def test_mel_filters_are_slaneys():
    mels = importlib.import_module("engine_mels")
    mel = mels.Mel(22050, 1024, 256, 1024, 0.0, 8000.0)
    filters = mels.mel_filters(mel).astype(np.float64)
    assert filters.shape == (80, 513)
    bins_hz = np.fft.rfftfreq(1024, 1 / 22050)
    centres_hz = (filters * bins_hz).sum(axis=1) / filters.sum(axis=1)
    # Slaney's scale: 15 mels at 1 kHz, a factor of 6.4 every 27 mels above it; 82 points up to 8 kHz.
    highest = 15 + np.log(8.0) / (np.log(6.4) / 27)
    expected_mels = np.arange(1, 81) * highest / 81
    linear_hz = expected_mels * 200 / 3
    expected_hz = np.where(expected_mels < 15, linear_hz, 1000 * 6.4 ** ((expected_mels - 15) / 27))
    np.testing.assert_allclose(centres_hz[30:], expected_hz[30:], rtol=0.01)
    areas = filters.sum(axis=1) * 22050 / 1024
    np.testing.assert_allclose(areas[60:], 1, atol=0.05)  # unit area, once a filter spans several bins


def test_the_transform_inverts_exactly():
    mels = importlib.import_module("engine_mels")
    wave = vowels(0.7)
    back = mels.istft(mels.stft(wave, 1024, 256, 1024), 256, 1024, wave.size)
    np.testing.assert_allclose(back, wave, atol=1e-5)


@pytest.mark.parametrize(("name", "most_db"), [("copy_griffinlim", 1.5), ("copy_lpc", 4.0)])
def test_copies_sound_like_their_source(name, most_db):
    vocoder = getattr(importlib.import_module("engine_vocoders"), name)
    source = vowels()
    copy, rate_hz = vocoder(source, RATE_HZ, 1)
    assert rate_hz == RATE_HZ
    assert copy.shape == source.shape
    assert mel_distance_db(source, copy, RATE_HZ) < most_db
    assert np.abs(copy - source).max() > 0.01  # a copy, not the recording itself


@pytest.mark.parametrize("name", ["copy_griffinlim", "copy_lpc"])
def test_the_seed_decides(name):
    vocoder = getattr(importlib.import_module("engine_vocoders"), name)
    source = vowels(0.6)
    np.testing.assert_array_equal(vocoder(source, RATE_HZ, 7)[0], vocoder(source, RATE_HZ, 7)[0])
    assert not np.array_equal(vocoder(source, RATE_HZ, 7)[0], vocoder(source, RATE_HZ, 8)[0])


def test_linear_prediction_finds_the_poles_of_a_known_filter():
    from scipy.signal import lfilter

    vocoders = importlib.import_module("engine_vocoders")
    noise = np.random.default_rng(0).standard_normal(480 * 200)
    wave = lfilter([1], [1, -1.2, 0.7], noise)
    predictors, gains = vocoders._linear_prediction(wave.reshape(200, 480))
    np.testing.assert_allclose(predictors.mean(axis=0)[:3], [1, -1.2, 0.7], atol=0.1)
    assert gains.mean() == pytest.approx(1, abs=0.1)


def test_the_pitch_of_a_pulse_train_is_found():
    vocoders = importlib.import_module("engine_vocoders")
    wave = np.zeros(RATE_HZ, np.float32)
    wave[::128] = 1  # 125 Hz
    periods = vocoders._pitch_periods(wave)
    np.testing.assert_allclose(periods[5:-5], 128, atol=1)
    assert (vocoders._pitch_periods(np.zeros(RATE_HZ, np.float32)) == 0).all()


def test_silence_and_very_short_waves_stay_finite():
    vocoders = importlib.import_module("engine_vocoders")
    for size in (1, 700, 4000):
        for name in ("copy_griffinlim", "copy_lpc"):
            copy, _ = getattr(vocoders, name)(np.zeros(size, np.float32), RATE_HZ, 0)
            assert copy.size == size
            assert np.isfinite(copy).all()


# --------------------------------------------------------------------------------------------- worker


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source.wav"
    soundfile.write(path, vowels(0.8), RATE_HZ)
    return path


def copy_job(identifier: str, engine: str, source: Path, folder: Path) -> Job:
    return Job(identifier, engine, "", "", "", source, folder / f"{identifier}.wav", 3)


def test_jobs_become_files_of_the_same_length(source, tmp_path):
    jobs = [
        copy_job(f"{name}-{n}", name, source, tmp_path)
        for name in ("copy_lpc", "copy_griffinlim")
        for n in "ab"
    ]
    results = list(run(jobs, tmp_path / "cache", 2, quiet))
    assert {result.id for result in results} == {job.id for job in jobs}
    assert all(result.ok for result in results), results
    for job in jobs:
        assert soundfile.info(job.out).frames == soundfile.info(source).frames
    assert not list(tmp_path.glob(".*.part"))


def test_what_exists_is_not_made_again(source, tmp_path):
    job = copy_job("a", "copy_lpc", source, tmp_path)
    job.out.write_bytes(b"made before")
    assert [result.ok for result in run([job], tmp_path / "cache", 1, quiet)] == [True]
    assert job.out.read_bytes() == b"made before"


def test_a_bad_job_costs_only_itself(source, tmp_path):
    silence = tmp_path / "silence.wav"
    soundfile.write(silence, np.zeros(RATE_HZ), RATE_HZ)
    jobs = [
        copy_job("gone", "copy_lpc", tmp_path / "gone.wav", tmp_path),
        copy_job("silent", "copy_lpc", silence, tmp_path),
        copy_job("unknown", "no_such_engine", source, tmp_path),
        copy_job("good", "copy_lpc", source, tmp_path),
    ]
    reasons = {result.id: result.reason for result in run(jobs, tmp_path / "cache", 1, quiet)}
    assert reasons["good"] == ""
    assert "silent" in reasons["silent"]
    assert "gone.wav" in reasons["gone"]
    assert "no engine 'no_such_engine'" in reasons["unknown"]
    assert not (tmp_path / "silent.wav.part").exists()
    assert not (tmp_path / "gone.wav").exists()


# Stands for the worker program: it answers like the real one, unless the text tells it to die or to hang.
FAKE_WORKER = """
import json, os, sys, time
for line in sys.stdin:
    job = json.loads(line)
    if job["text"] == "die": os.kill(os.getpid(), 11)
    if job["text"] == "hang": time.sleep(60)
    print(json.dumps({"id": job["id"], "reason": ""}), flush=True)
"""


@pytest.fixture
def fake_worker(tmp_path, monkeypatch):
    program = tmp_path / "engines.py"
    (tmp_path / "engine_worker.py").write_text(FAKE_WORKER)
    monkeypatch.setattr(engines, "__file__", str(program))


@pytest.mark.parametrize(("text", "reason"), [("die", "died with status -11"), ("hang", "took longer than")])
def test_a_crash_or_a_hang_costs_one_job(fake_worker, tmp_path, monkeypatch, text, reason):
    monkeypatch.setattr(engines, "_JOB_LIMIT_S", 1.0)
    texts = ["fine", text, "fine", "fine"]
    jobs = [
        Job(str(index), "piper_joe", "joe", "en", words, None, tmp_path / f"{index}.wav", 0)
        for index, words in enumerate(texts)
    ]
    results = {result.id: result for result in run(jobs, tmp_path, 1, quiet)}
    assert [results[job.id].ok for job in jobs] == [True, False, True, True]
    assert reason in results["1"].reason


def test_a_caller_that_stops_leaves_nothing_running(fake_worker, tmp_path):
    jobs = [
        Job(str(n), "piper_joe", "joe", "en", "hang" if n else "fine", None, tmp_path / f"{n}.wav", 0)
        for n in range(3)
    ]
    started: list[subprocess.Popen[str]] = []
    start = engines._Worker._start

    def recording(worker: engines._Worker) -> subprocess.Popen[str]:
        started.append(start(worker))
        return started[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engines._Worker, "_start", recording)
        results = run(jobs, tmp_path, 1, quiet)
        assert next(results).ok
        results.close()
    assert started
    assert all(process.poll() is not None for process in started)


@pytest.mark.parametrize(
    ("seconds", "level", "reason"),
    [
        (0.2, 0.1, "only 0.20 s"),
        (30.0, 0.1, "30.0 s came out for 5 characters"),
        (1.0, 1e-5, "the output is silent"),
        (1.0, 0.1, ""),
    ],
)
def test_speech_that_cannot_be_the_text_is_refused(tmp_path, monkeypatch, seconds, level, reason):
    class Programs:
        @staticmethod
        def espeak_formant(job, settings):
            return np.full(int(seconds * 8000), level, np.float32), 8000

    monkeypatch.setitem(sys.modules, "engine_programs", Programs)
    job = {"engine": "espeak_formant", "text": "Hallo", "source_wave": "", "out": str(tmp_path / "a.wav")}
    assert engine_worker.make(job, {}).startswith(reason)
    assert (tmp_path / "a.wav").exists() == (reason == "")


def test_typographic_marks_reach_no_engine(tmp_path, monkeypatch):
    heard = []

    class Programs:
        @staticmethod
        def espeak_formant(job, settings):
            heard.append(job["text"])
            return np.full(8000, 0.1, np.float32), 8000

    monkeypatch.setitem(sys.modules, "engine_programs", Programs)
    text = "«It’s» — he said – “fine”."
    job = {"engine": "espeak_formant", "text": text, "source_wave": "", "out": str(tmp_path / "a.wav")}
    assert engine_worker.make(job, {}) == ""
    assert heard == ['"It\'s" , he said , "fine".']


def test_a_failing_program_is_quoted_from_its_first_complaint(tmp_path):
    programs = importlib.import_module("engine_programs")
    command = ["sh", "-c", "echo 'no such voice' >&2; echo 'closing a file' >&2; exit 3"]
    with pytest.raises(RuntimeError, match=r"^sh ended with status 3: no such voice$"):
        programs.run_program(command, {"environment": None})


def test_chatter_of_an_engine_does_not_reach_the_protocol(tmp_path, source):
    (tmp_path / "chatty").mkdir()
    for path in FOLDER.glob("engine_*.py"):
        (tmp_path / "chatty" / path.name).write_text(path.read_text())
    with open(tmp_path / "chatty/engine_vocoders.py", "a") as file:
        file.write("\nprint('hello from an engine')\n")
    job = {
        "id": "1",
        "engine": "copy_lpc",
        "source_wave": str(source),
        "out": str(tmp_path / "o.wav"),
        "seed": 1,
    }
    command = [sys.executable, str(tmp_path / "chatty/engine_worker.py"), "{}"]
    done = subprocess.run(command, input=json.dumps(job), capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"id": "1", "reason": ""}
    assert "hello from an engine" in done.stderr


# --------------------------------------------------------------------------------- models that draw noise


def drawing_model(onnx):
    """x -> its own noise beside noise in the shape of its first column, as an ONNX model that is never the same."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    nodes = [
        helper.make_node("RandomNormalLike", ["x"], ["all"]),
        helper.make_node("ReduceSum", ["x", "axis"], ["column"], keepdims=1),
        helper.make_node("RandomNormalLike", ["column"], ["few"]),
        helper.make_node("Concat", ["all", "few"], ["y"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "drawing",
        [helper.make_tensor_value_info("x", kind, ["rows", "columns"])],
        [helper.make_tensor_value_info("y", kind, ["rows", "more"])],
        [helper.make_tensor("axis", onnx.TensorProto.INT64, [1], [1])],
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])


def test_a_model_that_draws_noise_draws_it_from_our_generator():
    onnx = pytest.importorskip("onnx")
    seeded = importlib.import_module("engine_onnx").SeededSession(drawing_model(onnx))

    def drawn(seed: int, rows: int) -> np.ndarray:
        seeded.rng = np.random.default_rng(seed)
        return seeded.run(None, {"x": np.zeros((rows, 3), np.float32)})[0]

    first, other_size, again, other_seed = drawn(1, 500), drawn(1, 20), drawn(1, 500), drawn(2, 500)
    np.testing.assert_array_equal(first, again)
    assert abs(np.corrcoef(first.ravel(), other_seed.ravel())[0, 1]) < 0.1
    assert first.shape == (500, 4)
    assert other_size.shape == (20, 4)
    assert abs(np.corrcoef(first[:, :3].ravel()[:500], first[:, 3])[0, 1]) < 0.2  # two draws, not one twice
    assert first.mean() == pytest.approx(0, abs=0.1)
    assert first.std() == pytest.approx(1, abs=0.1)


# ---------------------------------------------------------------------------- engines that need packages

SENTENCES = {
    "en": "The old man walked slowly along the river.",
    "cs": "Dobrý den, přátelé, jak se dnes máte?",
    "it": "Buongiorno a tutti, oggi è una bella giornata.",
    "ru": "Добрый день, сегодня хорошая погода.",
}


@pytest.mark.parametrize("name", [name for name, engine in ENGINES.items() if engine.kind == "tts"])
def test_an_installed_engine_speaks(name, tmp_path):
    engine = ENGINES[name]
    unpacked = [cache_dir() / "debs/unpacked" / f"{package}.json" for package in engine.debs]
    installed = [cache_dir() / "engines/installed" / f"{group}.txt" for group in engine.pips]
    if not all(marker.is_file() for marker in [*unpacked, *installed]):
        pytest.skip(f"{name} is not installed in the cache folder; `ringtrue demo` installs it")
    language, voices = next(iter(engine.voices.items()))
    jobs = [
        Job(twin, name, voices[-1], language, SENTENCES[language], None, tmp_path / f"{twin}.wav", 1)
        for twin in "ab"
    ]
    assert [(result.ok, result.reason) for result in run(jobs, cache_dir(), 1, quiet)] == [(True, "")] * 2
    assert jobs[0].out.read_bytes() == jobs[1].out.read_bytes()
    wave, rate_hz = soundfile.read(jobs[0].out)
    assert 1.0 < wave.size / rate_hz < 10
    assert 0.01 < wave.std() < 0.5


@pytest.mark.parametrize(("name", "most_db"), [("copy_world", 4), ("copy_hifigan", 4), ("copy_mbmelgan", 7)])
def test_an_installed_vocoder_keeps_the_spectrum(name, most_db, tmp_path):
    if not all(
        (cache_dir() / "engines/installed" / f"{group}.txt").is_file() for group in ENGINES[name].pips
    ):
        pytest.skip(f"{name} is not installed in the cache folder; `ringtrue demo` installs it")
    recordings = sorted((cache_dir() / "debs/root/usr/share/pocketsphinx").rglob("*.wav"))
    recordings = [path for path in recordings if soundfile.info(path).duration > 2]
    if not recordings:
        pytest.skip("the package pocketsphinx-testdata is not in the cache folder")
    job = copy_job("copy", name, recordings[0], tmp_path)
    assert [(result.ok, result.reason) for result in run([job], cache_dir(), 1, quiet)] == [(True, "")]
    source, _ = soundfile.read(recordings[0], dtype="float32")
    copy, rate_hz = soundfile.read(job.out, dtype="float32")
    copy = importlib.import_module("engine_mels").resampled(copy, rate_hz, RATE_HZ)
    assert abs(copy.size - source.size) <= 2
    assert mel_distance_db(source, copy[: source.size], RATE_HZ) < most_db
