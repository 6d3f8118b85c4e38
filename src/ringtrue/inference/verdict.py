"""What a detector has to say about one recording, in a form that a person, a program and a report can read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

SCHEMA = 1
"""Version of `Verdict.to_dict`'s layout."""

Decision = Literal["bona fide", "spoof", "inconclusive"]


@dataclass(frozen=True, slots=True)
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

    def to_dict(self) -> dict[str, float | None]:
        """Give plain JSON values."""
        return {"start_s": self.start_s, "end_s": self.end_s, "llr": self.llr}


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
        regions: Pieces whose evidence for spoof is strong enough to stand among so many; the chance that a wholly
            bona fide recording has any is the error rate of the operating point, as far as the model is calibrated.
        source: What kind of system made it; see `ringtrue.inference.source.SourceTrace`. ``None`` where the decision
            is not spoof.
        evidence: Measurements of the recording: seconds of speech, bandwidth, level, pauses; see `Evidence`.
        percentiles: Where they stand among real speech, 0 to 100; empty if the model came without a reference.
        warnings: Why to trust this verdict less.
        operating_point: Thresholds used, the error rates measured at them and on what.
        model: Name, sha256 and version of what judged.
        audio: sha256 of the source, how it was decoded, its length.
        envelope: The recording's outline for a picture: the peak of each of at most 120 equal parts.
    """

    name: str
    decision: Decision
    llr: float | None
    score: float
    segments: tuple[Segment, ...]
    evidence: Mapping[str, float]
    warnings: tuple[str, ...]
    percentiles: Mapping[str, float] = field(default_factory=dict)
    regions: tuple[Segment, ...] = ()
    source: Mapping[str, Any] | None = None
    operating_point: Mapping[str, Any] = field(default_factory=dict)
    model: Mapping[str, str] = field(default_factory=dict)
    audio: Mapping[str, Any] = field(default_factory=dict)
    envelope: tuple[float, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON values, with the layout's version; mappings are the verdict's own."""
        return {
            "schema": SCHEMA,
            **vars(self),  # asdict() copies every number by itself, which took as long as decoding the file
            "segments": [piece.to_dict() for piece in self.segments],
            "regions": [piece.to_dict() for piece in self.regions],
        }
