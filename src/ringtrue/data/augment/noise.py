"""A wave -> the same with noise in it, or with packets lost on the way."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ringtrue.audio import SAMPLE_RATE_HZ
from ringtrue.data.augment.levels import fit, ratio, rms
from ringtrue.errors import ConfigError

Samples = NDArray[np.float32]


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
    if colour not in NOISE_SLOPES:
        raise ConfigError(f"unknown noise colour {colour!r}; accepted: {', '.join(NOISE_SLOPES)}")
    noise = _noise(len(samples), NOISE_SLOPES[colour], rng)
    level = rms(samples)
    if level == 0:
        return samples.copy()
    return fit(samples + noise * np.float32(level / (rms(noise) * ratio(snr_db))))


NOISE_SLOPES = {"white": 0.0, "pink": 0.5, "brown": 1.0}
"""Colours, and the power of the frequency that their amplitude falls as."""

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


CONCEALMENTS = ("silence", "repeat")
"""What is heard instead of a lost packet: nothing, or the last one that came, fading (as in ITU-T G.711 appendix I)."""

_FADE = 0.5  # amplitude of a repeated packet relative to the one before


def lose_packets(
    samples: Samples,
    loss_share: float,
    rng: np.random.Generator,
    burst_packets: float = 2.0,
    packet_s: float = 0.02,
    concealment: str = "repeat",
) -> Samples:
    """Lose packets in bursts, as calls over networks do: Gilbert's two states.

    Gilbert, "Capacity of a burst-noise channel", Bell System Technical Journal 39, 1960.

    Args:
        samples: ``(T,)`` float32, 16 kHz.
        loss_share: Share of packets that are lost in the long run, 0 to 0.5.
        rng: Source of the losses.
        burst_packets: Mean length of a burst, >= 1.
        packet_s: Length of a packet.
        concealment: One of `CONCEALMENTS`.

    Returns:
        ``(T,)`` float32; the packets that came are untouched.

    Raises:
        ConfigError: A value is out of range.
    """
    if not 0 <= loss_share <= 0.5 or burst_packets < 1 or concealment not in CONCEALMENTS:
        raise ConfigError(
            f"loss_share {loss_share}, burst_packets {burst_packets}, {concealment!r}; accepted: 0 to 0.5, 1 or more, "
            f"{' or '.join(CONCEALMENTS)}"
        )
    size = round(packet_s * SAMPLE_RATE_HZ)
    draws = rng.random(-(-len(samples) // size))
    recovers = 1 / burst_packets
    breaks = recovers * loss_share / (1 - loss_share)
    result, lost, gain = samples.copy(), False, 1.0
    for number, draw in enumerate(draws):
        lost = draw >= recovers if lost else draw < breaks
        gain = gain * _FADE if lost else 1.0
        if not lost:
            continue
        start = number * size
        packet = result[start : start + size]
        packet[:] = 0
        if concealment == "repeat" and gain > 0.01 and start >= size:
            packet[:] = result[start - size : start][: len(packet)] * np.float32(_FADE)
    return result
