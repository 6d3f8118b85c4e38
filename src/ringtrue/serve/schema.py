"""Plain values -> the shapes that the OpenAPI document promises; a test holds them to what is really sent."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ringtrue.inference.verdict import SCHEMA


class Exact(BaseModel):
    """A value with these fields and no others."""

    model_config = ConfigDict(extra="forbid")


class SegmentV1(Exact):
    """A piece of a recording; see `ringtrue.Segment`."""

    start_s: float
    end_s: float
    llr: float | None


class VerdictV1(Exact):
    """A judgement with what is needed to doubt it; see `ringtrue.Verdict`, whose JSON it is."""

    schema_version: Literal[1] = Field(alias="schema")
    name: str
    decision: Literal["bona fide", "spoof", "inconclusive"]
    llr: float | None = Field(description="natural-log likelihood ratio; above 0 favours bona fide")
    score: float
    segments: list[SegmentV1]
    regions: list[SegmentV1]
    evidence: dict[str, float]
    percentiles: dict[str, float]
    warnings: list[str]
    source: dict[str, Any] | None
    operating_point: dict[str, Any]
    model: dict[str, str]
    audio: dict[str, Any]
    envelope: list[float]


class ProsodyV1(Exact):
    """How a recording is spoken; see `ringtrue.serve.prosody_picture.draw`."""

    step_s: float
    pitch_hz: list[float | None]
    pauses: list[tuple[float, float]]
    measured_s: float
    statistics: dict[str, float]
    percentiles: dict[str, float]


class Progress(Exact):
    """How far a job is."""

    heard_s: float
    promised_s: float | None


class JobV1(Exact):
    """A recording that is judged while its sender does something else."""

    id: str
    state: Literal["waiting", "judging", "done", "failed"]
    progress: Progress
    error: str
    verdict: VerdictV1 | None
    prosody: ProsodyV1 | None


class ModelV1(BaseModel):
    """The model that judges."""

    name: str
    sha256: str
    bytes: int
    ringtrue: str = Field(description="the version that trained it")
    calibration: dict[str, Any] = Field(description="the operating point, as in a verdict")
    trained_on: dict[str, Any]
    reference: dict[str, Any] = Field(
        {}, description="how measurements are spread among real speech; may be empty"
    )


class Limits(Exact):
    """What the service accepts."""

    max_upload_bytes: int
    max_check_s: float
    max_job_s: float
    max_live_s: float


class BrowserV1(Exact):
    """What a browser loads, once, to judge by itself."""

    version: str
    bytes: int


class ModelsV1(Exact):
    """What judges, and what it accepts."""

    models: list[ModelV1]
    limits: Limits
    ringtrue: str
    browser: BrowserV1 | None = Field(description="null where the service came without the runtime")


class EnrolledV1(BaseModel):
    """A generator that was added from a few clips."""

    name: str
    acoustic_model: str = Field(description="empty if it was not given")
    vocoder: str = Field(description="empty if it was not given")
    clips: int
    notes: list[str] = Field([], description="clips that were left out, and doubts")


class EnrolmentsV1(BaseModel):
    """The generators that were added to this service's tracer."""

    enrolled: list[EnrolledV1]


class Problem(BaseModel):
    """What is wrong with a request (RFC 9457)."""

    title: str
    status: int
    detail: str


assert SCHEMA == 1, "a new layout of Verdict needs a VerdictV2 here"
