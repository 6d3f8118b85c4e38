"""path | bytes | file | array -> what it says of itself, and its samples at their own rate in blocks.

Two libraries read everything: libsndfile for the plain containers (twice as fast), FFmpeg through PyAV for
the rest. The first bytes of the content choose; the file's extension is believed only for headerless
telephone formats, which have nothing else to go by. Two kinds of content go to FFmpeg although libsndfile
knows them: MPEG audio, because libmpg123 writes to stderr and gives up half way through a damaged file,
and Opus, because libsndfile decodes it at the rate that its encoder was given, so that the same packets
would sound different in an Ogg and in a WebM container.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO, FileIO
from pathlib import Path, PurePath
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ringtrue.audio.resample import MAX_RATE_HZ, MIN_RATE_HZ, Samples, to_float
from ringtrue.audio.riff import refuse_claims
from ringtrue.errors import AudioError

Source: TypeAlias = str | os.PathLike[str] | bytes | BinaryIO | tuple[NDArray[Any], int]
"""A path, the bytes of a file, an open binary file, or ``(samples (T,) or (T, C), rate_hz)``."""

ACCEPTED = "wav, flac, mp3, ogg, opus, aiff, m4a, aac, mp4, webm, mkv, amr, wma, G.711 or G.722"

_MAX_CHANNELS = 64
_MAX_PIPE_BYTES = 4 << 30  # a pipe has no end that one could look up: /dev/zero must stop somewhere
_MAX_PLANES = 8  # beyond, PyAV 18 reads past the end of a frame's list of planes and may crash
_HASHED_BYTES = 1 << 16  # at a time
_READ_FRAMES = 1 << 15  # samples per read: small reads cost a third of a FLAC file's decoding
_CAREFUL_FRAMES = 4096  # near damage: what a FLAC file loses before its fault is at most this much

_SNDFILE_MAGIC = (b"RIFF", b"RIFX", b"RF64", b"riff", b"fLaC", b"OggS", b"FORM", b".snd", b"caff", b"NIST")
_HEADERLESS = {  # extension -> FFmpeg format, rate in Hz; G.711 is 8 kHz and G.722 is 16 kHz by definition
    ".ulaw": ("mulaw", 8_000),
    ".ul": ("mulaw", 8_000),
    ".alaw": ("alaw", 8_000),
    ".al": ("alaw", 8_000),
    ".g722": ("g722", 16_000),
}
# FFmpeg also knows play lists, scripts and image lists, which can open other files and addresses: not here.
_FFMPEG_FORMATS = (
    "mov,mp4,m4a,3gp,matroska,webm,asf,avi,flv,mpegts,mpeg,mp3,aac,amr,amrnb,amrwb,ac3,eac3,"
    "ogg,flac,wav,w64,aiff,au,caf,voc,wv,tta,ape,g722,mulaw,alaw"
)


@dataclass(frozen=True)
class AudioInfo:
    """What a recording says of itself before it is decoded.

    Attributes:
        name: Its path, or what it is (``"bytes"``, ``"array"``); always printable on one line.
        sha256: Of the source's bytes; of the float32 samples for an array.
        native_rate_hz: Sample rate of the recording.
        channels: Number of channels, mixed down later.
        codec: How the samples are coded: ``"pcm_16"``, ``"flac"``, ``"aac"`` …
        container: What they are wrapped in: ``"wav"``, ``"mp4"`` …; ``"raw"`` without a header.
        promised_s: Length that a header states; None where no header does.
    """

    name: str
    sha256: str
    native_rate_hz: int
    channels: int
    codec: str
    container: str
    promised_s: float | None = None


@dataclass
class NativeAudio:
    """An opened recording: its samples at their own rate, read once.

    Attributes:
        info: What it says of itself.
        blocks: Its samples in order, each ``(N, C)`` float32 with full scale 1.
        faults: What went wrong while the blocks were read; grows as they are.
    """

    info: AudioInfo
    blocks: Iterable[Samples]
    faults: list[str] = field(default_factory=list)


def open_native(source: Source, stack: contextlib.ExitStack) -> NativeAudio:
    """Open a recording of any accepted kind.

    Args:
        source: See `Source`.
        stack: Takes what must be closed afterwards.

    Returns:
        The opened recording.

    Raises:
        AudioError: It is missing, unreadable, empty, not audio, or beyond the limits.
    """
    if isinstance(source, tuple):
        return _open_array(source)
    name, file = _open_file(source, stack)
    if file.seek(0, os.SEEK_END) == 0:
        raise AudioError(f"{name} is empty (0 bytes); accepted: {ACCEPTED}. Record or copy it again")
    file.seek(0)
    digest = _sha256(file)
    file.seek(0)
    head = file.read(16)
    headerless = _HEADERLESS.get(PurePath(name).suffix.lower())
    native = None
    if head.startswith(_SNDFILE_MAGIC):
        headerless = None
        native = _open_sndfile(file, name, digest, stack)
    if native is None:
        native = _open_ffmpeg(file, name, digest, stack, headerless, head)
    return native


def open_live(pipe: Any, name: str, stack: contextlib.ExitStack) -> NativeAudio:
    """Open a recording that is still arriving, in a container made for that: WebM, Ogg, MPEG-TS.

    Args:
        pipe: An object with ``read(count)`` that waits for the next bytes and gives none at the end; no ``seek``.
        name: What to call it.
        stack: Takes what must be closed afterwards.

    Returns:
        The opened recording, as soon as enough has come to know what it is; without a sha256.

    Raises:
        AudioError: It is not audio, or beyond the limits.
    """
    return _open_ffmpeg(pipe, name, "", stack, None, b"")


# --- a source -> a seekable binary file ---------------------------------------------------------------------


def _open_file(
    source: str | os.PathLike[str] | bytes | BinaryIO, stack: contextlib.ExitStack
) -> tuple[str, Any]:
    """Give a printable name and a seekable file; a pipe is first written to a temporary one."""
    if isinstance(source, bytes | bytearray | memoryview):
        return "bytes", BytesIO(source)
    if isinstance(source, str | os.PathLike):
        name = _printable(os.fspath(source))
        try:
            # Without a buffer: libsndfile goes on reading where this has read to.
            file: Any = stack.enter_context(Path(os.fspath(source)).open("rb", 0))  # noqa: SIM115
        except IsADirectoryError:
            raise AudioError(f"{name} is a folder, not a recording; name the files in it") from None
        except FileNotFoundError:
            raise AudioError(f"there is no file {name}; check the path") from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise AudioError(f"{name} cannot be opened ({reason}); check its permissions and path") from error
    elif hasattr(source, "read"):
        name, file = _printable(str(getattr(source, "name", "file"))), source
    else:
        raise AudioError(
            f"a recording is a path, bytes, a binary file or (samples, rate_hz), not {type(source).__name__}"
        )
    return name, file if file.seekable() else _spool(file, name, stack)


def _sha256(file: BinaryIO) -> str:
    """Hash what is left; `hashlib.file_digest` clears a quarter of a megabyte first, which most clips do not fill."""
    digest = hashlib.sha256()
    while block := file.read(_HASHED_BYTES):
        digest.update(block)
    return digest.hexdigest()


def _spool(pipe: BinaryIO, name: str, stack: contextlib.ExitStack) -> BinaryIO:
    """Copy what cannot seek to where it can: decoders look at the end of a file before its middle."""
    spooled: BinaryIO = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115  # the stack closes it
    while block := pipe.read(1 << 20):
        spooled.write(block)
        if spooled.tell() > _MAX_PIPE_BYTES:
            raise AudioError(
                f"{name} gave {_MAX_PIPE_BYTES >> 30} GiB without ending; save it to a file first"
            )
    return spooled


def _printable(name: str) -> str:
    return name if name.isprintable() else ascii(name)


# --- three ways to samples ----------------------------------------------------------------------------------


def _open_array(source: tuple[NDArray[Any], int]) -> NativeAudio:
    try:
        array, rate_hz = np.asarray(source[0]), int(source[1])
    except (IndexError, TypeError, ValueError):
        raise AudioError("an array is given as (samples, rate_hz), for example (x, 16000)") from None
    if array.ndim not in (1, 2):
        raise AudioError(f"an array has the shape (T,) or (T, C), not {array.shape}")
    samples = np.ascontiguousarray(to_float(array), dtype=np.float32)
    if samples.ndim == 1:
        samples = samples[:, np.newaxis]
    info = AudioInfo(
        "array",
        hashlib.sha256(samples.tobytes()).hexdigest(),
        rate_hz,
        samples.shape[1],
        codec=str(array.dtype),
        container="array",
    )
    _check_limits(info)
    return NativeAudio(info, (samples[at : at + _READ_FRAMES] for at in range(0, len(samples), _READ_FRAMES)))


def _open_sndfile(file: BinaryIO, name: str, sha256: str, stack: contextlib.ExitStack) -> NativeAudio | None:
    """Open with libsndfile; None where FFmpeg should read it."""
    import soundfile

    file.seek(0)
    try:
        sound = stack.enter_context(_forward_reader()(_for_sndfile(file), "r", closefd=False))
    except soundfile.LibsndfileError:
        return None
    if sound.subtype == "OPUS" or sound.subtype.startswith("MPEG"):
        return None
    lossy = {"ULAW": "mulaw", "FLOAT": "pcm_f32", "DOUBLE": "pcm_f64"}
    codec = "flac" if sound.format == "FLAC" else lossy.get(sound.subtype, sound.subtype.lower())
    promised_s = _promised_by_sndfile(sound)
    info = AudioInfo(name, sha256, sound.samplerate, sound.channels, codec, sound.format.lower(), promised_s)
    _check_limits(info)
    native = NativeAudio(info, ())
    native.blocks = _sndfile_blocks(file, sound, native.faults)
    return native


@cache
def _forward_reader() -> Any:
    """Make a reader of sound files that never seeks.

    That of soundfile finds out where it is before every read and seeks there after it, and libFLAC then decodes again
    what was just decoded.
    """
    import soundfile

    class Forward(soundfile.SoundFile):  # type: ignore[misc]  # untyped
        def seekable(self) -> bool:
            return False

    return Forward


def _for_sndfile(file: BinaryIO) -> int | QuietFile:
    """Give a file as libsndfile reads it fastest: by its number, where nothing read ahead lies in a buffer."""
    return file.fileno() if isinstance(file, FileIO) else QuietFile(file)


class QuietFile:
    """A file for libsndfile: damaged headers make it seek before the start, and Python would print why not."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.read, self.readinto, self.tell = file.read, file.readinto, file.tell

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go where there is something, and say where that is."""
        with contextlib.suppress(OSError, ValueError):
            self._file.seek(offset, whence)
        return int(self._file.tell())


def _sndfile_blocks(file: BinaryIO, sound: Any, faults: list[str]) -> Iterator[Samples]:
    """Read in large blocks; where one is damaged, read again from the start in small ones up to the damage."""
    import soundfile

    given = 0
    try:
        while len(block := sound.read(_READ_FRAMES, dtype="float32", always_2d=True)):
            yield block
            given += len(block)
            if given >= sound.frames:
                break
        return
    except soundfile.LibsndfileError:
        faults.append("damaged: what follows the damage is not read")
    file.seek(0)
    with (
        contextlib.suppress(soundfile.LibsndfileError),
        _forward_reader()(_for_sndfile(file), "r", closefd=False) as again,
    ):
        while len(block := again.read(_CAREFUL_FRAMES, dtype="float32", always_2d=True)):
            given -= len(block)
            if given < 0:
                yield block
                given = 0


def _promised_by_sndfile(sound: Any) -> float | None:
    """The length that the header states; libsndfile quietly lowers it to what the file can hold."""
    promised_s = float(sound.frames / sound.samplerate)
    sizes = re.search(r"(?:data|SSND|Data Size)\s*: (\d+) \(should be (\d+)\)", sound.extra_info)
    if sizes is None:
        return promised_s
    claimed, found = int(sizes[1]), int(sizes[2])
    if claimed >= 0x7FFF_0000 or found == 0:  # written to a pipe: the length was not known when it began
        return None
    return promised_s * claimed / found


def _open_ffmpeg(
    file: BinaryIO,
    name: str,
    sha256: str,
    stack: contextlib.ExitStack,
    headerless: tuple[str, int] | None,
    head: bytes,
) -> NativeAudio:
    import av

    av.logging.set_level(None)  # what its decoders have to say comes as warnings, not on stderr
    form, options = None, {"format_whitelist": _FFMPEG_FORMATS}
    if headerless is not None:
        form, rate_hz = headerless
        if form != "g722":  # that demuxer knows its one rate
            options["sample_rate"] = str(rate_hz)
    if hasattr(file, "seek"):
        refuse_claims(file, name)
        file.seek(0)
    try:
        container = stack.enter_context(av.open(file, format=form, options=options, metadata_errors="ignore"))
    except (av.FFmpegError, OSError, ValueError) as error:
        raise AudioError(
            f"{name} is not audio that can be read (it begins with {head.decode('latin-1')!r}); accepted: {ACCEPTED}. "
            "Check that the file is whole and is a recording"
        ) from error
    if not container.streams.audio:
        kind = "video but no audio track" if container.streams.video else "no audio track"
        raise AudioError(f"{name} holds {kind}; give a recording with sound ({ACCEPTED})")
    stream = container.streams.audio[0]
    native = NativeAudio(AudioInfo(name, sha256, 0, 0, "", ""), ())
    frames = _ffmpeg_frames(container, stream, native.faults)
    first = next(frames, None)  # only a decoded frame states the true rate: AAC headers give half of it
    if first is None:
        raise AudioError(f"{name} holds no audio that can be decoded; check that the file is whole")
    names = container.format.name.split(",")
    native.info = AudioInfo(
        name,
        sha256,
        first.sample_rate,
        first.layout.nb_channels,
        codec=stream.codec_context.codec.canonical_name.removeprefix("pcm_"),
        container="raw" if headerless else "mp4" if "mp4" in names else names[0],
        promised_s=_promised_by_ffmpeg(container, stream),
    )
    _check_limits(native.info)
    native.blocks = _ffmpeg_blocks(first, frames, native.faults)
    return native


def _ffmpeg_frames(container: Any, stream: Any, faults: list[str]) -> Iterator[Any]:
    """Decode packet by packet, so that a damaged one costs itself and not what follows."""
    import av

    damaged = 0
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except (av.FFmpegError, OSError, ValueError):
            damaged, packet = damaged + 1, None
        if packet is None:
            break
        try:
            decoded = packet.decode()
        except (av.FFmpegError, ValueError):
            damaged += 1
            continue
        for frame in decoded:
            if frame.format.name.startswith("s64") or (
                frame.format.is_planar and frame.layout.nb_channels > _MAX_PLANES
            ):
                damaged += 1  # PyAV cannot give its samples
            else:
                yield frame
    if damaged:
        faults.append(f"damaged: {damaged} packet{'s' if damaged > 1 else ''} could not be decoded")


def _ffmpeg_blocks(first: Any, frames: Iterator[Any], faults: list[str]) -> Iterator[Samples]:
    """Give the frames' samples; a damaged header may claim another shape, and MPEG-4 stereo begins as mono."""
    rate_hz, channels, left_out = first.sample_rate, first.layout.nb_channels, 0
    for frame in itertools.chain([first], frames):
        if frame.sample_rate != rate_hz:
            left_out += 1
            continue
        data = to_float(frame.to_ndarray())  # planar (C, N), or packed (1, N * C)
        block = data.reshape(-1, frame.layout.nb_channels) if frame.format.is_packed else data.T
        if block.shape[1] != channels:
            block = np.repeat(block.mean(axis=1, keepdims=True), channels, axis=1)
        yield block
    if left_out:
        faults.append(f"the sample rate changes: {left_out} frames at another than {rate_hz} Hz are left out")


def _promised_by_ffmpeg(container: Any, stream: Any) -> float | None:
    """The length that a header states; where the demuxer guesses from the bit rate there is none."""
    names = container.format.name.split(",")
    has_lame_tag = "mp3" in names and bool(stream.start_time)  # the encoder's delay stands in the same tag
    if stream.duration and ("mov" in names or has_lame_tag):
        return float(stream.duration * stream.time_base)
    if container.duration and ("matroska" in names or "asf" in names) and len(container.streams) == 1:
        return float(container.duration / 1e6)
    return None


# --- shared -------------------------------------------------------------------------------------------------


def _check_limits(info: AudioInfo) -> None:
    if not 1 <= info.channels <= _MAX_CHANNELS:
        raise AudioError(
            f"{info.name} has {info.channels} channels; accepted: 1 to {_MAX_CHANNELS}, "
            "as the last axis of an array. Mix or split it first"
        )
    if not MIN_RATE_HZ <= info.native_rate_hz <= MAX_RATE_HZ:
        raise AudioError(
            f"{info.name} has a sample rate of {info.native_rate_hz} Hz; accepted: {MIN_RATE_HZ} to "
            f"{MAX_RATE_HZ}. Check its header"
        )
