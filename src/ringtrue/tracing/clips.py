"""Trials and front ends -> clips that are ready to be heard: trimmed, levelled, four seconds, features cached.

Demo pages and corpora give systems away by level, leading silence and duration. What is traced is the speech, so all
three are taken out before any front end hears a clip; the same is done to a recording that is checked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ringtrue.data.trials import Trial
from ringtrue.errors import AudioError, CorpusError
from ringtrue.files import stable_int
from ringtrue.inference.source import prepare
from ringtrue.models.feature_cache import LIMIT_VARIABLE, FeatureCache, audio_key, cached_features
from ringtrue.models.frontend import FrontEndChoice
from ringtrue.models.frontends import load_choice
from ringtrue.windows import WINDOW

Load = Callable[[Trial], NDArray[np.float32]]
Progress = Callable[[str], None]

_GROUP = 64  # clips decoded at once
MOST_FAILURES = 0.05  # share of unreadable recordings above which figures mean something else


def thinned(trials: Sequence[Trial], most: int) -> list[Trial]:
    """Take at most so many clips of every system, or speaker where a person speaks, and split, by a stable draw.

    Args:
        trials: Any trials.
        most: How many; 0 takes all.

    Returns:
        Those that are taken, in order.
    """
    if not most:
        return list(trials)
    ranked = sorted(trials, key=lambda trial: stable_int("thin", trial.id))
    counts: dict[tuple[str, ...], int] = {}
    taken = set()
    for trial in ranked:
        group = (trial.split, trial.label, trial.system or trial.speaker)
        if counts.get(group, 0) < most:
            counts[group] = counts.get(group, 0) + 1
            taken.add(trial.id)
    return [trial for trial in trials if trial.id in taken]


class Clips:
    """Features of many clips, from the cache.

    Args:
        trials: What to hear. Recordings that cannot be read are left out.
        choices: Front ends.
        load: Reads a trial's `(T,)` wave.
        progress: Takes a line now and then, and one for each of the first unreadable recordings.

    Attributes:
        trials: Those that could be read, in order.
        choices: Complete choices.

    Raises:
        CorpusError: More than `MOST_FAILURES` of the recordings cannot be read.
        CheckpointError: A front end cannot be loaded.
    """

    def __init__(
        self, trials: Sequence[Trial], choices: Sequence[FrontEndChoice], load: Load, progress: Progress
    ):
        loaded = [load_choice(choice) for choice in choices]
        self.choices = tuple(choice for _, choice in loaded)
        self.trials: list[Trial] = []
        self._keys: list[str] = []
        self._loaded = loaded
        self._load = load
        self._caches = [
            FeatureCache(choice.made_by(front_end), progress=progress) for front_end, choice in loaded
        ]
        self._warn_of_size(len(trials), progress)
        errors = []
        for start in range(0, len(trials), _GROUP):
            waves = []
            for trial in trials[start : start + _GROUP]:
                try:
                    wave = prepare(load(trial))
                except AudioError as error:
                    errors.append(str(error))
                    continue
                self.trials.append(trial)
                self._keys.append(audio_key(wave))
                waves.append(wave)
            for (front_end, choice), cache in zip(loaded, self._caches, strict=True):
                with cache:  # written now: what was heard is not lost to an error later
                    for _ in cached_features(waves, choice, front_end, cache):
                        pass
            if (start // _GROUP) % 10 == 9:
                progress(f"features: {min(start + _GROUP, len(trials))} of {len(trials)} clips")
        for reason in errors[:5]:
            progress(f"left out: {reason}")
        if len(errors) > MOST_FAILURES * len(trials):
            raise CorpusError(
                f"{len(errors)} of {len(trials)} recordings cannot be read, more than {MOST_FAILURES:.0%}; the first: "
                f"{errors[0]}"
            )

    def with_front_ends(self, numbers: Sequence[int]) -> Clips:
        """Give the same clips as some of the front ends hear them.

        Args:
            numbers: Places of these in `choices`.

        Returns:
            Clips that share everything else.
        """
        fewer = copy(self)
        fewer.choices = tuple(self.choices[number] for number in numbers)
        fewer._loaded = [self._loaded[number] for number in numbers]
        fewer._caches = [self._caches[number] for number in numbers]
        return fewer

    def _warn_of_size(self, count: int, progress: Progress) -> None:
        """Say it beforehand if features will not fit: then every epoch would compute them again."""
        size = count * sum(choice.clip_bytes(WINDOW) for choice in self.choices)
        limit = self._caches[0].limit_bytes
        if size > limit:
            progress(
                f"features of {count:,} clips take {size / 2**30:,.0f} GiB, and the cache holds "
                f"{limit / 2**30:,.3g}: what does not fit is computed again in every epoch. Choose one layer, or a "
                f"larger pool, or set {LIMIT_VARIABLE}"
            )

    def __len__(self) -> int:
        """Count the clips."""
        return len(self.trials)

    def batch(self, places: Sequence[int] | NDArray[np.int64]) -> list[Tensor]:
        """Give features of some clips.

        Args:
            places: Their places in `trials`.

        Returns:
            `(B, N, L, D)` float32 for each front end.
        """
        stacks = []
        for number, cache in enumerate(self._caches):
            found = [self._features(number, cache, int(place)) for place in places]
            stacks.append(torch.from_numpy(np.stack(found)).float())
        return stacks

    def _features(self, number: int, cache: FeatureCache, place: int) -> NDArray[np.float16]:
        found = cache.get(self._keys[place])
        if found is None:  # evicted or damaged since: hear it again
            front_end, choice = self._loaded[number]
            wave = prepare(self._load(self.trials[place]))
            (found,) = cached_features([wave], choice, front_end, cache)
        return found
