"""What every test may use: a speech-like signal made from a seed, and writers for the formats people have."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

Samples = NDArray[np.float32]
RATE_HZ = 16_000

sys.path.insert(0, str(Path(__file__).parent / "data"))  # for `starter_world`


def make_speechlike(duration_s: float, seed: int = 0, rate_hz: int = RATE_HZ) -> Samples:
    """A voiced buzz with a gliding pitch and two moving formants in 4 syllables a second, over faint noise.

    It is no speech, but it has what the code looks at: pitch, formants, pauses, a dynamic range of 50 dB and
    energy up to 7 kHz. RMS about 0.1, peak under 0.9.
    """
    rng = np.random.default_rng(seed)
    count = max(1, round(duration_s * rate_hz))
    t = np.arange(count) / rate_hz
    pitch_hz = rng.uniform(90, 220) * 2 ** (0.25 * np.sin(2 * np.pi * rng.uniform(0.3, 0.8) * t))
    phase = 2 * np.pi * np.cumsum(pitch_hz) / rate_hz
    first_hz = 500 + 250 * np.sin(2 * np.pi * rng.uniform(1, 3) * t + rng.uniform(0, 6))
    second_hz = 1700 + 600 * np.sin(2 * np.pi * rng.uniform(1, 3) * t + rng.uniform(0, 6))
    signal = np.zeros(count)
    for harmonic in range(1, 40):
        hz = harmonic * pitch_hz
        formants = 1 / (1 + ((hz - first_hz) / 120) ** 2) + 0.5 / (1 + ((hz - second_hz) / 200) ** 2)
        signal += (hz < 7_000) * (0.003 + formants) * np.sin(harmonic * phase)
    syllables = np.clip(np.sin(2 * np.pi * 2 * t + rng.uniform(0, 3)) ** 2 * 1.4 - 0.2, 0, 1)
    signal *= syllables
    signal *= 0.1 / max(1e-9, float(np.sqrt(np.mean(signal**2))))
    signal += 3e-4 * rng.standard_normal(count)
    return np.clip(signal, -0.9, 0.9).astype(np.float32)


def pytest_addoption(parser: pytest.Parser) -> None:
    """How hard `tests/faults` tries: `make faults` asks for more than the default suite has time for."""
    parser.addoption("--kills", type=int, default=2, help="kills of each job in tests/faults (2)")
    parser.addoption("--kills-seed", type=int, default=0, help="another seed kills at other moments (0)")


@pytest.fixture(scope="session")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The prefix with the miniature packages of `data/starter_world.py`; tests that change it work on a copy."""
    from starter_world import make_packages

    folder = tmp_path_factory.mktemp("debian")
    make_packages(folder)
    return folder


@pytest.fixture(scope="session")
def speechlike() -> Callable[..., Samples]:
    """`make_speechlike(duration_s, seed=0, rate_hz=16000)`."""
    return make_speechlike


def encode_ffmpeg(
    samples: Samples,
    rate_hz: int,
    encoder: str,
    container: str,
    bit_rate: int | None = None,
    *,
    picture: bool = False,
    sound: bool = True,
) -> bytes:
    """Encode ``(T,)`` or ``(T, C)`` with FFmpeg; `picture` adds a video track of ten black frames."""
    import av

    planes = np.atleast_2d(samples.T).astype(np.float32)
    layout = {1: "mono", 2: "stereo"}[len(planes)]
    target = io.BytesIO()
    with av.open(target, "w", format=container) as output:
        streams = []
        if picture:
            video = output.add_stream("mpeg4", rate=10)
            video.width, video.height, video.pix_fmt = 64, 64, "yuv420p"
            streams.append(video)
        if sound:
            audio = output.add_stream(encoder, rate=rate_hz)
            audio.layout = layout
            if bit_rate:
                audio.bit_rate = bit_rate
            streams.append(audio)
        if picture:
            for number in range(10):
                frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
                frame.pts = number
                output.mux(video.encode(frame))
        if sound:
            kind = audio.codec_context.codec.audio_formats[0].name
            convert = av.AudioResampler(format=kind, layout=layout, rate=rate_hz)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(planes), format="fltp", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = rate_hz, 0, Fraction(1, rate_hz)
            for piece in convert.resample(frame) + convert.resample(None):
                output.mux(audio.encode(piece))
        for stream in streams:
            output.mux(stream.encode(None))
    return target.getvalue()


