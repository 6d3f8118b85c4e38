"""How often and how far a crop is changed -> the change: one policy, one generator, either label alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from ringtrue.data.augment import bands, levels, noise, rooms
from ringtrue.data.augment.codecs import CODECS, available_codecs, codec_round_trip
from ringtrue.data.augment.rawboost import RawBoost, rawboost
from ringtrue.errors import ConfigError

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Augment:
    """How often and how far `augment` goes; each range is drawn from evenly.

    Attributes:
        room_probability: Share of crops in a synthetic room.
        rt60_range_s: Its reverberation time.
        direct_range_db: Its direct to reverberant ratio.
        noise_probability: Share of crops with noise of a random colour.
        snr_range_db: Its signal-to-noise ratio.
        clip_probability: Share of crops whose peaks are cut off.
        clip_range_db: By how much.
        limit_probability: Share of crops through a limiter.
        limit_range_db: Its threshold below the crop's own peak.
        band_probability: Share of crops with a narrower band.
        band_low_range_hz: Its lower edge, >= 50.
        band_high_range_hz: Its upper edge, <= 7950.
        resample_probability: Share of crops resampled to another rate and back, by a resampler of any quality.
        resample_rates_hz: The rates.
        rawboost_probability: Share of crops through RawBoost, with the published ranges.
        rawboost_algorithms: Which of its algorithms, evenly.
        level_probability: Share of crops with another level.
        level_range_db: RMS in dB relative to full scale.
        quantise_probability: Share of crops with coding noise.
        quantise_range_bits: Bits per sample of the companded steps, both ends included.
        codec_probability: Share of crops through a codec at any of its bit rates.
        codecs: Which codecs, evenly, of those that the installed libraries can encode.
        packets_probability: Share of crops that lose packets.
        loss_range: Share of their packets that is lost.
        mask_probability: Share of crops with SpecAugment's masks, two of each kind.
        mask_mels: Widest frequency mask, in bands of 80 on the mel scale.
        mask_time_share: Longest time mask, of the crop.
    """

    room_probability: float = 0.0
    rt60_range_s: tuple[float, float] = (0.1, 0.8)
    direct_range_db: tuple[float, float] = (0.0, 20.0)
    noise_probability: float = 0.3
    snr_range_db: tuple[float, float] = (10.0, 40.0)
    clip_probability: float = 0.0
    clip_range_db: tuple[float, float] = (1.0, 12.0)
    limit_probability: float = 0.0
    limit_range_db: tuple[float, float] = (3.0, 15.0)
    band_probability: float = 0.3
    band_low_range_hz: tuple[float, float] = (50.0, 300.0)
    band_high_range_hz: tuple[float, float] = (3400.0, 7500.0)
    resample_probability: float = 0.0
    resample_rates_hz: tuple[int, ...] = (8_000, 11_025, 12_000, 22_050, 24_000, 32_000)
    rawboost_probability: float = 0.0
    rawboost_algorithms: tuple[int, ...] = (5,)
    level_probability: float = 0.5
    level_range_db: tuple[float, float] = (-40.0, -15.0)
    quantise_probability: float = 0.1
    quantise_range_bits: tuple[int, int] = (7, 10)
    codec_probability: float = 0.0
    codecs: tuple[str, ...] = tuple(CODECS)
    packets_probability: float = 0.0
    loss_range: tuple[float, float] = (0.01, 0.15)
    mask_probability: float = 0.0
    mask_mels: int = 27
    mask_time_share: float = 0.2


POLICIES: Mapping[str, Augment] = MappingProxyType(
    {
        "default": Augment(),
        "rawboost": Augment(
            noise_probability=0, band_probability=0, level_probability=0, quantise_probability=0,
            rawboost_probability=1,
        ),
        "rawboost-stationary": Augment(
            noise_probability=0, band_probability=0, level_probability=0, quantise_probability=0,
            rawboost_probability=1, rawboost_algorithms=(3,),
        ),
        "channels": Augment(
            noise_probability=0.3, band_probability=0.2, level_probability=0.5, quantise_probability=0.05,
            room_probability=0.2, clip_probability=0.05, limit_probability=0.1, resample_probability=0.2,
            codec_probability=0.3, packets_probability=0.05,
        ),
        "everything": Augment(
            noise_probability=0.3, band_probability=0.2, level_probability=0.5, quantise_probability=0.1,
            room_probability=0.2, clip_probability=0.1, limit_probability=0.1, resample_probability=0.2,
            rawboost_probability=0.3, rawboost_algorithms=(1, 2, 3, 4, 5, 6, 7, 8), codec_probability=0.2,
            packets_probability=0.1, mask_probability=0.2,
        ),
    }
)  # fmt: skip
"""Policies by name: what is cheap; RawBoost alone as published for logical access (5) and deepfakes (3); calls, messengers
and archives; and all there is."""


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
        probability = getattr(policy, f"{name}_probability")
        if probability and rng.random() < probability:  # what is switched off draws nothing
            samples = transform(samples, rng, policy)
    return samples


def augmentation(name: str) -> Callable[[Samples, np.random.Generator], Samples]:
    """Give `augment` with a policy by its name.

    Args:
        name: One of `POLICIES`.

    Returns:
        A function ``(samples, rng) -> samples`` that can be sent to other processes.

    Raises:
        ConfigError: There is no such policy.
    """
    if name not in POLICIES:
        raise ConfigError(f"unknown augmentation {name!r}; accepted: {', '.join(POLICIES)}")
    return partial(augment, policy=POLICIES[name])


def _room(samples: Samples, rng: np.random.Generator, policy: Augment) -> Samples:
    return rooms.add_room(
        samples, rng.uniform(*policy.rt60_range_s), rng.uniform(*policy.direct_range_db), rng
    )


def _noise(samples: Samples, rng: np.random.Generator, policy: Augment) -> Samples:
    colour = list(noise.NOISE_SLOPES)[rng.integers(len(noise.NOISE_SLOPES))]
    return noise.add_noise(samples, rng.uniform(*policy.snr_range_db), rng, colour)


def _clip(samples: Samples, rng: np.random.Generator, policy: Augment) -> Samples:
    return levels.clip(samples, rng.uniform(*policy.clip_range_db))


def _limit(samples: Samples, rng: np.random.Generator, policy: Augment) -> Samples:
    peak_db = 20 * float(np.log10(max(float(np.abs(samples).max(initial=0.0)), 1e-6)))
    return levels.limit(samples, peak_db - rng.uniform(*policy.limit_range_db))


def _band(samples: Samples, rng: np.random.Generator, policy: Augment) -> Samples:
    low_hz, high_hz = rng.uniform(*policy.band_low_range_hz), rng.uniform(*policy.band_high_range_hz)
    return bands.band_limit(samples, round(low_hz, -1), round(high_hz, -2))  # on a grid: filters are kept


def _resample(samples: Samples, rng: np.random.Generator, policy: Augment) -> Samples:
    rate_hz = policy.resample_rates_hz[rng.integers(len(policy.resample_rates_hz))]
    return bands.resample_round_trip(samples, rate_hz, bands.QUALITIES[rng.integers(len(bands.QUALITIES))])


def _rawboost(samples: Samples, rng: np.random.Generator, policy: Augment) -> Samples:
    algorithms = policy.rawboost_algorithms
    return rawboost(samples, algorithms[rng.integers(len(algorithms))], rng, RawBoost())


def _level(samples: Samples, rng: np.random.Generator, policy: Augment) -> Samples:
    return levels.set_level(samples, rng.uniform(*policy.level_range_db))


def _quantise(samples: Samples, rng: np.random.Generator, policy: Augment) -> Samples:
    low, high = policy.quantise_range_bits
    return levels.quantise(samples, int(rng.integers(low, high + 1)))


def _codec(samples: Samples, rng: np.random.Generator, policy: Augment) -> Samples:
    there = [name for name in policy.codecs if name in available_codecs()]
    if not there:
        raise ConfigError(
            f"none of the codecs {policy.codecs} can be encoded here; there are {available_codecs()}"
        )
    codec = there[rng.integers(len(there))]
    rate_kbps = float(rng.uniform(*CODECS[codec].kbps_range))
    return codec_round_trip(samples, codec, rate_kbps if CODECS[codec].kbps else None)


def _packets(samples: Samples, rng: np.random.Generator, policy: Augment) -> Samples:
    concealment = noise.CONCEALMENTS[rng.integers(len(noise.CONCEALMENTS))]
    return noise.lose_packets(samples, rng.uniform(*policy.loss_range), rng, concealment=concealment)


def _mask(samples: Samples, rng: np.random.Generator, policy: Augment) -> Samples:
    length_s, top_mel = (
        len(samples) / levels.SAMPLE_RATE_HZ,
        2595 * np.log10(1 + levels.SAMPLE_RATE_HZ / 1400),
    )
    for _ in range(2):
        width = rng.uniform(0, policy.mask_mels) * top_mel / 80
        low = rng.uniform(0, top_mel - width)
        low_hz, high_hz = (700 * (10 ** (mel / 2595) - 1) for mel in (low, low + width))
        samples = bands.mask_band(samples, low_hz, high_hz)
        span_s = rng.uniform(0, policy.mask_time_share) * length_s
        samples = bands.mask_time(samples, rng.uniform(0, length_s - span_s), span_s)
    return samples


TRANSFORMS: Mapping[str, Callable[[Samples, np.random.Generator, Augment], Samples]] = MappingProxyType(
    {
        "room": _room,
        "noise": _noise,
        "clip": _clip,
        "limit": _limit,
        "band": _band,
        "resample": _resample,
        "rawboost": _rawboost,
        "level": _level,
        "quantise": _quantise,
        "codec": _codec,
        "packets": _packets,
        "mask": _mask,
    }
)
"""In the order in which sound meets them: the room, the recorder, the channel, its coder, the network; masks are no sound."""
