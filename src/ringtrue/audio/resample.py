"""Native samples, block by block -> checked mono -> 16 kHz, the same however the blocks are cut."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringtrue.errors import AudioError

SAMPLE_RATE_HZ = 16_000
"""Rate of every waveform past this room."""

MIN_RATE_HZ, MAX_RATE_HZ = 1_000, 768_000
"""Sample rates that are accepted."""

Samples = NDArray[np.float32]

_ABSURD_PEAK = 8.0  # floats are at most a little over 1; beyond this they are unscaled integers


def to_float(array: NDArray[Any]) -> Samples:
    """Scale integers so that full scale is 1; floats keep their values.

    Args:
        array: Any shape; float, int16, int32, int64 or uint8 (whose middle is 128).

    Returns:
        float32 of the same shape.

    Raises:
        AudioError: The type is another.

    >>> to_float(np.array([-32768, 16384], np.int16))
    array([-1. ,  0.5], dtype=float32)
    """
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):  # a float64 beyond float32 becomes inf, which is refused later
            return array.astype(np.float32, copy=False)
    if array.dtype == np.uint8:
        return (array.astype(np.float32) - np.float32(128)) / np.float32(128)
    if array.dtype in (np.int16, np.int32, np.int64):
        return np.asarray(array / -float(np.iinfo(array.dtype).min), np.float32)
    raise AudioError(f"samples are float, int16, int32 or uint8, not {array.dtype}")


def to_mono(block: Samples, name: str) -> tuple[Samples, int]:
    """Check samples, keep them within full scale and average their channels.

    Args:
        block: `(N, C)`, N > 0.
        name: The recording, for messages.

    Returns:
        `(N,)` in [-1, 1], and how many of the N x C samples lay beyond.

    Raises:
        AudioError: Samples are not finite or absurdly large.
    """
    peak = float(max(block.max(), -block.min()))  # no copy, as abs would make; NaN comes through both
    if not math.isfinite(peak):
        raise AudioError(f"{name} holds samples that are not finite; write it again without them")
    if peak > _ABSURD_PEAK:
        raise AudioError(
            f"{name} holds float samples up to {peak:.4g}; accepted: -1 to 1. "
            "They look like integers: divide them by their full scale"
        )
    beyond = 0
    if peak > 1.0:
        beyond = int(np.count_nonzero(np.abs(block) > 1.0))
        block = np.clip(block, -1.0, 1.0)
    return block[:, 0] if block.shape[1] == 1 else block.mean(axis=1, dtype=np.float32), beyond


class Resampler:
    """Brings one stream to 16 kHz; soxr gives the same samples however its input is cut.

    Args:
        rate_hz: Rate of what comes in.
    """

    def __init__(self, rate_hz: int):
        self._soxr: Any = None
        if rate_hz != SAMPLE_RATE_HZ:
            import soxr

            self._soxr = soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")

    def push(self, mono: Samples) -> Samples:
        """Take the next samples and give those that are ready.

        Args:
            mono: `(N,)`.

        Returns:
            `(M,)` at 16 kHz, M may be 0.
        """
        if self._soxr is None:
            return mono
        # The filter rings a little beyond full scale.
        return np.clip(self._soxr.resample_chunk(mono), -1.0, 1.0)

    def end(self) -> Samples:
        """Give what is left once nothing more comes."""
        if self._soxr is None:
            return np.zeros(0, np.float32)
        return np.clip(self._soxr.resample_chunk(np.zeros(0, np.float32), last=True), -1.0, 1.0)
