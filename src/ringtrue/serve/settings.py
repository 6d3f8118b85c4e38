"""What the person who starts the service decides -> every limit in one frozen place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ringtrue.audio import MAX_HELD_BYTES

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True)
class ServeSettings:
    """Limits and permissions; the defaults suit one person on one machine.

    Attributes:
        model: An ``.onnx`` file.
        threshold: See `Detector`.
        workers: Processes that decode and judge.
        hosts: Names under which the service may be asked for. A page elsewhere that has its own name point to this
            machine (DNS rebinding) is refused by it.
        keys: Name -> sha256 of an API key; empty lets everybody in.
        enroll: Whether clients may add generators to those that are named, and remove them.
        max_upload_bytes: Of one request.
        max_check_s: Longest recording of ``/v1/check``.
        max_job_s: Longest recording of a job.
        max_live_s: Longest live stream.
        max_live: Live streams at a time; each has a process.
        max_jobs: Jobs of one client at a time, finished ones that were not fetched included.
        keep_job_s: How long a finished job waits to be fetched.
        upload_s: Longest time that an upload may take.
        task_s: Longest time that a recording may take a worker; longer ones may take a tenth of their length.
        task_cpu_s: The same in processor time.
        memory_bytes: What a worker may take beyond what it holds when it has loaded the model.
        waiting: Recordings that may wait for a worker.
        per_client: Requests of one client at a time.
        rate_a_minute: Requests of one client a minute, over time; polling is not counted.
        burst: Requests that a client may make at once before that rate counts.
        drain_s: How long requests in flight may take after the service was told to stop.
    """

    model: Path
    threshold: float | None = None
    workers: int = 2
    hosts: tuple[str, ...] = LOOPBACK
    keys: Mapping[str, str] = field(default_factory=dict)
    enroll: bool = False
    max_upload_bytes: int = MAX_HELD_BYTES
    max_check_s: float = 15 * 60.0
    max_job_s: float = 4 * 3600.0
    max_live_s: float = 3600.0
    max_live: int = 8
    max_jobs: int = 32
    keep_job_s: float = 600.0
    upload_s: float = 300.0
    task_s: float = 120.0
    task_cpu_s: int = 100
    memory_bytes: int = 768 << 20
    waiting: int = 512
    per_client: int = 16
    rate_a_minute: float = 600.0
    burst: int = 120
    drain_s: float = 60.0