def encode_sndfile(samples: Samples, rate_hz: int, container: str, subtype: str) -> bytes:
    """Encode ``(T,)`` or ``(T, C)`` with libsndfile."""
    import soundfile

    target = io.BytesIO()
    soundfile.write(target, samples, rate_hz, format=container, subtype=subtype)
    return target.getvalue()


_SNDFILE = {  # kind -> container, subtype
    "wav": ("WAV", "PCM_16"),
    "wav8": ("WAV", "PCM_U8"),
    "wav24": ("WAV", "PCM_24"),
    "wav32": ("WAV", "PCM_32"),
    "wav_float": ("WAV", "FLOAT"),
    "wav_double": ("WAV", "DOUBLE"),
    "wav_mulaw": ("WAV", "ULAW"),
    "wav_alaw": ("WAV", "ALAW"),
    "wavex": ("WAVEX", "PCM_16"),
    "wav_gsm": ("WAV", "GSM610"),
    "w64": ("W64", "PCM_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "aiff": ("AIFF", "PCM_16"),
    "caf": ("CAF", "PCM_16"),
    "au": ("AU", "PCM_16"),
}
_FFMPEG = {  # kind -> encoder, container, and the bit rate where the default is poor or none
    "mp3": ("libmp3lame", "mp3"),
    "wav_mp3": ("libmp3lame", "wav"),
    "opus": ("libopus", "ogg"),
    "webm": ("libopus", "webm"),
    "m4a": ("aac", "ipod"),
    "mp4": ("aac", "mp4"),
    "aac": ("aac", "adts"),
    "mkv": ("flac", "matroska"),
    "amr": ("libopencore_amrnb", "amr", 12_200),
    "wma": ("wmav2", "asf", 64_000),
    "ulaw": ("pcm_mulaw", "mulaw"),
    "alaw": ("pcm_alaw", "alaw"),
    "g722": ("g722", "g722"),
}


@pytest.fixture(scope="session")
def encode() -> Callable[..., bytes]:
    """`encode(kind, samples, rate_hz)` -> the bytes of a file; `kind` as in the two tables above."""

    def encode(kind: str, samples: Samples, rate_hz: int = RATE_HZ, **more: bool) -> bytes:
        if kind in _SNDFILE:
            return encode_sndfile(samples, rate_hz, *_SNDFILE[kind])
        return encode_ffmpeg(samples, rate_hz, *_FFMPEG[kind], **more)

    return encode


@pytest.fixture(scope="session")
def speech_path(tmp_path_factory: pytest.TempPathFactory, encode: Callable[..., bytes]) -> Path:
    """Three seconds of the speech-like signal as a 16 kHz FLAC file. Read it, never write to it."""
    path = tmp_path_factory.mktemp("speech") / "speech.flac"
    path.write_bytes(encode("flac", make_speechlike(3.0, seed=1)))
    return path


# --- one tiny detector, trained on nothing: what a verdict looks like does not depend on skill ---------------

CALIBRATION = {
    "map": {"slope": 2.0, "offset": 0.5, "prior": 0.5, "bonafide_trials": 40, "spoof_trials": 40},
    "band": {"lower": -1.0, "upper": 1.0, "rate": 0.05},
    "bonafide_rejection_rate": 0.05,
    "spoof_acceptance_rate": 0.05,
    "measured_on": "40 bona fide and 40 spoof development clips",
}


def make_checkpoint(folder: Path, calibration: dict[str, Any], size: str = "XS") -> Path:
    """Save an untrained detector with the given calibration."""
    import torch

    from ringtrue.models import checkpoint
    from ringtrue.models.registry import create

    torch.manual_seed(0)
    model = create("prosody_encoder", size=size).eval()
    card = checkpoint.ModelCard(
        "tiny", "prosody_encoder", {"size": size}, calibration=calibration, metrics={"dev_eer": 0.5}
    )
    path = folder / "tiny.safetensors"
    checkpoint.save(path, model, card)
    return path


def _exported(folder: Path, calibration: dict[str, Any]) -> Path:
    from ringtrue.inference.export import export_onnx

    path = make_checkpoint(folder, calibration)
    return export_onnx(path, path.with_suffix(".onnx"))


@pytest.fixture(scope="session")
def tiny_onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A calibrated detector as ONNX; its checkpoint lies beside it."""
    return _exported(tmp_path_factory.mktemp("tiny"), CALIBRATION)


@pytest.fixture(scope="session")
def uncalibrated_onnx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same without a calibration."""
    return _exported(tmp_path_factory.mktemp("raw"), {})
