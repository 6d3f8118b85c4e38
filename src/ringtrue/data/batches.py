"""Trials -> balanced (B, T) batches; batch number n is a pure function of the seed and n.

Nothing here has state: a resumed run, a run with more loader workers and an undisturbed run draw the same
clips, crops and augmentations, because each batch makes its own generator from (seed, n).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ringtrue.audio import SAMPLE_RATE_HZ, Place
from ringtrue.data.trials import Trial
from ringtrue.errors import CorpusError
from ringtrue.windows import CONTENT_STRIDE, content_frames, repeat_to

Load = Callable[[Trial], NDArray[np.float32]]
"""Reads a trial's `(T,)` wave."""

Cut = Callable[[Trial, Place], NDArray[np.float32]]
"""Reads a piece of it: `load_piece` of `ringtrue.data.corpora`, which decodes no more than it must; or `pieces_of`."""

Crop = tuple[NDArray[np.float32], NDArray[np.int64], int]
"""A piece `(T,)` float32, its content units `(L,)` int64, -1 where unknown, and the frame at 50 Hz it begins with."""

Transform = Callable[[NDArray[np.float32], np.random.Generator], NDArray[np.float32]]


@dataclass(frozen=True)
class Batch:
    """What one step learns from.

    Attributes:
        wave: `(B, T)` float32.
        label: `(B,)` int64, 1 for bona fide.
        units: `(B, L)` int64 content units at 50 Hz, -1 where unknown.
        ids: Trial ids.
        starts: `(B,)` int64, frame at 50 Hz of its recording that each crop begins with.
        twins: So many couples come first, each a recording and its copy-synthesis, cropped alike.
        faults: One line for each recording that could not be read and was stood in for.
    """

    wave: NDArray[np.float32]
    label: NDArray[np.int64]
    units: NDArray[np.int64]
    ids: tuple[str, ...]
    starts: NDArray[np.int64]
    twins: int = 0
    faults: tuple[str, ...] = ()


class Batches(Protocol):
    """What training learns from: batch number n depends on a seed and n alone, whoever makes it and when.

    So a run resumes by its step number, and a data loader may hand the numbers to any workers. `TrainingBatches` keeps
    this for recordings that can be read in any order, `ringtrue.data.streaming.StreamingBatches` for shards.
    """

    def __getitem__(self, number: int) -> Batch:
        """Make batch `number`, from 0."""

    def between(self, start: int, stop: int) -> Iterator[Batch]:
        """Give batches `start` to `stop - 1` in order."""


