"""Settings -> the ASGI application: what can be asked, and what answers."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

import numpy as np
from fastapi import (
    APIRouter,
    FastAPI,
    File,
    Form,
    Header,
    HTTPException,
    Path,
    Query,
    Request,
    Response,
    UploadFile,
)
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.responses import FileResponse
from starlette.websockets import WebSocket

from ringtrue import __version__
from ringtrue.errors import RingtrueError
from ringtrue.inference.batch import Setup
from ringtrue.inference.enroll import enroll_embeddings
from ringtrue.inference.prototypes import ENOUGH, Prototype
from ringtrue.inference.source import find_tracer
from ringtrue.serve.assets import FOR_EVER, browser_runtime, page_routes
from ringtrue.serve.crew import Busy, Crew, WorkerLost
from ringtrue.serve.guard import Guard, problem
from ringtrue.serve.jobs import Jobs
from ringtrue.serve.live import serve_stream
from ringtrue.serve.meters import Meters
from ringtrue.serve.schema import EnrolledV1, EnrolmentsV1, JobV1, Limits, ModelsV1, Problem, VerdictV1
from ringtrue.serve.settings import ServeSettings
from ringtrue.serve.worker import Bounds

_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": what}
    for status, what in {
        400: "not a request that can be read",
        408: "the upload took too long",
        413: "the upload is too large",
        422: "it cannot be judged; the detail says why",
        429: "too many requests",
        500: "the service failed",
        503: "too many recordings wait, or a worker died over this one",
    }.items()
}
_PROBLEM = "application/problem+json"
_NAME_LENGTH = 120
_Word = Annotated[str, Form(max_length=80, pattern=r"^[^\x00-\x1f\x7f]*$")]  # of a generator's description
_JSON = "application/json"
_Upload = Annotated[UploadFile, File(description="a recording, of any format and rate; its content decides")]


class Service:
    """What the routes share: workers, jobs, meters.

    Args:
        settings: Limits and permissions.
    """

    def __init__(self, settings: ServeSettings):
        self.settings = settings
        setup = Setup(settings.model, threshold=settings.threshold)
        bounds = Bounds(settings.memory_bytes, settings.task_cpu_s)
        self.crew = Crew(setup, bounds, settings.workers, settings.waiting)
        self.live = Crew(setup, bounds, settings.max_live, waiting=0)
        self.jobs = Jobs(self.crew, settings)
        self.meters = Meters(self.crew, self.live, self.jobs)
        self.model: dict[str, Any] = {}
        self.draining = False

    @contextlib.asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        """Start the workers; end them once the last request has been answered."""
        self.model = await self.crew.start()
        yield
        self.draining = True
        await self.jobs.stop()
        await self.crew.stop()
        await self.live.stop()

    async def judge(self, upload: UploadFile, task: str) -> bytes:
        """Have an upload judged."""
        limits = self.settings
        request = {
            "task": task,
            "name": _name(upload),
            "max_s": limits.max_check_s,
            "too_long": "Send it to /v1/jobs.",
        }
        return await self.crew.run(request, descriptor(upload), limits.task_s + limits.max_check_s / 10)


class _App(FastAPI):
    """An application whose description says of what type errors are; FastAPI itself knows one type a route."""

    def openapi(self) -> dict[str, Any]:
        """Describe the API."""
        if self.openapi_schema is None:
            for path in super().openapi()["paths"].values():
                for operation in path.values():
                    for status, response in operation["responses"].items():
                        if status >= "400" and "content" in response:
                            response["content"] = {_PROBLEM: response["content"].popitem()[1]}
        return super().openapi()


def make_app(settings: ServeSettings) -> FastAPI:
    """Make the application.

    Args:
        settings: Limits and permissions.

    Returns:
        An application; its workers start with it.
    """
    service = Service(settings)
    app = _App(
        title="ringtrue",
        version=__version__,
        summary="Does this voice ring true? Recordings in, verdicts out; nothing is kept.",
        docs_url=None,  # their assets would come from another site
        redoc_url=None,
        lifespan=service.lifespan,
        generate_unique_id_function=lambda route: route.name,
    )
    app.add_exception_handler(RingtrueError, _unfit)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(StarletteHTTPException, _refused)
    app.include_router(_api(service))
    if settings.enroll:
        app.include_router(_enrolment(service))
    app.include_router(_operations(service))
    app.include_router(page_routes())
    app.add_middleware(Guard, settings=settings, observe=service.meters.observe)
    return app


def _api(service: Service) -> APIRouter:
    routes = APIRouter(prefix="/v1", responses=_PROBLEMS)

    @routes.post("/check", response_model=VerdictV1)
    async def check(file: _Upload, accept: Annotated[str, Header()] = _JSON) -> Response:
        """Judge a recording and wait for the verdict; `Accept: text/html` gives a report instead."""
        if "text/html" in accept:
            return Response(await service.judge(file, "report"), media_type="text/html")
        return Response(await service.judge(file, "check"), media_type=_JSON)

    @routes.post("/jobs", status_code=202, response_model=JobV1)
    async def begin_job(
        request: Request,
        file: _Upload,
        prosody: Annotated[bool, Form(description="draw how it is spoken")] = False,
    ) -> dict[str, Any]:
        """Have a recording judged, a long one too, and ask for it later."""
        job = service.jobs.begin(request.state.client, _name(file), descriptor(file), prosody)
        return job.to_dict()

    @routes.get("/jobs/{id}", response_model=JobV1, responses={404: {"model": Problem}})
    async def ask_job(
        request: Request,
        id: Annotated[str, Path(max_length=64)],
        wait_s: Annotated[
            float, Query(ge=0, le=30, description="answer at the next news, or after so long")
        ] = 0,
    ) -> dict[str, Any]:
        """Ask how far a job is."""
        job = service.jobs.find(request.state.client, id)
        if job is None:
            raise HTTPException(404, "there is no such job; finished ones are kept for a few minutes")
        if wait_s and job.ended_at is None:
            job.news.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(job.news.wait(), wait_s)
        return job.to_dict()

    @routes.delete("/jobs/{id}", status_code=204, responses={404: {"model": Problem}})
    async def forget_job(request: Request, id: Annotated[str, Path(max_length=64)]) -> None:
        """Stop a job, or forget what came of it."""
        job = service.jobs.find(request.state.client, id)
        if job is None:
            raise HTTPException(404, "there is no such job")
        service.jobs.drop(job)

    @routes.get("/models", response_model=ModelsV1)
    async def models() -> dict[str, Any]:
        """Say what judges, how it was calibrated, and what is accepted."""
        limits = {name: getattr(service.settings, name) for name in Limits.model_fields}
        return {
            "models": [service.model], "limits": limits, "ringtrue": __version__, "browser": browser_runtime(),
        }  # fmt: skip

    @routes.get("/models/{sha256}", response_class=FileResponse, responses={404: {"model": Problem}})
    async def model(sha256: Annotated[str, Path(pattern="^[0-9a-f]{64}$")]) -> Response:
        """Give the model itself, an ONNX file, to a page that judges in the browser."""
        if sha256 != service.model["sha256"]:
            raise HTTPException(404, "this service judges with another model; /v1/models says which")
        return FileResponse(service.settings.model, media_type="application/octet-stream", headers=FOR_EVER)

    @routes.websocket("/stream")
    async def stream(socket: WebSocket) -> None:
        """See `ringtrue.serve.live`."""
        await serve_stream(socket, service.live, service.settings)

    return routes


def _enrolment(service: Service) -> APIRouter:
    """Routes that change what everybody is told; there only if the service was started so."""
    routes, tracer, one_at_a_time = (
        APIRouter(prefix="/v1", responses=_PROBLEMS),
        find_tracer(),
        asyncio.Lock(),
    )

    def known(one: Prototype, notes: list[str]) -> EnrolledV1:
        return EnrolledV1(
            name=one.name,
            acoustic_model=one.acoustic_model,
            vocoder=one.vocoder,
            clips=one.clips,
            notes=notes,
        )

    @routes.get("/enroll", response_model=EnrolmentsV1)
    async def enrolled() -> dict[str, Any]:
        """List the generators that were added."""
        return {"enrolled": [known(one, []) for one in tracer.enrolled.prototypes.values()]}

    @routes.post("/enroll", status_code=201, response_model=EnrolledV1)
    async def enroll(
        name: _Word,
        file: Annotated[list[UploadFile], File(max_length=2 * ENOUGH, description="5 to 20 clips of it")],
        acoustic_model: _Word = "",
        vocoder: _Word = "",
    ) -> EnrolledV1:
        """Add a generator to those that are named, in place of one of that name; kept is a mean of embeddings."""
        embeddings, notes = [], []
        for clip in file:  # one after the other: recordings of others come in between
            try:
                embeddings.append(json.loads(await service.judge(clip, "embed")))
            except Busy:
                raise
            except RingtrueError as error:
                notes.append(f"left out: {error}")
        vectors = np.array(embeddings, dtype=np.float32).reshape(len(embeddings), len(tracer.centre))
        async with one_at_a_time:
            made = await asyncio.to_thread(
                enroll_embeddings, tracer, name, vectors, notes.append, acoustic_model, vocoder
            )
        return known(made, notes)

    @routes.delete("/enroll/{name:path}", status_code=204, responses={404: {"model": Problem}})
    async def forget_generator(name: str) -> None:
        """Remove a generator that was added."""
        async with one_at_a_time:
            if name not in tracer.enrolled.prototypes:
                raise HTTPException(404, "no generator of that name was added; GET /v1/enroll lists them")
            await asyncio.to_thread(tracer.enrolled.remove, name)

    return routes


def _operations(service: Service) -> APIRouter:
    routes = APIRouter()

    @routes.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Say that the process answers."""
        return {"status": "ok"}

    @routes.get("/readyz", responses={503: {"model": Problem}})
    async def readyz() -> dict[str, str]:
        """Say whether recordings can be judged."""
        if service.draining or not service.crew.alive:
            raise HTTPException(503, "no worker is ready")
        return {"status": "ready"}

    @routes.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """Give the meters, for Prometheus."""
        return Response(service.meters.exposition(), media_type="text/plain; version=0.0.4")

    return routes


def descriptor(upload: UploadFile) -> int:
    """Give the descriptor of an upload's temporary file, which has no name and vanishes with its last descriptor."""
    file: Any = upload.file
    file.rollover()
    file.seek(0)
    return int(file.fileno())


def _name(upload: UploadFile) -> str:
    """Say what the sender calls a recording, fit to be shown; it is never a path for us."""
    name = (upload.filename or "recording").replace("\\", "/").rpartition("/")[2][-_NAME_LENGTH:]
    return name if name.isprintable() else ascii(name)[1:-1]


async def _unfit(_: Request, error: Exception) -> Response:
    status = 503 if isinstance(error, Busy | WorkerLost) else 422
    message = f"this recording could not be judged: {error}" if isinstance(error, WorkerLost) else str(error)
    return _problem(status, message, {"Retry-After": "2"} if isinstance(error, Busy) else None)


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    return _problem(422, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, StarletteHTTPException)
    return _problem(error.status_code, str(error.detail), error.headers)


def _problem(status: int, detail: str, headers: Any = None) -> Response:
    return Response(problem(status, detail), status, headers, media_type=_PROBLEM)
