"""native blocks -> one 16 kHz mono stream -> Wave or blocks."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from types import TracebackType

import numpy as np

from ringtrue.audio.decode import AudioInfo, NativeAudio, Source, open_native
from ringtrue.audio.resample import SAMPLE_RATE_HZ, Resampler, Samples, to_mono
from ringtrue.errors import AudioError

MAX_DURATION_S = 48 * 3600.0
"""Longest recording that is read: a few kilobytes can claim, and even hold, years of silence."""

MAX_HELD_BYTES = 256 << 20
"""Most of a recording from elsewhere, an upload or an object in a store, that is fetched: it is held in memory."""

_GATHER_FRAMES = 1 << 15  # native samples worked on at a time: 2 s at 16 kHz, 8 MiB at 64 channels


@dataclass(frozen=True, eq=False)
class Wave:
    """A recording as every other room takes it.

    Attributes:
        samples: ``(T,)`` float32 in [-1, 1] at 16 kHz.
        name: Its path, or what it is (``"bytes"``, ``"array"``).
        sha256: Of the source's bytes; of the float32 samples for an array.
        native_rate_hz: Sample rate of the recording.
        channels: Number of channels that were mixed down.
        codec: How the samples were coded: ``"pcm_16"``, ``"flac"``, ``"aac"`` …
        container: What they were wrapped in: ``"wav"``, ``"mp4"`` …
        duration_s: Length of `samples`.
        warnings: What a listener should know: clipped, cut short, damaged.
    """

    samples: Samples
    name: str
    sha256: str
    native_rate_hz: int
    channels: int
    codec: str
    container: str
    duration_s: float
    warnings: tuple[str, ...] = ()


class AudioStream:
    """A recording read once from start to end in bounded memory; see `open_stream`.

    Attributes:
        info: What the recording says of itself.
    """

    def __init__(self, source: Source) -> None:
        self._closing = contextlib.ExitStack()
        try:
            self._native: NativeAudio = open_native(source, self._closing)
        except BaseException:
            self._closing.close()
            raise
        self.info: AudioInfo = self._native.info
        self._blocks = self._resampled()
        self._native_count = 0  # samples per channel decoded so far
        self._clipped_count = 0  # of those, over all channels, beyond full scale
        self._finished = False

    def __enter__(self) -> AudioStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._blocks.close()
        self._closing.close()

    def __iter__(self) -> Iterator[Samples]:
        """Yield what is left of the recording: ``(N,)`` float32 blocks at 16 kHz, N varying.

        Raises:
            AudioError: The recording holds no audio, or samples that are not finite or absurdly large.
        """
        return self._blocks

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is wrong with what has been read so far; complete once the stream has ended."""
        found = list(self._native.faults)
        if self._clipped_count:
            share = self._clipped_count / (self._native_count * self.info.channels)
            found.append(f"clipped: {share:.2%} of the samples lie beyond full scale")
        decoded_s, promised_s = self._native_count / self.info.native_rate_hz, self.info.promised_s
        if self._finished and promised_s and decoded_s < promised_s - max(0.1, 0.01 * promised_s):
            found.append(f"ends early: {decoded_s:.1f} s of {promised_s:.1f} s")
        return tuple(found)

    def _resampled(self) -> Generator[Samples, None, None]:
        """Bring the mono stream to 16 kHz."""
        resampler = Resampler(self.info.native_rate_hz)
        produced = 0
        for mono in self._mono():
            block = resampler.push(mono)
            produced += len(block)
            if produced > MAX_DURATION_S * SAMPLE_RATE_HZ:
                raise AudioError(
                    f"{self.info.name} lasts more than {MAX_DURATION_S:g} s; split it and give the parts"
                )
            if len(block):
                yield block
        block = resampler.end()
        produced += len(block)
        if len(block):
            yield block
        if produced == 0:
            raise AudioError(f"{self.info.name} holds no audio (0 samples); check how it was recorded")
        self._finished = True

    def _mono(self) -> Iterator[Samples]:
        """Check the native samples and average their channels."""
        for block in self._gathered():
            mono, beyond = to_mono(block, self.info.name)
            self._native_count += len(block)
            self._clipped_count += beyond
            yield mono

    def _gathered(self) -> Iterator[Samples]:
        """Join a decoder's small blocks: every later step costs per block, not per sample."""
        waiting: list[Samples] = []
        count = 0
        for block in self._native.blocks:
            if len(block) == 0:
                continue
            waiting.append(block)
            count += len(block)
            if count >= _GATHER_FRAMES:
                yield waiting[0] if len(waiting) == 1 else np.concatenate(waiting)
                waiting, count = [], 0
        if waiting:
            yield waiting[0] if len(waiting) == 1 else np.concatenate(waiting)


def open_stream(source: Source) -> AudioStream:
    """Open a recording of any length to read it block by block.

    Args:
        source: A path, the bytes of a file, an open binary file, or ``(samples (T,) or (T, C), rate_hz)``.

    Returns:
        A context manager with `info`, `warnings` and iteration over 16 kHz blocks.

    Raises:
        AudioError: It is missing, unreadable, empty, not audio, or beyond the limits.

    >>> with open_stream((np.zeros(48_000, np.int16), 48_000)) as stream:
    ...     stream.info.native_rate_hz, sum(len(block) for block in stream)
    (48000, 16000)
    """
    return AudioStream(source)


def load(source: Source, *, start_s: float = 0.0, duration_s: float | None = None) -> Wave:
    """Decode a recording, or a part of it, into memory.

    A part equals the same slice of the whole, bit for bit: it is decoded from the beginning, because
    neither lossy codecs nor a resampler give the same samples after a seek.

    Args:
        source: A path, the bytes of a file, an open binary file, or ``(samples (T,) or (T, C), rate_hz)``.
        start_s: Where to begin, >= 0.
        duration_s: How much to take at most, > 0; None takes the rest.

    Returns:
        The Wave.

    Raises:
        AudioError: It cannot be read as audio, holds none, or `start_s` lies beyond its end.

    >>> wave = load((np.zeros(8_000, np.float32), 8_000))
    >>> wave.samples.shape, wave.duration_s, wave.native_rate_hz
    ((16000,), 1.0, 8000)
    """
    start = _count(start_s, "start_s", least=0)
    stop = math.inf if duration_s is None else start + _count(duration_s, "duration_s")
    taken: list[Samples] = []
    position = 0
    with open_stream(source) as stream:
        for block in stream:
            if position + len(block) > start:
                taken.append(block[max(0, start - position) :])
            position += len(block)
            if position >= stop:
                break
        info, warnings = stream.info, stream.warnings
    if not taken:
        raise AudioError(
            f"{info.name} lasts {position / SAMPLE_RATE_HZ:.2f} s; start_s={start_s} lies beyond its end"
        )
    samples = np.concatenate(taken)
    if position > stop:
        samples = samples[: int(stop) - start].copy()
    return Wave(
        samples,
        info.name,
        info.sha256,
        info.native_rate_hz,
        info.channels,
        info.codec,
        info.container,
        duration_s=len(samples) / SAMPLE_RATE_HZ,
        warnings=warnings,
    )


def _count(seconds: float, name: str, least: int = 1) -> int:
    """Turn seconds into samples, refusing what no recording has."""
    if not math.isfinite(seconds) or (samples := round(seconds * SAMPLE_RATE_HZ)) < least:
        bound = f"at least {least / SAMPLE_RATE_HZ:g} s" if least else "0 s or more"
        raise AudioError(f"{name}={seconds}; accepted: {bound}, finite")
    return samples