@dataclass(frozen=True)
class TrainingBatches:
    """An endless sequence of balanced batches, readable at any index.

    Half of every batch is bona fide. A clip is drawn from the top of a tree down, evenly at each level:
    bona fide by corpus, language, speaker, clip; spoof by system, speaker, clip. So a generator with ten thousand
    clips is heard no more often than one with fifty.

    Args:
        trials: Training trials of both labels.
        cut: Reads pieces of a trial's recording.
        batch_size: B, even.
        crop_s: Length of the random crops; a shorter clip is repeated.
        seed: Seed of everything random here.
        units: Content units by trial id, or nothing.
        augment: Applied to every crop of both labels alike; must keep length and alignment.
        pairs: Share of a batch that is twins: copy-synthesis, drawn by system, and the recording that it was made of.
        rank: Number of this process.
        ranks: How many processes share a batch: each hears an equal part of it.
    """

    trials: Sequence[Trial]
    cut: Cut
    batch_size: int
    crop_s: float
    seed: int
    units: Mapping[str, NDArray[np.int16]] = field(default_factory=dict)
    augment: Transform | None = None
    pairs: float = 0.0
    rank: int = 0
    ranks: int = 1
    _trees: tuple[_Tree, _Tree] = field(init=False, repr=False)
    _copies: _Tree = field(init=False, repr=False)
    _originals: Mapping[str, Trial] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Sort the trials into the two trees that batches are drawn from."""
        human = [trial for trial in self.trials if trial.is_bonafide]
        machine = [trial for trial in self.trials if not trial.is_bonafide]
        if not human or not machine:
            raise CorpusError(
                f"{len(human)} bona fide and {len(machine)} spoof training trials; both labels are needed"
            )
        trees = (
            _grow(human, lambda t: (t.corpus, t.language, t.speaker)),
            _grow(machine, lambda t: (t.system, t.speaker)),
        )
        if self.batch_size % (2 * self.ranks):
            raise CorpusError(
                f"a batch of {self.batch_size} cannot be shared out evenly and balanced over {self.ranks} processes; "
                f"give training.batch_size as a multiple of {2 * self.ranks}"
            )
        # A copy names the trial that it was made of, or, as that trial does, the utterance.
        originals = {trial.source_utterance: trial for trial in human} | {trial.id: trial for trial in human}
        originals.pop("", None)
        copies = [trial for trial in machine if trial.source_utterance in originals]
        if self.pairs and not copies:
            raise CorpusError(
                "training.pairs > 0, but no spoof training trial names the bona fide one that it was made of "
                "(source_utterance); set training.pairs = 0, or train on a corpus with copy-synthesis"
            )
        object.__setattr__(self, "_trees", trees)
        object.__setattr__(self, "_copies", _grow(copies, lambda t: (t.system, t.speaker)))
        object.__setattr__(self, "_originals", originals)

    def __getitem__(self, number: int) -> Batch:
        """Make this process's part of batch `number`."""
        rng = np.random.default_rng([self.seed, number])
        couples = self.batch_size // 2
        twins = round(self.pairs * couples)
        drawn = [trial for couple in range(couples) for trial in self._couple(couple < twins, rng)]
        share = self.batch_size // self.ranks
        mine = range(self.rank * share, (self.rank + 1) * share)
        crops = []
        for index in mine:
            # Twins are cropped and augmented alike; everybody else by themselves.
            seeded = index - index % 2 if index < 2 * twins else index
            crops.append(self._crop(drawn[index], np.random.default_rng([self.seed, number, seeded])))
        return Batch(
            wave=np.stack([wave for wave, _, _ in crops]),
            label=np.array([int(drawn[index].is_bonafide) for index in mine], dtype=np.int64),
            units=np.stack([units for _, units, _ in crops]),
            ids=tuple(drawn[index].id for index in mine),
            starts=np.array([start for _, _, start in crops], dtype=np.int64),
            twins=min(max(0, twins - mine.start // 2), share // 2),
        )

    def _couple(self, twins: bool, rng: np.random.Generator) -> tuple[Trial, Trial]:
        if twins:
            copy = _draw(self._copies, rng)
            return self._originals[copy.source_utterance], copy
        return _draw(self._trees[0], rng), _draw(self._trees[1], rng)

    def between(self, start: int, stop: int) -> Iterator[Batch]:
        """Give batches `start` to `stop - 1` in order."""
        return (self[number] for number in range(start, stop))

    def _crop(self, trial: Trial, rng: np.random.Generator) -> Crop:
        return crop(partial(self.cut, trial), self.crop_s, self.units.get(trial.id), rng, self.augment)


def pieces_of(load: Load) -> Cut:
    """Cut pieces out of whole waves: for those that lie decoded in memory or in a store.

    Args:
        load: Reads a trial's `(T,)` wave, or a view of it.

    Returns:
        What `TrainingBatches` takes.
    """
    return partial(_cut_out, load)


def _cut_out(load: Load, trial: Trial, place: Place) -> NDArray[np.float32]:
    samples = load(trial)
    start, stop = place(len(samples))
    return samples[start:stop]


def crop(
    cut: Callable[[Place], NDArray[np.float32]],
    crop_s: float,
    units: NDArray[np.int16] | None,
    rng: np.random.Generator,
    augment: Transform | None,
) -> Crop:
    """Cut a random piece out of a recording, with its content units.

    Args:
        cut: Reads pieces of the recording.
        crop_s: Length of the piece; a shorter recording is repeated.
        units: Its content units, or nothing.
        rng: Source of the place, and then of the augmentation.
        augment: Applied to the piece; must keep length and alignment.

    Returns:
        The piece.
    """
    length = round(crop_s * SAMPLE_RATE_HZ)
    said = np.full(content_frames(length), -1, dtype=np.int64)
    draw = rng.random()  # just one, so that twins of unlike lengths stay in step
    start = 0

    def place(count: int) -> tuple[int, int]:
        # The last possible start is inclusive, so a clip of exactly the crop's length is fine.
        # Crops start on the grid of the content units, so that units stay aligned with samples.
        nonlocal start
        start = int(draw * (max(0, count - length) // CONTENT_STRIDE + 1))
        return CONTENT_STRIDE * start, min(count, CONTENT_STRIDE * start + length)

    wave = repeat_to(cut(place), length)
    if units is not None:
        known = units[start:][: len(said)]
        said[: len(known)] = known  # frames of a repeated clip stay unknown: they need not fall on the grid
    return (wave if augment is None else augment(wave, rng)), said, start


_Tree = dict[Hashable, "_Tree"] | list[Trial]


def _grow(trials: Sequence[Trial], path: Callable[[Trial], tuple[str, ...]]) -> _Tree:
    """Sort trials into nested groups, in an order that does not depend on the manifest's."""
    root: dict[Hashable, _Tree] = {}
    for trial in sorted(trials, key=lambda trial: (path(trial), trial.id)):
        *branches, last = path(trial)
        node = root
        for branch in branches:
            node = node.setdefault(branch, {})  # type: ignore[assignment]
        node.setdefault(last, []).append(trial)  # type: ignore[union-attr]
    return root


def _draw(node: _Tree, rng: np.random.Generator) -> Trial:
    while isinstance(node, dict):
        node = list(node.values())[rng.integers(len(node))]
    return node[rng.integers(len(node))]
