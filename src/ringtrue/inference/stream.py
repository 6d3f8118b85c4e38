"""Chunks of live audio -> how the evidence stands, twice a second; at the end the verdict that `check` gives."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ringtrue.audio import MAX_RATE_HZ, MIN_RATE_HZ, SAMPLE_RATE_HZ, AudioInfo, Resampler, to_float, to_mono
from ringtrue.errors import AudioError, CheckpointError
from ringtrue.inference.judge import ENOUGH_SPEECH_S
from ringtrue.inference.runtime import Hearing
from ringtrue.inference.sequential import Extremes, SequentialTest, Word
from ringtrue.inference.verdict import Segment, Verdict

if TYPE_CHECKING:
    from ringtrue.inference.runtime import Detector

_PIECE = 1 << 15  # native samples taken at a time, so that a chunk of an hour is no special case


@dataclass(frozen=True)
class Running:
    """How the evidence stands: what `check` would say of the recording if it ended here.

    Attributes:
        heard_s: Seconds heard so far.
        llr: Calibrated log-likelihood ratio of all of them, above 0 favours bona fide; None without calibration.
        score: The same before calibration.
        now: The newest window alone.
        regions: Spoofed pieces found so far; see `Verdict.regions`.
        decision: The sequential decision, None while it is open or where none is wanted.
        decided_s: Seconds that were heard when it was made.
    """

    heard_s: float
    llr: float | None
    score: float
    now: Segment
    regions: tuple[Segment, ...]
    decision: Word | None = None
    decided_s: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give plain JSON values."""
        from dataclasses import asdict

        return asdict(self)


class Stream:
    """A recording judged while it arrives; `Detector.stream` makes one.

    Args:
        detector: The model.
        rate_hz: Sample rate of what will be pushed.
        hop_s: How often to say how it stands, 0.1 to 2 s.
        error_rate: Also decide as soon as this rate of either error can be promised, in (0, 1).
        name: What to call it.

    Raises:
        AudioError: The rate or hop is not accepted.
        CheckpointError: The model cannot promise such a rate.
    """

    def __init__(
        self,
        detector: Detector,
        rate_hz: int = SAMPLE_RATE_HZ,
        *,
        hop_s: float = 0.5,
        error_rate: float | None = None,
        name: str = "stream",
    ):
        if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
            raise AudioError(f"{name}: sample rate {rate_hz} Hz; accepted: {MIN_RATE_HZ} to {MAX_RATE_HZ}")
        if not 0.1 <= hop_s <= 2.0:
            raise AudioError(f"{name}: a hop of {hop_s} s; accepted: 0.1 to 2 s")
        self._judge, self._trace = detector.judge, detector.trace
        self._hearing = Hearing(detector.score_windows)
        self._test = SequentialTest(_boundaries(detector, error_rate)) if error_rate is not None else None
        self._hop = round(hop_s * SAMPLE_RATE_HZ)
        self._due = self._hop  # samples at which to speak next
        self._rate_hz, self._name = rate_hz, name
        self._resampler = Resampler(rate_hz)
        self._digest = hashlib.sha256()
        self._pushed = self._beyond = 0
        self._finished = False

    def push(self, chunk: NDArray[Any]) -> list[Running]:
        """Take the next samples.

        Args:
            chunk: `(t,)` or `(t, C)`, any size; float in [-1, 1], int16, int32 or uint8.

        Returns:
            How it stands at every hop that is now complete: none, one or many.

        Raises:
            AudioError: The samples are not finite or absurdly large, or the stream has been finished.
        """
        if self._finished:
            raise AudioError(f"{self._name} has been finished; a new recording takes a new stream")
        samples = to_float(np.asarray(chunk))
        if samples.ndim not in (1, 2):
            raise AudioError(f"{self._name}: a chunk has the shape (t,) or (t, C), not {samples.shape}")
        samples = samples.reshape(len(samples), -1)
        said: list[Running] = []
        for at in range(0, len(samples), _PIECE):
            piece = samples[at : at + _PIECE]
            mono, beyond = to_mono(piece, self._name)
            self._digest.update(np.ascontiguousarray(piece).tobytes())
            self._pushed += len(piece)
            self._beyond += beyond
            said += self._hear(self._resampler.push(mono))
        return said

    def finish(self) -> Verdict:
        """End the recording.

        Returns:
            The verdict, with its source: that of `Detector.check` for the same samples; the scores agree within
            float rounding.

        Raises:
            AudioError: Nothing was pushed, or it was finished before.
        """
        if self._finished:
            raise AudioError(f"{self._name} has been finished already")
        self._hear(self._resampler.end())
        self._finished = True
        evidence = self._hearing.evidence
        if evidence.samples == 0:
            raise AudioError(f"{self._name} holds no audio (0 samples); check what it comes from")
        info = AudioInfo(self._name, self._digest.hexdigest(), self._rate_hz, 1, "pcm", "stream")
        starts, scores = self._hearing.scores()
        clipped = f"clipped: {self._beyond / self._pushed:.2%} of the samples lie beyond full scale"
        verdict = self._judge.verdict(info, evidence, starts, scores, (clipped,) if self._beyond else ())
        return self._trace(verdict, self._hearing)

    def _hear(self, block: NDArray[np.float32]) -> list[Running]:
        """Take 16 kHz samples and speak at every hop on the way."""
        said = []
        while len(block):
            part, block = np.split(block, [self._due - self._hearing.evidence.samples])
            self._hearing.push(part)
            if self._hearing.evidence.samples == self._due:
                said.append(self._running())
                self._due += self._hop
        return said

    def _running(self) -> Running:
        evidence = self._hearing.evidence
        starts, scores = self._hearing.scores()
        heard_s, score = evidence.samples / SAMPLE_RATE_HZ, float(scores.mean())
        llr = self._judge.llr(score)
        test = self._test
        if (
            test is not None
            and test.decision is None
            and llr is not None
            and evidence.summary()["speech_s"] >= ENOUGH_SPEECH_S
        ):
            test.look(heard_s, llr)
        now = Segment(int(starts[-1]) / SAMPLE_RATE_HZ, heard_s, self._judge.llr(float(scores[-1])))
        regions = self._judge.regions(starts, scores, evidence.samples)
        decision, decided_s = (test.decision, test.decided_s) if test else (None, None)
        return Running(heard_s, llr, score, now, regions, decision, decided_s)


def _boundaries(detector: Detector, rate: float) -> Any:
    if not 0 < rate < 1:
        raise CheckpointError(f"error rate {rate}; a share between 0 and 1 is accepted, such as 0.05")
    stored = detector.card.get("sequential")
    if not stored:
        raise CheckpointError(
            f"the model {detector.card['name']!r} came without sequential boundaries, so no error rate can be "
            "promised before the end: export it with --corpus, which measures them on development recordings"
        )
    return Extremes.from_dict(stored).boundaries(rate)
