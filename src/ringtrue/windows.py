"""A recording of any length -> equal windows; window scores -> one score and a timeline.

Training validates, evaluation scores and the runtime judges through this one rule, so that a figure in
a table and a verdict on a page cannot come from different crops.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ringtrue.audio import SAMPLE_RATE_HZ

WINDOW = 4 * SAMPLE_RATE_HZ  # samples a model sees at once
HOP = 2 * SAMPLE_RATE_HZ  # samples between the starts of two windows

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


def split_stream(blocks: Iterable[NDArray[np.float32]]) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Cut a stream of blocks into windows, holding no more than one window and one block.

    Windows start every `HOP` samples; a last one lies flush with the end, so every sample is heard and
    none is padded. A recording shorter than a window is repeated to fill one.

    Args:
        blocks: Consecutive `(t,)` pieces of one recording, any sizes.

    Yields:
        Start sample and `(WINDOW,)` samples. Nothing for an empty recording.
    """
    held = np.empty(0, dtype=np.float32)
    start, judged = 0, 0  # first sample held; end of the last window given
    for block in blocks:
        held = np.concatenate([held, block])
        while len(held) >= WINDOW + HOP:
            # The window after this one is complete too, so the samples before it can go.
            yield start, held[:WINDOW]
            judged = start + WINDOW
            held, start = held[HOP:], start + HOP
    if len(held) == 0:
        return
    if len(held) < WINDOW:
        yield start, repeat_to(held, WINDOW)
        return
    if start + WINDOW > judged:
        yield start, held[:WINDOW]
        judged = start + WINDOW
    end = start + len(held)
    if end > judged:
        yield end - WINDOW, held[-WINDOW:]


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
) -> list[tuple[float, float, float]]:
    """Spread window scores over the recording.

    Args:
        starts: Window starts `(B,)` in samples.
        scores: One score a window `(B,)`.
        length: Length of the recording in samples.

    Returns:
        ``(start_s, end_s, score)`` of consecutive pieces that cover the recording; each is scored by the
        mean of the windows that cover it, and pieces change where that set of windows does.
    """
    ends = np.minimum(starts + WINDOW, length)
    edges = np.unique(np.concatenate([starts, ends]))
    total = np.concatenate([[0.0], np.cumsum(scores)])
    # Starts and ends rise together, so the windows that cover a piece are consecutive.
    first = np.searchsorted(ends, edges[:-1], side="right")
    after = np.searchsorted(starts, edges[:-1], side="right")
    means = (total[after] - total[first]) / (after - first)
    return [
        (left / SAMPLE_RATE_HZ, right / SAMPLE_RATE_HZ, float(mean))
        for (left, right), mean in zip(pairwise(edges.tolist()), means, strict=True)
    ]
