"""How many recordings lie in which runs -> the order in which they are heard: integers only, nothing is read.

A shuffle buffer whose contents depend on what has been read so far cannot be resumed without being saved. Here the
whole order of a pass is computed from (seed, label, pass) beforehand, and it is one that a small buffer can serve:
runs (row groups, stretches of tar, files) come in random order, are cut evenly among the streams, and every recording
then moves by less than `reach` places. So position k of pass p is known without hearing what came before it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ringtrue.files import stable_int

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Shelf:
    """The recordings of one label, run after run, and the rule by which streams share them.

    Attributes:
        name: Of the label; it is part of the seed.
        run_sizes: Recordings in each run, `(R,)`; those of run 0 have the numbers from 0, and so on.
        seed: Another seed gives another order.
        streams: Number of streams that share every pass.
        reach: Places that a recording may move, in both directions, beyond its run's; 0 for none.
    """

    name: str
    run_sizes: Indices
    seed: int
    streams: int
    reach: int

    def share(self, stream: int) -> int:
        """Say how many recordings of each pass a stream hears; two streams differ by one at most."""
        low, high = self._bounds(stream)
        return high - low

    def order(self, turn: int, stream: int) -> tuple[Indices, Indices]:
        """Give what a stream hears in one pass.

        Args:
            turn: Number of the pass, from 0.
            stream: Number of the stream.

        Returns:
            The recordings of its share as they lie, `(N,)`, whole runs together; and the permutation `(N,)` of places
            in that in which they are heard. Over all streams every recording occurs just once.
        """
        rng = np.random.default_rng([self.seed, stable_int("pass", self.name), turn])
        runs = rng.permutation(len(self.run_sizes))
        sizes = self.run_sizes[runs]
        ends = np.cumsum(sizes)
        first_numbers = np.cumsum(self.run_sizes) - self.run_sizes
        # Recording k places into the run that lies at `place`: its run's first number plus k.
        lying = np.repeat(first_numbers[runs] - (ends - sizes), sizes) + np.arange(ends[-1])
        low, high = self._bounds(stream)
        drift = np.random.default_rng([self.seed, stable_int("drift", self.name), turn, stream])
        keys = np.arange(high - low) + drift.uniform(0, max(self.reach, 1e-9), high - low)
        return lying[low:high], np.argsort(keys, kind="stable")

    def _bounds(self, stream: int) -> tuple[int, int]:
        total = int(self.run_sizes.sum())
        return stream * total // self.streams, (stream + 1) * total // self.streams
