"""JSON lines on stdin, one synthesis job each -> WAV files, and one JSON line per job on stdout.

This file and the `engine_*` files beside it run as a separate program under the engines' own Python: they
import the standard library, numpy, scipy, soundfile and the engines, never ringtrue. That keeps engines
under the GPL and AGPL at arm's length, and a crash in one of them costs one job.

Usage: ``engine_worker.py SETTINGS`` with SETTINGS a JSON object: ``prefix`` (folder of the unpacked Debian
packages), ``environment`` (variables for programs in it), ``models`` (folder for derived model files).
"""

from __future__ import annotations

import importlib
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

MODULES = {
    "espeak_formant": "engine_programs",
    "flite_kal_diphone": "engine_programs",
    "flite_clustergen": "engine_programs",
    "festival_diphone_cs": "engine_programs",
    "festival_diphone_it": "engine_programs",
    "festival_hts_slt": "engine_programs",
    "festival_clunits_ru": "engine_programs",
    "piper_joe": "engine_tts",
    "hibari_heart": "engine_tts",
    "kokoro82m": "engine_tts",
    "copy_world": "engine_vocoders",
    "copy_griffinlim": "engine_vocoders",
    "copy_lpc": "engine_vocoders",
    "copy_hifigan": "engine_neural_vocoders",
    "copy_mbmelgan": "engine_neural_vocoders",
    "copy_mlsa": "engine_vocoders",
}
"""Engine -> the file that holds it, as a function of the engine's name."""

_TYPEWRITTEN = str.maketrans(
    {**dict.fromkeys("‘’", "'"), **dict.fromkeys("“”„«»", '"'), **dict.fromkeys("–—", ",")}
)
"""Typographic marks that an ASCII engine would drop and a Russian one refuses -> marks that all can read."""

_SILENT_PEAK = 1e-3  # full scale is 1: anything below -60 dB is an engine that failed politely
_SHORTEST_S = 0.4
_SLOWEST_S_PER_CHARACTER = 0.32  # four times the usual 0.08: beyond it an engine is stuck in a loop


def main() -> None:
    """Serve jobs until stdin ends."""
    settings = json.loads(sys.argv[1])
    # Engines print; the protocol therefore keeps the real stdout to itself and everybody else gets stderr.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        job = json.loads(line)
        try:
            reason = make(job, settings)
        except Exception as error:  # an engine may raise anything, and it must cost this job only
            reason = f"{type(error).__name__}: {error}".split("\n")[0][:200]
        answers.write(json.dumps({"id": job["id"], "reason": reason}) + "\n")
        answers.flush()


def make(job: dict[str, Any], settings: dict[str, Any]) -> str:
    """Do one job.

    Args:
        job: The fields of `engines.Job`, paths as strings.
        settings: See the module's text.

    Returns:
        An empty string when ``job["out"]`` was written, else why not.
    """
    import numpy as np
    import soundfile

    engine = getattr(importlib.import_module(MODULES[job["engine"]]), job["engine"])
    if job["source_wave"]:
        source, rate_hz = soundfile.read(job["source_wave"], dtype="float32")
        wave, rate_hz = engine(source, rate_hz, job["seed"])
    else:
        wave, rate_hz = engine({**job, "text": job["text"].translate(_TYPEWRITTEN)}, settings)
        if wave.size < _SHORTEST_S * rate_hz:
            return f"only {wave.size / rate_hz:.2f} s came out"
        if wave.size > rate_hz * max(4.0, _SLOWEST_S_PER_CHARACTER * len(job["text"])):
            return f"{wave.size / rate_hz:.1f} s came out for {len(job['text'])} characters"
    if not np.isfinite(wave).all():
        return "the output is not finite"
    peak = float(np.abs(wave).max(initial=0.0))
    if peak < _SILENT_PEAK:
        return "the output is silent"
    _write(Path(job["out"]), wave / max(1.0, peak), rate_hz)
    return ""


def _write(path: Path, wave: Any, rate_hz: int) -> None:
    import soundfile

    recording = io.BytesIO()  # libsndfile would not say why a file cannot be written
    soundfile.write(recording, wave, rate_hz, subtype="PCM_16", format="WAV")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_bytes(recording.getvalue())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
