"""Parts -> actors of a Ray cluster, each of which fills its share of the folder as the local engine does.

Ray Data decides where parts go, how many are on their way (its backpressure bounds memory: a part is a few hundred
names, never sound) and what is done again when a machine is lost. A part that is done twice is the same file twice.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, replace
from types import ModuleType
from typing import Any

from ringtrue import errors
from ringtrue.engine.folder import Done, PartsFolder
from ringtrue.engine.listing import Listing, Part
from ringtrue.engine.work import Work
from ringtrue.errors import RingtrueError, require


def fill_on_ray(work: Work, listing: Listing, folder: PartsFolder, workers: int) -> Iterator[Done]:
    """Fill a folder by actors; see `ringtrue.engine.run.fill`.

    Args:
        work: What is done with every trial.
        listing: The trials.
        folder: Where parts are kept; every machine must reach it.
        workers: Actors; 0 lets their number grow to the cluster's CPUs.

    Yields:
        What is known of each part, as soon as it is in the folder, in any order.

    Raises:
        MissingExtraError: Ray is not installed.
    """
    ray, data = _connected(), require("ray.data", "cluster")
    data.DataContext.get_current().enable_progress_bars = False
    if listing.addresses:
        tables = data.from_items([{"address": address} for address in listing.addresses])
        parts = tables.flat_map(_read, fn_args=(replace(listing, addresses=()),), num_cpus=0)
    else:
        parts = data.from_items([{"part": part.to_json()} for part in listing.parts()])
    pool = data.ActorPoolStrategy(min_size=1, max_size=workers or max(1, int(ray.cluster_resources()["CPU"])))
    done = parts.repartition(target_num_rows_per_block=1).map_batches(
        _Actor, batch_size=1, compute=pool, num_cpus=1, fn_constructor_args=(work, folder)
    )
    for row in done.iter_rows():
        if row["error"]:
            raise getattr(errors, row["error"])(row["outcome"])
        yield Done(**json.loads(row["outcome"]))


def _read(row: dict[str, Any], listing: Listing) -> Iterator[dict[str, Any]]:
    """Cut what is at one address; runs in a task."""
    for part in listing.at(row["address"]).parts():
        yield {"part": part.to_json()}


class _Actor:
    """Holds the work, loaded once, in a process of its own that a bad recording may bring down."""

    def __init__(self, work: Work, folder: PartsFolder):
        from ringtrue.engine.run import Filler

        self._filler = Filler(work, folder, 1)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Fill the parts of a batch; an error of ours is an outcome too, since Ray keeps no more of it than text."""
        try:
            done = [asdict(one) for one in self._filler.fill(Part.from_json(text) for text in batch["part"])]
        except RingtrueError as error:
            self._filler.close()
            return {"error": [type(error).__name__], "outcome": [str(error)]}
        return {"error": [""] * len(done), "outcome": [json.dumps(one) for one in done]}


def _connected() -> ModuleType:
    """Connect to the cluster that the environment names, or start one here; Ray's own telemetry stays off."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray = require("ray", "cluster")
    if not ray.is_initialized():
        ray.init(include_dashboard=False, log_to_driver=False)
    return ray
