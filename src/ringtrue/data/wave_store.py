"""Recordings -> one memory-mapped file that holds them decoded, so that a crop costs a copy and no decoding.

For many runs over one corpus: decoding and resampling, which a short run spends a third of its time on, happen once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ringtrue.data.trials import Trial, fingerprint
from ringtrue.errors import CorpusError
from ringtrue.files import atomic_path, write_json

_BYTES = 4  # of a float32 sample


@dataclass(frozen=True)
class WaveStore:
    """Decoded recordings by trial id.

    Attributes:
        path: The file of float32 samples, one recording after the other.
        spans: Trial id to first sample and length.
    """

    path: Path
    spans: Mapping[str, tuple[int, int]]

    def load(self, trial: Trial) -> NDArray[np.float32]:
        """Give a trial's `(T,)` wave; only what is looked at is read from disk."""
        start, length = self.spans[trial.id]
        # A view is made for each call: a map that is kept open would be copied to every spawned loader worker.
        return np.memmap(self.path, np.float32, "r", offset=_BYTES * start, shape=(length,))


def store_waves(
    folder: Path,
    trials: Sequence[Trial],
    load: Callable[[Trial], NDArray[np.float32]],
    progress: Callable[[str], None] = lambda line: None,
) -> WaveStore:
    """Decode recordings into a store, or open the one that has them.

    Args:
        folder: Where stores are kept.
        trials: The recordings.
        load: Reads a trial's `(T,)` wave.
        progress: Takes one line now and then.

    Returns:
        The store. It is named by the recordings' fingerprint, so it is never read for others, and written whole or not
        at all: a kill while it is made costs what was made of it, and a second writer makes the same bytes.

    Raises:
        CorpusError: A recording is empty.
        AudioError: A recording cannot be read.
    """
    path = folder / f"{fingerprint(trials)}.f32"
    index = path.with_suffix(".json")
    if path.exists() and index.exists():
        spans = json.loads(index.read_text(encoding="utf-8"))
        held = WaveStore(path, {name: (start, length) for name, (start, length) in spans.items()})
        if path.stat().st_size == _BYTES * sum(length for _, length in held.spans.values()):
            return held
    spans = {}
    total = 0
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        for count, trial in enumerate(trials, start=1):
            samples = load(trial)
            if len(samples) == 0:
                raise CorpusError(f"{trial.id} is empty; a wave store holds readable recordings only")
            file.write(np.ascontiguousarray(samples, dtype=np.float32).data)
            spans[trial.id] = (total, len(samples))
            total += len(samples)
            if count % 2000 == 0:
                progress(f"decoded {count} of {len(trials)} recordings, {_BYTES * total / 1e9:.1f} GB")
    write_json(index, spans)
    return WaveStore(path, spans)
