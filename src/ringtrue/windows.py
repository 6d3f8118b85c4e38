"""A recording of any length -> equal windows; window scores -> one score and a timeline.

Training validates, evaluation scores and the runtime judges through this one rule, so that a figure in
a table and a verdict on a page cannot come from different crops.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from ringtrue.audio import SAMPLE_RATE_HZ

WINDOW = 4 * SAMPLE_RATE_HZ  # samples a model sees at once
HOP = 3 * SAMPLE_RATE_HZ  # samples between the starts of two windows: each join is heard whole

CONTENT_FRAME = 400  # samples that one frame of evidence or content sees: 25 ms
CONTENT_STRIDE = 320  # samples between them: 20 ms; frame i is centred on sample 200 + 320 i


def content_frames(samples: int) -> int:
    """Count the 50 Hz frames of evidence and content in a wave; 0 if it is shorter than one.

    Args:
        samples: T.

    Returns:
        L, the number that wav2vec 2.0's convolutions give.

    >>> content_frames(16_000), content_frames(399)
    (49, 0)
    """
    return max(0, (samples - CONTENT_FRAME) // CONTENT_STRIDE + 1)


def repeat_to(samples: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    """Repeat a short recording until it fills a length, or cut a long one.

    Zero-padding instead would tell a model the duration and give it digital silence to key on.

    Args:
        samples: `(T,)`, T > 0.
        length: Wanted number of samples.

    Returns:
        `(length,)`, where sample i is ``samples[i % T]``.

    >>> repeat_to(np.array([1, 2, 3], dtype=np.float32), 5)
    array([1., 2., 3., 1., 2.], dtype=float32)
    """
    return np.resize(samples, length)


class Windows:
    """Cuts a recording into windows while it arrives, holding a window and a hop of it.

    Windows start every `HOP` samples; a last one lies flush with the end, so every sample is heard and
    none is padded. A recording shorter than a window is repeated to fill one.

    Attributes:
        samples: Samples that have arrived.
    """

    def __init__(self) -> None:
        self.samples = 0
        self._held = np.empty(WINDOW + HOP, dtype=np.float32)
        self._count = 0  # of its samples, from the front, that have arrived: the newest of the recording
        self._next = 0  # start of the window to give next

    def push(self, block: NDArray[np.float32]) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Take the next samples.

        Args:
            block: `(t,)`, any size.

        Yields:
            Start sample and `(WINDOW,)` samples of every window that is now complete.
        """
        while len(block):
            part, block = np.split(block, [self._next + WINDOW - self.samples])
            self._held[self._count : self._count + len(part)] = part
            self._count += len(part)
            self.samples += len(part)
            if self.samples == self._next + WINDOW:
                self._held[:WINDOW] = self._held[self._count - WINDOW : self._count]
                self._count = WINDOW
                yield self._next, self._held[:WINDOW].copy()
                self._next += HOP

    def last(self) -> tuple[int, NDArray[np.float32]] | None:
        """Give the window that is still due if the recording ends here; more samples may follow all the same.

        Returns:
            Start sample and `(WINDOW,)` samples, or None where every sample has been in a window.
        """
        judged = self._next - HOP + WINDOW if self._next else 0  # end of the last window given
        if self.samples == judged:
            return None
        held = self._held[: self._count]
        if self.samples < WINDOW:
            return 0, repeat_to(held, WINDOW)
        return self.samples - WINDOW, held[-WINDOW:].copy()


def split_stream(blocks: Iterable[NDArray[np.float32]]) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Cut a stream of blocks into the windows of `Windows`.

    Args:
        blocks: Consecutive `(t,)` pieces of one recording, any sizes.

    Yields:
        Start sample and `(WINDOW,)` samples. Nothing for an empty recording.
    """
    windows = Windows()
    for block in blocks:
        yield from windows.push(block)
    if (last := windows.last()) is not None:
        yield last


def split(samples: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Cut a whole recording into the windows that `split_stream` gives.

    Args:
        samples: `(T,)`, T > 0.

    Returns:
        Window starts `(B,)` in samples and windows `(B, WINDOW)`.
    """
    pairs = list(split_stream([samples]))
    return np.array([start for start, _ in pairs]), np.stack([window for _, window in pairs])


def timeline(
    starts: NDArray[np.int64], scores: NDArray[np.float64], length: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Spread window scores over the recording.

    Args:
        starts: Window starts `(B,)` in samples.
        scores: One score a window `(B,)`.
        length: Length of the recording in samples.

    Returns:
        Edges of consecutive pieces that cover the recording, `(P + 1,)` in seconds, and their scores `(P,)`; each
        is the mean of the windows that cover the piece, and pieces change where that set of windows does.
    """
    ends = np.minimum(starts + WINDOW, length)
    edges = np.array(sorted({*starts.tolist(), *ends.tolist()}))
    total = np.concatenate([[0.0], np.cumsum(scores)])
    # Starts and ends rise together, so the windows that cover a piece are consecutive.
    first = np.searchsorted(ends, edges[:-1], side="right")
    after = np.searchsorted(starts, edges[:-1], side="right")
    return edges / SAMPLE_RATE_HZ, (total[after] - total[first]) / (after - first)
