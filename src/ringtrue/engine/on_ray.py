"""Parts -> actors of a Ray cluster, each of which fills its share of the folder as the local engine does.

Ray Data decides where parts go, how many are on their way (its backpressure bounds memory: a part is a few hundred
names, never sound) and what is done again when a machine is lost. A part that is done twice is the same file twice.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, replace
from types import ModuleType
from typing import Any

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
    try:
        for row in done.iter_rows():
            yield Done(**row)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, RingtrueError):
            raise error.cause from None  # in one line, not with the traceback of another machine
        raise


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
        done = [asdict(one) for one in self._filler.fill(Part.from_json(text) for text in batch["part"])]
        return {name: [row[name] for row in done] for name in done[0]}


def _connected() -> ModuleType:
    """Connect to the cluster that the environment names, or start one here; Ray's own telemetry stays off."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray = require("ray", "cluster")
    if not ray.is_initialized():
        ray.init(include_dashboard=False, log_to_driver=False)
    return ray
