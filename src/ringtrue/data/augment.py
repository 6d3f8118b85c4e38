"""(wave, rng) -> wave of the same length: codecs, bands, levels, noise; replayable from the generator.

Every transform takes and gives ``(T,)`` float32 at 16 kHz in [-1, 1], leaves its input alone, knows no label,
and keeps sample k where it was, because content units are aligned to samples. To add one: write a function
``(samples, rng, policy) -> samples``, its fields in `Augment`, and its row in `TRANSFORMS`.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from ringtrue import audio
from ringtrue.audio import SAMPLE_RATE_HZ
from ringtrue.errors import ConfigError

Samples = NDArray[np.float32]

# --- codecs -------------------------------------------------------------------------------------------------


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
    }
)


def codec_round_trip(samples: Samples, codec: str, bit_rate_kbps: float | None = None) -> Samples:
    """Encode and decode, as a call, a messenger or an archive would.

    Args:
        samples: ``(T,)`` float32, 16 kHz.
        codec: One of `CODECS`.
        bit_rate_kbps: Bit rate in kbit/s; None takes the codec's usual one for speech.

    Returns:
        ``(T,)`` float32 in step with the input: the codec's delay is removed.

    Raises:
        ConfigError: The codec is unknown, or has no such bit rate.
    """
    if codec not in CODECS:
        raise ConfigError(f"unknown codec {codec!r}; accepted: {', '.join(CODECS)}")
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


# --- band, level, noise, steps ----------------------------------------------------------------------------

_TRANSITION_HZ = 100.0  # from pass to stop, centred on the band's edge
_STOP_DB = 80.0


def band_limit(samples: Samples, low_hz: float, high_hz: float) -> Samples:
    """Keep one band, with a linear-phase filter whose delay is removed.

    Args:
        samples: ``(T,)`` float32, 16 kHz.
        low_hz: Lower edge (-6 dB); 0 keeps everything below.
        high_hz: Upper edge (-6 dB); 8000 keeps everything above.

    Returns:
        ``(T,)`` float32, at least 70 dB down from 50 Hz outside the band; lowered where it would pass 1.

    Raises:
        ConfigError: The edges are no band of at least 100 Hz within 0 to 8000, or `low_hz` lies within
            0 to 50 without being 0, where no filter of this steepness fits.
    """
    from scipy.signal import oaconvolve

    filtered = oaconvolve(samples, _band_filter(float(low_hz), float(high_hz)), mode="full")
    start = (len(filtered) - len(samples)) // 2
    return _fit(filtered[start : start + len(samples)])


@lru_cache(maxsize=64)
def _band_filter(low_hz: float, high_hz: float) -> Samples:
    """Design a linear-phase filter of odd length, ``(L,)`` float32."""
    from scipy.signal import firwin, kaiser_beta, kaiserord

    nyquist_hz, margin_hz = SAMPLE_RATE_HZ / 2, _TRANSITION_HZ / 2
    if not (
        (low_hz == 0 or low_hz >= margin_hz)
        and low_hz + _TRANSITION_HZ <= high_hz
        and (high_hz == nyquist_hz or high_hz <= nyquist_hz - margin_hz)
    ):
        raise ConfigError(
            f"a band from {low_hz} to {high_hz} Hz; accepted: 0 or {margin_hz:g} Hz and more, up to "
            f"{nyquist_hz - margin_hz:g} or {nyquist_hz:g} Hz, at least {_TRANSITION_HZ:g} Hz wide"
        )
    count, _ = kaiserord(_STOP_DB, _TRANSITION_HZ / nyquist_hz)
    count |= 1
    edges_hz = [edge for edge in (low_hz, high_hz) if 0 < edge < nyquist_hz]
    if not edges_hz:
        taps = np.zeros(count)
        taps[count // 2] = 1.0
    else:
        taps = firwin(
            count,
            edges_hz,
            window=("kaiser", kaiser_beta(_STOP_DB)),
            pass_zero=low_hz == 0,
            fs=SAMPLE_RATE_HZ,
        )
    return np.asarray(taps, np.float32)


def set_level(samples: Samples, level_db: float) -> Samples:
    """Scale to a level; never clips.

    Args:
        samples: ``(T,)`` float32, 16 kHz.
        level_db: Wanted RMS in dB relative to full scale.

    Returns:
        ``(T,)`` float32 at that level, or lower where its peak would pass 1; silence stays silence.

    >>> round(float(set_level(np.array([0.1, -0.1], np.float32), -6.0206)[0]), 4)
    0.5
    """
    rms = _rms(samples)
    return samples.copy() if rms == 0 else _fit(samples * np.float32(_ratio(level_db) / rms))


def add_noise(samples: Samples, snr_db: float, rng: np.random.Generator, colour: str = "white") -> Samples:
    """Add stationary noise; lowers speech and noise together where the sum would pass full scale.

    Args:
        samples: ``(T,)`` float32, 16 kHz.
        snr_db: Ratio of the RMS of `samples` to that of the noise, in dB.
        rng: Source of the noise.
        colour: ``"white"``, ``"pink"`` (-3 dB per octave) or ``"brown"`` (-6).

    Returns:
        ``(T,)`` float32; silence stays silence, since it has no signal-to-noise ratio.

    Raises:
        ConfigError: The colour is unknown.
    """
    if colour not in _NOISE_SLOPES:
        raise ConfigError(f"unknown noise colour {colour!r}; accepted: {', '.join(_NOISE_SLOPES)}")
    noise = _noise(len(samples), _NOISE_SLOPES[colour], rng)
    rms = _rms(samples)
    if rms == 0:
        return samples.copy()
    return _fit(samples + noise * np.float32(rms / (_rms(noise) * _ratio(snr_db))))


_NOISE_SLOPES = {"white": 0.0, "pink": 0.5, "brown": 1.0}  # amplitude falls as frequency to this power
_NOISE_FLOOR_HZ = 50.0  # below, coloured noise stays level: its energy must not sit where nobody hears it


def _noise(count: int, slope: float, rng: np.random.Generator) -> Samples:
    if slope == 0:
        return rng.standard_normal(count, dtype=np.float32)
    from scipy.fft import irfft, next_fast_len, rfftfreq

    size = next_fast_len(max(count, 2), real=True)
    frequency_hz = np.maximum(rfftfreq(size, 1 / SAMPLE_RATE_HZ), _NOISE_FLOOR_HZ).astype(np.float32)
    parts = rng.standard_normal((2, len(frequency_hz)), dtype=np.float32)
    noise = irfft((parts[0] + np.complex64(1j) * parts[1]) * frequency_hz**-slope, n=size)[:count]
    return np.asarray(noise, np.float32)


def quantise(samples: Samples, bits: int) -> Samples:
    """Round to the steps of a companded telephone codec, at 16 kHz: coding noise that follows the level.

    Args:
        samples: ``(T,)`` float32, 16 kHz.
        bits: Bits per sample, 2 to 16; 8 is what mu-law has.

    Returns:
        ``(T,)`` float32.
    """
    steps, mu = np.float32(2 ** (bits - 1) - 1), np.float32(255)
    companded = np.log1p(mu * np.abs(samples)) / np.log1p(mu)
    expanded = np.expm1(np.round(companded * steps) / steps * np.log1p(mu)) / mu
    return np.asarray(np.copysign(np.minimum(expanded, np.float32(1)), samples), np.float32)


def _rms(samples: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if len(samples) else 0.0


def _ratio(level_db: float) -> float:
    return float(10 ** (level_db / 20))


def _fit(samples: Samples) -> Samples:
    """Lower the whole so that its peak is at most 1: a clipped peak would be a cue, a lower level is none."""
    peak = float(np.abs(samples).max(initial=0.0))
    return np.asarray(samples / np.float32(peak) if peak > 1 else samples, np.float32)


# --- what training does to a crop ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Augment:
    """How often and how far `augment` goes; each range is drawn from evenly.

    Attributes:
        noise_probability: Share of crops with noise of a random colour.
        snr_range_db: Its signal-to-noise ratio.
        band_probability: Share of crops with a narrower band.
        band_low_range_hz: Its lower edge, >= 50.
        band_high_range_hz: Its upper edge, <= 7950.
        level_probability: Share of crops with another level.
        level_range_db: RMS in dB relative to full scale.
        quantise_probability: Share of crops with coding noise.
        quantise_range_bits: Bits per sample of the companded steps, both ends included.
    """

    noise_probability: float = 0.3
    snr_range_db: tuple[float, float] = (10.0, 40.0)
    band_probability: float = 0.3
    band_low_range_hz: tuple[float, float] = (50.0, 300.0)
    band_high_range_hz: tuple[float, float] = (3400.0, 7500.0)
    level_probability: float = 0.5
    level_range_db: tuple[float, float] = (-40.0, -15.0)
    quantise_probability: float = 0.1
    quantise_range_bits: tuple[int, int] = (7, 10)


def augment(samples: Samples, rng: np.random.Generator, policy: Augment | None = None) -> Samples:
    """Change a crop as rooms, channels and devices might, for either label alike.

    Args:
        samples: ``(T,)`` float32, 16 kHz.
        rng: Source of every choice: the same state gives the same result.
        policy: How often and how far; None takes the defaults.

    Returns:
        ``(T,)`` float32, every sample in its place.
    """
    policy = policy or Augment()
    for name, transform in TRANSFORMS.items():
        if rng.random() < getattr(policy, f"{name}_probability"):
            samples = transform(samples, rng, policy)
    return samples


def _random_noise(samples: Samples, rng: np.random.Generator, policy: Augment) -> Samples:
    colour = list(_NOISE_SLOPES)[rng.integers(len(_NOISE_SLOPES))]
    return add_noise(samples, rng.uniform(*policy.snr_range_db), rng, colour)


def _random_band(samples: Samples, rng: np.random.Generator, policy: Augment) -> Samples:
    low_hz, high_hz = rng.uniform(*policy.band_low_range_hz), rng.uniform(*policy.band_high_range_hz)
    return band_limit(samples, round(low_hz, -1), round(high_hz, -2))  # on a grid: filters are kept


def _random_level(samples: Samples, rng: np.random.Generator, policy: Augment) -> Samples:
    return set_level(samples, rng.uniform(*policy.level_range_db))


def _random_quantise(samples: Samples, rng: np.random.Generator, policy: Augment) -> Samples:
    low, high = policy.quantise_range_bits
    return quantise(samples, int(rng.integers(low, high + 1)))


TRANSFORMS: Mapping[str, Callable[[Samples, np.random.Generator, Augment], Samples]] = MappingProxyType(
    {"noise": _random_noise, "band": _random_band, "level": _random_level, "quantise": _random_quantise}
)
"""In the order in which sound meets them: the room, the channel, the recorder's gain, its coder."""
