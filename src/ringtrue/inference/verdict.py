"""What a detector has to say about one recording, in a form that a person, a program and a report can read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

SCHEMA = 1
"""Version of `Verdict.to_dict`'s layout."""

Decision = Literal["bona fide", "spoof", "inconclusive"]


@dataclass(frozen=True)
class Segment:
    """A piece of a recording.

    Attributes:
        start_s: Where it starts.
        end_s: Where it ends.
        llr: Evidence of the windows that cover it, above 0 favours bona fide: natural-log likelihood ratio, or
            ``None`` where the model was never calibrated.
    """

    start_s: float
    end_s: float
    llr: float | None


@dataclass(frozen=True)
class Verdict:
    """A judgement with what is needed to doubt it.

    Attributes:
        name: The recording.
        decision: ``"bona fide"``, ``"spoof"`` or ``"inconclusive"``; the last rather than a guess.
        llr: Calibrated natural-log likelihood ratio of the whole recording; above 0 favours bona fide;
            ``None`` where the model was never calibrated.
        score: The model's own score before calibration; higher = more likely bona fide.
        segments: The timeline; covers the recording.
        evidence: Measurements of the recording: seconds of speech, bandwidth, level.
        warnings: Why to trust this verdict less.
        operating_point: Thresholds used, the error rates measured at them and on what.
        model: Name, sha256 and version of what judged.
        audio: sha256 of the source, how it was decoded, its length.
    """

    name: str
    decision: Decision
    llr: float | None
    score: float
    segments: tuple[Segment, ...]
    evidence: Mapping[str, float]
    warnings: tuple[str, ...]
    operating_point: Mapping[str, Any] = field(default_factory=dict)
    model: Mapping[str, str] = field(default_factory=dict)
    audio: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON values, with the layout's version."""
        return {"schema": SCHEMA, **asdict(self)}
