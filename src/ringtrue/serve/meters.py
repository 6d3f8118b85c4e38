"""What happens in the service -> figures for Prometheus; nothing about any recording."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

if TYPE_CHECKING:
    from ringtrue.serve.crew import Crew
    from ringtrue.serve.jobs import Jobs


class Meters:
    """The meters of one service.

    Args:
        crew: Workers for recordings.
        live: Workers for streams.
        jobs: Jobs.
    """

    def __init__(self, crew: Crew, live: Crew, jobs: Jobs):
        self._registry = CollectorRegistry()
        labels = ("method", "route")
        self._requests = Counter(
            "ringtrue_requests", "requests", (*labels, "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "ringtrue_request_seconds", "how long they took", labels, registry=self._registry
        )
        for name, words, read in (
            ("ringtrue_workers_alive", "workers that are there", lambda: crew.alive),
            ("ringtrue_workers_busy", "workers that judge", lambda: crew.busy),
            ("ringtrue_recordings_waiting", "recordings that wait for a worker", lambda: crew.queued),
            ("ringtrue_workers_lost", "workers that died or were stopped", lambda: crew.lost + live.lost),
            ("ringtrue_live_streams", "live streams", lambda: live.busy),
            ("ringtrue_jobs", "jobs, finished ones that were not fetched included", lambda: len(jobs)),
        ):
            Gauge(name, words, registry=self._registry).set_function(read)

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request."""
        method = method if method in ("GET", "POST", "DELETE") else "other"
        self._requests.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)

    def exposition(self) -> bytes:
        """Give the figures as text."""
        return generate_latest(self._registry)
