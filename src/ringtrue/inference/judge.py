"""Window scores and evidence -> Verdict: calibration, decision or none, regions, doubts. Numbers only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringtrue.audio import SAMPLE_RATE_HZ, AudioInfo
from ringtrue.errors import CheckpointError
from ringtrue.evaluation.calibrate import Band, Calibration
from ringtrue.evaluation.mappings import Fusion, map_from
from ringtrue.inference.evidence import Evidence, Reference
from ringtrue.inference.verdict import Decision, Segment, Verdict
from ringtrue.windows import WINDOW, timeline

ENOUGH_SPEECH_S = 1.0  # below this a recording gets no decision

_NARROW_HZ = 3_800.0
_FULL_SCALE_SHARE = 0.001  # beyond it the peaks were probably cut off
_OUTSIDE = 0.5  # percent of real speech: what lies beyond on either side is outside the model's experience
_EXPERIENCE = {
    "bandwidth_hz": "a bandwidth of {:.0f} Hz",
    "level_db": "a level of {:.1f} dB",
    "snr_db": "speech {:.1f} dB over the background",
}  # what the channel does, and a model must have met
_HARSH = {
    "amr_nb",
    "amrnb",
    "amr_wb",
    "gsm",
    "gsm_ms",
    "gsm610",
    "g722",
    "adpcm_g722",
    "g726",
    "speex",
    "mulaw",
    "alaw",
    "ulaw",
}


class Judge:
    """Turns what was measured into a verdict, by the card of a model.

    Args:
        card: The model's card; see `ringtrue.inference.session.read_card`.
        model: Name, sha256 and version, for the verdict.
        threshold: Call spoof below this log-likelihood ratio and bona fide from it on, instead of the
            model's own band of doubt.

    Raises:
        CheckpointError: The card's reference is damaged, or a threshold is wanted of a model without calibration.
    """

    def __init__(self, card: Mapping[str, Any], model: Mapping[str, str], threshold: float | None = None):
        fitted = card["calibration"]
        self.model = model
        self.operating_point: dict[str, Any] = dict(fitted or {})
        found = map_from(fitted) if fitted else None
        self._calibration = None if isinstance(found, Fusion) else found  # a fusion is of several models
        self._band = Band.from_dict(fitted["band"]) if fitted else None
        stored = card.get("reference")
        self._reference = Reference.from_dict(stored) if stored else None
        if threshold is not None:
            self._move(threshold)

    def llr(self, score: float) -> float | None:
        """Calibrate a score; None where the model never was."""
        return None if self._calibration is None else float(self._calibration.apply(score))

    @property
    def even(self) -> float:
        """The raw score that favours neither side; 0 without calibration."""
        found = self._calibration
        if found is None:
            return 0.0
        if isinstance(found, Calibration):
            return -found.offset / found.slope
        return float(np.interp(0.0, found.llrs, found.scores))

    def regions(
        self, starts: NDArray[np.int64], scores: NDArray[np.float64], length: int
    ) -> tuple[Segment, ...]:
        """Find pieces that are machine-made beyond what chance finds among so many windows.

        If a log-likelihood ratio means what it says, the chance that bona fide speech gives one below -x is at most
        exp(-x). Of n windows, none is then below ``-ln(n / rate)`` with a chance of 1 - rate, however they depend
        on each other (Markov's inequality and a union bound).

        Args:
            starts: Window starts `(B,)` in samples.
            scores: Their raw scores `(B,)`.
            length: Length of the recording in samples.

        Returns:
            The regions, in order, each with the mean LLR of its windows. None without calibration.
        """
        if self._calibration is None or self._band is None:
            return ()
        llrs = self._calibration.apply(scores)
        flagged = np.flatnonzero(llrs < -math.log(len(llrs) / self._band.rate))
        spans: list[list[float]] = []  # start, end, sum, count
        for index in flagged:
            start_s, end_s = (
                int(at) / SAMPLE_RATE_HZ for at in (starts[index], min(starts[index] + WINDOW, length))
            )
            if spans and start_s <= spans[-1][1]:
                spans[-1][1] = end_s
                spans[-1][2] += float(llrs[index])
                spans[-1][3] += 1
            else:
                spans.append([start_s, end_s, float(llrs[index]), 1])
        return tuple(Segment(start_s, end_s, total / count) for start_s, end_s, total, count in spans)

    def verdict(
        self,
        info: AudioInfo,
        evidence: Evidence,
        starts: NDArray[np.int64],
        scores: NDArray[np.float64],
        warnings: tuple[str, ...] = (),
    ) -> Verdict:
        """Judge a recording that has been heard to its end.

        Args:
            info: What it says of itself.
            evidence: What was measured.
            starts: Window starts `(B,)` in samples, B > 0.
            scores: Their raw scores `(B,)`, higher = more likely bona fide.
            warnings: What the decoder had to say.

        Returns:
            The verdict.
        """
        score = float(scores.mean())
        llr = self.llr(score)
        measured = evidence.summary()
        percentiles = self._reference.percentiles(measured) if self._reference else {}
        regions = self.regions(starts, scores, evidence.samples)
        decision, reasons = self._decide(llr, measured, regions)
        return Verdict(
            name=info.name,
            decision=decision,
            llr=llr,
            score=score,
            segments=self._segments(*timeline(starts, scores, evidence.samples)),
            evidence=measured,
            warnings=(*warnings, *reasons, *self._doubts(info, measured, percentiles)),
            percentiles=percentiles,
            regions=regions,
            operating_point=self.operating_point,
            model=self.model,
            audio={
                "sha256": info.sha256,
                "container": info.container,
                "codec": info.codec,
                "native_rate_hz": info.native_rate_hz,
                "channels": info.channels,
                "duration_s": evidence.samples / SAMPLE_RATE_HZ,
            },
            envelope=evidence.envelope(),
        )

    def _segments(self, edges_s: NDArray[np.float64], scores: NDArray[np.float64]) -> tuple[Segment, ...]:
        llrs: list[float | None] = [None] * len(scores)
        if self._calibration is not None:
            llrs = self._calibration.apply(scores).tolist()
        pieces = zip(pairwise(edges_s.tolist()), llrs, strict=True)
        return tuple(Segment(start_s, end_s, llr) for (start_s, end_s), llr in pieces)

    def _move(self, threshold: float) -> None:
        """Put the user's threshold in place of the band; the rates measured at the band say nothing about it."""
        if self._band is None:
            raise CheckpointError("a threshold is a log-likelihood ratio, and this model is not calibrated")
        if not math.isfinite(threshold):
            raise CheckpointError(
                f"threshold {threshold}; a finite log-likelihood ratio is accepted, such as 0"
            )
        self._band = Band(threshold, threshold, self._band.rate)
        self.operating_point = {
            "map": self.operating_point["map"],
            "band": self._band.to_dict(),
            "measured_on": "nothing: the threshold was given by the user",
        }

    def _decide(
        self, llr: float | None, measured: Mapping[str, float], regions: tuple[Segment, ...]
    ) -> tuple[Decision, list[str]]:
        """Decide, or decline; in either case say why."""
        if llr is None or self._band is None:
            return "inconclusive", ["the model is not calibrated: its score is no evidence by itself"]
        if measured["speech_s"] < ENOUGH_SPEECH_S:
            return "inconclusive", [f"only {measured['speech_s']:.1f} s of speech: too little for a decision"]
        word = self._band.verdict(llr)
        if word != "spoof" and regions:
            where = ", ".join(f"{region.start_s:.1f}-{region.end_s:.1f} s" for region in regions[:5])
            more = "" if len(regions) <= 5 else f" and {len(regions) - 5} more"
            return "spoof", [f"spoof in part: {where}{more}; the recording as a whole reads as {word}"]
        return ("bona fide" if word == "bonafide" else word), []

    def _doubts(
        self, info: AudioInfo, measured: Mapping[str, float], percentiles: Mapping[str, float]
    ) -> list[str]:
        """List what makes the verdict weaker."""
        doubts = []
        silent = measured["speech_s"] == 0  # then there is no channel to speak of
        if measured["bandwidth_hz"] < _NARROW_HZ and not silent:
            doubts.append(f"narrow band: nothing above {measured['bandwidth_hz'] / 1000:.1f} kHz")
        if measured.get("full_scale_share", 0.0) > _FULL_SCALE_SHARE:
            doubts.append(
                f"probably clipped: {measured['full_scale_share']:.1%} of the samples at full scale"
            )
        if info.codec in _HARSH:
            doubts.append(f"telephone codec {info.codec}: it removes traces that the model listens for")
        for name, words in _EXPERIENCE.items():
            place = percentiles.get(name)
            if place is not None and not _OUTSIDE < place < 100 - _OUTSIDE and not silent:
                side = "below" if place <= _OUTSIDE else "above"
                doubts.append(
                    f"outside what the model was trained on: {words.format(measured[name])} is {side} that of "
                    f"{100 - _OUTSIDE:g}% of {self._reference.measured_on if self._reference else ''}"
                )
        return doubts
