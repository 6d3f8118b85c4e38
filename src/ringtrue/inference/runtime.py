"""A recording -> Verdict, on ONNX Runtime: windows, evidence, a calibrated decision or none. No torch."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ringtrue.audio import SAMPLE_RATE_HZ, Source, open_stream
from ringtrue.errors import CheckpointError
from ringtrue.evaluation.calibrate import Band
from ringtrue.evaluation.mappings import Fusion, map_from
from ringtrue.files import cache_dir, sha256_file
from ringtrue.inference.evidence import Evidence
from ringtrue.inference.session import open_session, read_card
from ringtrue.inference.verdict import Decision, Segment, Verdict
from ringtrue.windows import split_stream, timeline

ENOUGH_SPEECH_S = 1.0  # below this a recording gets no decision
_BATCH = 16  # windows judged at once: bounds memory on a recording of any length


class Detector:
    """A detector on ONNX Runtime.

    Args:
        path: An ``.onnx`` file that `ringtrue export` or `ringtrue train` wrote.
        threads: CPU threads that one call may use.

    Raises:
        CheckpointError: The file is missing, damaged or was not written by ringtrue.
    """

    def __init__(self, path: str | Path, threads: int = 1):
        path = Path(path)
        self._session = open_session(path, threads)
        self.card: dict[str, Any] = read_card(self._session, path)
        self.sha256 = sha256_file(path)
        fitted = self.card["calibration"]
        self._calibration = map_from(fitted) if fitted else None
        self._band = Band.from_dict(fitted["band"]) if fitted else None

    @classmethod
    def from_pretrained(cls, name: str | Path | None = None, threads: int = 1) -> Detector:
        """Load a detector by name or path.

        Args:
            name: An ``.onnx`` file, the name of an installed model, or nothing for ``$RINGTRUE_MODEL`` or,
                without it, the model called ``default``.
            threads: CPU threads that one call may use.

        Returns:
            The detector.

        Raises:
            CheckpointError: There is no such model.
        """
        wanted = str(name or os.environ.get("RINGTRUE_MODEL") or "default")
        if wanted.endswith(".onnx") or os.sep in wanted:
            return cls(wanted, threads)
        installed = installed_model(wanted)
        if not installed.is_file():
            raise CheckpointError(
                f"no model named {wanted!r} is installed: `ringtrue demo` trains and installs one, "
                "or give the path of an .onnx file (--model, or the variable RINGTRUE_MODEL)"
            )
        return cls(installed, threads)

    def score_windows(self, windows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Score windows.

        Args:
            windows: `(B, T)` float32, 16 kHz.

        Returns:
            `(B,)` raw scores, higher = more likely bona fide.
        """
        (logits,) = self._session.run(["logits"], {"wave": windows})
        scores: NDArray[np.float64] = (logits[:, 1] - logits[:, 0]).astype(np.float64)
        return scores

    def check(self, source: Source) -> Verdict:
        """Judge a recording.

        Args:
            source: A path, bytes, or ``(samples, rate_hz)``. Any length, in bounded memory.

        Returns:
            The verdict.

        Raises:
            AudioError: The source cannot be read as audio.
        """
        evidence = Evidence()
        with open_stream(source) as stream:
            starts, scores = self._judge(evidence.listen(stream))
            info, warnings = stream.info, stream.warnings
        score = float(scores.mean())
        pieces = timeline(starts, scores, evidence.samples)
        llr = self._llr(score)
        measured = evidence.summary()
        decision, doubts = self._decide(llr, measured)
        return Verdict(
            name=info.name,
            decision=decision,
            llr=llr,
            score=score,
            segments=tuple(Segment(start_s, end_s, self._llr(mean)) for start_s, end_s, mean in pieces),
            evidence=measured,
            warnings=(*warnings, *doubts),
            operating_point=self.card["calibration"],
            model={
                "name": self.card["name"],
                "sha256": self.sha256,
                "ringtrue": self.card["provenance"].get("ringtrue", ""),
            },
            audio={
                "sha256": info.sha256,
                "container": info.container,
                "codec": info.codec,
                "native_rate_hz": info.native_rate_hz,
                "channels": info.channels,
                "duration_s": evidence.samples / SAMPLE_RATE_HZ,
            },
        )

    def _llr(self, score: float) -> float | None:
        fitted = self._calibration
        # A fusion is of several models; none is ever stored in one.
        return None if fitted is None or isinstance(fitted, Fusion) else float(fitted.apply(score))

    def _judge(self, blocks: Iterable[NDArray[np.float32]]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        starts: list[int] = []
        scores: list[NDArray[np.float64]] = []
        waiting: list[NDArray[np.float32]] = []
        for start, window in split_stream(blocks):
            starts.append(start)
            waiting.append(window)
            if len(waiting) == _BATCH:
                scores.append(self.score_windows(np.stack(waiting)))
                waiting.clear()
        if waiting:
            scores.append(self.score_windows(np.stack(waiting)))
        return np.array(starts), np.concatenate(scores)

    def _decide(self, llr: float | None, measured: dict[str, float]) -> tuple[Decision, list[str]]:
        """Decide, or decline and say why; list what makes the verdict weaker."""
        doubts = []
        if measured["speech_s"] < ENOUGH_SPEECH_S:
            doubts.append(f"only {measured['speech_s']:.1f} s of speech: too little for a decision")
        if measured["bandwidth_hz"] < 3_800:
            doubts.append(f"narrow band: nothing above {measured['bandwidth_hz'] / 1000:.1f} kHz")
        if llr is None or self._band is None:
            return "inconclusive", [
                *doubts,
                "the model is not calibrated: its score is no evidence by itself",
            ]
        if measured["speech_s"] < ENOUGH_SPEECH_S:
            return "inconclusive", doubts
        word = self._band.verdict(llr)
        return ("bona fide" if word == "bonafide" else word), doubts


def check(source: Source, model: str | Path | None = None) -> Verdict:
    """Judge one recording.

    Args:
        source: A path, bytes, or ``(samples, rate_hz)``. Any length, in bounded memory.
        model: See `Detector.from_pretrained`. For many recordings, load a `Detector` once.

    Returns:
        The verdict.

    Raises:
        AudioError: The source cannot be read as audio.
        CheckpointError: There is no such model.
    """
    return Detector.from_pretrained(model).check(source)


def installed_model(name: str) -> Path:
    """Say where an installed model lies.

    Args:
        name: Its name.

    Returns:
        A path in the cache folder, whether it exists or not.
    """
    return cache_dir() / "models" / f"{name}.onnx"
