"""A long recording -> a job that can be asked how far it is; nothing of it outlives ten minutes."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from ringtrue.errors import RingtrueError
from ringtrue.serve.crew import Busy, Crew
from ringtrue.serve.settings import ServeSettings

TOO_LONG = "Split it and send the parts."


@dataclass
class Job:
    """One recording on its way.

    Attributes:
        id: What to ask for it by; nobody can guess it.
        client: Whose it is.
        state: ``waiting``, ``judging``, ``done`` or ``failed``.
        progress: Seconds heard, and those promised.
        answer: ``verdict`` and ``prosody``, once it is done.
        error: Why there is none.
    """

    id: str
    client: str
    state: str = "waiting"
    progress: dict[str, Any] = field(default_factory=lambda: {"heard_s": 0.0, "promised_s": None})
    answer: dict[str, Any] = field(default_factory=lambda: {"verdict": None, "prosody": None})
    error: str = ""
    ended_at: float | None = None
    news: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON values."""
        return {
            "id": self.id, "state": self.state, "progress": self.progress, "error": self.error, **self.answer,
        }  # fmt: skip


class Jobs:
    """All jobs of a service.

    Args:
        crew: Who judges. Jobs leave one worker to short requests, where there is more than one.
        settings: How many, how long.
    """

    def __init__(self, crew: Crew, settings: ServeSettings):
        self._crew, self._settings = crew, settings
        self._jobs: dict[str, Job] = {}
        self._share = asyncio.Semaphore(max(1, settings.workers - 1))

    def __len__(self) -> int:
        self._forget_old()
        return len(self._jobs)

    def begin(self, client: str, name: str, file: int, prosody: bool) -> Job:
        """Take a recording.

        Args:
            client: Whose it is.
            name: What to call it.
            file: Descriptor of the open file; copied.
            prosody: Whether to draw how it is spoken, too.

        Returns:
            The job.

        Raises:
            Busy: The client has too many already.
        """
        self._forget_old()
        if sum(job.client == client for job in self._jobs.values()) >= self._settings.max_jobs:
            raise Busy(f"{self._settings.max_jobs} jobs at a time are accepted; fetch or delete some")
        job = Job(secrets.token_urlsafe(18), client)
        self._jobs[job.id] = job
        job.task = asyncio.create_task(self._judge(job, name, os.dup(file), prosody))
        return job

    def find(self, client: str, id: str) -> Job | None:
        """Give a client's job, or None."""
        self._forget_old()
        job = self._jobs.get(id)
        return job if job is not None and job.client == client else None

    def drop(self, job: Job) -> None:
        """Forget a job; stop it if it is not done."""
        self._jobs.pop(job.id, None)
        if job.task is not None:
            job.task.cancel()

    async def stop(self) -> None:
        """Forget all jobs."""
        tasks = [job.task for job in self._jobs.values() if job.task is not None]
        for job in list(self._jobs.values()):
            self.drop(job)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _judge(self, job: Job, name: str, file: int, prosody: bool) -> None:
        loop, most_s = asyncio.get_running_loop(), self._settings.max_job_s

        def tell(progress: dict[str, Any]) -> None:
            job.state, job.progress = "judging", progress
            job.news.set()

        request = {"task": "examine", "name": name, "max_s": most_s, "prosody": prosody, "too_long": TOO_LONG}
        limit_s = self._settings.task_s + most_s / 10
        try:
            async with self._share:
                body = await self._crew.run(
                    request, file, limit_s, lambda progress: _call_soon(loop, tell, progress)
                )
            job.answer, job.state = json.loads(body), "done"
        except RingtrueError as error:
            job.error, job.state = str(error), "failed"
        finally:
            os.close(file)
            job.ended_at = time.monotonic()
            job.news.set()

    def _forget_old(self) -> None:
        edge = time.monotonic() - self._settings.keep_job_s
        for id in [id for id, job in self._jobs.items() if job.ended_at is not None and job.ended_at < edge]:
            del self._jobs[id]


def _call_soon(loop: asyncio.AbstractEventLoop, call: Any, *arguments: Any) -> None:
    loop.call_soon_threadsafe(call, *arguments)
