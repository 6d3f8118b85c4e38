"""Trials whose recordings lie in shards, here or on the hub -> balanced batches; each clip once a pass; exact resume.

Batch number n is a function of the seed and n, as in `batches.py`, and reading batches in order reads every shard in
order. Nothing needs saving but n: the order of a pass is computed (`order.py`), and what a resumed run does not find
in its buffer it reads again. A pass is counted for each label by itself, since the two are never equally many: no clip
of a label comes again before all of that label have been heard, over all processes and workers together.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringtrue.data.batches import Batch, Crop, Transform, crop
from ringtrue.data.corpora import remote, sound
from ringtrue.data.order import Shelf
from ringtrue.data.trials import LABELS, Trial
from ringtrue.errors import AudioError, CorpusError

MOST_FAULTS = 0.05
"""Share of the recordings heard so far that may be unreadable, once `_ENOUGH` have been."""

_ENOUGH = 200
_AHEAD = 64  # recordings whose runs are fetched before they are needed, where they come over a network
_THREADS = 8  # requests to the hub at a time, for each label and lane

Source = str | bytes | AudioError


@dataclass(frozen=True)
class StreamingBatches:
    """An endless sequence of balanced batches out of shards; fast in order, right at any index.

    Half of every batch is bona fide. Unlike `TrainingBatches`, which draws systems evenly, it hears every clip equally
    often: choose what trials go in.

    Args:
        trials: Training trials of both labels.
        batch_size: B, even.
        crop_s: Length of the random crops; a shorter clip is repeated.
        seed: Seed of everything random here.
        units: Content units by trial id, or nothing.
        augment: Applied to every crop of both labels alike; must keep length and alignment.
        rank: Number of this process among those that train together; each has batches of its own.
        ranks: How many they are.
        lanes: Batch n comes from lane n modulo this; lanes read on their own, so give the number of loader workers,
            and keep it when resuming. Any number of workers then gives the same batches.
        reach: Shuffling within a lane: how many encoded clips of a label it holds at most, beyond whole runs.
    """

    trials: Sequence[Trial]
    batch_size: int
    crop_s: float
    seed: int
    units: Mapping[str, NDArray[np.int16]] = field(default_factory=dict)
    augment: Transform | None = None
    rank: int = 0
    ranks: int = 1
    lanes: int = 1
    reach: int = 256
    _shelves: tuple[_Recordings, _Recordings] = field(init=False, repr=False)
    _state: _Process = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Sort the trials by where they lie."""
        streams = self.ranks * self.lanes
        if self.batch_size % 2 or not 0 <= self.rank < self.ranks or self.lanes < 1:
            raise CorpusError(
                f"batch_size {self.batch_size}, rank {self.rank} of {self.ranks}, {self.lanes} lanes; accepted: an "
                "even batch_size, a rank from 0 below ranks, and one lane or more"
            )
        shelves = []
        for label in LABELS:
            side = [trial for trial in self.trials if trial.label == label]
            if len(side) < streams:
                raise CorpusError(
                    f"{len(side)} {label} training trials for {streams} streams (processes x lanes); both labels need "
                    "one for each at least"
                )
            shelves.append(_Recordings.of(label, side, self.seed, streams, self.reach))
        object.__setattr__(self, "_shelves", tuple(shelves))
        object.__setattr__(self, "_state", _Process())

    @property
    def batches_per_pass(self) -> int:
        """Number of batches, of this process, after which the larger label has been heard once."""
        longest = max(len(shelf.trials) for shelf in self._shelves)
        return -(-longest // (self.batch_size // 2 * self.ranks))

    def __getitem__(self, number: int) -> Batch:
        """Make batch `number`."""
        lane, turn = number % self.lanes, number // self.lanes
        half = self.batch_size // 2
        rng = np.random.default_rng([self.seed, self.rank, number])
        taken = []
        for label, shelf in enumerate(self._shelves):
            reader = self._state.reader(shelf, label, self.rank * self.lanes + lane)
            taken.append(reader.take(turn * half, half))
        drawn = [taken[index % 2][index // 2] for index in range(self.batch_size)]
        crops, faults = self._crops(drawn, rng)
        self._state.count(self.batch_size, faults)
        return Batch(
            wave=np.stack([wave for _, (wave, _, _) in crops]),
            label=np.array([int(trial.is_bonafide) for trial, _ in drawn], dtype=np.int64),
            units=np.stack([units for _, (_, units, _) in crops]),
            ids=tuple(trial.id for trial, _ in crops),
            starts=np.array([start for _, (_, _, start) in crops], dtype=np.int64),
            faults=tuple(faults),
        )

    def between(self, start: int, stop: int) -> Iterator[Batch]:
        """Give batches `start` to `stop - 1` in order."""
        return (self[number] for number in range(start, stop))

    def _crops(
        self, drawn: Sequence[tuple[Trial, Source]], rng: np.random.Generator
    ) -> tuple[list[tuple[Trial, Crop]], list[str]]:
        """Cut; another clip of the batch stands in for one that cannot be read, so that labels stay balanced."""
        crops: dict[int, tuple[Trial, Crop]] = {}
        faults = {}
        for index, (trial, source) in enumerate(drawn):
            try:
                crops[index] = trial, self._crop(trial, source, rng)
            except AudioError as error:
                faults[index] = f"{trial.corpus or 'corpus'}, {trial.id}: {error}"
        for index, fault in faults.items():
            readable = [drawn[other] for other in range(index % 2, len(drawn), 2) if other not in faults]
            if not readable:
                raise CorpusError(
                    f"no {drawn[index][0].label} recording of a batch can be read; such as {fault}"
                )
            trial, source = readable[int(rng.integers(len(readable)))]
            crops[index] = trial, self._crop(trial, source, rng)
        return [crops[index] for index in range(len(drawn))], list(faults.values())

    def _crop(self, trial: Trial, source: Source, rng: np.random.Generator) -> Crop:
        if isinstance(source, AudioError):
            raise source
        cut = partial(sound.decode_piece, trial.audio, source)
        return crop(cut, self.crop_s, self.units.get(trial.id), rng, self.augment)


@dataclass(frozen=True)
class _Recordings:
    """The trials of one label in the order in which they lie, and the order in which they are heard."""

    trials: Sequence[Trial]
    runs: NDArray[np.int64]  # number of each trial's run
    shelf: Shelf

    @classmethod
    def of(cls, label: str, trials: Sequence[Trial], seed: int, streams: int, reach: int) -> _Recordings:
        runs = [sound.run_of(trial.audio) for trial in trials]
        # Members of a run as they lie in it: by row, or by offset. Names break ties: the manifest's order is nothing.
        places = sorted(range(len(trials)), key=lambda i: (runs[i], _offset(trials[i].audio), trials[i].id))
        names = [runs[i] for i in places]
        starts = np.array([k for k in range(len(names)) if k == 0 or names[k] != names[k - 1]])
        sizes = np.diff(np.append(starts, len(names)))
        return cls(
            [trials[i] for i in places],
            np.repeat(np.arange(len(sizes)), sizes),
            Shelf(label, sizes, seed, streams, reach),
        )


def _offset(audio: str) -> int:
    place = audio.rpartition("#")[2].partition("+")[0]
    return int(place) if place.isdecimal() else 0


class _Process:
    """What one process has open. A forked or spawned worker starts with nothing: files and threads are not shared."""

    def __init__(self) -> None:
        self._reset()

    def __reduce__(self) -> tuple[Callable[[], Any], tuple[()]]:
        return _Process, ()

    def _reset(self) -> None:
        self._owner = os.getpid()
        self._readers: dict[tuple[int, int], _Reader] = {}
        self._heard = self._broken = 0

    def reader(self, recordings: _Recordings, label: int, stream: int) -> _Reader:
        if self._owner != os.getpid():
            self._reset()
        if (label, stream) not in self._readers:
            self._readers[label, stream] = _Reader(recordings, stream)
        return self._readers[label, stream]

    def count(self, heard: int, faults: Sequence[str]) -> None:
        self._heard += heard
        self._broken += len(faults)
        if self._heard >= _ENOUGH and self._broken > MOST_FAULTS * self._heard:
            raise CorpusError(
                f"{self._broken} of the last {self._heard} recordings cannot be read, more than {MOST_FAULTS:.0%}; "
                f"the last: {faults[-1] if faults else 'earlier'}"
            )


class _Reader:
    """Takes one label's recordings in the order of one stream, holding the runs that are being used up."""

    def __init__(self, recordings: _Recordings, stream: int) -> None:
        self._recordings = recordings
        self._stream = stream
        self._share = recordings.shelf.share(stream)
        self._is_remote = any(remote.is_remote(trial.audio) for trial in recordings.trials)
        self._pool = ThreadPoolExecutor(_THREADS) if self._is_remote else None
        self._pass: _Pass | None = None

    def take(self, start: int, count: int) -> list[tuple[Trial, Source]]:
        """Give recordings `start` to `start + count - 1` of the stream's endless sequence."""
        taken = []
        for position in range(start, start + count):
            turn, place = divmod(position, self._share)
            if self._pass is None or self._pass.turn != turn or self._pass.place != place:
                self._pass = _Pass(self._recordings, turn, self._stream, place, self._pool)
            taken.append(self._pass.next())
        return taken


class _Pass:
    """One pass of a stream, from some place on."""

    def __init__(
        self, recordings: _Recordings, turn: int, stream: int, place: int, pool: ThreadPoolExecutor | None
    ) -> None:
        self.turn, self.place = turn, place
        self._trials = recordings.trials
        self._pool = pool
        self._lying, self._heard = recordings.shelf.order(turn, stream)
        runs = recordings.runs[self._lying]
        edges = np.flatnonzero(np.diff(runs)) + 1
        self._starts = np.concatenate([[0], edges, [len(runs)]])
        self._when = np.empty_like(self._heard)
        self._when[self._heard] = np.arange(len(self._heard))
        self._open: dict[int, dict[int, Source] | Future[dict[int, Source]]] = {}

    def next(self) -> tuple[Trial, Source]:
        """Give the next recording; its run is closed with its last one."""
        if self._pool is not None:
            for place in self._heard[self.place : self.place + _AHEAD]:
                self._begin(int(place))
        where = int(self._heard[self.place])
        run = self._begin(where)
        content = self._open[run]
        if isinstance(content, Future):
            content = self._open[run] = content.result()
        source = content.pop(where)
        if not content:
            del self._open[run]
        self.place += 1
        return self._trials[self._lying[where]], source

    def _begin(self, where: int) -> int:
        """Open the run that a recording is in, if it is not; give its number."""
        run = int(np.searchsorted(self._starts, where, side="right")) - 1
        if run not in self._open:
            members = [
                place
                for place in range(self._starts[run], self._starts[run + 1])
                if self._when[place] >= self.place  # what came before a resumed place is not read again
            ]
            read = lambda: self._read(members)  # noqa: E731
            self._open[run] = self._pool.submit(read) if self._pool else read()
        return run

    def _read(self, members: list[int]) -> dict[int, Source]:
        audios = [self._trials[self._lying[place]].audio for place in members]
        try:
            return dict(zip(members, sound.read_run(audios), strict=True))
        except AudioError as error:
            return dict.fromkeys(members, error)
