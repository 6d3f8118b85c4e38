"""Recordings of people -> the clips in tests/inference/gate, their copies by the zoo, and what the shipped model says.

    python scripts/gate_clips.py RECORDING...     # of people, under a licence that lets them be passed on
    python scripts/gate_clips.py                  # the clips stay; what is expected of them is written anew

Run the second after a change that is meant to change the model that ships, and read the difference.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import soundfile

from ringtrue.audio import SAMPLE_RATE_HZ, load
from ringtrue.data.corpora.starter.harmonise import to_level, trim
from ringtrue.data.corpora.zoo.methods import METHODS
from ringtrue.data.corpora.zoo.speech import Speech
from ringtrue.files import write_json
from ringtrue.inference.runtime import Detector

GATE = Path(__file__).parents[1] / "tests" / "inference" / "gate"
LONGEST_S = 3.0
COPIES = ("lpc_glottal", "mel_spsi")
SLACK = 0.1  # LLR either way: decoders and processors differ by less, another model by more


def write_clips(recordings: list[Path]) -> None:
    """Write each recording's opening and what the methods make of it."""
    for path in recordings:
        wave = to_level(trim(load(path).samples))[: round(LONGEST_S * SAMPLE_RATE_HZ)]
        soundfile.write(GATE / f"{path.stem}.flac", wave, SAMPLE_RATE_HZ, subtype="PCM_16")
        for name in COPIES:
            copy = to_level(METHODS[name].make(Speech(wave), np.random.default_rng(0)))
            soundfile.write(GATE / f"{path.stem}-{name}.flac", copy, SAMPLE_RATE_HZ, subtype="PCM_16")


def main() -> None:
    """Write clips where recordings are given, and what is expected of all clips."""
    GATE.mkdir(parents=True, exist_ok=True)
    write_clips([Path(name) for name in sys.argv[1:]])
    detector = Detector.from_pretrained("default")
    expected = {}
    for path in sorted(GATE.glob("*.flac")):
        verdict = detector.check(path)
        assert verdict.llr is not None, "the shipped model is calibrated"
        expected[path.name] = {
            "least_llr": round(verdict.llr - SLACK, 2),
            "most_llr": round(verdict.llr + SLACK, 2),
            "decision": verdict.decision,
        }
    write_json(GATE / "expected.json", expected)


if __name__ == "__main__":
    main()
