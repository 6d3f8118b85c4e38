"""Running log-likelihood ratios -> a decision as early as a promised error rate allows, or none by the horizon.

Wald's test would add up log-likelihood ratios of independent pieces. The pieces of one recording are anything but
independent: they share a speaker, a room, a codec and a generator. So nothing is assumed here of how they depend
on each other. The lowest point that a bona fide recording's running evidence ever reaches is one number, and the
boundary is a conformal quantile of that number over development recordings: a new one of the same kind crosses it,
at whatever moment, with at most the promised chance (Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random
World", 2005, applied to the extreme of a path). The same holds for spoof recordings and the upper boundary.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from ringtrue.errors import CheckpointError, ScoresError
from ringtrue.evaluation.calibrate import Band, abstention_band

LOOK_S = 0.5  # seconds between two looks at the evidence
FIRST_LOOK_S = 1.0
HORIZON_S = 12.0  # no decision after this: the promise covers looks up to here

Word = Literal["bona fide", "spoof", "inconclusive"]


@dataclass(frozen=True)
class Extremes:
    """How far the evidence of development recordings ever strayed, in order.

    Attributes:
        bonafide: Lowest weighted running LLR of each bona fide recording, rising.
        spoof: Highest one of each spoof recording, rising.
        measured_on: What recordings, in words.
    """

    bonafide: Sequence[float]
    spoof: Sequence[float]
    measured_on: str

    def boundaries(self, rate: float) -> Band:
        """Place the two boundaries for a wanted error rate.

        Args:
            rate: Largest share of either class that may be called the other one, in (0, 1).

        Returns:
            Spoof below the lower one, bona fide at or above the upper one.

        Raises:
            CheckpointError: There are too few development recordings to promise so low a rate.
        """
        try:
            return abstention_band(self.bonafide, self.spoof, rate)
        except ScoresError as error:
            raise CheckpointError(f"no decision at an error rate of {rate:g}: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for a card."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Extremes:
        """Rebuild them from a card.

        Args:
            values: What `to_dict` gave.

        Returns:
            The same extremes.

        Raises:
            CheckpointError: The values are damaged; cards come from strangers.
        """
        try:
            sides = [[float(value) for value in values[side]] for side in ("bonafide", "spoof")]
            if all(math.isfinite(value) for side in sides for value in side):
                return cls(sides[0], sides[1], str(values["measured_on"]))
        except (KeyError, TypeError, ValueError):
            pass
        raise CheckpointError("the model's sequential boundaries are damaged; export the model again")


def weight(heard_s: ArrayLike) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Say how much a running LLR counts after so many seconds: early ones scatter more.

    Args:
        heard_s: Seconds heard.

    Returns:
        The square root of the share of the horizon, at most 1.

    >>> weight([3.0, 12.0, 40.0]).tolist()
    [0.5, 1.0, 1.0]
    """
    return np.sqrt(np.minimum(1.0, np.asarray(heard_s, np.float64) / HORIZON_S))


def looks() -> np.ndarray[Any, np.dtype[np.float64]]:
    """List the moments, in seconds, at which the evidence is looked at."""
    return np.arange(FIRST_LOOK_S, HORIZON_S + LOOK_S / 2, LOOK_S)


def fit_extremes(bonafide: ArrayLike, spoof: ArrayLike, measured_on: str) -> Extremes:
    """Measure how far development recordings stray.

    Args:
        bonafide: Running LLRs of bona fide recordings at `looks()`, `(N, looks)`.
        spoof: The same of spoof recordings.
        measured_on: What they are, in words.

    Returns:
        The extremes.
    """
    weights = weight(looks())
    lowest = np.sort((np.asarray(bonafide, np.float64) * weights).min(axis=1))
    highest = np.sort((np.asarray(spoof, np.float64) * weights).max(axis=1))
    return Extremes(
        [round(x, 4) for x in lowest.tolist()], [round(x, 4) for x in highest.tolist()], measured_on
    )


class SequentialTest:
    """Looks at running evidence until it decides or the horizon is reached.

    Args:
        boundaries: Of the weighted running LLR; see `Extremes.boundaries`.

    Attributes:
        decision: None while it is open.
        decided_s: Seconds that were heard when it was made.
    """

    def __init__(self, boundaries: Band):
        self.decision: Word | None = None
        self.decided_s: float | None = None
        self._boundaries = boundaries

    def look(self, heard_s: float, llr: float) -> None:
        """Look at the evidence. Moments between those of `looks()` are passed over, as they were in the fit.

        Args:
            heard_s: Seconds heard so far.
            llr: Running log-likelihood ratio of all of them.
        """
        steps = heard_s / LOOK_S
        if self.decision is not None or heard_s < FIRST_LOOK_S - 1e-9 or abs(steps - round(steps)) > 1e-6:
            return
        if heard_s > HORIZON_S + 1e-9:
            self.decision, self.decided_s = "inconclusive", HORIZON_S
            return
        word = self._boundaries.verdict(float(weight(heard_s)) * llr)
        if word != "inconclusive":
            self.decision = "bona fide" if word == "bonafide" else word
            self.decided_s = heard_s


def decide(llrs: Sequence[float], boundaries: Band) -> tuple[Word, float]:
    """Run the test over the evidence of a recording that is as long as the horizon.

    Args:
        llrs: Running LLR at each of `looks()`.
        boundaries: See `Extremes.boundaries`.

    Returns:
        The decision, "inconclusive" if none was reached, and the seconds heard until then.

    >>> decide([0.0] * 2 + [-9.0] * 21, Band(-3.0, 3.0, 0.05))
    ('spoof', 2.0)
    """
    test = SequentialTest(boundaries)
    for heard_s, llr in zip(looks().tolist(), llrs, strict=True):
        test.look(heard_s, llr)
        if test.decision is not None and test.decided_s is not None:
            return test.decision, test.decided_s
    return "inconclusive", HORIZON_S
