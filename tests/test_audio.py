"""One decoder: every format gives the same sound, bad input gives one line, long input costs no memory."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ringtrue import audio
from ringtrue.audio import decode
from ringtrue.errors import AudioError

Encode = Callable[..., bytes]


def tone(hz: float, duration_s: float, rate_hz: int, peak: float = 0.5) -> NDArray[np.float32]:
    return (peak * np.sin(2 * np.pi * hz * np.arange(round(duration_s * rate_hz)) / rate_hz)).astype(
        np.float32
    )


def level_db(samples: NDArray[np.float32]) -> float:
    return float(10 * np.log10(np.mean(np.square(samples, dtype=np.float64)) + 1e-30))


def dominant_hz(samples: NDArray[np.float32]) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 1 << 18))
    return float(np.argmax(spectrum) * audio.SAMPLE_RATE_HZ / (1 << 18))


# --- formats ------------------------------------------------------------------------------------------------

FORMATS = [  # kind, extension, rate, container, codec, longest tail that the codec may add in seconds
    ("wav", "wav", 8_000, "wav", "pcm_16", 0.0),
    ("wav", "wav", 16_000, "wav", "pcm_16", 0.0),
    ("wav", "wav", 96_000, "wav", "pcm_16", 0.0),
    ("wav8", "wav", 16_000, "wav", "pcm_u8", 0.0),
    ("wav24", "wav", 48_000, "wav", "pcm_24", 0.0),
    ("wav32", "wav", 44_100, "wav", "pcm_32", 0.0),
    ("wav_float", "wav", 22_050, "wav", "pcm_f32", 0.0),
    ("wav_double", "wav", 16_000, "wav", "pcm_f64", 0.0),
    ("wav_mulaw", "wav", 8_000, "wav", "mulaw", 0.0),
    ("wav_alaw", "wav", 8_000, "wav", "alaw", 0.0),
    ("wav_gsm", "wav", 8_000, "wav", "gsm610", 0.04),
    ("w64", "w64", 16_000, "w64", "pcm_16", 0.0),
    ("flac", "flac", 16_000, "flac", "flac", 0.0),
    ("flac", "flac", 44_100, "flac", "flac", 0.0),
    ("ogg", "ogg", 16_000, "ogg", "vorbis", 0.0),
    ("aiff", "aiff", 44_100, "aiff", "pcm_16", 0.0),
    ("caf", "caf", 16_000, "caf", "pcm_16", 0.0),
    ("au", "au", 16_000, "au", "pcm_16", 0.0),
    ("mp3", "mp3", 44_100, "mp3", "mp3", 0.0),
    ("mp3", "mp3", 16_000, "mp3", "mp3", 0.0),
    ("wav_mp3", "wav", 16_000, "wav", "mp3", 0.15),
    ("opus", "opus", 48_000, "ogg", "opus", 0.0),
    ("webm", "webm", 48_000, "matroska", "opus", 0.0),
    ("m4a", "m4a", 16_000, "mp4", "aac", 0.07),
    ("mp4", "mp4", 44_100, "mp4", "aac", 0.07),
    ("aac", "aac", 44_100, "aac", "aac", 0.07),
    ("mkv", "mkv", 16_000, "matroska", "flac", 0.0),
    ("amr", "amr", 8_000, "amr", "amr_nb", 0.04),
    ("ulaw", "ulaw", 8_000, "raw", "mulaw", 0.0),
    ("ulaw", "ul", 8_000, "raw", "mulaw", 0.0),
    ("alaw", "alaw", 8_000, "raw", "alaw", 0.0),
    ("alaw", "AL", 8_000, "raw", "alaw", 0.0),
    ("g722", "g722", 16_000, "raw", "adpcm_g722", 0.0),
]


@pytest.mark.parametrize(("kind", "extension", "rate_hz", "container", "codec", "tail_s"), FORMATS)
def test_every_format_keeps_pitch_level_and_length(
    kind: str,
    extension: str,
    rate_hz: int,
    container: str,
    codec: str,
    tail_s: float,
    encode: Encode,
    tmp_path: Path,
) -> None:
    path = tmp_path / f"tone.{extension}"
    path.write_bytes(encode(kind, tone(440, 2.0, rate_hz), rate_hz))
    wave = audio.load(path)
    assert (wave.container, wave.codec, wave.native_rate_hz) == (container, codec, rate_hz)
    assert (wave.channels, wave.name, wave.warnings) == (1, str(path), ())
    assert wave.samples.dtype == np.float32 and wave.samples.ndim == 1 and wave.samples.flags.c_contiguous
    assert wave.duration_s == len(wave.samples) / 16_000
    assert 2.0 - 1 / 16_000 <= wave.duration_s <= 2.0 + tail_s + 1 / 16_000
    middle = wave.samples[8_000:24_000]
    assert dominant_hz(middle) == pytest.approx(440, abs=1)
    tolerance_db = {"amr": 2.0, "mp3": 0.5, "wav_mp3": 0.5}.get(
        kind, 0.3
    )  # CELP and steady tones; LAME scales by 0.95
    assert level_db(middle) == pytest.approx(level_db(tone(440, 1.0, 16_000)), abs=tolerance_db)


def test_wma_is_read(encode: Encode) -> None:
    wave = audio.load(encode("wma", tone(440, 2.0, 44_100), 44_100))
    assert (wave.codec, wave.container) == ("wmav2", "asf")
    assert dominant_hz(wave.samples) == pytest.approx(440, abs=1)
    assert wave.duration_s == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("kind", ["wav24", "wav32", "wav_float", "wav_double"])
def test_deep_16_kHz_wav_passes_untouched(
    kind: str, encode: Encode, speechlike: Callable[..., NDArray]
) -> None:
    speech = speechlike(0.5)
    np.testing.assert_allclose(audio.load(encode(kind, speech)).samples, speech, rtol=0, atol=1.2e-7)


@pytest.mark.parametrize("kind", ["mp3", "m4a", "mp4", "webm", "opus", "ogg", "g722", "aac"])
def test_lossy_copies_stay_in_step_with_the_original(
    kind: str, encode: Encode, speechlike: Callable[..., NDArray], tmp_path: Path
) -> None:
    """Encoder delay is removed wherever the container states it; bare ADTS and G.722 cannot state it."""
    speech = speechlike(2.0)
    path = tmp_path / f"copy.{kind}"
    path.write_bytes(encode(kind, speech))
    copy = audio.load(path).samples[: len(speech)]
    spectrum = np.fft.rfft(copy, 1 << 17) * np.conj(np.fft.rfft(speech, 1 << 17))
    lag = int(np.argmax(np.fft.irfft(spectrum)))
    assert lag == pytest.approx({"aac": 1024, "g722": 22}.get(kind, 0), abs=2)
    assert np.corrcoef(copy[lag:], speech[: len(copy) - lag])[0, 1] > 0.93


def test_opus_sounds_the_same_from_ogg_and_webm(encode: Encode, speechlike: Callable[..., NDArray]) -> None:
    speech = speechlike(1.0)
    from_ogg, from_webm = (audio.load(encode(kind, speech)).samples for kind in ("opus", "webm"))
    np.testing.assert_array_equal(from_ogg, from_webm)


def test_seven_channels_are_averaged(encode: Encode) -> None:
    channels = np.stack([tone(440, 0.5, 16_000, peak=k / 7) for k in range(1, 8)], axis=1)
    wave = audio.load(encode("wav", channels))
    assert wave.channels == 7
    np.testing.assert_allclose(wave.samples, tone(440, 0.5, 16_000, peak=4 / 7), atol=1e-4)


@pytest.mark.parametrize("kind", ["m4a", "webm", "mp3", "mkv"])
def test_stereo_through_ffmpeg_is_averaged(kind: str, encode: Encode) -> None:
    stereo = np.stack([tone(440, 1.0, 48_000), 0 * tone(440, 1.0, 48_000)], axis=1)
    wave = audio.load(encode(kind, stereo, 48_000))
    assert wave.channels == 2
    expected_db = level_db(tone(440, 1.0, 16_000, peak=0.25))
    assert level_db(wave.samples[4_000:12_000]) == pytest.approx(expected_db, abs=0.5)


def test_frames_that_pyav_cannot_convert_are_left_out() -> None:
    """PyAV 18 counts planes by reading until it meets a zero: beyond 8 of them it may crash, so it is not asked."""

    def frame(name: str, planar: bool, channels: int) -> SimpleNamespace:
        return SimpleNamespace(
            format=SimpleNamespace(name=name, is_planar=planar), layout=SimpleNamespace(nb_channels=channels)
        )

    good = [frame("fltp", True, 8), frame("flt", False, 37)]
    bad = [frame("fltp", True, 9), frame("s64", False, 1)]
    packets = [
        SimpleNamespace(decode=lambda: [good[0], bad[0]]),
        SimpleNamespace(decode=lambda: [bad[1], good[1]]),
    ]
    faults: list[str] = []
    frames = decode._ffmpeg_frames(SimpleNamespace(demux=lambda _: iter(packets)), None, faults)
    assert list(frames) == good
    assert faults == ["damaged: 2 packets could not be decoded"]


@pytest.mark.parametrize("kind", ["mp3", "aac"])
def test_channels_may_change_on_the_way(kind: str, encode: Encode) -> None:
    """Two raw streams in a row are one to a decoder: what it says of itself is what the first frame says."""
    sound = tone(440, 1.0, 16_000)
    first, second = encode(kind, sound), encode(kind, np.stack([sound, sound], axis=1))
    wave = audio.load(first + second)
    assert wave.channels == 1 and wave.duration_s == pytest.approx(2.0, abs=0.3)
    assert level_db(wave.samples[-8_000:-4_000]) == pytest.approx(level_db(sound), abs=0.6)


def test_frames_at_another_rate_are_left_out_and_reported(encode: Encode) -> None:
    wave = audio.load(encode("aac", tone(440, 1.0, 16_000)) + encode("aac", tone(440, 1.0, 44_100), 44_100))
    assert wave.native_rate_hz == 16_000 and wave.duration_s == pytest.approx(1.0, abs=0.2)
    assert any("sample rate changes" in warning for warning in wave.warnings)


def test_sound_of_a_video(encode: Encode) -> None:
    wave = audio.load(encode("mp4", tone(440, 1.0, 44_100), 44_100, picture=True))
    assert (wave.container, wave.codec) == ("mp4", "aac")
    assert dominant_hz(wave.samples[2000:12_000]) == pytest.approx(440, abs=1)


def test_content_decides_not_the_extension(encode: Encode, tmp_path: Path) -> None:
    for kind, extension in [
        ("flac", "mp3"),
        ("mp3", "wav"),
        ("m4a", "wav"),
        ("wav", "m4a"),
        ("wav", "ulaw"),
        ("opus", "ulaw"),
        ("ogg", ""),
    ]:
        path = tmp_path / f"misnamed-{kind}.{extension}"
        path.write_bytes(encode(kind, tone(440, 0.5, 16_000)))
        assert dominant_hz(audio.load(path).samples) == pytest.approx(440, abs=2), (kind, extension)


@pytest.mark.parametrize("kind", ["flac", "mp3", "webm"])
def test_path_bytes_and_open_file_agree(kind: str, encode: Encode, tmp_path: Path) -> None:
    content = encode(kind, tone(440, 1.0, 48_000), 48_000)
    path = tmp_path / "tone"
    path.write_bytes(content)
    from_path, from_bytes = audio.load(str(path)), audio.load(content)
    with path.open("rb") as file:
        from_file = audio.load(file)
    np.testing.assert_array_equal(from_path.samples, from_bytes.samples)
    np.testing.assert_array_equal(from_path.samples, from_file.samples)
    assert from_path.sha256 == from_bytes.sha256 == from_file.sha256 == hashlib.sha256(content).hexdigest()
    assert (from_bytes.name, from_file.name) == ("bytes", str(path))


def test_a_pipe_is_read_to_its_end(encode: Encode) -> None:
    content = encode("m4a", tone(440, 0.5, 16_000))
    read_end, write_end = os.pipe()
    with os.fdopen(write_end, "wb") as file:
        file.write(content)  # a few kilobytes: fits the pipe's buffer
    with os.fdopen(read_end, "rb") as file:
        wave = audio.load(file)
    np.testing.assert_array_equal(wave.samples, audio.load(content).samples)
    assert wave.sha256 == hashlib.sha256(content).hexdigest()


def test_a_pipe_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ringtrue.audio.decode._MAX_PIPE_BYTES", 3 << 20)
    with open("/dev/zero", "rb", buffering=0) as endless:
        pipe = io.BufferedReader(_Unseekable(endless))
        with pytest.raises(AudioError, match="without ending"):
            audio.load(pipe)


class _Unseekable(io.RawIOBase):
    def __init__(self, file: io.RawIOBase) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:
        return self._file.readinto(buffer)


def test_integer_arrays_are_scaled_like_files(encode: Encode) -> None:
    speech = tone(440, 0.2, 16_000)
    as_int = np.round(speech * 32767).astype(np.int16)
    expected = audio.load(encode("wav", as_int)).samples
    np.testing.assert_array_equal(audio.load((as_int, 16_000)).samples, expected)
    np.testing.assert_array_equal(audio.load((as_int.astype(np.int32) << 16, 16_000)).samples, expected)
    np.testing.assert_array_equal(audio.load((expected.astype(np.float64), 16_000)).samples, expected)
    as_byte = np.array([0, 128, 192], np.uint8)
    np.testing.assert_array_equal(audio.load((as_byte, 16_000)).samples, [-1.0, 0.0, 0.5])
    assert audio.load((expected, 16_000)).sha256 == hashlib.sha256(expected.tobytes()).hexdigest()


# --- resampling ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate_hz", [44_100, 48_000, 96_000])
def test_what_16_kHz_cannot_hold_vanishes(rate_hz: int) -> None:
    kept = audio.load((tone(7_000, 1.0, rate_hz), rate_hz)).samples[2000:-2000]
    gone = audio.load((tone(9_000, 1.0, rate_hz), rate_hz)).samples[2000:-2000]
    assert level_db(kept) - level_db(tone(7_000, 1.0, 16_000)) == pytest.approx(0, abs=0.1)
    assert level_db(gone) - level_db(kept) < -80


def test_upsampling_leaves_no_image() -> None:
    spectrum = np.abs(np.fft.rfft(audio.load((tone(3_500, 1.0, 8_000), 8_000)).samples * np.hanning(16_000)))
    assert 20 * np.log10(spectrum[4_400:4_600].max() / spectrum.max()) < -80


def test_resampler_overshoot_stays_within_full_scale() -> None:
    square = np.sign(tone(1_000, 0.5, 48_000))
    wave = audio.load((square, 48_000))
    assert np.abs(wave.samples).max() == 1.0 and wave.warnings == ()


# --- one path: stream, windows, parts -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "rate_hz"), [("wav", 8_000), ("flac", 16_000), ("mp3", 44_100), ("webm", 48_000)]
)
def test_stream_equals_load(
    kind: str, rate_hz: int, encode: Encode, speechlike: Callable[..., NDArray]
) -> None:
    content = encode(kind, speechlike(3.1, rate_hz=rate_hz), rate_hz)
    with audio.open_stream(content) as stream:
        blocks = list(stream)
    wave = audio.load(content)
    assert len(blocks) > 1
    np.testing.assert_array_equal(np.concatenate(blocks), wave.samples)
    assert (stream.info.sha256, stream.info.native_rate_hz, stream.warnings) == (wave.sha256, rate_hz, ())


@pytest.mark.parametrize("rate_hz", [16_000, 44_100])
def test_a_part_is_a_slice_of_the_whole(rate_hz: int, speechlike: Callable[..., NDArray]) -> None:
    source = (speechlike(5.0, rate_hz=rate_hz), rate_hz)
    whole = audio.load(source).samples
    for start_s, duration_s in [(0.0, 1.0), (2.5, 1.25), (4.0, None), (4.5, 9.0), (0.0, 1 / 16_000)]:
        part = audio.load(source, start_s=start_s, duration_s=duration_s)
        stop = None if duration_s is None else round((start_s + duration_s) * 16_000)
        np.testing.assert_array_equal(part.samples, whole[round(start_s * 16_000) : stop])
        assert part.duration_s == len(part.samples) / 16_000 and part.warnings == ()


@pytest.mark.parametrize(
    ("start_s", "duration_s"),
    [(-1.0, None), (99.0, None), (np.nan, None), (0.0, 0.0), (0.0, -1.0), (0.0, np.inf)],
)
def test_parts_that_do_not_exist_are_refused(
    start_s: float, duration_s: float | None, speech_path: Path
) -> None:
    with pytest.raises(AudioError, match=r"start_s|duration_s"):
        audio.load(speech_path, start_s=start_s, duration_s=duration_s)


# --- warnings -----------------------------------------------------------------------------------------------


def test_floats_beyond_full_scale_are_clipped_with_a_warning(encode: Encode) -> None:
    samples = np.zeros(16_000, np.float32)
    samples[:160] = 1.5
    wave = audio.load(encode("wav_float", samples))
    assert wave.samples.max() == 1.0
    assert wave.warnings == ("clipped: 1.00% of the samples lie beyond full scale",)


@pytest.mark.parametrize("kind", ["wav", "wav_mulaw", "flac", "aiff", "au", "mp3", "mkv", "webm"])
def test_a_truncated_file_gives_what_there_is_and_says_so(
    kind: str, encode: Encode, speechlike: Callable[..., NDArray]
) -> None:
    content = encode(kind, speechlike(6.0))
    wave = audio.load(content[: len(content) // 2])
    assert 1.5 < wave.duration_s < 4.5
    assert f"ends early: {wave.duration_s:.1f} s of 6.0 s" in wave.warnings


def test_a_wav_written_to_a_pipe_promises_nothing(encode: Encode) -> None:
    content = bytearray(encode("wav", tone(440, 0.5, 16_000)))
    at = content.index(b"data") + 4
    content[at : at + 4] = b"\xff\xff\xff\xff"
    wave = audio.load(bytes(content))
    assert (wave.duration_s, wave.warnings) == (0.5, ())


def _damage(content: bytes, count: int = 400) -> bytes:
    rng, damaged = np.random.default_rng(0), bytearray(content)
    middle = len(damaged) // 2
    damaged[middle : middle + count] = rng.bytes(count)
    return bytes(damaged)


def test_damage_in_flac_is_reported_and_what_precedes_it_kept(encode: Encode) -> None:
    speech = np.random.default_rng(0).uniform(-0.5, 0.5, 96_000).astype(np.float32)
    wave = audio.load(_damage(encode("flac", speech)))
    assert wave.warnings[0] == "damaged: what follows the damage is not read"
    np.testing.assert_allclose(wave.samples[:32_000], speech[:32_000], atol=1e-4)


# --- errors -------------------------------------------------------------------------------------------------


def _wav_claiming(channels: int, rate_hz: int) -> bytes:
    form = struct.pack("<HHIIHH", 1, channels, rate_hz, 0, 2 * channels & 0xFFFF, 16)
    body = b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", 4000) + bytes(4000)
    return b"RIFF" + struct.pack("<I", len(body)) + body


BAD_FILES: dict[str, Callable[[Encode], bytes]] = {
    "empty.wav": lambda encode: b"",
    "text.wav": lambda encode: b"Dear all, the recording is attached.\n" * 40,
    "text.mp3": lambda encode: b"Dear all, the recording is attached.\n" * 40,
    "noise.flac": lambda encode: np.random.default_rng(0).bytes(9000),
    "zeros.ogg": lambda encode: bytes(9000),
    "header-only.wav": lambda encode: encode("wav", np.zeros(0, np.float32)),
    "stub.wav": lambda encode: b"RIFF",
    "nan.wav": lambda encode: encode("wav_float", np.array([0, np.nan, 0.1], np.float32)),
    "infinite.wav": lambda encode: encode("wav_float", np.array([0, np.inf, 0.1], np.float32)),
    "beyond-float32.wav": lambda encode: encode("wav_double", np.array([0, 1e300, 0.1])),
    "integers.wav": lambda encode: encode("wav_float", np.array([0, 20_000, -3], np.float32)),
    "cut.m4a": lambda encode: encode("m4a", np.zeros(16_000, np.float32))[:-300],
    "silent-film.mp4": lambda encode: encode("mp4", np.zeros(1, np.float32), picture=True, sound=False),
    "65-channels.wav": lambda encode: _wav_claiming(65, 16_000),
    "60000-channels.wav": lambda encode: _wav_claiming(60_000, 16_000),
    "no-channels.wav": lambda encode: _wav_claiming(0, 16_000),
    "no-rate.wav": lambda encode: _wav_claiming(1, 0),
    "slow.wav": lambda encode: _wav_claiming(1, 999),
    "fast.wav": lambda encode: _wav_claiming(1, 768_001),
    "play-list.m3u8": lambda encode: (
        b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nother.ts\n#EXT-X-ENDLIST\n"
    ),
    "script.wav": lambda encode: b"ffconcat version 1.0\nfile /etc/passwd\n",
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files_give_one_line_that_names_them(name: str, encode: Encode, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(BAD_FILES[name](encode))
    with pytest.raises(AudioError) as caught:
        audio.load(path)
    message = str(caught.value)
    assert "\n" not in message and name in message and len(message) < 450


def test_messages_say_what_is_wrong(encode: Encode, tmp_path: Path) -> None:
    said = {}
    for name in ("empty.wav", "text.wav", "silent-film.mp4", "integers.wav", "nan.wav", "header-only.wav"):
        (tmp_path / name).write_bytes(BAD_FILES[name](encode))
        with pytest.raises(AudioError) as caught:
            audio.load(tmp_path / name)
        said[name] = str(caught.value)
    assert "empty" in said["empty.wav"] and "Dear all" in said["text.wav"] and "accepted" in said["text.wav"]
    assert "no audio track" in said["silent-film.mp4"] and "integers" in said["integers.wav"]
    assert "not finite" in said["nan.wav"] and "holds no audio" in said["header-only.wav"]


def test_folder_missing_and_odd_sources(tmp_path: Path) -> None:
    for source, said in [
        (tmp_path, "folder"),
        (tmp_path / "gone.wav", "no file"),
        (tmp_path / "two\nlines.wav", r"two\\nlines"),
        ("nul\0byte.wav", "cannot be opened"),
        (7, "not int"),
        ((np.zeros((2, 2, 2)), 16_000), "shape"),
        ((np.zeros((2, 100)), 16_000), "channels"),
        ((np.zeros(0), 16_000), "no audio"),
        ((np.zeros(9, complex), 16_000), "complex"),
        ((np.zeros(9), 0), "sample rate"),
        ((np.zeros(9),), "samples, rate_hz"),
    ]:
        with pytest.raises(AudioError, match=said) as caught:
            audio.load(source)  # type: ignore[arg-type]
        assert "\n" not in str(caught.value)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(speech_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.flac"
    path.write_bytes(speech_path.read_bytes())
    path.chmod(0)
    with pytest.raises(AudioError, match="Permission denied"):
        audio.load(path)


def test_an_operating_system_error_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("ringtrue.audio.decode.Path.open", refuse)
    with pytest.raises(AudioError, match=r"a\.wav cannot be opened \(Permission denied\)"):
        audio.load("a.wav")


@pytest.mark.parametrize("count", [1, 2, 160])
def test_a_few_samples_are_a_wave(count: int, encode: Encode) -> None:
    wave = audio.load(encode("wav", np.full(count, 0.5, np.float32)))
    assert wave.samples.tolist() == [0.5] * count


@settings(max_examples=150, deadline=None)
@given(data=st.data(), kind=st.sampled_from(["wav", "flac", "mp3", "ogg", "webm", "m4a", "amr", "aiff"]))
def test_mutated_files_decode_or_say_why(data: st.DataObject, kind: str, encode: Encode) -> None:
    content = bytearray(_original(kind, encode))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(AudioError):
        samples = audio.load(bytes(content[: data.draw(st.integers(1, len(content)))])).samples
        assert samples.dtype == np.float32 and len(samples) > 0 and np.abs(samples).max() <= 1


_ORIGINALS: dict[str, bytes] = {}


def _original(kind: str, encode: Encode) -> bytes:
    if kind not in _ORIGINALS:
        _ORIGINALS[kind] = encode(kind, tone(440, 0.3, 8_000), 8_000)
    return _ORIGINALS[kind]


# --- a process of its own: chatter, memory, imports ---------------------------------------------------------


def _python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_damaged_files_cause_no_chatter(
    encode: Encode, speechlike: Callable[..., NDArray], tmp_path: Path
) -> None:
    speech = speechlike(3.0)
    aiff = bytearray(encode("aiff", speech))
    aiff[41] = 1  # libsndfile then seeks to -1, which Python's files refuse
    (tmp_path / "seeks-too-far.aiff").write_bytes(aiff)
    for kind in ("mp3", "m4a", "webm", "ogg", "flac", "amr", "opus", "aac"):
        content = encode(kind, speech, 8_000 if kind == "amr" else 16_000)
        (tmp_path / f"whole.{kind}").write_bytes(content)
        (tmp_path / f"damaged.{kind}").write_bytes(_damage(content))
        (tmp_path / f"cut.{kind}").write_bytes(content[: len(content) // 3])
    (tmp_path / "text.mp3").write_bytes(b"no music\n" * 99)
    done = _python(
        "import sys, pathlib\nfrom ringtrue import audio, errors\n"
        "for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):\n"
        "    try: print(path.name, *audio.load(path).warnings)\n"
        "    except errors.AudioError as error: print(path.name, type(error).__name__)\n",
        tmp_path,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 26


def test_import_loads_no_decoder_and_flac_no_ffmpeg(speech_path: Path) -> None:
    done = _python(
        "import sys\nfrom ringtrue import audio\n"
        "heavy = {'soundfile', 'soxr', 'av', 'scipy', 'torch'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
        "audio.load(sys.argv[1]); print(sorted(heavy & set(sys.modules)))",
        speech_path,
    )
    assert done.stdout.splitlines() == ["[]", "['soundfile']"], done.stderr


def test_two_hours_are_read_in_bounded_memory(tmp_path: Path) -> None:
    import soundfile

    path = tmp_path / "night.flac"
    minute = np.round(tone(440, 60, 8_000) * 32767).astype(np.int16)
    with soundfile.SoundFile(
        path, "w", 8_000, 1, subtype="PCM_16", format="FLAC", compression_level=0
    ) as file:
        for _ in range(120):
            file.write(minute)
    done = _python(
        "import resource, sys\nfrom ringtrue import audio\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024\n"
        "audio.load(sys.argv[1], duration_s=10); before = peak()\n"
        "count = total = 0\n"
        "with audio.open_stream(sys.argv[1]) as stream:\n"
        "    for samples in stream: count += 1; total += len(samples)\n"
        "print(count, total, peak() - before)",
        path,
    )
    count, total, growth_mib = done.stdout.split()
    assert int(count) > 1000
    assert int(total) == 7200 * 16_000
    assert float(growth_mib) < 20


@pytest.mark.parametrize(("kind", "order"), [(b"RIFF", "little"), (b"RIFX", "big")])
def test_texts_that_claim_more_than_the_file_are_refused_before_room_is_made_for_them(kind, order):
    """Found by mutation: FFmpeg took 1.3 GB for a text that a header of 3 KB claimed."""

    def chunk(name, content, claimed=None):
        return name + (len(content) if claimed is None else claimed).to_bytes(4, order) + content

    layer_3 = chunk(b"fmt ", b"\x55\0\1\0" + bytes(26))

    def told(claimed):
        content = (
            b"WAVE" + layer_3 + chunk(b"LIST", b"INFOISFT" + bytes(6), claimed) + chunk(b"data", bytes(64))
        )
        with pytest.raises(AudioError) as error:
            audio.load(chunk(kind, content))
        return str(error.value)

    assert "claims 2130706458 bytes of texts" in told(2_130_706_458)
    assert "claims" not in told(None)
