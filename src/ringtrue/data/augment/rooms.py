"""A wave -> the same in a room that never was: a direct sound, a few reflections and a tail that dies away.

The tail is noise that decays exponentially, which is what a room's response is after its first reflections (Polack, "La
transmission de l'énergie sonore dans les salles", 1988). The direct sound comes first, so nothing moves in time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ringtrue.audio import SAMPLE_RATE_HZ
from ringtrue.data.augment.levels import fit, ratio, rms

Samples = NDArray[np.float32]

_REFLECTIONS = 6
_FIRST_S, _LAST_S = 0.002, 0.05  # between which the first reflections arrive; the tail sets in with the first
_DAMPED_HZ = 4_000.0  # walls and air take the highs: the tail falls by 6 dB an octave from here


def room_response(rt60_s: float, direct_db: float, rng: np.random.Generator) -> Samples:
    """Draw the response of a room.

    Args:
        rt60_s: Time in which its tail falls by 60 dB.
        direct_db: Energy of the direct sound relative to all the rest.
        rng: Source of the room.

    Returns:
        ``(L,)`` float32; its first sample is the direct sound, 1.
    """
    from scipy.signal import lfilter

    count = max(2, round(rt60_s * SAMPLE_RATE_HZ))
    now_s = np.arange(count) / SAMPLE_RATE_HZ
    decay = 10.0 ** (-3 * now_s / rt60_s)  # -60 dB in amplitude after rt60_s
    keeps = np.exp(-2 * np.pi * _DAMPED_HZ / SAMPLE_RATE_HZ)
    tail = lfilter([1 - keeps], [1, -keeps], rng.standard_normal(count)) * decay
    places = (rng.uniform(_FIRST_S, _LAST_S, _REFLECTIONS) * SAMPLE_RATE_HZ).astype(int)
    signs = rng.choice([-1.0, 1.0], _REFLECTIONS)
    near = places < count
    np.add.at(tail, places[near], 4 * signs[near] * decay[places[near]] * np.std(tail[: count // 4 + 1]))
    tail[now_s < _FIRST_S] = 0
    energy = float(np.sum(tail**2))
    if energy > 0:
        tail *= ratio(-direct_db) / np.sqrt(energy)
    tail[0] = 1
    return np.asarray(tail, np.float32)


def add_room(samples: Samples, rt60_s: float, direct_db: float, rng: np.random.Generator) -> Samples:
    """Put a recording into a room.

    Args:
        samples: ``(T,)`` float32, 16 kHz.
        rt60_s: Reverberation time, such as 0.2 (a car, a studio) to 1 (a hall).
        direct_db: Direct to reverberant ratio, such as 15 (close) to 0 (across the room).
        rng: Source of the room.

    Returns:
        ``(T,)`` float32 at its old level; lowered where it would pass 1.
    """
    from scipy.signal import oaconvolve

    level = rms(samples)
    wet = (
        oaconvolve(samples, room_response(rt60_s, direct_db, rng))[: len(samples)]
        if len(samples)
        else samples
    )
    return fit(np.asarray(wet * (level / max(rms(wet), 1e-9)), np.float32))
