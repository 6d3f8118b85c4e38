"""A folder of feature parts -> this machine's feature cache, where training and tracing look."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ringtrue.engine.folder import PartsFolder
from ringtrue.engine.work import Featuring
from ringtrue.models.feature_cache import FeatureCache


def store_features(place: str, work: Featuring, part_trials: int, progress: Callable[[str], None]) -> int:
    """Put the features of a complete folder into the cache.

    Args:
        place: A folder or address that `ringtrue.engine.run.fill` has filled with this work.
        work: What filled it.
        part_trials: Trials in a part.
        progress: Takes a line where something is wrong with the cache.

    Returns:
        How many clips were not there before.
    """
    folder = PartsFolder(place, work, part_trials)
    new = 0
    with FeatureCache(work.made_by["features"], progress=progress) as cache:
        for name in folder.names():
            for row in folder.read(name).to_pylist():
                if row["error"] or cache.get(row["key"]) is not None:
                    continue
                features = np.frombuffer(row["features"], "<f2")
                cache.put(row["key"], features.reshape(row["layers"], row["frames"], row["dim"]))
                new += 1
    return new
