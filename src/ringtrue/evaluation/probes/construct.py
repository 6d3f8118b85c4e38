"""A scorer and people's clips -> which changes move its score: what the detector listens to, from 0 to 1.

Any scorer will do: a ringtrue model, or a command of somebody else's that is handed a list of WAV files.
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from ringtrue.audio import SAMPLE_RATE_HZ
from ringtrue.errors import RingtrueError, ScoresError
from ringtrue.evaluation.metrics import auc
from ringtrue.evaluation.scoring import ScoreBatch
from ringtrue.windows import split

Samples = NDArray[np.float32]
Array = NDArray[np.float64]
ScoreClips = Callable[[Sequence[Samples]], Array]
"""Clips of any length in, one score each out, higher = more likely bona fide."""

CONTRASTS = {
    "prosody": ("vocoded_natural", "vocoded_synthetic"),
    "artefact": ("real", "vocoded_natural"),
    "content": ("real", "reversed"),
    "channel": ("real", "telephone"),
    "silence": ("real", "padded"),
}
SENSITIVITIES = {
    "prosody": "the same vocoder with the person's prosody or with machine-like prosody (declination line, equal "
    "syllables): |2 AUC - 1|",
    "artefact": "the clip or the same clip through a vocoder with its own prosody: |2 AUC - 1|",
    "content": "the clip or the clip played backwards: |2 AUC - 1|; also moves what listens to onsets and decays",
    "channel": "the clip or the clip through a telephone's band, 300 to 3400 Hz: |2 AUC - 1|",
    "silence": "the clip trimmed or with half a second of faint noise at both ends: |2 AUC - 1|",
    "speaker": "share of the variance of people's scores that goes with who speaks (omega squared)",
}
"""What each sensitivity is; 0: the score takes no notice, 1: the score tells every clip of one kind from the other."""

_DRAWS = 500
_TIMEOUT_S = 3600


@dataclass(frozen=True)
class Sensitivity:
    """How much one thing moves the score.

    Attributes:
        value: From 0 to 1, see `SENSITIVITIES`.
        low: Lower end of its 95 % interval, by resampling whole speakers.
        high: Upper end.
        auc: Chance that the first of a contrast outscores the second; None for the speaker's.
    """

    value: float
    low: float
    high: float
    auc: float | None = None


@dataclass(frozen=True)
class Shift:
    """How a manipulation moves scores of people's clips.

    Attributes:
        mean: Mean change, in standard deviations of the untouched clips' scores; below 0: less bona fide.
        low: Lower end of its 95 % interval, by resampling whole speakers.
        high: Upper end.
    """

    mean: float
    low: float
    high: float


def of_windows(score_batch: ScoreBatch) -> ScoreClips:
    """Turn a scorer of windows into one of clips, by the mean over windows that every table uses."""

    def score(clips: Sequence[Samples]) -> Array:
        return np.array([float(np.mean(score_batch(split(clip)[1]), dtype=np.float64)) for clip in clips])

    return score


def of_command(command: str) -> ScoreClips:
    """Turn a command into a scorer of clips.

    Args:
        command: Such as ``"python detect.py {list}"``; ``{list}`` becomes the path of a text file that names
            one 16 kHz WAV file a line. It must print one number a line in that order, or lines of path, tab,
            score. Higher must mean more likely bona fide. It is run without a shell.

    Returns:
        The scorer.

    Raises:
        ScoresError: ``{list}`` is missing.
    """
    if "{list}" not in command:
        raise ScoresError(f"--scorer {command!r} does not say where the list of files goes: write {{list}}")

    def score(clips: Sequence[Samples]) -> Array:
        import soundfile

        with TemporaryDirectory(prefix="ringtrue-probe-") as folder:
            paths = [Path(folder) / f"{number:05d}.wav" for number in range(len(clips))]
            for path, clip in zip(paths, clips, strict=True):
                soundfile.write(path, clip, SAMPLE_RATE_HZ, subtype="PCM_16")
            listed = Path(folder) / "files.txt"
            listed.write_text("".join(f"{path}\n" for path in paths), encoding="utf-8")
            words = [word.replace("{list}", str(listed)) for word in shlex.split(command)]
            return _parsed(_run(words), paths)

    return score


def _run(words: Sequence[str]) -> str:
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except FileNotFoundError as error:
        raise RingtrueError(f"the scorer {words[0]!r} is not there: give a program on the path") from error
    except subprocess.TimeoutExpired as error:
        raise RingtrueError(f"the scorer {words[0]!r} took longer than {_TIMEOUT_S} s") from error
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["nothing on standard error"])[-1]
        raise RingtrueError(f"the scorer {words[0]!r} ended with status {done.returncode}: {said}")
    return done.stdout


def _parsed(output: str, paths: Sequence[Path]) -> Array:
    """Read one score a line, or path and score a line."""
    lines = [line for line in output.splitlines() if line.strip()]
    if len(lines) != len(paths):
        raise ScoresError(
            f"the scorer printed {len(lines)} lines for {len(paths)} files; wanted: one for each"
        )
    by_path = {str(path): number for number, path in enumerate(paths)}
    scores = np.full(len(paths), np.nan)
    for number, line in enumerate(lines):
        *names, value = line.split("\t") if "\t" in line else [line]
        place = by_path.get(names[0].strip(), -1) if names else number
        try:
            scores[place] = float(value)
        except ValueError as error:
            raise ScoresError(
                f"the scorer printed {line!r}; wanted: a number, or path, tab, number"
            ) from error
        if place < 0:
            raise ScoresError(f"the scorer scored {names[0]!r}, which is not in its list")
    if not np.isfinite(scores).all():
        raise ScoresError(f"the scorer left {int((~np.isfinite(scores)).sum())} files without a finite score")
    return scores


def score_stimuli(score: ScoreClips, stimuli: Sequence[Mapping[str, Samples]]) -> dict[str, Array]:
    """Score every version of every clip.

    Args:
        score: The scorer.
        stimuli: Of each clip, as `stimuli.make` gives them.

    Returns:
        Version -> `(clips,)` scores.
    """
    names = list(stimuli[0])
    flat = score([versions[name] for versions in stimuli for name in names])
    return dict(zip(names, flat.reshape(len(stimuli), len(names)).T, strict=True))


def sensitivities(scores: Mapping[str, Array], speakers: Sequence[str], seed: int) -> dict[str, Sensitivity]:
    """Say what moves the score.

    Args:
        scores: Version -> `(clips,)`.
        speakers: Of each clip.
        seed: Of the draws.

    Returns:
        Those of `SENSITIVITIES` that the versions and speakers at hand can answer.
    """
    found = {}
    rng = np.random.default_rng(seed)
    draws = _draws(speakers, rng)
    for name, (first, second) in CONTRASTS.items():
        if first in scores and second in scores:
            a, b = scores[first], scores[second]
            area = auc(a, b)
            drawn = np.array([abs(2 * auc(a[places], b[places]) - 1) for places in draws])
            low, high = np.quantile(drawn, [0.025, 0.975])
            found[name] = Sensitivity(abs(2 * area - 1), float(low), float(high), area)
    if len(set(speakers)) > 1 and len(set(speakers)) < len(speakers):
        real, voices = scores["untrimmed"], np.array(speakers)
        # Drawing clips within speakers: drawing speakers would change how many there are to tell apart.
        within = [
            np.concatenate(
                [rng.choice(np.flatnonzero(voices == v), (voices == v).sum()) for v in np.unique(voices)]
            )
            for _ in range(_DRAWS)
        ]
        low, high = np.quantile([omega_squared(real[w], voices[w]) for w in within], [0.025, 0.975])
        found["speaker"] = Sensitivity(omega_squared(real, voices), float(low), float(high))
    return found


def shifts(scores: Mapping[str, Array], speakers: Sequence[str], seed: int) -> dict[str, Shift]:
    """Say how far each manipulation moves the score, in deviations of the trimmed clips' scores.

    Args:
        scores: Version -> `(clips,)`.
        speakers: Of each clip.
        seed: Of the draws.

    Returns:
        Version -> shift.
    """
    draws = _draws(speakers, np.random.default_rng(seed))
    spread = scores["real"].std() + 1e-12
    moved = {name: (values - scores["real"]) / spread for name, values in scores.items() if name != "real"}
    return {
        name: Shift(
            float(values.mean()), *np.quantile([values[p].mean() for p in draws], [0.025, 0.975]).tolist()
        )
        for name, values in moved.items()
    }


def omega_squared(scores: Array, groups: NDArray[np.str_]) -> float:
    """Estimate the share of variance that goes with a group (Hays, 1963); 0 where the estimate is negative.

    >>> omega_squared(np.array([1.0, 1.1, 5.0, 5.1]), np.array(["a", "a", "b", "b"])) > 0.99
    True
    """
    names, number = np.unique(groups, return_inverse=True)
    counts, sums = np.bincount(number), np.bincount(number, scores)
    between = float((sums**2 / counts).sum() - scores.sum() ** 2 / len(scores))
    total = float(((scores - scores.mean()) ** 2).sum())
    if len(scores) <= len(names) or total == 0.0:
        return 0.0
    error = (total - between) / (len(scores) - len(names))
    return max(0.0, (between - (len(names) - 1) * error) / (total + error))


def _draws(speakers: Sequence[str], rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Draw whole speakers with replacement: places of their clips, draw by draw."""
    _, number = np.unique(np.array(speakers), return_inverse=True)
    members = [np.flatnonzero(number == speaker) for speaker in range(number.max() + 1)]
    return [
        np.concatenate([members[speaker] for speaker in rng.integers(len(members), size=len(members))])
        for _ in range(_DRAWS)
    ]
