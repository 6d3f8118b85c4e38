"""A detector x a labelled set x what happens to recordings -> what is left of it under each condition."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from ringtrue.audio import SAMPLE_RATE_HZ
from ringtrue.data.augment import add_noise, band_limit, codec_round_trip, set_level
from ringtrue.data.trials import Trial, fingerprint
from ringtrue.errors import CheckpointError, CorpusError
from ringtrue.evaluation.intervals import eer_interval
from ringtrue.evaluation.scoring import Load, score_resumably
from ringtrue.files import stable_int
from ringtrue.inference.runtime import Detector
from ringtrue.inference.speech import find_speech

Samples = NDArray[np.float32]
Change = Callable[[Samples, np.random.Generator], Samples]

_PACKET = 320  # samples: 20 ms, what a call sends at a time


def reverberate(samples: Samples, rng: np.random.Generator, rt60_s: float) -> Samples:
    """Put a voice into a room: noise that dies away exponentially.

    Moorer, "About this reverberation business", 1979.

    Args:
        samples: ``(T,)``.
        rng: Source of the room.
        rt60_s: Seconds in which it falls by 60 dB.

    Returns:
        ``(T,)`` at the level of the input; the direct sound stays where it was, 6 dB above the room.
    """
    from scipy.signal import oaconvolve

    count = max(2, round(rt60_s * SAMPLE_RATE_HZ))
    room = rng.standard_normal(count) * 10 ** (-3 * np.arange(count) / count)
    room *= 0.5 / np.sqrt(np.sum(room**2))
    room[0] = 1.0
    wet = oaconvolve(samples, room)[: len(samples)]
    return np.asarray(np.clip(wet * _rms(samples) / max(_rms(wet), 1e-9), -1, 1), np.float32)


def lose_packets(samples: Samples, rng: np.random.Generator, rate: float) -> Samples:
    """Lose 20 ms packets, one or a few at a time, and repeat the last one at half its level in their place.

    Args:
        samples: ``(T,)``.
        rng: Which are lost.
        rate: Share of packets that is lost, 0 to 1.

    Returns:
        ``(T,)``.
    """
    result = samples.copy()
    count = len(samples) // _PACKET
    stay = 0.5  # chance that a loss goes on: they come in bursts
    begin = rate * (1 - stay) / max(1e-9, 1 - rate)
    lost = False
    for index in range(1, count):
        lost = rng.random() < (stay if lost else begin)
        if lost:
            at = index * _PACKET
            result[at : at + _PACKET] = 0.5 * result[at - _PACKET : at]
    return result


def change_rate(samples: Samples, rng: np.random.Generator, rate_hz: int) -> Samples:
    """Bring a recording to another rate and back, as another recorder would have made it."""
    import soxr

    there = soxr.resample(samples, SAMPLE_RATE_HZ, rate_hz, quality="HQ")
    back = soxr.resample(there, rate_hz, SAMPLE_RATE_HZ, quality="HQ")
    return np.asarray(np.clip(np.resize(back, len(samples)) if len(back) else samples, -1, 1), np.float32)


def overdrive(samples: Samples, rng: np.random.Generator, gain_db: float) -> Samples:
    """Amplify until the peaks are cut off."""
    return np.asarray(np.clip(samples * 10 ** (gain_db / 20), -1, 1), np.float32)


def trim_silence(samples: Samples, rng: np.random.Generator) -> Samples:
    """Cut the silence before and after the speech off."""
    frames = samples[: len(samples) // _PACKET * _PACKET].reshape(-1, _PACKET)
    level_db = (10 * np.log10(np.square(frames).mean(axis=1) + 1e-12)).astype(np.float32)
    spoken = np.flatnonzero(find_speech([level_db], np.ones(len(level_db), bool)).frames)
    return samples if len(spoken) == 0 else samples[spoken[0] * _PACKET : (spoken[-1] + 1) * _PACKET]


def keep_seconds(samples: Samples, rng: np.random.Generator, seconds: float) -> Samples:
    """Keep a piece from somewhere inside."""
    count = round(seconds * SAMPLE_RATE_HZ)
    at = int(rng.integers(0, max(1, len(samples) - count + 1)))
    return samples[at : at + count]


def _coded(samples: Samples, rng: np.random.Generator, codec: str, kbps: float | None = None) -> Samples:
    return codec_round_trip(samples, codec, kbps)


def _banded(samples: Samples, rng: np.random.Generator, low_hz: float, high_hz: float) -> Samples:
    return band_limit(samples, low_hz, high_hz)


def _noisy(samples: Samples, rng: np.random.Generator, snr_db: float, colour: str) -> Samples:
    return add_noise(samples, snr_db, rng, colour)


def _levelled(samples: Samples, rng: np.random.Generator, level_db: float) -> Samples:
    return set_level(samples, level_db)


def _unchanged(samples: Samples, rng: np.random.Generator) -> Samples:
    return samples


CONDITIONS: Mapping[str, Change] = MappingProxyType(
    {
        "as it is": _unchanged,
        "G.711 mu-law": partial(_coded, codec="mulaw"),
        "G.711 A-law": partial(_coded, codec="alaw"),
        "GSM full rate": partial(_coded, codec="gsm"),
        "AMR 4.75 kbit/s": partial(_coded, codec="amr_nb", kbps=4.75),
        "AMR 12.2 kbit/s": partial(_coded, codec="amr_nb", kbps=12.2),
        "G.722": partial(_coded, codec="g722"),
        "Opus 6 kbit/s": partial(_coded, codec="opus", kbps=6),
        "Opus 16 kbit/s": partial(_coded, codec="opus", kbps=16),
        "Opus 48 kbit/s": partial(_coded, codec="opus", kbps=48),
        "mp3 16 kbit/s": partial(_coded, codec="mp3", kbps=16),
        "mp3 32 kbit/s": partial(_coded, codec="mp3", kbps=32),
        "mp3 96 kbit/s": partial(_coded, codec="mp3", kbps=96),
        "AAC 16 kbit/s": partial(_coded, codec="aac", kbps=16),
        "AAC 48 kbit/s": partial(_coded, codec="aac", kbps=48),
        "300 to 3400 Hz": partial(_banded, low_hz=300.0, high_hz=3_400.0),
        "below 4 kHz": partial(_banded, low_hz=0.0, high_hz=4_000.0),
        "above 300 Hz": partial(_banded, low_hz=300.0, high_hz=8_000.0),
        "white noise, 20 dB": partial(_noisy, snr_db=20.0, colour="white"),
        "white noise, 10 dB": partial(_noisy, snr_db=10.0, colour="white"),
        "pink noise, 10 dB": partial(_noisy, snr_db=10.0, colour="pink"),
        "room, RT60 0.3 s": partial(reverberate, rt60_s=0.3),
        "room, RT60 0.8 s": partial(reverberate, rt60_s=0.8),
        "by way of 8 kHz": partial(change_rate, rate_hz=8_000),
        "by way of 11.025 kHz": partial(change_rate, rate_hz=11_025),
        "by way of 44.1 kHz": partial(change_rate, rate_hz=44_100),
        "5 % of packets lost": partial(lose_packets, rate=0.05),
        "20 % of packets lost": partial(lose_packets, rate=0.20),
        "level -40 dBFS": partial(_levelled, level_db=-40.0),
        "overdriven by 15 dB": partial(overdrive, gain_db=15.0),
        "silence trimmed": trim_silence,
        "1 s of it": partial(keep_seconds, seconds=1.0),
        "2 s of it": partial(keep_seconds, seconds=2.0),
    }
)
"""What may happen to a recording, by name; each keeps `(T,)` float32 at 16 kHz in [-1, 1]."""


@dataclass(frozen=True)
class Row:
    """A detector under one condition; rates and EER in percent.

    Attributes:
        condition: Its name in `CONDITIONS`.
        eer: Equal error rate.
        low: Lower end of its 95 % interval, speakers and systems resampled.
        high: Upper end.
        bonafide_rejected: Bona fide trials called spoof at the shipped threshold.
        spoof_accepted: Spoof trials called bona fide at the shipped threshold.
        undecided: Trials of both classes that fall into the band of doubt.
        bonafide: Number of bona fide trials.
        spoof: Number of spoof trials.
    """

    condition: str
    eer: float
    low: float
    high: float
    bonafide_rejected: float
    spoof_accepted: float
    undecided: float
    bonafide: int
    spoof: int


def measure_robustness(
    detector: Detector,
    trials: Sequence[Trial],
    load: Load,
    conditions: Sequence[str],
    journals: Path,
    progress: Callable[[Row], None],
) -> list[Row]:
    """Score trials under each condition.

    Args:
        detector: A calibrated model.
        trials: What to score; training must not have heard it.
        load: Reads a trial's wave.
        conditions: Names in `CONDITIONS`.
        journals: Folder for what has been scored, so that a killed run goes on.
        progress: Takes each row as soon as it is known.

    Returns:
        One row a condition.

    Raises:
        CheckpointError: The model is not calibrated.
        CorpusError: A condition is unknown, or a label is missing.
    """
    if not detector.card["calibration"]:
        raise CheckpointError("the model is not calibrated, so it has no threshold to be wrong at")
    unknown = sorted(set(conditions) - set(CONDITIONS))
    if unknown:
        raise CorpusError(f"no condition {unknown[0]!r}; there are: {', '.join(CONDITIONS)}")
    if {trial.label for trial in trials} != {"bonafide", "spoof"}:
        raise CorpusError("robustness is measured on trials of both labels; give a split that has them")
    rows = []
    for name in conditions:
        row = _row(detector, trials, load, name, journals)
        progress(row)
        rows.append(row)
    return rows


def table_of(rows: Sequence[Row]) -> str:
    """Lay rows out for a terminal."""
    heads = ("EER %", "95 % interval", "real called spoof", "spoof called real", "no decision")
    widths = (6, 15, 18, 18, 12)
    lines = [
        " ".join(
            [f"{'condition':24}", *(f"{head:>{width}}" for head, width in zip(heads, widths, strict=True))]
        )
    ]
    lines += [
        f"{row.condition:24} {row.eer:6.1f} {f'[{row.low:.1f}, {row.high:.1f}]':>15} {row.bonafide_rejected:17.1f}% "
        f"{row.spoof_accepted:17.1f}% {row.undecided:11.1f}%"
        for row in rows
    ]
    return "\n".join(lines)


def json_of(rows: Sequence[Row]) -> str:
    """Give rows as one line of JSON."""
    return json.dumps([asdict(row) for row in rows])


def _row(detector: Detector, trials: Sequence[Trial], load: Load, name: str, journals: Path) -> Row:
    change = CONDITIONS[name]

    def changed(trial: Trial) -> Samples:
        return change(load(trial), np.random.default_rng(stable_int(name, trial.id)))

    key = stable_int(name, detector.sha256, fingerprint(trials))
    outcomes = list(score_resumably(detector.score_windows, trials, changed, journals / f".{key:016x}.jsonl"))
    sides = [[o for o in outcomes if not o.error and o.trial.is_bonafide is side] for side in (True, False)]
    if not all(sides):
        raise CorpusError(f"no trial of one label could be read under the condition {name!r}")
    llrs = [np.array([detector.judge.llr(o.score) for o in side], np.float64) for side in sides]
    interval = eer_interval(
        llrs[0],
        llrs[1],
        [o.trial.speaker or o.trial.id for o in sides[0]],
        np.array([[o.trial.speaker or o.trial.id, o.trial.system] for o in sides[1]]),
        np.random.default_rng(0),
        draws=300,
    )
    band = detector.judge.operating_point["band"]
    both = np.concatenate(llrs)
    return Row(
        name,
        100 * interval.estimate,
        100 * interval.low,
        100 * interval.high,
        100 * float(np.mean(llrs[0] < band["lower"])),
        100 * float(np.mean(llrs[1] >= band["upper"])),
        100 * float(np.mean((both >= band["lower"]) & (both < band["upper"]))),
        len(llrs[0]),
        len(llrs[1]),
    )


def _rms(samples: NDArray[np.floating]) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
