"""Work, a listing and a folder -> the folder filled: the one way in which parts are made, and the local engine.

The Ray engine (`ringtrue.engine.on_ray`) sends parts to actors, each of which fills its share as `Filler` does here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, Literal

from ringtrue.data.trials import Trial
from ringtrue.engine.folder import Done, PartsFolder
from ringtrue.engine.listing import Listing, Part
from ringtrue.engine.work import Cells, Work
from ringtrue.errors import CorpusError
from ringtrue.workers import Crew

Progress = Callable[[str], None]
Engine = Literal["local", "ray"]
ENGINES: tuple[Engine, ...] = ("local", "ray")


class Filler:
    """Makes the parts that are not in a folder yet, on worker processes of this machine; a context manager.

    Args:
        work: What is done with every trial.
        folder: Where parts are kept.
        workers: Processes; started when the first part is found to be missing.
    """

    def __init__(self, work: Work, folder: PartsFolder, workers: int):
        self._work = work
        self._folder = folder
        self._workers = workers

    def __enter__(self) -> Filler:
        """Use the filler."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop its workers."""
        self.close()

    def close(self) -> None:
        """Stop its workers; others start if there is more to do."""
        if crew := self.__dict__.pop("_crew", None):
            crew.dismiss()

    def fill(self, parts: Iterable[Part]) -> Iterator[Done]:
        """Make parts, or find them made.

        Args:
            parts: Read lazily; the trials of one are handed out while those of the one before are worked on.

        Yields:
            What is known of each part, in order, once it is in the folder.

        Raises:
            RingtrueError: A worker cannot load what it needs.
        """
        begun: deque[Part | Done] = deque()

        def todo() -> Iterator[Trial]:
            for part in parts:
                done = self._folder.find(part)
                begun.append(done or part)
                if done is None:
                    yield from part.trials

        rows: list[Cells] = []
        trials = todo()
        for cells in self._cells(trials):
            yield from _found(begun)
            rows.append(cells)
            part = begun[0]
            assert isinstance(part, Part)  # cells are of a part that was not found
            if len(rows) == len(part.trials):
                yield self._folder.write(part, rows)
                begun.popleft()
                rows = []
        yield from _found(begun)

    def _cells(self, trials: Iterator[Trial]) -> Iterator[Cells]:
        """Do the work, starting workers only if there is any."""
        for first in trials:
            yield from self._crew.do(_chained(first, trials))

    @cached_property
    def _crew(self) -> Crew[Trial, Cells]:
        return Crew(self._work, self._workers)


def fill(
    work: Work,
    listing: Listing,
    place: str,
    engine: Engine,
    workers: int,
    progress: Progress,
    facts: Mapping[str, Any],
) -> list[Done]:
    """Fill a folder, or go on with one.

    Args:
        work: What is done with every trial.
        listing: The trials.
        place: A path or an address; see `PartsFolder`.
        engine: ``"local"``: processes of this machine; ``"ray"``: actors of the Ray cluster that ``$RAY_ADDRESS``
            names, or of one on this machine.
        workers: How many; 0 takes what the engine has: one here, a CPU of the cluster each on Ray.
        progress: Takes one line a part.
        facts: What the folder says of itself when it is complete; plain values.

    Returns:
        All parts, each of them in the folder.

    Raises:
        RingtrueError: The folder holds other work, a worker cannot load what it needs, or Ray is not installed.
        CorpusError: There is nothing to do, or an address cannot be read.
    """
    folder = PartsFolder(place, work, listing.part_trials)
    folder.begin()
    finished: list[Done] = []
    trials = unreadable = kept = 0
    for done in _filled(work, listing, folder, engine, workers):
        finished.append(done)
        trials, unreadable = trials + done.trials, unreadable + done.unreadable
        kept += not done.is_new
        progress(f"{trials:,} trials in {len(finished)} parts, {kept} of them kept; {unreadable} unreadable")
    if not finished:
        raise CorpusError("no trials to work on: there are none in this split")
    folder.finish(finished, facts)
    return finished


def _filled(
    work: Work, listing: Listing, folder: PartsFolder, engine: Engine, workers: int
) -> Iterator[Done]:
    if engine == "ray":
        from ringtrue.engine.on_ray import fill_on_ray

        yield from fill_on_ray(work, listing, folder, workers)
        return
    with Filler(work, folder, workers or 1) as filler:
        yield from filler.fill(listing.parts())


def _found(begun: deque[Part | Done]) -> Iterator[Done]:
    while begun and isinstance(done := begun[0], Done):
        begun.popleft()
        yield done


def _chained(first: Trial, rest: Iterator[Trial]) -> Iterator[Trial]:
    yield first
    yield from rest
