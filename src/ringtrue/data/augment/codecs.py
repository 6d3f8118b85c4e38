"""A wave -> the same through a codec and back: what calls, messengers and archives do to speech.

In memory, with the two libraries that decode for us anyway (FFmpeg through PyAV, libsndfile); nothing else is installed.
Encoders that the shipped libraries lack are named in the table and passed over where codecs are drawn.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from ringtrue import audio
from ringtrue.audio import SAMPLE_RATE_HZ
from ringtrue.errors import ConfigError

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Codec:
    """How to encode with the libraries that ringtrue installs anyway; `audio.load` decodes.

    Attributes:
        encoder: FFmpeg encoder, or libsndfile subtype where that is in capitals.
        container: What to wrap it in, so that the decoder knows rate and encoder delay.
        rate_hz: Rate at which it codes.
        kbps: Bit rate where none is asked for; None for codecs that have just one.
        kbps_range: Lowest and highest bit rate that may be asked for.
        delay: Samples at 16 kHz by which its output lags and that no container states; measured.
    """

    encoder: str
    container: str
    rate_hz: int
    kbps: float | None = None
    kbps_range: tuple[float, float] = (0.0, 0.0)
    delay: int = 0


CODECS: Mapping[str, Codec] = MappingProxyType(
    {
        "mp3": Codec("libmp3lame", "mp3", 16_000, 32, (8, 160)),
        "aac": Codec("aac", "mp4", 16_000, 32, (12, 96)),
        "opus": Codec("libopus", "ogg", 16_000, 16, (6, 256)),
        "vorbis": Codec("VORBIS", "OGG", 16_000),
        "g722": Codec("g722", "wav", 16_000, delay=22),
        "mulaw": Codec("ULAW", "WAV", 8_000),
        "alaw": Codec("ALAW", "WAV", 8_000),
        "gsm": Codec("GSM610", "WAV", 8_000),
        "amr_nb": Codec("libopencore_amrnb", "amr", 8_000, 12.2, (4.75, 12.2), delay=80),
        "amr_wb": Codec("libvo_amrwbenc", "amr", 16_000, 12.65, (6.6, 23.85)),  # in no wheel of PyAV so far
    }
)


@cache
def available_codecs() -> tuple[str, ...]:
    """List the codecs that the installed libraries can encode.

    Returns:
        Names in `CODECS`, in its order.
    """
    import av

    def is_there(codec: Codec) -> bool:
        if codec.encoder.isupper():  # libsndfile has all that the table names
            return True
        try:
            av.codec.Codec(codec.encoder, "w")
        except ValueError:  # what PyAV raises for an unknown encoder
            return False
        return True

    return tuple(name for name, codec in CODECS.items() if is_there(codec))


def codec_round_trip(samples: Samples, codec: str, bit_rate_kbps: float | None = None) -> Samples:
    """Encode and decode, as a call, a messenger or an archive would.

    Args:
        samples: ``(T,)`` float32, 16 kHz.
        codec: One of `CODECS`.
        bit_rate_kbps: Bit rate in kbit/s; None takes the codec's usual one for speech.

    Returns:
        ``(T,)`` float32 in step with the input: the codec's delay is removed.

    Raises:
        ConfigError: The codec is unknown, has no such bit rate, or the installed libraries cannot encode it.
    """
    if codec not in CODECS:
        raise ConfigError(f"unknown codec {codec!r}; accepted: {', '.join(CODECS)}")
    if codec not in available_codecs():
        raise ConfigError(
            f"{codec} needs the encoder {CODECS[codec].encoder}, which the installed PyAV lacks; "
            f"there are: {', '.join(available_codecs())}"
        )
    row = CODECS[codec]
    low, high = row.kbps_range
    if bit_rate_kbps is not None and not (low <= bit_rate_kbps <= high and row.kbps):
        accepted = f"{low:g} to {high:g}" if row.kbps else "none, it has just one"
        raise ConfigError(f"{codec} at {bit_rate_kbps} kbit/s; accepted bit rates: {accepted}")
    if not len(samples):
        return samples.copy()
    native = samples
    if row.rate_hz != SAMPLE_RATE_HZ:
        import soxr

        native = np.clip(soxr.resample(samples, SAMPLE_RATE_HZ, row.rate_hz, quality="HQ"), -1, 1)
        native = native if len(native) else np.zeros(1, np.float32)
    encode = _encode_sndfile if row.encoder.isupper() else _encode_ffmpeg
    decoded = audio.load(encode(native, row, bit_rate_kbps or row.kbps)).samples
    result = np.zeros_like(samples)
    part = decoded[row.delay :][: len(samples)]
    result[: len(part)] = part
    return result


def _encode_sndfile(samples: Samples, codec: Codec, kbps: float | None) -> bytes:
    import soundfile

    target = io.BytesIO()
    soundfile.write(target, samples, codec.rate_hz, subtype=codec.encoder, format=codec.container)
    return target.getvalue()


def _encode_ffmpeg(samples: Samples, codec: Codec, kbps: float | None) -> bytes:
    import av

    target = io.BytesIO()
    with av.open(target, "w", format=codec.container) as output:
        stream = output.add_stream(codec.encoder, rate=codec.rate_hz)
        stream.layout = "mono"
        if kbps is not None:
            stream.bit_rate = round(1000 * kbps)
        accepted = {kind.name for kind in stream.codec_context.codec.audio_formats}
        kind = next(kind for kind in ("fltp", "flt", "s16") if kind in accepted)
        stream.format = kind
        data = np.round(samples * 32767).astype(np.int16) if kind == "s16" else samples
        frame = av.AudioFrame.from_ndarray(data[np.newaxis], format=kind, layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = codec.rate_hz, 0, Fraction(1, codec.rate_hz)
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return target.getvalue()
